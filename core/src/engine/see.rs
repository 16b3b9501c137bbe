//! The room See: a second model beside the first, and a basis for colours that stays.

use burn::tensor::Tensor;
use lab_protocol::{ImageId, ModelInfo, ModelSource, Palette, SeeEvent, Slot, View};

use super::images::Images;
use super::{BUILT_IN_SEED, Engine, Progress};
use crate::error::{EngineError, Error};
use crate::host::ReadAt;
use crate::models::Model;
use crate::models::fit::Weighed;
use crate::models::model::{tiny_config, tiny_mae_config};
use crate::probe::colours::Colours;

/// Images of one fit: more would not change the colours, and their tokens stay on the device.
const FIT_IMAGES: usize = 16;

/// What the room keeps.
#[derive(Default)]
pub(super) struct State {
    other: Option<Other>,
    /// Colours of the main model.
    pub(super) colours: Option<Colours>,
}

/// The second model, and the images as it sees them.
struct Other {
    model: Model,
    images: Images,
    colours: Option<Colours>,
}

/// A model at work: itself, its images, its colours.
pub(super) type Seat<'a> = (&'a Model, &'a mut Images, &'a mut Option<Colours>);

impl State {
    pub(super) fn forget_main(&mut self) {
        self.colours = None;
    }

    pub(super) fn forget_tokens(&mut self) {
        self.colours = None;
        if let Some(other) = &mut self.other {
            other.images.forget_embeddings();
            other.colours = None;
        }
    }

    /// Bytes that the second model takes, with what it saw.
    pub(super) fn bytes(&self) -> u64 {
        self.other.as_ref().map_or(0, |other| other.model.info().bytes + other.images.bytes_seen(&other.model))
    }

    pub(super) fn take_image(&mut self, images: &Images, image: ImageId) {
        if let Some(other) = &mut self.other {
            other.images.take_from(images, image);
        }
    }

    pub(super) fn remove_image(&mut self, image: ImageId) {
        if let Some(other) = &mut self.other {
            // It was taken over when it came.
            let _ = other.images.remove(image);
        }
    }
}

impl Engine {
    /// The model of a slot, with its images and its colours.
    pub(super) fn seat(&mut self, slot: Slot) -> Result<Seat<'_>, EngineError> {
        match (slot, &mut self.see.other) {
            (Slot::Main, _) => {
                Ok((self.model.as_ref().ok_or(EngineError::NoModel)?, &mut self.images, &mut self.see.colours))
            }
            (Slot::Other, Some(other)) => Ok((&other.model, &mut other.images, &mut other.colours)),
            (Slot::Other, None) => Err(EngineError::EmptySlot { slot: "other" }),
            (Slot::Mae, _) => Err(EngineError::NoViews { slot: "mae" }),
        }
    }

    /// Loads a model from files into a slot. Where the files hold no model, or one that does not fit, the slot keeps what
    /// it has.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the files; as [`weigh`](Self::weigh).
    pub async fn load_into(
        &mut self,
        slot: Slot,
        name: &str,
        files: Vec<Box<dyn ReadAt>>,
        progress: &mut Progress<'_>,
    ) -> Result<ModelInfo, Error> {
        let fitting = self.weigh(slot, files).await?;
        self.load_fitting(fitting, name, progress).await
    }

    /// Loads a model that needs no files into a slot; `None` where the source is files or an address.
    ///
    /// # Errors
    ///
    /// The device's; [`EngineError::NoModel`] for a twin of nothing, [`EngineError::Memory`] for one that does not fit.
    pub async fn load_drawn(&mut self, slot: Slot, source: &ModelSource) -> Result<Option<ModelInfo>, Error> {
        let device = self.open.device.clone();
        let model = match source {
            ModelSource::BuiltIn => Model::untrained(tiny_config(), BUILT_IN_SEED, &device).await?,
            ModelSource::UntrainedMae => {
                let (encoder, decoder) = tiny_mae_config();
                Model::untrained_mae(encoder, decoder, BUILT_IN_SEED, &device).await?
            }
            ModelSource::Twin { seed } => {
                let model = self.model.as_ref().ok_or(EngineError::NoModel)?;
                self.room(slot).check(&Weighed::of_twin(model))?;
                model.random_twin(u64::from(*seed)).await?
            }
            ModelSource::Files | ModelSource::Url { .. } | ModelSource::Stored { .. } => return Ok(None),
        };
        Ok(Some(self.put(slot, model).await?))
    }

    /// Puts a model into a slot, once attention is checked at its head dims.
    pub(super) async fn put(&mut self, slot: Slot, model: Model) -> Result<ModelInfo, Error> {
        self.check_heads(&model.head_dims(), false).await?;
        let info = model.info().clone();
        match slot {
            Slot::Main => {
                self.forget_model();
                self.model = Some(model);
            }
            Slot::Other => {
                self.see.other = Some(Other { model, images: self.images.share(), colours: None });
            }
            Slot::Mae => self.mask.put(model),
        }
        Ok(info)
    }

    /// Forgets the model of a slot.
    pub fn unload(&mut self, slot: Slot) {
        match slot {
            Slot::Main => self.forget_model(),
            Slot::Other => self.see.other = None,
            Slot::Mae => self.mask.unload(),
        }
    }

    /// Draws components in a palette from now on.
    pub fn set_palette(&mut self, palette: Palette) {
        self.palette = palette;
    }

    /// Fits the basis of [`View::SharedPca`] on these images.
    ///
    /// # Errors
    ///
    /// As [`view`](Self::view).
    pub async fn fit(&mut self, slot: Slot, images: &[ImageId]) -> Result<SeeEvent, Error> {
        if images.is_empty() {
            return Err(EngineError::NothingToFit.into());
        }
        let (model, store, colours) = self.seat(slot)?;
        let mut tokens = Vec::new();
        for image in images.iter().take(FIT_IMAGES) {
            tokens.push(store.tokens(*image, model).await?.output.patch_rows());
        }
        let count = tokens.len();
        let fitted = Colours::fit(Tensor::cat(tokens, 0), count).await?;
        let explained = fitted.explained();
        *colours = Some(fitted);
        Ok(SeeEvent::Fitted { images: count as u32, explained })
    }

    /// The numbers behind a view, `[channels, rows, columns]`, and what they are.
    ///
    /// # Errors
    ///
    /// As [`view`](Self::view).
    pub async fn numbers(&mut self, slot: Slot, image: ImageId, view: &View) -> Result<(SeeEvent, Vec<f32>), Error> {
        let picture = self.view_in(slot, image, view).await?;
        let channels = match view {
            View::Input => vec![],
            View::Attention { .. } => vec!["attention".to_owned()],
            View::Rollout { .. } => vec!["rollout".to_owned()],
            View::Similarity { .. } => vec!["cosine".to_owned()],
            View::Heads { .. } => (0..picture.summary.heads.len()).map(|head| format!("head {head}")).collect(),
            View::Pca | View::SharedPca { .. } => (1..=3).map(|number| format!("pc{number}")).collect(),
        };
        let grid = picture.summary.grid;
        Ok((SeeEvent::Numbers { grid, channels }, picture.planes()))
    }
}
