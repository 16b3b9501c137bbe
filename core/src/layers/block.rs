//! A pre-norm transformer block: `x + ls1(attn(norm1(x)))`, then `x + ls2(mlp(norm2(x)))`.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::attention::Attention;
use super::drop_path::{DropPath, add_to_subset};
use super::layer_norm::LayerNorm;
use super::mlp::Mlp;
use crate::kernels::attention::Segments;
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

    /// The same with stochastic depth: each branch for its samples only.
    pub fn forward_train(&self, x: Tensor<3>, drop: &DropPath) -> Tensor<3> {
        let scaled = |linear: Tensor<3>, scale: &Option<Param<Tensor<1>>>| match scale {
            Some(gamma) => linear * gamma.val().unsqueeze(),
            None => linear,
        };
        let x = add_to_subset(x, &drop.attn, |x| {
            let qkv = self.attn.project(self.norm1.forward(x));
            scaled(self.attn.proj.forward(self.attn.attend(qkv, None), Activation::Identity), &self.ls1)
        });
        add_to_subset(x, &drop.mlp, |x| scaled(self.mlp.forward(self.norm2.forward(x)), &self.ls2))
    }
}
