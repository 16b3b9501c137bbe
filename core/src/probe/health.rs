//! How well features are, without labels: their rank, their spread.
//!
//! RankMe: Garrido et al., arXiv 2210.02885, eq. 1: the exponential of the entropy of the singular values. A collapsed
//! representation has rank 1; an evenly used one has the number of its dimensions.

/// RankMe of features `[n, dim]`, from 1 to `min(n, dim)`; on the host, in double precision.
///
/// The singular values are the roots of the eigenvalues of the smaller of `X Xᵀ` and `Xᵀ X`; use a few hundred rows.
pub fn rankme(features: &[f32], dim: usize) -> f64 {
    assert!(dim > 0 && features.len().is_multiple_of(dim), "rankme: {} numbers of width {dim}", features.len());
    let n = features.len() / dim;
    let row = |index: usize| &features[index * dim..][..dim];
    let size = n.min(dim);
    let mut gram = vec![0.0; size * size];
    for i in 0..size {
        for j in 0..=i {
            let dot: f64 = match n <= dim {
                true => row(i).iter().zip(row(j)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum(),
                false => (0..n).map(|r| f64::from(row(r)[i]) * f64::from(row(r)[j])).sum(),
            };
            gram[i * size + j] = dot;
            gram[j * size + i] = dot;
        }
    }
    let singular: Vec<f64> = eigenvalues(gram, size).into_iter().map(|value| value.max(0.0).sqrt()).collect();
    let total: f64 = singular.iter().sum();
    if total <= 0.0 {
        return 1.0;
    }
    // 1e-7: the paper's epsilon for single precision.
    let entropy: f64 = singular.iter().map(|value| value / total + 1e-7).map(|p| -p * p.ln()).sum();
    entropy.exp()
}

/// Mean over dimensions of the standard deviation of features `[n, dim]` scaled to length 1, times `sqrt(dim)`: 1 for
/// features that point everywhere, 0 for features that are all alike (SimSiam's figure, arXiv 2011.10566, §4.1).
pub fn feature_std(features: &[f32], dim: usize) -> f64 {
    let rows: Vec<Vec<f64>> = features
        .chunks_exact(dim)
        .map(|row| {
            let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(1e-12);
            row.iter().map(|&x| f64::from(x) / norm).collect()
        })
        .collect();
    let n = rows.len().max(1) as f64;
    let deviation = |column: usize| {
        let mean = rows.iter().map(|row| row[column]).sum::<f64>() / n;
        (rows.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    (0..dim).map(deviation).sum::<f64>() / dim as f64 * (dim as f64).sqrt()
}

/// Eigenvalues of a symmetric matrix `[n, n]` by Jacobi's rotations (Golub and Van Loan, §8.5).
fn eigenvalues(mut a: Vec<f64>, n: usize) -> Vec<f64> {
    let scale: f64 = a.iter().map(|value| value * value).sum();
    for _sweep in 0..50 {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i * n + j].powi(2)).sum();
        if off <= 1e-18 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let apq = a[p * n + q];
                if apq.abs() <= 1e-300 {
                    continue;
                }
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (kp, kq) = (a[k * n + p], a[k * n + q]);
                    a[k * n + p] = c * kp - s * kq;
                    a[k * n + q] = s * kp + c * kq;
                }
                for k in 0..n {
                    let (pk, qk) = (a[p * n + k], a[q * n + k]);
                    a[p * n + k] = c * pk - s * qk;
                    a[q * n + k] = s * pk + c * qk;
                }
            }
        }
    }
    (0..n).map(|i| a[i * n + i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn noise(n: usize, dim: usize) -> Vec<f32> {
        let mut stream = Rng::new(1).stream("noise", 0);
        (0..n * dim).map(|_| stream.normal() as f32).collect()
    }

    #[test]
    fn rank_is_one_when_collapsed_and_the_dimension_when_even() {
        let collapsed: Vec<f32> = (0..40).flat_map(|_| [1.0, 2.0, 3.0, 4.0]).collect();
        assert!((rankme(&collapsed, 4) - 1.0).abs() < 1e-3);
        assert!(feature_std(&collapsed, 4) < 1e-6);
        let even: Vec<f32> = (0..8).flat_map(|i| (0..8).map(move |j| f32::from(u8::from(i == j)))).collect();
        assert!((rankme(&even, 8) - 8.0).abs() < 1e-3);
        let random = noise(400, 16);
        assert!(rankme(&random, 16) > 15.0, "{}", rankme(&random, 16));
        assert!((feature_std(&random, 16) - 1.0).abs() < 0.05, "{}", feature_std(&random, 16));
    }

    #[test]
    fn wide_and_tall_agree() {
        // The singular values of a matrix are those of its transpose.
        let tall = noise(12, 5);
        let wide: Vec<f32> =
            (0..5).flat_map(|column| (0..12).map(move |row| (row, column))).map(|(r, c)| tall[r * 5 + c]).collect();
        assert!((rankme(&tall, 5) - rankme(&wide, 12)).abs() < 1e-4);
    }

    #[test]
    fn eigenvalues_by_hand() {
        let mut found = eigenvalues(vec![2.0, 1.0, 1.0, 2.0], 2);
        found.sort_by(f64::total_cmp);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] - 3.0).abs() < 1e-12, "{found:?}");
    }
}
