//! SigLIP's pooling head: one learned probe attends to all tokens (PyTorch's `MultiheadAttention`), then an MLP.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::layer_norm::LayerNorm;
use super::linear::Linear;
use super::mlp::Mlp;
use crate::kernels::linear::Activation;
use crate::kernels::matmul::matmul;

/// `attended + mlp(norm(attended))`, of the one token that the probe gathers.
#[derive(Module, Debug)]
pub struct AttentionPool {
    /// `[1, 1, D]`.
    pub probe: Param<Tensor<3>>,
    /// The probe's projection, `[D, D]`: the first third of PyTorch's `in_proj`.
    pub query: Linear,
    /// The tokens' projection to keys and values, `[2 D, D]`: the rest of it.
    pub key_value: Linear,
    /// `[D, D]`.
    pub out_proj: Linear,
    /// Before the MLP.
    pub norm: LayerNorm,
    /// The MLP.
    pub mlp: Mlp,
    /// Number of heads.
    #[module(skip)]
    pub num_heads: usize,
}

impl AttentionPool {
    /// `[B, N, D]` to `[B, D]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [b, n, d] = x.dims();
        let head_dim = d / self.num_heads;
        let heads = |x: Tensor<3>, n: usize| x.reshape([b, n, self.num_heads, head_dim]).swap_dims(1, 2);
        let query = self.query.forward(self.probe.val().repeat_dim(0, b), Activation::Identity);
        let key_value = self.key_value.forward(x, Activation::Identity);
        let key = heads(key_value.clone().narrow(2, 0, d), n);
        let value = heads(key_value.narrow(2, d, d), n);
        let scores = matmul(heads(query, 1), key.swap_dims(2, 3)) * (head_dim as f64).powf(-0.5);
        let attended = matmul(softmax(scores, 3), value).swap_dims(1, 2).reshape([b, 1, d]);
        let attended = self.out_proj.forward(attended, Activation::Identity);
        self.mlp.forward_residual(self.norm.forward(attended.clone()), None, attended).reshape([b, d])
    }
}
