use lab_core::kernels::layer_scale::layer_scale;
use lab_tests::random;

use super::{gradients, leaf, on_both};

// A product; the factors' gradient sums over all rows.
const TOLERANCE: f32 = 1e-5;

#[test]
fn values_and_gradients_at_awkward_sizes() {
    // The last one has more elements than a launch has invocations.
    for (batch, tokens, dim) in [(1, 1, 1), (2, 3, 65), (1, 7, 1000), (1, 9001, 61)] {
        on_both(&format!("{batch} x {tokens} x {dim}"), TOLERANCE, |device| {
            let device = device.clone().autodiff();
            let x = leaf(random::<3>([batch, tokens, dim], 1, &device));
            let gamma = leaf(random::<1>([dim], 2, &device));
            let y = layer_scale(x.clone(), gamma.clone());
            let grads = gradients(y.clone(), random([batch, tokens, dim], 3, &device));
            vec![y.inner().flatten(0, 2), x.grad(&grads).expect("x").flatten(0, 2), gamma.grad(&grads).expect("gamma")]
        });
    }
}

#[test]
fn what_is_not_contiguous_is_read_right() {
    on_both("a transposed input", TOLERANCE, |device| {
        let device = device.clone().autodiff();
        let x = leaf(random::<3>([2, 5, 9], 1, &device));
        let y = layer_scale(x.clone().swap_dims(1, 2), random([5], 2, &device));
        let grads = gradients(y.clone(), random([2, 5, 9], 3, &device).swap_dims(1, 2));
        vec![y.inner().flatten(0, 2), x.grad(&grads).expect("x").flatten(0, 2)]
    });
}
