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
    /// The first three principal components of the patch tokens as red, green and blue.
    Pca,
    /// Cosine of every patch of this image with one patch.
    Similarity {
        /// The image of the patch that was clicked; may be another image.
        from: ImageId,
        /// The patch, row by row.
        patch: u32,
    },
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
}
