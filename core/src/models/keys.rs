//! Which family a checkpoint is, and which of its tensors is which of ours.
//!
//! Everything is found by keys, nothing by file names: Hugging Face's Dinov2, ViT, ViTMAE, CLIP and SigLIP, and the
//! original code's layouts (DINOv2, Web-DINO, timm's MAE), under any prefix (`vision_model.`, `teacher.backbone.`,
//! `model.`). Every tensor must be needed or known to be of no use; every needed one must be there.
//! Names and shapes: webssl specification §2.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::Value;

use super::config::{Ffn, Head, MaeConfig, VitConfig};
use crate::error::ModelError;
use crate::formats::Checkpoint;
use crate::kernels::linear::Activation;
use crate::layers::pos_embed::Interpolation;

/// A layout of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Hugging Face `Dinov2Model` and `Dinov2WithRegistersModel`.
    Dinov2,
    /// Hugging Face `ViTModel`; Web-MAE's encoders.
    Vit,
    /// Hugging Face `ViTMAEForPreTraining`.
    VitMae,
    /// Hugging Face `CLIPVisionModel`.
    Clip,
    /// Hugging Face `SiglipVisionModel`.
    Siglip,
    /// The original DINOv2 and Web-DINO code.
    Original,
    /// MAE's own code on timm's names, with or without the decoder.
    OriginalMae,
}

impl Family {
    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Dinov2 => "DINOv2 (Hugging Face)",
            Self::Vit => "ViT (Hugging Face)",
            Self::VitMae => "MAE (Hugging Face)",
            Self::Clip => "CLIP vision (Hugging Face)",
            Self::Siglip => "SigLIP vision (Hugging Face)",
            Self::Original => "DINOv2 (original code)",
            Self::OriginalMae => "MAE (original code)",
        }
    }
}

/// Where one of our tensors lies: rows of one tensor, or several tensors one below the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Name in the checkpoint, and its rows (`None` is all).
    pub parts: Vec<(String, Option<Range<usize>>)>,
}

/// What a checkpoint is.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The family of names.
    pub family: Family,
    /// The encoder.
    pub config: VitConfig,
    /// MAE's decoder, where the checkpoint has one.
    pub mae: Option<MaeConfig>,
    /// Our names to the checkpoint's.
    pub recipes: BTreeMap<String, Recipe>,
    /// Tensors that are known and of no use here: an untrained pooler, a text tower, an optimizer's state.
    pub ignored: Vec<String>,
    /// Tensors that no model of this family has.
    pub unknown: Vec<String>,
    /// Tensors that the model needs and the checkpoint lacks, by the checkpoint's names.
    pub missing: Vec<String>,
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

/// Beginnings of names, behind any prefix, that belong to things we have no use for.
const OF_NO_USE: [&str; 16] = [
    "pooler.",
    "classifier.",
    "embeddings.position_ids",
    "text_model.",
    "text_projection",
    "visual_projection",
    "logit_scale",
    "logit_bias",
    "dino_head.",
    "ibot_head.",
    "dino_loss.",
    "ibot_patch_loss.",
    "optimizer",
    "scaler",
    "epoch",
    "iteration",
];

/// Reads the names and shapes of a checkpoint, and `config.json` where there is one.
///
/// # Errors
///
/// [`ModelError`] when no family fits, or sizes cannot be told or contradict each other. Missing and unknown tensors
/// are not errors yet: [`Layout::check`] makes them one, `inspect` lists them.
pub fn recognise(checkpoint: &Checkpoint, config: Option<&str>) -> Result<Layout, ModelError> {
    let config = ConfigJson::parse(config)?;
    let (family, prefix) = family_of(checkpoint)?;
    Reader { checkpoint, config, family, prefix }.layout()
}

