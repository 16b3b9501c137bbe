//! Where a model's tensors come from: a checkpoint, read tensor by tensor, or a seed.
//!
//! A tensor goes from the file to the device in pieces no larger than a binding of the device, so that neither the
//! host's memory nor the device's limits decide how large a model may be.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use half::f16;

use super::config::Ffn;
use super::fingerprint::Fingerprint;
use super::names::Recipe;
use crate::error::{Error, ModelError};
use crate::formats::{Checkpoint, TensorBytes};
use crate::layers::attention::Attention;
use crate::layers::attention_pool::AttentionPool;
use crate::layers::block::Block;
use crate::layers::layer_norm::LayerNorm;
use crate::layers::linear::Linear;
use crate::layers::mlp::Mlp;
use crate::layers::pos_embed::sin_cos;
use crate::rng::{Rng, Stream};

/// Told after each piece: bytes read so far, bytes in all, the tensor's name.
pub type Progress<'a> = dyn FnMut(u64, u64, &str) + 'a;

/// The source of a model's tensors, and where they go.
pub struct Parameters<'a> {
    source: Source<'a>,
    device: Device,
    half: bool,
    max_binding_bytes: u64,
    done: u64,
    total: u64,
    bytes_on_device: u64,
    fingerprint: Fingerprint,
    progress: &'a mut Progress<'a>,
}

enum Source<'a> {
    Checkpoint { checkpoint: &'a Checkpoint, recipes: &'a BTreeMap<String, Recipe> },
    Seed(u64),
    Begin(Init, Rng),
}

/// How a new model begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// DINOv2 (`models/vision_transformer.py`, `layers/dino_head.py`): linear weights normal (its truncation at 2 is a hundred
    /// deviations away and never met), positions too, tokens 1e-6, LayerScale as given.
    Dinov2 {
        /// Deviation of weights and positions: 0.02 where it was published.
        std: f64,
        /// First value of LayerScale.
        layerscale: f64,
    },
    /// MAE (`models_mae.py`): Xavier-uniform weights, tokens normal with deviation 0.02, fixed sin-cos positions.
    Mae,
}

impl<'a> Parameters<'a> {
    /// Tensors from a checkpoint by their recipes. `half` stores the weights of linear layers in 16 bits;
    /// `max_binding_bytes` is the device's (0: no limit).
    pub fn from_checkpoint(
        checkpoint: &'a Checkpoint,
        recipes: &'a BTreeMap<String, Recipe>,
        device: &Device,
        half: bool,
        max_binding_bytes: u64,
        progress: &'a mut Progress<'a>,
    ) -> Self {
        let size = |(name, rows): &(String, Option<Range<usize>>)| {
            let entry = checkpoint.entry(name)?;
            Some(rows.as_ref().map_or(entry.byte_len, |rows| rows.len() as u64 * entry.row_bytes()))
        };
        let total = recipes.values().flat_map(|recipe| recipe.parts.iter().filter_map(size)).sum();
        let source = Source::Checkpoint { checkpoint, recipes };
        let (device, fingerprint) = (device.clone(), Fingerprint::default());
        Self { source, device, half, max_binding_bytes, done: 0, total, bytes_on_device: 0, fingerprint, progress }
    }

    /// Tensors drawn from a seed, large enough that every part of the architecture shows: no zero biases, no flat
    /// softmax. Such a model has learned nothing.
    pub fn from_seed(seed: u64, device: &Device, progress: &'a mut Progress<'a>) -> Self {
        Self {
            source: Source::Seed(seed),
            device: device.clone(),
            half: false,
            max_binding_bytes: 0,
            done: 0,
            total: 0,
            bytes_on_device: 0,
            fingerprint: Fingerprint::default(),
            progress,
        }
    }

    /// Tensors of a model that begins to learn, as its paper's code draws them.
    pub fn begin(init: Init, rng: Rng, device: &Device, progress: &'a mut Progress<'a>) -> Self {
        Self { source: Source::Begin(init, rng), ..Self::from_seed(0, device, progress) }
    }

    /// Bytes that the tensors handed out so far take on the device.
    pub fn bytes_on_device(&self) -> u64 {
        self.bytes_on_device
    }

