//! A model ready to use: files in, embeddings out.

use burn::tensor::{Device, Tensor, TensorData};
use lab_protocol::{DecoderInfo, ModelInfo};

use super::config::{Ffn, Head, MaeConfig, VitConfig};
use super::keys::{Family, Layout, recognise};
use super::mae::MaeDecoder;
use super::parameters::{Parameters, Progress};
use super::presets::decoder_parameters;
use super::trace::Trace;
use super::vit::{Vit, VitOutput};
use crate::device::{self, readback};
use crate::error::{Error, ModelError};
use crate::formats::ModelFiles;
use crate::image::preprocess::Preprocess;
use crate::kernels::linear::Activation;
use crate::layers::pos_embed::Interpolation;

/// Choices when loading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Store the weights of linear layers in 16 bits: half the memory. Needs a device that computes with them.
    pub half: bool,
}

/// A model on a device.
#[derive(Debug)]
pub struct Model {
    info: ModelInfo,
    preprocess: Preprocess,
    config: VitConfig,
    encoder: Vit,
    decoder: Option<(MaeDecoder, MaeConfig)>,
    device: Device,
}

/// What a model says of a batch of B images, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// Width D.
    pub dim: usize,
    /// Patch rows and columns.
    pub grid: [usize; 2],
    /// One vector an image, `[B, D]`: the pooled output (CLIP, SigLIP), else the class token.
    pub cls: Vec<f32>,
    /// Mean of the patch tokens, `[B, D]`.
    pub mean: Vec<f32>,
    /// Patch tokens `[B, N, D]`; empty unless asked for.
    pub patches: Vec<f32>,
}

/// Loads a model from its files.
///
/// # Errors
///
/// [`Error::Format`] for broken files, [`Error::Model`] for files that hold no model that we know or not all of it,
/// [`Error::Image`] for a preprocessing that we cannot follow.
pub async fn load(
    files: ModelFiles,
    device: &Device,
    options: LoadOptions,
    progress: &mut Progress<'_>,
) -> Result<Model, Error> {
    let layout = recognise(&files.checkpoint, files.config.as_deref())?;
    layout.check()?;
    let limit = device::max_binding_bytes(device);
    let mut parameters =
        Parameters::from_checkpoint(&files.checkpoint, &layout.recipes, device, options.half, limit, progress);
    let (encoder, decoder) = build(&layout.config, layout.mae.as_ref(), &mut parameters).await?;
    let (bytes, fingerprint) = (parameters.bytes_on_device(), parameters.fingerprint());
    let preprocess = preprocessing(&files, &layout)?;
    let info = ModelInfo { fingerprint, ..describe(&files, &layout, &preprocess, bytes) };
    Ok(Model { info, preprocess, config: layout.config, encoder, decoder, device: device.clone() })
}

async fn build(
    config: &VitConfig,
    mae: Option<&MaeConfig>,
    parameters: &mut Parameters<'_>,
) -> Result<(Vit, Option<(MaeDecoder, MaeConfig)>), Error> {
    let encoder = Vit::build(config, parameters).await?;
    let decoder = match mae {
        Some(mae) => Some((MaeDecoder::build(config, mae, parameters).await?, mae.clone())),
        None => None,
    };
    Ok((encoder, decoder))
}

/// The recipe beside the weights; without one, the one its family was released with.
pub(super) fn preprocessing(files: &ModelFiles, layout: &Layout) -> Result<Preprocess, Error> {
    if let Some(text) = &files.preprocessor_config {
        return Ok(Preprocess::from_json(text)?);
    }
    let size = layout.config.img_size as u32;
    Ok(match layout.family {
        // facebook/dinov2-*: positions are stored at 518, pictures come at 224 from a short side of 256.
        Family::Dinov2 | Family::Original if stored_at_518(&layout.config) => Preprocess::short_side_crop(256, 224),
        Family::Dinov2 | Family::Original | Family::Vit => Preprocess::short_side_equal(size),
        // Flat names of timm's without a decoder are Web-MAE's .pth files too: those prepare as its folders do.
        Family::OriginalMae if layout.mae.is_none() => Preprocess::short_side_equal(size),
        // MAE's own evaluation: 256 and 224.
        Family::OriginalMae => Preprocess::short_side_crop(size * 8 / 7, size),
        Family::VitMae => Preprocess::square_bilinear(size),
        Family::Clip => Preprocess::clip(size),
        Family::Siglip => Preprocess::siglip(size),
    })
}

/// Whether only the positions are of 518 pixels: DINOv2's own models; Web-DINO's 7B, 4096 wide, is trained there.
pub(super) fn stored_at_518(config: &VitConfig) -> bool {
    config.img_size == 518 && config.embed_dim != 4096
}

