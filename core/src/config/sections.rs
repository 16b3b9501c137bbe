//! The sections of a configuration, with DINOv2's and MAE's own names. Defaults are those of `vitl16_short` (DINOv2), and of
//! `main_pretrain.py` in the section that only MAE has, unless a comment says otherwise; a preset of MAE sets optimiser and
//! crops as well. webssl specification §3.1 and §4.2.

use serde::{Deserialize, Serialize};

use super::{Budget, shown, table_of, walk};
use crate::error::ConfigError;
use crate::kernels::linear::Activation;
use crate::layers::pos_embed::Interpolation;
use crate::models::config::{Ffn, Head, MaeConfig, VitConfig};

/// More blocks than anybody has trained; also layers of a head, and local crops of an image.
const MOST_BLOCKS: usize = 1000;

/// Wider, larger and more than anybody has trained.
const MOST_SIZE: usize = 1_000_000;

/// Patches along a side of a crop; attention holds each patch to each other.
const MOST_GRID: usize = 1000;

/// Times that the feed-forward half is wider than a token.
const MOST_RATIO: f64 = 1000.0;

/// Operations of one image; 64 bits count some eighteen times as many.
const MOST_OPERATIONS: f64 = 1e18;

/// Epochs of a run. With the steps of an epoch they stay below 2^53, to which a fraction counts every step.
const MOST_EPOCHS: f64 = 1e6;

/// Steps of an epoch, and MiB of memory.
const MOST_COUNT: u64 = 1_000_000_000;

/// How a model learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The masked autoencoder.
    Mae,
    /// DINOv2: DINO, iBOT and KoLeo. DINO v1 is the case `ibot.loss_weight = 0`, `dino.koleo_loss_weight = 0`.
    Dinov2,
}

impl Method {
    /// The name that the field writes.
    pub fn title(self) -> &'static str {
        match self {
            Method::Mae => "MAE",
            Method::Dinov2 => "DINOv2",
        }
    }

    /// The word that a configuration has for it: `mae`, `dinov2`.
    pub fn word(self) -> String {
        match toml::Value::try_from(self) {
            Ok(toml::Value::String(word)) => word,
            other => unreachable!("a method is a word: {other:?}"),
        }
    }

    /// The features that a model is judged by: DINO trains its class token, MAE's patches carry more.
    pub fn judged_by(self) -> Pooling {
        match self {
            Method::Mae => Pooling::Mean,
            Method::Dinov2 => Pooling::Cls,
        }
    }
}

/// What stands for a whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The class token.
    Cls,
    /// The mean of the patch tokens.
    Mean,
}

impl Pooling {
    /// The name of the figure that says how well k-NN tells classes by it.
    pub fn knn_figure(self) -> &'static str {
        match self {
            Pooling::Cls => "knn_cls",
            Pooling::Mean => "knn_mean",
        }
    }
}

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the model learns.
    pub method: Method,
    /// The encoder.
    pub model: ModelSection,
    /// Images.
    pub data: Data,
    /// Crops of each image.
    pub crops: Crops,
    /// The masked autoencoder's own.
    pub mae: Mae,
    /// DINO's head and loss.
    pub dino: Dino,
    /// iBOT's head, masks and loss.
    pub ibot: Ibot,
    /// The teacher.
    pub teacher: Teacher,
    /// The optimiser.
    pub optim: Optim,
    /// The run.
    pub train: Train,
}

/// Kinds of feed-forward halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FfnKind {
    /// Two layers with exact GELU.
    Mlp,
    /// SwiGLU, its width rounded as DINOv2 does.
    Swiglu,
}

