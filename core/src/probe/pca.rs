//! The three directions in which tokens differ most: principal components by subspace iteration.
//!
//! `V ← orthonormalise(Xᵀ (X V))` from fixed start vectors: products and sums only, so it runs on every device, and
//! gives the same colours for the same tokens. Neither `XᵀX` nor `XXᵀ` is formed. Amir et al. (arXiv 2112.05814) drew
//! the first three components of DINO's tokens as colours; so do we.

use burn::tensor::{Tensor, TensorData};

use crate::kernels::matmul::matmul;

/// Components: one a colour.
pub const COMPONENTS: usize = 3;
/// Orthonormalisations, with two products by `XᵀX` before each: a component whose variance is nine tenths of the one
/// before it is told apart to 1%, which no eye sees in colours.
const ROUNDS: usize = 12;
/// Products by `XᵀX` between two orthonormalisations: more, and in f32 the first component drowns the third.
const STEPS: usize = 2;
/// Below this a length counts as zero: tokens that are all alike have no components.
const TINY: f32 = 1e-20;

/// A mean and three directions: what turns tokens into scores, of these tokens or of others in the same colours.
#[derive(Debug, Clone)]
pub struct Basis {
    /// `[1, D]`.
    pub mean: Tensor<2>,
    /// `[D, 3]`, orthonormal.
    pub directions: Tensor<2>,
}

/// Tokens seen from their own basis.
#[derive(Debug, Clone)]
pub struct Pca {
    /// `[N, 3]`, the component of most variance first.
    pub scores: Tensor<2>,
    /// `[1, 3]`, the share of the whole variance that each component holds.
    pub explained: Tensor<2>,
    /// For other tokens.
    pub basis: Basis,
}

impl Basis {
    /// Scores `[M, 3]` of tokens `[M, D]`.
    pub fn apply(&self, tokens: Tensor<2>) -> Tensor<2> {
        product(tokens - self.mean.clone(), self.directions.clone())
    }
}

/// The first three principal components of tokens `[N, D]`.
///
/// A component's sign is arbitrary; here the scores' third moment is positive, so that the few that stand out are
/// bright.
pub fn pca(tokens: Tensor<2>) -> Pca {
    let [_, dim] = tokens.dims();
    let mean = tokens.clone().mean_dim(0); // [1, D]
    let centred = tokens - mean.clone(); // [N, D]
    // Of length one as a whole, so that no power overflows.
    let total = centred.clone().mul(centred.clone()).sum_dim(1).sum_dim(0); // [1, 1]
    let x = centred.clone() / total.clone().sqrt().clamp_min(TINY);
    let start = TensorData::new(start_vectors(dim), [dim, COMPONENTS]);
    let mut v = orthonormalise(Tensor::from_data(start, &x.device())); // [D, 3]
    for _ in 0..ROUNDS {
        for _ in 0..STEPS {
            v = product(x.clone().transpose(), product(x.clone(), v));
        }
        v = orthonormalise(v);
    }
    let scores = product(centred, v.clone()); // [N, 3]
    let third = scores.clone().mul(scores.clone()).mul(scores.clone()).sum_dim(0); // [1, 3]
    let sign = third.greater_equal_elem(0.0).float() * 2.0 - 1.0;
    let scores = scores * sign.clone();
    let explained = scores.clone().mul(scores.clone()).sum_dim(0) / total.clamp_min(TINY);
    Pca { scores, explained, basis: Basis { mean, directions: v * sign } }
}

/// Columns of length one at right angles to each other (Gram and Schmidt).
fn orthonormalise(v: Tensor<2>) -> Tensor<2> {
    let mut done: Vec<Tensor<2>> = Vec::with_capacity(COMPONENTS);
    for index in 0..COMPONENTS {
        let mut column = v.clone().narrow(1, index, 1); // [D, 1]
        for other in &done {
            let along = other.clone().mul(column.clone()).sum_dim(0); // [1, 1]
            column = column - other.clone() * along;
        }
        let length = column.clone().mul(column.clone()).sum_dim(0).sqrt().clamp_min(TINY);
        done.push(column / length);
    }
    Tensor::cat(done, 1)
}

/// Numbers between -1 and 1 without a pattern, the same everywhere: fractions of multiples of the golden ratio's kin.
fn start_vectors(dim: usize) -> Vec<f32> {
    // Three rationally independent numbers: the square roots of 2, 3 and 5.
    const STRIDES: [f64; COMPONENTS] = [std::f64::consts::SQRT_2, 1.732_050_807_568_877_2, 2.236_067_977_499_79];
    (0..dim).flat_map(|row| STRIDES.map(|stride| (2.0 * ((row + 1) as f64 * stride).fract() - 1.0) as f32)).collect()
}

/// `[M, K] x [K, N]`.
fn product(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let ([m, _], [_, n]) = (a.dims(), b.dims());
    matmul(a.unsqueeze::<4>(), b.unsqueeze::<4>()).reshape([m, n])
}