/// What a checkpoint is, for people.
pub(super) fn describe(files: &ModelFiles, layout: &Layout, preprocess: &Preprocess, bytes: u64) -> ModelInfo {
    let config = &layout.config;
    let decoder = layout.mae.as_ref().map_or(0, |mae| decoder_parameters(config, mae));
    let family = match (layout.family, config.ffn) {
        (Family::Dinov2 | Family::Original, Ffn::SwiGlu { .. }) => "DINOv2 / Web-DINO with SwiGLU",
        (Family::Dinov2 | Family::Original, _) => "DINOv2",
        (Family::Vit, _) => "ViT / Web-MAE encoder",
        (Family::VitMae | Family::OriginalMae, _) if layout.mae.is_some() => "MAE with decoder",
        (Family::VitMae | Family::OriginalMae, _) => "MAE encoder",
        (Family::Clip, _) => "CLIP vision",
        (Family::Siglip, _) => "SigLIP vision",
    };
    ModelInfo {
        name: files.checkpoint.file_names().next().unwrap_or("model").to_owned(),
        family: family.to_owned(),
        embed_dim: config.embed_dim,
        depth: config.depth,
        num_heads: config.num_heads,
        patch_size: config.patch_size,
        img_size: preprocess.output_side().unwrap_or(config.img_size as u32) as usize,
        num_registers: config.num_register_tokens,
        has_cls: config.class_token,
        parameters: config.parameters() + decoder,
        bytes,
        untrained: false,
        preprocessing: preprocess.to_string(),
        decoder: layout.mae.as_ref().map(|mae| describe_decoder(config, mae)),
        fingerprint: String::new(),
    }
}

fn describe_decoder(config: &VitConfig, mae: &MaeConfig) -> DecoderInfo {
    DecoderInfo {
        embed_dim: mae.decoder_embed_dim,
        depth: mae.decoder_depth,
        grid: [config.grid(); 2],
        norm_pix: mae.norm_pix_loss,
    }
}

/// The tiny model of our own that a page can show before anything is loaded: DINOv2's architecture, drawn from a seed.
pub fn tiny_config() -> VitConfig {
    VitConfig {
        img_size: 224,
        patch_size: 14,
        in_chans: 3,
        embed_dim: 192,
        depth: 4,
        num_heads: 3,
        ffn: Ffn::Mlp { hidden: 768, activation: Activation::Gelu },
        class_token: true,
        mask_token: false,
        num_register_tokens: 0,
        layer_scale: true,
        patch_bias: true,
        norm_pre: false,
        head: Head::Norm,
        interpolation: Interpolation::Size,
        layer_norm_eps: 1e-6,
    }
}

/// A masked autoencoder for images of 32 pixels, small enough for any device.
pub fn tiny_mae_config() -> (VitConfig, MaeConfig) {
    let encoder = VitConfig { img_size: 32, patch_size: 4, layer_scale: false, ..tiny_config() };
    let decoder = MaeConfig {
        decoder_embed_dim: 96,
        decoder_depth: 2,
        decoder_num_heads: 3,
        decoder_hidden: 384,
        mask_ratio: 0.75,
        norm_pix_loss: true,
    };
    (encoder, decoder)
}

impl Model {
    /// A model that has learned nothing: its weights are drawn from a seed, the same everywhere.
    ///
    /// # Errors
    ///
    /// None today; the signature is that of loading.
    pub async fn untrained(config: VitConfig, seed: u64, device: &Device) -> Result<Self, Error> {
        let preprocess = Preprocess::short_side_equal(config.img_size as u32);
        Self::from_seed(config, None, preprocess, seed, device).await
    }

    /// The same with MAE's decoder behind it.
    ///
    /// # Errors
    ///
    /// None today; the signature is that of loading.
    pub async fn untrained_mae(config: VitConfig, mae: MaeConfig, seed: u64, device: &Device) -> Result<Self, Error> {
        let preprocess = Preprocess::short_side_equal(config.img_size as u32);
        Self::from_seed(config, Some(mae), preprocess, seed, device).await
    }

    /// A model of this one's architecture, fed in the same way, that has learned nothing.
    ///
    /// # Errors
    ///
    /// None today; the signature is that of loading.
    pub async fn random_twin(&self, seed: u64) -> Result<Self, Error> {
        let mut twin = Self::from_seed(self.config.clone(), None, self.preprocess.clone(), seed, &self.device).await?;
        twin.rename(&format!("random twin of {}", self.info.name));
        Ok(twin)
    }

