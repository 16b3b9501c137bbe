//! At start: each kernel against its reference on small random data. A wrong kernel is named and switched off.
//!
//! Drivers do miscompile, and an invalid pipeline in a browser computes nonsense in silence. The reference runs on the
//! CPU, so that one broken driver cannot be wrong twice in the same way.

use burn::tensor::{Device, Int, Tensor, TensorData};
use lab_protocol::{KernelCheck, SelfCheck};

use super::mode::{self, Kernel};
use super::{
    adamw, attention, augment, bias_activation, ema, gather_tokens, layer_norm, linear, matmul, patch_embed, preprocess,
};
use crate::device::readback;
use crate::error::DeviceError;
use crate::image::Rgb8;
use crate::image::augment::{Adjust, CropPlan, Rect};
use crate::image::preprocess::Preprocess;

/// Compares every kernel with its reference, and switches off those that differ. Empty on a device without WGSL.
///
/// # Errors
///
/// [`DeviceError::Readback`] when the device gives nothing back at all.
pub async fn run(device: &Device) -> Result<SelfCheck, DeviceError> {
    let mut report = SelfCheck::default();
    if !mode::takes_wgsl(device) {
        return Ok(report);
    }
    let before = mode::kernels();
    mode::set_kernels(mode::Kernels::Wgsl);
    for kernel in Kernel::ALL {
        mode::replace(kernel, false);
        let (max_error, tolerance) = check(kernel, device).await?;
        // Written so that NaN fails.
        let passed = max_error <= tolerance;
        mode::replace(kernel, !passed);
        report.kernels.push(KernelCheck { name: kernel.name().to_owned(), max_error, tolerance, passed });
    }
    mode::set_kernels(before);
    Ok(report)
}

/// f32 sums of some dozens of terms of size one differ by rounding in the sixth digit; ten times that is allowed.
const TOLERANCE: f32 = 2e-5;

async fn check(kernel: Kernel, device: &Device) -> Result<(f32, f32), DeviceError> {
    let host = Device::flex();
    let on = |device: &Device| -> Vec<Tensor<1>> {
        let flat = |tensor: Tensor<3>| tensor.flatten(0, 2);
        match kernel {
            Kernel::Matmul => {
                let a = random::<4>([2, 1, 19, 37], 1, device);
                let b = random::<4>([2, 1, 70, 37], 2, device).swap_dims(2, 3);
                vec![matmul::matmul(a, b).flatten(0, 3)]
            }
            Kernel::Linear => {
                let x = random::<3>([2, 9, 33], 1, device);
                let weight = random::<2>([46, 33], 2, device);
                let bias = random::<1>([46], 3, device);
                let residual = random::<3>([2, 9, 46], 4, device);
                let linear = |activation| linear::linear(x.clone(), weight.clone(), bias.clone(), activation);
                vec![
                    flat(linear(linear::Activation::Identity)),
                    flat(linear(linear::Activation::Gelu)),
                    flat(linear(linear::Activation::QuickGelu)),
                    flat(linear(linear::Activation::GeluTanh)),
                    flat(linear::linear_silu_gate(x.clone(), weight.clone(), bias.clone())),
                    flat(linear::linear_residual(x.clone(), weight.clone(), bias.clone(), bias.clone(), residual)),
                ]
            }
            Kernel::BiasActivation => {
                let x = random::<3>([2, 9, 46], 1, device);
                let bias = random::<1>([46], 2, device);
                let after = |activation| bias_activation::bias_activation(x.clone(), bias.clone(), activation);
                vec![
                    flat(after(linear::Activation::Gelu)),
                    flat(after(linear::Activation::QuickGelu)),
                    flat(after(linear::Activation::GeluTanh)),
                ]
            }
            Kernel::LayerNorm => {
                let gamma = random::<1>([70], 2, device);
                let beta = random::<1>([70], 3, device);
                vec![flat(layer_norm::layer_norm(random::<3>([2, 3, 70], 1, device), gamma, beta, 1e-6))]
            }
            Kernel::Attention => {
                let qkv = random::<3>([1, 21, 2 * 3 * 64], 1, device);
                let small = random::<3>([1, 21, 2 * 3 * 16], 2, device);
                let segments = attention::Segments::new(&[5, 16], device);
                let probs = attention::attention_probs(qkv.clone(), 2, 3..7, None);
                vec![
                    flat(attention::attention(qkv, 2, None)),
                    flat(attention::attention(small, 2, Some(&segments))),
                    probs.flatten(0, 3),
                ]
            }
            Kernel::PatchEmbed => {
                let x = random::<4>([1, 3, 15, 23], 1, device);
                let weight = random::<4>([10, 3, 7, 7], 2, device) * 0.2;
                vec![flat(patch_embed::patch_embed(x, weight, random::<1>([10], 3, device)))]
            }
            Kernel::GatherTokens => {
                let ids = TensorData::new(vec![4, 0, 3, 2, 2, 1], [2, 3]);
                let ids = Tensor::<2, Int>::from_data(ids, device);
                let x = random::<3>([2, 5, 7], 1, device);
                let picked = gather_tokens::gather_tokens(x, ids.clone());
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
                let jitter = vec![
                    Adjust::Contrast(0.75),
                    Adjust::Hue(0.07),
                    Adjust::Saturation(1.125),
                    Adjust::Brightness(0.875),
                ];
                let crops = [(0, plan(jitter, false)), (0, plan(vec![], true))];
                vec![augment::augment(&images, &crops, [0.5; 3], [0.224; 3], device).flatten(0, 3)]
            }
        }
    };
    let found = on(device);
    // The CPU has loops of its own for some kernels; its references are the judge here.
    mode::set_kernels(mode::Kernels::Reference);
    let expected = on(&host);
    mode::set_kernels(mode::Kernels::Wgsl);
    let mut error = 0.0f32;
    for (ours, theirs) in found.into_iter().zip(expected) {
        let (ours, theirs) = (readback(ours).await?, readback(theirs).await?);
        for (a, b) in ours.iter().zip(&theirs) {
            let difference = (a - b).abs();
            error = if difference > error || difference.is_nan() { difference } else { error };
        }
    }
    // A byte more or less after rounding, in units of the normalised pixel.
    let bytes = matches!(kernel, Kernel::Preprocess | Kernel::Augment);
    let tolerance = if bytes { 1.01 / 255.0 / 0.224 } else { TOLERANCE };
    Ok((error, tolerance))
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
