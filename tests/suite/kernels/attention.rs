use burn::tensor::Tensor;
use lab_core::kernels::attention::{HEAD_DIMS, Segments, attention, attention_probs};
use lab_core::kernels::mode;
use lab_tests::random;

use super::{gradients, leaf, on_both};

// A softmax of scores of size one over at most some hundred tokens.
const TOLERANCE: f32 = 1e-5;

#[test]
fn every_head_dim_and_awkward_token_counts() {
    for head_dim in HEAD_DIMS {
        for tokens in [1, 5, 67] {
            on_both(&format!("head dim {head_dim}, {tokens} tokens"), TOLERANCE, |device| {
                let qkv = random::<3>([2, tokens, 3 * 2 * head_dim], 1, device);
                vec![attention(qkv, 2, None).flatten(0, 2)]
            });
        }
    }
}

#[test]
fn large_scores_do_not_overflow() {
    on_both("scores around 1000", TOLERANCE, |device| {
        let qkv = random::<3>([1, 9, 3 * 64], 1, device) * 30.0;
        vec![attention(qkv, 1, None).flatten(0, 2)]
    });
}

#[test]
fn a_head_dim_without_a_kernel_takes_the_reference() {
    on_both("head dim 24", TOLERANCE, |device| {
        vec![attention(random::<3>([1, 9, 3 * 48], 1, device), 2, None).flatten(0, 2)]
    });
}

#[test]
fn packed_crops_do_not_see_each_other() {
    on_both("packed", TOLERANCE, |device| {
        let qkv = random::<3>([1, 23, 3 * 64], 1, device);
        let segments = Segments::new(&[1, 10, 5, 7], device);
        // Each crop alone gives the same.
        let alone = [(0, 1), (1, 10), (11, 5), (16, 7)]
            .map(|(start, length)| attention(qkv.clone().narrow(1, start, length), 2, None));
        let packed = attention(qkv.clone(), 2, Some(&segments));
        let difference = packed.clone() - Tensor::cat(alone.to_vec(), 1);
        vec![packed.flatten(0, 2), difference.flatten(0, 2)]
    });
}

#[test]
fn probabilities_of_some_queries() {
    on_both("probabilities", TOLERANCE, |device| {
        let qkv = random::<3>([2, 30, 3 * 160], 1, device);
        let packed = random::<3>([1, 12, 3 * 32], 2, device);
        let segments = Segments::new(&[4, 8], device);
        vec![
            attention_probs(qkv.clone(), 2, 0..30, None).flatten(0, 3),
            attention_probs(qkv, 2, 7..8, None).flatten(0, 3),
            attention_probs(packed, 2, 3..6, Some(&segments)).flatten(0, 3),
        ]
    });
}

#[test]
fn gradients_of_queries_keys_and_values() {
    for head_dim in HEAD_DIMS {
        on_both(&format!("gradient, head dim {head_dim}"), 3.0 * TOLERANCE, |device| {
            let device = device.clone().autodiff();
            let qkv = leaf(random::<3>([2, 19, 3 * 2 * head_dim], 1, &device) * 2.0);
            let grads = gradients(attention(qkv.clone(), 2, None), random([2, 19, 2 * head_dim], 2, &device));
            let packed = leaf(random::<3>([1, 19, 3 * 2 * head_dim], 3, &device) * 2.0);
            let segments = Segments::new(&[12, 7], &device);
            let y = attention(packed.clone(), 2, Some(&segments));
            let packed_grads = gradients(y, random([1, 19, 2 * head_dim], 4, &device));
            vec![
                qkv.grad(&grads).expect("qkv").flatten(0, 2),
                packed.grad(&packed_grads).expect("packed").flatten(0, 2),
            ]
        });
    }
}

#[test]
fn gradients_by_products_some_heads_at_a_time() {
    let before = mode::software_adapter();
    mode::set_software_adapter(false);
    // Whole; two parts of heads, where one head's probabilities take a quarter of the room; one token.
    for (batch, tokens, heads, head_dim) in [(3, 67, 2, 16), (2, 70, 3, 80), (1, 2100, 5, 16), (2, 1, 2, 32)] {
        on_both(&format!("{batch} x {tokens}, {heads} heads of {head_dim}"), 3.0 * TOLERANCE, |device| {
            let device = device.clone().autodiff();
            let qkv = leaf(random::<3>([batch, tokens, 3 * heads * head_dim], 1, &device) * 2.0);
            let weights = random([batch, tokens, heads * head_dim], 2, &device);
            let grads = gradients(attention(qkv.clone(), heads, None), weights);
            vec![qkv.grad(&grads).expect("qkv").flatten(0, 2)]
        });
    }
    mode::set_software_adapter(before);
}
