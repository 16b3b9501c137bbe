//! Which embeddings lie nearest: the cosine of one with all others, on the host.
//!
//! An embedding is a few kilobytes and comes home once anyway; ten thousand of them compare in milliseconds.

/// Cosine of two vectors of one length; 0 when one of them is zero.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { (dot(a, b) / norms) as f32 } else { 0.0 }
}

/// The `count` candidates of largest cosine with `query`, nearest first; equal cosines in the candidates' order.
pub fn nearest<'a, K: Copy>(
    query: &[f32],
    candidates: impl Iterator<Item = (K, &'a [f32])>,
    count: usize,
) -> Vec<(K, f32)> {
    let mut found: Vec<(K, f32)> = candidates.map(|(key, vector)| (key, cosine(query, vector))).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found.truncate(count);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_by_hand() {
        let check = |a: &[f32], b: &[f32], expected: f32| {
            assert!((cosine(a, b) - expected).abs() < 1e-6, "{a:?} {b:?}: {}", cosine(a, b));
        };
        check(&[1.0, 0.0], &[3.0, 0.0], 1.0);
        check(&[1.0, 0.0], &[0.0, 2.0], 0.0);
        check(&[1.0, 1.0], &[-2.0, -2.0], -1.0);
        check(&[1.0, 0.0], &[1.0, 1.0], std::f32::consts::FRAC_1_SQRT_2);
        check(&[0.0, 0.0], &[1.0, 1.0], 0.0);
    }

    #[test]
    fn nearest_first_and_no_more_than_asked() {
        let vectors = [[0.0, 1.0], [1.0, 0.1], [-1.0, 0.0], [1.0, 1.0]];
        let candidates = || vectors.iter().enumerate().map(|(key, vector)| (key, vector.as_slice()));
        let keys = |found: Vec<(usize, f32)>| found.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(keys(nearest(&[1.0, 0.0], candidates(), 9)), [1, 3, 0, 2]);
        assert_eq!(keys(nearest(&[1.0, 0.0], candidates(), 2)), [1, 3]);
        assert!(nearest(&[1.0, 0.0], candidates(), 0).is_empty());
    }
}
