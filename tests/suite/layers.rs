//! Single operations against PyTorch, values and gradients: `golden/layers.safetensors`.

use burn::tensor::{Device, Tensor, TensorData};
use lab_core::formats::Checkpoint;
use lab_core::kernels::attention::attention;
use lab_core::kernels::bias_activation::{Activation, bias_activation};
use lab_core::kernels::layer_norm::layer_norm;
use lab_core::kernels::patch_embed::patch_embed;
use lab_core::kernels::silu_gate::silu_gate;
use lab_core::layers::pos_embed::{Interpolation, interpolate, sin_cos};
use lab_tests::{assert_close, cpu, golden, golden_tensor, gpu, values};

// Against PyTorch in f32 on another machine: rounding of sums of up to some hundred terms of size one.
const ATOL: f32 = 2e-5;
const RTOL: f32 = 2e-5;

fn on_each_device(check: impl Fn(&Device, &Checkpoint)) {
    let stored = golden("layers.safetensors");
    check(&cpu(), &stored);
    check(&gpu().device, &stored);
}

fn tensor<const D: usize>(stored: &Checkpoint, name: &str, device: &Device) -> Tensor<D> {
    let (shape, values) = golden_tensor(stored, name);
    let shape: [usize; D] = shape.try_into().unwrap_or_else(|shape| panic!("{name}: {shape:?}"));
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[track_caller]
fn same<const D: usize>(stored: &Checkpoint, name: &str, found: Tensor<D>) {
    assert_close(name, &values(found), &golden_tensor(stored, name).1, ATOL, RTOL);
}

#[test]
fn activations() {
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        for (name, activation) in
            [("gelu", Activation::Gelu), ("gelu_tanh", Activation::GeluTanh), ("quick_gelu", Activation::QuickGelu)]
        {
            let (_, x) = golden_tensor(stored, &format!("{name}.x"));
            let count = x.len();
            let x = Tensor::<3>::from_data(TensorData::new(x, [1, 1, count]), &device).require_grad();
            let (_, grad_out) = golden_tensor(stored, &format!("{name}.grad_out"));
            let y = bias_activation(x.clone(), Tensor::zeros([count], &device), activation);
            same(stored, &format!("{name}.y"), y.clone());
            let grads = (y * Tensor::from_data(TensorData::new(grad_out, [1, 1, count]), &device)).sum().backward();
            same(stored, &format!("{name}.grad_x"), x.grad(&grads).expect("tracked"));
        }
    });
}

#[test]
fn silu_gates() {
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        let (shape, x) = golden_tensor(stored, "silu_gate.x");
        let width = *shape.last().expect("not a scalar");
        let rows = x.len() / width;
        let x = Tensor::<3>::from_data(TensorData::new(x, [1, rows, width]), &device).require_grad();
        let y = silu_gate(x.clone(), Tensor::zeros([width], &device));
        same(stored, "silu_gate.y", y.clone());
        let (_, grad_out) = golden_tensor(stored, "silu_gate.grad_out");
        let w = Tensor::from_data(TensorData::new(grad_out, [1, rows, width / 2]), &device);
        let grads = (y * w).sum().backward();
        same(stored, "silu_gate.grad_x", x.grad(&grads).expect("tracked"));
    });
}

#[test]
fn layer_norms() {
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        for (name, eps) in
            [("layer_norm.5", 1e-6), ("layer_norm.80", 1e-6), ("layer_norm.300", 1e-6), ("layer_norm.5.eps1e-5", 1e-5)]
        {
            let (shape, x) = golden_tensor(stored, &format!("{name}.x"));
            let dim = *shape.last().expect("not a scalar");
            let rows = x.len() / dim;
            let x = Tensor::<3>::from_data(TensorData::new(x, [1, rows, dim]), &device).require_grad();
            let weight = tensor::<1>(stored, &format!("{name}.gamma"), &device).require_grad();
            let bias = tensor::<1>(stored, &format!("{name}.beta"), &device).require_grad();
            let y = layer_norm(x.clone(), weight.clone(), bias.clone(), eps);
            // A row around 300 with a spread of one loses two digits before the norm begins, in PyTorch as here.
            let check = |what: &str, found: Vec<f32>| {
                let name = format!("{name}.{what}");
                assert_close(&name, &found, &golden_tensor(stored, &name).1, 5e-4, 5e-4);
            };
            check("y", values(y.clone()));
            let (_, grad_out) = golden_tensor(stored, &format!("{name}.grad_out"));
            let w = Tensor::from_data(TensorData::new(grad_out, [1, rows, dim]), &device);
            let grads = (y * w).sum().backward();
            check("grad_gamma", values(weight.grad(&grads).expect("weight")));
            check("grad_beta", values(bias.grad(&grads).expect("bias")));
            // The row that is tiny has a gradient of 1 / sqrt(eps): compare relative to the largest.
            let found = values(x.grad(&grads).expect("x"));
            let expected = golden_tensor(stored, &format!("{name}.grad_x")).1;
            for (found, expected) in found.chunks(dim).zip(expected.chunks(dim)) {
                let largest = expected.iter().fold(1e-3f32, |largest, value| largest.max(value.abs()));
                assert_close(&format!("{name}.grad_x"), found, expected, 5e-4 * largest, 5e-4);
            }
        }
    });
}

