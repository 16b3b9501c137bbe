//! All crops of an image, and the batch of them: two global and some local ones for DINOv2, one for MAE.
//!
//! A crop is a function of the seed, of the number of the draw and of its place among the crops of the image: any
//! thread can make it, in any order. Batches are crop-major as DINOv2's `data/collate.py`: the first crop of all images,
//! then the second.

use std::collections::BTreeMap;

use super::augment::{self, CropKind, CropPlan, apply, to_tensor_values};
use crate::config::{Config, Method};
use crate::image::Rgb8;
use crate::image::augment::Rect;
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

/// The plan that leaves a crop as it is.
fn whole(crop: &Rgb8) -> CropPlan {
    CropPlan {
        rect: Rect { x: 0, y: 0, width: crop.width(), height: crop.height() },
        size: crop.width(),
        hflip: false,
        jitter: Vec::new(),
        grayscale: false,
        blur: None,
        solarize: false,
    }
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
    /// What the device cuts the crops from; without it they lie in `global` and `local`, which are empty with it.
    pub uncut: Option<Uncut>,
    /// Subtracted after scaling to 0..1: red, green, blue.
    pub mean: [f64; 3],
    /// Divisor after that.
    pub std: [f64; 3],
}

/// Pictures and the plans of their crops, for the GPU's own pass ([`crate::kernels::augment`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Uncut {
    /// The pictures.
    pub images: Vec<Rgb8>,
    /// Global crops in the order of the batch, each with the number of its picture.
    pub global: Vec<(usize, CropPlan)>,
    /// Local crops likewise.
    pub local: Vec<(usize, CropPlan)>,
}

impl Uncut {
    /// These crops, with the pictures among `images` that they are cut from.
    fn of(images: &[Rgb8], global: Vec<(usize, CropPlan)>, local: Vec<(usize, CropPlan)>) -> Self {
        let mut places: BTreeMap<usize, usize> = global.iter().chain(&local).map(|(image, _)| (*image, 0)).collect();
        places.values_mut().enumerate().for_each(|(at, place)| *place = at);
        let moved = |crops: Vec<(usize, CropPlan)>| crops.into_iter().map(|(image, plan)| (places[&image], plan));
        let (global, local) = (moved(global).collect(), moved(local).collect());
        Self { images: places.keys().map(|&image| images[image].clone()).collect(), global, local }
    }
}

