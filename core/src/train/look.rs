//! Looks at held-out images while a model learns: features for health and k-NN, and pictures for people.

use burn::tensor::{Device, Tensor, TensorData};

use super::event::Thumbnail;
use super::trainer::Trainer;
use crate::config::Pooling;
use crate::device::readback;
use crate::error::Error;
use crate::image::color::viridis;
use crate::image::preprocess::Preprocess;
use crate::kernels::attention::attention_probs;
use crate::models::mae::{self, Masking};
use crate::models::trace::Trace;
use crate::models::vit::Vit;

/// Images computed at once.
const CHUNK: usize = 64;

/// Features of a set of images, on the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// The class token after the last norm, `[n, dim]`.
    pub cls: Vec<f32>,
    /// The mean of the patch tokens, `[n, dim]`.
    pub mean: Vec<f32>,
    /// Width.
    pub dim: usize,
}

impl Features {
    /// Those of one kind, `[n, dim]`.
    pub fn pooled(&self, pooling: Pooling) -> &[f32] {
        match pooling {
            Pooling::Cls => &self.cls,
            Pooling::Mean => &self.mean,
        }
    }
}

impl Trainer {
    /// How held-out pictures become this run's input.
    pub fn preprocess(&self) -> Preprocess {
        let data = &self.config.data;
        let own = Preprocess::short_side_equal(self.config.crops.global_size as u32);
        Preprocess { mean: data.mean.map(|x| x as f32), std: data.std.map(|x| x as f32), ..own }
    }

    /// An encoder for looking: the teacher's, or the student's without its graph.
    fn encoder(&self) -> (Vit, Device) {
        use burn::module::Module as _;
        (self.evaluated().backbone.valid(), self.plain_device())
    }

