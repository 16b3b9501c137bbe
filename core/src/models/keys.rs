//! Which family a checkpoint is, and which of its tensors is which of ours.
//!
//! Everything is found by keys, nothing by file names: Hugging Face's Dinov2, ViT, ViTMAE, CLIP and SigLIP, and the
//! original code's layouts (DINOv2, Web-DINO, timm's MAE), under any prefix (`vision_model.`, `teacher.backbone.`,
//! `model.`). Every tensor must be needed or known to be of no use; every needed one must be there.
//! Names and shapes: webssl specification §2.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Ffn, Head, MaeConfig, VitConfig};
use super::config_json::ConfigJson;
use super::names::{Misshapen, Naming, Recipe, parameter_shapes};
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
    /// Tensors that are there in another shape than the model needs.
    pub misshapen: Vec<Misshapen>,
}

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
/// [`ModelError`] when no family fits, or sizes cannot be told or contradict each other. Missing, unknown and misshapen
/// tensors are not errors yet: [`Layout::check`] makes them one, `inspect` lists them.
pub fn recognise(checkpoint: &Checkpoint, config: Option<&str>) -> Result<Layout, ModelError> {
    let config = ConfigJson::parse(config)?;
    let (family, prefix) = family_of(checkpoint)?;
    Reader { checkpoint, config, family, prefix }.layout()
}