impl Layout {
    /// Turns missing and unknown tensors into an error that lists both.
    ///
    /// # Errors
    ///
    /// [`ModelError::Tensors`].
    pub fn check(&self) -> Result<(), ModelError> {
        if self.missing.is_empty() && self.unknown.is_empty() {
            return Ok(());
        }
        Err(ModelError::Tensors {
            family: self.family.title(),
            missing: self.missing.clone(),
            unknown: self.unknown.clone(),
        })
    }
}

/// The family, and what stands before its names. Of several models in one file the teacher is taken: DINOv2 evaluates
/// it.
fn family_of(checkpoint: &Checkpoint) -> Result<(Family, String), ModelError> {
    let anchors = [
        ("embeddings.patch_embeddings.projection.weight", Family::Dinov2),
        ("embeddings.patch_embedding.weight", Family::Clip),
        ("patch_embed.proj.weight", Family::Original),
    ];
    let mut found: Vec<(Family, String)> = Vec::new();
    for name in checkpoint.names() {
        for (anchor, family) in anchors {
            let prefix = name.strip_suffix(anchor).filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
            found.extend(prefix.map(|prefix| (family, prefix.to_owned())));
        }
    }
    found.sort_by_key(|(_, prefix)| (!prefix.contains("teacher"), prefix.len()));
    let Some((family, prefix)) = found.into_iter().next() else {
        let sample = checkpoint.names().take(5).map(str::to_owned).collect();
        return Err(ModelError::UnknownLayout { tensors: checkpoint.names().len(), sample });
    };
    let has = |name: &str| checkpoint.entry(&format!("{prefix}{name}")).is_some();
    let family = match family {
        Family::Dinov2 if has("encoder.layer.0.norm1.weight") => Family::Dinov2,
        Family::Dinov2 => {
            let parent = prefix.strip_suffix("vit.").unwrap_or(&prefix);
            let mae = checkpoint.entry(&format!("{parent}decoder.decoder_pred.weight")).is_some();
            if mae { Family::VitMae } else { Family::Vit }
        }
        Family::Clip if has("embeddings.class_embedding") => Family::Clip,
        Family::Clip => Family::Siglip,
        _ if has("decoder_pred.weight")
            || (!has("mask_token") && !has("blocks.0.ls1.gamma") && !has("blocks.0.0.ls1.gamma")) =>
        {
            Family::OriginalMae
        }
        other => other,
    };
    Ok((family, prefix))
}

struct Reader<'a> {
    checkpoint: &'a Checkpoint,
    config: ConfigJson,
    family: Family,
    prefix: String,
}