    /// Features of prepared images `[n, 3, S, S]`.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn features(&self, pixels: &[f32]) -> Result<Features, Error> {
        let side = self.config.crops.global_size;
        let (encoder, device) = self.encoder();
        let mut features = Features { dim: self.config.model.embed_dim, ..Features::default() };
        for chunk in pixels.chunks(CHUNK * 3 * side * side) {
            let shape = [chunk.len() / (3 * side * side), 3, side, side];
            let output = encoder.forward(Tensor::from_data(TensorData::new(chunk.to_vec(), shape), &device));
            features.mean.extend(readback(output.patches.clone().mean_dim(1)).await?);
            if let Some(cls) = output.cls {
                features.cls.extend(readback(cls).await?);
            }
        }
        Ok(features)
    }

    /// Pictures of prepared images `[n, 3, S, S]`, a row an image: what MAE saw and painted, or where DINO's last class
    /// token looks. The same images give the same masks at every look.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn look(&self, pixels: &[f32]) -> Result<Vec<Vec<Thumbnail>>, Error> {
        let side = self.config.crops.global_size;
        let count = pixels.len() / (3 * side * side);
        let mut rows: Vec<Vec<Thumbnail>> = Vec::with_capacity(count);
        for image in pixels.chunks_exact(3 * side * side) {
            rows.push(vec![self.thumbnail("image", image)]);
        }
        let more = match &self.student.decoder {
            Some(_) => self.reconstructions(pixels, count).await?,
            None => self.attentions(pixels, count).await?,
        };
        for (row, more) in rows.iter_mut().zip(more) {
            row.extend(more);
        }
        Ok(rows)
    }

    /// The teacher's mean answer to prepared images `[n, 3, S, S]`, centred and sharpened as in training, `[K]`: how
    /// much each prototype is used. Empty for MAE, which has none.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn prototypes(&self, pixels: &[f32]) -> Result<Vec<f32>, Error> {
        let Some(head) = self.teacher.as_ref().and_then(|teacher| teacher.dino_head.as_ref()) else {
            return Ok(Vec::new());
        };
        let side = self.config.crops.global_size;
        let (encoder, device) = self.encoder();
        let mut sum: Option<Tensor<2>> = None;
        let mut count = 0;
        for chunk in pixels.chunks(CHUNK * 3 * side * side) {
            let shape = [chunk.len() / (3 * side * side), 3, side, side];
            let output = encoder.forward(Tensor::from_data(TensorData::new(chunk.to_vec(), shape), &device));
            let Some(cls) = output.cls else { return Ok(Vec::new()) };
            let answers = self.answers(head.forward(cls), self.centers.dino.clone()).sum_dim(0); // [1, K]
            sum = Some(sum.map_or(answers.clone(), |sum| sum + answers));
            count += shape[0];
        }
        match sum {
            Some(sum) => Ok(readback(sum / count as f64).await?),
            None => Ok(Vec::new()),
        }
    }

    /// What the encoder saw, and the decoder's picture of the rest.
    async fn reconstructions(&self, pixels: &[f32], count: usize) -> Result<Vec<Vec<Thumbnail>>, Error> {
        use burn::module::Module as _;
        let config = self.config.mae_decoder();
        let (side, patch) = (self.config.crops.global_size, self.config.model.patch_size);
        let grid = side / patch;
        let mut stream = self.rng.stream("look", 0);
        let noise: Vec<f32> = (0..count * grid * grid).map(|_| stream.uniform() as f32).collect();
        let masking = Masking::from_noise(&noise, count, config.mask_ratio);
        let (encoder, device) = self.encoder();
        let Some(decoder) = self.student.decoder.as_ref().map(|decoder| decoder.valid()) else {
            return Ok(Vec::new());
        };
        let shape = [count, 3, side, side];
        let images: Tensor<4> = Tensor::from_data(TensorData::new(pixels.to_vec(), shape), &device);
        let output = mae::forward(&encoder, &decoder, &config, images.clone(), &masking);
        let painted = mae::painted(&config, output.logits, mae::patchify(images, patch));
        let painted = readback(mae::unpatchify(painted, grid, grid)).await?;
        let size = 3 * side * side;
        let mut rows = Vec::with_capacity(count);
        for index in 0..count {
            let hidden = &masking.mask[index * grid * grid..][..grid * grid];
            let (image, painted) = (&pixels[index * size..][..size], &painted[index * size..][..size]);
            let (mut seen, mut whole) = (image.to_vec(), image.to_vec());
            for (place, (seen, whole)) in seen.iter_mut().zip(&mut whole).enumerate() {
                let (y, x) = (place / side % side, place % side);
                if hidden[y / patch * grid + x / patch] > 0.0 {
                    *seen = 0.0; // the mean colour
                    *whole = painted[place];
                }
            }
            rows.push(vec![self.thumbnail("seen", &seen), self.thumbnail("reconstruction", &whole)]);
        }
        Ok(rows)
    }

    /// The last block's attention of the class token to the patches, the mean of its heads, brightest at its largest.
    async fn attentions(&self, pixels: &[f32], count: usize) -> Result<Vec<Vec<Thumbnail>>, Error> {
        let (side, heads) = (self.config.crops.global_size, self.config.model.num_heads);
        let (encoder, device) = self.encoder();
        let shape = [count, 3, side, side];
        let mut trace = Trace::none().with_qkv();
        let images = Tensor::from_data(TensorData::new(pixels.to_vec(), shape), &device);
        let grid = encoder.forward_traced(images, &mut trace).grid;
        let patches = grid[0] * grid[1];
        let Some(qkv) = trace.qkv(self.config.model.depth - 1) else { return Ok(Vec::new()) };
        let [_, tokens, _] = qkv.dims();
        let probs = attention_probs(qkv.clone(), heads, 0..1, None).mean_dim(1); // [n, 1, 1, N]
        let values = readback(probs.narrow(3, tokens - patches, patches)).await?;
        let rows = values.chunks_exact(patches).map(|values| {
            let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
            let range = (high - low).max(f32::MIN_POSITIVE);
            let mut rgb = Vec::with_capacity(3 * side * side);
            for place in 0..side * side {
                let (y, x) = (place / side, place % side);
                let value = values[y * grid[0] / side * grid[1] + x * grid[1] / side];
                rgb.extend(viridis((value - low) / range).map(|channel| (channel * 255.0).round() as u8));
            }
            let (width, height) = (side as u32, side as u32);
            vec![Thumbnail { title: "attention".to_owned(), width, height, rgb }]
        });
        Ok(rows.collect())
    }

    /// Normalised pixels `[3, S, S]` as a picture, whatever S is.
    pub fn thumbnail(&self, title: &str, pixels: &[f32]) -> Thumbnail {
        let side = (pixels.len() / 3).isqrt();
        let (mean, std) = (self.config.data.mean, self.config.data.std);
        let area = side * side;
        let rgb = (0..area).flat_map(|place| {
            [0, 1, 2].map(|c| {
                let value = f64::from(pixels[c * area + place]) * std[c] + mean[c];
                (255.0 * value).round().clamp(0.0, 255.0) as u8
            })
        });
        Thumbnail { title: title.to_owned(), width: side as u32, height: side as u32, rgb: rgb.collect() }
    }
}