    /// A short name for the bytes read so far; that of nothing where they are drawn.
    pub fn fingerprint(&self) -> String {
        self.fingerprint.clone().digits()
    }

    /// A tensor in f32, whole.
    ///
    /// # Errors
    ///
    /// The checkpoint's, or [`ModelError::Shape`].
    pub async fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Result<Param<Tensor<D>>, Error> {
        let rows: usize = self.rows(name, &shape)?;
        let values = self.read(name, &shape, 0..rows).await?;
        let values = values.into_f32()?;
        self.bytes_on_device += 4 * values.len() as u64;
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), &self.device)))
    }

    /// Zeros, for what a family lacks.
    pub fn zeros<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        self.bytes_on_device += 4 * shape.iter().product::<usize>() as u64;
        Param::from_tensor(Tensor::zeros(shape, &self.device))
    }

    /// The bias of a convolution whose filters hold `fan_in` weights each, `[dim]`.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub async fn convolution_bias(&mut self, name: &str, dim: usize, fan_in: usize) -> Result<Param<Tensor<1>>, Error> {
        let Source::Begin(_, rng) = &self.source else { return self.tensor(name, [dim]).await };
        // PyTorch's default; both papers' code leaves it.
        let values = uniform(&mut rng.stream(&format!("init.{name}"), 0), dim, 1.0 / (fan_in as f64).sqrt());
        self.bytes_on_device += 4 * dim as u64;
        Ok(Param::from_tensor(Tensor::from_data(TensorData::new(values, [dim]), &self.device)))
    }

    /// `name.weight [outputs, inputs]` and `name.bias [outputs]`.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub async fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, Error> {
        let weight_name = format!("{name}.weight");
        let shape = [outputs, inputs];
        self.rows(&weight_name, &shape)?;
        let dtype = if self.half { DType::F16 } else { DType::F32 };
        let row_bytes = (inputs * dtype.size()) as u64;
        let piece = match self.max_binding_bytes {
            0 => outputs,
            limit => usize::try_from(limit / row_bytes).unwrap_or(outputs).clamp(1, outputs),
        };
        let mut weight = Vec::new();
        for start in (0..outputs).step_by(piece) {
            let rows = start..outputs.min(start + piece);
            let size = [rows.len(), inputs];
            let values = self.read(&weight_name, &shape, rows).await?;
            let data = match dtype {
                DType::F16 => TensorData::new(values.into_f16()?, size),
                _ => TensorData::new(values.into_f32()?, size),
            };
            weight.push(Param::from_tensor(Tensor::from_data(data, (&self.device, dtype))));
        }
        self.bytes_on_device += outputs as u64 * row_bytes;
        Ok(Linear { weight, bias: self.tensor(&format!("{name}.bias"), [outputs]).await? })
    }

    /// `name.weight` and `name.bias`, both `[dim]`.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub async fn layer_norm(&mut self, name: &str, dim: usize, eps: f64) -> Result<LayerNorm, Error> {
        let weight = self.tensor(&format!("{name}.weight"), [dim]).await?;
        let bias = self.tensor(&format!("{name}.bias"), [dim]).await?;
        Ok(LayerNorm { weight, bias, eps })
    }

    /// A block of width `dim`.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub async fn block(
        &mut self,
        name: &str,
        dim: usize,
        num_heads: usize,
        ffn: Ffn,
        layer_scale: bool,
        eps: f64,
    ) -> Result<Block, Error> {
        let norm1 = self.layer_norm(&format!("{name}.norm1"), dim, eps).await?;
        let qkv = self.linear(&format!("{name}.attn.qkv"), 3 * dim, dim).await?;
        let proj = self.linear(&format!("{name}.attn.proj"), dim, dim).await?;
        let ls1 = match layer_scale {
            true => Some(self.tensor(&format!("{name}.ls1.gamma"), [dim]).await?),
            false => None,
        };
        let norm2 = self.layer_norm(&format!("{name}.norm2"), dim, eps).await?;
        let mlp = self.mlp(&format!("{name}.mlp"), dim, ffn).await?;
        let ls2 = match layer_scale {
            true => Some(self.tensor(&format!("{name}.ls2.gamma"), [dim]).await?),
            false => None,
        };
        Ok(Block { norm1, attn: Attention { qkv, proj, num_heads }, ls1, norm2, mlp, ls2 })
    }

    async fn mlp(&mut self, name: &str, dim: usize, ffn: Ffn) -> Result<Mlp, Error> {
        let (first, hidden, activation) = match ffn {
            Ffn::Mlp { hidden, activation } => (hidden, hidden, Some(activation)),
            Ffn::SwiGlu { hidden } => (2 * hidden, hidden, None),
        };
        let fc1 = self.linear(&format!("{name}.fc1"), first, dim).await?;
        let fc2 = self.linear(&format!("{name}.fc2"), dim, hidden).await?;
        Ok(Mlp { fc1, fc2, activation })
    }

    /// SigLIP's head.
    ///
    /// # Errors
    ///
    /// As [`tensor`](Self::tensor).
    pub async fn attention_pool(
        &mut self,
        name: &str,
        dim: usize,
        num_heads: usize,
        hidden: usize,
        ffn: Ffn,
        eps: f64,
    ) -> Result<AttentionPool, Error> {
        let ffn = match ffn {
            Ffn::Mlp { activation, .. } => Ffn::Mlp { hidden, activation },
            Ffn::SwiGlu { .. } => Ffn::SwiGlu { hidden },
        };
        Ok(AttentionPool {
            probe: self.tensor(&format!("{name}.probe"), [1, 1, dim]).await?,
            query: self.linear(&format!("{name}.query"), dim, dim).await?,
            key_value: self.linear(&format!("{name}.key_value"), 2 * dim, dim).await?,
            out_proj: self.linear(&format!("{name}.out_proj"), dim, dim).await?,
            norm: self.layer_norm(&format!("{name}.norm"), dim, eps).await?,
            mlp: self.mlp(&format!("{name}.mlp"), dim, ffn).await?,
            num_heads,
        })
    }

    /// The number of rows to read of a tensor that must have this shape.
    fn rows(&self, name: &str, shape: &[usize]) -> Result<usize, ModelError> {
        let Source::Checkpoint { checkpoint, recipes } = &self.source else {
            return Ok(shape[0]);
        };
        let rows = recipes.get(name).map(|recipe| recipe.rows(checkpoint, shape)).transpose()?.flatten();
        rows.ok_or_else(|| ModelError::Tensors {
            family: "this model",
            missing: vec![name.to_owned()],
            unknown: vec![],
        })
    }

    /// Rows of a tensor whose parts lie one below the other.
    async fn read(&mut self, name: &str, shape: &[usize], rows: Range<usize>) -> Result<Values, Error> {
        let (checkpoint, recipe) = match &self.source {
            Source::Seed(seed) => return Ok(Values::Drawn(draw(*seed, name, shape))),
            Source::Begin(init, rng) => {
                // A piece of a weight that a binding cannot hold whole is a stretch of the same draw.
                let columns: usize = shape[1..].iter().product();
                let mut values = init.draw(*rng, name, shape);
                values.truncate(rows.end * columns);
                return Ok(Values::Drawn(values.split_off(rows.start * columns)));
            }
            Source::Checkpoint { checkpoint, recipes } => (*checkpoint, &recipes[name]),
        };
        let mut pieces = Vec::with_capacity(recipe.parts.len());
        let mut start = 0;
        for (part, range) in &recipe.parts {
            let available = checkpoint.entry(part).map_or(0, |entry| entry.rows());
            let range = range.clone().unwrap_or(0..available);
            // The rows wanted that fall into this part, in the part's own numbers.
            let from = rows.start.max(start) - start;
            let to = rows.end.min(start + range.len()).saturating_sub(start);
            if from < to {
                let piece = checkpoint.read_rows(part, range.start + from..range.start + to).await?;
                self.done += piece.bytes.len() as u64;
                self.fingerprint.update(&piece.bytes);
                (self.progress)(self.done, self.total, part);
                pieces.push(piece);
            }
            start += range.len();
        }
        Ok(Values::Read(pieces))
    }
}

