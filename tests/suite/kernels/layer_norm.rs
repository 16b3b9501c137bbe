use lab_core::kernels::layer_norm::layer_norm;
use lab_tests::random;

use super::{gradients, leaf, on_both};

// Two sums over the row and a square root: a few units in the sixth digit.
const TOLERANCE: f32 = 1e-5;

#[test]
fn values_of_every_awkward_size() {
    for (batch, tokens, dim) in [(1, 1, 2), (2, 3, 63), (2, 5, 64), (1, 7, 65), (1, 2, 1000)] {
        on_both(&format!("[{batch}, {tokens}, {dim}]"), TOLERANCE, |device| {
            let x = random([batch, tokens, dim], 1, device) * 3.0 + 2.0;
            vec![layer_norm(x, random([dim], 2, device), random([dim], 3, device), 1e-6).flatten(0, 2)]
        });
    }
}

#[test]
fn more_rows_than_a_dispatch_has_groups() {
    on_both("70 001 rows", TOLERANCE, |device| {
        let x = random([1, 70_001, 3], 1, device);
        vec![layer_norm(x, random([3], 2, device), random([3], 3, device), 1e-3).flatten(0, 2)]
    });
}

#[test]
fn gradients_of_all_three() {
    for (batch, tokens, dim) in [(1, 1, 2), (2, 3, 63), (3, 50, 130)] {
        on_both(&format!("gradient [{batch}, {tokens}, {dim}]"), 5.0 * TOLERANCE, |device| {
            let device = device.clone().autodiff();
            let x = leaf(random::<3>([batch, tokens, dim], 1, &device) * 2.0);
            let (gamma, beta) = (leaf(random::<1>([dim], 2, &device)), leaf(random::<1>([dim], 3, &device)));
            let y = layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-3);
            let grads = gradients(y, random([batch, tokens, dim], 4, &device));
            vec![
                x.grad(&grads).expect("x").flatten(0, 2),
                gamma.grad(&grads).expect("gamma"),
                beta.grad(&grads).expect("beta"),
            ]
        });
    }
}