#[test]
fn attention_with_gradients() {
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        let cases = [(16, 5), (32, 5), (64, 5), (80, 5), (96, 5), (128, 5), (32, 70), (64, 70), (80, 70)];
        for (head_dim, tokens) in cases {
            let name = format!("attention.d{head_dim}.n{tokens}");
            let part = |part: &str| tensor::<4>(stored, &format!("{name}.{part}"), &device).require_grad();
            let parts = [part("q"), part("k"), part("v")];
            let [b, heads, n, d] = parts[0].dims();
            assert_eq!((n, d), (tokens, head_dim));
            let flat = |x: Tensor<4>| x.swap_dims(1, 2).reshape([b, n, heads * d]);
            let qkv = Tensor::cat(parts.iter().map(|part| flat(part.clone())).collect(), 2);
            let y = attention(qkv, heads, None).reshape([b, n, heads, d]).swap_dims(1, 2);
            same(stored, &format!("{name}.y"), y.clone());
            let grads = (y * tensor::<4>(stored, &format!("{name}.grad_out"), &device)).sum().backward();
            for (part, letter) in parts.iter().zip(["q", "k", "v"]) {
                same(stored, &format!("{name}.grad_{letter}"), part.grad(&grads).expect(letter));
            }
        }
    });
}

#[test]
fn patch_embedding() {
    on_each_device(|device, stored| {
        let x = tensor::<4>(stored, "patch_embed.x", device);
        let weight = tensor::<4>(stored, "patch_embed.weight", device);
        let y = patch_embed(x, weight, tensor::<1>(stored, "patch_embed.bias", device));
        same(stored, "patch_embed.y", y);
    });
}

#[test]
fn position_embeddings_at_other_sizes() {
    let modes = [
        ("hf_size", Interpolation::Size),
        ("antialias", Interpolation::AntialiasedSize),
        ("scale_offset", Interpolation::ScaleOffset),
    ];
    on_each_device(|device, stored| {
        let device = device.clone().autodiff();
        let mut compared = 0;
        for (mode, interpolation) in modes {
            let start = format!("interpolate.{mode}.");
            let names = stored.names().filter(|name| name.starts_with(&start) && name.ends_with(".y"));
            for name in names.map(str::to_owned).collect::<Vec<_>>() {
                let case = name.trim_end_matches(".y");
                let (native, size) = case[start.len()..].split_once("to").expect("{M}to{rows}x{columns}");
                let (rows, columns) = size.split_once('x').expect("{rows}x{columns}");
                let [rows, columns] = [rows, columns].map(|side| side.parse::<usize>().expect("a number"));
                let pos = tensor::<3>(stored, &format!("interpolate.{native}.pos"), &device).require_grad();
                let [_, count, d] = pos.dims();
                let patches = interpolate(pos.clone().narrow(1, 1, count - 1), rows, columns, interpolation);
                let y = Tensor::cat(vec![pos.clone().narrow(1, 0, 1), patches], 1);
                assert_eq!(y.dims(), [1, 1 + rows * columns, d]);
                same(stored, &name, y.clone());
                if stored.entry(&format!("{case}.grad_out")).is_some() {
                    let grads = (y * tensor::<3>(stored, &format!("{case}.grad_out"), &device)).sum().backward();
                    let grad = stored
                        .names()
                        .find(|n| n.starts_with(case) && n.contains(".grad_") && !n.ends_with("grad_out"));
                    same(stored, grad.expect("a gradient"), pos.grad(&grads).expect("tracked"));
                }
                compared += 1;
            }
        }
        assert!(compared >= 6, "only {compared} cases of interpolation were found");
    });
}

#[test]
fn mae_positions() {
    let stored = golden("layers.safetensors");
    for dim in [16, 32] {
        let names: Vec<_> = stored.names().filter(|n| n.starts_with(&format!("sincos.4x4.d{dim}"))).collect();
        let (_, expected) = golden_tensor(&stored, names[0]);
        assert_close(names[0], &sin_cos(4, dim), &expected, 1e-6, 1e-6);
    }
}
