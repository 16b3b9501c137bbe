//! What a transformer block keeps for its backward pass, in 32 bits and in 16: how much, and what comes of it.

use burn::tensor::{Device, Tensor};
use lab_core::kernels::attention::attention;
use lab_core::kernels::layer_norm::layer_norm;
use lab_core::kernels::layer_scale::layer_scale;
use lab_core::kernels::linear::{Activation, linear, linear_silu_gate};
use lab_core::kernels::mode;
use lab_tests::{assert_close, cpu, gpu_with_f16, random, values};

use super::{gradients, leaf};

const BATCH: usize = 4;
const TOKENS: usize = 64;
const DIM: usize = 128;
const HEADS: usize = 4;

/// What lies between the two layers of a block's MLP, `4 DIM` numbers wide before it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Between {
    Gelu,
    /// SwiGLU: half as many numbers after it.
    Gate,
}

/// What a block is made of.
struct Parts {
    between: Between,
    x: Tensor<3>,
    norms: [Tensor<1>; 2],
    /// `qkv`, `proj`, `fc1`, `fc2`.
    weights: [Tensor<2>; 4],
    biases: [Tensor<1>; 4],
    scales: [Tensor<1>; 2],
}

impl Parts {
    fn new(between: Between, device: &Device) -> Self {
        let vector = |size: usize, seed, middle: f32| leaf(random::<1>([size], seed, device) * 0.1 + middle);
        let hidden = if between == Between::Gate { 2 * DIM } else { 4 * DIM };
        let sizes = [(3 * DIM, DIM), (DIM, DIM), (4 * DIM, DIM), (DIM, hidden)];
        let weight = |(out, inputs): (usize, usize)| {
            leaf(random::<2>([out, inputs], (out + 2 * inputs) as u64, device) * (inputs as f32).powf(-0.5))
        };
        Self {
            between,
            x: leaf(random([BATCH, TOKENS, DIM], 1, device)),
            norms: [vector(DIM, 2, 1.0), vector(DIM, 3, 1.0)],
            weights: sizes.map(weight),
            biases: sizes.map(|(out, _)| vector(out, out as u64 + 4, 0.0)),
            scales: [vector(DIM, 5, 0.5), vector(DIM, 6, 0.5)],
        }
    }

    /// Pre-norm attention and MLP with LayerScale, as a training step has them.
    fn forward(&self) -> Tensor<3> {
        let norm = |x: &Tensor<3>, index: usize| {
            let gamma = self.norms[index].clone();
            layer_norm(x.clone(), gamma.clone(), gamma - 1.0, 1e-6)
        };
        let layer = |x, index: usize, activation| {
            linear(x, self.weights[index].clone(), self.biases[index].clone(), activation)
        };
        let attended = attention(layer(norm(&self.x, 0), 0, Activation::Identity), HEADS, None);
        let x = self.x.clone() + layer_scale(layer(attended, 1, Activation::Identity), self.scales[0].clone());
        let hidden = match self.between {
            Between::Gelu => layer(norm(&x, 1), 2, Activation::Gelu),
            Between::Gate => linear_silu_gate(norm(&x, 1), self.weights[2].clone(), self.biases[2].clone()),
        };
        x + layer_scale(layer(hidden, 3, Activation::Identity), self.scales[1].clone())
    }
}

/// The block's output, and the gradients of everything that goes into it.
fn values_and_gradients(between: Between, device: &Device, half: bool) -> (Vec<f32>, Vec<(String, Vec<f32>)>) {
    let parts = Parts::new(between, &device.clone().autodiff());
    let _half = mode::half_precision(half);
    let y = parts.forward();
    let value = values(y.clone().inner());
    let weights = random(y.dims(), 9, &y.device());
    let grads = gradients(y, weights);
    let mut all = vec![("x".to_owned(), values(parts.x.grad(&grads).expect("x")))];
    for (index, weight) in parts.weights.iter().enumerate() {
        all.push((format!("weight {index}"), values(weight.grad(&grads).expect("a weight"))));
    }
    for (name, vectors) in [("norm", &parts.norms[..]), ("bias", &parts.biases), ("scale", &parts.scales)] {
        for (index, vector) in vectors.iter().enumerate() {
            all.push((format!("{name} {index}"), values(vector.grad(&grads).expect("a vector"))));
        }
    }
    (value, all)
}

#[test]
fn gradients_from_what_was_kept_in_sixteen_bits() {
    let Some(gpu) = gpu_with_f16() else { return };
    for (between, device) in
        [Between::Gelu, Between::Gate].into_iter().flat_map(|b| [(b, gpu.device.clone()), (b, cpu())])
    {
        let (expected, exact) = values_and_gradients(between, &device, false);
        let (found, rounded) = values_and_gradients(between, &device, true);
        let computes_in_32 = mode::takes_wgsl(&device) && !mode::matrix_units();
        if computes_in_32 {
            assert_eq!(found, expected, "what goes forward is not rounded");
        }
        // What is kept is rounded to 11 bits, 5e-4 of each number at most; sums of many such are nearer than one. Where
        // products are rounded as well, twice that.
        let tolerance = if computes_in_32 { 5e-4 } else { 2e-3 };
        for ((name, found), (_, expected)) in rounded.iter().zip(&exact) {
            let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            assert_close(&format!("{between:?}, {name}"), found, expected, tolerance * largest, 0.0);
        }
        assert_ne!(rounded[1], exact[1], "a weight's gradient comes from what was rounded");
    }
}

#[test]
fn a_block_keeps_what_its_gradient_needs_and_half_of_that_in_sixteen_bits() {
    let Some(gpu) = gpu_with_f16() else { return };
    let in_use = || {
        gpu.device.sync().expect("a device that answers");
        gpu.device.memory_pool_usage().expect("a pool").bytes_in_use as f64
    };
    let kept = |between, half| {
        let parts = Parts::new(between, &gpu.device.clone().autodiff());
        // The first pass makes what stays: pipelines, parameters of launches.
        drop(parts.forward());
        let before = in_use();
        let _half = mode::half_precision(half);
        let y = parts.forward();
        let kept = in_use() - before;
        drop(y);
        kept / (BATCH * TOKENS * DIM) as f64
    };
    // In numbers a token and dimension: both norms' outputs and the second's input (3), queries, keys and values (3),
    // attention (1), what LayerScale scales (2), what comes out (1), and the hidden layer before and after.
    for (between, hidden) in [(Between::Gelu, 8.0), (Between::Gate, 6.0)] {
        let expected = 10.0 + hidden;
        let floats = kept(between, false) / 4.0;
        assert!((expected..1.05 * expected).contains(&floats), "{between:?}: {floats} numbers, expected {expected}");
        // What enters the second norm and what comes out stay in 32 bits, attention's output is kept twice.
        let expected = 2.0 * 4.0 + (9.0 + hidden) * 2.0;
        let bytes = kept(between, true);
        assert!((expected..1.05 * expected).contains(&bytes), "{between:?}: {bytes} bytes, expected {expected}");
    }
}
