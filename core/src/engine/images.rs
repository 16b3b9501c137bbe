//! The images given to the engine, and what the model saw in them.
//!
//! The encoded bytes stay, since they are small; decoded pixels and tokens are kept for the last few images only. The
//! class embedding comes home once and stays until the model changes: neighbours are found on the host.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::Tensor;
use lab_protocol::ImageId;

use super::Clock;
use crate::device::readback;
use crate::error::{EngineError, Error};
use crate::image::{Limits, Rgb8, decode};
use crate::kernels::preprocess::preprocess;
use crate::models::Model;
use crate::models::trace::Trace;
use crate::models::vit::VitOutput;
use crate::probe::similarity::unit_rows;

/// Images whose tokens stay on the device.
const TRACES: usize = 8;
/// Bytes that those tokens may take together; one image's are always kept.
const TRACE_BYTES: u64 = 512 << 20;
/// Bytes of decoded pictures that are kept.
const DECODED_BYTES: usize = 256 << 20;

/// All images.
#[derive(Default)]
pub(super) struct Images {
    all: BTreeMap<ImageId, Entry>,
    /// Those with tokens on the device, the one used last at the end.
    recent: Vec<ImageId>,
}

struct Entry {
    name: String,
    bytes: Arc<[u8]>,
    decoded: Option<Arc<Rgb8>>,
    embedding: Option<Embedding>,
    seen: Option<Seen>,
}

impl Entry {
    /// The same picture, not yet seen by a model.
    fn share(&self) -> Self {
        Self {
            name: self.name.clone(),
            bytes: Arc::clone(&self.bytes),
            decoded: self.decoded.clone(),
            embedding: None,
            seen: None,
        }
    }
}

/// What came home.
#[derive(Debug, Clone)]
pub(super) struct Embedding {
    pub(super) cls: Vec<f32>,
    /// The mean of the patch tokens.
    pub(super) mean: Vec<f32>,
    pub(super) grid: [usize; 2],
    pub(super) millis: f64,
}

/// What stays on the device.
#[derive(Debug)]
pub(super) struct Seen {
    /// Normalised, `[1, 3, H, W]`.
    pub(super) pixels: Tensor<4>,
    pub(super) output: VitOutput,
    /// The patches' tokens at length one, `[N, D]`.
    pub(super) directions: Tensor<2>,
    /// Queries, keys and values of every block.
    pub(super) trace: Trace,
}

impl Images {
    /// Decodes, so that a broken file is told now; width and height.
    pub(super) fn add(&mut self, image: ImageId, name: &str, bytes: Vec<u8>) -> Result<[u32; 2], EngineError> {
        let decoded = decode_named(name, &bytes)?;
        let size = [decoded.width(), decoded.height()];
        // The same name again means another picture.
        self.recent.retain(|other| *other != image);
        let fits = self.decoded_bytes() + decoded.data().len() <= DECODED_BYTES;
        let decoded = fits.then(|| Arc::new(decoded));
        let name = name.to_owned();
        self.all.insert(image, Entry { name, bytes: bytes.into(), decoded, embedding: None, seen: None });
        Ok(size)
    }

    /// The same images as another model will see them; their bytes and pixels are shared, not copied.
    pub(super) fn share(&self) -> Self {
        let all = self.all.iter().map(|(image, entry)| (*image, entry.share())).collect();
        Self { all, recent: Vec::new() }
    }

    /// Takes an image over from `others`.
    pub(super) fn take_from(&mut self, others: &Self, image: ImageId) {
        self.recent.retain(|other| *other != image);
        self.all.extend(others.all.get(&image).map(|entry| (image, entry.share())));
        self.hold(image, DECODED_BYTES);
    }

    pub(super) fn remove(&mut self, image: ImageId) -> Result<(), EngineError> {
        self.recent.retain(|other| *other != image);
        self.all.remove(&image).map(|_| ()).ok_or(EngineError::NoImage { image: image.0 })
    }

    pub(super) fn forget_embeddings(&mut self) {
        self.recent.clear();
        for entry in self.all.values_mut() {
            entry.embedding = None;
            entry.seen = None;
        }
    }

    /// The class embeddings that are known.
    pub(super) fn embeddings(&self) -> impl Iterator<Item = (ImageId, &[f32])> {
        self.all.iter().filter_map(|(image, entry)| Some((*image, entry.embedding.as_ref()?.cls.as_slice())))
    }

    fn entry(&mut self, image: ImageId) -> Result<&mut Entry, EngineError> {
        self.all.get_mut(&image).ok_or(EngineError::NoImage { image: image.0 })
    }

    /// An image's class embedding, computed when it is not known.
    pub(super) async fn embedding(&mut self, image: ImageId, model: &Model, clock: Clock) -> Result<&Embedding, Error> {
        if self.entry(image)?.embedding.is_none() {
            self.decode(image)?;
            let start = clock();
            let output = &self.tokens(image, model).await?.output;
            let grid = output.grid;
            // One way home for both.
            let both = Tensor::cat(vec![output.embedding(), output.patches.clone().mean_dim(1).squeeze_dim(1)], 1);
            let mut cls = readback(both).await?;
            let mean = cls.split_off(cls.len() / 2);
            let millis = clock() - start;
            self.entry(image)?.embedding = Some(Embedding { cls, mean, grid, millis });
        }
        self.entry(image)?.embedding.as_ref().ok_or_else(|| EngineError::NoImage { image: image.0 }.into())
    }

