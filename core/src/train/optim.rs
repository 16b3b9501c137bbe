//! AdamW over a net's tensors, with DINOv2's and MAE's parameter groups and clipping.
//!
//! Loshchilov and Hutter, arXiv 1711.05101. Groups: webssl specification §3.7 and §4.2.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::schedule::Schedules;
use super::walk::{Named, change};
use crate::config::{Config, Method};
use crate::kernels::adamw::{self, adamw};
use crate::models::net::Net;

/// The parts of a net whose gradients are clipped apart, by the begin of their names.
pub const PARTS: [&str; 4] = ["backbone", "decoder", "dino_head", "ibot_head"];

/// The part that a tensor belongs to.
pub fn part(name: &str) -> usize {
    let first = name.split('.').next().unwrap_or_default();
    PARTS.iter().position(|part| *part == first).unwrap_or_else(|| panic!("{name} belongs to no part of a net"))
}

/// What sets a tensor apart from others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Its learning rate over the run's.
    pub lr: f64,
    /// Its weight decay over the run's.
    pub weight_decay: f64,
    /// Whether it is one of the prototypes, which keep still at first.
    pub last_layer: bool,
}

impl Group {
    /// The group of a tensor.
    pub fn of(config: &Config, name: &str, dims: usize) -> Self {
        let (first, rest) = name.split_once('.').unwrap_or((name, ""));
        let weight_decay = match config.method {
            // dinov2: utils/param_groups.py, by name; tokens, positions and prototypes decay.
            // LayerScale is `ls1.gamma` there and `ls1` here.
            Method::Dinov2 => !["bias", "ls1", "ls2"].iter().any(|end| rest.ends_with(end)) && !rest.contains("norm"),
            // timm's add_weight_decay, by shape.
            Method::Mae => !(dims <= 1 || rest.ends_with("bias")),
        };
        let mut lr = 1.0;
        if first == "backbone" {
            let last = config.model.depth + 1;
            let layer =
                match rest.strip_prefix("blocks.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok()) {
                    Some(block) => block + 1,
                    None if rest.starts_with("norm") => last,
                    None => 0,
                };
            lr = config.optim.layerwise_decay.powi((last - layer) as i32);
            if rest.starts_with("patch_embed") {
                lr *= config.optim.patch_embed_lr_mult;
            }
        }
        Self { lr, weight_decay: f64::from(u8::from(weight_decay)), last_layer: name.contains("last_layer") }
    }
}

/// The two moments of a tensor, and how often they were fed.
#[derive(Debug, Clone)]
pub struct Moments {
    /// `[n]`.
    pub first: Tensor<1>,
    /// `[n]`.
    pub second: Tensor<1>,
    /// Updates so far.
    pub count: u64,
}

/// The optimiser.
#[derive(Debug, Clone, Default)]
pub struct AdamW {
    /// By tensor name; a tensor that never had a gradient has none.
    pub moments: BTreeMap<String, Moments>,
}

impl AdamW {
    /// Updates `net` by `gradients`, each multiplied by the factor of its part (clipping, loss scaling).
    pub fn step(
        &mut self,
        net: Net,
        gradients: Vec<(String, Tensor<1>)>,
        factors: [f64; 4],
        config: &Config,
        schedules: &Schedules,
        step: u64,
    ) -> Net {
        let mut gradients: BTreeMap<String, Tensor<1>> = gradients.into_iter().collect();
        let dims: BTreeMap<String, usize> =
            super::walk::tensors(&net).into_iter().map(|Named { name, shape, .. }| (name, shape.len())).collect();
        change(net, &mut |name, values| {
            // As in PyTorch, what has no gradient neither moves nor decays.
            let Some(gradient) = gradients.remove(name) else { return values };
            let group = Group::of(config, name, dims[name]);
            let schedule = if group.last_layer { &schedules.last_layer_lr } else { &schedules.lr };
            let moments = self.moments.entry(name.to_owned()).or_insert_with(|| {
                let zeros = || Tensor::zeros(values.shape(), &values.device());
                Moments { first: zeros(), second: zeros(), count: 0 }
            });
            moments.count += 1;
            let settings = adamw::Step {
                lr: schedule.at(step) * group.lr,
                weight_decay: schedules.weight_decay.at(step) * group.weight_decay,
                beta1: config.optim.betas[0],
                beta2: config.optim.betas[1],
                eps: config.optim.eps,
                step: moments.count,
                grad_scale: factors[part(name)],
            };
            let (values, first, second) =
                adamw(values, gradient, moments.first.clone(), moments.second.clone(), settings);
            (moments.first, moments.second) = (first, second);
            values
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(preset: &str, name: &str, dims: usize) -> Group {
        Group::of(&Config::resolve(Some(preset), None, &[]).expect("a preset"), name, dims)
    }

    #[test]
    fn dinov2_groups_by_name() {
        // vitl16_short: 24 blocks, layer decay 0.9, patch embedding 0.2.
        let check = |name: &str, lr: f64, decays: bool| {
            let group = group("dinov2-vitl16-short", name, 2);
            assert!((group.lr - lr).abs() < 1e-12, "{name}: {}", group.lr);
            assert_eq!(group.weight_decay, f64::from(u8::from(decays)), "{name}");
        };
        check("backbone.pos_embed", 0.9f64.powi(25), true);
        check("backbone.cls_token", 0.9f64.powi(25), true);
        check("backbone.mask_token", 0.9f64.powi(25), true);
        check("backbone.patch_embed.weight", 0.9f64.powi(25) * 0.2, true);
        check("backbone.patch_embed.bias", 0.9f64.powi(25) * 0.2, false);
        check("backbone.blocks.0.attn.qkv.weight", 0.9f64.powi(24), true);
        check("backbone.blocks.23.norm1.weight", 0.9, false);
        check("backbone.blocks.23.ls1", 0.9, false);
        check("backbone.norm.weight", 1.0, false);
        check("dino_head.mlp.0.weight", 1.0, true);
        check("dino_head.last_layer.weight_g", 1.0, true);
        assert!(group("dinov2-vitl16-short", "dino_head.last_layer.weight_v", 2).last_layer);
    }

    #[test]
    fn mae_groups_by_shape() {
        assert_eq!(group("mae-vitb16", "backbone.norm.weight", 1).weight_decay, 0.0);
        assert_eq!(group("mae-vitb16", "backbone.blocks.1.attn.qkv.bias", 1).weight_decay, 0.0);
        assert_eq!(group("mae-vitb16", "backbone.cls_token", 3).weight_decay, 1.0);
        assert_eq!(group("mae-vitb16", "decoder.mask_token", 3).weight_decay, 1.0);
        assert_eq!(group("mae-vitb16", "backbone.blocks.1.attn.qkv.weight", 2).lr, 1.0);
    }
}
