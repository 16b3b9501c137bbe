//! k-nearest-neighbour classification as DINOv2 evaluates it (`eval/knn.py`; webssl specification §5.1).
//!
//! Features of length 1, cosine; the votes of the nearest are weighted by a softmax of their cosines over 0.07, taken
//! over the largest k; for a smaller k the first of them count.

use burn::tensor::{Device, Tensor, TensorData};

use crate::device::readback;
use crate::error::DeviceError;
use crate::kernels::matmul::matmul;

/// Temperature of the votes.
const TEMPERATURE: f64 = 0.07;
/// Queries compared at once.
const ROWS: usize = 256;

/// Share of features `[n, dim]` whose class the `neighbours` nearest others vote for, by cosine and plain majority; on the
/// host, for a few hundred of them.
pub fn leave_one_out(features: &[f32], dim: usize, labels: &[u32], neighbours: usize) -> f64 {
    let rows = unit(features, dim);
    let row = |index: usize| &rows[index * dim..][..dim];
    let classes = labels.iter().max().map_or(0, |&most| most as usize + 1);
    let right = (0..labels.len()).filter(|&query| {
        let cosine = |other: usize| row(query).iter().zip(row(other)).map(|(a, b)| a * b).sum::<f32>();
        let others = (0..labels.len()).filter(|&other| other != query);
        let mut others: Vec<(f32, usize)> = others.map(|other| (cosine(other), other)).collect();
        others.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut votes = vec![0usize; classes];
        others.iter().take(neighbours).for_each(|&(_, other)| votes[labels[other] as usize] += 1);
        // Of equal votes the class of the nearest wins.
        let most = votes.iter().copied().max().unwrap_or(0);
        let mut nearest = others.iter().take(neighbours).map(|&(_, other)| labels[other]);
        nearest.find(|&label| votes[label as usize] == most) == Some(labels[query])
    });
    right.count() as f64 / labels.len().max(1) as f64
}

/// Features with their classes, on the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labelled {
    /// `[n, dim]`.
    pub features: Vec<f32>,
    /// `[n]`.
    pub labels: Vec<u32>,
    /// Width of a feature.
    pub dim: usize,
}

/// Share of the queries whose class is found, for each k of `neighbours`.
///
/// # Errors
///
/// The device's.
pub async fn knn(
    bank: &Labelled,
    queries: &Labelled,
    neighbours: &[usize],
    device: &Device,
) -> Result<Vec<f64>, DeviceError> {
    assert!(bank.dim == queries.dim && bank.dim > 0, "knn: widths {} and {}", bank.dim, queries.dim);
    let classes = bank.labels.iter().chain(&queries.labels).max().map_or(0, |&most| most as usize + 1);
    let most = neighbours.iter().copied().max().unwrap_or(0).min(bank.labels.len());
    let mut right = vec![0usize; neighbours.len()];
    let upload = |values: &[f32]| {
        let rows = values.len() / bank.dim;
        Tensor::<2>::from_data(TensorData::new(unit(values, bank.dim), [rows, bank.dim]), device)
    };
    let all = upload(&bank.features).transpose().unsqueeze::<4>(); // [1, 1, dim, n]
    for (features, labels) in queries.features.chunks(ROWS * bank.dim).zip(queries.labels.chunks(ROWS)) {
        let cosines = readback(matmul(upload(features).unsqueeze::<4>(), all.clone())).await?;
        for (cosines, &label) in cosines.chunks_exact(bank.labels.len()).zip(labels) {
            let votes = votes(cosines, most);
            for (k, right) in neighbours.iter().zip(&mut right) {
                let mut scores = vec![0.0; classes];
                for &(index, weight) in votes.iter().take(*k) {
                    scores[bank.labels[index] as usize] += weight;
                }
                let best = (0..classes).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)));
                *right += usize::from(best == Some(label as usize));
            }
        }
    }
    Ok(right.into_iter().map(|right| right as f64 / queries.labels.len().max(1) as f64).collect())
}

/// The votes of the `k` nearest of `bank` (rows of length 1, see [`unit`]) for each class, as shares of 1, on the host:
/// for a few images, and for one that must not vote for itself, `skip`.
pub fn classify(bank: &Labelled, query: &[f32], k: usize, classes: usize, skip: Option<usize>) -> Vec<f64> {
    let query = unit(query, bank.dim);
    let mut cosines: Vec<f32> = bank.features.chunks_exact(bank.dim).map(|row| dot(row, &query)).collect();
    if let Some(own) = skip {
        cosines[own] = f32::NEG_INFINITY;
    }
    let others = cosines.len() - usize::from(skip.is_some());
    let mut scores = vec![0.0; classes];
    for (index, weight) in votes(&cosines, k.min(others)) {
        scores[bank.labels[index] as usize] += weight;
    }
    scores
}

/// Eight sums at once, which a compiler turns into vectors.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (whole_a, whole_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = whole_a.remainder().iter().zip(whole_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in whole_a.zip(whole_b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The `count` nearest with their weights, nearest first.
fn votes(cosines: &[f32], count: usize) -> Vec<(usize, f64)> {
    let mut order: Vec<usize> = (0..cosines.len()).collect();
    let nearer = |&a: &usize, &b: &usize| cosines[b].total_cmp(&cosines[a]).then(a.cmp(&b));
    if count < order.len() {
        order.select_nth_unstable_by(count, nearer);
        order.truncate(count);
    }
    order.sort_by(nearer);
    let most = order.first().map_or(0.0, |&first| f64::from(cosines[first]));
    let weights: Vec<f64> = order.iter().map(|&i| ((f64::from(cosines[i]) - most) / TEMPERATURE).exp()).collect();
    let total: f64 = weights.iter().sum();
    order.into_iter().zip(weights.into_iter().map(|weight| weight / total)).collect()
}

/// Rows of length 1.
pub fn unit(values: &[f32], dim: usize) -> Vec<f32> {
    let mut values = values.to_vec();
    for row in values.chunks_exact_mut(dim) {
        let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1e-12);
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_does_not_vote_for_oneself() {
        let features = unit(&[1.0, 0.0, 0.9, 0.1, 0.0, 1.0, 0.1, 0.9], 2);
        let bank = Labelled { features, labels: vec![0, 1, 1, 1], dim: 2 };
        assert_eq!(classify(&bank, &[2.0, 0.0], 1, 2, None), [1.0, 0.0]);
        assert_eq!(classify(&bank, &[2.0, 0.0], 1, 2, Some(0)), [0.0, 1.0]);
        let all = classify(&bank, &[2.0, 0.0], 9, 2, Some(0));
        assert!((all[1] - 1.0).abs() < 1e-12 && all[0] == 0.0, "{all:?}");
    }

    #[test]
    fn the_nearest_vote_by_their_cosine() {
        let votes = votes(&[0.1, 0.9, 0.5, 0.9], 3);
        assert_eq!(votes.iter().map(|vote| vote.0).collect::<Vec<_>>(), [1, 3, 2]);
        let weights: Vec<f64> = votes.iter().map(|vote| vote.1).collect();
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((weights[2] / weights[0] - (-0.4f64 / 0.07).exp()).abs() < 1e-6, "{weights:?}");
    }
}
