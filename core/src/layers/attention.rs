//! Multi-head self-attention with fused queries, keys and values, as in timm and DINOv2.

use burn::module::Module;
use burn::tensor::Tensor;

use super::linear::Linear;
use crate::kernels::attention::{Segments, attention};
use crate::kernels::linear::Activation;

/// `proj(softmax(q kᵀ / sqrt(head_dim)) v)`, rows of `qkv` ordered `[q | k | v]`, each split into heads.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[3 D, D]`.
    pub qkv: Linear,
    /// `[D, D]`.
    pub proj: Linear,
    /// Number of heads.
    #[module(skip)]
    pub num_heads: usize,
}

impl Attention {
    /// The fused projection, `[B, N, D]` to `[B, N, 3 D]`: all that a view needs to see the probabilities.
    pub fn project(&self, x: Tensor<3>) -> Tensor<3> {
        self.qkv.forward(x, Activation::Identity)
    }

    /// Attention before the last projection, `[B, N, 3 D]` to `[B, N, D]`.
    pub fn attend(&self, qkv: Tensor<3>, segments: Option<&Segments>) -> Tensor<3> {
        attention(qkv, self.num_heads, segments)
    }
}
