//! Every released model of the families we read, with its number of parameters.
//!
//! Sizes: webssl specification §1.1, §1.3, §2.1, §2.4, read from the released code and configs.

use super::config::{Ffn, Head, MaeConfig, VitConfig};
use crate::kernels::linear::Activation;
use crate::layers::pos_embed::Interpolation;

/// A released model.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Its name on the Hugging Face hub; that of its file where it is released only as one.
    pub name: String,
    /// The encoder.
    pub config: VitConfig,
    /// MAE's decoder, where it is released.
    pub mae: Option<MaeConfig>,
    /// Parameters as published: without the untrained pooler that Web-MAE's files carry.
    pub parameters: u64,
}

/// All of them.
pub fn presets() -> Vec<Preset> {
    let mut all = Vec::new();
    // name, width, depth, heads, SwiGLU width, parameters
    let web_dino = [
        ("dino300m-full2b", 1024, 24, 16, 2736, 303_655_168),
        ("dino300m-light2b", 1024, 24, 16, 2736, 303_655_168),
        ("dino1b-full2b", 1536, 40, 24, 4096, 1_134_771_200),
        ("dino2b-full2b", 2688, 24, 21, 7168, 2_084_237_568),
        ("dino2b-light2b", 2688, 24, 21, 7168, 2_084_237_568),
        ("dino2b-heavy2b", 2688, 24, 21, 7168, 2_084_237_568),
        ("dino3b-full2b", 3072, 26, 24, 8192, 2_948_317_184),
        ("dino3b-light2b", 3072, 26, 24, 8192, 2_948_317_184),
        ("dino3b-heavy2b", 3072, 26, 24, 8192, 2_948_317_184),
        ("dino5b-full2b", 3584, 32, 28, 9560, 4_938_338_816),
        ("dino7b-full8b", 4096, 32, 32, 10_928, 6_450_170_880),
    ];
    for (name, d, depth, heads, hidden, parameters) in web_dino {
        let config = dinov2(224, d, depth, heads, Ffn::SwiGlu { hidden }, 0);
        all.push(preset(format!("webssl-{name}-224"), config, None, parameters));
    }
    for (size, parameters) in [(378, 6_452_108_288), (518, 6_454_729_728)] {
        let config = dinov2(size, 4096, 32, 32, Ffn::SwiGlu { hidden: 10_928 }, 0);
        all.push(preset(format!("webssl-dino7b-full8b-{size}"), config, None, parameters));
    }
    // name, patch, width, depth, heads, parameters of the encoder
    let web_mae = [
        ("300m", 16, 1024, 24, 16, 303_301_632),
        ("700m", 14, 1280, 32, 16, 630_764_800),
        ("1b", 14, 1536, 40, 24, 1_134_564_864),
        ("2b", 14, 2688, 24, 21, 2_084_019_840),
        ("3b", 14, 3072, 26, 24, 2_948_047_872),
    ];
    for (name, patch, d, depth, heads, parameters) in web_mae {
        all.push(preset(
            format!("webssl-mae{name}-full2b-224"),
            mae_encoder(patch, d, depth, heads, 1e-6),
            None,
            parameters,
        ));
    }
    // name, width, depth, heads, feed-forward, parameters without and with registers
    let gelu = |hidden| Ffn::Mlp { hidden, activation: Activation::Gelu };
    let dinov2_sizes = [
        ("small", 384, 12, 6, gelu(1536), 22_056_576, 22_058_112),
        ("base", 768, 12, 12, gelu(3072), 86_580_480, 86_583_552),
        ("large", 1024, 24, 16, gelu(4096), 304_368_640, 304_372_736),
        ("giant", 1536, 40, 24, Ffn::SwiGlu { hidden: 4096 }, 1_136_480_768, 1_136_486_912),
    ];
    for (name, d, depth, heads, ffn, plain, with_registers) in dinov2_sizes {
        all.push(preset(format!("dinov2-{name}"), dinov2(518, d, depth, heads, ffn, 0), None, plain));
        let config = dinov2(518, d, depth, heads, ffn, 4);
        all.push(preset(format!("dinov2-with-registers-{name}"), config, None, with_registers));
    }
    // name, patch, width, depth, heads, parameters with the decoder
    let vit_mae = [
        ("base", 16, 768, 12, 12, 85_798_656 + 26_109_184),
        ("large", 16, 1024, 24, 16, 303_301_632 + 26_240_256),
        ("huge", 14, 1280, 32, 16, 630_764_800 + 26_309_708),
    ];
    for (name, patch, d, depth, heads, parameters) in vit_mae {
        let mae = MaeConfig {
            decoder_embed_dim: 512,
            decoder_depth: 8,
            decoder_num_heads: 16,
            decoder_hidden: 2048,
            mask_ratio: 0.75,
            norm_pix_loss: true,
        };
        all.push(preset(format!("vit-mae-{name}"), mae_encoder(patch, d, depth, heads, 1e-12), Some(mae), parameters));
    }
    // The ablations on ImageNet-1k have the sizes of their namesakes; dl.fbaipublicfiles.com/webssl.
    for size in ["1b", "2b", "3b"] {
        let name = format!("facebook/webssl-dino{size}-full2b-224");
        let twin = all.iter().find(|preset| preset.name == name).cloned();
        all.extend(twin.map(|twin| Preset { name: format!("webssl_dino{size}_in1k_224.pth"), ..twin }));
    }
    all
}

