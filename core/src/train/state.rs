//! A run as named tensors, and back: what a checkpoint holds.
//!
//! `student.*`, `teacher.*`, `optim.m.*`, `optim.v.*`, `optim.t.*` (updates of each tensor), `center.dino`,
//! `center.ibot`, in half precision `loss_scale`; the counters beside them are [`Counters`]. All streams of chance are functions of seed and step, so
//! the step is their position. Writing and reading again changes no bit: everything is kept in f32, as it is computed.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::loss_scale::LossScale;
use super::optim::Moments;
use super::trainer::Trainer;
use super::walk::{Named, change, tensors};
use crate::config::{Config, Method};
use crate::device::readback;
use crate::error::{DeviceError, Error, TrainError};
use crate::formats::{Checkpoint, Dtype, safetensors};
use crate::models::export::{HuggingFace, hugging_face};

/// One tensor of a run, still on the device.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name in the checkpoint.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    values: Tensor<1>,
}

impl Entry {
    /// Brings its numbers home, row by row.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn read(&self) -> Result<Vec<f32>, DeviceError> {
        readback(self.values.clone()).await
    }
}

/// What a checkpoint keeps besides tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Of this layout of a checkpoint.
    pub format: u32,
    /// Steps made.
    pub step: u64,
    /// Images drawn from the source, bad ones included: where the sampler stands.
    pub cursor: u64,
    /// Images found bad.
    pub bad_images: u64,
    /// Steps refused.
    pub bad_steps: u64,
    /// Images in the source when the run began; its order depends on them.
    pub images: u64,
}

/// The layout that this code writes.
pub const FORMAT: u32 = 1;

/// The entry of a run in half precision: scale of the loss, steps since it changed.
const LOSS_SCALE: &str = "loss_scale";
/// Where a checkpoint's header holds the run's configuration, TOML.
const CONFIG: &str = "lab.config";
/// Where it holds the counters, JSON.
const COUNTERS: &str = "lab.counters";
/// Where it may hold the sum over all numbers' bytes.
const SUM: &str = "lab.sum";

/// What stands in a checkpoint's own header, so that a single file is a whole run.
pub fn about(config: &Config, counters: &Counters) -> BTreeMap<String, String> {
    let counters = serde_json::to_string(counters).unwrap_or_else(|error| unreachable!("six numbers: {error}"));
    BTreeMap::from([(CONFIG.to_owned(), config.to_toml()), (COUNTERS.to_owned(), counters)])
}

/// Configuration and counters of a checkpoint, where its header holds them.
///
/// # Errors
///
/// When they are there and cannot be read.
pub fn read_about(checkpoint: &Checkpoint) -> Result<Option<(Config, Counters)>, Error> {
    let metadata = checkpoint.metadata();
    let (Some(config), Some(counters)) = (metadata.get(CONFIG), metadata.get(COUNTERS)) else { return Ok(None) };
    let config = Config::from_toml("the checkpoint", config)?;
    let counters = serde_json::from_str(counters).map_err(|error| TrainError::Checkpoint {
        what: "the line of its counters".to_owned(),
        expected: "step, cursor, images and their like".to_owned(),
        found: error.to_string(),
        advice: "save it again with the program that wrote it".to_owned(),
    })?;
    Ok(Some((config, counters)))
}

/// Tensors as the bytes of one safetensors file, with a sum over the numbers beside `metadata`.
///
/// # Errors
///
/// The device's.
pub async fn to_bytes(entries: &[Entry], mut metadata: BTreeMap<String, String>) -> Result<Vec<u8>, DeviceError> {
    let mut data = Vec::new();
    for entry in entries {
        data.extend(entry.read().await?.iter().flat_map(|value| value.to_le_bytes()));
    }
    metadata.insert(SUM.to_owned(), sum(&data));
    let tensors = entries.iter().map(|entry| (entry.name.as_str(), Dtype::F32, entry.shape.as_slice()));
    let mut bytes = safetensors::header(tensors, &metadata);
    bytes.extend(data);
    Ok(bytes)
}

/// Whether the bytes of a file are those that [`to_bytes`] wrote; a file without a sum is taken at its word.
///
/// # Errors
///
/// [`TrainError::Checkpoint`].
pub fn check_sum(checkpoint: &Checkpoint, bytes: &[u8]) -> Result<(), TrainError> {
    let Some(expected) = checkpoint.metadata().get(SUM) else { return Ok(()) };
    let start = bytes.first_chunk::<8>().map_or(0, |length| 8 + u64::from_le_bytes(*length)) as usize;
    let found = sum(bytes.get(start..).unwrap_or_default());
    if *expected == found {
        return Ok(());
    }
    let advice = "it was cut short or changed on its way: take an older one".to_owned();
    Err(TrainError::Checkpoint {
        what: "the sum over its numbers".to_owned(),
        expected: expected.clone(),
        found,
        advice,
    })
}