impl Reader<'_> {
    fn layout(self) -> Result<Layout, ModelError> {
        let blocks = self.blocks(&self.prefix, self.block_prefix());
        let config = self.vit_config(&blocks)?;
        let decoder_prefix = self.decoder_prefix();
        let decoder_blocks = match self.family {
            Family::VitMae => self.blocks(&decoder_prefix, "decoder.decoder_layers."),
            Family::OriginalMae => self.blocks(&decoder_prefix, "decoder_blocks."),
            _ => Vec::new(),
        };
        let mae = match decoder_blocks.is_empty() {
            true => None,
            false => Some(self.mae_config(&decoder_prefix, &decoder_blocks)?),
        };

        let naming = Naming {
            family: self.family,
            prefix: &self.prefix,
            blocks: &blocks,
            decoder_prefix: &decoder_prefix,
            decoder_blocks: &decoder_blocks,
        };
        let names = parameter_names(&config, mae.as_ref()).into_iter();
        let recipes: BTreeMap<_, _> = names.map(|name| (name.clone(), naming.recipe(&name, &config))).collect();
        let needed: BTreeSet<&str> =
            recipes.values().flat_map(|recipe| recipe.parts.iter().map(|(name, _)| name.as_str())).collect();
        let missing = needed.iter().filter(|name| self.checkpoint.entry(name).is_none()).map(|&name| name.to_owned());
        let missing = missing.collect();
        let (ignored, unknown) = self
            .checkpoint
            .names()
            .filter(|name| !needed.contains(name))
            .map(str::to_owned)
            .partition(|name| self.of_no_use(name));
        Ok(Layout { family: self.family, config, mae, recipes, ignored, unknown, missing })
    }

    /// A tensor outside the encoder chosen, or one of the known extras beside it.
    fn of_no_use(&self, name: &str) -> bool {
        let known = |rest: &str| OF_NO_USE.iter().any(|start| rest.starts_with(start));
        let inside = name.strip_prefix(&self.prefix);
        // Another model in the same file (a student beside the teacher), or a wrapper's own entries.
        let other_model = self.prefix.contains("teacher") && !name.starts_with("teacher");
        let beside = name.rsplit_once("module.").map_or(name, |(_, rest)| rest);
        let beside = beside.strip_prefix("teacher.").unwrap_or(beside);
        inside.is_some_and(known) || known(name) || known(beside) || other_model
    }

    fn block_prefix(&self) -> &'static str {
        match self.family {
            Family::Dinov2 | Family::Vit | Family::VitMae => "encoder.layer.",
            Family::Clip | Family::Siglip => "encoder.layers.",
            Family::Original | Family::OriginalMae => "blocks.",
        }
    }

    fn decoder_prefix(&self) -> String {
        self.prefix.strip_suffix("vit.").unwrap_or(&self.prefix).to_owned()
    }

    /// For each block in order, what stands before its names: `blocks.3.`, or `blocks.0.3.` where FSDP chunked them.
    fn blocks(&self, prefix: &str, start: &str) -> Vec<String> {
        let head = format!("{prefix}{start}");
        let mut found = BTreeMap::new();
        for name in self.checkpoint.names() {
            let Some(rest) = name.strip_prefix(&head) else { continue };
            let mut parts = rest.split('.');
            let Some(first) = parts.next() else { continue };
            let second = parts.next().unwrap_or("");
            if let (Ok(_), Ok(index)) = (first.parse::<usize>(), second.parse::<usize>()) {
                found.insert(index, format!("{head}{first}.{second}."));
            } else if let Ok(index) = first.parse::<usize>() {
                found.insert(index, format!("{head}{first}."));
            }
        }
        // A gap in the numbers shows as missing tensors of the block that is not there.
        let count = found.keys().next_back().map_or(0, |last| last + 1);
        (0..count).map(|index| found.remove(&index).unwrap_or_else(|| format!("{head}{index}."))).collect()
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.checkpoint.entry(name).map(|entry| entry.shape.as_slice())
    }

    /// Last dimension of a tensor that must be there.
    fn need(&self, name: &str, dims: usize) -> Result<&[usize], ModelError> {
        let shape = self.shape(name).ok_or_else(|| ModelError::Tensors {
            family: self.family.title(),
            missing: vec![name.to_owned()],
            unknown: Vec::new(),
        })?;
        if shape.len() != dims {
            return Err(ModelError::Shape {
                tensor: name.to_owned(),
                expected: format!("{dims} dimensions"),
                found: shape.to_vec(),
            });
        }
        Ok(shape)
    }

    fn vit_config(&self, blocks: &[String]) -> Result<VitConfig, ModelError> {
        let local = |name: &str| format!("{}{name}", self.prefix);
        let has = |name: &str| self.checkpoint.entry(&local(name)).is_some();
        let clip_like = matches!(self.family, Family::Clip | Family::Siglip);
        let original = matches!(self.family, Family::Original | Family::OriginalMae);
        let patch = match (clip_like, original) {
            (true, _) => "embeddings.patch_embedding",
            (_, true) => "patch_embed.proj",
            _ => "embeddings.patch_embeddings.projection",
        };
        let patch_name = local(&format!("{patch}.weight"));
        let &[embed_dim, in_chans, patch_size, patch_width] = self.need(&patch_name, 4)? else { unreachable!() };
        if patch_size != patch_width || patch_size == 0 || embed_dim == 0 || in_chans == 0 {
            return Err(ModelError::Shape {
                tensor: patch_name,
                expected: "[D, C, p, p], square patches".to_owned(),
                found: vec![embed_dim, in_chans, patch_size, patch_width],
            });
        }
        self.config.agrees("hidden_size", embed_dim)?;
        self.config.agrees("num_hidden_layers", blocks.len())?;
        let class_token = self.family != Family::Siglip;
        let positions = match (clip_like, original) {
            (true, _) => local("embeddings.position_embedding.weight"),
            (_, true) => local("pos_embed"),
            _ => local("embeddings.position_embeddings"),
        };
        let position_shape = self.need(&positions, if clip_like { 2 } else { 3 })?;
        let rows = position_shape[position_shape.len() - 2];
        let patches = rows.saturating_sub(usize::from(class_token));
        let grid = patches.isqrt();
        if grid * grid != patches || grid == 0 {
            return Err(ModelError::Shape {
                tensor: positions,
                expected: "a square number of patches (and a class token)".to_owned(),
                found: position_shape.to_vec(),
            });
        }
        let first = blocks.first().ok_or_else(|| ModelError::Tensors {
            family: self.family.title(),
            missing: vec![local(&format!("{}0.…", self.block_prefix()))],
            unknown: Vec::new(),
        })?;
        let registers = self.shape(&local(if original { "register_tokens" } else { "embeddings.register_tokens" }));
        let num_register_tokens = registers.map_or(0, |shape| shape.get(1).copied().unwrap_or(0));
        let interpolation = match self.family {
            Family::Dinov2 | Family::Original if num_register_tokens > 0 => Interpolation::AntialiasedSize,
            Family::Original => Interpolation::ScaleOffset,
            _ => Interpolation::Size,
        };
        let head = match self.family {
            Family::Clip => Head::ClipPool,
            Family::Siglip if has("head.probe") => {
                Head::AttentionPool { hidden: self.need(&local("head.mlp.fc1.weight"), 2)?[0] }
            }
            _ => Head::Norm,
        };
        let default_eps = match self.family {
            Family::Clip => 1e-5,
            // transformers' ViT defaults to 1e-12; without a config the names are MAE's, whose code has 1e-6.
            Family::Vit | Family::VitMae if self.config.is_present() => 1e-12,
            _ => 1e-6,
        };
        let mask_token = match self.family {
            Family::Dinov2 => has("embeddings.mask_token"),
            Family::Original => has("mask_token"),
            _ => false,
        };
        Ok(VitConfig {
            img_size: grid * patch_size,
            patch_size,
            in_chans,
            embed_dim,
            depth: blocks.len(),
            num_heads: self.num_heads(embed_dim, "num_attention_heads")?,
            ffn: self.ffn(first)?,
            class_token,
            mask_token,
            num_register_tokens,
            layer_scale: match self.family {
                Family::Dinov2 => true,
                Family::Original => self.checkpoint.entry(&format!("{first}ls1.gamma")).is_some(),
                _ => false,
            },
            patch_bias: self.family != Family::Clip,
            norm_pre: self.family == Family::Clip,
            head,
            interpolation,
            layer_norm_eps: self.config.number("layer_norm_eps")?.unwrap_or(default_eps),
        })
    }

    fn ffn(&self, block: &str) -> Result<Ffn, ModelError> {
        let swiglu = if self.family == Family::Original { "mlp.w12.weight" } else { "mlp.weights_in.weight" };
        let swiglu = format!("{block}{swiglu}");
        if self.shape(&swiglu).is_some() {
            return Ok(Ffn::SwiGlu { hidden: self.need(&swiglu, 2)?[0] / 2 });
        }
        let fc1 = match self.family {
            Family::Vit | Family::VitMae => "intermediate.dense.weight",
            _ => "mlp.fc1.weight",
        };
        let hidden = self.need(&format!("{block}{fc1}"), 2)?[0];
        let default = match self.family {
            Family::Clip => "quick_gelu",
            Family::Siglip => "gelu_pytorch_tanh",
            _ => "gelu",
        };
        let activation = match self.config.text("hidden_act").unwrap_or(default) {
            "gelu" => Activation::Gelu,
            "quick_gelu" => Activation::QuickGelu,
            "gelu_pytorch_tanh" => Activation::GeluTanh,
            other => {
                return Err(ModelError::Config {
                    field: "hidden_act".to_owned(),
                    expected: "gelu, quick_gelu or gelu_pytorch_tanh".to_owned(),
                    found: other.to_owned(),
                });
            }
        };
        Ok(Ffn::Mlp { hidden, activation })
    }

    /// From `config.json`; without one, from the width, as every released model of these families has it.
    fn num_heads(&self, embed_dim: usize, field: &str) -> Result<usize, ModelError> {
        let heads = match self.config.integer(field)? {
            Some(heads) => heads,
            None => match (embed_dim, self.family) {
                (192, _) => 3,
                (384, _) => 6,
                (768, _) => 12,
                (1024, _) => 16,
                (1280, _) => 16,
                (1152, Family::Siglip) => 16,
                (1536, _) => 24,
                (2688, _) => 21,
                (3072, _) => 24,
                (3584, _) => 28,
                (4096, _) => 32,
                _ => return Err(ModelError::NeedsConfig { field: field.to_owned(), embed_dim }),
            },
        };
        if heads == 0 || !embed_dim.is_multiple_of(heads) {
            return Err(ModelError::Config {
                field: field.to_owned(),
                expected: format!("a divisor of the width {embed_dim}"),
                found: heads.to_string(),
            });
        }
        Ok(heads)
    }

    fn mae_config(&self, prefix: &str, blocks: &[String]) -> Result<MaeConfig, ModelError> {
        let (embed, fc1) = match self.family {
            Family::VitMae => ("decoder.decoder_embed.weight", "intermediate.dense.weight"),
            _ => ("decoder_embed.weight", "mlp.fc1.weight"),
        };
        let decoder_embed_dim = self.need(&format!("{prefix}{embed}"), 2)?[0];
        // MAE's decoders all have 16 heads, whatever the encoder (mae:models_mae.py).
        let heads = self.config.integer("decoder_num_attention_heads")?.unwrap_or(16);
        if heads == 0 || !decoder_embed_dim.is_multiple_of(heads) {
            return Err(ModelError::Config {
                field: "decoder_num_attention_heads".to_owned(),
                expected: format!("a divisor of the decoder's width {decoder_embed_dim}"),
                found: heads.to_string(),
            });
        }
        Ok(MaeConfig {
            decoder_embed_dim,
            decoder_depth: blocks.len(),
            decoder_num_heads: heads,
            decoder_hidden: self.need(&format!("{}{fc1}", blocks[0]), 2)?[0],
            mask_ratio: self.config.number("mask_ratio")?.unwrap_or(0.75),
            norm_pix_loss: self.config.flag("norm_pix_loss").unwrap_or(false),
        })
    }
}

