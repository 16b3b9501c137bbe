//! Patches to tokens.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::kernels::patch_embed::patch_embed;

/// A convolution whose stride is its size.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// `[D, C, p, p]`.
    pub weight: Param<Tensor<4>>,
    /// `[D]`; zeros where the checkpoint has none (CLIP).
    pub bias: Param<Tensor<1>>,
}

impl PatchEmbed {
    /// `[B, C, H, W]` to `[B, N, D]`, row by row.
    pub fn forward(&self, pixels: Tensor<4>) -> Tensor<3> {
        patch_embed(pixels, self.weight.val(), self.bias.val())
    }
}
