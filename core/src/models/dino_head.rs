//! The head of DINO and iBOT: a small MLP, a unit vector, and its product with each prototype.
//!
//! Caron et al., arXiv 2104.14294, section 3.1; dinov2: layers/dino_head.py, without batch norm, as DINOv2 trains.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::parameters::Parameters;
use crate::error::Error;
use crate::kernels::linear::Activation;
use crate::kernels::matmul::matmul;
use crate::layers::linear::Linear;

/// Least length by which a vector is divided, dinov2's in f32; squared it is still a normal f32.
const EPS: f64 = 1e-12;

/// The sizes of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DinoHeadConfig {
    /// D, the encoder's width.
    pub in_dim: usize,
    /// Width of the hidden layers.
    pub hidden_dim: usize,
    /// b, the width before the prototypes.
    pub bottleneck_dim: usize,
    /// K.
    pub n_prototypes: usize,
    /// Layers of the MLP, at least 1; a single one goes from D to b.
    pub nlayers: usize,
    /// DINO v1's `norm_last_layer`: the lengths of the prototypes do not learn.
    pub norm_last_layer: bool,
}

/// The head.
#[derive(Module, Debug)]
pub struct DinoHead {
    /// Layers with exact GELU between them.
    pub mlp: Vec<Linear>,
    /// The prototypes.
    pub last_layer: WeightNorm,
}

/// A linear layer without bias whose row k is `g_k v_k / |v_k|` (Salimans and Kingma, arXiv 1602.07868).
#[derive(Module, Debug)]
pub struct WeightNorm {
    /// g, `[K, 1]`.
    pub weight_g: Param<Tensor<2>>,
    /// v, `[K, b]`.
    pub weight_v: Param<Tensor<2>>,
}

impl DinoHead {
    /// A head whose tensors `name.mlp.0.weight` … `name.last_layer.weight_v` come from `parameters`.
    ///
    /// Layers of the MLP are numbered as in dinov2's checkpoints, where the activations between them count: 0, 2, 4; a
    /// single layer is `name.mlp`.
    ///
    /// # Errors
    ///
    /// Whatever the source says of a tensor it cannot give.
    pub async fn build(name: &str, config: &DinoHeadConfig, parameters: &mut Parameters<'_>) -> Result<Self, Error> {
        let layers = config.nlayers.max(1);
        let mut mlp = Vec::with_capacity(layers);
        for index in 0..layers {
            let layer = if layers == 1 { format!("{name}.mlp") } else { format!("{name}.mlp.{}", 2 * index) };
            let inputs = if index == 0 { config.in_dim } else { config.hidden_dim };
            let outputs = if index + 1 == layers { config.bottleneck_dim } else { config.hidden_dim };
            mlp.push(parameters.linear(&layer, outputs, inputs).await?);
        }
        let last_layer = format!("{name}.last_layer");
        let prototypes = config.n_prototypes;
        let weight_g = parameters.tensor(&format!("{last_layer}.weight_g"), [prototypes, 1]).await?;
        let weight_v =
            parameters.tensor(&format!("{last_layer}.weight_v"), [prototypes, config.bottleneck_dim]).await?;
        let weight_g = if config.norm_last_layer { weight_g.set_require_grad(false) } else { weight_g };
        Ok(Self { mlp, last_layer: WeightNorm { weight_g, weight_v } })
    }

    /// Features `[B, D]` to logits `[B, K]`, not yet divided by a temperature.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let mut x = x.unsqueeze::<3>(); // [1, B, D]
        for (index, layer) in self.mlp.iter().enumerate() {
            let last = index + 1 == self.mlp.len();
            x = layer.forward(x, if last { Activation::Identity } else { Activation::Gelu });
        }
        self.last_layer.forward(normalise(x.squeeze_dim(0)))
    }
}

impl WeightNorm {
    /// `[B, b]` to `[B, K]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let v = self.weight_v.val();
        let length = squares(&v).sqrt(); // [K, 1]
        let weight = v * (self.weight_g.val() / length);
        let y = matmul(x.unsqueeze(), weight.transpose().unsqueeze()); // [1, 1, B, K]
        let [_, _, rows, prototypes] = y.dims();
        y.reshape([rows, prototypes])
    }
}

/// `x / max(|x|, eps)` of each row. The maximum is taken below the root, where a row of zeros still has a gradient.
fn normalise(x: Tensor<2>) -> Tensor<2> {
    let length = squares(&x).clamp_min(EPS * EPS).sqrt();
    x / length
}

/// `|x|²` of each row, `[B, 1]`.
fn squares(x: &Tensor<2>) -> Tensor<2> {
    (x.clone() * x.clone()).sum_dim(1)
}
