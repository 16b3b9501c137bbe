//! The masked autoencoder: an encoder that sees a quarter of the patches, a small decoder that paints the rest.
//!
//! He et al., arXiv 2111.06377. Masks are 1 where a patch is hidden; `ids_restore[n]` says where patch `n` stands
//! among the shuffled ones.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};

use super::config::{Ffn, MaeConfig, VitConfig};
use super::parameters::Parameters;
use super::vit::Vit;
use crate::error::Error;
use crate::kernels::bias_activation::bias_activation;
use crate::kernels::gather_tokens::gather_tokens;
use crate::kernels::linear::Activation;
use crate::kernels::patch_embed::patches_of;
use crate::layers::block::Block;
use crate::layers::layer_norm::LayerNorm;
use crate::layers::linear::Linear;
use crate::layers::pos_embed::add_positions;
use crate::layers::recompute::{self, Tape};
use crate::losses::mae::{mae_loss, normalise_patches, patch_moments};

/// The decoder.
#[derive(Module, Debug)]
pub struct MaeDecoder {
    /// Encoder width to decoder width.
    pub decoder_embed: Linear,
    /// What stands for a hidden patch, `[1, 1, D']`.
    pub mask_token: Param<Tensor<3>>,
    /// Fixed sin-cos table, `[1, 1 + N, D']`.
    pub decoder_pos_embed: Param<Tensor<3>>,
    /// The blocks.
    pub decoder_blocks: Vec<Block>,
    /// The final norm.
    pub decoder_norm: LayerNorm,
    /// To pixels, `[p * p * 3, D']`.
    pub decoder_pred: Linear,
}

/// What is shown and what is hidden, for a batch of images.
#[derive(Debug, Clone)]
pub struct Masking {
    /// Patches that the encoder sees, in shuffled order, `[B, M]`.
    pub ids_keep: Vec<i32>,
    /// Where each patch stands among the shuffled ones, `[B, N]`.
    pub ids_restore: Vec<i32>,
    /// 1 where a patch is hidden, `[B, N]`.
    pub mask: Vec<f32>,
    /// B.
    pub batch: usize,
    /// M.
    pub kept: usize,
    /// N.
    pub patches: usize,
}

/// How many of `patches` are kept at a ratio: MAE's `int(N (1 - mask_ratio))`.
pub fn kept(patches: usize, mask_ratio: f64) -> usize {
    (patches as f64 * (1.0 - mask_ratio)) as usize
}

impl Masking {
    /// MAE's random masking from noise `[B, N]`: the `int(N (1 - mask_ratio))` patches with the least noise are kept,
    /// in the order of their noise; equal noise keeps the order of the patches.
    pub fn from_noise(noise: &[f32], batch: usize, mask_ratio: f64) -> Self {
        assert!(batch > 0 && noise.len().is_multiple_of(batch), "noise [{}] for a batch of {batch}", noise.len());
        let patches = noise.len() / batch;
        let kept = kept(patches, mask_ratio);
        let mut masking = Self { ids_keep: vec![], ids_restore: vec![], mask: vec![], batch, kept, patches };
        for noise in noise.chunks_exact(patches) {
            let mut ids_shuffle: Vec<usize> = (0..patches).collect();
            ids_shuffle.sort_by(|&a, &b| noise[a].total_cmp(&noise[b]));
            masking.push(&ids_shuffle);
        }
        masking
    }

    /// A mask given patch by patch, true where hidden: the shown ones keep their order.
    pub fn from_mask(hidden: &[bool]) -> Self {
        Self::from_masks(hidden, 1)
    }

    /// Masks of a batch given patch by patch, `[B, N]`, true where hidden: the shown ones keep their order.
    ///
    /// # Panics
    ///
    /// If the images do not all show the same number of patches: they share one tensor.
    pub fn from_masks(hidden: &[bool], batch: usize) -> Self {
        assert!(batch > 0 && hidden.len().is_multiple_of(batch), "masks [{}] for a batch of {batch}", hidden.len());
        let patches = hidden.len() / batch;
        let kept = hidden[..patches].iter().filter(|&&hidden| !hidden).count();
        let mut masking = Self { ids_keep: vec![], ids_restore: vec![], mask: vec![], batch, kept, patches };
        for (image, hidden) in hidden.chunks_exact(patches).enumerate() {
            let (shown, unseen): (Vec<usize>, Vec<usize>) = (0..patches).partition(|&patch| !hidden[patch]);
            assert_eq!(shown.len(), kept, "image {image} shows another number of its {patches} patches than image 0");
            masking.push(&[shown, unseen].concat());
        }
        masking
    }

