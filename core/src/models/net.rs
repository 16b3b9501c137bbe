//! What a run trains: an encoder with what its method puts behind it. Student and teacher are two of these.
//!
//! Caron et al., arXiv 2104.14294 (DINO); Zhou et al., 2111.07832 (iBOT); Oquab et al., 2304.07193 (DINOv2); He et al.,
//! 2111.06377 (MAE).

use burn::module::Module;
use burn::tensor::Device;

use super::config::{MaeConfig, VitConfig};
use super::dino_head::{DinoHead, DinoHeadConfig};
use super::mae::MaeDecoder;
use super::parameters::{Init, Parameters, Progress};
use super::vit::Vit;
use crate::error::Error;
use crate::rng::Rng;

/// An encoder with MAE's decoder, or with DINO's and iBOT's heads.
#[derive(Module, Debug)]
pub struct Net {
    /// The encoder.
    pub backbone: Vit,
    /// MAE's decoder.
    pub decoder: Option<MaeDecoder>,
    /// The head of class tokens.
    pub dino_head: Option<DinoHead>,
    /// The head of patches where they have one of their own.
    pub ibot_head: Option<DinoHead>,
}

/// The sizes of a [`Net`].
#[derive(Debug, Clone, PartialEq)]
pub struct NetConfig {
    /// The encoder.
    pub vit: VitConfig,
    /// MAE's decoder.
    pub mae: Option<MaeConfig>,
    /// The head of class tokens.
    pub dino_head: Option<DinoHeadConfig>,
    /// The head of patches.
    pub ibot_head: Option<DinoHeadConfig>,
}

impl Net {
    /// A net at its begin, drawn from `rng`.
    ///
    /// # Errors
    ///
    /// None today; the signature is that of loading.
    pub async fn begin(config: &NetConfig, init: Init, rng: Rng, device: &Device) -> Result<Self, Error> {
        let mut silent = |_: u64, _: u64, _: &str| {};
        let silent: &mut Progress<'_> = &mut silent;
        let mut parameters = Parameters::begin(init, rng, device, silent);
        let mut backbone = Vit::build(&config.vit, &mut parameters).await?;
        let decoder = match &config.mae {
            Some(mae) => {
                let mut decoder = MaeDecoder::build(&config.vit, mae, &mut parameters).await?;
                // Fixed tables: they do not learn.
                backbone.pos_embed = backbone.pos_embed.set_require_grad(false);
                decoder.decoder_pos_embed = decoder.decoder_pos_embed.set_require_grad(false);
                Some(decoder)
            }
            None => None,
        };
        let dino_head = match &config.dino_head {
            Some(head) => Some(DinoHead::build("dino_head", head, &mut parameters).await?),
            None => None,
        };
        let ibot_head = match &config.ibot_head {
            Some(head) => Some(DinoHead::build("ibot_head", head, &mut parameters).await?),
            None => None,
        };
        Ok(Self { backbone, decoder, dino_head, ibot_head })
    }

    /// The head of patches: their own, or the class tokens'.
    pub fn patch_head(&self) -> Option<&DinoHead> {
        self.ibot_head.as_ref().or(self.dino_head.as_ref())
    }
}