/// The encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSection {
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Width of a token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Heads of each block.
    pub num_heads: usize,
    /// Width of the feed-forward half over the token's.
    pub mlp_ratio: f64,
    /// Its kind.
    pub ffn: FfnKind,
    /// Register tokens.
    pub num_register_tokens: usize,
    /// Initial value of LayerScale; 0 is none of it. DINOv2 only.
    pub layerscale: f64,
    /// Share of the samples that skip a branch, the same in every block. DINOv2 only.
    pub drop_path_rate: f64,
    /// Standard deviation of new weights and positions. The published 0.02 is made for widths from 384; a token of 64 numbers
    /// hardly hears another by it. DINOv2 only: MAE's weights follow the width by themselves.
    pub init_std: f64,
    /// Of every layer norm.
    pub layer_norm_eps: f64,
    /// A checkpoint whose encoder the run begins with; empty: a new one.
    pub init: String,
}

/// Images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Subtracted after scaling to 0..1: red, green, blue.
    pub mean: [f64; 3],
    /// Divisor after that.
    pub std: [f64; 3],
    /// Bad images that the run bears: a share such as "1%", or a number.
    pub bad_budget: String,
    /// Most pixels of an image, width times height.
    pub max_pixels: u64,
    /// Keep decoded images in memory up to so many MiB; 0 keeps none.
    pub cache_mib: u64,
    /// Whether a large JPEG is decoded at a half, a quarter or an eighth of its size where its crops need no more.
    pub scaled_decode: bool,
}

/// Crops of each image: two global and some local ones for DINOv2, one global for MAE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crops {
    /// Side in pixels.
    pub global_size: usize,
    /// Share of the image's area, least and most.
    pub global_scale: [f64; 2],
    /// Side in pixels.
    pub local_size: usize,
    /// Share of the image's area, least and most.
    pub local_scale: [f64; 2],
    /// How many local crops; 0 is none.
    pub local_number: usize,
    /// Probability of a mirror image.
    pub hflip: f64,
    /// Probability of changed colours. DINOv2 only, as all below.
    pub color_jitter: f64,
    /// Largest changes: brightness, contrast, saturation, hue.
    pub jitter: [f64; 4],
    /// Probability of grey.
    pub grayscale: f64,
    /// Probability of blur: first global crop, second, local. As DINOv2 really trained: its code inverts what its
    /// arguments say (dinov3 issue 286).
    pub blur: [f64; 3],
    /// Probability of inverted bright pixels: first global crop, second, local.
    pub solarize: [f64; 3],
}

/// How MAE hides patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskingKind {
    /// Any patches.
    Random,
    /// Rectangles, as BEiT.
    Block,
    /// All but patches spread evenly: at 75 % every second one of every second row is shown.
    Grid,
}

/// The masked autoencoder's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mae {
    /// Width of a decoder token.
    pub decoder_embed_dim: usize,
    /// Decoder blocks.
    pub decoder_depth: usize,
    /// Heads of each.
    pub decoder_num_heads: usize,
    /// Share of the patches that the encoder does not see.
    pub mask_ratio: f64,
    /// Which patches.
    pub masking: MaskingKind,
    /// Whether each patch is normalised by its own mean and deviation before it is compared.
    pub norm_pix_loss: bool,
}

/// DINO's head and loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dino {
    /// Weight of the loss on class tokens.
    pub loss_weight: f64,
    /// K.
    pub head_n_prototypes: usize,
    /// Width before the prototypes.
    pub head_bottleneck_dim: usize,
    /// Width of the hidden layers.
    pub head_hidden_dim: usize,
    /// Layers before the prototypes.
    pub head_nlayers: usize,
    /// Weight of KoLeo.
    pub koleo_loss_weight: f64,
    /// DINO v1's `norm_last_layer`: the norms of the prototypes stay 1.
    pub norm_last_layer: bool,
    /// Temperature of the student's softmax.
    pub student_temp: f64,
}

/// iBOT's head, masks and loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ibot {
    /// Weight of the loss on masked patches; 0 leaves masks and head away.
    pub loss_weight: f64,
    /// Share of the global crops that are masked.
    pub mask_sample_probability: f64,
    /// Least and most share of a masked crop's patches.
    pub mask_ratio_min_max: [f64; 2],
    /// Whether patches have a head of their own.
    pub separate_head: bool,
    /// K of the separate head, as all below.
    pub head_n_prototypes: usize,
    /// Width before the prototypes.
    pub head_bottleneck_dim: usize,
    /// Width of the hidden layers.
    pub head_hidden_dim: usize,
    /// Layers before the prototypes.
    pub head_nlayers: usize,
}

