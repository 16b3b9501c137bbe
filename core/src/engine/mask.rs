//! The room Mask: what a masked autoencoder makes of an image of which it sees a part.
//!
//! He et al., arXiv 2111.06377, and the visualisation that was published with it: where the decoder's target is each
//! patch normalised by its own mean and deviation, what it paints takes mean and deviation of the true patch.

use burn::tensor::{Tensor, TensorData};
use lab_protocol::{ImageId, MaskCommand, MaskEvent, MaskKind, MaskView, PatchMask, Summary};

use super::views::{OVERLAY, extremes, peak, picture};
use super::{Colouring, Engine, NO_VALUE, Picture};
use crate::config::{Config, MaskingKind};
use crate::data::masking::mae_masking;
use crate::device::readback;
use crate::error::{EngineError, Error};
use crate::losses::mae::patch_errors;
use crate::models::Model;
use crate::models::config::MaeConfig;
use crate::models::mae::{self, MaeDecoder, Masking, patchify, unpatchify};
use crate::rng::Rng;

/// What the room keeps: a model of its own, and the last reconstruction.
#[derive(Debug, Default)]
pub struct State {
    mae: Option<Model>,
    last: Option<Reconstruction>,
}

/// What came of one image and one mask.
#[derive(Debug)]
struct Reconstruction {
    image: ImageId,
    hidden: Vec<bool>,
    grid: [usize; 2],
    /// Normalised, `[1, 3, H, W]`.
    pixels: Tensor<4>,
    /// What the decoder painted, in the same terms.
    predicted: Tensor<4>,
    losses: Vec<f32>,
    millis: f64,
}

impl State {
    pub(super) fn forget_result(&mut self) {
        self.last = None;
    }

    /// Bytes of the room's own model.
    pub(super) fn bytes(&self) -> u64 {
        self.mae.as_ref().map_or(0, |model| model.info().bytes)
    }

    pub(super) fn put(&mut self, model: Model) {
        *self = Self { mae: Some(model), last: None };
    }

    pub(super) fn unload(&mut self) {
        *self = Self::default();
    }
}

/// A model with a decoder.
struct Mae<'a> {
    model: &'a Model,
    decoder: &'a MaeDecoder,
    config: &'a MaeConfig,
}

impl<'a> Mae<'a> {
    /// The main model where it has a decoder, else the room's own.
    fn of(main: Option<&'a Model>, own: Option<&'a Model>) -> Result<Self, EngineError> {
        let with_decoder = |model: &'a Model| {
            let (decoder, config) = model.decoder()?;
            Some(Self { model, decoder, config })
        };
        main.and_then(with_decoder).or_else(|| own.and_then(with_decoder)).ok_or_else(|| EngineError::NoDecoder {
            found: main.map_or_else(|| "no model".to_owned(), |model| model.info().name.clone()),
        })
    }

    fn grid(&self) -> [usize; 2] {
        [self.model.config().grid(); 2]
    }

    fn flags(&self, hidden: &PatchMask) -> Result<Vec<bool>, EngineError> {
        let [rows, columns] = self.grid();
        let flags = hidden.flags(rows * columns);
        let flags = flags.ok_or_else(|| EngineError::Mask { digits: hidden.digits().to_owned(), rows, columns })?;
        if flags.iter().all(|&hidden| hidden) { Err(EngineError::AllHidden) } else { Ok(flags) }
    }
}

impl Engine {
    /// Draws a mask or reconstructs an image; pictures are [`mask_view`](Self::mask_view)'s.
    ///
    /// # Errors
    ///
    /// [`EngineError::NoDecoder`], [`EngineError::Mask`], [`EngineError::AllHidden`], or what [`view`](Self::view)
    /// says.
    pub async fn mask(&mut self, command: MaskCommand) -> Result<MaskEvent, Error> {
        match command {
            MaskCommand::Sample { kind, ratio, seed } => {
                let mae = Mae::of(self.model.as_ref(), self.mask.mae.as_ref())?;
                let hidden = sample(&mae, kind, ratio, seed);
                Ok(MaskEvent::Sampled { grid: mae.grid(), hidden: PatchMask::new(&hidden) })
            }
            MaskCommand::Reconstruct { image, hidden } | MaskCommand::Show { image, hidden, .. } => {
                let norm_pix = self.reconstruct(image, &hidden).await?;
                let Some(last) = &self.mask.last else { return Err(EngineError::NoImage { image: image.0 }.into()) };
                let over = last.losses.iter().zip(&last.hidden).filter(|(_, hidden)| **hidden);
                let (sum, count) = over.fold((0.0_f32, 0_usize), |(sum, count), (loss, _)| (sum + loss, count + 1));
                Ok(MaskEvent::Reconstructed {
                    grid: last.grid,
                    losses: last.losses.clone(),
                    loss: (count > 0).then(|| sum / count as f32),
                    norm_pix,
                    millis: last.millis,
                })
            }
        }
    }

