//! The room Mask: which patches are hidden, and what a masked autoencoder makes of the rest.

use serde::{Deserialize, Serialize};

use crate::{CanvasId, ImageId};

/// What the page can ask in the room Mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mask")]
pub enum MaskCommand {
    /// Draw a mask for the grid of the model at work. Answer: [`MaskEvent::Sampled`].
    Sample {
        /// How.
        kind: MaskKind,
        /// Share of the patches that are hidden, 0 to 1.
        ratio: f32,
        /// The same seed gives the same mask.
        seed: u32,
    },
    /// Reconstruct an image from what is not hidden. Answer: [`MaskEvent::Reconstructed`].
    Reconstruct {
        /// Which.
        image: ImageId,
        /// What is hidden.
        hidden: PatchMask,
    },
    /// Draw what came of it (and reconstruct first, when needed). Answer: [`Event::Shown`](crate::Event::Shown).
    Show {
        /// Where.
        canvas: CanvasId,
        /// Which image.
        image: ImageId,
        /// What is hidden.
        hidden: PatchMask,
        /// What to draw.
        what: MaskView,
        /// Width and height of the canvas in device pixels.
        size: [u32; 2],
    },
}

/// What the engine says in the room Mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mask")]
pub enum MaskEvent {
    /// A mask was drawn.
    Sampled {
        /// Patch rows and columns.
        grid: [usize; 2],
        /// What it hides.
        hidden: PatchMask,
    },
    /// An image was reconstructed.
    Reconstructed {
        /// Patch rows and columns.
        grid: [usize; 2],
        /// Mean squared error of each patch, hidden or not, against the decoder's target.
        losses: Vec<f32>,
        /// MAE's loss: the mean over the hidden patches; `None` where nothing is hidden.
        loss: Option<f32>,
        /// The target is each patch normalised by its own mean and deviation.
        norm_pix: bool,
        /// From pixels to reconstruction, in milliseconds.
        millis: f64,
    },
}

/// How a mask is drawn, as MAE's figure 6 has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskKind {
    /// Patches at random.
    #[default]
    Random,
    /// Large blocks.
    Block,
    /// A regular grid.
    Grid,
}

/// What can be drawn of a reconstruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskView {
    /// The picture as the model receives it.
    Original,
    /// What the encoder saw: hidden patches are grey.
    Seen,
    /// The shown patches as they are, the hidden ones as the decoder paints them.
    Painted,
    /// Every patch as the decoder paints it, also those that it saw.
    Predicted,
    /// The error of each hidden patch.
    Loss,
}

/// Which patches are hidden, row by row: four a hexadecimal digit, the first in its highest bit. Travels in messages
/// and links alike.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PatchMask(String);

impl PatchMask {
    /// From one flag a patch, true where hidden.
    pub fn new(hidden: &[bool]) -> Self {
        let digit = |flags: &[bool]| {
            let value = (0..4).fold(0, |value, at| 2 * value + u32::from(flags.get(at) == Some(&true)));
            char::from_digit(value, 16).unwrap_or('0')
        };
        Self(hidden.chunks(4).map(digit).collect())
    }

    /// Digits as they stand in a link; `None` where something else stands among them.
    pub fn from_digits(digits: &str) -> Option<Self> {
        digits.chars().all(|digit| digit.is_ascii_hexdigit()).then(|| Self(digits.to_ascii_lowercase()))
    }

    /// The digits.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// One flag for each of `patches` patches; `None` where the digits are those of another number of patches.
    pub fn flags(&self, patches: usize) -> Option<Vec<bool>> {
        if self.0.len() != patches.div_ceil(4) {
            return None;
        }
        let values = self.0.chars().map(|digit| digit.to_digit(16));
        let flags = values.flat_map(|value| [8, 4, 2, 1].map(|bit| value.map(|value| value & bit != 0)));
        let flags: Option<Vec<bool>> = flags.collect();
        let (flags, rest) = flags.as_deref()?.split_at(patches);
        rest.iter().all(|flag| !flag).then(|| flags.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_survive_their_digits() {
        let check = |text: &str, digits: &str| {
            let hidden: Vec<bool> = text.chars().map(|c| c == '#').collect();
            let mask = PatchMask::new(&hidden);
            assert_eq!(mask.digits(), digits);
            assert_eq!(mask.flags(hidden.len()), Some(hidden));
        };
        check("", "");
        check("#", "8");
        check("#..#.#", "94");
        check("########", "ff");
        check("...#....#", "108");
    }

    #[test]
    fn masks_of_another_size_are_none() {
        let mask = PatchMask::from_digits("FF").expect("digits");
        assert_eq!(mask.flags(8), Some(vec![true; 8]));
        assert_eq!((mask.flags(9), mask.flags(4)), (None, None));
        assert_eq!(mask.flags(7), None, "a ninth flag is set beyond the last patch");
        assert_eq!(PatchMask::from_digits("0g"), None);
    }
}
