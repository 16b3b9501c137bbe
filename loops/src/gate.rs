//! SwiGLU's gate, `silu(a) * b` with `[a | b] = x + bias`, and its gradients.
//!
//! Shazeer, arXiv 2002.05202. A row of x is one of a's and one of b's numbers, side by side.

use crate::math::sigmoid;
use crate::split::{Loop, total, vector_rows};

/// `y = silu(a) * b`: x `[rows, 2 dim]`, bias `[2 dim]`, y `[rows, dim]`.
pub fn forward(x: &[f32], bias: &[f32], y: &mut [f32]) {
    assert!(bias.len().is_multiple_of(2) && x.len() == 2 * y.len(), "gate: x, bias and y");
    vector_rows([y], [bias.len() / 2], Forward { x, bias });
}

/// The gradients of x `[rows, 2 dim]` and of the bias `[2 dim]` from that of the output, `[rows, dim]`.
pub fn backward(x: &[f32], bias: &[f32], dy: &[f32], dx: &mut [f32], dbias: &mut [f32]) {
    assert!(x.len() == 2 * dy.len() && x.len() == dx.len() && bias.len() == dbias.len(), "gate: gradients");
    let sums = vector_rows([dx], [bias.len()], Backward { x, bias, dy });
    total(sums, dbias);
}

struct Forward<'a> {
    x: &'a [f32],
    bias: &'a [f32],
}

impl Loop<1> for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run(&self, start: usize, [y]: [&mut [f32]; 1]) {
        let dim = self.bias.len() / 2;
        let (bias_a, bias_b) = self.bias.split_at(dim);
        let x = &self.x[start * 2 * dim..][..2 * y.len()];
        for (y, x) in y.chunks_exact_mut(dim).zip(x.chunks_exact(2 * dim)) {
            let (a, b) = x.split_at(dim);
            for ((((y, &a), &b), &bias_a), &bias_b) in y.iter_mut().zip(a).zip(b).zip(bias_a).zip(bias_b) {
                let gate = a + bias_a;
                *y = gate * sigmoid(gate) * (b + bias_b);
            }
        }
    }
}

struct Backward<'a> {
    x: &'a [f32],
    bias: &'a [f32],
    dy: &'a [f32],
}

impl Loop<1> for Backward<'_> {
    /// The bias's share of these rows.
    type Output = Vec<f32>;

    #[inline(always)]
    fn run(&self, start: usize, [dx]: [&mut [f32]; 1]) -> Vec<f32> {
        let width = self.bias.len();
        let dim = width / 2;
        let (bias_a, bias_b) = self.bias.split_at(dim);
        let x = &self.x[start * width..][..dx.len()];
        let dy = &self.dy[start * dim..][..dx.len() / 2];
        let mut sum = vec![0.0; width];
        let (sum_a, sum_b) = sum.split_at_mut(dim);
        // All of one length, so that the compiler need not ask at each number.
        let (bias_b, sum_b) = (&bias_b[..dim], &mut sum_b[..dim]);
        for ((dx, x), dy) in dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(dy.chunks_exact(dim)) {
            let (a, b) = x.split_at(dim);
            let (da, db) = dx.split_at_mut(dim);
            let (b, db) = (&b[..dim], &mut db[..dim]);
            for column in 0..dim {
                let dy = dy[column];
                let (gate, value) = (a[column] + bias_a[column], b[column] + bias_b[column]);
                let s = sigmoid(gate);
                let (of_gate, of_value) = (dy * value * s * (1.0 + gate * (1.0 - s)), dy * gate * s);
                (da[column], db[column]) = (of_gate, of_value);
                sum_a[column] += of_gate;
                sum_b[column] += of_value;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIM: usize = 3;
    const ROWS: usize = 20;

    fn operands() -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let x = (0..ROWS * 2 * DIM).map(|i| (i * 37 % 101) as f32 * 0.08 - 4.0).collect();
        let dy = (0..ROWS * DIM).map(|i| (i % 7) as f32 - 3.0).collect();
        (x, vec![0.3, -0.2, 0.0, 0.1, 0.5, -0.4], dy)
    }

    #[test]
    fn values_by_their_formula() {
        let (x, bias, _) = operands();
        let mut y = vec![0.0; ROWS * DIM];
        forward(&x, &bias, &mut y);
        for row in 0..ROWS {
            for column in 0..DIM {
                let at = row * 2 * DIM + column;
                let (a, b) = (f64::from(x[at] + bias[column]), f64::from(x[at + DIM] + bias[DIM + column]));
                let expected = a / (1.0 + (-a).exp()) * b;
                assert!((f64::from(y[row * DIM + column]) - expected).abs() < 5e-6, "row {row}, column {column}");
            }
        }
    }

    #[test]
    fn gradients_are_differences() {
        let (x, bias, dy) = operands();
        let (mut dx, mut dbias) = (vec![0.0; x.len()], vec![0.0; bias.len()]);
        backward(&x, &bias, &dy, &mut dx, &mut dbias);
        let at = |index: usize, shift: f32| {
            let (mut moved, mut y) = (x.clone(), vec![0.0; ROWS * DIM]);
            moved[index] += shift;
            forward(&moved, &bias, &mut y);
            y.iter().zip(&dy).map(|(y, dy)| f64::from(y * dy)).sum::<f64>()
        };
        for (index, &found) in dx.iter().enumerate() {
            let expected = (at(index, 1e-2) - at(index, -1e-2)) / 2e-2;
            // The difference's own error: a third derivative of size one, and f32 sums.
            assert!((f64::from(found) - expected).abs() < 2e-3, "{index}: {found} {expected}");
        }
        for (column, sum) in dbias.iter().enumerate() {
            let expected: f32 = dx.iter().skip(column).step_by(2 * DIM).sum();
            assert!((sum - expected).abs() < 1e-4);
        }
    }

    #[test]
    fn nan_stays() {
        let mut y = [0.0];
        for x in [[f32::NAN, 1.0], [1.0, f32::NAN]] {
            forward(&x, &[0.0, 0.0], &mut y);
            assert!(y[0].is_nan(), "{x:?}");
        }
    }
}
