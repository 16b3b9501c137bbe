//! What can be drawn of an image, and the numbers behind the picture.

use serde::{Deserialize, Serialize};

use crate::ImageId;

/// What can be drawn of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "show")]
pub enum View {
    /// The image as the model receives it: resized and cropped.
    Input,
    /// Attention probabilities from one query token to all patches.
    Attention {
        /// Block, from 0.
        layer: u32,
        /// Head, from 0; `None` is the mean of all heads.
        head: Option<u32>,
        /// Who asks.
        query: Query,
    },
    /// The same for every head of a block, side by side; each head has its own scale.
    Heads {
        /// Block, from 0.
        layer: u32,
        /// Who asks.
        query: Query,
        /// Heads in a row of the picture.
        columns: u32,
    },
    /// Attention followed from a block down to the input, with the residual path (Abnar and Zuidema).
    Rollout {
        /// The block that asks, from 0.
        layer: u32,
        /// Who asks.
        query: Query,
    },
    /// The first three principal components of the patch tokens, in the [`Palette`] that was set.
    Pca,
    /// The same by a basis that stays: fitted by [`SeeCommand::Fit`](crate::SeeCommand::Fit), or on the first image
    /// that is shown.
    SharedPca {
        /// Leave out the background.
        foreground: Option<Foreground>,
    },
    /// Cosine of every patch of this image with one patch.
    Similarity {
        /// The image of the patch that was clicked; may be another image.
        from: ImageId,
        /// The patch, row by row.
        patch: u32,
    },
}

/// Which patches are the foreground: the first principal component, scaled to 0..1 over the images of the fit, lies
/// above a threshold, as in DINOv2's notebooks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Foreground {
    /// From 0 to 1.
    pub threshold: f32,
    /// Below it instead: the sign of a component means nothing.
    pub below: bool,
}

/// How three components become a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Palette {
    /// Red, green and blue, as the papers have them.
    #[default]
    Rgb,
    /// The first from dark to light, the second from blue to yellow: nothing rests on telling red from green.
    BlueYellow,
}

/// A query token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "token")]
pub enum Query {
    /// The class token (the first patch in models that have none).
    Cls,
    /// A patch, row by row.
    Patch {
        /// Its number, from 0.
        index: u32,
    },
}

/// Numbers behind a picture, for its caption and for screen readers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Patch rows and columns.
    pub grid: [usize; 2],
    /// Smallest value drawn.
    pub min: f32,
    /// Largest value drawn.
    pub max: f32,
    /// The patch with the largest value, row by row.
    pub peak: u32,
    /// For PCA: the share of the variance that each of the three components holds.
    pub explained: Option<[f32; 3]>,
    /// For attention: the share of the probability that falls on patches (the rest is on class and register tokens).
    pub on_patches: Option<f32>,
    /// For all heads of a block: each one's numbers.
    pub heads: Vec<HeadSummary>,
    /// For a shared basis: how many images it was fitted on.
    pub fitted: Option<u32>,
    /// For a foreground: the share of the patches that belong to it.
    pub foreground: Option<f32>,
}

/// One head's attention in numbers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HeadSummary {
    /// Largest probability on a patch.
    pub max: f32,
    /// That patch, row by row.
    pub peak: u32,
    /// The share of the probability that falls on patches.
    pub on_patches: f32,
    /// Entropy of the probabilities of all tokens, in bits.
    pub entropy: f32,
}
