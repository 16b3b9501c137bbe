//! The teacher's targets by Sinkhorn and Knopp: every sample gives one unit, every prototype takes the same share.
//!
//! Caron et al., arXiv 2006.09882 (SwAV), section 3.1; dinov2: loss/dino_clstoken_loss.py, `sinkhorn_knopp_teacher`.
//! The samples are all class tokens of both global crops, or all masked patches, and no padding.

use burn::tensor::Tensor;

/// Logits `[B, K]` to probabilities `[B, K]` after so many `iterations` (DINOv2: 3).
///
/// Written shorter than the reference, and equal to it: its divisions by the total, by K and by B are each undone by
/// the normalisation that follows, or by the final product with B. Subtracting a prototype's largest logit is undone
/// by the first normalisation in the same way; the reference subtracts nothing, and overflows where a logit is some
/// 88 temperatures large or a prototype's logits are all that far below zero.
pub fn sinkhorn_knopp(logits: Tensor<2>, temp: f64, iterations: usize) -> Tensor<2> {
    assert!(logits.dims()[0] > 0, "sinkhorn_knopp: no samples");
    let largest = logits.clone().max_dim(0); // [1, K]
    let mut q = ((logits - largest) / temp).exp(); // [B, K]
    for _ in 0..iterations {
        q = q.clone() / q.sum_dim(0); // prototypes
        q = q.clone() / q.sum_dim(1); // samples
    }
    q
}
