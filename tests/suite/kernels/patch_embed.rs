use lab_core::kernels::patch_embed::patch_embed;
use lab_tests::random;

use super::{gradients, leaf, on_both};

// Sums of up to 600 products of numbers below one.
const TOLERANCE: f32 = 1e-5;

#[test]
fn values_of_every_awkward_size() {
    // The last two have pixels beyond the last whole patch, which are left out.
    for (batch, channels, height, width, patch, dim) in
        [(1, 1, 2, 2, 2, 1), (2, 3, 28, 42, 14, 33), (3, 3, 35, 30, 8, 64), (1, 4, 9, 50, 4, 7)]
    {
        on_both(&format!("{height}x{width} / {patch}"), TOLERANCE, |device| {
            let x = random([batch, channels, height, width], 1, device);
            let weight = random([dim, channels, patch, patch], 2, device);
            vec![patch_embed(x, weight, random([dim], 3, device)).flatten(0, 2)]
        });
    }
}

#[test]
fn gradients_of_pixels_weight_and_bias() {
    on_both("gradients", TOLERANCE, |device| {
        let device = device.clone().autodiff();
        let x = leaf(random::<4>([2, 3, 13, 20], 1, &device));
        let weight = leaf(random::<4>([9, 3, 6, 6], 2, &device));
        let bias = leaf(random::<1>([9], 3, &device));
        let y = patch_embed(x.clone(), weight.clone(), bias.clone());
        let grads = gradients(y, random([2, 6, 9], 4, &device));
        vec![
            x.grad(&grads).expect("x").flatten(0, 3),
            weight.grad(&grads).expect("weight").flatten(0, 3),
            bias.grad(&grads).expect("bias"),
        ]
    });
}
