//! How much each patch resembles one of them: the cosine of their tokens.

use burn::tensor::Tensor;

/// Below this a norm counts as zero, and its cosine is 0.
const TINY: f32 = 1e-12;

/// Cosine of each row of `tokens [N, D]` with `one [1, D]`, as `[N, 1]`, from -1 to 1.
///
/// # Panics
///
/// When the widths differ: shapes are ours.
pub fn similarity(tokens: Tensor<2>, one: Tensor<2>) -> Tensor<2> {
    let ([_, dim], [rows, width]) = (tokens.dims(), one.dims());
    assert!(rows == 1 && dim == width, "similarity: tokens {:?}, one {:?}", tokens.dims(), one.dims());
    unit_rows(tokens).mul(unit_rows(one)).sum_dim(1)
}

/// Rows of length one.
fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    let norms = x.clone().mul(x.clone()).sum_dim(1).sqrt().clamp_min(TINY);
    x / norms
}