/// How a family names tensors: our names to a checkpoint's.
struct Naming<'a> {
    family: Family,
    prefix: &'a str,
    blocks: &'a [String],
    decoder_prefix: &'a str,
    decoder_blocks: &'a [String],
}

impl Naming<'_> {
    fn recipe(&self, name: &str, config: &VitConfig) -> Recipe {
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
    let names = parameter_names(config, mae).into_iter();
    names.map(|name| (name.clone(), naming.recipe(&name, config))).collect()
}

/// `3.norm1.weight` as 3 and `norm1.weight`.
fn split_index(rest: &str) -> (usize, &str) {
    let (index, rest) = rest.split_once('.').expect("parameter_names wrote it");
    (index.parse().expect("parameter_names wrote it"), rest)
}

/// Our names of every tensor that a model of this config holds.
pub fn parameter_names(config: &VitConfig, mae: Option<&MaeConfig>) -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |name: String, kinds: &[&str]| names.extend(kinds.iter().map(|kind| format!("{name}{kind}")));
    const BOTH: [&str; 2] = [".weight", ".bias"];
    const ONE: [&str; 1] = [""];
    add("patch_embed.proj".into(), if config.patch_bias { &BOTH } else { &BOTH[..1] });
    for (name, wanted) in [
        ("cls_token", config.class_token),
        ("mask_token", config.mask_token),
        ("register_tokens", config.num_register_tokens > 0),
        ("pos_embed", true),
    ] {
        add(name.into(), if wanted { &ONE } else { &[] });
    }
    add("norm_pre".into(), if config.norm_pre { &BOTH } else { &[] });
    let mut block = |name: String, layer_scale: bool| {
        for part in ["norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"] {
            add(format!("{name}.{part}"), &BOTH);
        }
        for part in ["ls1.gamma", "ls2.gamma"] {
            add(format!("{name}.{part}"), if layer_scale { &ONE } else { &[] });
        }
    };
    (0..config.depth).for_each(|index| block(format!("blocks.{index}"), config.layer_scale));
    for index in 0..mae.map_or(0, |mae| mae.decoder_depth) {
        block(format!("decoder_blocks.{index}"), false);
    }
    add("norm".into(), &BOTH);
    if let Head::AttentionPool { .. } = config.head {
        add("attn_pool.probe".into(), &ONE);
        for part in ["query", "key_value", "out_proj", "norm", "mlp.fc1", "mlp.fc2"] {
            add(format!("attn_pool.{part}"), &BOTH);
        }
    }
    if mae.is_some() {
        add("decoder_mask_token".into(), &ONE);
        add("decoder_pos_embed".into(), &ONE);
        for part in ["decoder_embed", "decoder_norm", "decoder_pred"] {
            add(part.into(), &BOTH);
        }
    }
    names
}

