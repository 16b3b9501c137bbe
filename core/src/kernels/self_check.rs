//! At start: each kernel against its reference on small random data, its gradients too. A wrong one is named and
//! switched off.
//!
//! Drivers do miscompile, and an invalid pipeline in a browser computes nonsense in silence. The reference runs on the
//! CPU, so that one broken driver cannot be wrong twice in the same way.
//!
//! Attention is compiled anew for each head dim, and its gradients at 128 take a driver longest of all: at the start the
//! smallest is checked, a model's own ([`heads`]) when it is there.

use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};
use lab_protocol::{KernelCheck, SelfCheck};

use super::mode::{self, Kernel};
use super::{
    adamw, attention, augment, bias_activation, ema, gather_tokens, layer_norm, layer_scale, linear, matmul,
    patch_embed, preprocess, silu_gate, sum_rows,
};
use crate::device::readback;
use crate::error::DeviceError;
use crate::image::Rgb8;
use crate::image::augment::{Adjust, CropPlan, Rect};
use crate::image::preprocess::Preprocess;

/// How far a check goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Attention at the smallest head dim; [`heads`] is to follow for the others that are used.
    Start,
    /// Attention at every head dim.
    Whole,
}

/// Compares every kernel with its reference, and switches off those that differ. Empty on a device without WGSL.
///
/// # Errors
///
/// [`DeviceError::Readback`] when the device gives nothing back at all.
pub async fn run(device: &Device, extent: Extent) -> Result<SelfCheck, DeviceError> {
    let mut report = SelfCheck::default();
    if !mode::takes_wgsl(device) {
        return Ok(report);
    }
    let head_dims = match extent {
        Extent::Start => &attention::HEAD_DIMS[..1],
        Extent::Whole => &attention::HEAD_DIMS[..],
    };
    // Where the device has 16-bit floats, weights of large models lie in them.
    let half = device.supports_dtype(DType::F16);
    let before = mode::kernels();
    mode::set_kernels(mode::Kernels::Wgsl);
    for kernel in Kernel::ALL.into_iter().filter(|&kernel| is_here(kernel)) {
        mode::replace(kernel, false);
        report.kernels.push(check(kernel, device, |device| compute(kernel, head_dims, half, device)).await?);
    }
    mode::set_kernels(before);
    Ok(report)
}

/// Whether the device has what a kernel is for.
pub fn is_here(kernel: Kernel) -> bool {
    kernel != Kernel::MatmulCooperative || mode::matrix_units()
}

/// Compares attention at some head dims with its reference, with its gradients where they are wanted, and switches it off
/// where it differs. Empty where its kernel computes none of them: on a device without WGSL, switched off, at head dims of
/// the reference's.
///
/// # Errors
///
/// As [`run`].
pub async fn heads(device: &Device, dims: &[usize], gradients: bool) -> Result<SelfCheck, DeviceError> {
    let dims: Vec<_> = dims.iter().copied().filter(|dim| attention::HEAD_DIMS.contains(dim)).collect();
    if dims.is_empty() || !mode::takes_wgsl(device) || !mode::runs(Kernel::Attention, device) {
        return Ok(SelfCheck::default());
    }
    let attend = |device: &Device| dims.iter().flat_map(|&dim| attend(dim, gradients, device)).collect();
    Ok(SelfCheck { kernels: vec![check(Kernel::Attention, device, attend).await?] })
}

/// f32 sums of some dozens of terms of size one differ by rounding in the sixth digit; ten times that is allowed.
const TOLERANCE: f32 = 2e-5;

/// Computes on the device and on the CPU, and switches the kernel off where the two differ.
async fn check(
    kernel: Kernel,
    device: &Device,
    on: impl Fn(&Device) -> Vec<Tensor<1>>,
) -> Result<KernelCheck, DeviceError> {
    let found = on(device);
    // The CPU has loops of its own for some kernels; its references are the judge here.
    mode::set_kernels(mode::Kernels::Reference);
    let expected = on(&Device::flex());
    mode::set_kernels(mode::Kernels::Wgsl);
    let mut max_error = 0.0f32;
    for (ours, theirs) in found.into_iter().zip(expected) {
        let (ours, theirs) = (readback(ours).await?, readback(theirs).await?);
        max_error = worse(max_error, difference(&ours, &theirs));
    }
    // A byte more or less after rounding, in units of the normalised pixel.
    let bytes = matches!(kernel, Kernel::Preprocess | Kernel::Augment);
    let tolerance = if bytes { 1.01 / 255.0 / 0.224 } else { TOLERANCE };
    // Written so that NaN fails.
    let passed = max_error <= tolerance;
    mode::replace(kernel, !passed);
    Ok(KernelCheck { name: kernel.name().to_owned(), max_error, tolerance, passed })
}