    /// The masks of equal shares of the images, in order.
    ///
    /// # Panics
    ///
    /// When there are no equal shares.
    pub fn deal(self, shares: usize) -> Vec<Self> {
        if shares == 1 {
            return vec![self];
        }
        assert!(self.batch.is_multiple_of(shares), "masks of {} images for {shares} shares", self.batch);
        let batch = self.batch / shares;
        let rows = |columns: usize, share: usize| share * batch * columns..(share + 1) * batch * columns;
        let deal = |share: usize| Self {
            ids_keep: self.ids_keep[rows(self.kept, share)].to_vec(),
            ids_restore: self.ids_restore[rows(self.patches, share)].to_vec(),
            mask: self.mask[rows(self.patches, share)].to_vec(),
            batch,
            kept: self.kept,
            patches: self.patches,
        };
        (0..shares).map(deal).collect()
    }

    fn push(&mut self, ids_shuffle: &[usize]) {
        let mut restore = vec![0; self.patches];
        for (place, &patch) in ids_shuffle.iter().enumerate() {
            restore[patch] = place as i32;
        }
        self.mask.extend(restore.iter().map(|&place| f32::from(u8::from(place as usize >= self.kept))));
        self.ids_keep.extend(ids_shuffle[..self.kept].iter().map(|&patch| patch as i32));
        self.ids_restore.extend(restore);
    }

    fn ids(&self, ids: &[i32], columns: usize, like: &Tensor<4>) -> Tensor<2, Int> {
        Tensor::from_data(TensorData::new(ids.to_vec(), [self.batch, columns]), &like.device())
    }
}

/// What MAE makes of a batch.
#[derive(Debug, Clone)]
pub struct MaeOutput {
    /// Predicted pixels of every patch, `[B, N, p * p * 3]`, in patchify's order (row, column, channel).
    pub logits: Tensor<3>,
    /// Mean over hidden patches of the squared error, `[1]`.
    pub loss: Tensor<1>,
    /// What the encoder makes of the class token and the shown patches, `[B, 1 + M, D]`.
    pub latent: Tensor<3>,
}

impl MaeDecoder {
    /// A decoder whose tensors come from `parameters`.
    ///
    /// # Errors
    ///
    /// Whatever the source says of a tensor it cannot give.
    pub async fn build(
        encoder: &VitConfig,
        config: &MaeConfig,
        parameters: &mut Parameters<'_>,
    ) -> Result<Self, Error> {
        let (d, eps) = (config.decoder_embed_dim, encoder.layer_norm_eps);
        let ffn = Ffn::Mlp { hidden: config.decoder_hidden, activation: Activation::Gelu };
        let decoder_embed = parameters.linear("decoder_embed", d, encoder.embed_dim).await?;
        let mask_token = parameters.tensor("decoder_mask_token", [1, 1, d]).await?;
        let decoder_pos_embed = parameters.tensor("decoder_pos_embed", [1, encoder.positions(), d]).await?;
        let mut decoder_blocks = Vec::with_capacity(config.decoder_depth);
        for index in 0..config.decoder_depth {
            let name = format!("decoder_blocks.{index}");
            decoder_blocks.push(parameters.block(&name, d, config.decoder_num_heads, ffn, false, eps).await?);
        }
        let pixels = encoder.patch_size * encoder.patch_size * encoder.in_chans;
        Ok(Self {
            decoder_embed,
            mask_token,
            decoder_pos_embed,
            decoder_blocks,
            decoder_norm: parameters.layer_norm("decoder_norm", d, eps).await?,
            decoder_pred: parameters.linear("decoder_pred", pixels, d).await?,
        })
    }

