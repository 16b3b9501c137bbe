//! A linear classifier on frozen features: multinomial logistic regression with an L2 penalty, as scikit-learn's
//! `LogisticRegression` (and so as VISSL and DINOv2's `eval/log_regression.py`) defines it.
//!
//! Minimises `sum of cross entropies + penalty / (2 C) · |W|²`, the bias unpunished, by L-BFGS (Nocedal and Wright,
//! algorithm 7.5) in double precision on the host: a few hundred features train in well under a second, also in a
//! browser. The penalty is 1; for two classes it is 2, which makes the two rows of weights each other's negative and
//! their difference scikit-learn's single row, since that one punishes only the difference.
//!
//! With fewer examples than dimensions the weights lie in the span of the examples (the representer theorem), so the same
//! problem is solved in that span's own coordinates: for 200 examples of 1024 numbers, a fifth of the work.

use std::collections::VecDeque;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Inverse strength of the penalty: large trusts the data, small keeps the weights small.
    pub c: f64,
    /// The largest component of the gradient of the mean loss at which training ends.
    pub tolerance: f64,
    /// Iterations at most.
    pub max_iterations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // C as scikit-learn; the tolerance is a hundredth of its, the iterations ten times.
        Self { c: 1.0, tolerance: 1e-6, max_iterations: 1000 }
    }
}

/// A trained classifier.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Linear {
    /// `[classes, dim]`.
    pub weight: Vec<f64>,
    /// `[classes]`.
    pub bias: Vec<f64>,
    /// Iterations made.
    pub iterations: usize,
    /// The largest component of the gradient at the end.
    pub gradient: f64,
}

/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;
/// Armijo's constant, and how often a step is halved.
const ARMIJO: f64 = 1e-4;
const HALVINGS: usize = 40;

/// Trains on features `[n, dim]` with labels below `classes`, beginning at `warm` where it is given (which changes the
/// way and not the end: there is one minimum).
///
/// # Panics
///
/// When lengths do not fit each other: shapes are ours.
pub fn train(
    features: &[f64],
    labels: &[u32],
    dim: usize,
    classes: usize,
    settings: &Settings,
    warm: Option<&Linear>,
) -> Linear {
    assert!(dim > 0 && features.len() == labels.len() * dim, "linear: {} numbers of width {dim}", features.len());
    assert!(labels.iter().all(|&label| (label as usize) < classes), "linear: a label beyond {classes} classes");
    if labels.len() < dim {
        let span = Span::of(features, dim);
        if span.rank > 0 {
            let warm = warm
                .filter(|warm| warm.weight.len() == classes * dim)
                .map(|warm| Linear { weight: span.inside(&warm.weight), ..warm.clone() });
            let inside = minimise(&span.coordinates, labels, span.rank, classes, settings, warm.as_ref());
            return Linear { weight: span.outside(&inside.weight), ..inside };
        }
    }
    minimise(features, labels, dim, classes, settings, warm)
}

/// L-BFGS itself.
fn minimise(
    features: &[f64],
    labels: &[u32],
    dim: usize,
    classes: usize,
    settings: &Settings,
    warm: Option<&Linear>,
) -> Linear {
    let problem = Problem { features, labels, dim, classes, c: settings.c };
    let mut at = vec![0.0; classes * (dim + 1)];
    if let Some(warm) = warm.filter(|warm| warm.weight.len() == classes * dim) {
        at[..classes * dim].copy_from_slice(&warm.weight);
        at[classes * dim..].copy_from_slice(&warm.bias);
    }
    let (mut value, mut gradient) = problem.evaluate(&at);
    let mut history: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::with_capacity(MEMORY);
    let mut iterations = 0;
    while largest(&gradient) > settings.tolerance && iterations < settings.max_iterations {
        iterations += 1;
        let direction = direction(&gradient, &history);
        let slope = dot(&direction, &gradient);
        let mut step = if history.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let mut moved = None;
        for _ in 0..HALVINGS {
            let next: Vec<f64> = at.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            let (next_value, next_gradient) = problem.evaluate(&next);
            if next_value <= value + ARMIJO * step * slope {
                moved = Some((next, next_value, next_gradient));
                break;
            }
            step *= 0.5;
        }
        // No step goes down any more: this is as far as the numbers reach.
        let Some((next, next_value, next_gradient)) = moved else { break };
        let s: Vec<f64> = next.iter().zip(&at).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let sy = dot(&s, &y);
        if sy > 1e-300 {
            if history.len() == MEMORY {
                history.pop_front();
            }
            history.push_back((s, y, 1.0 / sy));
        }
        (at, value, gradient) = (next, next_value, next_gradient);
    }
    let bias = at.split_off(classes * dim);
    Linear { weight: at, bias, iterations, gradient: largest(&gradient) }
}