/// `config.json`, or the vision half of a whole CLIP's.
struct ConfigJson(Option<Value>);

impl ConfigJson {
    fn parse(text: Option<&str>) -> Result<Self, ModelError> {
        let Some(text) = text else { return Ok(Self(None)) };
        let mut value: Value =
            serde_json::from_str(text).map_err(|error| ModelError::ConfigText { reason: error.to_string() })?;
        if let Some(vision) = value.get_mut("vision_config").filter(|vision| vision.is_object()) {
            value = vision.take();
        }
        Ok(Self(Some(value)))
    }

    fn is_present(&self) -> bool {
        self.0.is_some()
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_str()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.field(name)?.as_bool()
    }

    fn number(&self, name: &str) -> Result<Option<f64>, ModelError> {
        let bad = |found: &Value| ModelError::Config {
            field: name.to_owned(),
            expected: "a number, not negative".to_owned(),
            found: found.to_string(),
        };
        self.field(name)
            .map(|value| value.as_f64().filter(|number| *number >= 0.0).ok_or_else(|| bad(value)))
            .transpose()
    }

    fn integer(&self, name: &str) -> Result<Option<usize>, ModelError> {
        let bad = |found: &Value| ModelError::Config {
            field: name.to_owned(),
            expected: "a whole number".to_owned(),
            found: found.to_string(),
        };
        self.field(name)
            .map(|value| value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| bad(value)))
            .transpose()
    }

    /// A size that the weights tell too must not contradict them.
    fn agrees(&self, name: &str, found: usize) -> Result<(), ModelError> {
        match self.integer(name)? {
            Some(stated) if stated != found => Err(ModelError::Config {
                field: name.to_owned(),
                expected: format!("{found}, as the weights have it"),
                found: stated.to_string(),
            }),
            _ => Ok(()),
        }
    }
}