/// Numbers that 16 bits hold, in 16 bits where the kernels read them so; the twin has them in 32.
fn in_16_bits<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    let rounded = tensor.cast(DType::F16);
    if mode::takes_wgsl(device) { rounded } else { rounded.cast(DType::F32) }
}

/// Products on matrix units: operands as forward and backward passes have them, none a multiple of the tile, one sum that
/// is cut, and what follows a product. Of numbers that 16 bits hold, so that the twin may multiply in 32.
fn cooperative(device: &Device) -> Vec<Tensor<1>> {
    let held = |shape: [usize; 4], seed| random::<4>(shape, seed, device).cast(DType::F16).cast(DType::F32);
    let _half = mode::half_precision(mode::takes_wgsl(device));
    let (x, weight) = (held([1, 1, 300, 68], 1), held([1, 1, 140, 68], 2));
    let (many, grad) = (held([1, 1, 4100, 68], 3), held([1, 1, 4100, 140], 4));
    let products = [
        matmul::matmul(x.clone(), weight.clone().swap_dims(2, 3)) / 4.0,
        matmul::matmul(grad.clone(), weight.clone()) / 4.0,
        matmul::matmul(many.clone().swap_dims(2, 3), grad.clone()) / 32.0,
        // The same from what a forward pass kept in 16 bits.
        matmul::matmul(grad.swap_dims(2, 3), in_16_bits(many, device)) / 32.0,
        // Several matrices, as attention has them.
        matmul::matmul(held([3, 2, 70, 36], 5), held([3, 2, 52, 36], 6).swap_dims(2, 3)) / 4.0,
    ];
    let mut all: Vec<_> = products.into_iter().map(|product| product.flatten(0, 3)).collect();
    let (x, weight) = (x.reshape([1, 300, 68]), weight.reshape([140, 68]));
    let (bias, gamma) = (random::<1>([140], 7, device), random::<1>([140], 8, device));
    let residual = random::<3>([1, 300, 140], 9, device);
    all.push(flat(linear::linear(x.clone(), weight.clone(), bias.clone(), linear::Activation::Gelu)) / 4.0);
    all.push(flat(linear::linear_silu_gate(x.clone() / 4.0, weight.clone(), bias.clone())) / 4.0);
    all.push(flat(linear::linear_residual(x.clone(), weight.clone(), bias.clone(), gamma, residual)) / 4.0);
    // Weights that lie in 16 bits; the CPU has them in 32.
    all.push(flat(linear::linear(x, in_16_bits(weight, device), bias, linear::Activation::Identity)) / 4.0);
    all
}

