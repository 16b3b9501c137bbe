//! What a run needs, from its configuration alone: parameters, operations, memory, disk.

use crate::config::{Config, Method, Precision};
use crate::models::config::{Ffn, MaeConfig, VitConfig, block_flops};
use crate::models::dino_head::DinoHeadConfig;
use crate::models::mae;
use crate::models::presets::decoder_parameters;

use super::schedule::Schedules;
use super::trainer::net_config;

/// The needs of a run; bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Parameters of the encoder.
    pub encoder: u64,
    /// Parameters of MAE's decoder, or of the heads.
    pub behind: u64,
    /// Operations of one image in one step, a multiply-add counted as two: forward, and twice that backward.
    pub flops_per_image: u64,
    /// Weights of student and teacher.
    pub weights: u64,
    /// Gradients.
    pub gradients: u64,
    /// AdamW's two moments.
    pub optimiser: u64,
    /// What the forward pass of one part of a batch keeps for the backward pass; an estimate.
    pub activations: u64,
    /// Two checkpoints, one on its way, and the model.
    pub disk: u64,
    /// Steps of the run.
    pub steps: u64,
    /// Images seen in all.
    pub seen: u64,
}

impl Needs {
    /// Device memory in bytes.
    pub fn memory(&self) -> u64 {
        [self.weights, self.gradients, self.optimiser, self.activations].into_iter().fold(0, u64::saturating_add)
    }

    /// The needs of a configuration over `images` images. `kernels` says whether norms, activations and
    /// attention are kernels (WGSL, or the CPU's loops), which keep less than tensor operations do.
    pub fn of(config: &Config, images: u64, kernels: bool) -> Self {
        let sizes = net_config(config);
        let vit = &sizes.vit;
        let heads = [&sizes.dino_head, &sizes.ibot_head];
        let behind = sizes.mae.as_ref().map_or(0, |mae| u128::from(decoder_parameters(vit, mae)))
            + heads.iter().filter_map(|head| head.as_ref()).map(head_parameters).sum::<u128>();
        let all = 4 * (u128::from(vit.parameters()) + behind);
        let teacher = if config.method == Method::Dinov2 { all } else { 0 };
        let schedules = Schedules::new(config, images);
        let part = (config.train.batch_size / config.train.accumulate) as u128;
        Self {
            encoder: vit.parameters(),
            behind: fitting(behind),
            flops_per_image: fitting(flops(config, vit, sizes.mae.as_ref(), heads)),
            weights: fitting(all + teacher),
            gradients: fitting(all * if config.train.accumulate > 1 { 2 } else { 1 }),
            optimiser: fitting(2 * all),
            activations: fitting(activations(config, vit, sizes.mae.as_ref(), part, kernels)),
            disk: fitting(3 * (3 * all + teacher) + all),
            steps: schedules.total,
            seen: schedules.total.saturating_mul(config.train.batch_size as u64),
        }
    }
}

/// A count in 64 bits, or the most of them; until then it has 128, which hold all that a checked configuration needs.
fn fitting(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Linear layers with biases, prototypes with their lengths.
fn head_parameters(head: &DinoHeadConfig) -> u128 {
    let widths = head_widths(head);
    let layers: u128 = widths.windows(2).map(|pair| pair[0] * pair[1] + pair[1]).sum();
    layers + head.n_prototypes as u128 * (head.bottleneck_dim as u128 + 1)
}

/// D, hidden …, b.
fn head_widths(head: &DinoHeadConfig) -> Vec<u128> {
    let mut widths = vec![head.in_dim as u128];
    widths.resize(head.nlayers.max(1), head.hidden_dim as u128);
    widths.push(head.bottleneck_dim as u128);
    widths
}

fn head_flops(head: &DinoHeadConfig) -> u128 {
    let layers: u128 = head_widths(head).windows(2).map(|pair| pair[0] * pair[1]).sum();
    2 * (layers + head.n_prototypes as u128 * head.bottleneck_dim as u128)
}

fn flops(config: &Config, vit: &VitConfig, mae: Option<&MaeConfig>, heads: [&Option<DinoHeadConfig>; 2]) -> u128 {
    let grid = vit.grid();
    let patches = grid * grid;
    if let Some(mae) = mae {
        let kept = mae::kept(patches, mae.mask_ratio) + 1;
        let encoder = vit.blocks_flops(kept);
        let decoder =
            mae.decoder_depth as u128 * block_flops(mae.decoder_embed_dim, mae.decoder_hidden, 2, patches + 1);
        let [kept, patches, patch, width, dim] =
            [kept, patches, vit.patch_size, vit.embed_dim, mae.decoder_embed_dim].map(|size| size as u128);
        let embed = 2 * patches * 3 * patch.pow(2) * width;
        let ends = 2 * (kept * width + (patches + 1) * 3 * patch.pow(2)) * dim;
        return 3 * (embed + encoder + decoder + ends);
    }
    let local = config.crops.local_size / vit.patch_size;
    let n_local = config.crops.local_number as u128;
    let global = 2 * vit.flops(grid, grid);
    // Stochastic depth leaves a share of the student's branches out.
    let student = (global + n_local * vit.flops(local, local)) as f64 * (1.0 - config.model.drop_path_rate);
    let head = heads[0].as_ref().map_or(0, head_flops);
    let patch_head = heads[1].as_ref().or(heads[0].as_ref()).map_or(0, head_flops);
    let ibot = &config.ibot;
    let masked = match ibot.loss_weight > 0.0 {
        true => {
            2.0 * patches as f64 * ibot.mask_sample_probability * (ibot.mask_ratio_min_max.iter().sum::<f64>() / 2.0)
        }
        false => 0.0,
    };
    let of_patches = (masked * patch_head as f64) as u128;
    // The teacher goes forward only.
    (global + 2 * head + of_patches) + 3 * (student as u128 + (2 + n_local) * head + of_patches)
}

/// How blocks are computed, which decides what they keep for their backward pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// WGSL, or the CPU's loops; most of what is kept in 16 bits under half precision.
    Kernels { half: bool },
    /// Tensor operations, each of which keeps its inputs.
    Operations,
}

