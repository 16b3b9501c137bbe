//! In which order images are seen: every epoch all of them once, in an order of its own, without end.
//!
//! The order is computed, not stored: a Feistel network (Luby and Rackoff, 1988) turns the numbers of a power of four
//! around among themselves, and what lands beyond the last image is turned again until it falls within (Black and
//! Rogaway's "cycle walking", 2002). So a run over two billion images keeps two numbers, and the only state is how many
//! draws were made: a run resumes by going on from there.
//!
//! A draw whose image turns out bad is passed over: the batch takes the next draws, and the cursor stands behind the
//! last draw looked at. So whether an image is bad changes which images a batch holds, and never how an image is
//! cropped: crops follow the number of the draw.

use crate::rng::Rng;

/// Rounds of the network; four are the least that theory asks for.
const ROUNDS: usize = 8;
/// Least bits of a half: the network turns too few numbers around badly.
const MIN_HALF_BITS: u32 = 4;

/// The order of a run's images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    rng: Rng,
    images: u64,
    half_bits: u32,
}

impl Sampler {
    /// The order of `images` images for a seed.
    ///
    /// # Panics
    /// If there is no image, or more than 2^62.
    pub fn new(seed: u64, images: u64) -> Self {
        assert!((1..=1 << 62).contains(&images), "an order of {images} images");
        let bits = u64::BITS - (images - 1).leading_zeros();
        Self { rng: Rng::new(seed), images, half_bits: bits.div_ceil(2).max(MIN_HALF_BITS) }
    }

    /// Number of images.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// The image of a draw, below [`Self::images`]; draws are numbered from the beginning of the run.
    pub fn draw(&self, index: u64) -> u64 {
        let mut stream = self.rng.stream("epoch", index / self.images);
        let keys: [u64; ROUNDS] = std::array::from_fn(|_| stream.bits());
        let mut place = index % self.images;
        loop {
            place = self.permute(place, &keys);
            if place < self.images {
                return place;
            }
        }
    }

    /// One turn of the network over `2 * half_bits` bits.
    fn permute(&self, place: u64, keys: &[u64; ROUNDS]) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (place >> self.half_bits, place & mask);
        for &key in keys {
            // The function of a round is a stream of chance of its own.
            let noise = Rng::new(key).stream("round", right).bits();
            (left, right) = (right, left ^ (noise & mask));
        }
        left << self.half_bits | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_holds_every_image_once() {
        for images in [1, 2, 3, 8, 100, 255, 256, 257, 5000] {
            let sampler = Sampler::new(7, images);
            let epoch = |e: u64| (e * images..(e + 1) * images).map(|index| sampler.draw(index)).collect::<Vec<_>>();
            let (first, second) = (epoch(0), epoch(1));
            for order in [&first, &second] {
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..images).collect::<Vec<_>>(), "{images} images");
            }
            assert!(images < 8 || (first != second && first != epoch_of(Sampler::new(8, images))), "{images} images");
        }
    }

    fn epoch_of(sampler: Sampler) -> Vec<u64> {
        (0..sampler.images()).map(|index| sampler.draw(index)).collect()
    }

    #[test]
    fn any_draw_is_known_at_once_whatever_the_number_of_images() {
        let sampler = Sampler::new(0, 2_000_000_000);
        assert_eq!(sampler.draw(123_456_789_012), Sampler::new(0, 2_000_000_000).draw(123_456_789_012));
        assert!((0..1000).all(|index| sampler.draw(index * 1_999_999_973) < 2_000_000_000));
        assert!(Sampler::new(0, 1 << 62).draw(5) < 1 << 62);
        // Pinned: a run of last year resumes today, and natively as in a browser.
        assert_eq!([0, 1, 9, 10].map(|index| Sampler::new(0, 10).draw(index)), PINNED);
    }

    const PINNED: [u64; 4] = [8, 6, 1, 2];

    #[test]
    fn every_image_is_as_likely_at_every_place() {
        // Chi-squared over 10 images x 10 places in 4000 epochs: 81 degrees of freedom, five deviations above is 145.
        let (images, epochs) = (10, 4000);
        let sampler = Sampler::new(11, images);
        let mut counts = [0f64; 100];
        // And pairs in a row: an order that only turns a fixed one around would repeat them.
        let mut pairs = [0f64; 100];
        for epoch in 0..epochs {
            let order: Vec<u64> = (0..images).map(|place| sampler.draw(epoch * images + place)).collect();
            order.iter().enumerate().for_each(|(place, &image)| counts[place * 10 + image as usize] += 1.0);
            order.windows(2).for_each(|pair| pairs[(pair[0] * 10 + pair[1]) as usize] += 1.0);
        }
        let expected = epochs as f64 / 10.0; // also of each of the 90 pairs: nine in an epoch
        let chi = |counts: Vec<f64>| counts.iter().map(|count| (count - expected).powi(2) / expected).sum::<f64>();
        let places = chi(counts.to_vec());
        assert!(places < 145.0, "{places}");
        // No image follows itself; about as many degrees as before.
        let pairs = chi((0..100).filter(|pair| pair / 10 != pair % 10).map(|pair| pairs[pair]).collect());
        assert!(pairs < 145.0, "{pairs}");
    }
}