/// Rows of one tensor on the host.
enum Values {
    Read(Vec<TensorBytes>),
    Drawn(Vec<f32>),
}

impl Values {
    fn into_f32(self) -> Result<Vec<f32>, Error> {
        match self {
            Self::Drawn(values) => Ok(values),
            Self::Read(pieces) => {
                let pieces: Result<Vec<_>, _> = pieces.iter().map(TensorBytes::to_f32).collect();
                let mut pieces = pieces?;
                Ok(if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat() })
            }
        }
    }

    fn into_f16(self) -> Result<Vec<f16>, Error> {
        match self {
            Self::Drawn(values) => Ok(values.into_iter().map(f16::from_f32).collect()),
            Self::Read(pieces) => {
                let pieces: Result<Vec<_>, _> = pieces.iter().map(TensorBytes::to_f16).collect();
                Ok(pieces?.concat())
            }
        }
    }
}

/// A whole tensor from a seed and its name, by its kind: scales near one, shifts near zero, weights that keep variance.
fn draw(seed: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let stream = name
        .bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let (mean, spread) = match shape {
        [_] if name.ends_with("gamma") => (0.5, 0.2),
        [_] if name.ends_with("weight") => (1.0, 0.1),
        [_] => (0.0, 0.1),
        _ if name.contains("token") || name.contains("pos_embed") || name.ends_with("probe") => (0.0, 0.3),
        [_, inputs @ ..] => (0.0, 1.5 / (inputs.iter().product::<usize>() as f32).sqrt()),
        [] => (0.0, 0.0),
    };
    (0..count as u64).map(|index| mean + spread * normal(stream, index)).collect()
}