/// What a kernel makes of small random data, by whatever is switched on; with operands in 16 bits too (`half`).
fn compute(kernel: Kernel, head_dims: &[usize], half: bool, device: &Device) -> Vec<Tensor<1>> {
    match kernel {
        Kernel::Matmul => {
            let device = device.clone().autodiff();
            let (a, b) = (leaf::<4>([2, 1, 19, 37], 1, &device), leaf::<4>([2, 1, 70, 37], 2, &device));
            let product = matmul::matmul(a.clone(), b.clone().swap_dims(2, 3));
            let mut all = with_gradients(product, |grads| vec![grads.of(&a), grads.of(&b)]);
            if half {
                // A weight's gradient from tokens that a forward pass kept in 16 bits.
                let device = device.clone().inner();
                let (grad, tokens) = (random::<4>([1, 1, 131, 70], 5, &device), random([1, 1, 131, 37], 6, &device));
                let product = matmul::matmul_f32(grad.swap_dims(2, 3), in_16_bits(tokens, &device)) / 4.0;
                all.push(product.flatten(0, 3));
            }
            if !mode::software_adapter() {
                // Large tiles and a sum that is cut, which a software adapter never takes; as numbers of size one.
                let (across, down) =
                    (random::<4>([1, 1, 8192, 130], 3, &device), random([1, 1, 8192, 130], 4, &device));
                let long = matmul::matmul(across.swap_dims(2, 3), down).inner() / 100.0;
                all.push(long.flatten(0, 3));
            }
            all
        }
        Kernel::MatmulCooperative => cooperative(device),
        Kernel::Linear => {
            let x = random::<3>([2, 9, 33], 1, device);
            let weight = random::<2>([46, 33], 2, device);
            let bias = random::<1>([46], 3, device);
            let residual = random::<3>([2, 9, 46], 4, device);
            let linear = |activation| linear::linear(x.clone(), weight.clone(), bias.clone(), activation);
            let mut all = vec![
                flat(linear(linear::Activation::Identity)),
                flat(linear(linear::Activation::Gelu)),
                flat(linear(linear::Activation::QuickGelu)),
                flat(linear(linear::Activation::GeluTanh)),
                flat(linear::linear_silu_gate(x.clone(), weight.clone(), bias.clone())),
                flat(linear::linear_residual(x.clone(), weight.clone(), bias.clone(), bias.clone(), residual)),
            ];
            if half {
                let rounded = in_16_bits(weight, device);
                all.push(flat(linear::linear(x, rounded, bias, linear::Activation::Identity)));
            }
            all
        }
        // As means, so that they are numbers of size one like the others.
        Kernel::SumRows => vec![sum_rows::sum_rows(random::<2>([131, 70], 1, device)) / 131.0],
        Kernel::BiasActivation => {
            let device = device.clone().autodiff();
            let kinds = [linear::Activation::Gelu, linear::Activation::QuickGelu, linear::Activation::GeluTanh];
            let after = |activation| {
                let (x, bias) = (leaf::<3>([2, 9, 46], 1, &device), leaf::<1>([46], 2, &device));
                let y = bias_activation::bias_activation(x.clone(), bias.clone(), activation);
                with_gradients(y, |grads| vec![grads.of(&x), grads.of(&bias)])
            };
            kinds.into_iter().flat_map(after).collect()
        }
        Kernel::SiluGate => {
            let device = device.clone().autodiff();
            let (x, bias) = (leaf::<3>([2, 9, 46], 1, &device), leaf::<1>([46], 2, &device));
            let y = silu_gate::silu_gate(x.clone(), bias.clone());
            with_gradients(y, |grads| vec![grads.of(&x), grads.of(&bias)])
        }
        Kernel::LayerNorm => {
            let device = device.clone().autodiff();
            let x = leaf::<3>([2, 3, 70], 1, &device);
            let (gamma, beta) = (leaf::<1>([70], 2, &device), leaf::<1>([70], 3, &device));
            let y = layer_norm::layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-6);
            with_gradients(y, |grads| vec![grads.of(&x), grads.of(&gamma), grads.of(&beta)])
        }
        Kernel::LayerScale => {
            let device = device.clone().autodiff();
            let (x, gamma) = (leaf::<3>([2, 3, 70], 1, &device), leaf::<1>([70], 2, &device));
            let y = layer_scale::layer_scale(x.clone(), gamma.clone());
            with_gradients(y, |grads| vec![grads.of(&x), grads.of(&gamma)])
        }
        Kernel::Attention => head_dims.iter().flat_map(|&dim| attend(dim, true, device)).collect(),
        Kernel::PatchEmbed => {
            let device = device.clone().autodiff();
            let x = random::<4>([1, 3, 15, 23], 1, &device);
            let (weight, bias) = (leaf::<4>([10, 3, 7, 7], 2, &device), leaf::<1>([10], 3, &device));
            let y = patch_embed::patch_embed(x, weight.clone() * 0.2, bias.clone());
            with_gradients(y, |grads| vec![grads.of(&weight), grads.of(&bias)])
        }
        Kernel::GatherTokens => {
            let ids = TensorData::new(vec![4, 0, 3, 2, 2, 1], [2, 3]);
            let ids = Tensor::<2, Int>::from_data(ids, device);
            let x = random::<3>([2, 5, 7], 1, device);
            let picked = gather_tokens::gather_tokens(x, ids.clone());
            // Each is the other's gradient.
            vec![flat(picked.clone()), flat(gather_tokens::scatter_tokens(picked, ids, 5))]
        }
        Kernel::Preprocess => {
            let bytes = (0..37 * 29 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let image = Rgb8::new(37, 29, bytes).expect("37 x 29 x 3 bytes");
            let pixels = preprocess::preprocess(&image, &Preprocess::short_side_crop(16, 14), device);
            vec![pixels.expect("the recipe fits").flatten(0, 3)]
        }
        Kernel::AdamW => {
            let step = adamw::Step {
                lr: 0.01,
                weight_decay: 0.1,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                step: 3,
                grad_scale: 0.5,
            };
            let tensor = |seed| random::<1>([131], seed, device);
            let v = tensor(4) * 0.5 + 0.5;
            let (param, m, v) = adamw::adamw(tensor(1), tensor(2), tensor(3), v, step);
            // As a mean, so that it is a number of size one like the others.
            vec![param, m, v, adamw::sum_of_squares(tensor(2)) / 131.0]
        }
        Kernel::Ema => vec![ema::ema(random::<1>([131], 1, device), random::<1>([131], 2, device), 0.99)],
        Kernel::Augment => {
            let bytes = (0..37 * 29 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let images = [Rgb8::new(37, 29, bytes).expect("37 x 29 x 3 bytes")];
            let plan = |jitter: Vec<Adjust>, rest: bool| CropPlan {
                rect: Rect { x: 3, y: 1, width: 31, height: 27 },
                size: 14,
                hflip: rest,
                jitter,
                grayscale: false,
                blur: rest.then_some(1.0),
                solarize: rest,
            };
            let jitter =
                vec![Adjust::Contrast(0.75), Adjust::Hue(0.07), Adjust::Saturation(1.125), Adjust::Brightness(0.875)];
            let crops = [(0, plan(jitter, false)), (0, plan(vec![], true))];
            vec![augment::augment(&images, &crops, [0.5; 3], [0.224; 3], device).flatten(0, 3)]
        }
    }
}

/// Attention of one head dim: packed, whole, with gradients where wanted, and the probabilities of some queries.
fn attend(dim: usize, gradients: bool, device: &Device) -> Vec<Tensor<1>> {
    const TOKENS: usize = 13;
    let qkv = random::<3>([1, TOKENS, 2 * 3 * dim], dim as u32, device);
    let segments = attention::Segments::new(&[5, TOKENS - 5], device);
    let packed = attention::attention(qkv.clone(), 2, Some(&segments));
    let probs = attention::attention_probs(qkv.clone(), 2, 3..7, None);
    if !gradients {
        return vec![flat(packed), probs.flatten(0, 3), flat(attention::attention(qkv, 2, None))];
    }
    let learning = leaf::<3>([1, TOKENS, 2 * 3 * dim], dim as u32, &device.clone().autodiff());
    let whole = attention::attention(learning.clone(), 2, None);
    let whole = with_gradients(whole, |grads| vec![grads.of(&learning)]);
    [vec![flat(packed), probs.flatten(0, 3)], whole].concat()
}

/// The largest difference, as a share of the largest number expected where that is above one: longer sums round more.
/// NaN where there is one, and where the lengths differ.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    if found.len() != expected.len() {
        return f32::NAN;
    }
    let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
    found.iter().zip(expected).fold(0.0, |error, (a, b)| worse(error, (a - b).abs() / largest))
}

