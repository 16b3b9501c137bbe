//! Images on their way to the trainer: drawn, read, decoded and cropped on all cores, ahead of the device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lab_core::config::Config;
use lab_core::data::multi_crop::{self, Prepared};
use lab_core::data::sampler::Sampler;
use lab_core::image::{Limits, Rgb8, decode};
use lab_core::rng::Rng;

use crate::inputs::Inputs;

/// What every worker needs to prepare an image.
pub(crate) struct Feed<'a> {
    inputs: &'a Inputs,
    config: &'a Config,
    sampler: Sampler,
    rng: Rng,
    limits: Limits,
    /// Whether pictures go to the device whole.
    whole: bool,
    cache: Mutex<Cache>,
}

/// Largest picture that goes to the device whole, in pixels: a larger one costs more to send than to cut.
const WHOLE: u64 = 1 << 20;

/// Decoded images, as long as there is room.
#[derive(Default)]
struct Cache {
    images: HashMap<usize, Arc<Rgb8>>,
    left: u64,
}

impl<'a> Feed<'a> {
    /// The images of a run; `whole` where the device cuts the crops.
    pub(crate) fn new(inputs: &'a Inputs, config: &'a Config, whole: bool) -> Self {
        let seed = config.train.seed;
        Self {
            inputs,
            config,
            sampler: Sampler::new(seed, inputs.len() as u64),
            rng: Rng::new(seed),
            limits: Limits { max_pixels: config.data.max_pixels, ..Limits::default() },
            whole,
            cache: Mutex::new(Cache { left: config.data.cache_mib << 20, ..Cache::default() }),
        }
    }

    /// The image of a draw.
    pub(crate) fn image_of(&self, draw: u64) -> usize {
        self.sampler.draw(draw) as usize
    }

    /// The image of a draw, ready for a batch; runs on a worker.
    ///
    /// # Errors
    /// Why the image cannot be used.
    pub(crate) fn prepare(&self, draw: u64) -> Result<Prepared, String> {
        let image = self.decoded(self.image_of(draw))?;
        let (width, height) = (image.width(), image.height());
        if self.whole && u64::from(width) * u64::from(height) <= WHOLE {
            let plans = multi_crop::plans(self.config, self.rng, draw, width, height);
            return Ok(Prepared::Whole((*image).clone(), plans));
        }
        Ok(Prepared::Crops(multi_crop::crops(self.config, self.rng, draw, &image)))
    }

    /// An image, from memory where it was kept.
    pub(crate) fn decoded(&self, index: usize) -> Result<Arc<Rgb8>, String> {
        let lock = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = lock().images.get(&index) {
            return Ok(Arc::clone(image));
        }
        let bytes = self.inputs.read(index, &self.limits)?;
        let image = Arc::new(decode(&bytes, &self.limits).map_err(|error| error.to_string())?);
        let size = image.data().len() as u64;
        let mut cache = lock();
        if size <= cache.left && cache.images.insert(index, Arc::clone(&image)).is_none() {
            cache.left -= size;
        }
        Ok(image)
    }
}
