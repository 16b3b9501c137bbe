//! Each kernel on the GPU against its reference on the CPU device: values and gradients, awkward sizes.

mod adamw;
mod attention;
mod augment;
mod ema;
mod gather_tokens;
mod layer_norm;
mod linear;
mod matmul;
mod patch_embed;
mod preprocess;
mod self_check;

use burn::tensor::{Device, Tensor};
use lab_tests::{assert_close, cpu, gpu, values};

/// Runs the same program on the GPU and on the CPU device and compares everything it returns.
#[track_caller]
fn on_both(what: &str, tolerance: f32, program: impl Fn(&Device) -> Vec<Tensor<1>>) {
    let gpu = gpu();
    let found = program(&gpu.device);
    let expected = program(&cpu());
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.into_iter().zip(expected).enumerate() {
        let (found, expected) = (values(found), values(expected));
        // Sums grow with their length, and so does their rounding: a share of the largest value is allowed.
        let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
        assert_close(&format!("{what}, output {index}"), &found, &expected, tolerance * largest, tolerance);
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