    async fn from_seed(
        config: VitConfig,
        mae: Option<MaeConfig>,
        preprocess: Preprocess,
        seed: u64,
        device: &Device,
    ) -> Result<Self, Error> {
        let mut silent = |_: u64, _: u64, _: &str| {};
        let mut parameters = Parameters::from_seed(seed, device, &mut silent);
        let (encoder, decoder) = build(&config, mae.as_ref(), &mut parameters).await?;
        let (name, family) = match &mae {
            Some(_) => ("tiny MAE", "MAE with decoder, untrained"),
            None => ("tiny", "ViT, untrained"),
        };
        let info = ModelInfo {
            name: name.to_owned(),
            family: family.to_owned(),
            embed_dim: config.embed_dim,
            depth: config.depth,
            num_heads: config.num_heads,
            patch_size: config.patch_size,
            img_size: preprocess.output_side().unwrap_or(config.img_size as u32) as usize,
            num_registers: config.num_register_tokens,
            has_cls: config.class_token,
            parameters: config.parameters() + mae.as_ref().map_or(0, |mae| decoder_parameters(&config, mae)),
            bytes: parameters.bytes_on_device(),
            untrained: true,
            preprocessing: preprocess.to_string(),
            decoder: mae.as_ref().map(|mae| describe_decoder(&config, mae)),
            fingerprint: String::new(),
        };
        Ok(Self { info, preprocess, config, encoder, decoder, device: device.clone() })
    }

    /// What it is.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// How pixels are prepared for it.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Prepares pixels in another way from now on.
    pub fn set_preprocess(&mut self, preprocess: Preprocess) {
        self.info.preprocessing = preprocess.to_string();
        self.preprocess = preprocess;
    }

    /// Its sizes.
    pub fn config(&self) -> &VitConfig {
        &self.config
    }

    /// Its encoder.
    pub fn encoder(&self) -> &Vit {
        &self.encoder
    }

    /// MAE's decoder, where the checkpoint holds one.
    pub fn decoder(&self) -> Option<(&MaeDecoder, &MaeConfig)> {
        self.decoder.as_ref().map(|(decoder, config)| (decoder, config))
    }

    /// Numbers a head of its attentions: the encoder's, and the decoder's where there is one.
    pub fn head_dims(&self) -> Vec<usize> {
        let encoder = self.config.embed_dim / self.config.num_heads;
        let decoder = self.decoder().map(|(_, mae)| mae.decoder_embed_dim / mae.decoder_num_heads);
        std::iter::once(encoder).chain(decoder).collect()
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Pixels from the host, `[B, C, H, W]`, checked against the model.
    ///
    /// # Errors
    ///
    /// [`ModelError::Pixels`], [`ModelError::TooSmall`].
    pub fn pixels(&self, values: Vec<f32>, shape: [usize; 4]) -> Result<Tensor<4>, ModelError> {
        let [images, channels, height, width] = shape;
        let (found, due) = (values.len(), shape.iter().product::<usize>());
        let refuse = |expected: String| Err(ModelError::Pixels { shape, found, expected });
        if images == 0 {
            return refuse("at least one image".to_owned());
        }
        if channels != self.config.in_chans {
            return refuse(format!("{} channels", self.config.in_chans));
        }
        if found != due {
            return refuse(format!("{due} values"));
        }
        self.check_size(height, width)?;
        Ok(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }

    /// Whether pictures of this many pixels hold a patch.
    ///
    /// # Errors
    ///
    /// [`ModelError::TooSmall`].
    pub fn check_size(&self, height: usize, width: usize) -> Result<(), ModelError> {
        let patch_size = self.config.patch_size;
        if height < patch_size || width < patch_size {
            return Err(ModelError::TooSmall { height, width, patch_size });
        }
        Ok(())
    }

    /// Calls it by another name, such as the folder it came from.
    pub fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.info.name);
    }

    /// Normalised pixels `[B, C, H, W]` on the host to embeddings on the host.
    ///
    /// # Errors
    ///
    /// [`ModelError::Pixels`], [`ModelError::TooSmall`], or the device's on reading back.
    pub async fn embed(&self, pixels: Vec<f32>, shape: [usize; 4], want_patches: bool) -> Result<Embeddings, Error> {
        let output = self.forward(self.pixels(pixels, shape)?, &mut Trace::none());
        let mean = output.patches.clone().mean_dim(1);
        Ok(Embeddings {
            dim: self.config.embed_dim,
            grid: output.grid,
            cls: readback(output.embedding()).await?,
            mean: readback(mean).await?,
            patches: if want_patches { readback(output.patches).await? } else { Vec::new() },
        })
    }

    /// One forward pass on the device.
    pub fn forward(&self, pixels: Tensor<4>, trace: &mut Trace) -> VitOutput {
        self.encoder.forward_traced(pixels, trace)
    }
}
