//! What a GPU makes of each kernel at the sizes of real models: operations and bytes in a second.
//!
//! ```sh
//! cargo bench --package lab-core --bench kernels -- --device gpu:0
//! ```
//!
//! A line is the median of several batches of launches, each ended by waiting for the device; beside it the same in
//! burn's own operations (`reference`). On a software adapter the sizes take minutes.

#![allow(clippy::disallowed_types, reason = "it runs natively, where there is a clock")]

use std::error::Error;
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use lab_core::device;
use lab_core::kernels::mode::{self, Kernels};
use lab_core::kernels::{adamw, attention, bias_activation, layer_norm, linear, matmul, silu_gate, sum_rows};

/// Batches that are timed, after one that is not.
const TIMES: usize = 5;
/// What a batch should take at least, in seconds.
const LONG_ENOUGH: f64 = 0.02;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let chosen = arguments.iter().position(|word| word == "--device").and_then(|at| arguments.get(at + 1));
    let open = pollster::block_on(device::open(chosen.map_or("auto", String::as_str)))?;
    println!("{}", open.info.device);
    println!("{:<44} {:>12} {:>14} {:>12} {:>8}", "", "kernel", "", "reference", "gain");
    let bench = Bench { device: open.device };
    bench.products();
    bench.blocks();
    bench.rows();
    Ok(())
}

/// A line of two times in seconds, with the first one's rate.
fn print(what: &str, work: f64, unit: &str, ours: f64, theirs: f64) {
    let (ours_ms, theirs_ms) = (ours * 1e3, theirs * 1e3);
    let rate = work / ours / 1e12;
    println!("{what:<44} {ours_ms:>9.3} ms {rate:>7.2} {unit} {theirs_ms:>9.3} ms {:>8.2}", theirs / ours);
}

struct Bench {
    device: Device,
}