/// FNV-1a, 64 bits: against accidents, not against malice.
fn sum(bytes: &[u8]) -> String {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{sum:016x}")
}

impl Trainer {
    /// Every tensor of the run between two steps. Cheap: nothing leaves the device yet, and later steps do not change
    /// what was taken.
    pub fn state(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let named = |prefix: &str, Named { name, shape, values, .. }: Named| Entry {
            name: format!("{prefix}.{name}"),
            shape,
            values,
        };
        let students = tensors(&self.student);
        let shapes: BTreeMap<String, Vec<usize>> =
            students.iter().map(|tensor| (tensor.name.clone(), tensor.shape.clone())).collect();
        entries.extend(students.into_iter().map(|tensor| named("student", tensor)));
        if let Some(teacher) = &self.teacher {
            entries.extend(tensors(teacher).into_iter().map(|tensor| named("teacher", tensor)));
            for (name, center) in [("center.dino", &self.centers.dino), ("center.ibot", &self.centers.ibot)] {
                let shape = center.dims().to_vec();
                entries.push(Entry { name: name.to_owned(), values: center.clone().reshape([shape[1]]), shape });
            }
        }
        if let Some(LossScale { scale, good }) = self.loss_scale {
            // A power of two, and a count below 2000: exact in f32.
            let values = TensorData::new(vec![scale as f32, good as f32], [2]);
            let values = Tensor::from_data(values, &self.plain_device());
            entries.push(Entry { name: LOSS_SCALE.to_owned(), shape: vec![2], values });
        }
        for (name, moments) in &self.optim.moments {
            let device = moments.first.device();
            // Whole numbers up to 16 million are exact in f32.
            let count = Tensor::from_data(TensorData::new(vec![moments.count as f32], [1]), &device);
            let shape = &shapes[name];
            for (kind, shape, values) in [
                ("m", shape.clone(), moments.first.clone()),
                ("v", shape.clone(), moments.second.clone()),
                ("t", vec![1], count),
            ] {
                entries.push(Entry { name: format!("optim.{kind}.{name}"), shape, values });
            }
        }
        entries
    }

    /// Puts the run where a checkpoint of it stands.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] when a tensor is missing, of another shape, or of no use, and the checkpoint's own.
    pub async fn restore(&mut self, checkpoint: &Checkpoint, counters: &Counters) -> Result<(), Error> {
        self.put(checkpoint, counters, false).await
    }

    /// Puts a new run where another one of the same sizes stands; `train.precision` may be another: a run that has no loss
    /// scale leaves it aside, one that needs it begins with the first.
    ///
    /// # Errors
    ///
    /// As [`restore`](Self::restore).
    pub async fn restore_from(&mut self, checkpoint: &Checkpoint, counters: &Counters) -> Result<(), Error> {
        self.put(checkpoint, counters, true).await
    }