impl Layout {
    /// Turns missing and unknown tensors into an error that lists both, or the first misshapen one into one.
    ///
    /// # Errors
    ///
    /// [`ModelError::Tensors`] or [`ModelError::Shape`].
    pub fn check(&self) -> Result<(), ModelError> {
        if self.missing.is_empty() && self.unknown.is_empty() {
            return self.misshapen.first().map_or(Ok(()), |tensor| Err(tensor.clone().into()));
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
        self.config_fits()?;
        let blocks = self.blocks(&self.prefix, self.block_prefix())?;
        let config = self.vit_config(&blocks)?;
        let decoder_prefix = self.decoder_prefix();
        let decoder_blocks = match self.family {
            Family::VitMae => self.blocks(&decoder_prefix, "decoder.decoder_layers.")?,
            Family::OriginalMae => self.blocks(&decoder_prefix, "decoder_blocks.")?,
            _ => Vec::new(),
        };
        let mae = match decoder_blocks.is_empty() {
            true => None,
            false => Some(self.mae_config(&decoder_prefix, &decoder_blocks, config.grid() * config.grid())?),
        };

        let naming = Naming {
            family: self.family,
            prefix: &self.prefix,
            blocks: &blocks,
            decoder_prefix: &decoder_prefix,
            decoder_blocks: &decoder_blocks,
        };
        let mut misshapen = Vec::new();
        let mut recipes = BTreeMap::new();
        for (name, shape) in parameter_shapes(&config, mae.as_ref()) {
            let recipe = naming.recipe(&name, &config);
            misshapen.extend(recipe.rows(self.checkpoint, &shape).err());
            recipes.insert(name, recipe);
        }
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
        Ok(Layout { family: self.family, config, mae, recipes, ignored, unknown, missing, misshapen })
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
    fn blocks(&self, prefix: &str, start: &str) -> Result<Vec<String>, ModelError> {
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
        // A gap in the numbers shows as missing tensors of the block that is not there; but a name alone must not make us
        // list more of them than the file has tensors.
        let Some(&last) = found.keys().next_back() else { return Ok(Vec::new()) };
        if last >= self.checkpoint.names().len() {
            let gap = (0..).zip(found.keys()).find(|(wanted, there)| wanted != *there).map_or(0, |(wanted, _)| wanted);
            return Err(ModelError::Tensors {
                family: self.family.title(),
                missing: vec![format!("{head}{gap}.…")],
                unknown: vec![format!("{}…", found[&last])],
            });
        }
        Ok((0..=last).map(|index| found.remove(&index).unwrap_or_else(|| format!("{head}{index}."))).collect())
    }

    /// What `config.json` says of its kind must not contradict the names of the tensors: its heads and its activation are
    /// believed.
    fn config_fits(&self) -> Result<(), ModelError> {
        let Some(stated) = self.config.text("model_type")? else { return Ok(()) };
        let fits = match stated {
            "dinov2" | "dinov2_with_registers" => matches!(self.family, Family::Dinov2 | Family::Original),
            "vit" => matches!(self.family, Family::Vit | Family::OriginalMae),
            "vit_mae" => matches!(self.family, Family::Vit | Family::VitMae | Family::OriginalMae),
            "clip" | "clip_vision_model" => self.family == Family::Clip,
            "siglip" | "siglip_vision_model" => self.family == Family::Siglip,
            // A name of somebody's own may stand for anything.
            _ => true,
        };
        if fits {
            return Ok(());
        }
        Err(ModelError::Config {
            field: "model_type".to_owned(),
            expected: format!("that of {}, whose names the tensors bear", self.family.title()),
            found: stated.to_owned(),
        })
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

    /// Rows of a weight that must be there: the width of what it makes.
    fn width(&self, name: &str) -> Result<usize, ModelError> {
        match self.need(name, 2)? {
            [0, ..] => Err(ModelError::Shape {
                tensor: name.to_owned(),
                expected: "at least one row".to_owned(),
                found: self.need(name, 2)?.to_vec(),
            }),
            shape => Ok(shape[0]),
        }
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
        if in_chans != 3 {
            return Err(ModelError::Shape {
                tensor: patch_name,
                expected: format!(
                    "[{embed_dim}, 3, {patch_size}, {patch_size}]: a model of images in red, green and blue"
                ),
                found: vec![embed_dim, in_chans, patch_size, patch_width],
            });
        }
        self.config.agrees("hidden_size", embed_dim)?;
        self.config.agrees("patch_size", patch_size)?;
        self.config.agrees("num_channels", in_chans)?;
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
                Head::AttentionPool { hidden: self.width(&local("head.mlp.fc1.weight"))? }
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
            layer_norm_eps: self.config.number_below("layer_norm_eps", 1.0)?.unwrap_or(default_eps),
        })
    }

    fn ffn(&self, block: &str) -> Result<Ffn, ModelError> {
        let swiglu = if self.family == Family::Original { "mlp.w12.weight" } else { "mlp.weights_in.weight" };
        let swiglu = format!("{block}{swiglu}");
        let is_swiglu = self.shape(&swiglu).is_some();
        if let Some(stated) = self.config.flag("use_swiglu_ffn").filter(|stated| *stated != is_swiglu) {
            return Err(ModelError::Config {
                field: "use_swiglu_ffn".to_owned(),
                expected: format!("{is_swiglu}, as the weights have it"),
                found: stated.to_string(),
            });
        }
        if is_swiglu {
            // An odd number of rows shows as a wrong shape.
            return Ok(Ffn::SwiGlu { hidden: self.width(&swiglu)?.div_ceil(2) });
        }
        let fc1 = match self.family {
            Family::Vit | Family::VitMae => "intermediate.dense.weight",
            _ => "mlp.fc1.weight",
        };
        let hidden = self.width(&format!("{block}{fc1}"))?;
        self.config.agrees("intermediate_size", hidden)?;
        let default = match self.family {
            Family::Clip => "quick_gelu",
            Family::Siglip => "gelu_pytorch_tanh",
            _ => "gelu",
        };
        let activation = match self.config.text("hidden_act")?.unwrap_or(default) {
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
                _ if self.config.is_present() => {
                    return Err(ModelError::Config {
                        field: field.to_owned(),
                        expected: "a whole number: the weights do not tell it".to_owned(),
                        found: "not there".to_owned(),
                    });
                }
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

    fn mae_config(&self, prefix: &str, blocks: &[String], patches: usize) -> Result<MaeConfig, ModelError> {
        let (embed, fc1) = match self.family {
            Family::VitMae => ("decoder.decoder_embed.weight", "intermediate.dense.weight"),
            _ => ("decoder_embed.weight", "mlp.fc1.weight"),
        };
        let decoder_embed_dim = self.width(&format!("{prefix}{embed}"))?;
        // MAE's decoders all have 16 heads, whatever the encoder (mae:models_mae.py).
        let heads = self.config.integer("decoder_num_attention_heads")?.unwrap_or(16);
        if heads == 0 || !decoder_embed_dim.is_multiple_of(heads) {
            return Err(ModelError::Config {
                field: "decoder_num_attention_heads".to_owned(),
                expected: format!("a divisor of the decoder's width {decoder_embed_dim}"),
                found: heads.to_string(),
            });
        }
        let mask_ratio = self.config.number("mask_ratio")?.unwrap_or(0.75);
        if patches as f64 * (1.0 - mask_ratio) < 1.0 {
            return Err(ModelError::Config {
                field: "mask_ratio".to_owned(),
                expected: format!("a number from 0 to below 1 that leaves one of {patches} patches to be seen"),
                found: mask_ratio.to_string(),
            });
        }
        Ok(MaeConfig {
            decoder_embed_dim,
            decoder_depth: blocks.len(),
            decoder_num_heads: heads,
            decoder_hidden: self.width(&format!("{}{fc1}", blocks[0]))?,
            mask_ratio,
            norm_pix_loss: self.config.flag("norm_pix_loss").unwrap_or(false),
        })
    }
}