impl Linear {
    /// Probabilities `[classes]` of one row of features `[dim]`.
    pub fn probabilities(&self, row: &[f64]) -> Vec<f64> {
        let scores: Vec<f64> =
            self.weight.chunks_exact(row.len()).zip(&self.bias).map(|(weight, bias)| dot(weight, row) + bias).collect();
        softmax(&scores)
    }
}

/// The span of a few rows, with coordinates at right angles, by a pivoted Cholesky decomposition of their products
/// (Golub and Van Loan, §4.2.8): `rows = coordinates · basis`, the basis orthonormal.
struct Span {
    /// `[n, rank]`.
    coordinates: Vec<f64>,
    /// The rows that span all others, `[rank, dim]`.
    pivots: Vec<f64>,
    /// Their coordinates, a lower triangle `[rank, rank]`.
    triangle: Vec<f64>,
    rank: usize,
    dim: usize,
}

impl Span {
    /// Directions whose square is below this share of the largest are rounding.
    const TINY: f64 = 1e-11;

    fn of(rows: &[f64], dim: usize) -> Self {
        let n = rows.len() / dim;
        let row = |index: usize| &rows[index * dim..][..dim];
        let mut gram = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                gram[i * n + j] = dot(row(i), row(j));
                gram[j * n + i] = gram[i * n + j];
            }
        }
        let mut rest: Vec<f64> = (0..n).map(|i| gram[i * n + i]).collect();
        let least = Self::TINY * largest(&rest);
        // A column a direction, `[n]` each.
        let (mut columns, mut chosen): (Vec<Vec<f64>>, Vec<usize>) = (Vec::new(), Vec::new());
        while columns.len() < n {
            let pivot = (0..n).max_by(|&a, &b| rest[a].total_cmp(&rest[b])).unwrap_or(0);
            if rest[pivot] <= least || chosen.contains(&pivot) {
                break;
            }
            let length = rest[pivot].sqrt();
            let column: Vec<f64> = (0..n)
                .map(|i| {
                    let known: f64 = columns.iter().map(|column| column[i] * column[pivot]).sum();
                    (gram[i * n + pivot] - known) / length
                })
                .collect();
            rest.iter_mut().zip(&column).for_each(|(rest, x)| *rest -= x * x);
            rest[pivot] = 0.0;
            chosen.push(pivot);
            columns.push(column);
        }
        let rank = columns.len();
        let coordinates: Vec<f64> = (0..n).flat_map(|i| columns.iter().map(move |column| column[i])).collect();
        let mut triangle = vec![0.0; rank * rank];
        for (i, &pivot) in chosen.iter().enumerate() {
            // Beyond the diagonal there is only rounding.
            triangle[i * rank..][..=i].copy_from_slice(&coordinates[pivot * rank..][..=i]);
        }
        let pivots = chosen.iter().flat_map(|&pivot| row(pivot).to_vec()).collect();
        Self { coordinates, pivots, triangle, rank, dim }
    }

    /// Weights `[classes, dim]` in the span's coordinates, `[classes, rank]`.
    fn inside(&self, weight: &[f64]) -> Vec<f64> {
        let rank = self.rank;
        let one = |weight: &[f64]| {
            let mut found = vec![0.0; rank];
            for i in 0..rank {
                let row = &self.triangle[i * rank..][..rank];
                let known: f64 = (0..i).map(|j| row[j] * found[j]).sum();
                found[i] = (dot(&self.pivots[i * self.dim..][..self.dim], weight) - known) / row[i];
            }
            found
        };
        weight.chunks_exact(self.dim).flat_map(one).collect()
    }

    /// The reverse, for weights that lie in the span.
    fn outside(&self, inside: &[f64]) -> Vec<f64> {
        let rank = self.rank;
        let one = |inside: &[f64]| {
            // The transposed triangle first, from its end, then the pivots' rows.
            let mut shares = inside.to_vec();
            for i in (0..rank).rev() {
                shares[i] /= self.triangle[i * rank + i];
                for j in 0..i {
                    shares[j] -= self.triangle[i * rank + j] * shares[i];
                }
            }
            let mut weight = vec![0.0; self.dim];
            for (share, row) in shares.iter().zip(self.pivots.chunks_exact(self.dim)) {
                weight.iter_mut().zip(row).for_each(|(weight, x)| *weight += share * x);
            }
            weight
        };
        inside.chunks_exact(rank).flat_map(one).collect()
    }
}

