//! Attention rollout: how much of each input token reaches an output token through all blocks.
//!
//! Abnar and Zuidema, arXiv 2005.00928: the residual path counts as much as the attention, so a block mixes tokens by
//! `Â = 0.5 A + 0.5 I` (A: the mean of its heads), and the rollout is the product `Â_L … Â_1`. Only one row of it is
//! ever asked for, so only a row is carried down, `r ← r Â`: no product of two matrices, and of each `A` no more than a
//! stretch of queries is held at a time.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::kernels::matmul::matmul;

/// Share of the residual path, the paper's.
const RESIDUAL: f64 = 0.5;

/// Carries a row `[1, N]` through one block, from its output to its input: `r ← 0.5 r A + 0.5 r`.
///
/// `attention` gives the probabilities of a stretch of queries, `[heads, queries, N]`, at most `chunk` at a time.
///
/// # Panics
///
/// When `attention` gives another shape: shapes are ours.
pub fn through_block(row: Tensor<2>, chunk: usize, attention: impl Fn(Range<usize>) -> Tensor<3>) -> Tensor<2> {
    let [_, tokens] = row.dims();
    let mut mixed = row.clone() * RESIDUAL;
    for start in (0..tokens).step_by(chunk.max(1)) {
        let queries = start..(start + chunk.max(1)).min(tokens);
        let count = queries.len();
        let probs = attention(queries); // [heads, queries, N]
        let [_, rows, columns] = probs.dims();
        assert!(rows == count && columns == tokens, "rollout: {:?} for {count} of {tokens} queries", probs.dims());
        let mean = probs.mean_dim(0); // [1, queries, N]
        let part = row.clone().narrow(1, start, count).reshape([1, 1, 1, count]);
        let along = matmul(part, mean.reshape([1, 1, count, tokens])).reshape([1, tokens]);
        mixed = mixed + along * (1.0 - RESIDUAL);
    }
    mixed
}