impl By {
    /// Blocks' worth of 32-bit tensors that are on their way at the peak, beside what is kept: gradients, and what a kernel
    /// has widened or not yet let go. By measured peaks (docs/benchmarks.md); operations keep what is on its way.
    fn on_the_way(self) -> u128 {
        match self {
            Self::Kernels { half: false } => 2,
            Self::Kernels { half: true } => 3,
            Self::Operations => 0,
        }
    }

    fn in_32_bits(self) -> Self {
        if self == Self::Operations { self } else { Self::Kernels { half: false } }
    }
}

/// Some blocks, and the tokens of one image that go through them.
#[derive(Clone, Copy)]
struct Stretch {
    depth: u128,
    dim: u128,
    hidden: u128,
    /// SwiGLU: two numbers in for one out.
    gated: bool,
    layer_scale: bool,
    heads: u128,
    tokens: u128,
}

impl Stretch {
    /// Bytes that a block keeps of an image; docs/benchmarks.md has them beside measured peaks.
    fn block(&self, by: By) -> u128 {
        let Self { dim, hidden, heads, tokens, .. } = *self;
        let bytes = match by {
            By::Kernels { half } => {
                // In 32 bits what the norms read. Else what they give, the fused projection and attention's output, which
                // attention and the product that follows keep as one where nothing is copied; what LayerScale scales; and
                // the hidden layer before and after its activation.
                let (size, copies) = if half { (2, 1) } else { (4, 0) };
                let scaled = if self.layer_scale { 2 } else { 0 };
                let between = if self.gated { 3 } else { 2 };
                4 * 2 * dim + size * ((6 + copies + scaled) * dim + between * hidden)
            }
            // Also every number on the way through an activation, and probabilities before and after the softmax.
            By::Operations => 4 * (12 * dim + 6 * hidden + 2 * heads * tokens),
        };
        tokens * bytes
    }
}

