//! What a model needs of memory, from its sizes alone, and which released model needs less: so that one too large is
//! refused before a weight of it is read.

use super::Model;
use super::config::{Ffn, Head, MaeConfig, VitConfig};
use super::inspect::activation_bytes;
use super::keys::{Family, recognise};
use super::model::{preprocessing, stored_at_518};
use super::presets::{Preset, decoder_parameters, presets};
use crate::error::Error;
use crate::formats::ModelFiles;

/// What is known of a model before a weight of it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    /// Whose names its tensors bear; `None` for one that is drawn.
    pub family: Option<Family>,
    /// Its encoder.
    pub config: VitConfig,
    /// Whether the weights of its linear layers are to be held in 16 bits.
    pub half: bool,
    /// What it needs so.
    pub needs: Needs,
    /// What it would need with them in 16 bits.
    pub needs_half: Needs,
}

impl Weighed {
    /// A model in files, by their headers. `half` tells from the number of parameters whether it is held in 16 bits.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] for files that hold no model that we know or not all of it, [`Error::Image`] for a
    /// preprocessing that we cannot follow.
    pub fn of_files(files: &ModelFiles, half: impl Fn(u64) -> bool) -> Result<Self, Error> {
        let layout = recognise(&files.checkpoint, files.config.as_deref())?;
        layout.check()?;
        let side = preprocessing(files, &layout)?.output_side().map_or(layout.config.img_size, |side| side as usize);
        let needs = |half| Needs::of(&layout.config, layout.mae.as_ref(), side, half);
        let half = half(needs(false).weights / 4);
        Ok(Self {
            family: Some(layout.family),
            half,
            needs: needs(half),
            needs_half: needs(true),
            config: layout.config,
        })
    }

    /// A model's twin with weights drawn at random, which are held in 32 bits.
    pub fn of_twin(model: &Model) -> Self {
        let config = model.config().clone();
        let needs = |half| Needs::of(&config, None, model.info().img_size, half);
        Self { family: None, half: false, needs: needs(false), needs_half: needs(true), config }
    }
}

/// What a model needs on a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Its weights as they are held.
    pub weights: u64,
    /// What an image takes besides: activations at their widest, and what views keep of each block.
    pub image: u64,
    /// What the largest weight takes besides on its way from the file: its bytes, its numbers, and both joined.
    pub reading: u64,
    /// The largest tensor that comes in one piece; weights of linear layers are cut to the device's bindings.
    pub piece: u64,
}

impl Needs {
    /// The needs of a model that prepares images to `side` pixels; `half` holds the weights of linear layers in 16 bits.
    pub fn of(config: &VitConfig, mae: Option<&MaeConfig>, side: usize, half: bool) -> Self {
        let grid = side / config.patch_size;
        let (tokens, d) = (config.tokens(grid, grid) as u64, config.embed_dim as u64);
        let parameters = config.parameters() + mae.map_or(0, |mae| decoder_parameters(config, mae));
        let spared = if half { 2 * linear_weights(config, mae) } else { 0 };
        let hidden = config.ffn_hidden() as u64;
        let first = if matches!(config.ffn, Ffn::SwiGlu { .. }) { 2 * hidden } else { hidden };
        let patch = (config.in_chans * config.patch_size * config.patch_size) as u64;
        Self {
            weights: 4 * parameters - spared,
            // Queries, keys and values of each block, and the output.
            image: activation_bytes(config, grid) + 4 * tokens * d * (3 * config.depth as u64 + 1),
            reading: 8 * d * (3 * d).max(first),
            piece: 4 * (tokens * (3 * d).max(hidden)).max(d * config.positions() as u64).max(d * patch),
        }
    }

    /// The most that it takes at once.
    pub fn memory(&self) -> u64 {
        self.weights + self.image.max(self.reading)
    }
}

/// Weights of linear layers, which may lie in 16 bits.
fn linear_weights(config: &VitConfig, mae: Option<&MaeConfig>) -> u64 {
    let block = |d: usize, ffn: Ffn| {
        let (d, ffn) = match ffn {
            Ffn::Mlp { hidden, .. } => (d as u64, 2 * hidden as u64),
            Ffn::SwiGlu { hidden } => (d as u64, 3 * hidden as u64),
        };
        4 * d * d + ffn * d
    };
    let d = config.embed_dim;
    let head = match (config.head, config.ffn) {
        (Head::AttentionPool { hidden }, Ffn::Mlp { activation, .. }) => block(d, Ffn::Mlp { hidden, activation }),
        (Head::AttentionPool { hidden }, Ffn::SwiGlu { .. }) => block(d, Ffn::SwiGlu { hidden }),
        (Head::Norm | Head::ClipPool, _) => 0,
    };
    let decoder = mae.map_or(0, |mae| {
        let (width, hidden) = (mae.decoder_embed_dim as u64, mae.decoder_hidden as u64);
        let pixels = (config.patch_size * config.patch_size * config.in_chans) as u64;
        mae.decoder_depth as u64 * (4 * width * width + 2 * hidden * width) + width * (d as u64 + pixels)
    });
    config.depth as u64 * block(d, config.ffn) + head + decoder
}

