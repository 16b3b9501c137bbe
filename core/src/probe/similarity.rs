//! How much each patch resembles one of them: the cosine of their tokens.

use burn::tensor::Tensor;

use crate::kernels::matmul::matmul;

/// Below this a norm counts as zero, and its cosine is 0.
const TINY: f32 = 1e-12;

/// Cosine of each row of `directions [N, D]` with `one [1, D]`, all of length one ([`unit_rows`]), as `[N, 1]`, from -1 to 1:
/// a single product, since a click waits for it.
///
/// # Panics
///
/// When the widths differ: shapes are ours.
pub fn cosines(directions: Tensor<2>, one: Tensor<2>) -> Tensor<2> {
    let ([n, dim], [rows, width]) = (directions.dims(), one.dims());
    assert!(rows == 1 && dim == width, "cosines: directions {:?}, one {:?}", directions.dims(), one.dims());
    matmul(directions.unsqueeze(), one.transpose().unsqueeze()).reshape([n, 1])
}

/// Rows of length one.
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    let norms = x.clone().mul(x.clone()).sum_dim(1).sqrt().clamp_min(TINY);
    x / norms
}
