//! The loss on masked patches: what the student says of a patch it does not see against what the teacher says of it.
//!
//! Zhou et al., arXiv 2111.07832, equation 2; dinov2: loss/ibot_patch_loss.py, `forward_masked`.

use burn::tensor::Tensor;

use super::dino::similarity_rows;

/// `-1/crops * sum over m of w[m] * sum over k of t[m, k] * log softmax(s[m] / temp)[k]`, `[1]`: student logits and
/// teacher probabilities `[M, K]`, weights `[M]` (1 / masked patches of the token's crop).
///
/// `crops` counts all global crops of the batch, 2B, also those without a mask.
pub fn ibot_loss(
    student_logits: Tensor<2>,
    teacher_probs: Tensor<2>,
    weights: Tensor<1>,
    crops: usize,
    student_temp: f64,
) -> Tensor<1> {
    let masked = student_logits.dims()[0];
    assert!(weights.dims() == [masked], "weights {:?} of {masked} masked patches", weights.dims());
    let rows = similarity_rows(student_logits, teacher_probs, student_temp); // [M, 1]
    -(rows * weights.reshape([masked, 1])).sum_dim(0).reshape([1]) / crops as f64
}
