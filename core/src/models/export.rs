//! A model as a Hugging Face folder: `config.json`, `preprocessor_config.json`, and where each tensor goes.
//!
//! `Dinov2Model`, `Dinov2WithRegistersModel`, or `ViTMAEForPreTraining` with its decoder; transformers opens the folder,
//! and so do the page and `native-trainer`. The host writes the tensors, one at a time.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Value, json};

use super::config::{Ffn, MaeConfig, VitConfig};
use super::keys::Family;
use super::names::hugging_face_recipes;

/// What a Hugging Face folder of a model holds.
#[derive(Debug, Clone, PartialEq)]
pub struct HuggingFace {
    /// `config.json`.
    pub config: String,
    /// `preprocessor_config.json`.
    pub preprocessor: String,
    /// Of each of our tensors, by our names: the tensors that it becomes.
    pub tensors: BTreeMap<String, Vec<Target>>,
}

/// A tensor of the folder, and the rows of ours that make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in the file.
    pub name: String,
    /// Rows of our tensor, of `parts` equal stretches the `index`th.
    pub index: usize,
    /// See `index`.
    pub parts: usize,
}

impl Target {
    /// The stretch of `count` numbers that goes to this tensor.
    pub fn range(&self, count: usize) -> Range<usize> {
        let size = count / self.parts;
        self.index * size..(self.index + 1) * size
    }
}

/// The folder of an encoder (and MAE's decoder), for images of `config.img_size` pixels normalised by `mean` and `std`.
pub fn hugging_face(config: &VitConfig, mae: Option<&MaeConfig>, mean: [f64; 3], std: [f64; 3]) -> HuggingFace {
    let family = if config.layer_scale { Family::Dinov2 } else { Family::VitMae };
    let family = if family == Family::VitMae && mae.is_none() { Family::Vit } else { family };
    let tensors = hugging_face_recipes(family, config, mae).into_iter().map(|(ours, recipe)| {
        let parts = recipe.parts.len();
        let targets = recipe.parts.into_iter().enumerate().map(|(index, (name, _))| Target { name, index, parts });
        (ours, targets.collect())
    });
    let size = json!({ "height": config.img_size, "width": config.img_size });
    let preprocessor = json!({
        "image_processor_type": "BitImageProcessor",
        "do_resize": true,
        "size": { "shortest_edge": config.img_size },
        "resample": 3,
        "do_center_crop": true,
        "crop_size": size,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
        "image_mean": mean,
        "image_std": std,
        "do_convert_rgb": true,
    });
    HuggingFace {
        config: pretty(&config_json(config, mae, family)),
        preprocessor: pretty(&preprocessor),
        tensors: tensors.collect(),
    }
}

fn config_json(config: &VitConfig, mae: Option<&MaeConfig>, family: Family) -> Value {
    let registers = config.num_register_tokens;
    let (class, kind) = match family {
        Family::Dinov2 if registers > 0 => ("Dinov2WithRegistersModel", "dinov2_with_registers"),
        Family::Dinov2 => ("Dinov2Model", "dinov2"),
        Family::VitMae => ("ViTMAEForPreTraining", "vit_mae"),
        _ => ("ViTModel", "vit"),
    };
    let mut json = json!({
        "architectures": [class],
        "model_type": kind,
        "hidden_size": config.embed_dim,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "hidden_act": "gelu",
        "layer_norm_eps": config.layer_norm_eps,
        "image_size": config.img_size,
        "patch_size": config.patch_size,
        "num_channels": config.in_chans,
        "qkv_bias": true,
        "torch_dtype": "float32",
    });
    let mut more = json!({});
    if family == Family::Dinov2 {
        more = json!({
            "mlp_ratio": mlp_ratio(config),
            "use_swiglu_ffn": matches!(config.ffn, Ffn::SwiGlu { .. }),
            "layerscale_value": 1.0,
        });
        if registers > 0 {
            more["num_register_tokens"] = json!(registers);
        }
    } else {
        more["intermediate_size"] = json!(config.ffn_hidden());
    }
    if let Some(mae) = mae {
        for (key, value) in [
            ("decoder_hidden_size", json!(mae.decoder_embed_dim)),
            ("decoder_num_hidden_layers", json!(mae.decoder_depth)),
            ("decoder_num_attention_heads", json!(mae.decoder_num_heads)),
            ("decoder_intermediate_size", json!(mae.decoder_hidden)),
            ("mask_ratio", json!(mae.mask_ratio)),
            ("norm_pix_loss", json!(mae.norm_pix_loss)),
        ] {
            more[key] = value;
        }
    }
    if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
        json.extend(more);
    }
    json
}

/// transformers computes the width of the feed-forward half from this ratio, SwiGLU's rounded as DINOv2 does: a whole
/// number where one gives that width.
fn mlp_ratio(config: &VitConfig) -> Value {
    let (dim, hidden) = (config.embed_dim, config.ffn_hidden());
    let width = |ratio: usize| match config.ffn {
        Ffn::SwiGlu { .. } => (dim * ratio * 2 / 3).div_ceil(8) * 8,
        Ffn::Mlp { .. } => dim * ratio,
    };
    let share = if matches!(config.ffn, Ffn::SwiGlu { .. }) { 1.5 } else { 1.0 };
    match (1..=32).find(|&ratio| width(ratio) == hidden) {
        Some(ratio) => json!(ratio),
        None => json!(share * hidden as f64 / dim as f64),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
