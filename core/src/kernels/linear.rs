//! A matrix product with what follows it in one kernel: bias, activation, SwiGLU's gate, or LayerScale and residual.
//!
//! `weight` lies as PyTorch stores it, `[out, in]`, in f32 or f16. Without gradients the epilogue runs inside the
//! product; with gradients the same formula is composed of [`matmul`](super::matmul), [`bias_activation`], [`silu_gate`]
//! and [`layer_scale`], whose derivatives are known (why: `docs/decisions`).

use burn::tensor::{DType, Tensor};

pub use super::bias_activation::Activation;
use super::bias_activation::bias_activation;
use super::layer_scale::layer_scale;
use super::matmul::matmul;
#[cfg(feature = "wgpu")]
use super::mode::{self, Kernel};
use super::silu_gate::silu_gate;

/// `activation(x Wᵀ + bias)`: f32 x `[B, N, in]`, weight `[out, in]`, bias `[out]` to `[B, N, out]`.
pub fn linear(x: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>, activation: Activation) -> Tensor<3> {
    check(&x, &weight, &bias);
    #[cfg(feature = "wgpu")]
    if fuses(&x, &weight) {
        let [b, n, _] = x.dims();
        let out = weight.dims()[0];
        let y = launches::run(as_batch(x), weight, launches::After::Activation(bias, activation), out);
        return y.reshape([b, n, out]);
    }
    bias_activation(product(x, weight), bias, activation)
}

/// SwiGLU's gate: `silu(a) * b` with `[a | b] = x Wᵀ + bias`; x `[B, N, in]`, weight `[2h, in]` to `[B, N, h]`.
pub fn linear_silu_gate(x: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    check(&x, &weight, &bias);
    assert!(weight.dims()[0].is_multiple_of(2), "linear_silu_gate: {:?} has no two halves", weight.dims());
    #[cfg(feature = "wgpu")]
    if fuses(&x, &weight) {
        let [b, n, _] = x.dims();
        let out = weight.dims()[0] / 2;
        return launches::run(as_batch(x), weight, launches::After::SiluGate(bias), out).reshape([b, n, out]);
    }
    silu_gate(product(x, weight), bias)
}

/// `residual + gamma * (x Wᵀ + bias)`: x `[B, N, in]`, weight `[out, in]`, gamma `[out]`, residual `[B, N, out]`.
pub fn linear_residual(
    x: Tensor<3>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    gamma: Tensor<1>,
    residual: Tensor<3>,
) -> Tensor<3> {
    check(&x, &weight, &bias);
    #[cfg(feature = "wgpu")]
    if fuses(&x, &weight) {
        let [b, n, _] = x.dims();
        let out = weight.dims()[0];
        let after = launches::After::Residual(bias, gamma, residual.reshape([1, 1, b * n, out]));
        return launches::run(as_batch(x), weight, after, out).reshape([b, n, out]);
    }
    residual + layer_scale(bias_activation(product(x, weight), bias, Activation::Identity), gamma)
}

