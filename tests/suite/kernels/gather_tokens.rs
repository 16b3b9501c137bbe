use burn::tensor::{Device, Int, Tensor, TensorData};
use lab_core::kernels::gather_tokens::{gather_tokens, scatter_tokens};
use lab_tests::random;

use super::{gradients, leaf, on_both};

// Copies, and sums of at most three terms.
const TOLERANCE: f32 = 1e-6;

/// Ids below `tokens`, some of them twice.
fn ids(batch: usize, picked: usize, tokens: usize, device: &Device) -> Tensor<2, Int> {
    let ids: Vec<i32> = (0..batch * picked).map(|i| ((i * 7 + i * i) % tokens) as i32).collect();
    Tensor::from_data(TensorData::new(ids, [batch, picked]), device)
}

#[test]
fn values_both_ways() {
    for (batch, tokens, picked, dim) in [(1, 1, 1, 1), (2, 9, 4, 33), (3, 70, 100, 65)] {
        on_both(&format!("{batch} {tokens} {picked} {dim}"), TOLERANCE, |device| {
            let ids = ids(batch, picked, tokens, device);
            let x = random([batch, tokens, dim], 1, device);
            let y = random([batch, picked, dim], 2, device);
            vec![gather_tokens(x, ids.clone()).flatten(0, 2), scatter_tokens(y, ids, tokens).flatten(0, 2)]
        });
    }
}

#[test]
fn each_is_the_derivative_of_the_other() {
    on_both("gradients", TOLERANCE, |device| {
        let device = device.clone().autodiff();
        let ids = ids(2, 6, 5, &device);
        let x = leaf(random::<3>([2, 5, 7], 1, &device));
        let y = leaf(random::<3>([2, 6, 7], 2, &device));
        let gathered = gradients(gather_tokens(x.clone(), ids.clone()), random([2, 6, 7], 3, &device));
        let scattered = gradients(scatter_tokens(y.clone(), ids, 5), random([2, 5, 7], 4, &device));
        vec![x.grad(&gathered).expect("x").flatten(0, 2), y.grad(&scattered).expect("y").flatten(0, 2)]
    });
}