/// How the teacher's outputs are kept from collapsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Centering {
    /// Softmax of what is left after a running mean.
    Centering,
    /// Three rounds of Sinkhorn and Knopp.
    SinkhornKnopp,
    /// Nothing: a plain softmax. It collapses; that is what it is for.
    None,
}

/// The teacher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teacher {
    /// What keeps it from collapsing.
    pub centering: Centering,
    /// Share of the old teacher in the new one, at first.
    pub momentum_teacher: f64,
    /// At the end.
    pub final_momentum_teacher: f64,
    /// Temperature of its softmax, at first.
    pub warmup_teacher_temp: f64,
    /// After the warm-up.
    pub teacher_temp: f64,
    /// Epochs of the warm-up.
    pub warmup_teacher_temp_epochs: f64,
    /// Share of the old centre in the new one.
    pub center_momentum: f64,
}

/// How the learning rate follows the batch size B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LrRule {
    /// `base_lr * sqrt(B / 1024)`, DINOv2.
    #[serde(rename = "sqrt_wrt_1024")]
    SqrtWrt1024,
    /// `base_lr * B / 256`, MAE.
    #[serde(rename = "linear_wrt_256")]
    LinearWrt256,
    /// `base_lr`.
    Constant,
}

/// The optimiser: AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optim {
    /// Learning rate before scaling.
    pub base_lr: f64,
    /// How it follows the batch size.
    pub lr_rule: LrRule,
    /// At the end; not scaled.
    pub min_lr: f64,
    /// Epochs from 0 to the full learning rate.
    pub warmup_epochs: f64,
    /// Weight decay at first.
    pub weight_decay: f64,
    /// At the end, by a cosine.
    pub weight_decay_end: f64,
    /// Decay of the two moments.
    pub betas: [f64; 2],
    /// AdamW's epsilon.
    pub eps: f64,
    /// Largest norm of the gradients of a module (backbone, each head); 0 does not clip.
    pub clip_grad: f64,
    /// Learning rate of a block over that of the next.
    pub layerwise_decay: f64,
    /// Of the patch embedding, besides.
    pub patch_embed_lr_mult: f64,
    /// Epochs in which the prototypes keep still.
    pub freeze_last_layer_epochs: f64,
}

/// What products multiply where there are matrix units for it, and what is kept for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 16-bit floats, with weights, optimiser, norms and sums in 32 bits and a loss that is scaled against underflow.
    F16,
}

