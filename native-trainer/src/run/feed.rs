//! Images on their way to the trainer: drawn, read, decoded and cropped on all cores, ahead of the device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lab_core::config::Config;
use lab_core::data::multi_crop;
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
    cache: Mutex<Cache>,
}

/// Decoded images, as long as there is room.
#[derive(Default)]
struct Cache {
    images: HashMap<usize, Arc<Rgb8>>,
    left: u64,
}

impl<'a> Feed<'a> {
    /// The images of a run.
    pub(crate) fn new(inputs: &'a Inputs, config: &'a Config) -> Self {
        let seed = config.train.seed;
        Self {
            inputs,
            config,
            sampler: Sampler::new(seed, inputs.len() as u64),
            rng: Rng::new(seed),
            limits: Limits { max_pixels: config.data.max_pixels, ..Limits::default() },
            cache: Mutex::new(Cache { left: config.data.cache_mib << 20, ..Cache::default() }),
        }
    }

    /// The image of a draw.
    pub(crate) fn image_of(&self, draw: u64) -> usize {
        self.sampler.draw(draw) as usize
    }

    /// All crops of the image of a draw; runs on a worker.
    ///
    /// # Errors
    /// Why the image cannot be used.
    pub(crate) fn crops(&self, draw: u64) -> Result<Vec<Rgb8>, String> {
        let image = self.decoded(self.image_of(draw))?;
        Ok(multi_crop::crops(self.config, self.rng, draw, &image))
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