impl Bench {
    fn random<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &self.device)
    }

    /// Seconds of one run.
    fn seconds(&self, run: &dyn Fn()) -> f64 {
        let wait = || self.device.sync().expect("the device goes on");
        let batch = |count: usize| {
            let start = Instant::now();
            (0..count).for_each(|_| run());
            wait();
            start.elapsed().as_secs_f64()
        };
        batch(1);
        let count = (LONG_ENOUGH / batch(2) * 2.0).ceil().clamp(1.0, 1000.0) as usize;
        let mut times: Vec<f64> = (0..TIMES).map(|_| batch(count) / count as f64).collect();
        times.sort_by(f64::total_cmp);
        times[TIMES / 2]
    }

    /// A line: the kernel and its reference, in `unit`s (10^12 operations or bytes) a second.
    fn line(&self, what: &str, work: f64, unit: &str, run: &dyn Fn()) {
        mode::set_kernels(Kernels::Wgsl);
        let ours = self.seconds(run);
        mode::set_kernels(Kernels::Reference);
        let theirs = self.seconds(run);
        mode::set_kernels(Kernels::Wgsl);
        print(what, work, unit, ours, theirs);
    }

    /// A line: products of operands rounded to 16 bits on the device's matrix units, beside our own in 32 bits. Nothing where
    /// the device has none.
    fn half_line(&self, what: &str, work: f64, run: &dyn Fn()) {
        if !mode::has_matrix_units(&self.device) {
            return;
        }
        let whole = self.seconds(run);
        let half = {
            let _half = mode::half_precision(true);
            self.seconds(run)
        };
        print(&format!("{what}, f16"), work, "TFLOP/s", half, whole);
    }

    /// Products: forward, and the gradients of inputs and weights, for tokens by widths.
    fn products(&self) {
        // CIFAR at patch 4 (5 M parameters); ViT-S, ViT-B, ViT-L at 224; a head with many prototypes; one image.
        let sizes = [
            (33_280, 256, 1024),
            (33_280, 1024, 256),
            (16_448, 384, 1536),
            (16_448, 768, 3072),
            (8_224, 1024, 4096),
            (4096, 256, 65_536),
            (257, 768, 3072),
        ];
        for (m, k, n) in sizes {
            let x = self.random::<4>([1, 1, m, k]);
            let weight = self.random::<4>([1, 1, n, k]);
            let grad = self.random::<4>([1, 1, m, n]);
            let operations = 2.0 * (m * k * n) as f64;
            let name = |what: &str| format!("{what} {m} x {k} x {n}");
            let forward = || drop(matmul::matmul(x.clone(), weight.clone().swap_dims(2, 3)));
            let of_inputs = || drop(matmul::matmul(grad.clone(), weight.clone()));
            let of_weights = || drop(matmul::matmul(x.clone().swap_dims(2, 3), grad.clone()));
            let runs: [(&str, &dyn Fn()); 3] = [
                ("product", &forward),
                ("  its inputs' gradient", &of_inputs),
                ("  its weights' gradient", &of_weights),
            ];
            for (what, run) in runs {
                self.line(&name(what), operations, "TFLOP/s", run);
                self.half_line(&name(what), operations, run);
            }
        }
        let (m, k, n) = (16_448, 768, 3072);
        let (x, weight, bias) = (self.random::<3>([1, m, k]), self.random::<2>([n, k]), self.random::<1>([n]));
        let run = || drop(linear::linear(x.clone(), weight.clone(), bias.clone(), linear::Activation::Gelu));
        let (name, operations) = (format!("linear with GELU {m} x {k} x {n}"), 2.0 * (m * k * n) as f64);
        self.line(&name, operations, "TFLOP/s", &run);
        self.half_line(&name, operations, &run);
    }

    /// Attention, forward and with its gradient.
    fn blocks(&self) {
        for (b, n, heads, dim) in [(512, 65, 4, 64), (512, 17, 4, 64), (64, 257, 12, 64), (4, 1370, 16, 64)] {
            let operations = 4.0 * (b * heads * n * n * dim) as f64;
            let qkv = self.random::<3>([b, n, 3 * heads * dim]);
            let name = format!("attention {b} x {n}, {heads} heads of {dim}");
            self.line(&name, operations, "TFLOP/s", &|| drop(attention::attention(qkv.clone(), heads, None)));
            let learning = Tensor::from_inner(qkv.clone()).require_grad();
            let run = || drop(attention::attention(learning.clone(), heads, None).sum().backward());
            self.line("  with its gradient", 3.5 * operations, "TFLOP/s", &run);
            self.half_line("  with its gradient", 3.5 * operations, &run);
        }
    }

    /// What only moves numbers.
    fn rows(&self) {
        let (rows, dim) = (33_280, 1024);
        let bytes = (4 * rows * dim) as f64;
        let x = self.random::<3>([1, rows, dim]);
        let (gamma, beta) = (self.random::<1>([dim]), self.random::<1>([dim]));
        self.line("layer_norm 33280 x 1024", 2.0 * bytes, "TB/s   ", &|| {
            drop(layer_norm::layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-6));
        });
        self.line("bias and GELU 33280 x 1024", 2.0 * bytes, "TB/s   ", &|| {
            drop(bias_activation::bias_activation(x.clone(), beta.clone(), linear::Activation::Gelu));
        });
        let (wide, wide_bias) = (self.random::<3>([1, rows, 2 * dim]), self.random::<1>([2 * dim]));
        self.line("bias and SwiGLU's gate 33280 x 2048", 3.0 * bytes, "TB/s   ", &|| {
            drop(silu_gate::silu_gate(wide.clone(), wide_bias.clone()));
        });
        let flat = x.clone().reshape([rows, dim]);
        self.line("sum_rows 33280 x 1024", bytes, "TB/s   ", &|| drop(sum_rows::sum_rows(flat.clone())));
        let param = self.random::<2>([1024, 4096]);
        let step =
            adamw::Step { lr: 1e-3, weight_decay: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, step: 3, grad_scale: 1.0 };
        let positive = param.clone() * param.clone();
        self.line("adamw 1024 x 4096", 7.0 * 4.0 * (1024 * 4096) as f64, "TB/s   ", &|| {
            drop(adamw::adamw(param.clone(), param.clone(), param.clone(), positive.clone(), step));
        });
        let tiny = self.random::<1>([64]);
        self.line("a launch (ema of 64 numbers)", 0.0, "       ", &|| {
            drop(lab_core::kernels::ema::ema(tiny.clone(), tiny.clone(), 0.9));
        });
    }
}
