use lab_core::kernels::silu_gate::silu_gate;
use lab_tests::random;

use super::{gradients, leaf, on_both};

// An exponential and five operations on numbers of size four.
const TOLERANCE: f32 = 2e-6;

#[test]
fn values_at_awkward_sizes() {
    // The last one needs more than 65 535 workgroups.
    for (batch, tokens, dim) in [(1, 1, 1), (2, 3, 65), (1, 7, 1000), (1, 70_001, 61)] {
        on_both(&format!("{batch} x {tokens} x {dim}"), TOLERANCE, |device| {
            let x = random::<3>([batch, tokens, 2 * dim], 1, device) * 4.0;
            vec![silu_gate(x, random([2 * dim], 2, device)).flatten(0, 2)]
        });
    }
}

#[test]
fn gradients_of_input_and_bias() {
    // Sums over 34 rows of products of size four.
    on_both("gradients", 3.0 * TOLERANCE, |device| {
        let device = device.clone().autodiff();
        let x = leaf(random::<3>([2, 17, 66], 1, &device) * 4.0);
        let bias = leaf(random::<1>([66], 2, &device));
        let y = silu_gate(x.clone(), bias.clone());
        let grads = gradients(y, random([2, 17, 33], 3, &device));
        vec![x.grad(&grads).expect("x").flatten(0, 2), bias.grad(&grads).expect("bias")]
    });
}

#[test]
fn what_is_not_contiguous_is_read_right() {
    on_both("a transposed input", TOLERANCE, |device| {
        let device = device.clone().autodiff();
        let x = leaf(random::<3>([2, 10, 9], 1, &device));
        let y = silu_gate(x.clone().swap_dims(1, 2), random([10], 2, &device));
        let grads = gradients(y.clone(), random([2, 5, 9], 3, &device).swap_dims(1, 2));
        vec![y.inner().flatten(0, 2), x.grad(&grads).expect("x").flatten(0, 2)]
    });
}