/// The larger, and NaN before any number.
fn worse(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

fn flat(tensor: Tensor<3>) -> Tensor<1> {
    tensor.flatten(0, 2)
}

/// Gradients of one backward pass.
struct Grads(Gradients);

impl Grads {
    fn of<const D: usize>(&self, leaf: &Tensor<D>) -> Tensor<1> {
        let gradient = leaf.grad(&self.0).expect("what was asked to keep its gradient has one");
        gradient.reshape([-1])
    }
}

/// What a kernel gave, and the gradients of its weighted sum.
fn with_gradients<const D: usize>(y: Tensor<D>, of: impl FnOnce(Grads) -> Vec<Tensor<1>>) -> Vec<Tensor<1>> {
    let weights = random::<D>(y.dims(), 9, &y.device());
    let value = y.clone().inner().reshape([-1]);
    let mut all = of(Grads((y * weights).sum().backward()));
    all.push(value);
    all
}

/// Random numbers that want a gradient.
fn leaf<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    random(shape, seed, device).require_grad()
}

/// Numbers between -1 and 1 from a seed, the same on every device.
fn random<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_never_lost() {
        assert_eq!(difference(&[1.0, -2.5, 0.0], &[1.0, -2.0, 0.0]), 0.25);
        assert_eq!(difference(&[0.5], &[0.25]), 0.25);
        assert!(difference(&[1.0, f32::NAN, 9.0], &[1.0, 2.0, 3.0]).is_nan());
        assert!(difference(&[f32::NAN, 1.0], &[1.0, 9.0]).is_nan());
        assert!(difference(&[1.0], &[1.0, 2.0]).is_nan());
        // An infinite one fails too, whatever the tolerance.
        assert_eq!(difference(&[f32::INFINITY], &[1.0]), f32::INFINITY);
    }
}
