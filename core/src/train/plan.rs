//! What a run needs, from its configuration alone: parameters, operations, memory, disk.

use crate::config::{Config, Method};
use crate::models::config::{MaeConfig, VitConfig};
use crate::models::dino_head::DinoHeadConfig;
use crate::models::mae;
use crate::models::presets::decoder_parameters;

use super::schedule::Schedules;
use super::trainer::net_config;

/// The needs of a run; bytes in f32.
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
        self.weights + self.gradients + self.optimiser + self.activations
    }

    /// The needs of a configuration over `images` images. `kernels` says whether norms, activations and
    /// attention are kernels (WGSL, or the CPU's loops), which keep less than tensor operations do.
    pub fn of(config: &Config, images: u64, kernels: bool) -> Self {
        let sizes = net_config(config);
        let vit = &sizes.vit;
        let heads = [&sizes.dino_head, &sizes.ibot_head];
        let behind = sizes.mae.as_ref().map_or(0, |mae| decoder_parameters(vit, mae))
            + heads.iter().filter_map(|head| head.as_ref()).map(head_parameters).sum::<u64>();
        let all = 4 * (vit.parameters() + behind);
        let teacher = if config.method == Method::Dinov2 { all } else { 0 };
        let schedules = Schedules::new(config, images);
        let part = (config.train.batch_size / config.train.accumulate) as u64;
        Self {
            encoder: vit.parameters(),
            behind,
            flops_per_image: flops(config, vit, sizes.mae.as_ref(), heads),
            weights: all + teacher,
            gradients: all * if config.train.accumulate > 1 { 2 } else { 1 },
            optimiser: 2 * all,
            activations: activations(config, vit, sizes.mae.as_ref(), part, kernels),
            disk: 3 * (3 * all + teacher) + all,
            steps: schedules.total,
            seen: schedules.total * config.train.batch_size as u64,
        }
    }
}

/// Linear layers with biases, prototypes with their lengths.
fn head_parameters(head: &DinoHeadConfig) -> u64 {
    let widths = head_widths(head);
    let layers: usize = widths.windows(2).map(|pair| pair[0] * pair[1] + pair[1]).sum();
    (layers + head.n_prototypes * (head.bottleneck_dim + 1)) as u64
}

/// D, hidden …, b.
fn head_widths(head: &DinoHeadConfig) -> Vec<usize> {
    let mut widths = vec![head.in_dim];
    widths.resize(head.nlayers.max(1), head.hidden_dim);
    widths.push(head.bottleneck_dim);
    widths
}

fn head_flops(head: &DinoHeadConfig) -> u64 {
    let layers: usize = head_widths(head).windows(2).map(|pair| pair[0] * pair[1]).sum();
    2 * (layers + head.n_prototypes * head.bottleneck_dim) as u64
}

/// Blocks of an encoder over `tokens` tokens.
fn block_flops(dim: usize, hidden: usize, factors: usize, tokens: usize) -> u64 {
    (2 * tokens * dim * 4 * dim + 4 * tokens * tokens * dim + 2 * tokens * dim * hidden * factors) as u64
}

fn flops(config: &Config, vit: &VitConfig, mae: Option<&MaeConfig>, heads: [&Option<DinoHeadConfig>; 2]) -> u64 {
    let grid = vit.grid();
    let patches = grid * grid;
    if let Some(mae) = mae {
        let kept = mae::kept(patches, mae.mask_ratio) + 1;
        let embed = 2 * patches * 3 * vit.patch_size.pow(2) * vit.embed_dim;
        let encoder = vit.depth as u64 * block_flops(vit.embed_dim, vit.ffn_hidden(), 2, kept);
        let (dim, hidden) = (mae.decoder_embed_dim, mae.decoder_hidden);
        let decoder = mae.decoder_depth as u64 * block_flops(dim, hidden, 2, patches + 1);
        let ends = 2 * (kept * vit.embed_dim + (patches + 1) * 3 * vit.patch_size.pow(2)) * dim;
        return 3 * (embed as u64 + encoder + decoder + ends as u64);
    }
    let local = config.crops.local_size / vit.patch_size;
    let n_local = config.crops.local_number as u64;
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
    let of_patches = (masked * patch_head as f64) as u64;
    // The teacher goes forward only.
    (global + 2 * head + of_patches) + 3 * (student as u64 + (2 + n_local) * head + of_patches)
}

/// Numbers that a block keeps for its backward pass, for each token; docs/benchmarks.md has them beside measured peaks.
struct Kept {
    /// Of width D: input and output of both norms, the fused projection and its heads, attention's output, both
    /// branches and residuals.
    width: usize,
    /// Of the hidden layer's: before and after its activation, and on the way through it.
    hidden: usize,
    /// Probabilities a head and token, before and after the softmax.
    probabilities: usize,
}

const BY_KERNELS: Kept = Kept { width: 10, hidden: 4, probabilities: 0 };
const BY_OPERATIONS: Kept = Kept { width: 12, hidden: 6, probabilities: 2 };

/// Some blocks, and the tokens of one image that go through them.
#[derive(Clone, Copy)]
struct Stretch {
    depth: usize,
    dim: usize,
    hidden: usize,
    heads: usize,
    tokens: usize,
}

impl Stretch {
    /// What a block keeps of an image.
    fn block(&self, kernels: bool) -> usize {
        let kept = if kernels { BY_KERNELS } else { BY_OPERATIONS };
        let probabilities = kept.probabilities * self.heads * self.tokens;
        self.tokens * (kept.width * self.dim + kept.hidden * self.hidden + probabilities)
    }
}

/// Bytes that a part of `images` images keeps for the backward pass.
fn activations(config: &Config, vit: &VitConfig, mae: Option<&MaeConfig>, images: u64, kernels: bool) -> u64 {
    let grid = vit.grid();
    let patches = grid * grid;
    let encoder = |tokens: usize| Stretch {
        depth: vit.depth,
        dim: vit.embed_dim,
        hidden: vit.ffn_hidden(),
        heads: vit.num_heads,
        tokens,
    };
    // Stretches with how often an image goes through them, and what is kept besides.
    let (stretches, besides) = match mae {
        Some(mae) => {
            let kept = mae::kept(patches, mae.mask_ratio) + 1;
            let decoder = Stretch {
                depth: mae.decoder_depth,
                dim: mae.decoder_embed_dim,
                hidden: mae.decoder_hidden,
                heads: mae.decoder_num_heads,
                tokens: patches + 1,
            };
            (vec![(1, encoder(kept)), (1, decoder)], 4 * patches * 3 * vit.patch_size.pow(2))
        }
        None => {
            let local = config.crops.local_size / vit.patch_size;
            let number = config.crops.local_number;
            let stretches = vec![(2, encoder(vit.tokens(grid, grid))), (number, encoder(vit.tokens(local, local)))];
            (stretches, 4 * (2 + number) * config.dino.head_n_prototypes)
        }
    };
    let all =
        |of: &dyn Fn(&Stretch) -> usize| stretches.iter().map(|(times, stretch)| times * of(stretch)).sum::<usize>();
    let floats = match config.train.checkpoint_activations {
        // Each block keeps its input; one at a time is in memory as a whole, with its gradients on their way.
        true => {
            let largest = stretches.iter().map(|(times, stretch)| times * stretch.block(kernels)).max();
            all(&|stretch| stretch.depth * stretch.tokens * stretch.dim) + 2 * largest.unwrap_or_default()
        }
        false => all(&|stretch| stretch.depth * stretch.block(kernels)),
    };
    4 * images * (floats + besides) as u64
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
