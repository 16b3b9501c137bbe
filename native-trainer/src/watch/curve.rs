//! A curve of any length in bounded memory: neighbouring points share a bucket that keeps their least, mean and most.
//!
//! When all buckets are full, pairs become one and each takes twice as many points from then on.
//! So a million steps cost what a thousand cost, and no spike is lost.

/// Most buckets of a curve; even, since pairs are merged.
const MOST: usize = 1024;

/// Neighbouring points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    /// Where the first lies.
    pub(crate) from: f64,
    /// Where the last lies.
    pub(crate) to: f64,
    /// How many they are.
    pub(crate) count: u64,
    /// Least value.
    pub(crate) min: f64,
    /// Greatest value.
    pub(crate) max: f64,
    sum: f64,
}

impl Bucket {
    /// Mean value.
    pub(crate) fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The middle of where its points lie.
    pub(crate) fn x(&self) -> f64 {
        (self.from + self.to) / 2.0
    }

    fn add(&mut self, next: &Self) {
        self.to = next.to;
        self.count += next.count;
        self.sum += next.sum;
        self.min = self.min.min(next.min);
        self.max = self.max.max(next.max);
    }
}

/// Points in the order of their coming, x rising.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    buckets: Vec<Bucket>,
    /// Points of a full bucket.
    room: u64,
    last: Option<(f64, f64)>,
}

impl Default for Curve {
    fn default() -> Self {
        Self { buckets: Vec::new(), room: 1, last: None }
    }
}

impl Curve {
    /// Appends a point. Left out are one that is not finite, and one that does not lie beyond the last: a run that
    /// goes on may look once more where it looked before.
    pub(crate) fn push(&mut self, x: f64, y: f64) {
        if !x.is_finite() || !y.is_finite() || self.last.is_some_and(|(last, _)| x <= last) {
            return;
        }
        self.last = Some((x, y));
        let point = Bucket { from: x, to: x, count: 1, min: y, max: y, sum: y };
        if let Some(bucket) = self.buckets.last_mut().filter(|bucket| bucket.count < self.room) {
            bucket.add(&point);
            return;
        }
        if self.buckets.len() == MOST {
            self.buckets = merged(&self.buckets, 2);
            self.room *= 2;
        }
        self.buckets.push(point);
    }

    /// The last point.
    pub(crate) fn last(&self) -> Option<(f64, f64)> {
        self.last
    }

    /// Whether no point came yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The whole curve in at most `most` buckets.
    pub(crate) fn thinned(&self, most: usize) -> Vec<Bucket> {
        merged(&self.buckets, self.buckets.len().div_ceil(most.max(1)).max(1))
    }
}

/// Every `share` neighbours as one.
fn merged(buckets: &[Bucket], share: usize) -> Vec<Bucket> {
    let one = |group: &[Bucket]| {
        let mut all = group[0];
        group[1..].iter().for_each(|bucket| all.add(bucket));
        all
    };
    buckets.chunks(share).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_spikes_and_its_mean() {
        let mut curve = Curve::default();
        for step in 0..1_000_000_u64 {
            curve.push(step as f64, if step == 123_456 { 9.0 } else { 1.0 });
        }
        for most in [MOST, 300, 7, 1] {
            let buckets = curve.thinned(most);
            assert!(buckets.len() <= most && !buckets.is_empty());
            assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 1_000_000);
            assert_eq!(buckets.iter().filter(|bucket| bucket.max == 9.0).count(), 1);
            assert!(buckets.windows(2).all(|pair| pair[0].to < pair[1].from), "buckets overlap");
        }
        let whole = curve.thinned(1)[0];
        assert_eq!((whole.from, whole.to, whole.min), (0.0, 999_999.0, 1.0));
        assert_eq!(whole.mean(), 1.000_008); // a million ones and eight
        assert_eq!(curve.last(), Some((999_999.0, 1.0)));
    }

    #[test]
    fn a_short_curve_is_kept_as_it_is() {
        let mut curve = Curve::default();
        for (x, y) in [(0.0, 2.0), (1.0, f64::NAN), (2.0, f64::INFINITY), (5.0, 4.0), (5.0, 9.0)] {
            curve.push(x, y);
        }
        let points: Vec<_> = curve.thinned(100).iter().map(|bucket| (bucket.x(), bucket.mean())).collect();
        assert_eq!(points, [(0.0, 2.0), (5.0, 4.0)]);
    }
}