struct Problem<'a> {
    features: &'a [f64],
    labels: &'a [u32],
    dim: usize,
    classes: usize,
    c: f64,
}

impl Problem<'_> {
    /// Mean loss with its penalty, and the gradient by weights, then biases.
    fn evaluate(&self, at: &[f64]) -> (f64, Vec<f64>) {
        let (weight, bias) = at.split_at(self.classes * self.dim);
        let share = 1.0 / self.labels.len().max(1) as f64;
        let punish = if self.classes == 2 { 2.0 } else { 1.0 } / self.c * share;
        let mut gradient = vec![0.0; at.len()];
        let (by_weight, by_bias) = gradient.split_at_mut(weight.len());
        let mut loss = 0.0;
        for (row, &label) in self.features.chunks_exact(self.dim).zip(self.labels) {
            let scores: Vec<f64> =
                weight.chunks_exact(self.dim).zip(bias).map(|(weight, bias)| dot(weight, row) + bias).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
            loss += most + sum.ln() - scores[label as usize];
            for (class, score) in scores.iter().enumerate() {
                let excess = (score - most).exp() / sum - f64::from(u8::from(class == label as usize));
                by_bias[class] += excess * share;
                let by = &mut by_weight[class * self.dim..][..self.dim];
                by.iter_mut().zip(row).for_each(|(by, x)| *by += excess * share * x);
            }
        }
        by_weight.iter_mut().zip(weight).for_each(|(by, w)| *by += punish * w);
        (loss * share + 0.5 * punish * dot(weight, weight), gradient)
    }
}