/// One image on its way into a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Prepared {
    /// Its crops, in the order of [`kinds`].
    Crops(Vec<Rgb8>),
    /// The picture whole, and the plans of its crops.
    Whole(Rgb8, Vec<CropPlan>),
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
            uncut: None,
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

    /// The batch of images that are all there. Where any of them is whole, the device cuts; crops that were cut before
    /// then go along as pictures of which nothing is cut.
    ///
    /// # Panics
    /// If the crops are not those of the configuration.
    pub fn collate(config: &Config, images: Vec<Prepared>) -> Self {
        let mut batch = Self::new(config, images.len());
        if images.iter().all(|image| matches!(image, Prepared::Crops(_))) {
            for (place, image) in images.iter().enumerate() {
                if let Prepared::Crops(crops) = image {
                    batch.set(place, crops);
                }
            }
            return batch;
        }
        let mut uncut = Uncut { images: Vec::new(), global: Vec::new(), local: Vec::new() };
        let mut plans: Vec<Vec<(usize, CropPlan)>> = Vec::with_capacity(images.len());
        for image in images {
            let first = uncut.images.len();
            match image {
                Prepared::Whole(image, of_image) => {
                    uncut.images.push(image);
                    plans.push(of_image.into_iter().map(|plan| (first, plan)).collect());
                }
                Prepared::Crops(crops) => {
                    plans.push(crops.iter().enumerate().map(|(at, crop)| (first + at, whole(crop))).collect());
                    uncut.images.extend(crops);
                }
            }
        }
        for place in 0..batch.global_number + batch.local_number {
            let row = if place < batch.global_number { &mut uncut.global } else { &mut uncut.local };
            row.extend(plans.iter().map(|plans| plans[place].clone()));
        }
        (batch.global, batch.local) = (Vec::new(), Vec::new());
        batch.uncut = Some(uncut);
        batch
    }

    /// Equal shares of the images, in order, each a batch of its own.
    ///
    /// # Panics
    /// When there are no equal shares.
    pub fn deal(&self, shares: usize) -> Vec<Self> {
        assert!(self.images.is_multiple_of(shares), "{} images for {shares} shares", self.images);
        let images = self.images / shares;
        // Crop-major: of each crop the images of the share.
        fn rows<T: Clone>(all: &[T], crops: usize, share: usize, shares: usize) -> Vec<T> {
            let of_crop = all.len() / crops.max(1);
            let each = of_crop / shares;
            let of = |crop: usize| &all[crop * of_crop + share * each..][..each];
            (0..crops).flat_map(of).cloned().collect()
        }
        let deal = |share: usize| {
            let uncut = self.uncut.as_ref().map(|uncut| {
                let global = rows(&uncut.global, self.global_number, share, shares);
                let local = rows(&uncut.local, self.local_number, share, shares);
                Uncut::of(&uncut.images, global, local)
            });
            Self {
                global: rows(&self.global, self.global_number, share, shares),
                local: rows(&self.local, self.local_number, share, shares),
                images,
                uncut,
                ..*self
            }
        };
        (0..shares).map(deal).collect()
    }

    /// The same batch with its crops cut here, by the CPU.
    pub fn cut(&self) -> Self {
        let Some(uncut) = &self.uncut else { return self.clone() };
        let values = |crops: &[(usize, CropPlan)], size: usize| {
            let len = 3 * size * size;
            let mut values = vec![0.0; crops.len() * len];
            for ((image, plan), values) in crops.iter().zip(values.chunks_exact_mut(len)) {
                to_tensor_values(&apply(plan, &uncut.images[*image]), self.mean, self.std, values);
            }
            values
        };
        let (global, local) = (values(&uncut.global, self.global_size), values(&uncut.local, self.local_size));
        Self { global, local, uncut: None, ..self.clone() }
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
        let images = [10, 20].map(|value| Prepared::Crops(crops(&config, Rng::new(0), 0, &flat(value))));
        let batch = Batch::collate(&config, images.into());
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
        let batch = Batch::collate(&config, vec![Prepared::Crops(crops(&config, Rng::new(0), 3, &gradient()))]);
        assert_eq!((batch.global.len(), batch.local.len(), batch.global_number), (3 * 32 * 32, 0, 1));
    }

    #[test]
    fn shares_are_crop_major_again() {
        let (config, rng) = (config(), Rng::new(4));
        let cut = |draw| Prepared::Crops(crops(&config, rng, draw, &gradient()));
        let uncut = |draw| Prepared::Whole(gradient(), plans(&config, rng, draw, 50, 40));
        let shares = Batch::collate(&config, vec![cut(1), cut(2), cut(3), cut(4)]).deal(2);
        assert_eq!(shares[0], Batch::collate(&config, vec![cut(1), cut(2)]));
        assert_eq!(shares[1], Batch::collate(&config, vec![cut(3), cut(4)]));
        let shares = Batch::collate(&config, vec![uncut(1), cut(2), uncut(3), uncut(4)]).deal(2);
        assert_eq!(shares[1], Batch::collate(&config, vec![uncut(3), uncut(4)]));
        assert_eq!(shares[0].cut(), Batch::collate(&config, vec![cut(1), cut(2)]));
    }

    #[test]
    fn whole_pictures_give_the_crops_that_were_cut_before() {
        let (config, rng) = (config(), Rng::new(4));
        let cut = |draw| Prepared::Crops(crops(&config, rng, draw, &gradient()));
        let uncut = |draw| Prepared::Whole(gradient(), plans(&config, rng, draw, 50, 40));
        let expected = Batch::collate(&config, vec![cut(7), cut(8)]);
        assert!(expected.uncut.is_none());
        for images in [vec![uncut(7), uncut(8)], vec![uncut(7), cut(8)]] {
            let batch = Batch::collate(&config, images);
            assert!(batch.uncut.is_some() && batch.global.is_empty());
            assert_eq!(batch.cut(), expected);
        }
    }
}
