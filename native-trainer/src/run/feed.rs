//! Images on their way to the trainer: drawn, read, decoded and cropped on all cores, ahead of the device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lab_core::config::Config;
use lab_core::data::augment::apply;
use lab_core::data::multi_crop::{self, Prepared};
use lab_core::data::sampler::Sampler;
use lab_core::image::scaled::{self, Header, decode_scaled};
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
    /// By number and by the eighths of its size that it was decoded to.
    images: HashMap<(usize, u32), Arc<Rgb8>>,
    headers: HashMap<usize, Header>,
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
        let index = self.image_of(draw);
        let (image, plans) = match self.config.data.scaled_decode {
            true => {
                let (header, bytes) = self.header(index)?;
                // Drawn for the whole picture. What its crops need decides the scale: a function of the draw alone.
                let plans = multi_crop::plans(self.config, self.rng, draw, header.width, header.height);
                let eighths = if header.scales { scaled::eighths(&plans) } else { scaled::WHOLE };
                let image = self.decoded_at(index, eighths, bytes)?;
                (image, plans.iter().map(|plan| scaled::scale_plan(plan, header, eighths)).collect::<Vec<_>>())
            }
            false => {
                let image = self.decoded(index)?;
                let plans = multi_crop::plans(self.config, self.rng, draw, image.width(), image.height());
                (image, plans)
            }
        };
        if self.whole && u64::from(image.width()) * u64::from(image.height()) <= WHOLE {
            return Ok(Prepared::Whole((*image).clone(), plans));
        }
        Ok(Prepared::Crops(plans.iter().map(|plan| apply(plan, &image)).collect()))
    }

    /// What the file's header says, and its bytes where they had to be read for that.
    fn header(&self, index: usize) -> Result<(Header, Option<Vec<u8>>), String> {
        if let Some(&header) = self.lock().headers.get(&index) {
            return Ok((header, None));
        }
        let bytes = self.inputs.read(index, &self.limits)?;
        let header = scaled::header(&bytes, &self.limits).map_err(|error| error.to_string())?;
        if self.config.data.cache_mib > 0 {
            self.lock().headers.insert(index, header);
        }
        Ok((header, Some(bytes)))
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An image, from memory where it was kept.
    pub(crate) fn decoded(&self, index: usize) -> Result<Arc<Rgb8>, String> {
        self.decoded_at(index, scaled::WHOLE, None)
    }

    /// The same at some eighths of its size; `bytes` are its file's, where they are at hand.
    fn decoded_at(&self, index: usize, eighths: u32, bytes: Option<Vec<u8>>) -> Result<Arc<Rgb8>, String> {
        if let Some(image) = self.lock().images.get(&(index, eighths)) {
            return Ok(Arc::clone(image));
        }
        let bytes = bytes.map_or_else(|| self.inputs.read(index, &self.limits), Ok)?;
        let image = match eighths {
            scaled::WHOLE => decode(&bytes, &self.limits),
            eighths => decode_scaled(&bytes, &self.limits, eighths),
        };
        let image = Arc::new(image.map_err(|error| error.to_string())?);
        let size = image.data().len() as u64;
        let mut cache = self.lock();
        if size <= cache.left && cache.images.insert((index, eighths), Arc::clone(&image)).is_none() {
            cache.left -= size;
        }
        Ok(image)
    }
}