/// The run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Of every stream of chance.
    pub seed: u64,
    /// Images of a step.
    pub batch_size: usize,
    /// Parts in which a batch is computed, to save memory; gradients are summed. What DINOv2 takes over a batch
    /// (Sinkhorn-Knopp, centre, KoLeo) it then takes over a part.
    pub accumulate: usize,
    /// Length of the run.
    pub epochs: f64,
    /// Steps of an epoch; 0: as many as the images give.
    pub epoch_length: u64,
    /// Whether blocks are computed again in the backward pass instead of kept.
    pub checkpoint_activations: bool,
    /// 16 bits for products where the device has matrix units, and on any device with 16-bit floats for what a forward pass
    /// keeps for the backward pass.
    pub precision: Precision,
    /// Minutes between two checkpoints.
    pub save_minutes: f64,
    /// Steps between two checkpoints, besides; 0: minutes alone decide.
    pub save_steps: u64,
    /// Epochs between two looks at held-out images and, where there are labels, at k-NN; 0: none.
    pub look_epochs: f64,
    /// Steps that may fail one after another before the run gives up.
    pub max_bad_steps: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            method: Method::Dinov2,
            model: ModelSection {
                patch_size: 16,
                embed_dim: 1024,
                depth: 24,
                num_heads: 16,
                mlp_ratio: 4.0,
                ffn: FfnKind::Mlp,
                num_register_tokens: 0,
                layerscale: 1e-5,
                drop_path_rate: 0.3,
                init_std: 0.02,
                layer_norm_eps: 1e-6,
                init: String::new(),
            },
            data: Data {
                mean: [0.485, 0.456, 0.406],
                std: [0.229, 0.224, 0.225],
                bad_budget: "1%".to_owned(),
                max_pixels: 100_000_000,
                cache_mib: 0,
                scaled_decode: true,
            },
            crops: Crops {
                global_size: 224,
                global_scale: [0.32, 1.0],
                local_size: 96,
                local_scale: [0.05, 0.32],
                local_number: 8,
                hflip: 0.5,
                color_jitter: 0.8,
                jitter: [0.4, 0.4, 0.2, 0.1],
                grayscale: 0.2,
                blur: [0.0, 0.9, 0.5],
                solarize: [0.0, 0.2, 0.0],
            },
            mae: Mae {
                decoder_embed_dim: 512,
                decoder_depth: 8,
                decoder_num_heads: 16,
                mask_ratio: 0.75,
                masking: MaskingKind::Random,
                norm_pix_loss: true,
            },
            dino: Dino {
                loss_weight: 1.0,
                head_n_prototypes: 65_536,
                head_bottleneck_dim: 256,
                head_hidden_dim: 2048,
                head_nlayers: 3,
                koleo_loss_weight: 0.1,
                norm_last_layer: false,
                student_temp: 0.1,
            },
            ibot: Ibot {
                loss_weight: 1.0,
                mask_sample_probability: 0.5,
                mask_ratio_min_max: [0.1, 0.5],
                separate_head: false,
                head_n_prototypes: 65_536,
                head_bottleneck_dim: 256,
                head_hidden_dim: 2048,
                head_nlayers: 3,
            },
            teacher: Teacher {
                centering: Centering::Centering,
                momentum_teacher: 0.992,
                final_momentum_teacher: 1.0,
                warmup_teacher_temp: 0.04,
                teacher_temp: 0.07,
                warmup_teacher_temp_epochs: 30.0,
                center_momentum: 0.9,
            },
            optim: Optim {
                base_lr: 4e-3,
                lr_rule: LrRule::SqrtWrt1024,
                min_lr: 1e-6,
                warmup_epochs: 10.0,
                weight_decay: 0.04,
                weight_decay_end: 0.4,
                betas: [0.9, 0.999],
                eps: 1e-8,
                clip_grad: 3.0,
                layerwise_decay: 0.9,
                patch_embed_lr_mult: 0.2,
                freeze_last_layer_epochs: 1.0,
            },
            train: Train {
                seed: 0,
                batch_size: 64,
                accumulate: 1,
                epochs: 100.0,
                epoch_length: 1250, // DINOv2's OFFICIAL_EPOCH_LENGTH
                checkpoint_activations: false,
                precision: Precision::F32,
                save_minutes: 10.0,
                save_steps: 0,
                look_epochs: 1.0,
                max_bad_steps: 10,
            },
        }
    }
}

impl Config {
    /// The encoder.
    pub fn vit(&self) -> VitConfig {
        let model = &self.model;
        let hidden = (model.embed_dim as f64 * model.mlp_ratio) as usize;
        let ffn = match model.ffn {
            FfnKind::Mlp => Ffn::Mlp { hidden, activation: Activation::Gelu },
            // dinov2: layers/swiglu_ffn.py
            FfnKind::Swiglu => Ffn::SwiGlu { hidden: (hidden * 2 / 3).div_ceil(8) * 8 },
        };
        let dino = self.method == Method::Dinov2;
        VitConfig {
            img_size: self.crops.global_size,
            patch_size: model.patch_size,
            in_chans: 3,
            embed_dim: model.embed_dim,
            depth: model.depth,
            num_heads: model.num_heads,
            ffn,
            class_token: true,
            mask_token: dino,
            num_register_tokens: model.num_register_tokens,
            layer_scale: dino && model.layerscale > 0.0,
            patch_bias: true,
            norm_pre: false,
            head: Head::Norm,
            // Local crops are interpolated with DINOv2's own rule; a checkpoint in Hugging Face's layout is read with
            // Hugging Face's, and both agree at the native size.
            interpolation: if dino { Interpolation::ScaleOffset } else { Interpolation::Size },
            layer_norm_eps: model.layer_norm_eps,
        }
    }