    /// Computes what was asked for, unless it is what was asked for last; whether patches are normalised.
    async fn reconstruct(&mut self, image: ImageId, hidden: &PatchMask) -> Result<bool, Error> {
        let mae = Mae::of(self.model.as_ref(), self.mask.mae.as_ref())?;
        let norm_pix = mae.config.norm_pix_loss;
        let hidden = mae.flags(hidden)?;
        if self.mask.last.as_ref().is_some_and(|last| last.image == image && last.hidden == hidden) {
            return Ok(norm_pix);
        }
        let start = (self.clock)();
        let pixels = self.images.pixels(image, mae.model)?;
        let (encoder, [_, _, height, width]) = (mae.model.encoder(), pixels.dims());
        let expected = mae.model.config().img_size;
        if [height, width] != [expected; 2] {
            return Err(EngineError::DecoderSize { expected, width, height }.into());
        }
        let grid @ [rows, columns] = mae.grid();
        let output = mae::forward(encoder, mae.decoder, mae.config, pixels.clone(), &Masking::from_mask(&hidden));
        let patches = patchify(pixels.clone(), encoder.patch_size()); // [1, N, p * p * 3]
        let target = mae::target(mae.config, patches.clone());
        let losses = readback(patch_errors(output.logits.clone(), target)).await?;
        let predicted = unpatchify(mae::painted(mae.config, output.logits, patches), rows, columns);
        let millis = (self.clock)() - start;
        self.mask.last = Some(Reconstruction { image, hidden, grid, pixels, predicted, losses, millis });
        Ok(norm_pix)
    }

    /// What can be seen of a reconstruction.
    ///
    /// # Errors
    ///
    /// As [`mask`](Self::mask).
    pub async fn mask_view(&mut self, image: ImageId, hidden: &PatchMask, what: MaskView) -> Result<Picture, Error> {
        self.reconstruct(image, hidden).await?;
        let mae = Mae::of(self.model.as_ref(), self.mask.mae.as_ref())?;
        let Some(last) = &self.mask.last else { return Err(EngineError::NoImage { image: image.0 }.into()) };
        let summary = Summary { grid: last.grid, ..Summary::default() };
        let plain = |pixels: Tensor<4>| picture(mae.model, &pixels, Colouring::Pixels, summary.clone());
        let mask = || mask_pixels(last, mae.model.config().patch_size); // [1, 1, H, W]
        Ok(match what {
            MaskView::Original => plain(last.pixels.clone()),
            MaskView::Predicted => plain(last.predicted.clone()),
            MaskView::Seen => plain(mixed(&last.pixels, grey(mae.model), mask())),
            MaskView::Painted => plain(mixed(&last.pixels, last.predicted.clone(), mask())),
            MaskView::Loss => loss_map(mae.model, last, summary),
        })
    }
}

/// A mask for the model's grid.
fn sample(mae: &Mae<'_>, kind: MaskKind, ratio: f32, seed: u32) -> Vec<bool> {
    let mut config = Config::default();
    (config.crops.global_size, config.model.patch_size) = (mae.model.config().img_size, mae.model.config().patch_size);
    let patches = mae.grid()[0] * mae.grid()[1];
    // The encoder sees at least one patch.
    config.mae.mask_ratio = f64::from(ratio).clamp(0.0, 1.0 - 1.001 / patches.max(1) as f64);
    config.mae.masking = match kind {
        MaskKind::Random => MaskingKind::Random,
        MaskKind::Block => MaskingKind::Block,
        MaskKind::Grid => MaskingKind::Grid,
    };
    let masking = mae_masking(&config, 1, &mut Rng::new(u64::from(seed)).stream("mask", 0));
    masking.mask.iter().map(|&hidden| hidden > 0.5).collect()
}

/// 1 in the pixels of hidden patches, `[1, 1, H, W]`.
fn mask_pixels(last: &Reconstruction, patch_size: usize) -> Tensor<4> {
    let [rows, columns] = last.grid.map(|count| count * patch_size);
    let hidden = |y: usize, x: usize| last.hidden[y / patch_size * last.grid[1] + x / patch_size];
    let values: Vec<f32> =
        (0..rows).flat_map(|y| (0..columns).map(move |x| f32::from(u8::from(hidden(y, x))))).collect();
    Tensor::from_data(TensorData::new(values, [1, 1, rows, columns]), &last.pixels.device())
}

/// `a` where the mask is 0, `b` where it is 1.
fn mixed(a: &Tensor<4>, b: Tensor<4>, mask: Tensor<4>) -> Tensor<4> {
    a.clone() * (mask.clone() * -1.0 + 1.0) + b * mask
}

/// Middle grey as the recipe makes it, `[1, 3, 1, 1]`.
fn grey(model: &Model) -> Tensor<4> {
    let recipe = model.preprocess();
    let value = |channel: usize| (127.5 * recipe.rescale - recipe.mean[channel]) / recipe.std[channel];
    Tensor::from_data(TensorData::new(vec![value(0), value(1), value(2)], [1, 3, 1, 1]), model.device())
}

fn loss_map(model: &Model, last: &Reconstruction, mut summary: Summary) -> Picture {
    let hidden = || last.losses.iter().zip(&last.hidden).filter(|(_, hidden)| **hidden).map(|(loss, _)| *loss);
    (summary.min, summary.max) = extremes(hidden());
    let values: Vec<f32> = last
        .losses
        .iter()
        .zip(&last.hidden)
        .map(|(&loss, &hidden)| if hidden { loss } else { 10.0 * NO_VALUE })
        .collect();
    summary.peak = peak(values.iter().copied());
    let shape = [values.len(), 1];
    Picture {
        opacity: OVERLAY,
        low: [0.0; 3],
        high: [summary.max; 3],
        values: Some(Tensor::from_data(TensorData::new(values.clone(), shape), model.device())),
        host_values: values,
        ..picture(model, &last.pixels, Colouring::Heatmap, summary)
    }
}
