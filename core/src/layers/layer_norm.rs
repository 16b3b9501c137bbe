//! Layer normalisation with its two vectors.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::kernels::layer_norm::layer_norm;

/// `(x - mean) / sqrt(var + eps) * weight + bias` over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[D]`.
    pub weight: Param<Tensor<1>>,
    /// `[D]`.
    pub bias: Param<Tensor<1>>,
    /// 1e-6 in DINOv2 and MAE, 1e-5 in CLIP.
    #[module(skip)]
    pub eps: f64,
}

impl LayerNorm {
    /// `[B, N, D]` to `[B, N, D]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        layer_norm(x, self.weight.val(), self.bias.val(), self.eps)
    }
}