/// The plain formula of [`linear`], [`linear_silu_gate`] and [`linear_residual`] before what follows it: `x Wᵀ + bias`.
pub fn reference(x: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<3> {
    let [b, n, _] = x.dims();
    let out = weight.dims()[0];
    let weight = weight.cast(DType::F32).transpose().unsqueeze();
    super::matmul::reference(as_batch(x), weight).reshape([b, n, out]) + bias.unsqueeze()
}

fn product(x: Tensor<3>, weight: Tensor<2>) -> Tensor<3> {
    let [b, n, _] = x.dims();
    let out = weight.dims()[0];
    matmul(as_batch(x), weight.cast(DType::F32).transpose().unsqueeze()).reshape([b, n, out])
}

/// `[B, N, D]` as one matrix, `[1, 1, B * N, D]`.
fn as_batch(x: Tensor<3>) -> Tensor<4> {
    let [b, n, d] = x.dims();
    x.reshape([1, 1, b * n, d])
}

#[cfg(feature = "wgpu")]
fn fuses(x: &Tensor<3>, weight: &Tensor<2>) -> bool {
    let device = x.device();
    mode::runs(Kernel::Linear, &device) && !device.is_autodiff() && !weight.device().is_autodiff()
}

fn check(x: &Tensor<3>, weight: &Tensor<2>, bias: &Tensor<1>) {
    let ([_, _, inputs], [out, expected]) = (x.dims(), weight.dims());
    assert!(
        inputs == expected && bias.dims() == [out],
        "linear: x {:?}, weight {:?}, bias {:?}",
        x.dims(),
        weight.dims(),
        bias.dims()
    );
}

#[cfg(feature = "wgpu")]
mod launches {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::wgpu::{CubeBackend, into_contiguous};
    use burn::backend::{Backend, Dispatch, backend_extension};
    use burn::tensor::Tensor;

    use super::{Activation, mode};
    use crate::kernels::launch::{dims, empty};
    use crate::kernels::matmul::launches::{Epilogue, product};

    /// Products with an epilogue as operations of burn's backends; inference only. `half` as for the product.
    #[backend_extension(Cube)]
    pub(crate) trait LinearOps: Backend {
        /// `activation(x wᵀ + bias)`, the activation by its code.
        fn fused_linear(
            x: FloatTensor<Self>,
            w: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            code: u32,
            half: bool,
        ) -> FloatTensor<Self>;
        /// `silu(a) * b` of `x wᵀ + bias`.
        fn fused_linear_silu_gate(
            x: FloatTensor<Self>,
            w: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            half: bool,
        ) -> FloatTensor<Self>;
        /// `residual + gamma * (x wᵀ + bias)`.
        fn fused_linear_residual(
            x: FloatTensor<Self>,
            w: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            residual: FloatTensor<Self>,
            half: bool,
        ) -> FloatTensor<Self>;
    }

    impl LinearOps for CubeBackend {
        fn fused_linear(
            x: FloatTensor<Self>,
            w: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            code: u32,
            half: bool,
        ) -> FloatTensor<Self> {
            let [b0, b1, m, _] = dims(&x);
            let bias = into_contiguous(bias);
            let out = empty(&x, [b0, b1, m, w.meta.shape()[3]]);
            product(&x, &w, half, Epilogue::Bias { code, bias: &bias }, &out);
            out
        }

        fn fused_linear_silu_gate(
            x: FloatTensor<Self>,
            w: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            half: bool,
        ) -> FloatTensor<Self> {
            let [b0, b1, m, _] = dims(&x);
            let bias = into_contiguous(bias);
            let out = empty(&x, [b0, b1, m, w.meta.shape()[3] / 2]);
            product(&x, &w, half, Epilogue::SiluGate { bias: &bias }, &out);
            out
        }

        fn fused_linear_residual(
            x: FloatTensor<Self>,
            w: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            residual: FloatTensor<Self>,
            half: bool,
        ) -> FloatTensor<Self> {
            let (bias, gamma, residual) = (into_contiguous(bias), into_contiguous(gamma), into_contiguous(residual));
            let [b0, b1, m, _] = dims(&x);
            let out = empty(&x, [b0, b1, m, w.meta.shape()[3]]);
            product(&x, &w, half, Epilogue::Residual { bias: &bias, gamma: &gamma, residual: &residual }, &out);
            out
        }
    }

    /// What follows the product, and its bias.
    #[allow(clippy::large_enum_variant, reason = "lives for one call; a box would cost more than it saves")]
    pub(super) enum After {
        Activation(Tensor<1>, Activation),
        SiluGate(Tensor<1>),
        Residual(Tensor<1>, Tensor<1>, Tensor<4>),
    }

    /// `x [1, 1, M, in]`, `weight [out, in]` to `[1, 1, M, columns]`.
    pub(super) fn run(x: Tensor<4>, weight: Tensor<2>, after: After, columns: usize) -> Tensor<4> {
        let m = x.dims()[2];
        let half = mode::precision_is_half();
        let (x, w) = (x.into_dispatch(), weight.transpose().unsqueeze::<4>().into_dispatch());
        let y = match after {
            After::Activation(bias, activation) => {
                Dispatch::fused_linear(x, w, bias.into_dispatch(), activation as u32, half)
            }
            After::SiluGate(bias) => Dispatch::fused_linear_silu_gate(x, w, bias.into_dispatch(), half),
            After::Residual(bias, gamma, residual) => {
                let (bias, gamma, residual) = (bias.into_dispatch(), gamma.into_dispatch(), residual.into_dispatch());
                Dispatch::fused_linear_residual(x, w, bias, gamma, residual, half)
            }
        };
        let y: Tensor<4> = Tensor::from_dispatch(y);
        debug_assert_eq!(y.dims(), [1, 1, m, columns]);
        y
    }
}
