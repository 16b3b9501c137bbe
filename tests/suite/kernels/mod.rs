//! Each kernel on the GPU, and the CPU's loops, against the reference on the CPU device: values and gradients, awkward
//! sizes.

mod adamw;
mod attention;
mod augment;
mod bias_activation;
mod ema;
mod gather_tokens;
mod kept;
mod layer_norm;
mod layer_scale;
mod linear;
mod matmul;
mod patch_embed;
mod preprocess;
mod self_check;
mod silu_gate;
mod sum_rows;

use burn::tensor::{Device, Tensor};
use lab_core::kernels::mode::{self, Kernels};
use lab_tests::{assert_close, cpu, gpu, values};

/// Runs the same program on the GPU, on the CPU with its loops and on the CPU in tensor operations, and compares
/// everything that the first two return with what the last returns.
#[track_caller]
fn on_both(what: &str, tolerance: f32, program: impl Fn(&Device) -> Vec<Tensor<1>>) {
    let gpu = gpu();
    let numbers = |tensors: Vec<Tensor<1>>| tensors.into_iter().map(values).collect::<Vec<_>>();
    let kernels = numbers(program(&gpu.device));
    let loops = numbers(program(&cpu()));
    mode::set_kernels(Kernels::Reference);
    let expected = numbers(program(&cpu()));
    mode::set_kernels(Kernels::Wgsl);
    for (who, found) in [("GPU", kernels), ("loops", loops)] {
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
            // Sums grow with their length, and so does their rounding: a share of the largest value is allowed.
            let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
            assert_close(&format!("{what}, {who}, output {index}"), found, expected, tolerance * largest, tolerance);
        }
    }
}

/// A tensor that wants a gradient.
fn leaf<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.require_grad()
}

/// The gradient of the sum of `y` weighted by `w`, for each input.
fn gradients<const D: usize>(y: Tensor<D>, w: Tensor<D>) -> burn::tensor::Gradients {
    (y * w).sum().backward()
}
