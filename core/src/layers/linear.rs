//! `y = x Wᵀ + b`, its weight in as many pieces as the device's bindings demand.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::kernels::linear::{Activation, linear, linear_residual, linear_silu_gate};
use crate::kernels::silu_gate::silu_gate;

/// A linear layer, weight `[out, in]` as PyTorch stores it.
///
/// WebGPU promises bindings of 128 MiB only, and a 7B model's largest weight holds 341 MiB: such a weight lies in
/// several tensors, split by output rows. Everywhere else there is exactly one.
#[derive(Module, Debug)]
pub struct Linear {
    /// Pieces of the weight, by rows.
    pub weight: Vec<Param<Tensor<2>>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Linear {
    /// `activation(x Wᵀ + b)`: `[B, N, in]` to `[B, N, out]`.
    pub fn forward(&self, x: Tensor<3>, activation: Activation) -> Tensor<3> {
        match self.whole() {
            Some(weight) => linear(x, weight, self.bias.val(), activation),
            None => self.pieces(x, activation),
        }
    }

    /// `silu(a) * b` with `[a | b] = x Wᵀ + b`: `[B, N, in]` to `[B, N, out / 2]`.
    pub fn forward_silu_gate(&self, x: Tensor<3>) -> Tensor<3> {
        match self.whole() {
            Some(weight) => linear_silu_gate(x, weight, self.bias.val()),
            None => {
                let bias = Tensor::zeros(self.bias.shape(), &x.device());
                silu_gate(self.pieces(x, Activation::Identity), bias)
            }
        }
    }

    /// `residual + gamma * (x Wᵀ + b)`, gamma being LayerScale's; without one, `residual + x Wᵀ + b`.
    pub fn forward_residual(&self, x: Tensor<3>, gamma: Option<Tensor<1>>, residual: Tensor<3>) -> Tensor<3> {
        match (self.whole(), gamma) {
            (Some(weight), Some(gamma)) => linear_residual(x, weight, self.bias.val(), gamma, residual),
            (_, None) => residual + self.forward(x, Activation::Identity),
            (None, Some(gamma)) => residual + self.pieces(x, Activation::Identity) * gamma.unsqueeze(),
        }
    }

    fn whole(&self) -> Option<Tensor<2>> {
        match self.weight.as_slice() {
            [one] => Some(one.val()),
            _ => None,
        }
    }

    fn pieces(&self, x: Tensor<3>, activation: Activation) -> Tensor<3> {
        let mut start = 0;
        let parts = self.weight.iter().map(|piece| {
            let rows = piece.dims()[0];
            let bias = self.bias.val().narrow(0, start, rows);
            start += rows;
            linear(x.clone(), piece.val(), bias, activation)
        });
        Tensor::cat(parts.collect(), 2)
    }
}
