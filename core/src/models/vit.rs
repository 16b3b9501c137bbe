//! The vision transformer: patches, class and register tokens, positions, blocks, head.
//!
//! Dosovitskiy et al., arXiv 2010.11929; DINOv2's additions (LayerScale, SwiGLU, registers: arXiv 2304.07193 and
//! 2309.16588). One struct serves DINOv2, Web-DINO, MAE, CLIP and SigLIP: what differs is in [`VitConfig`].

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use super::config::{Head, VitConfig};
use super::parameters::Parameters;
use super::trace::Trace;
use crate::error::Error;
use crate::kernels::gather_tokens::gather_tokens;
use crate::kernels::layer_scale::layer_scale;
use crate::layers::attention_pool::AttentionPool;
use crate::layers::block::Block;
use crate::layers::drop_path::DropPath;
use crate::layers::layer_norm::LayerNorm;
use crate::layers::patch_embed::PatchEmbed;
use crate::layers::pos_embed::{Interpolation, add_positions, interpolate};
use crate::layers::recompute::{self, Tape};

/// An encoder.
#[derive(Module, Debug)]
pub struct Vit {
    /// Patches to tokens.
    pub patch_embed: PatchEmbed,
    /// `[1, 1, D]`.
    pub cls_token: Option<Param<Tensor<3>>>,
    /// `[1, 1, D]`: what stands for a masked patch while DINOv2 trains.
    pub mask_token: Option<Param<Tensor<3>>>,
    /// `[1, R, D]`.
    pub register_tokens: Option<Param<Tensor<3>>>,
    /// `[1, (1 +) M * M, D]`, class token first.
    pub pos_embed: Param<Tensor<3>>,
    /// CLIP's norm before the blocks.
    pub norm_pre: Option<LayerNorm>,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// The final norm.
    pub norm: LayerNorm,
    /// SigLIP's head.
    pub attn_pool: Option<AttentionPool>,
    #[module(skip)]
    clip_pool: bool,
    #[module(skip)]
    interpolation: Interpolation,
    #[module(skip)]
    patch_size: usize,
}

/// What an encoder says of a batch of images.
#[derive(Debug, Clone)]
pub struct VitOutput {
    /// All tokens, `[B, N, D]`, as Hugging Face's `last_hidden_state`: after the final norm (CLIP: before it).
    pub last_hidden_state: Tensor<3>,
    /// The class token of the above, `[B, D]`; `None` without one.
    pub cls: Option<Tensor<2>>,
    /// The patches of the above, `[B, N, D]`, row by row.
    pub patches: Tensor<3>,
    /// CLIP's and SigLIP's pooled output, `[B, D]`.
    pub pooler_output: Option<Tensor<2>>,
    /// Patch rows and columns.
    pub grid: [usize; 2],
}

impl VitOutput {
    /// The patches of a single image, `[N, D]`.
    pub fn patch_rows(&self) -> Tensor<2> {
        let [_, n, d] = self.patches.dims();
        self.patches.clone().reshape([n, d])
    }

    /// The one vector for an image, `[B, D]`: the pooled output, else the class token, else the mean of the patches.
    pub fn embedding(&self) -> Tensor<2> {
        let mean = || self.patches.clone().mean_dim(1).squeeze_dim(1);
        self.pooler_output.clone().or_else(|| self.cls.clone()).unwrap_or_else(mean)
    }
}

impl Vit {
    /// An encoder whose tensors come from `parameters`.
    ///
    /// # Errors
    ///
    /// Whatever the source says of a tensor it cannot give.
    pub async fn build(config: &VitConfig, parameters: &mut Parameters<'_>) -> Result<Self, Error> {
        let (d, eps) = (config.embed_dim, config.layer_norm_eps);
        let p = config.patch_size;
        let weight = parameters.tensor("patch_embed.proj.weight", [d, config.in_chans, p, p]).await?;
        let bias = match config.patch_bias {
            true => parameters.convolution_bias("patch_embed.proj.bias", d, config.in_chans * p * p).await?,
            false => parameters.zeros([d]),
        };
        let mut token = async |name: &str, rows: usize, wanted: bool| -> Result<_, Error> {
            Ok(if wanted { Some(parameters.tensor(name, [1, rows, d]).await?) } else { None })
        };
        let registers = config.num_register_tokens;
        let cls_token = token("cls_token", 1, config.class_token).await?;
        let mask_token = token("mask_token", 1, config.mask_token).await?;
        let register_tokens = token("register_tokens", registers, registers > 0).await?;
        let pos_embed = parameters.tensor("pos_embed", [1, config.positions(), d]).await?;
        let norm_pre = match config.norm_pre {
            true => Some(parameters.layer_norm("norm_pre", d, eps).await?),
            false => None,
        };
        let mut blocks = Vec::with_capacity(config.depth);
        for index in 0..config.depth {
            let name = format!("blocks.{index}");
            blocks.push(parameters.block(&name, d, config.num_heads, config.ffn, config.layer_scale, eps).await?);
        }
        let norm = parameters.layer_norm("norm", d, eps).await?;
        let attn_pool = match config.head {
            Head::AttentionPool { hidden } => {
                Some(parameters.attention_pool("attn_pool", d, config.num_heads, hidden, config.ffn, eps).await?)
            }
            Head::Norm | Head::ClipPool => None,
        };
        Ok(Self {
            patch_embed: PatchEmbed { weight, bias },
            cls_token,
            mask_token,
            register_tokens,
            pos_embed,
            norm_pre,
            blocks,
            norm,
            attn_pool,
            clip_pool: config.head == Head::ClipPool,
            interpolation: config.interpolation,
            patch_size: p,
        })
    }

