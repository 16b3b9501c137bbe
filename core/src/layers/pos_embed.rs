//! Position embeddings at any size: each source's own bicubic interpolation, as two small products.
//!
//! Interpolation is linear, so along each axis it is a matrix; the two matrices times the embeddings give the new
//! ones, and gradients flow back the same way. The rules differ (`docs/decisions`, webssl specification §1.2), and at
//! any size but the native one so do the outputs.

use burn::tensor::{Tensor, TensorData};

use crate::kernels::bias_activation::{Activation, bias_activation};
use crate::kernels::matmul::matmul_f32;

/// How a source interpolates; always bicubic, `align_corners = false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// To the size wanted, no antialiasing (A = -0.75): Hugging Face's Dinov2, ViT, CLIP and SigLIP, MAE's own code.
    Size,
    /// To the size wanted, antialiased (A = -0.5, as Pillow): models with registers.
    AntialiasedSize,
    /// By the factor `(size + 0.1) / native`, no antialiasing: the original DINOv2 and Web-DINO code.
    ScaleOffset,
}

impl Interpolation {
    /// The matrix `[to, from]` that takes `from` embeddings along an axis to `to`.
    fn matrix(self, from: usize, to: usize) -> Vec<f32> {
        let mut matrix = vec![0.0; to * from];
        let scale = match self {
            Self::ScaleOffset => from as f64 / (to as f64 + 0.1),
            Self::Size | Self::AntialiasedSize => from as f64 / to as f64,
        };
        for (row, target) in matrix.chunks_exact_mut(from).enumerate() {
            if self == Self::AntialiasedSize {
                antialiased(target, row, scale);
            } else {
                plain(target, row, scale);
            }
        }
        matrix
    }
}

/// Four taps around the source position, indices held at the edges; PyTorch's A without antialiasing.
fn plain(weights: &mut [f32], row: usize, scale: f64) {
    let position = (row as f64 + 0.5) * scale - 0.5;
    let floor = position.floor();
    for tap in -1..=2 {
        let index = (floor as i64 + tap).clamp(0, weights.len() as i64 - 1) as usize;
        weights[index] += cubic(position - floor - tap as f64, -0.75) as f32;
    }
}

/// Pillow's way: the support widens when shrinking, taps beyond the edge fall away, the rest is scaled to sum to one.
fn antialiased(weights: &mut [f32], row: usize, scale: f64) {
    let stretch = scale.max(1.0);
    let centre = (row as f64 + 0.5) * scale;
    let first = (centre - 2.0 * stretch + 0.5).max(0.0) as usize;
    let end = ((centre + 2.0 * stretch + 0.5) as usize).min(weights.len());
    let taps: Vec<f64> = (first..end).map(|index| cubic((index as f64 - centre + 0.5) / stretch, -0.5)).collect();
    let total: f64 = taps.iter().sum();
    for (weight, tap) in weights[first..end].iter_mut().zip(taps) {
        *weight = (tap / total) as f32;
    }
}

/// Keys' cubic kernel.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * a
    } else {
        0.0
    }
}

/// Patch embeddings of a square grid, `[1, M * M, D]`, at `rows` by `columns`: `[1, rows * columns, D]`.
///
/// Nothing is done at the native size: as many patches, and square.
pub fn interpolate(patches: Tensor<3>, rows: usize, columns: usize, interpolation: Interpolation) -> Tensor<3> {
    let [_, count, d] = patches.dims();
    let native = count.isqrt();
    assert_eq!(native * native, count, "interpolate: {count} positions are no square");
    if rows == native && columns == native {
        return patches;
    }
    let device = patches.device();
    let matrix =
        |to: usize| Tensor::<2>::from_data(TensorData::new(interpolation.matrix(native, to), [to, native]), &device);
    let down = matmul_f32(matrix(rows).unsqueeze(), patches.reshape([1, 1, native, native * d]));
    let across = matrix(columns).unsqueeze::<4>().repeat_dim(1, rows);
    matmul_f32(across, down.reshape([1, rows, native, d])).reshape([1, rows * columns, d])
}

/// MAE's fixed table for a grid of `side` by `side`, class row of zeros first: `[1 + side * side, dim]`, row-major.
///
/// The first half of the columns encodes the column, the second half the row; each half is `[sin | cos]`.
pub fn sin_cos(side: usize, dim: usize) -> Vec<f32> {
    let quarter = dim / 4;
    let mut table = vec![0.0; dim];
    for cell in 0..side * side {
        for position in [cell % side, cell / side] {
            let angles: Vec<f64> =
                (0..quarter).map(|i| position as f64 / 10_000f64.powf(i as f64 / quarter as f64)).collect();
            table.extend(angles.iter().map(|angle| angle.sin() as f32));
            table.extend(angles.iter().map(|angle| angle.cos() as f32));
        }
    }
    table
}

/// `x + positions`: x `[B, N, D]`, positions `[1, N, D]`. As a bias of all tokens together, so that the positions' gradient
/// is one sum over the batch.
pub fn add_positions(x: Tensor<3>, positions: Tensor<3>) -> Tensor<3> {
    let [b, n, d] = x.dims();
    let together = bias_activation(x.reshape([1, b, n * d]), positions.reshape([n * d]), Activation::Identity);
    together.reshape([b, n, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_sums_to_one() {
        for interpolation in [Interpolation::Size, Interpolation::AntialiasedSize, Interpolation::ScaleOffset] {
            for (from, to) in [(4, 4), (4, 7), (16, 5), (37, 16)] {
                for row in interpolation.matrix(from, to).chunks(from) {
                    let sum: f32 = row.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-5, "{interpolation:?} {from} to {to}: {sum}");
                }
            }
        }
    }
}
