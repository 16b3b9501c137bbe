//! Softmax over rows of attention scores, and the ways between heads and tokens.

use crate::math::{exp, max, sum, sum2};
use crate::split::{Loop, rows, vector_rows};

/// Scores `[rows, width]` become `softmax(scale * scores)` in place; `lse` `[rows]` the log of the denominator.
pub fn forward(scores: &mut [f32], width: usize, scale: f32, lse: &mut [f32]) {
    vector_rows([scores, lse], [width, 1], Forward { width, scale });
}

struct Forward {
    width: usize,
    scale: f32,
}

impl Loop<2> for Forward {
    type Output = ();

    #[inline(always)]
    fn run(&self, _start: usize, [scores, lse]: [&mut [f32]; 2]) {
        for (row, lse) in scores.chunks_exact_mut(self.width).zip(lse) {
            let highest = max(row) * self.scale;
            for x in row.iter_mut() {
                *x = exp(*x * self.scale - highest);
            }
            let denominator = sum(row, |x| x);
            let inverse = 1.0 / denominator;
            for x in row.iter_mut() {
                *x *= inverse;
            }
            *lse = highest + denominator.ln();
        }
    }
}

/// Scores become probabilities once more, from the log of the denominator.
pub fn again(scores: &mut [f32], width: usize, scale: f32, lse: &[f32]) {
    vector_rows([scores], [width], Again { width, scale, lse });
}

struct Again<'a> {
    width: usize,
    scale: f32,
    lse: &'a [f32],
}

impl Loop<1> for Again<'_> {
    type Output = ();

    #[inline(always)]
    fn run(&self, start: usize, [scores]: [&mut [f32]; 1]) {
        for (row, &lse) in scores.chunks_exact_mut(self.width).zip(&self.lse[start..]) {
            for x in row.iter_mut() {
                *x = exp(*x * self.scale - lse);
            }
        }
    }
}

/// The gradients of probabilities become those of scores, in place: `scale p (dp - Σ p dp)`.
pub fn backward(probs: &[f32], dprobs: &mut [f32], width: usize, scale: f32) {
    vector_rows([dprobs], [width], Backward { probs, width, scale });
}

struct Backward<'a> {
    probs: &'a [f32],
    width: usize,
    scale: f32,
}

impl Loop<1> for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run(&self, start: usize, [dprobs]: [&mut [f32]; 1]) {
        let probs = &self.probs[start * self.width..][..dprobs.len()];
        for (dp, p) in dprobs.chunks_exact_mut(self.width).zip(probs.chunks_exact(self.width)) {
            let mean = sum2(p, dp, |p, dp| p * dp);
            for (dp, &p) in dp.iter_mut().zip(p) {
                *dp = self.scale * p * (*dp - mean);
            }
        }
    }
}

/// Puts `parts` tensors `[B, heads, N, head_dim]` beside each other in tokens, `[B, N, parts, heads, head_dim]`.
pub fn to_tokens(parts: &[&[f32]], [heads, tokens, head_dim]: [usize; 3], out: &mut [f32]) {
    let row = parts.len() * heads * head_dim;
    rows([out], [row], |start, [out]| {
        for (at, out) in (start..).zip(out.chunks_exact_mut(row)) {
            let (b, n) = (at / tokens, at % tokens);
            for (index, out) in out.chunks_exact_mut(head_dim).enumerate() {
                let (part, h) = (index / heads, index % heads);
                let from = ((b * heads + h) * tokens + n) * head_dim;
                out.copy_from_slice(&parts[part][from..from + head_dim]);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_probabilities() {
        // Large scores must not overflow.
        let mut scores = vec![500.0, 501.0, 502.0, -1.0, 0.0, 1.0];
        let mut lse = [0.0; 2];
        forward(&mut scores, 3, 2.0, &mut lse);
        let expected = [0.015_876_24, 0.117_310_43, 0.866_813_3];
        for row in scores.chunks(3) {
            assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{row:?}");
        }
        let mut once_more = vec![-1.0, 0.0, 1.0];
        again(&mut once_more, 3, 2.0, &lse[1..]);
        assert!(once_more.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{once_more:?}");
    }

    #[test]
    fn gradients_are_differences() {
        let scores: Vec<f32> = (0..21).map(|i| (i as f32 * 0.9).sin()).collect();
        let dp: Vec<f32> = (0..21).map(|i| (i as f32 * 1.7).cos()).collect();
        let probs = |scores: &[f32]| {
            let (mut probs, mut lse) = (scores.to_vec(), vec![0.0; 3]);
            forward(&mut probs, 7, 0.5, &mut lse);
            probs
        };
        let mut found = dp.clone();
        backward(&probs(&scores), &mut found, 7, 0.5);
        for at in 0..21 {
            let moved = |shift: f32| -> f32 {
                let mut scores = scores.clone();
                scores[at] += shift;
                probs(&scores).iter().zip(&dp).map(|(p, dp)| p * dp).sum()
            };
            let expected = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((found[at] - expected).abs() < 1e-4, "{at}: {} {expected}", found[at]);
        }
    }

    #[test]
    fn heads_lie_beside_each_other() {
        // B 1, two heads, three tokens, head dim 2; two parts.
        let a: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..12).map(|i| 100.0 + i as f32).collect();
        let mut out = vec![0.0; 24];
        to_tokens(&[&a, &b], [2, 3, 2], &mut out);
        assert_eq!(&out[..8], [0.0, 1.0, 6.0, 7.0, 100.0, 101.0, 106.0, 107.0]);
        assert_eq!(&out[16..20], [4.0, 5.0, 10.0, 11.0]);
    }
}