    /// Side of a patch in pixels.
    pub fn patch_size(&self) -> usize {
        self.patch_size
    }

    /// Patch rows and columns of a picture of `height` by `width` pixels; what is over is left out.
    pub fn grid(&self, height: usize, width: usize) -> [usize; 2] {
        [height / self.patch_size, width / self.patch_size]
    }

    /// f32 pixels `[B, C, H, W]`, normalised, to tokens.
    pub fn forward(&self, pixels: Tensor<4>) -> VitOutput {
        self.forward_traced(pixels, &mut Trace::none())
    }

    /// The same, with an eye on what happens between.
    pub fn forward_traced(&self, pixels: Tensor<4>, trace: &mut Trace) -> VitOutput {
        let [_, _, height, width] = pixels.dims();
        let grid = self.grid(height, width);
        let x = self.prepare_tokens(pixels);
        let x = self.forward_blocks(x, trace);
        self.forward_head(x, grid)
    }

    /// DINOv2's student: `mask` `[B, N]` is 1 where the mask token stands for a patch; `drops` has the samples of each
    /// block's branches, or is empty where every branch is computed for all. With a tape the blocks keep their inputs
    /// only.
    pub fn forward_train(
        &self,
        pixels: Tensor<4>,
        mask: Option<Tensor<2>>,
        drops: &[DropPath],
        tape: Option<&mut Tape>,
    ) -> VitOutput {
        let [_, _, height, width] = pixels.dims();
        let grid = self.grid(height, width);
        let x = self.prepend_tokens(self.embed_patches(pixels, mask));
        self.forward_head(recompute::run(&self.blocks, drops, x, tape), grid)
    }

    /// MAE's encoder: only the patches `ids_keep` `[B, M]` enter; tokens `[B, 1 + M, D]` after the final norm.
    pub fn forward_kept(&self, pixels: Tensor<4>, ids_keep: Tensor<2, Int>, tape: Option<&mut Tape>) -> Tensor<3> {
        let x = self.embed_patches(pixels, None); // [B, N, D]
        let x = gather_tokens(x, ids_keep); // [B, M, D]
        let x = self.prepend_tokens(x); // [B, 1 + M, D]
        self.norm.forward(recompute::run(&self.blocks, &[], x, tape))
    }

    /// Patches with their positions, `[B, N, D]`; the mask token stands where `mask` `[B, N]` is 1.
    fn embed_patches(&self, pixels: Tensor<4>, mask: Option<Tensor<2>>) -> Tensor<3> {
        let [_, _, height, width] = pixels.dims();
        let [rows, columns] = self.grid(height, width);
        let mut x = self.patch_embed.forward(pixels);
        if let (Some(mask), Some(token)) = (mask, &self.mask_token) {
            let d = x.dims()[2];
            let mask = mask.unsqueeze_dim::<3>(2); // [B, N, 1]
            let hidden = layer_scale(mask.clone().repeat_dim(2, d), token.val().reshape([d]));
            x = x * (mask * -1.0 + 1.0) + hidden;
        }
        let classes = usize::from(self.cls_token.is_some());
        let positions = self.pos_embed.val();
        let count = positions.dims()[1] - classes;
        add_positions(x, interpolate(positions.narrow(1, classes, count), rows, columns, self.interpolation))
    }

    /// `[cls | registers | patches]`; registers have no position.
    fn prepend_tokens(&self, patches: Tensor<3>) -> Tensor<3> {
        let b = patches.dims()[0];
        let mut parts = Vec::with_capacity(3);
        if let Some(cls) = &self.cls_token {
            parts.push((cls.val() + self.pos_embed.val().narrow(1, 0, 1)).repeat_dim(0, b));
        }
        if let Some(registers) = &self.register_tokens {
            parts.push(registers.val().repeat_dim(0, b));
        }
        parts.push(patches);
        if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) }
    }

    fn prepare_tokens(&self, pixels: Tensor<4>) -> Tensor<3> {
        let x = self.prepend_tokens(self.embed_patches(pixels, None));
        match &self.norm_pre {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }

    fn forward_blocks(&self, mut x: Tensor<3>, trace: &mut Trace) -> Tensor<3> {
        trace.hidden_state(0, &x);
        for (index, block) in self.blocks.iter().enumerate() {
            let (next, qkv) = block.forward(x, None);
            trace.attention(index, qkv);
            x = next;
            trace.hidden_state(index + 1, &x);
        }
        x
    }

    fn forward_head(&self, x: Tensor<3>, grid: [usize; 2]) -> VitOutput {
        let [b, n, d] = x.dims();
        let first = |x: &Tensor<3>| x.clone().narrow(1, 0, 1).reshape([b, d]);
        let (x, pooler_output) = if self.clip_pool {
            let pooled = self.norm.forward(x.clone().narrow(1, 0, 1)).reshape([b, d]);
            (x, Some(pooled))
        } else {
            let x = self.norm.forward(x);
            let pooled = self.attn_pool.as_ref().map(|pool| pool.forward(x.clone()));
            (x, pooled)
        };
        let patches = grid[0] * grid[1];
        VitOutput {
            cls: self.cls_token.as_ref().map(|_| first(&x)),
            patches: x.clone().narrow(1, n - patches, patches),
            last_hidden_state: x,
            pooler_output,
            grid,
        }
    }
}
