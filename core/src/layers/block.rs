//! A pre-norm transformer block: `x + ls1(attn(norm1(x)))`, then `x + ls2(mlp(norm2(x)))`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::attention::Attention;
use super::drop_path::DropPath;
use super::layer_norm::LayerNorm;
use super::mlp::Mlp;
use crate::kernels::attention::Segments;
use crate::kernels::layer_scale::layer_scale;
use crate::kernels::linear::Activation;

/// One block; LayerScale (`ls1`, `ls2`) is DINOv2's, MAE and CLIP have none.
#[derive(Module, Debug)]
pub struct Block {
    /// Before attention.
    pub norm1: LayerNorm,
    /// Self-attention.
    pub attn: Attention,
    /// LayerScale of attention, `[D]`.
    pub ls1: Option<Param<Tensor<1>>>,
    /// Before the MLP.
    pub norm2: LayerNorm,
    /// MLP or SwiGLU.
    pub mlp: Mlp,
    /// LayerScale of the MLP, `[D]`.
    pub ls2: Option<Param<Tensor<1>>>,
}

impl Block {
    /// `[B, N, D]` to `[B, N, D]`, and the fused queries, keys and values `[B, N, 3 D]` for whoever wants to look.
    pub fn forward(&self, x: Tensor<3>, segments: Option<&Segments>) -> (Tensor<3>, Tensor<3>) {
        let gamma = |scale: &Option<Param<Tensor<1>>>| scale.as_ref().map(Param::val);
        let qkv = self.attn.project(self.norm1.forward(x.clone()));
        let attended = self.attn.attend(qkv.clone(), segments);
        let x = self.attn.proj.forward_residual(attended, gamma(&self.ls1), x);
        let x = self.mlp.forward_residual(self.norm2.forward(x.clone()), gamma(&self.ls2), x);
        (x, qkv)
    }

    /// [`forward`](Self::forward) while training: with stochastic depth each branch runs over its subset of the
    /// samples, LayerScale within the branch.
    pub fn forward_train(&self, x: Tensor<3>, segments: Option<&Segments>, drop: Option<&DropPath>) -> Tensor<3> {
        let Some(drop) = drop else { return self.forward(x, segments).0 };
        let scaled = |y: Tensor<3>, scale: &Option<Param<Tensor<1>>>| match scale {
            Some(gamma) => layer_scale(y, gamma.val()),
            None => y,
        };
        let x = drop.attn.add(x, |x| {
            let attended = self.attn.attend(self.attn.project(self.norm1.forward(x)), segments);
            scaled(self.attn.proj.forward(attended, Activation::Identity), &self.ls1)
        });
        drop.mlp.add(x, |x| scaled(self.mlp.forward(self.norm2.forward(x)), &self.ls2))
    }
}