/// L-BFGS's two loops.
fn direction(gradient: &[f64], history: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(history.len());
    for (s, y, rho) in history.iter().rev() {
        let alpha = rho * dot(s, &q);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((s, y, _)) = history.back() {
        let scale = dot(s, y) / dot(y, y).max(1e-300);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((s, y, rho), alpha) in history.iter().zip(alphas.into_iter().rev()) {
        let beta = rho * dot(y, &q);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q
}

/// Four sums at once, which a compiler turns into vectors.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (whole_a, whole_b) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = whole_a.remainder().iter().zip(whole_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in whole_a.zip(whole_b) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| if value.abs() > most { value.abs() } else { most })
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// Mean and deviation of each dimension, as scikit-learn's `StandardScaler`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scaler {
    /// `[dim]`.
    pub mean: Vec<f64>,
    /// `[dim]`; 1 where a dimension does not vary.
    pub std: Vec<f64>,
}

impl Scaler {
    /// Of the rows `[n, dim]` that `rows` names.
    pub fn fit(features: &[f32], dim: usize, rows: &[usize]) -> Self {
        let n = rows.len().max(1) as f64;
        let row = |index: &usize| &features[index * dim..][..dim];
        let mut mean = vec![0.0; dim];
        for index in rows {
            mean.iter_mut().zip(row(index)).for_each(|(mean, &x)| *mean += f64::from(x) / n);
        }
        let mut std = vec![0.0; dim];
        for index in rows {
            std.iter_mut().zip(row(index)).zip(&mean).for_each(|((s, &x), m)| *s += (f64::from(x) - m).powi(2) / n);
        }
        // scikit-learn's own bound below which a spread is taken for rounding.
        let bound = |m: f64| 10.0 * f64::EPSILON * m.abs().max(1.0);
        let std = std.iter().zip(&mean).map(|(s, m)| if s.sqrt() > bound(*m) { s.sqrt() } else { 1.0 }).collect();
        Self { mean, std }
    }

    /// Leaves features as they are.
    pub fn none(dim: usize) -> Self {
        Self { mean: vec![0.0; dim], std: vec![1.0; dim] }
    }

    /// One row `[dim]`, standardised.
    pub fn apply(&self, row: &[f32]) -> Vec<f64> {
        row.iter().zip(&self.mean).zip(&self.std).map(|((&x, mean), std)| (f64::from(x) - mean) / std).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_the_slope() {
        let features: Vec<f64> = (0..20).map(|i| f64::from(i * 7 % 11) / 5.0 - 1.0).collect();
        let labels = [0, 1, 2, 1, 0];
        let problem = Problem { features: &features, labels: &labels, dim: 4, classes: 3, c: 0.7 };
        let at: Vec<f64> = (0..15).map(|i| f64::from(i) * 0.05 - 0.3).collect();
        let (_, gradient) = problem.evaluate(&at);
        for index in 0..at.len() {
            let value = |offset: f64| {
                let mut moved = at.clone();
                moved[index] += offset;
                problem.evaluate(&moved).0
            };
            let slope = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!((slope - gradient[index]).abs() < 1e-8, "{index}: {slope} and {}", gradient[index]);
        }
    }

    #[test]
    fn a_start_elsewhere_ends_at_the_same_place() {
        let features: Vec<f64> = (0..60).map(|i| (f64::from(i) * 0.7).sin()).collect();
        let labels: Vec<u32> = (0..20).map(|i| i % 3).collect();
        let settings = Settings { tolerance: 1e-10, ..Settings::default() };
        let cold = train(&features, &labels, 3, 3, &settings, None);
        let other = train(&features, &labels, 3, 3, &Settings { c: 50.0, ..settings }, None);
        let warm = train(&features, &labels, 3, 3, &settings, Some(&other));
        for (a, b) in cold.weight.iter().zip(&warm.weight) {
            assert!((a - b).abs() < 1e-7, "{a} and {b}");
        }
        assert!(cold.gradient <= 1e-10 && cold.iterations < 100, "{cold:?}");
    }

    #[test]
    fn in_the_span_of_few_examples_the_answer_is_the_same() {
        // Rank 4 of 5 rows, in 9 dimensions.
        let mut features: Vec<f64> = (0..36).map(|i| (f64::from(i * i) * 0.37).sin()).collect();
        let sum: Vec<f64> = (0..9).map(|i| features[i] - 2.0 * features[18 + i]).collect();
        features.extend(sum);
        let labels = [0, 1, 0, 2, 1];
        let settings = Settings { tolerance: 1e-11, ..Settings::default() };
        let (few, all) =
            (train(&features, &labels, 9, 3, &settings, None), minimise(&features, &labels, 9, 3, &settings, None));
        let error = |a: &[f64], b: &[f64]| largest(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>());
        assert!(error(&few.weight, &all.weight) < 1e-7 && error(&few.bias, &all.bias) < 1e-7, "{few:?} {all:?}");
        let span = Span::of(&features, 9);
        assert_eq!(span.rank, 4);
        assert!(error(&span.outside(&span.inside(&few.weight)), &few.weight) < 1e-9);
        let again = train(&features, &labels, 9, 3, &settings, Some(&few));
        assert!(again.iterations <= 1 && error(&again.weight, &few.weight) < 1e-9, "{}", again.iterations);
    }

    #[test]
    fn a_dimension_that_does_not_vary_is_no_danger() {
        let scaler = Scaler::fit(&[1.0, 5.0, 3.0, 5.0], 2, &[0, 1]);
        assert_eq!(scaler, Scaler { mean: vec![2.0, 5.0], std: vec![1.0, 1.0] });
        assert_eq!(scaler.apply(&[3.0, 6.0]), [1.0, 1.0]);
    }
}
