//! What a model is and costs, from its headers alone: no weight is read, no device opened.

use std::collections::BTreeMap;

use lab_protocol::ModelInfo;

use super::config::VitConfig;
use super::keys::recognise;
use super::model::{describe, preprocessing};
use super::names::Misshapen;
use super::presets::released_as;
use crate::error::Error;
use crate::formats::ModelFiles;

/// A model's description.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelReport {
    /// Family, sizes, parameters, preprocessing; `bytes` as stored in f32.
    pub info: ModelInfo,
    /// The family in full: whose names the tensors bear.
    pub layout: &'static str,
    /// Operations of one image at the size it is prepared to, a multiply-add counted as two.
    pub flops_per_image: u64,
    /// The most that one image's activations take at once in f32, in bytes: a block's widest moment.
    pub activation_bytes_per_image: u64,
    /// The released models whose encoder has these sizes.
    pub released: Vec<String>,
    /// A word on the licence of those.
    pub licence: Option<String>,
    /// Tensors that are known and of no use here.
    pub ignored: Vec<String>,
    /// Tensors that no model of this family has.
    pub unknown: Vec<String>,
    /// Tensors that the model needs and the files lack.
    pub missing: Vec<String>,
    /// Tensors that are there in another shape than the model needs: such a model does not load.
    pub misshapen: Vec<Misshapen>,
    /// Tensors that the model needs and whose type of number no weight can have, with that type: such a model does not
    /// load.
    pub wrong_dtype: BTreeMap<String, &'static str>,
    /// Bytes by type of number, as stored.
    pub stored: BTreeMap<String, u64>,
}

/// Reads names, shapes and config of a model.
///
/// # Errors
///
/// [`Error::Model`] when no family fits, [`Error::Image`] for a preprocessing that we cannot follow.
pub async fn inspect(files: &ModelFiles) -> Result<ModelReport, Error> {
    let layout = recognise(&files.checkpoint, files.config.as_deref())?;
    let preprocess = preprocessing(files, &layout)?;
    let config = &layout.config;
    let mut info = describe(files, &layout, &preprocess, 0);
    info.bytes = 4 * info.parameters;
    let grid = info.img_size / config.patch_size;
    let mut stored = BTreeMap::new();
    for name in files.checkpoint.names() {
        if let Some(entry) = files.checkpoint.entry(name) {
            *stored.entry(entry.dtype.name().to_owned()).or_default() += entry.byte_len;
        }
    }
    let needed = layout.recipes.values().flat_map(|recipe| &recipe.parts);
    let wrong_dtype = needed
        .filter_map(|(name, _)| Some((name, files.checkpoint.entry(name)?.dtype)))
        .filter(|(_, dtype)| !dtype.is_float())
        .map(|(name, dtype)| (name.clone(), dtype.name()))
        .collect();
    let released = released_as(config);
    Ok(ModelReport {
        info,
        layout: layout.family.title(),
        flops_per_image: u64::try_from(config.flops(grid, grid)).unwrap_or(u64::MAX),
        activation_bytes_per_image: activation_bytes(config, grid),
        licence: licence_of(&released).map(str::to_owned),
        released,
        ignored: layout.ignored,
        unknown: layout.unknown,
        missing: layout.missing,
        misshapen: layout.misshapen,
        wrong_dtype,
        stored,
    })
}

/// The licence of released models, by their names (webssl specification §1.4).
fn licence_of(released: &[String]) -> Option<&'static str> {
    let first = released.first()?;
    Some(if first.contains("dinov2-") {
        "those of DINOv2 are Apache-2.0"
    } else {
        "those of Web-SSL and MAE are CC-BY-NC 4.0 (no commercial use)"
    })
}

/// The most that the activations of one image of `grid` by `grid` patches take at once in f32, in bytes.
pub(super) fn activation_bytes(config: &VitConfig, grid: usize) -> u64 {
    // Residual stream, its norm, and the larger of qkv and the feed-forward's width. Attention holds no more of its
    // probabilities than a call may (`kernels::attention`).
    let widest = 2 * config.embed_dim + (3 * config.embed_dim).max(2 * config.ffn_hidden());
    4 * (config.tokens(grid, grid) * widest) as u64
}
