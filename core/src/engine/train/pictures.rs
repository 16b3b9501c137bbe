//! What a run in the page learns from: drawn pictures, or the user's own, made small and kept decoded.

use std::collections::BTreeMap;

use crate::data::drawn::Drawn;
use crate::error::{Error, TrainError};
use crate::formats::{Checkpoint, Dtype, safetensors};
use crate::image::{Filter, Rgb8, resize};

/// Short side of an own picture in pixels: a global crop of the page's presets takes 32, so nothing is lost.
const SHORT_SIDE: u32 = 96;
/// Two images, or there is nothing to tell apart.
const LEAST: u64 = 2;
/// Most drawn pictures of a run: they are drawn once and kept.
const MOST_DRAWN: u64 = 20_000;

/// The pictures of a run.
#[derive(Debug, Clone)]
pub(super) enum Pictures {
    /// Drawn when first asked for.
    Drawn {
        /// Where they come from.
        drawn: Drawn,
        /// Those that were asked for.
        kept: Vec<Option<Rgb8>>,
    },
    /// The user's.
    Own(Vec<Rgb8>),
}

impl Pictures {
    /// So many drawn pictures.
    ///
    /// # Errors
    ///
    /// [`TrainError::Images`].
    pub(super) fn drawn(images: u64, seed: u64) -> Result<Self, TrainError> {
        let images = enough(images)?.min(MOST_DRAWN);
        Ok(Self::Drawn { drawn: Drawn::new(seed), kept: vec![None; images as usize] })
    }

    /// The user's pictures.
    ///
    /// # Errors
    ///
    /// [`TrainError::Images`].
    pub(super) fn own(images: Vec<Rgb8>) -> Result<Self, TrainError> {
        enough(images.len() as u64)?;
        Ok(Self::Own(images))
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Drawn { kept, .. } => kept.len() as u64,
            Self::Own(images) => images.len() as u64,
        }
    }

    /// One of them.
    pub(super) fn get(&mut self, index: u64) -> &Rgb8 {
        match self {
            Self::Drawn { drawn, kept } => kept[index as usize].get_or_insert_with(|| drawn.image(index)),
            Self::Own(images) => &images[index as usize],
        }
    }

    /// Pictures to look at, with what they show where that is known. Drawn ones are such as the run never learns from;
    /// of the user's own it takes an even choice, as `native-trainer` does without `--val`.
    pub(super) fn held_out(&self, most: usize) -> (Vec<Rgb8>, Option<Vec<u32>>) {
        match self {
            Self::Drawn { drawn, kept } => {
                let range = kept.len() as u64..(kept.len() + most) as u64;
                let kinds = range.clone().map(|index| drawn.kind(index) as u32).collect();
                (range.map(|index| drawn.image(index)).collect(), Some(kinds))
            }
            Self::Own(images) => {
                let every = images.len().div_ceil(most).max(1);
                (images.iter().step_by(every).cloned().collect(), None)
            }
        }
    }

    /// Own pictures as the bytes of a safetensors file of `[H, W, 3]`; `None` for drawn ones.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let Self::Own(images) = self else { return None };
        let named: Vec<(String, [usize; 3])> = images
            .iter()
            .enumerate()
            .map(|(index, image)| (format!("image.{index:06}"), [image.height() as usize, image.width() as usize, 3]))
            .collect();
        let tensors = named.iter().map(|(name, shape)| (name.as_str(), Dtype::U8, shape.as_slice()));
        let mut bytes = safetensors::header(tensors, &BTreeMap::new());
        images.iter().for_each(|image| bytes.extend(image.data()));
        Some(bytes)
    }

    /// The reverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    ///
    /// When the file holds something else.
    pub(super) async fn read(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let mut images = Vec::new();
        for name in checkpoint.names() {
            let tensor = checkpoint.read(name).await?;
            let (height, width) = match (tensor.dtype, tensor.shape.as_slice()) {
                (Dtype::U8, &[height, width, 3]) => (height as u32, width as u32),
                (_, shape) => {
                    return Err(TrainError::Checkpoint {
                        what: format!("tensor {name}"),
                        expected: "bytes [height, width, 3]".to_owned(),
                        found: format!("{} {shape:?}", tensor.dtype.name()),
                        advice: "choose the images of the run again".to_owned(),
                    }
                    .into());
                }
            };
            images.push(Rgb8::new(width, height, tensor.bytes)?);
        }
        Ok(Self::own(images)?)
    }
}

fn enough(images: u64) -> Result<u64, TrainError> {
    if images < LEAST { Err(TrainError::Images { found: images, least: LEAST }) } else { Ok(images) }
}

/// A picture whose short side is at most [`SHORT_SIDE`].
pub(super) fn shrink(image: &Rgb8) -> Rgb8 {
    let (width, height) = (image.width(), image.height());
    let short = width.min(height);
    if short <= SHORT_SIDE {
        return image.clone();
    }
    let side = |side: u32| ((u64::from(side) * u64::from(SHORT_SIDE) + u64::from(short) / 2) / u64::from(short)) as u32;
    // A strip a thousand times as long as wide would still fill the memory.
    resize(image, side(width).min(8 * SHORT_SIDE), side(height).min(8 * SHORT_SIDE), Filter::Bicubic)
}