    /// An image's own pixels.
    pub(super) fn decode(&mut self, image: ImageId) -> Result<Arc<Rgb8>, EngineError> {
        let entry = self.entry(image)?;
        let decoded = match entry.decoded.take() {
            Some(decoded) => decoded,
            None => Arc::new(decode_named(&entry.name, &entry.bytes)?),
        };
        let decoded = Arc::clone(entry.decoded.insert(decoded));
        self.hold(image, DECODED_BYTES);
        Ok(decoded)
    }

    fn decoded_bytes(&self) -> usize {
        self.all.values().filter_map(|entry| Some(entry.decoded.as_ref()?.data().len())).sum()
    }

    /// Lets go of the pixels of other images than `image` until what is decoded takes no more than `most` bytes: first of
    /// those without tokens at hand, then of those not used of late.
    fn hold(&mut self, image: ImageId, most: usize) {
        let mut held = self.decoded_bytes();
        let without = self.all.keys().filter(|other| !self.recent.contains(other));
        let others: Vec<ImageId> = without.chain(&self.recent).copied().filter(|other| *other != image).collect();
        for other in others {
            if held <= most {
                return;
            }
            let let_go = self.all.get_mut(&other).and_then(|entry| entry.decoded.take());
            held -= let_go.map_or(0, |decoded| decoded.data().len());
        }
    }

    /// An image as a model receives it, normalised, `[1, 3, H, W]`.
    pub(super) fn pixels(&mut self, image: ImageId, model: &Model) -> Result<Tensor<4>, Error> {
        let pixels = preprocess(&*self.decode(image)?, model.preprocess(), model.device())?;
        let [_, _, height, width] = pixels.dims();
        model.check_size(height, width)?;
        Ok(pixels)
    }

    /// What the model saw in an image, computed when it is not at hand.
    pub(super) async fn tokens(&mut self, image: ImageId, model: &Model) -> Result<&Seen, Error> {
        if self.entry(image)?.seen.is_none() {
            let pixels = self.pixels(image, model)?;
            let mut trace = Trace::none().with_qkv();
            let output = model.forward(pixels.clone(), &mut trace);
            self.entry(image)?.seen = Some(Seen { pixels, directions: unit_rows(output.patch_rows()), output, trace });
        }
        self.recent.retain(|other| *other != image);
        self.recent.push(image);
        self.make_room(model);
        self.entry(image)?.seen.as_ref().ok_or_else(|| EngineError::NoImage { image: image.0 }.into())
    }

    /// The images whose tokens are at hand, the one used last at the end.
    pub(super) fn at_hand(&self) -> &[ImageId] {
        &self.recent
    }

    /// The image whose tokens were used last, and its patch rows and columns.
    pub(super) fn latest(&self) -> Option<(ImageId, [usize; 2])> {
        let image = *self.recent.last()?;
        Some((image, self.all[&image].seen.as_ref()?.output.grid))
    }

    /// Bytes of the tokens at hand.
    pub(super) fn bytes_seen(&self, model: &Model) -> u64 {
        self.each_seen(model).sum()
    }

    /// Bytes of each image's tokens at hand, the one used last at the end.
    fn each_seen(&self, model: &Model) -> impl Iterator<Item = u64> {
        let depth = model.config().depth;
        self.recent.iter().map(move |image| {
            self.all[image].seen.as_ref().map_or(0, |seen| {
                let [_, tokens, dim] = seen.output.last_hidden_state.dims();
                // Queries, keys and values of each block, the output, and its directions.
                4 * (tokens * dim) as u64 * (3 * depth + 2) as u64
            })
        })
    }

    /// Lets go of the tokens, and of the pixels, of images not used of late.
    fn make_room(&mut self, model: &Model) {
        let each: Vec<u64> = self.each_seen(model).collect();
        let mut keep = 0;
        let mut sum = 0;
        for size in each.iter().rev() {
            sum += size;
            if keep == TRACES || (keep > 0 && sum > TRACE_BYTES) {
                break;
            }
            keep += 1;
        }
        for image in self.recent.drain(..each.len() - keep) {
            if let Some(entry) = self.all.get_mut(&image) {
                entry.seen = None;
                entry.decoded = None;
            }
        }
    }
}

fn decode_named(name: &str, bytes: &[u8]) -> Result<Rgb8, EngineError> {
    decode(bytes, &Limits::default()).map_err(|source| EngineError::Image { name: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey picture as a PNG.
    fn png(side: u32) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::GrayImage::new(side, side).write_to(&mut bytes, image::ImageFormat::Png).expect("memory takes it");
        bytes.into_inner()
    }

    #[test]
    fn pixels_of_others_make_room_and_are_decoded_again() {
        let mut images = Images::default();
        let ids = [1, 2, 3].map(ImageId);
        for image in ids {
            images.add(image, "grey.png", png(8)).expect("a picture");
        }
        let one = 3 * 8 * 8;
        let decoded = |images: &Images| ids.map(|image| images.all[&image].decoded.is_some());
        assert_eq!((images.decoded_bytes(), decoded(&images)), (3 * one, [true; 3]));
        images.hold(ids[2], 2 * one);
        assert_eq!(decoded(&images), [false, true, true], "the oldest goes");
        // One with tokens at hand outlasts one without.
        images.decode(ids[0]).expect("its bytes are kept");
        images.recent = vec![ids[0], ids[1]];
        images.hold(ids[2], 2 * one);
        assert_eq!(decoded(&images), [false, true, true], "of those at hand the one used last stays");
        images.hold(ids[2], 0);
        assert_eq!(decoded(&images), [false, false, true], "the one that is asked for stays, whatever it takes");
    }
}