impl Init {
    /// A whole tensor: `[out, in]` weights, `[dim]` vectors, `[1, n, dim]` tokens and positions.
    fn draw(self, rng: Rng, name: &str, shape: &[usize]) -> Vec<f32> {
        let count: usize = shape.iter().product();
        let mut stream = rng.stream(&format!("init.{name}"), 0);
        let mut normal = |deviation: f64| (0..count).map(|_| (deviation * stream.normal()) as f32).collect();
        let vector = shape.len() == 1;
        if name.ends_with("gamma") {
            let Self::Dinov2 { layerscale, .. } = self else { return vec![1.0; count] };
            return vec![layerscale as f32; count];
        }
        if name.ends_with("weight_g") || (vector && name.ends_with("weight")) {
            return vec![1.0; count];
        }
        match self {
            // PyTorch's default for convolutions, kaiming_uniform(a = sqrt(5)): bound 1 / sqrt(fan in).
            Self::Dinov2 { .. } if name == "patch_embed.proj.weight" => {
                uniform(&mut stream, count, 1.0 / (fan_in(shape) as f64).sqrt())
            }
            _ if vector => vec![0.0; count],
            Self::Dinov2 { .. } if name.ends_with("weight_v") => {
                uniform(&mut stream, count, 1.0 / (fan_in(shape) as f64).sqrt())
            }
            Self::Dinov2 { .. } if name == "mask_token" => vec![0.0; count],
            Self::Dinov2 { .. } if name.ends_with("_token") || name.ends_with("_tokens") => normal(1e-6),
            Self::Dinov2 { std, .. } => normal(std),
            Self::Mae if name.ends_with("pos_embed") => {
                let side = (shape[1] - 1).isqrt();
                sin_cos(side, shape[2])
            }
            Self::Mae if name.ends_with("_token") => normal(0.02),
            Self::Mae => {
                let bound = (6.0 / (fan_in(shape) + shape[0]) as f64).sqrt();
                uniform(&mut stream, count, bound)
            }
        }
    }
}

/// Inputs of a weight's one output.
fn fan_in(shape: &[usize]) -> usize {
    shape[1..].iter().product()
}

fn uniform(stream: &mut Stream, count: usize, bound: f64) -> Vec<f32> {
    (0..count).map(|_| stream.between(-bound, bound) as f32).collect()
}

/// A normal deviate for each index of a stream: splitmix64, then Box and Muller.
fn normal(stream: u64, index: u64) -> f32 {
    let mix = |salt: u64| {
        let mut z = stream.wrapping_add((2 * index + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    };
    ((-2.0 * mix(1).ln()).sqrt() * (std::f64::consts::TAU * mix(2)).cos()) as f32
}