/// The released models that have an encoder of these sizes. Whose weights they are sizes cannot tell.
pub fn released_as(config: &VitConfig) -> Vec<String> {
    let sizes = |config: &VitConfig| {
        let VitConfig { img_size, patch_size, embed_dim, depth, num_heads, num_register_tokens, .. } = *config;
        ([img_size, patch_size, embed_dim, depth, num_heads, num_register_tokens], config.ffn, config.layer_scale)
    };
    presets().into_iter().filter(|preset| sizes(&preset.config) == sizes(config)).map(|preset| preset.name).collect()
}

fn preset(name: String, config: VitConfig, mae: Option<MaeConfig>, parameters: u64) -> Preset {
    Preset { name: format!("facebook/{name}"), config, mae, parameters }
}

fn dinov2(img_size: usize, embed_dim: usize, depth: usize, num_heads: usize, ffn: Ffn, registers: usize) -> VitConfig {
    VitConfig {
        img_size,
        patch_size: 14,
        in_chans: 3,
        embed_dim,
        depth,
        num_heads,
        ffn,
        class_token: true,
        mask_token: true,
        num_register_tokens: registers,
        layer_scale: true,
        patch_bias: true,
        norm_pre: false,
        head: Head::Norm,
        interpolation: if registers > 0 { Interpolation::AntialiasedSize } else { Interpolation::Size },
        layer_norm_eps: 1e-6,
    }
}

fn mae_encoder(patch_size: usize, embed_dim: usize, depth: usize, num_heads: usize, layer_norm_eps: f64) -> VitConfig {
    VitConfig {
        patch_size,
        ffn: Ffn::Mlp { hidden: 4 * embed_dim, activation: Activation::Gelu },
        mask_token: false,
        layer_scale: false,
        interpolation: Interpolation::Size,
        layer_norm_eps,
        ..dinov2(224, embed_dim, depth, num_heads, Ffn::SwiGlu { hidden: 0 }, 0)
    }
}

/// Parameters of MAE's decoder on an encoder.
pub fn decoder_parameters(encoder: &VitConfig, mae: &MaeConfig) -> u64 {
    let [d, hidden, width] = [mae.decoder_embed_dim, mae.decoder_hidden, encoder.embed_dim].map(|size| size as u64);
    let pixels = (encoder.patch_size * encoder.patch_size * encoder.in_chans) as u64;
    let block = 4 * d * d + 4 * d + 2 * hidden * d + hidden + d + 4 * d;
    let ends = width * d + d + d + d * encoder.positions() as u64 + 2 * d + pixels * d + pixels;
    ends + mae.decoder_depth as u64 * block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_released_model_has_its_published_number_of_parameters() {
        for preset in presets() {
            let decoder = preset.mae.as_ref().map_or(0, |mae| decoder_parameters(&preset.config, mae));
            assert_eq!(preset.config.parameters() + decoder, preset.parameters, "{}", preset.name);
        }
    }

    #[test]
    fn sizes_name_what_has_them() {
        let named = |name: &str| {
            let preset = presets().into_iter().find(|preset| preset.name == name).expect("a released model");
            released_as(&preset.config)
        };
        // One width, depth and number of heads, three models: positions and feed-forward tell them apart.
        assert_eq!(named("facebook/dinov2-giant"), ["facebook/dinov2-giant"]);
        assert_eq!(
            named("facebook/webssl-dino1b-full2b-224"),
            ["facebook/webssl-dino1b-full2b-224", "webssl_dino1b_in1k_224.pth"]
        );
        assert_eq!(named("facebook/vit-mae-large"), ["facebook/webssl-mae300m-full2b-224", "facebook/vit-mae-large"]);
        let smaller = VitConfig { depth: 11, ..presets()[0].config.clone() };
        assert!(released_as(&smaller).is_empty());
    }

    #[test]
    fn flops_agree_with_the_specification() {
        // GFLOP an image, webssl specification §1.1.
        for (name, gflop) in [
            ("facebook/webssl-dino300m-full2b-224", 162),
            ("facebook/webssl-dino1b-full2b-224", 599),
            ("facebook/webssl-dino3b-full2b-224", 1535),
            ("facebook/webssl-dino7b-full8b-518", 18649),
        ] {
            let preset = presets().into_iter().find(|preset| preset.name == name).expect("a released model");
            let grid = preset.config.grid();
            let ours = preset.config.flops(grid, grid) as f64 / 1e9;
            assert!((ours / f64::from(gflop) - 1.0).abs() < 0.01, "{name}: {ours:.1} GFLOP, expected {gflop}");
        }
    }
}