    /// Encoded tokens `[B, 1 + M, D]` and `ids_restore [B, N]` to pixels `[B, N, p * p * 3]`.
    pub fn forward(&self, latent: Tensor<3>, ids_restore: Tensor<2, Int>, tape: Option<&mut Tape>) -> Tensor<3> {
        let x = self.decoder_embed.forward(latent, Activation::Identity); // [B, 1 + M, D']
        let [b, seen, d] = x.dims();
        let patches = ids_restore.dims()[1];
        let cls = x.clone().narrow(1, 0, 1);
        let shown = x.narrow(1, 1, seen - 1);
        let shuffled = match patches + 1 - seen {
            0 => shown,
            hidden => {
                // The mask token as a bias of nothing, so that its gradient is one sum.
                let nothing = Tensor::zeros([b, hidden, d], &shown.device());
                let hidden = bias_activation(nothing, self.mask_token.val().reshape([d]), Activation::Identity);
                Tensor::cat(vec![shown, hidden], 1)
            }
        };
        let x = Tensor::cat(vec![cls, gather_tokens(shuffled, ids_restore)], 1); // [B, 1 + N, D']
        let x = add_positions(x, self.decoder_pos_embed.val());
        let x = recompute::run(&self.decoder_blocks, &[], x, tape);
        let x = self.decoder_pred.forward(self.decoder_norm.forward(x), Activation::Identity);
        x.narrow(1, 1, patches)
    }
}

/// One pass of MAE at the encoder's native size: pixels `[B, 3, S, S]`, normalised.
pub fn forward(
    encoder: &Vit,
    decoder: &MaeDecoder,
    config: &MaeConfig,
    pixels: Tensor<4>,
    masking: &Masking,
) -> MaeOutput {
    forward_train(encoder, decoder, config, pixels, masking, None)
}

/// The same; with a tape the blocks of both keep their inputs only.
pub fn forward_train(
    encoder: &Vit,
    decoder: &MaeDecoder,
    config: &MaeConfig,
    pixels: Tensor<4>,
    masking: &Masking,
    mut tape: Option<&mut Tape>,
) -> MaeOutput {
    let ids_keep = masking.ids(&masking.ids_keep, masking.kept, &pixels);
    let ids_restore = masking.ids(&masking.ids_restore, masking.patches, &pixels);
    let latent = encoder.forward_kept(pixels.clone(), ids_keep, tape.as_deref_mut());
    let logits = decoder.forward(latent.clone(), ids_restore, tape);
    let target = target(config, patchify(pixels, encoder.patch_size()));
    let mask = TensorData::new(masking.mask.clone(), [masking.batch, masking.patches]);
    let mask = Tensor::<2>::from_data(mask, &logits.device());
    let hidden = masking.mask.iter().sum::<f32>();
    MaeOutput { loss: mae_loss(logits.clone(), target, mask, hidden), logits, latent }
}

/// `[B, 3, H, W]` to `[B, N, p * p * 3]`, channel fastest: not the order of a convolution's weight.
pub fn patchify(pixels: Tensor<4>, patch_size: usize) -> Tensor<3> {
    let channels = pixels.dims()[1];
    let area = patch_size * patch_size;
    let patches = patches_of(pixels, patch_size); // [B, N, 3 * p * p]
    let [b, n, _] = patches.dims();
    patches.reshape([b, n, channels, area]).swap_dims(2, 3).reshape([b, n, area * channels])
}

/// The inverse of [`patchify`] for a grid of `rows` by `columns` patches of three channels.
pub fn unpatchify(patches: Tensor<3>, rows: usize, columns: usize) -> Tensor<4> {
    let [b, _, pixels] = patches.dims();
    let p = (pixels / 3).isqrt();
    let x: Tensor<6> = patches.reshape([b, rows, columns, p, p, 3]);
    x.permute([0, 5, 1, 3, 2, 4]).reshape([b, 3, rows * p, columns * p])
}

/// What the decoder is to predict of patches `[B, N, p * p * 3]`: their pixels, with `norm_pix_loss` those of each patch
/// by its own mean and deviation.
pub fn target(config: &MaeConfig, patches: Tensor<3>) -> Tensor<3> {
    if config.norm_pix_loss { normalise_patches(patches) } else { patches }
}

/// Undoes [`target`]: pixels from predictions `[B, N, p * p * 3]`, to which with `norm_pix_loss` the true patches lend
/// mean and deviation.
pub fn painted(config: &MaeConfig, predicted: Tensor<3>, patches: Tensor<3>) -> Tensor<3> {
    if !config.norm_pix_loss {
        return predicted;
    }
    let (mean, deviation) = patch_moments(patches);
    predicted * deviation + mean
}
