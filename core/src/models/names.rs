//! Names: ours, each family's, and where one of our tensors lies in a checkpoint.
//!
//! Names and shapes: webssl specification §2.

use std::collections::BTreeMap;
use std::ops::Range;

use super::config::{Ffn, Head, MaeConfig, VitConfig};
use super::keys::Family;
use crate::error::ModelError;
use crate::formats::Checkpoint;
use crate::kernels::linear::Activation;

/// Where one of our tensors lies: rows of one tensor, or several tensors one below the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Name in the checkpoint, and its rows (`None` is all).
    pub parts: Vec<(String, Option<Range<usize>>)>,
}

impl Recipe {
    /// How many rows the parts have together, in a checkpoint that should hold a tensor of `shape`; `None` where it holds
    /// no part of it. Only headers are asked.
    ///
    /// Dimensions of one are no difference: Hugging Face keeps a token as `[1, D]`, we as `[1, 1, D]`.
    ///
    /// # Errors
    ///
    /// [`Misshapen`] unless the parts, one below the other, have that shape.
    pub fn rows(&self, checkpoint: &Checkpoint, shape: &[usize]) -> Result<Option<usize>, Misshapen> {
        let squeezed = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
        let mut rows = 0usize;
        let mut tail: Option<Vec<usize>> = None;
        for (part, range) in &self.parts {
            let Some(entry) = checkpoint.entry(part) else { continue };
            let wrong = |expected: String| Misshapen { tensor: part.clone(), expected, found: entry.shape.clone() };
            rows = rows.saturating_add(match range {
                Some(range) if range.end > entry.rows() => return Err(wrong(format!("at least {} rows", range.end))),
                Some(range) => range.len(),
                None => entry.rows(),
            });
            let columns = entry.shape.get(1..).unwrap_or_default().to_vec();
            if let Some(tail) = tail.as_ref().filter(|tail| **tail != columns) {
                return Err(wrong(format!("rows of {tail:?}, like the tensors it is joined with")));
            }
            tail = Some(columns);
        }
        let Some(tail) = tail else { return Ok(None) };
        let found = [vec![rows], tail].concat();
        if squeezed(&found) != squeezed(shape) {
            let tensor = self.parts.iter().map(|(part, _)| part.as_str()).collect::<Vec<_>>().join(" + ");
            return Err(Misshapen { tensor, expected: format!("{shape:?}"), found });
        }
        Ok(Some(rows))
    }
}

/// A tensor that has not the shape that the model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misshapen {
    /// Its name in the checkpoint; several where ours is joined of them.
    pub tensor: String,
    /// The shape that the other tensors ask for.
    pub expected: String,
    /// The one it has.
    pub found: Vec<usize>,
}

impl From<Misshapen> for ModelError {
    fn from(Misshapen { tensor, expected, found }: Misshapen) -> Self {
        Self::Shape { tensor, expected, found }
    }
}

type Table = &'static [(&'static str, &'static [&'static str])];

const VIT_BLOCK: Table = &[
    ("norm1", &["layernorm_before"]),
    ("attn.qkv", &["attention.attention.query", "attention.attention.key", "attention.attention.value"]),
    ("attn.proj", &["attention.output.dense"]),
    ("norm2", &["layernorm_after"]),
    ("mlp.fc1", &["intermediate.dense"]),
    ("mlp.fc2", &["output.dense"]),
];
const DINOV2_BLOCK: Table = &[
    ("norm1", &["norm1"]),
    ("attn.qkv", &["attention.attention.query", "attention.attention.key", "attention.attention.value"]),
    ("attn.proj", &["attention.output.dense"]),
    ("ls1.gamma", &["layer_scale1.lambda1"]),
    ("norm2", &["norm2"]),
    ("ls2.gamma", &["layer_scale2.lambda1"]),
];
const CLIP_BLOCK: Table = &[
    ("norm1", &["layer_norm1"]),
    ("attn.qkv", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    ("attn.proj", &["self_attn.out_proj"]),
    ("norm2", &["layer_norm2"]),
    ("mlp.fc1", &["mlp.fc1"]),
    ("mlp.fc2", &["mlp.fc2"]),
];
const ORIGINAL_BLOCK: Table = &[
    ("norm1", &["norm1"]),
    ("attn.qkv", &["attn.qkv"]),
    ("attn.proj", &["attn.proj"]),
    ("ls1.gamma", &["ls1.gamma"]),
    ("norm2", &["norm2"]),
    ("ls2.gamma", &["ls2.gamma"]),
];
const HF_GLOBALS: Table = &[
    ("patch_embed.proj", &["embeddings.patch_embeddings.projection"]),
    ("cls_token", &["embeddings.cls_token"]),
    ("mask_token", &["embeddings.mask_token"]),
    ("register_tokens", &["embeddings.register_tokens"]),
    ("pos_embed", &["embeddings.position_embeddings"]),
    ("norm", &["layernorm"]),
];
const CLIP_GLOBALS: Table = &[
    ("patch_embed.proj", &["embeddings.patch_embedding"]),
    ("cls_token", &["embeddings.class_embedding"]),
    ("pos_embed", &["embeddings.position_embedding.weight"]),
    ("norm_pre", &["pre_layrnorm"]),
    ("norm", &["post_layernorm"]),
    ("attn_pool.probe", &["head.probe"]),
    ("attn_pool.out_proj", &["head.attention.out_proj"]),
    ("attn_pool.norm", &["head.layernorm"]),
    ("attn_pool.mlp", &["head.mlp"]),
];
const ORIGINAL_GLOBALS: Table = &[
    ("patch_embed.proj", &["patch_embed.proj"]),
    ("cls_token", &["cls_token"]),
    ("mask_token", &["mask_token"]),
    ("register_tokens", &["register_tokens"]),
    ("pos_embed", &["pos_embed"]),
    ("norm", &["norm"]),
];
const HF_DECODER: Table = &[
    ("decoder_embed", &["decoder.decoder_embed"]),
    ("decoder_mask_token", &["decoder.mask_token"]),
    ("decoder_pos_embed", &["decoder.decoder_pos_embed"]),
    ("decoder_norm", &["decoder.decoder_norm"]),
    ("decoder_pred", &["decoder.decoder_pred"]),
];
const ORIGINAL_DECODER: Table = &[
    ("decoder_embed", &["decoder_embed"]),
    ("decoder_mask_token", &["mask_token"]),
    ("decoder_pos_embed", &["decoder_pos_embed"]),
    ("decoder_norm", &["decoder_norm"]),
    ("decoder_pred", &["decoder_pred"]),
];

/// How a family names tensors: our names to a checkpoint's.
pub(super) struct Naming<'a> {
    pub(super) family: Family,
    pub(super) prefix: &'a str,
    pub(super) blocks: &'a [String],
    pub(super) decoder_prefix: &'a str,
    pub(super) decoder_blocks: &'a [String],
}

