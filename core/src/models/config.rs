//! Sizes and switches of an encoder and of MAE's decoder, and what follows from them: parameters and FLOPs.

use crate::kernels::linear::Activation;
use crate::layers::pos_embed::Interpolation;

/// The feed-forward half of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ffn {
    /// Two layers with an activation between.
    Mlp {
        /// Width between the layers.
        hidden: usize,
        /// The activation.
        activation: Activation,
    },
    /// `w3(silu(a) * b)` with `[a | b] = w12(x)`.
    SwiGlu {
        /// Width of `a` and of `b`.
        hidden: usize,
    },
}

/// What an encoder makes of its last tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// The final norm on all tokens (DINOv2, MAE).
    Norm,
    /// No norm on the tokens; the class token normed apart is the pooled output (CLIP).
    ClipPool,
    /// The final norm on all tokens, then a probe that gathers them (SigLIP).
    AttentionPool {
        /// Width inside the head's MLP.
        hidden: usize,
    },
}

/// An encoder, named as in timm and DINOv2.
#[derive(Debug, Clone, PartialEq)]
pub struct VitConfig {
    /// Side in pixels of the image whose positions are stored.
    pub img_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Colour channels.
    pub in_chans: usize,
    /// Width of a token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Heads of each block.
    pub num_heads: usize,
    /// Feed-forward half.
    pub ffn: Ffn,
    /// Whether there is a class token.
    pub class_token: bool,
    /// Whether the checkpoint stores a token for masked patches.
    pub mask_token: bool,
    /// Register tokens, between class token and patches.
    pub num_register_tokens: usize,
    /// LayerScale on both branches.
    pub layer_scale: bool,
    /// Whether the patch projection has a bias.
    pub patch_bias: bool,
    /// A norm before the blocks (CLIP).
    pub norm_pre: bool,
    /// What follows the blocks.
    pub head: Head,
    /// How positions are interpolated.
    pub interpolation: Interpolation,
    /// Of every layer norm.
    pub layer_norm_eps: f64,
}

impl VitConfig {
    /// Patches along a side at the native size.
    pub fn grid(&self) -> usize {
        self.img_size / self.patch_size
    }

    /// Rows of the stored position embedding.
    pub fn positions(&self) -> usize {
        self.grid() * self.grid() + usize::from(self.class_token)
    }

    /// Width between the two layers of the feed-forward half.
    pub fn ffn_hidden(&self) -> usize {
        match self.ffn {
            Ffn::Mlp { hidden, .. } | Ffn::SwiGlu { hidden } => hidden,
        }
    }

    /// Tokens of an image of `rows` by `columns` patches.
    pub fn tokens(&self, rows: usize, columns: usize) -> usize {
        rows * columns + usize::from(self.class_token) + self.num_register_tokens
    }

    /// Number of parameters: every tensor that the model holds. (CLIP's patch bias, which it lacks, is not counted.)
    pub fn parameters(&self) -> u64 {
        let [d, depth, p, c] = [self.embed_dim, self.depth, self.patch_size, self.in_chans].map(|size| size as u64);
        let hidden = self.ffn_hidden() as u64;
        let flag = u64::from;
        let embeddings = d * (flag(self.class_token) + flag(self.mask_token) + self.num_register_tokens as u64)
            + d * self.positions() as u64
            + c * p * p * d
            + d * flag(self.patch_bias)
            + 2 * d * flag(self.norm_pre);
        let ffn = match self.ffn {
            Ffn::Mlp { .. } => 2 * hidden * d + hidden + d,
            Ffn::SwiGlu { .. } => 3 * hidden * d + 2 * hidden + d,
        };
        let block = 4 * d * d + 4 * d + ffn + 4 * d + 2 * d * flag(self.layer_scale);
        let head = match self.head {
            Head::Norm | Head::ClipPool => 0,
            Head::AttentionPool { hidden } => {
                let hidden = hidden as u64;
                d + 4 * d * d + 4 * d + 2 * d + 2 * hidden * d + hidden + d
            }
        };
        embeddings + depth * block + 2 * d + head
    }

    /// Floating-point operations of one image of `rows` by `columns` patches, a multiply-add counted as two; norms,
    /// softmax and activations, well below one percent, are left out.
    pub fn flops(&self, rows: usize, columns: usize) -> u128 {
        let [d, p, c, patches] =
            [self.embed_dim, self.patch_size, self.in_chans, rows * columns].map(|size| size as u128);
        2 * patches * c * p * p * d + self.blocks_flops(self.tokens(rows, columns))
    }

    /// The part of [`flops`](Self::flops) that the blocks have, over `tokens` tokens.
    pub(crate) fn blocks_flops(&self, tokens: usize) -> u128 {
        let factors = if matches!(self.ffn, Ffn::SwiGlu { .. }) { 3 } else { 2 };
        self.depth as u128 * block_flops(self.embed_dim, self.ffn_hidden(), factors, tokens)
    }
}

/// Operations of one block: four projections, the attention, and `factors` products in the MLP.
pub(crate) fn block_flops(dim: usize, hidden: usize, factors: u128, tokens: usize) -> u128 {
    let [dim, hidden, tokens] = [dim, hidden, tokens].map(|size| size as u128);
    2 * tokens * dim * 4 * dim + 4 * tokens * tokens * dim + 2 * tokens * dim * hidden * factors
}

/// MAE's decoder and loss.
#[derive(Debug, Clone, PartialEq)]
pub struct MaeConfig {
    /// Width of a decoder token.
    pub decoder_embed_dim: usize,
    /// Decoder blocks.
    pub decoder_depth: usize,
    /// Heads of each.
    pub decoder_num_heads: usize,
    /// Width inside the decoder's MLPs.
    pub decoder_hidden: usize,
    /// Share of the patches that the encoder does not see.
    pub mask_ratio: f64,
    /// Whether the target is each patch normalised by its own mean and deviation.
    pub norm_pix_loss: bool,
}
