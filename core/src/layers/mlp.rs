//! The feed-forward half of a block: two layers with an activation, or SwiGLU.

use burn::module::Module;
use burn::tensor::Tensor;

use super::linear::Linear;
use crate::kernels::linear::Activation;

/// `fc2(activation(fc1(x)))`, or SwiGLU's `w3(silu(a) * b)` with `[a | b] = w12(x)`.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `fc1 [h, D]`, or `w12 [2 h, D]` with the gate first.
    pub fc1: Linear,
    /// `fc2` or `w3`, `[D, h]`.
    pub fc2: Linear,
    /// The activation; `None` is SwiGLU.
    #[module(skip)]
    pub activation: Option<Activation>,
}

impl Mlp {
    /// `residual + gamma * mlp(x)`, `[B, N, D]`.
    pub fn forward_residual(&self, x: Tensor<3>, gamma: Option<Tensor<1>>, residual: Tensor<3>) -> Tensor<3> {
        self.fc2.forward_residual(self.hidden(x), gamma, residual)
    }

    /// `mlp(x)`, `[B, N, D]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(self.hidden(x), Activation::Identity)
    }

    /// What lies between the two layers, `[B, N, h]`.
    fn hidden(&self, x: Tensor<3>) -> Tensor<3> {
        match self.activation {
            Some(activation) => self.fc1.forward(x, activation),
            None => self.fc1.forward_silu_gate(x),
        }
    }
}