impl Naming<'_> {
    /// Where the tensor `name` of ours lies.
    pub(super) fn recipe(&self, name: &str, config: &VitConfig) -> Recipe {
        let whole = |parts: Vec<String>| Recipe { parts: parts.into_iter().map(|part| (part, None)).collect() };
        let hf_decoder = self.family == Family::VitMae;
        if let Some(rest) = name.strip_prefix("decoder_blocks.") {
            let (index, rest) = split_index(rest);
            let table = if hf_decoder { VIT_BLOCK } else { ORIGINAL_BLOCK };
            return whole(self.translate(rest, &self.decoder_blocks[index], table, config.ffn));
        }
        if let Some(rest) = name.strip_prefix("blocks.") {
            let (index, rest) = split_index(rest);
            let table = match self.family {
                Family::Dinov2 => DINOV2_BLOCK,
                Family::Vit | Family::VitMae => VIT_BLOCK,
                Family::Clip | Family::Siglip => CLIP_BLOCK,
                Family::Original | Family::OriginalMae => ORIGINAL_BLOCK,
            };
            return whole(self.translate(rest, &self.blocks[index], table, config.ffn));
        }
        if name.starts_with("decoder_") {
            let table = if hf_decoder { HF_DECODER } else { ORIGINAL_DECODER };
            return whole(self.translate(name, self.decoder_prefix, table, config.ffn));
        }
        // SigLIP keeps the three projections of its head in one tensor of 3 D rows.
        let d = config.embed_dim;
        for (ours, rows) in [("attn_pool.query.", 0..d), ("attn_pool.key_value.", d..3 * d)] {
            if let Some(rest) = name.strip_prefix(ours) {
                let source = format!("{}head.attention.in_proj_{rest}", self.prefix);
                return Recipe { parts: vec![(source, Some(rows))] };
            }
        }
        let table = match self.family {
            Family::Dinov2 | Family::Vit | Family::VitMae => HF_GLOBALS,
            Family::Clip | Family::Siglip => CLIP_GLOBALS,
            Family::Original | Family::OriginalMae => ORIGINAL_GLOBALS,
        };
        whole(self.translate(name, self.prefix, table, config.ffn))
    }

    fn translate(&self, name: &str, prefix: &str, table: Table, ffn: Ffn) -> Vec<String> {
        for (ours, theirs) in table {
            if let Some(rest) = name.strip_prefix(ours)
                && (rest.is_empty() || rest.starts_with('.'))
            {
                return theirs.iter().map(|theirs| format!("{prefix}{theirs}{rest}")).collect();
            }
        }
        // The feed-forward halves of the DINOv2 layouts, where SwiGLU has names of its own.
        let swiglu = matches!(ffn, Ffn::SwiGlu { .. });
        let (first, second) = match self.family {
            Family::Original if swiglu => ("mlp.w12", "mlp.w3"),
            Family::Dinov2 if swiglu => ("mlp.weights_in", "mlp.weights_out"),
            _ => ("mlp.fc1", "mlp.fc2"),
        };
        let name = name.replace("mlp.fc1", first).replace("mlp.fc2", second);
        vec![format!("{prefix}{name}")]
    }
}