    /// MAE's decoder.
    pub fn mae_decoder(&self) -> MaeConfig {
        MaeConfig {
            decoder_embed_dim: self.mae.decoder_embed_dim,
            decoder_depth: self.mae.decoder_depth,
            decoder_num_heads: self.mae.decoder_num_heads,
            decoder_hidden: 4 * self.mae.decoder_embed_dim,
            mask_ratio: self.mae.mask_ratio,
            norm_pix_loss: self.mae.norm_pix_loss,
        }
    }

    /// The learning rate after scaling.
    pub fn lr(&self) -> f64 {
        let batch = self.train.batch_size as f64;
        match self.optim.lr_rule {
            LrRule::SqrtWrt1024 => self.optim.base_lr * (batch / 1024.0).sqrt(),
            LrRule::LinearWrt256 => self.optim.base_lr * batch / 256.0,
            LrRule::Constant => self.optim.base_lr,
        }
    }

    /// Numbers a head of its attentions: the encoder's, and of MAE the decoder's.
    pub fn head_dims(&self) -> Vec<usize> {
        let encoder = self.model.embed_dim / self.model.num_heads;
        let decoder = self.mae.decoder_embed_dim.checked_div(self.mae.decoder_num_heads);
        std::iter::once(encoder).chain(decoder.filter(|_| self.method == Method::Mae)).collect()
    }

