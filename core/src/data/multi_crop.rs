//! All crops of an image, and the batch of them: two global and some local ones for DINOv2, one for MAE.
//!
//! A crop is a function of the seed, of the number of the draw and of its place among the crops of the image: any
//! thread can make it, in any order. Batches are crop-major as DINOv2's `data/collate.py`: the first crop of all images,
//! then the second.

use super::augment::{self, CropKind, CropPlan, apply, to_tensor_values};
use crate::config::{Config, Method};
use crate::image::Rgb8;
use crate::rng::Rng;

/// The crops that a configuration asks for, in the order of a batch.
pub fn kinds(config: &Config) -> Vec<CropKind> {
    match config.method {
        Method::Mae => vec![CropKind::Mae],
        Method::Dinov2 => {
            let mut kinds = vec![CropKind::Global1, CropKind::Global2];
            kinds.resize(2 + config.crops.local_number, CropKind::Local);
            kinds
        }
    }
}

/// The plans of all crops of one image of `width` x `height` pixels, in the order of [`kinds`]. `draw` is the number
/// of the draw since the beginning of the run, as [`super::sampler::Sampler::draw`] takes it.
pub fn plans(config: &Config, rng: Rng, draw: u64, width: u32, height: u32) -> Vec<CropPlan> {
    let kinds = kinds(config);
    let first = draw.wrapping_mul(kinds.len() as u64);
    let plan = |(place, &kind): (usize, &CropKind)| {
        let mut stream = rng.stream("crop", first.wrapping_add(place as u64));
        augment::draw(&config.crops, kind, width, height, &mut stream)
    };
    kinds.iter().enumerate().map(plan).collect()
}

/// All crops of one image, in the order of [`kinds`].
pub fn crops(config: &Config, rng: Rng, draw: u64, image: &Rgb8) -> Vec<Rgb8> {
    plans(config, rng, draw, image.width(), image.height()).iter().map(|plan| apply(plan, image)).collect()
}

/// What a step learns from.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Global crops as the model takes them, crop-major, `[2B, 3, S, S]`; `[B, 3, S, S]` for MAE.
    pub global: Vec<f32>,
    /// Local crops, crop-major, `[nB, 3, s, s]`; empty where there are none.
    pub local: Vec<f32>,
    /// B.
    pub images: usize,
    /// Global crops of an image.
    pub global_number: usize,
    /// S, in pixels.
    pub global_size: usize,
    /// n.
    pub local_number: usize,
    /// s, in pixels.
    pub local_size: usize,
    mean: [f64; 3],
    std: [f64; 3],
}

impl Batch {
    /// A batch for `images` images, all zero.
    pub fn new(config: &Config, images: usize) -> Self {
        let kinds = kinds(config);
        let local_number = kinds.iter().filter(|&&kind| kind == CropKind::Local).count();
        let global_number = kinds.len() - local_number;
        let (global_size, local_size) = (config.crops.global_size, config.crops.local_size);
        Self {
            global: vec![0.0; global_number * images * 3 * global_size * global_size],
            local: vec![0.0; local_number * images * 3 * local_size * local_size],
            images,
            global_number,
            global_size,
            local_number,
            local_size,
            mean: config.data.mean,
            std: config.data.std,
        }
    }

    /// Puts the crops of one image in their places; `image` is its place in the batch.
    ///
    /// # Panics
    /// If the batch has no such image, or the crops are not those of its configuration.
    pub fn set(&mut self, image: usize, crops: &[Rgb8]) {
        assert!(image < self.images, "image {image} of a batch of {}", self.images);
        let number = self.global_number + self.local_number;
        assert_eq!(crops.len(), number, "crops of image {image}");
        for (place, crop) in crops.iter().enumerate() {
            let (values, size, place) = match place.checked_sub(self.global_number) {
                None => (&mut self.global, self.global_size, place),
                Some(place) => (&mut self.local, self.local_size, place),
            };
            let found = [crop.width() as usize, crop.height() as usize];
            assert_eq!(found, [size, size], "width and height of crop {place} of image {image}");
            let len = 3 * size * size;
            let start = (place * self.images + image) * len;
            to_tensor_values(crop, self.mean, self.std, &mut values[start..start + len]);
        }
    }

    /// The batch of images whose crops are all there.
    ///
    /// # Panics
    /// If the crops are not those of the configuration.
    pub fn collate(config: &Config, images: &[Vec<Rgb8>]) -> Self {
        let mut batch = Self::new(config, images.len());
        for (place, crops) in images.iter().enumerate() {
            batch.set(place, crops);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let mut config = Config::default();
        (config.crops.global_size, config.crops.local_size, config.crops.local_number) = (32, 16, 3);
        config
    }

    /// A picture that is one colour all over, so that its crops are known by any pixel.
    fn flat(value: u8) -> Rgb8 {
        Rgb8::new(40, 30, vec![value; 3 * 40 * 30]).expect("as many bytes as pixels")
    }

    fn gradient() -> Rgb8 {
        let bytes = (0..50 * 40).flat_map(|i| [(i % 50 * 5) as u8, (i / 50 * 6) as u8, (i % 7 * 36) as u8]);
        Rgb8::new(50, 40, bytes.collect()).expect("as many bytes as pixels")
    }

    #[test]
    fn a_batch_is_crop_major() {
        let mut config = config();
        config.crops.color_jitter = 0.0;
        config.crops.solarize = [0.0; 3];
        (config.data.mean, config.data.std) = ([0.0; 3], [1.0; 3]);
        let images: Vec<Vec<Rgb8>> = [10, 20].map(|value| crops(&config, Rng::new(0), 0, &flat(value))).to_vec();
        let batch = Batch::collate(&config, &images);
        assert_eq!((batch.global.len(), batch.local.len()), (4 * 3 * 32 * 32, 6 * 3 * 16 * 16));
        for (values, size) in [(&batch.global, 32), (&batch.local, 16)] {
            for (place, crop) in values.chunks_exact(3 * size * size).enumerate() {
                let expected = if place.is_multiple_of(2) { 10.0 } else { 20.0 } / 255.0;
                assert!(crop.iter().all(|&value| value == expected), "place {place}");
            }
        }
    }

    #[test]
    fn one_seed_and_draw_give_the_same_crops_and_others_do_not() {
        let (config, image) = (config(), gradient());
        let first = crops(&config, Rng::new(1), 5, &image);
        assert_eq!(first, crops(&config, Rng::new(1), 5, &image));
        assert_ne!(first, crops(&config, Rng::new(1), 6, &image));
        assert_ne!(first, crops(&config, Rng::new(2), 5, &image));
        assert_eq!(first.iter().map(Rgb8::width).collect::<Vec<_>>(), [32, 32, 16, 16, 16]);
        let plans = plans(&config, Rng::new(1), 5, 50, 40);
        assert!((1..5).all(|place| plans[..place].iter().all(|plan| plan.rect != plans[place].rect)), "{plans:?}");
    }

    #[test]
    fn mae_has_one_crop_and_keeps_its_colours() {
        let mut config = config();
        config.method = Method::Mae;
        let plans = plans(&config, Rng::new(0), 3, 50, 40);
        let [plan] = plans.as_slice() else { panic!("{plans:?}") };
        assert!(plan.jitter.is_empty() && !plan.grayscale && plan.blur.is_none() && !plan.solarize);
        let batch = Batch::collate(&config, &[crops(&config, Rng::new(0), 3, &gradient())]);
        assert_eq!((batch.global.len(), batch.local.len(), batch.global_number), (3 * 32 * 32, 0, 1));
    }
}