/// Where the tensors of a model go in a Hugging Face folder of a family, as a whole checkpoint names them.
pub fn hugging_face_recipes(family: Family, config: &VitConfig, mae: Option<&MaeConfig>) -> BTreeMap<String, Recipe> {
    let prefix = if family == Family::VitMae { "vit." } else { "" };
    let blocks: Vec<String> = (0..config.depth).map(|index| format!("{prefix}encoder.layer.{index}.")).collect();
    let decoder_depth = mae.map_or(0, |mae| mae.decoder_depth);
    let decoder_blocks: Vec<String> =
        (0..decoder_depth).map(|index| format!("decoder.decoder_layers.{index}.")).collect();
    let naming = Naming { family, prefix, blocks: &blocks, decoder_prefix: "", decoder_blocks: &decoder_blocks };
    let shapes = parameter_shapes(config, mae).into_keys();
    shapes.map(|name| (name.clone(), naming.recipe(&name, config))).collect()
}

/// `3.norm1.weight` as 3 and `norm1.weight`.
fn split_index(rest: &str) -> (usize, &str) {
    let (index, rest) = rest.split_once('.').expect("parameter_shapes wrote it");
    (index.parse().expect("parameter_shapes wrote it"), rest)
}

/// Every tensor that a model of this config holds: our name and its shape.
pub fn parameter_shapes(config: &VitConfig, mae: Option<&MaeConfig>) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = Shapes::default();
    let (d, p, channels) = (config.embed_dim, config.patch_size, config.in_chans);
    shapes.add("patch_embed.proj.weight", &[d, channels, p, p]);
    if config.patch_bias {
        shapes.add("patch_embed.proj.bias", &[d]);
    }
    for (name, rows, wanted) in [
        ("cls_token", 1, config.class_token),
        ("mask_token", 1, config.mask_token),
        ("register_tokens", config.num_register_tokens, config.num_register_tokens > 0),
        ("pos_embed", config.positions(), true),
    ] {
        if wanted {
            shapes.add(name, &[1, rows, d]);
        }
    }
    if config.norm_pre {
        shapes.pair("norm_pre", &[d]);
    }
    for index in 0..config.depth {
        shapes.block(&format!("blocks.{index}"), d, config.ffn, config.layer_scale);
    }
    shapes.pair("norm", &[d]);
    if let Head::AttentionPool { hidden } = config.head {
        shapes.add("attn_pool.probe", &[1, 1, d]);
        shapes.pair("attn_pool.query", &[d, d]);
        shapes.pair("attn_pool.key_value", &[2 * d, d]);
        shapes.pair("attn_pool.out_proj", &[d, d]);
        shapes.pair("attn_pool.norm", &[d]);
        let first = if matches!(config.ffn, Ffn::SwiGlu { .. }) { 2 * hidden } else { hidden };
        shapes.mlp("attn_pool.mlp", d, first, hidden);
    }
    if let Some(mae) = mae {
        let (width, hidden) = (mae.decoder_embed_dim, mae.decoder_hidden);
        shapes.add("decoder_mask_token", &[1, 1, width]);
        shapes.add("decoder_pos_embed", &[1, config.positions(), width]);
        shapes.pair("decoder_embed", &[width, d]);
        for index in 0..mae.decoder_depth {
            let ffn = Ffn::Mlp { hidden, activation: Activation::Gelu };
            shapes.block(&format!("decoder_blocks.{index}"), width, ffn, false);
        }
        shapes.pair("decoder_norm", &[width]);
        shapes.pair("decoder_pred", &[p * p * channels, width]);
    }
    shapes.0
}

#[derive(Default)]
struct Shapes(BTreeMap<String, Vec<usize>>);

impl Shapes {
    fn add(&mut self, name: &str, shape: &[usize]) {
        self.0.insert(name.to_owned(), shape.to_vec());
    }

    /// A weight and a bias of as many numbers as the weight has rows.
    fn pair(&mut self, name: &str, weight: &[usize]) {
        self.add(&format!("{name}.weight"), weight);
        self.add(&format!("{name}.bias"), &weight[..1]);
    }

    fn mlp(&mut self, name: &str, d: usize, first: usize, hidden: usize) {
        self.pair(&format!("{name}.fc1"), &[first, d]);
        self.pair(&format!("{name}.fc2"), &[d, hidden]);
    }

    fn block(&mut self, name: &str, d: usize, ffn: Ffn, layer_scale: bool) {
        self.pair(&format!("{name}.norm1"), &[d]);
        self.pair(&format!("{name}.attn.qkv"), &[3 * d, d]);
        self.pair(&format!("{name}.attn.proj"), &[d, d]);
        self.pair(&format!("{name}.norm2"), &[d]);
        let (first, hidden) = match ffn {
            Ffn::Mlp { hidden, .. } => (hidden, hidden),
            Ffn::SwiGlu { hidden } => (2 * hidden, hidden),
        };
        self.mlp(&format!("{name}.mlp"), d, first, hidden);
        if layer_scale {
            self.add(&format!("{name}.ls1.gamma"), &[d]);
            self.add(&format!("{name}.ls2.gamma"), &[d]);
        }
    }
}