    /// Holds the values to each other.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let (model, crops, train) = (&self.model, &self.crops, &self.train);
        let patch = model.patch_size;
        let dino = self.method == Method::Dinov2;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let rising = |range: [f64; 2]| range[0] >= 0.0 && range[0] <= range[1] && range[1] <= 1.0;
        let scale_of = |range: [f64; 2]| rising(range) && range[1] > 0.0;
        let must = |holds: bool, key: &str, found: String, expected: String| match holds {
            true => Ok(()),
            false => Err(ConfigError::Contradiction { key: key.to_owned(), found, expected }),
        };
        let positive = |value: usize, key: &str| must(value > 0, key, value.to_string(), "at least 1".to_owned());
        self.check_sizes()?;
        self.check_finite()?;
        must(
            (model.embed_dim as f64 * model.mlp_ratio) as usize > 0 && model.mlp_ratio <= MOST_RATIO,
            "model.mlp_ratio",
            format!("{:?}", model.mlp_ratio),
            format!("from 1 / {} to {MOST_RATIO}", model.embed_dim),
        )?;
        self.check_numbers()?;
        let budget = &self.data.bad_budget;
        must(
            budget.parse::<Budget>().is_ok(),
            "data.bad_budget",
            format!("{budget:?}"),
            "a share such as 1% or 0.5%, or a whole number of images".to_owned(),
        )?;
        for (size, key) in [(crops.global_size, "crops.global_size"), (crops.local_size, "crops.local_size")] {
            let expected = format!("at most {MOST_GRID} patches of {patch} pixels a side");
            must(size / patch <= MOST_GRID, key, size.to_string(), expected)?;
        }
        let grid = crops.global_size.max(crops.local_size) / patch;
        let operations = self.vit().flops(grid, grid) as f64;
        must(
            operations <= MOST_OPERATIONS,
            "model.embed_dim",
            model.embed_dim.to_string(),
            format!(
                "at most {MOST_OPERATIONS:e} operations for an image, not {operations:.1e}: fewer or narrower blocks, \
                 or fewer patches"
            ),
        )?;
        let heads = |width: usize, heads: usize, key: &str| {
            let fits = heads > 0 && width > 0 && width.is_multiple_of(heads);
            must(fits, key, heads.to_string(), format!("a divisor of the width {width}"))
        };
        heads(model.embed_dim, model.num_heads, "model.num_heads")?;
        let crop = |size: usize, key: &str| {
            let fits = size >= patch && size.is_multiple_of(patch);
            must(fits, key, size.to_string(), format!("a multiple of model.patch_size = {patch}"))
        };
        crop(crops.global_size, "crops.global_size")?;
        let scale = crops.global_scale;
        must(scale_of(scale), "crops.global_scale", format!("{scale:?}"), "[least, most] within 0 and 1".to_owned())?;
        must(
            train.batch_size.is_multiple_of(train.accumulate),
            "train.accumulate",
            train.accumulate.to_string(),
            format!("a divisor of train.batch_size = {}", train.batch_size),
        )?;
        must(
            self.data.std.iter().all(|&std| std as f32 > 0.0),
            "data.std",
            format!("{:?}", self.data.std),
            "numbers above 0 in 32 bits".to_owned(),
        )?;
        must(
            share(model.drop_path_rate) && model.drop_path_rate < 1.0,
            "model.drop_path_rate",
            format!("{:?}", model.drop_path_rate),
            "a share below 1".to_owned(),
        )?;
        if dino {
            let std = model.init_std;
            must(std > 0.0 && std < 1.0, "model.init_std", format!("{std:?}"), "between 0 and 1, as 0.02".to_owned())?;
            if crops.local_number > 0 {
                crop(crops.local_size, "crops.local_size")?;
            }
            let scale = crops.local_scale;
            must(
                scale_of(scale),
                "crops.local_scale",
                format!("{scale:?}"),
                "[least, most] within 0 and 1".to_owned(),
            )?;
            let range = self.ibot.mask_ratio_min_max;
            must(rising(range), "ibot.mask_ratio_min_max", format!("{range:?}"), "[least, most] in 0..1".to_owned())?;
            let (dino, ibot) = (&self.dino, &self.ibot);
            let own_head = ibot.separate_head && ibot.loss_weight > 0.0;
            for (section, checked, sizes) in [
                (
                    "dino",
                    true,
                    [dino.head_n_prototypes, dino.head_bottleneck_dim, dino.head_hidden_dim, dino.head_nlayers],
                ),
                (
                    "ibot",
                    own_head,
                    [ibot.head_n_prototypes, ibot.head_bottleneck_dim, ibot.head_hidden_dim, ibot.head_nlayers],
                ),
            ] {
                // One prototype is one answer: nothing can be learned from it.
                let names = [("n_prototypes", 2), ("bottleneck_dim", 1), ("hidden_dim", 1), ("nlayers", 1)];
                for ((name, least), size) in names.into_iter().zip(sizes) {
                    let key = format!("{section}.head_{name}");
                    must(!checked || size >= least, &key, size.to_string(), format!("at least {least}"))?;
                }
            }
            let micro = train.batch_size / train.accumulate;
            must(
                self.dino.koleo_loss_weight == 0.0 || micro > 1,
                "train.batch_size",
                micro.to_string(),
                "at least 2 images a part: KoLeo looks for each one's neighbour".to_owned(),
            )?;
        } else {
            let ratio = self.mae.mask_ratio;
            let grid = crops.global_size / patch;
            let kept = ((grid * grid) as f64 * (1.0 - ratio)) as usize;
            must(
                share(ratio) && ratio < 1.0 && kept > 0 && kept < grid * grid,
                "mae.mask_ratio",
                format!("{ratio:?}"),
                format!("a share that keeps some and hides some of {} patches", grid * grid),
            )?;
            positive(self.mae.decoder_depth, "mae.decoder_depth")?;
            positive(self.mae.decoder_embed_dim, "mae.decoder_embed_dim")?;
            heads(self.mae.decoder_embed_dim, self.mae.decoder_num_heads, "mae.decoder_num_heads")?;
            for (width, key) in
                [(model.embed_dim, "model.embed_dim"), (self.mae.decoder_embed_dim, "mae.decoder_embed_dim")]
            {
                let expected = "a multiple of 4: sine and cosine of two axes".to_owned();
                must(width.is_multiple_of(4), key, width.to_string(), expected)?;
            }
        }
        Ok(())
    }

    /// Each size from the least that there can be to the most that is counted without overflow.
    fn check_sizes(&self) -> Result<(), ConfigError> {
        let (model, crops, mae, train) = (&self.model, &self.crops, &self.mae, &self.train);
        let (dino, ibot) = (&self.dino, &self.ibot);
        let sizes = [
            ("model.patch_size", 1, model.patch_size, MOST_SIZE),
            ("model.embed_dim", 1, model.embed_dim, MOST_SIZE),
            ("model.depth", 1, model.depth, MOST_BLOCKS),
            ("model.num_heads", 1, model.num_heads, MOST_SIZE),
            ("model.num_register_tokens", 0, model.num_register_tokens, MOST_SIZE),
            ("crops.global_size", 1, crops.global_size, MOST_SIZE),
            ("crops.local_size", 0, crops.local_size, MOST_SIZE),
            ("crops.local_number", 0, crops.local_number, MOST_BLOCKS),
            ("mae.decoder_embed_dim", 0, mae.decoder_embed_dim, MOST_SIZE),
            ("mae.decoder_depth", 0, mae.decoder_depth, MOST_BLOCKS),
            ("dino.head_n_prototypes", 0, dino.head_n_prototypes, MOST_SIZE),
            ("dino.head_bottleneck_dim", 0, dino.head_bottleneck_dim, MOST_SIZE),
            ("dino.head_hidden_dim", 0, dino.head_hidden_dim, MOST_SIZE),
            ("dino.head_nlayers", 0, dino.head_nlayers, MOST_BLOCKS),
            ("ibot.head_n_prototypes", 0, ibot.head_n_prototypes, MOST_SIZE),
            ("ibot.head_bottleneck_dim", 0, ibot.head_bottleneck_dim, MOST_SIZE),
            ("ibot.head_hidden_dim", 0, ibot.head_hidden_dim, MOST_SIZE),
            ("ibot.head_nlayers", 0, ibot.head_nlayers, MOST_BLOCKS),
            ("train.batch_size", 1, train.batch_size, MOST_SIZE),
            ("train.accumulate", 1, train.accumulate, MOST_SIZE),
        ];
        let sizes = sizes.map(|(key, least, size, most)| (key, least, size as u64, most as u64));
        let counts = [
            ("data.cache_mib", 0, self.data.cache_mib, MOST_COUNT),
            ("train.epoch_length", 0, train.epoch_length, MOST_COUNT),
        ];
        for (key, least, size, most) in sizes.into_iter().chain(counts) {
            if !(least..=most).contains(&size) {
                let expected = if size < least { format!("at least {least}") } else { format!("at most {most}") };
                return Err(ConfigError::Contradiction { key: key.to_owned(), found: size.to_string(), expected });
            }
        }
        Ok(())
    }

    /// No number is infinite or none, also in the 32 bits that most are used in.
    fn check_finite(&self) -> Result<(), ConfigError> {
        let mut wrong = Ok(());
        walk(&table_of(self), "", &mut |key, value| {
            let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            let finite = items.iter().filter_map(toml::Value::as_float).all(|number| (number as f32).is_finite());
            if wrong.is_ok() && !finite {
                let expected = "numbers that are finite in 32 bits".to_owned();
                wrong = Err(ConfigError::Contradiction { key: key.to_owned(), found: shown(value), expected });
            }
        });
        wrong
    }

    /// Each number within the range that it means something in.
    fn check_numbers(&self) -> Result<(), ConfigError> {
        /// What a number may be.
        #[derive(Clone, Copy)]
        enum Range {
            Share,
            BelowOne,
            NotNegative,
            Positive,
            Epochs,
        }
        use Range::{BelowOne, Epochs, NotNegative, Positive, Share};
        let (crops, teacher, optim, train) = (&self.crops, &self.teacher, &self.optim, &self.train);
        let [brightness, contrast, saturation, hue] = crops.jitter;
        let each = |key: &'static str, range: Range, values: &[f64]| -> Vec<(&'static str, Range, f64)> {
            values.iter().map(|&value| (key, range, value)).collect()
        };
        let numbers = [
            each("model.layerscale", NotNegative, &[self.model.layerscale]),
            each("model.layer_norm_eps", BelowOne, &[self.model.layer_norm_eps]),
            each("data.mean", Share, &self.data.mean),
            each("crops.hflip", Share, &[crops.hflip]),
            each("crops.color_jitter", Share, &[crops.color_jitter]),
            each("crops.jitter", NotNegative, &[brightness, contrast, saturation]),
            each("crops.jitter", Share, &[2.0 * hue]),
            each("crops.grayscale", Share, &[crops.grayscale]),
            each("crops.blur", Share, &crops.blur),
            each("crops.solarize", Share, &crops.solarize),
            each("dino.loss_weight", NotNegative, &[self.dino.loss_weight]),
            each("dino.koleo_loss_weight", NotNegative, &[self.dino.koleo_loss_weight]),
            each("dino.student_temp", Positive, &[self.dino.student_temp]),
            each("ibot.loss_weight", NotNegative, &[self.ibot.loss_weight]),
            each("ibot.mask_sample_probability", Share, &[self.ibot.mask_sample_probability]),
            each("teacher.momentum_teacher", Share, &[teacher.momentum_teacher]),
            each("teacher.final_momentum_teacher", Share, &[teacher.final_momentum_teacher]),
            each("teacher.warmup_teacher_temp", Positive, &[teacher.warmup_teacher_temp]),
            each("teacher.teacher_temp", Positive, &[teacher.teacher_temp]),
            each("teacher.warmup_teacher_temp_epochs", NotNegative, &[teacher.warmup_teacher_temp_epochs]),
            each("teacher.center_momentum", Share, &[teacher.center_momentum]),
            each("optim.base_lr", NotNegative, &[optim.base_lr]),
            each("optim.min_lr", NotNegative, &[optim.min_lr]),
            each("optim.warmup_epochs", NotNegative, &[optim.warmup_epochs]),
            each("optim.weight_decay", NotNegative, &[optim.weight_decay]),
            each("optim.weight_decay_end", NotNegative, &[optim.weight_decay_end]),
            each("optim.betas", BelowOne, &optim.betas),
            each("optim.eps", Positive, &[optim.eps]),
            each("optim.clip_grad", NotNegative, &[optim.clip_grad]),
            each("optim.layerwise_decay", Positive, &[optim.layerwise_decay]),
            each("optim.patch_embed_lr_mult", NotNegative, &[optim.patch_embed_lr_mult]),
            each("optim.freeze_last_layer_epochs", NotNegative, &[optim.freeze_last_layer_epochs]),
            each("train.epochs", Epochs, &[train.epochs]),
            each("train.save_minutes", NotNegative, &[train.save_minutes]),
            each("train.look_epochs", NotNegative, &[train.look_epochs]),
        ];
        for (key, range, value) in numbers.into_iter().flatten() {
            let (holds, expected) = match range {
                Share => ((0.0..=1.0).contains(&value), "within 0 and 1"),
                BelowOne => ((0.0..1.0).contains(&value), "from 0 to below 1"),
                NotNegative => (value >= 0.0, "a number, not negative"),
                Positive => (value > 0.0, "a number above 0"),
                Epochs => (value > 0.0 && value <= MOST_EPOCHS, "above 0 and at most 1000000"),
            };
            if !holds {
                let expected = match key {
                    "crops.jitter" => "[brightness, contrast, saturation, hue], not negative, hue at most 0.5",
                    _ => expected,
                };
                return Err(ConfigError::Contradiction {
                    key: key.to_owned(),
                    found: format!("{value:?}"),
                    expected: expected.to_owned(),
                });
            }
        }
        Ok(())
    }
}
