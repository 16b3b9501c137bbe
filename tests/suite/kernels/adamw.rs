use burn::tensor::Tensor;
use lab_core::kernels::adamw::{Step, adamw, sum_of_squares};
use lab_tests::{assert_close, cpu, gpu, random, values};

use super::on_both;

// A root and a quotient per element: a few units in the last digit.
const TOLERANCE: f32 = 1e-6;

/// One element, a workgroup less one, a workgroup and one, and more workgroups than one dimension holds.
const SIZES: [usize; 5] = [1, 63, 65, 1001, 65_535 * 64 + 77];

fn step(step: u64, lr: f64) -> Step {
    Step { lr, weight_decay: 0.04, beta1: 0.9, beta2: 0.999, eps: 1e-8, step, grad_scale: 0.25 }
}

#[test]
fn steps_of_every_awkward_size() {
    for size in SIZES {
        on_both(&format!("[{size}]"), TOLERANCE, |device| {
            let (mut param, mut m, mut v) =
                (random::<1>([size], 1, device), Tensor::zeros([size], device), Tensor::zeros([size], device));
            for index in 1..=2 {
                let grad = random([size], 10 + index, device);
                (param, m, v) = adamw(param, grad, m, v, step(index, 0.01 / index as f64));
            }
            // Second moments are small; scaled, they are compared as closely as the rest.
            vec![param, m, v * 1000.0]
        });
    }
}

#[test]
fn any_rank_and_any_strides() {
    on_both("a transpose", TOLERANCE, |device| {
        let transposed = random::<2>([7, 30], 1, device).transpose();
        let (grad, m) = (random::<2>([30, 7], 2, device), random::<2>([30, 7], 3, device));
        let v = random::<2>([30, 7], 4, device).abs();
        let (param, m, v) = adamw(transposed, grad, m, v, step(5, 0.1));
        assert_eq!(param.dims(), [30, 7]);
        vec![param.flatten(0, 1), m.flatten(0, 1), v.flatten(0, 1)]
    });
}

#[test]
fn the_gradient_is_scaled_before_anything_else() {
    let run = |device: &burn::tensor::Device, scale: f64| {
        let zeros = Tensor::<1>::zeros([9], device);
        let settings = Step { grad_scale: scale, ..step(1, 0.1) };
        let (_, m, v) = adamw(random([9], 1, device), random([9], 2, device), zeros.clone(), zeros, settings);
        (values(m), values(v))
    };
    let gpu = gpu();
    for device in [cpu(), gpu.device.clone()] {
        let ((m, v), (doubled_m, doubled_v)) = (run(&device, 1.0), run(&device, 2.0));
        let times = |values: &[f32], factor: f32| values.iter().map(|value| value * factor).collect::<Vec<_>>();
        // Powers of two: exact.
        assert_eq!(doubled_m, times(&m, 2.0));
        assert_eq!(doubled_v, times(&v, 4.0));
    }
}

#[test]
fn what_is_not_finite_stays_visible() {
    let gpu = gpu();
    let x = Tensor::<1>::from_data([1.0, f32::NAN, 2.0], &gpu.device);
    assert!(values(sum_of_squares(x))[0].is_nan());
    let x = Tensor::<1>::from_data([1e30, 0.0, 2.0], &gpu.device);
    assert!(values(sum_of_squares(x))[0].is_infinite());
}

#[test]
fn sums_of_squares_of_any_length() {
    let gpu = gpu();
    for size in SIZES {
        let x = random::<1>([size], 3, &gpu.device);
        let host = values(x.clone());
        // In f64, where the order does not matter.
        let expected: f64 = host.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
        let found = values(sum_of_squares(x.clone()));
        assert_close(&format!("sum of {size}"), &found, &[expected as f32], 0.0, 2e-6);
        assert_eq!(found, values(sum_of_squares(x)), "the same order every time");
        let on_cpu = values(sum_of_squares(random::<1>([size], 3, &cpu())));
        assert_close(&format!("sum of {size} on the CPU"), &on_cpu, &[expected as f32], 0.0, 1e-4);
    }
}

#[test]
fn a_long_sum_does_not_stop_short() {
    // 20 million ones: exact in f32 as partial sums of equal length, and 305 times what llvmpipe's loops would reach.
    let gpu = gpu();
    let found = values(sum_of_squares(Tensor::<1>::ones([20_000_000], &gpu.device)));
    assert_close("twenty million", &found, &[2e7], 0.0, 1e-6);
}