/// The largest released model of a family that needs no more than `memory` bytes, none of them in a piece above `piece`
/// (0: of any size), with what it needs; where none of the family does, the largest of any. `half` tells from a model's
/// parameters whether it is held in 16 bits.
pub fn largest_that_fits(
    family: Family,
    config: &VitConfig,
    memory: u64,
    piece: u64,
    half: impl Fn(u64) -> bool,
) -> Option<(Preset, u64)> {
    let fitting = presets().into_iter().filter_map(|preset| {
        let needs = Needs::of(&preset.config, preset.mae.as_ref(), side(&preset.config), half(preset.parameters));
        let fits = needs.memory() <= memory && (piece == 0 || needs.piece <= piece);
        fits.then_some((preset, needs.memory()))
    });
    let line = line(family, config);
    let kin = |preset: &Preset| {
        line.is_some_and(|line| preset.name.contains(line))
            && preset.config.num_register_tokens == config.num_register_tokens
    };
    let (kin, others): (Vec<_>, Vec<_>) = fitting.partition(|(preset, _)| kin(preset));
    // Of several of one size the first in the list.
    let largest = |all: Vec<(Preset, u64)>| all.into_iter().rev().max_by_key(|(preset, _)| preset.parameters);
    largest(kin).or_else(|| largest(others))
}

/// The side in pixels that a released model's images are prepared to: DINOv2 only stores its positions at 518.
fn side(config: &VitConfig) -> usize {
    if stored_at_518(config) { 224 } else { config.img_size }
}

/// What the names of a family's released models have in common; `None` where we know of none.
fn line(family: Family, config: &VitConfig) -> Option<&'static str> {
    match family {
        Family::Dinov2 | Family::Original if matches!(config.ffn, Ffn::SwiGlu { .. }) && !stored_at_518(config) => {
            Some("webssl-dino")
        }
        Family::Dinov2 | Family::Original => Some("dinov2-"),
        Family::Vit => Some("webssl-mae"),
        Family::VitMae | Family::OriginalMae => Some("vit-mae-"),
        Family::Clip | Family::Siglip => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(name: &str) -> Preset {
        presets().into_iter().find(|preset| preset.name.ends_with(name)).expect("a released model")
    }

    fn needs(name: &str, half: bool) -> Needs {
        let Preset { config, mae, .. } = released(name);
        Needs::of(&config, mae.as_ref(), side(&config), half)
    }

    #[test]
    fn weights_take_four_bytes_or_little_more_than_two() {
        for preset in presets() {
            let (whole, half) = (needs(&preset.name, false), needs(&preset.name, true));
            assert_eq!(whole.weights, 4 * preset.parameters, "{}", preset.name);
            let share = half.weights as f64 / whole.weights as f64;
            assert!((0.5..0.55).contains(&share), "{}: {share}", preset.name);
        }
    }

    #[test]
    fn needs_are_those_counted_by_hand() {
        // dinov2-small: 257 tokens of 384, 12 blocks, hidden 1536.
        let small = needs("dinov2-small", false);
        assert_eq!(small.image, 4 * 257 * (2 * 384 + 2 * 1536) + 4 * 257 * 384 * 37);
        assert_eq!(small.reading, 8 * 384 * 1536);
        // Positions at 518 pixels are more than the 257 tokens of an image at 224 take between layers, 1536 numbers each.
        assert_eq!(small.piece, 4 * 384 * 1370);
        assert_eq!(small.memory(), 4 * 22_056_576 + small.image);
        // What a 7B model reads at once is more than one of its images takes.
        let large = needs("webssl-dino7b-full8b-224", false);
        assert_eq!(large.reading, 8 * 4096 * 2 * 10_928);
        assert_eq!(large.memory(), 4 * 6_450_170_880 + large.reading.max(large.image));
    }

    #[test]
    fn the_largest_of_the_family_is_named() {
        let web = released("webssl-dino7b-full8b-518").config;
        let find = |family, config: &VitConfig, memory, half: bool| {
            largest_that_fits(family, config, memory, 0, |_| half).map(|(preset, _)| preset.name)
        };
        let named = |name: &str| Some(format!("facebook/{name}"));
        const GB: u64 = 1_000_000_000;
        assert_eq!(find(Family::Dinov2, &web, 4 * GB, false), named("webssl-dino300m-full2b-224"));
        assert_eq!(find(Family::Dinov2, &web, 8 * GB, true), named("webssl-dino3b-full2b-224"));
        let mae = released("webssl-mae3b-full2b-224").config;
        assert_eq!(find(Family::Vit, &mae, 4 * GB, false), named("webssl-mae700m-full2b-224"));
        let giant = released("dinov2-with-registers-giant").config;
        assert_eq!(find(Family::Original, &giant, 4 * GB, false), named("dinov2-with-registers-large"));
        assert_eq!(find(Family::Original, &giant, 5 * GB, false), named("dinov2-with-registers-giant"));
        // Of a family without a small enough one, another; of nothing, none.
        assert_eq!(find(Family::Dinov2, &web, GB / 8, false), named("dinov2-with-registers-small"));
        assert_eq!(find(Family::Dinov2, &web, GB / 20, false), None);
        assert_eq!(find(Family::Clip, &giant, GB / 8, false), named("dinov2-with-registers-small"));
    }

    #[test]
    fn a_small_binding_leaves_small_models() {
        let web = released("webssl-dino7b-full8b-518").config;
        let of =
            |piece| largest_that_fits(Family::Dinov2, &web, u64::MAX, piece, |_| true).map(|(preset, _)| preset.name);
        // 128 MiB is what every WebGPU device binds.
        assert_eq!(of(128 << 20).as_deref(), Some("facebook/webssl-dino7b-full8b-518"));
        assert_eq!(of(16 << 20).as_deref(), Some("facebook/webssl-dino7b-full8b-224"));
        assert_eq!(of(1 << 20), None);
    }
}
