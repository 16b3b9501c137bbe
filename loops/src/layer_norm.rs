//! `(x - mean) / sqrt(var + eps) * gamma + beta` over rows, `var` biased, and its gradients.

use crate::math::{sum, sum2};
use crate::split::{Loop, total, vector_rows};

/// x and out `[rows, dim]`, gamma and beta `[dim]`.
pub fn forward(x: &[f32], gamma: &[f32], beta: &[f32], eps: f32, out: &mut [f32]) {
    let dim = gamma.len();
    assert!(x.len() == out.len() && beta.len() == dim, "layer_norm: sizes");
    vector_rows([out], [dim], Forward { x, gamma, beta, eps });
}

struct Forward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    eps: f32,
}

impl Loop<1> for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run(&self, start: usize, [out]: [&mut [f32]; 1]) {
        let dim = self.gamma.len();
        let x = &self.x[start * dim..][..out.len()];
        for (out, x) in out.chunks_exact_mut(dim).zip(x.chunks_exact(dim)) {
            let (mean, inverse) = moments(x, self.eps);
            for (((out, &x), &gamma), &beta) in out.iter_mut().zip(x).zip(self.gamma).zip(self.beta) {
                *out = (x - mean) * inverse * gamma + beta;
            }
        }
    }
}

/// The gradients of x `[rows, dim]`, gamma and beta `[dim]`; the row's moments are computed once more.
///
/// With `g = dy gamma` and `xhat` the normalised row: `dx = (g - mean(g) - xhat mean(g xhat)) / sqrt(var + eps)`.
pub fn backward(x: &[f32], gamma: &[f32], dy: &[f32], eps: f32, dx: &mut [f32], [dgamma, dbeta]: [&mut [f32]; 2]) {
    assert!(x.len() == dy.len() && x.len() == dx.len(), "layer_norm: gradients");
    let sums = vector_rows([dx], [gamma.len()], Backward { x, gamma, dy, eps });
    let (of_gamma, of_beta): (Vec<_>, Vec<_>) = sums.into_iter().unzip();
    total(of_gamma, dgamma);
    total(of_beta, dbeta);
}

struct Backward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    dy: &'a [f32],
    eps: f32,
}

impl Loop<1> for Backward<'_> {
    /// The shares of gamma and beta of these rows.
    type Output = (Vec<f32>, Vec<f32>);

    #[inline(always)]
    fn run(&self, start: usize, [dx]: [&mut [f32]; 1]) -> Self::Output {
        let dim = self.gamma.len();
        let range = start * dim..start * dim + dx.len();
        let (x, dy) = (&self.x[range.clone()], &self.dy[range]);
        let (mut of_gamma, mut of_beta) = (vec![0.0; dim], vec![0.0; dim]);
        for ((dx, x), dy) in dx.chunks_exact_mut(dim).zip(x.chunks_exact(dim)).zip(dy.chunks_exact(dim)) {
            let (mean, inverse) = moments(x, self.eps);
            for (((((dx, &x), &dy), &gamma), of_gamma), of_beta) in
                dx.iter_mut().zip(x).zip(dy).zip(self.gamma).zip(&mut of_gamma).zip(&mut of_beta)
            {
                *of_gamma += dy * (x - mean) * inverse;
                *of_beta += dy;
                *dx = dy * gamma;
            }
            let scale = 1.0 / dim as f32;
            let mean_g = sum(dx, |g| g) * scale;
            let mean_gx = sum2(dx, x, |g, x| g * (x - mean) * inverse) * scale;
            for (dx, &x) in dx.iter_mut().zip(x) {
                *dx = (*dx - mean_g - (x - mean) * inverse * mean_gx) * inverse;
            }
        }
        (of_gamma, of_beta)
    }
}

/// Mean, and one over the standard deviation.
#[inline(always)]
fn moments(x: &[f32], eps: f32) -> (f32, f32) {
    let scale = 1.0 / x.len() as f32;
    let mean = sum(x, |x| x) * scale;
    let variance = sum(x, |x| (x - mean) * (x - mean)) * scale;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_by_hand() {
        let mut out = [0.0; 4];
        forward(&[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0, 2.0, 1.0], &[0.0, 0.5, 0.0, 0.0], 0.0, &mut out);
        // Mean 2.5, variance 1.25.
        let expected = [-1.341_640_8, 0.052_786_4, 0.894_427_2, 1.341_640_8];
        assert!(out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{out:?}");
    }

    #[test]
    fn gradients_are_differences() {
        let (rows, dim) = (5, 19);
        let wave = |i: usize, k: f32| (i as f32 * k).sin();
        let x: Vec<f32> = (0..rows * dim).map(|i| wave(i, 0.7)).collect();
        let gamma: Vec<f32> = (0..dim).map(|i| 1.0 + 0.5 * wave(i, 1.3)).collect();
        let beta: Vec<f32> = (0..dim).map(|i| wave(i, 0.3)).collect();
        let dy: Vec<f32> = (0..rows * dim).map(|i| wave(i, 1.9)).collect();
        let (mut dx, mut dgamma, mut dbeta) = (vec![0.0; rows * dim], vec![0.0; dim], vec![0.0; dim]);
        backward(&x, &gamma, &dy, 1e-6, &mut dx, [&mut dgamma, &mut dbeta]);
        let loss = |x: &[f32], gamma: &[f32], beta: &[f32]| -> f64 {
            let mut y = vec![0.0; rows * dim];
            forward(x, gamma, beta, 1e-6, &mut y);
            y.iter().zip(&dy).map(|(y, dy)| f64::from(y * dy)).sum()
        };
        let check = |name: &str, at: usize, found: f32, moved: &dyn Fn(f32) -> f64| {
            let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(found) - expected).abs() < 5e-3, "{name} {at}: {found} {expected}");
        };
        let with = |values: &[f32], at: usize, shift: f32| {
            let mut values = values.to_vec();
            values[at] += shift;
            values
        };
        for at in 0..rows * dim {
            check("x", at, dx[at], &|shift| loss(&with(&x, at, shift), &gamma, &beta));
        }
        for at in 0..dim {
            check("gamma", at, dgamma[at], &|shift| loss(&x, &with(&gamma, at, shift), &beta));
            check("beta", at, dbeta[at], &|shift| loss(&x, &gamma, &with(&beta, at, shift)));
        }
    }
}
