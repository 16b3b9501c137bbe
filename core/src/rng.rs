//! Named, counter-based streams of chance: `rng.stream("mask", step)`.
//!
//! A stream is a function of seed, name and index alone. Nothing is carried from one use to the next, so a run that
//! resumes, a run in a browser and a run that skips a bad image draw the same crops and masks for the same step.
//! The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): one 64-bit mix of a counter.

/// The root of all streams of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rng {
    seed: u64,
}

impl Rng {
    /// All streams of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream of a name and an index (a step, an image, a crop).
    pub fn stream(self, name: &str, index: u64) -> Stream {
        // FNV-1a over the name, then two mixes: neighbouring indices start far apart.
        let name = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Stream { key: mix(mix(self.seed ^ name).wrapping_add(index.wrapping_mul(GOLDEN))), counter: 0 }
    }
}

/// Numbers in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    key: u64,
    counter: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Stream {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.counter += 1;
        mix(self.key.wrapping_add(self.counter.wrapping_mul(GOLDEN)))
    }

    /// Evenly from 0 up to, but never, 1.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly from `low` up to `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A whole number below `count`, which must not be 0.
    pub fn below(&mut self, count: usize) -> usize {
        assert!(count > 0, "a number below 0 does not exist");
        // The high half of the product: the bias is below count / 2^64.
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// A standard normal deviate, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Puts the items in a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_name_and_index_and_nothing_else() {
        let first = |seed, name, index| Rng::new(seed).stream(name, index).bits();
        assert_eq!(first(1, "mask", 2), first(1, "mask", 2));
        let all = [first(1, "mask", 2), first(2, "mask", 2), first(1, "crop", 2), first(1, "mask", 3)];
        for (place, value) in all.iter().enumerate() {
            assert!(!all[..place].contains(value));
        }
        // Pinned: a run of last year resumes today, and natively as in a browser.
        assert_eq!(Rng::new(0).stream("mask", 0).bits(), PINNED);
    }

    const PINNED: u64 = 0xa145_0093_59c4_a2d5;

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut stream = Rng::new(3).stream("moments", 0);
        let n = 100_000;
        let check = |name: &str, values: Vec<f64>, mean: f64, variance: f64| {
            let found = values.iter().sum::<f64>() / n as f64;
            let spread = values.iter().map(|value| (value - found).powi(2)).sum::<f64>() / n as f64;
            // Five standard errors of the mean, and the same order for the variance.
            let error = 5.0 * (variance / n as f64).sqrt();
            assert!((found - mean).abs() < error, "{name}: mean {found}");
            assert!((spread - variance).abs() < 0.03 * variance, "{name}: variance {spread}");
        };
        check("uniform", (0..n).map(|_| stream.uniform()).collect(), 0.5, 1.0 / 12.0);
        check("normal", (0..n).map(|_| stream.normal()).collect(), 0.0, 1.0);
        check("below", (0..n).map(|_| stream.below(6) as f64).collect(), 2.5, 35.0 / 12.0);
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..100).collect();
        Rng::new(9).stream("shuffle", 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
