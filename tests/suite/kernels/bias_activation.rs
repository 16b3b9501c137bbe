use lab_core::kernels::bias_activation::{Activation, bias_activation};
use lab_tests::random;

use super::{gradients, leaf, on_both};

// erf by Abramowitz and Stegun 7.1.26 is off by 1.5e-7; the rest is a handful of operations on numbers of size three.
const TOLERANCE: f32 = 2e-6;

const ALL: [Activation; 4] = [Activation::Identity, Activation::Gelu, Activation::QuickGelu, Activation::GeluTanh];

#[test]
fn values_at_awkward_sizes() {
    // The last one needs more than 65 535 workgroups.
    for (batch, tokens, dim) in [(1, 1, 1), (2, 3, 65), (1, 7, 1000), (1, 70_001, 61)] {
        on_both(&format!("{batch} x {tokens} x {dim}"), TOLERANCE, |device| {
            let x = random::<3>([batch, tokens, dim], 1, device) * 4.0;
            let bias = random::<1>([dim], 2, device);
            ALL.into_iter().map(|a| bias_activation(x.clone(), bias.clone(), a).flatten(0, 2)).collect()
        });
    }
}

#[test]
fn gradients_of_input_and_bias() {
    // Sums over 34 rows of slopes of size one.
    on_both("gradients", 3.0 * TOLERANCE, |device| {
        let device = device.clone().autodiff();
        let mut out = Vec::new();
        for activation in ALL {
            let x = leaf(random::<3>([2, 17, 33], 1, &device) * 4.0);
            let bias = leaf(random::<1>([33], 2, &device));
            let y = bias_activation(x.clone(), bias.clone(), activation);
            let grads = gradients(y, random([2, 17, 33], 3, &device));
            out.push(x.grad(&grads).expect("x").flatten(0, 2));
            out.push(bias.grad(&grads).expect("bias"));
        }
        out
    });
}

#[test]
fn what_is_not_contiguous_is_read_right() {
    on_both("a transposed input", TOLERANCE, |device| {
        let device = device.clone().autodiff();
        let x = leaf(random::<3>([2, 5, 9], 1, &device));
        let y = bias_activation(x.clone().swap_dims(1, 2), random([5], 2, &device), Activation::Gelu);
        let grads = gradients(y.clone(), random([2, 5, 9], 3, &device).swap_dims(1, 2));
        vec![y.inner().flatten(0, 2), x.grad(&grads).expect("x").flatten(0, 2)]
    });
}