/// Bytes that a part of `images` images keeps for the backward pass.
fn activations(config: &Config, vit: &VitConfig, mae: Option<&MaeConfig>, images: u128, kernels: bool) -> u128 {
    // What is computed again is kept for so short that it stays in 32 bits.
    let half = config.train.precision == Precision::F16 && !config.train.checkpoint_activations;
    let by = if kernels { By::Kernels { half } } else { By::Operations };
    let grid = vit.grid();
    let patches = grid * grid;
    let encoder = |tokens: usize| Stretch {
        depth: vit.depth as u128,
        dim: vit.embed_dim as u128,
        hidden: vit.ffn_hidden() as u128,
        gated: matches!(vit.ffn, Ffn::SwiGlu { .. }),
        layer_scale: vit.layer_scale,
        heads: vit.num_heads as u128,
        tokens: tokens as u128,
    };
    // Stretches with how often an image goes through them, and what is kept besides.
    let (stretches, besides) = match mae {
        Some(mae) => {
            let kept = mae::kept(patches, mae.mask_ratio) + 1;
            let decoder = Stretch {
                depth: mae.decoder_depth as u128,
                dim: mae.decoder_embed_dim as u128,
                hidden: mae.decoder_hidden as u128,
                gated: false,
                layer_scale: false,
                heads: mae.decoder_num_heads as u128,
                tokens: patches as u128 + 1,
            };
            (vec![(1, encoder(kept)), (1, decoder)], 4 * patches as u128 * 3 * (vit.patch_size as u128).pow(2))
        }
        None => {
            let local = config.crops.local_size / vit.patch_size;
            let number = config.crops.local_number as u128;
            let stretches = vec![(2, encoder(vit.tokens(grid, grid))), (number, encoder(vit.tokens(local, local)))];
            (stretches, 4 * (2 + number) * config.dino.head_n_prototypes as u128)
        }
    };
    let all =
        |of: &dyn Fn(&Stretch) -> u128| stretches.iter().map(|(times, stretch)| times * of(stretch)).sum::<u128>();
    let largest = |by| stretches.iter().map(|(times, stretch)| times * stretch.block(by)).max().unwrap_or_default();
    let blocks = match config.train.checkpoint_activations {
        // Each block keeps its input; one at a time is in memory as a whole.
        true => {
            let inputs = all(&|stretch| 4 * stretch.depth * stretch.tokens * stretch.dim);
            inputs + (1 + by.on_the_way().max(1)) * largest(by)
        }
        false => all(&|stretch| stretch.depth * stretch.block(by)) + by.on_the_way() * largest(by.in_32_bits()),
    };
    images * (blocks + 4 * besides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sizes() {
        let needs = |preset: &str| {
            let config = Config::resolve(Some(preset), None, &[]).expect("a preset");
            Needs::of(&config, 2_000_000_000, true)
        };
        // Webssl specification §1.1 and §3.4: 303 655 168 parameters, a head of 57.5 M with b = 384; iBOT's has b = 256.
        let web = needs("webdino-300m");
        assert_eq!(web.encoder, 303_655_168);
        let dino = 1024 * 2048 + 2048 + 2048 * 2048 + 2048 + 2048 * 384 + 384 + 131_072 * 385;
        let ibot = 1024 * 2048 + 2048 + 2048 * 2048 + 2048 + 2048 * 256 + 256 + 131_072 * 257;
        assert_eq!(web.behind, dino + ibot);
        assert_eq!(web.steps, 625_000);
        // §4.3: 488 000 steps at 4096.
        assert_eq!(needs("webmae-1b").steps, 488_000);
        // MAE's decoder for ViT-B: 26 109 184 (§2.4).
        assert_eq!(needs("mae-vitb16").behind, 26_109_184);
    }

    #[test]
    fn what_is_beyond_64_bits_is_the_most_of_them() {
        let needs = |method: &str, more: &[&str]| {
            let most = [
                "model.embed_dim=100000",
                "model.num_heads=10",
                "model.patch_size=1",
                "crops.global_size=1000",
                "crops.local_size=500",
                "crops.local_number=1000",
                "model.depth=1",
                "train.batch_size=1000000",
                "train.epochs=1000000",
                "train.epoch_length=0",
            ];
            let settings: Vec<String> = [method].iter().chain(&most).chain(more).map(ToString::to_string).collect();
            let config = Config::resolve(None, None, &settings).unwrap_or_else(|error| panic!("{error}"));
            Needs::of(&config, u64::MAX, false)
        };
        let prototypes = ["dino.head_n_prototypes=1000000", "dino.head_hidden_dim=1000000", "dino.head_nlayers=1000"];
        let decoder = ["mae.decoder_embed_dim=1000000", "mae.decoder_depth=1000"];
        for needs in [needs("method=dinov2", &prototypes), needs("method=mae", &decoder)] {
            assert_eq!((needs.seen, needs.activations, needs.memory()), (u64::MAX, u64::MAX, u64::MAX));
            assert!(needs.flops_per_image > 1 << 60 && needs.weights > 1 << 40, "{needs:?}");
        }
    }

    #[test]
    fn smaller_parts_need_less_memory() {
        let needs = |set: &str| {
            let config = Config::resolve(Some("small-mae"), None, &[set.to_owned()]).expect("a preset");
            Needs::of(&config, 50_000, true)
        };
        let (whole, parts) = (needs("train.accumulate=1"), needs("train.accumulate=8"));
        assert_eq!(whole.activations, 8 * parts.activations);
        assert_eq!(whole.flops_per_image, parts.flops_per_image);
    }
}
