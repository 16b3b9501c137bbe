use burn::tensor::{DType, Device, Tensor};
use lab_core::kernels::linear::{Activation, linear, linear_residual, linear_silu_gate};
use lab_core::kernels::mode;
use lab_tests::{assert_close, cpu, gpu_with_f16, random, values};

use super::{gradients, leaf, on_both};

// As for the product; the kernel's erf adds 1.5e-7 (Abramowitz and Stegun 7.1.26).
const TOLERANCE: f32 = 1e-5;

const ALL: [Activation; 4] = [Activation::Identity, Activation::Gelu, Activation::QuickGelu, Activation::GeluTanh];

fn operands(device: &Device, rows: usize, inputs: usize, outputs: usize) -> (Tensor<3>, Tensor<2>, Tensor<1>) {
    (random([2, rows, inputs], 1, device), random([outputs, inputs], 2, device), random([outputs], 3, device))
}

#[test]
fn every_epilogue_at_awkward_sizes() {
    // The last fills a device with large tiles.
    for software in [false, true] {
        mode::set_software_adapter(software);
        for (rows, inputs, outputs) in
            [(1, 1, 2), (3, 5, 6), (33, 64, 130), (7, 100, 66), (70, 31, 10), (500, 31, 2050)]
        {
            on_both(&format!("{rows} x {inputs} x {outputs}, software {software}"), TOLERANCE, |device| {
                let (x, weight, bias) = operands(device, rows, inputs, outputs);
                let gamma = random([outputs], 4, device);
                let residual = random([2, rows, outputs], 5, device);
                let mut out: Vec<_> =
                    ALL.iter().map(|&a| linear(x.clone(), weight.clone(), bias.clone(), a).flatten(0, 2)).collect();
                out.push(linear_silu_gate(x.clone(), weight.clone(), bias.clone()).flatten(0, 2));
                out.push(linear_residual(x, weight, bias, gamma, residual).flatten(0, 2));
                out
            });
        }
    }
    mode::set_software_adapter(true);
}

#[test]
fn half_precision_weights() {
    let Some(gpu) = gpu_with_f16() else { return };
    let (x, weight, bias) = operands(&cpu(), 5, 37, 11);
    // The reference sees the rounded weights, so only the sums may differ.
    let rounded = weight.clone().cast(DType::F16).cast(DType::F32);
    let expected = values(linear(x, rounded, bias, Activation::Gelu));
    for software in [false, true] {
        mode::set_software_adapter(software);
        let (x, weight, bias) = operands(&gpu.device, 5, 37, 11);
        let found = values(linear(x, weight.cast(DType::F16), bias, Activation::Gelu));
        assert_close("f16 weights", &found, &expected, TOLERANCE, TOLERANCE);
    }
    mode::set_software_adapter(true);
}

#[test]
fn gradients_through_every_epilogue() {
    on_both("gradients", TOLERANCE, |device| {
        let device = device.clone().autodiff();
        let mut out = Vec::new();
        // The four activations, the gate, the residual.
        let plain = ALL.into_iter().chain([Activation::Identity; 2]);
        for (case, activation) in plain.enumerate() {
            let (x, weight, bias) = operands(&device, 9, 14, 10);
            let (x, weight, bias) = (leaf(x), leaf(weight), leaf(bias));
            let gamma = leaf(random([10], 4, &device));
            let residual = leaf(random([2, 9, 10], 5, &device));
            let (x2, weight2, bias2) = (x.clone(), weight.clone(), bias.clone());
            let y = match case {
                4 => linear_silu_gate(x2, weight2, bias2),
                5 => linear_residual(x2, weight2, bias2, gamma.clone(), residual.clone()),
                _ => linear(x2, weight2, bias2, activation),
            };
            let w = random(y.dims(), 6, &device);
            let grads = gradients(y, w);
            out.push(x.grad(&grads).expect("x").flatten(0, 2));
            out.push(weight.grad(&grads).expect("weight").flatten(0, 1));
            out.push(bias.grad(&grads).expect("bias"));
            if case == 5 {
                out.push(gamma.grad(&grads).expect("gamma"));
                out.push(residual.grad(&grads).expect("residual").flatten(0, 2));
            }
        }
        out
    });
}
