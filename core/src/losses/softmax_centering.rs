//! The teacher's targets by centring: what is left after a running mean, sharpened by a softmax.
//!
//! Caron et al., arXiv 2104.14294, equation 4; dinov2: loss/dino_clstoken_loss.py and loss/ibot_patch_loss.py.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

/// `softmax((logits - center) / temp)`: logits `[B, K]`, center `[1, K]` to `[B, K]`.
pub fn teacher_probs(logits: Tensor<2>, center: Tensor<2>, temp: f64) -> Tensor<2> {
    assert!(center.dims() == [1, logits.dims()[1]], "center {:?} for {:?}", center.dims(), logits.dims());
    softmax((logits - center) / temp, 1)
}

/// `center * momentum + batch_mean * (1 - momentum)`, all `[1, K]`; `batch_mean` is that of the teacher's logits.
///
/// DINOv2 applies it lazily: the centre that a step's logits move is first used at the next step, so the caller keeps
/// the result until then. Class tokens and masked patches have a centre each.
pub fn next_center(center: Tensor<2>, batch_mean: Tensor<2>, momentum: f64) -> Tensor<2> {
    assert!(center.dims() == batch_mean.dims(), "center {:?}, batch mean {:?}", center.dims(), batch_mean.dims());
    center * momentum + batch_mean * (1.0 - momentum)
}