    async fn put(&mut self, checkpoint: &Checkpoint, counters: &Counters, another: bool) -> Result<(), Error> {
        let misfit = |what: String, expected: String, found: String| TrainError::Checkpoint {
            what,
            expected,
            found,
            advice: "resume with the configuration that the run was started with, or choose another --out".to_owned(),
        };
        if counters.format != FORMAT {
            let advice = "resume it with the version of this program that wrote it".to_owned();
            let (expected, found) = (FORMAT.to_string(), counters.format.to_string());
            return Err(TrainError::Checkpoint { what: "its format".to_owned(), expected, found, advice }.into());
        }
        let mut left: Vec<&str> = checkpoint.names().collect();
        let device = self.device.clone().inner();
        let mut found = BTreeMap::new();
        let read = async |name: String, shape: &[usize]| -> Result<(String, Tensor<1>), Error> {
            let entry = checkpoint.entry(&name);
            let stored = entry.map(|entry| entry.shape.clone());
            if stored.as_deref() != Some(shape) {
                let stored = stored.map_or("missing".to_owned(), |shape| format!("{shape:?}"));
                return Err(misfit(format!("tensor {name}"), format!("{shape:?}"), stored).into());
            }
            let values = checkpoint.read(&name).await?.to_f32()?;
            let count = values.len();
            Ok((name, Tensor::from_data(TensorData::new(values, [count]), &device)))
        };
        let students = tensors(&self.student);
        for Named { name, shape, .. } in &students {
            found.extend([read(format!("student.{name}"), shape).await?]);
            if self.teacher.is_some() {
                found.extend([read(format!("teacher.{name}"), shape).await?]);
            }
        }
        let mut moments = BTreeMap::new();
        for Named { name, shape, .. } in &students {
            if checkpoint.entry(&format!("optim.t.{name}")).is_none() {
                continue;
            }
            let (_, first) = read(format!("optim.m.{name}"), shape).await?;
            let (_, second) = read(format!("optim.v.{name}"), shape).await?;
            let count = checkpoint.read(&format!("optim.t.{name}")).await?.to_f32()?;
            let count = count.first().map_or(0, |&count| count as u64);
            left.retain(|entry| entry.strip_prefix("optim.").is_none_or(|rest| rest.get(2..) != Some(name)));
            moments.insert(name.clone(), Moments { first, second, count });
        }
        let mut centers = self.centers.clone();
        if self.teacher.is_some() {
            for (name, center) in [("center.dino", &mut centers.dino), ("center.ibot", &mut centers.ibot)] {
                let shape = center.dims();
                *center = read(name.to_owned(), &shape).await?.1.reshape(shape);
            }
        }
        let mut loss_scale = self.loss_scale;
        let has_scale = checkpoint.entry(LOSS_SCALE).is_some();
        if let Some(loss_scale) = loss_scale.as_mut().filter(|_| has_scale || !another) {
            read(LOSS_SCALE.to_owned(), &[2]).await?;
            let values = checkpoint.read(LOSS_SCALE).await?.to_f32()?;
            *loss_scale = LossScale { scale: f64::from(values[0]), good: values[1] as u64 };
            left.retain(|name| *name != LOSS_SCALE);
        }
        if another {
            left.retain(|name| *name != LOSS_SCALE);
        }
        left.retain(|name| !found.contains_key(*name) && !name.starts_with("center."));
        if let Some(unknown) = left.first() {
            let (what, found) = (format!("tensor {unknown}"), "present".to_owned());
            return Err(misfit(what, "no such tensor".to_owned(), found).into());
        }
        // Nothing can fail from here on: the run changes as a whole or not at all.
        let mut give = |name: String| found.remove(&name).unwrap_or_else(|| panic!("{name} was read above"));
        self.student = change(self.student.clone(), &mut |name, _| give(format!("student.{name}")));
        self.teacher = self.teacher.take().map(|net| change(net, &mut |name, _| give(format!("teacher.{name}"))));
        self.optim.moments = moments;
        self.centers = centers;
        self.step = counters.step;
        self.loss_scale = loss_scale;
        self.hand_out();
        Ok(())
    }

    /// The model that the run is for (the teacher, or MAE with its decoder) as a Hugging Face folder.
    pub fn export(&self) -> (HuggingFace, Vec<Entry>) {
        let config = &self.config;
        let mae = (config.method == Method::Mae).then(|| config.mae_decoder());
        let folder = hugging_face(&config.vit(), mae.as_ref(), config.data.mean, config.data.std);
        let mut entries = Vec::new();
        for Named { name, shape, values, .. } in tensors(self.evaluated()) {
            let Some(targets) = parameter_name(&name).and_then(|name| folder.tensors.get(&name)) else { continue };
            for target in targets {
                let range = target.range(values.dims()[0]);
                let mut shape = shape.clone();
                shape[0] /= target.parts;
                if target.name.ends_with("embeddings.mask_token") {
                    shape.remove(0); // [1, D] there
                }
                let values = values.clone().narrow(0, range.start, range.len());
                entries.push(Entry { name: target.name.clone(), shape, values });
            }
        }
        (folder, entries)
    }

    /// The device of the run, without autodiff.
    pub fn plain_device(&self) -> Device {
        self.device.clone().inner()
    }
}

/// What a tensor of a net is called among a model's parameters; heads have no name there.
pub(super) fn parameter_name(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("decoder.") {
        return Some(if rest == "mask_token" { "decoder_mask_token".to_owned() } else { rest.to_owned() });
    }
    let rest = name.strip_prefix("backbone.")?;
    Some(match rest.strip_prefix("patch_embed.") {
        Some(kind) => format!("patch_embed.proj.{kind}"),
        None if rest.ends_with(".ls1") || rest.ends_with(".ls2") => format!("{rest}.gamma"),
        None => rest.to_owned(),
    })
}
