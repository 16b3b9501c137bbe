use burn::tensor::{DType, Device, Tensor};
use lab_core::kernels::{matmul::matmul, mode};
use lab_tests::{gpu, random};

use super::{gradients, leaf, on_both};

/// Tiles (the sizes decide which), and registers only.
fn both_ways(what: &str, check: impl Fn(&str)) {
    for software in [false, true] {
        let before = mode::software_adapter();
        mode::set_software_adapter(software);
        check(&format!("{what}, {}", if software { "registers" } else { "tiles" }));
        mode::set_software_adapter(before);
    }
}

// f32 products of numbers below one: rounding grows with sqrt(K), and stays below 1e-5 of the largest sum.
const TOLERANCE: f32 = 1e-5;

#[test]
fn values_of_every_awkward_size() {
    for (b0, b1, m, k, n) in [
        (1, 1, 1, 1, 1),
        (2, 3, 5, 7, 9),
        (1, 2, 64, 64, 64),
        (1, 1, 65, 33, 130),
        (1, 1, 3, 1000, 2),
        (1, 1, 1, 16, 300),
        (3, 1, 129, 17, 1),
    ] {
        both_ways(&format!("{m}x{k}x{n}"), |what| {
            on_both(what, TOLERANCE, |device: &Device| {
                let (a, b) = (random([b0, b1, m, k], 1, device), random([b0, b1, k, n], 2, device));
                vec![matmul(a, b).flatten(0, 3)]
            });
        });
    }
}

#[test]
fn transposed_and_sliced_operands_need_no_copy() {
    both_ways("strided", |what| {
        on_both(what, TOLERANCE, |device: &Device| {
            let a = random::<4>([2, 2, 31, 20], 1, device).swap_dims(2, 3);
            let b = random::<4>([2, 2, 50, 31], 2, device).swap_dims(2, 3);
            let heads = random::<4>([2, 9, 3, 8], 3, device).swap_dims(1, 2);
            let keys = random::<4>([2, 9, 3, 8], 4, device).swap_dims(1, 2).swap_dims(2, 3);
            let rows = random::<4>([1, 1, 100, 64], 5, device).narrow(2, 8, 40);
            let columns = random::<4>([1, 1, 128, 64], 6, device).narrow(2, 64, 64);
            vec![matmul(a, b).flatten(0, 3), matmul(heads, keys).flatten(0, 3), matmul(rows, columns).flatten(0, 3)]
        });
    });
}

#[test]
fn sums_longer_than_llvmpipe_counts() {
    // 300 000 steps: more than one launch takes, and more than 4 * 65 535.
    both_ways("long", |what| {
        on_both(what, TOLERANCE, |device: &Device| {
            let (a, b) = (random([1, 1, 2, 300_000], 1, device), random([1, 1, 300_000, 3], 2, device));
            vec![matmul(a, b).flatten(0, 3)]
        });
    });
}

#[test]
fn products_that_fill_a_device_take_large_tiles() {
    // 144 tiles of 128, the last ones not full; each operand lying either way; batches; an odd K.
    both_ways("large", |what| {
        on_both(what, TOLERANCE, |device: &Device| {
            let (m, k, n) = (1000, 37, 1030);
            let (a, b) = (random::<4>([2, 1, m, k], 1, device), random::<4>([2, 1, k, n], 2, device));
            let across = random::<4>([2, 1, k, m], 3, device).swap_dims(2, 3);
            let down = random::<4>([2, 1, n, k], 4, device).swap_dims(2, 3);
            vec![matmul(a, down).flatten(0, 3), matmul(across, b).flatten(0, 3)]
        });
    });
}

#[test]
fn long_sums_of_few_tiles_are_cut() {
    // As the gradients of weights: 3 x 2 large tiles, and one small one; pieces that do not come out even.
    for (m, k, n) in [(300, 8003, 130), (20, 1111, 30)] {
        both_ways(&format!("cut {m}x{k}x{n}"), |what| {
            on_both(what, TOLERANCE, |device: &Device| {
                let a = random::<4>([1, 1, k, m], 1, device).swap_dims(2, 3);
                vec![matmul(a, random([1, 1, k, n], 2, device)).flatten(0, 3)]
            });
        });
    }
}

#[test]
fn more_rows_than_a_dispatch_has_groups() {
    on_both("tall", TOLERANCE, |device: &Device| {
        let (a, b) = (random([1, 1, 70_001, 3], 1, device), random([1, 1, 3, 2], 2, device));
        vec![matmul(a, b).flatten(0, 3)]
    });
}

#[test]
fn gradients_of_both_operands() {
    for (m, k, n) in [(1, 1, 1), (5, 7, 9), (40, 70, 33)] {
        both_ways(&format!("gradient {m}x{k}x{n}"), |what| {
            on_both(what, TOLERANCE, |device: &Device| {
                let device = device.clone().autodiff();
                let a = leaf(random::<4>([2, 1, m, k], 1, &device));
                let b = leaf(random::<4>([2, 1, n, k], 2, &device));
                let y = matmul(a.clone(), b.clone().swap_dims(2, 3));
                let grads = gradients(y, random([2, 1, m, n], 3, &device));
                let grad = |tensor: &Tensor<4>| tensor.grad(&grads).expect("tracked").flatten(0, 3);
                vec![grad(&a), grad(&b)]
            });
        });
    }
}

/// Numbers that 16 bits hold, so that a product in 32 bits is the twin of one on matrix units.
fn held<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    random::<D>(shape, seed, device).cast(DType::F16).cast(DType::F32)
}

#[test]
fn products_and_gradients_on_matrix_units() {
    // A card's own kernel: a software adapter has no matrix units, and there the layouts alone are tested (lab-core's tests).
    if !(gpu(), mode::matrix_units()).1 {
        return;
    }
    for (m, k, n) in [(300, 68, 140), (2560, 256, 1024), (33, 36, 44)] {
        on_both(&format!("16 bits, {m}x{k}x{n}"), TOLERANCE, |device: &Device| {
            let device = device.clone().autodiff();
            let _half = mode::half_precision(mode::takes_wgsl(&device));
            let a = leaf(held::<4>([2, 1, m, k], 1, &device));
            let b = leaf(held::<4>([2, 1, n, k], 2, &device));
            let y = matmul(a.clone(), b.clone().swap_dims(2, 3));
            let value = y.clone().inner().flatten(0, 3);
            let grads = gradients(y, held([2, 1, m, n], 3, &device));
            let grad = |tensor: &Tensor<4>| tensor.grad(&grads).expect("tracked").flatten(0, 3);
            vec![value, grad(&a), grad(&b)]
        });
    }
}
