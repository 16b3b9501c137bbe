//! Forward passes that end in a loss: MAE's, and DINOv2's student against its teacher.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::slow_motion::SlowMotion;
use super::trainer::{Centers, Trainer};
use crate::config::{Centering, Config, Method};
use crate::data::masking::{IbotMasks, mae_masking};
use crate::data::multi_crop::Batch;
use crate::kernels::adamw::sum_of_squares;
use crate::kernels::augment::augment;
use crate::kernels::gather_tokens::gather_tokens;
use crate::layers::drop_path::DropPath;
use crate::losses::dino::{self, DinoTerms};
use crate::losses::ibot::ibot_loss;
use crate::losses::koleo::koleo;
use crate::losses::mae::normalise_patches;
use crate::losses::sinkhorn_knopp::sinkhorn_knopp;
use crate::losses::softmax_centering::{next_center, teacher_probs};
use crate::models::mae::{self, Masking};
use crate::models::vit::VitOutput;

/// Numbers on the device that a step wants to know, `[1]` each, without a graph.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures {
    pub(super) names: Vec<String>,
    pub(super) values: Vec<Tensor<1>>,
}

impl Figures {
    fn push(&mut self, name: &str, value: Tensor<1>) {
        self.names.push(name.to_owned());
        self.values.push(if value.is_autodiff() { value.inner() } else { value });
    }

    /// Adds `share` of another part's figures.
    pub(super) fn add(&mut self, other: Self, share: f64) {
        let scaled = other.values.into_iter().map(|value| value * share);
        if self.names.is_empty() {
            (self.names, self.values) = (other.names, scaled.collect());
        } else {
            let sums = self.values.drain(..).zip(scaled).map(|(a, b)| a + b).collect();
            self.values = sums;
        }
    }
}

/// What a pass ends in.
pub(super) struct Pass {
    /// The objective, `[1]`, with its graph.
    pub(super) loss: Tensor<1>,
    /// Its terms first.
    pub(super) figures: Figures,
    /// For the next pass.
    pub(super) centers: Centers,
}

/// What chance decides in a pass: drawn on the host, so that it is the same on every device.
#[derive(Debug, Clone, Default)]
pub struct Draws {
    /// MAE's masks.
    pub masking: Option<Masking>,
    /// iBOT's masks of the global crops.
    pub ibot: Option<IbotMasks>,
    /// Stochastic depth of the global crops, a draw a block; empty for none.
    pub drop_global: Vec<DropPath>,
    /// Of the local crops.
    pub drop_local: Vec<DropPath>,
}

impl Trainer {
    /// The draws of a pass over `images` images. `index` numbers the passes of the run.
    pub fn draw(&self, images: usize, index: u64) -> Draws {
        let config = &self.config;
        let mut masks = self.rng.stream("mask", index);
        let mut depth = self.rng.stream("drop_path", index);
        let rate = config.model.drop_path_rate;
        let mut drops = |batch: usize| {
            let blocks = 0..config.model.depth;
            blocks.filter_map(|_| DropPath::draw(batch, rate, &mut depth, &self.device)).collect()
        };
        match config.method {
            Method::Mae => Draws { masking: Some(mae_masking(config, images, &mut masks)), ..Draws::default() },
            Method::Dinov2 => Draws {
                masking: None,
                ibot: (config.ibot.loss_weight > 0.0).then(|| IbotMasks::draw(config, images, &mut masks)),
                drop_global: drops(2 * images),
                drop_local: drops(config.crops.local_number * images),
            },
        }
    }

    /// The pass of the run's method.
    pub(super) fn pass(&self, batch: &Batch, draws: &Draws, centers: &Centers, slow: &mut SlowMotion) -> Pass {
        match self.config.method {
            Method::Mae => self.mae_pass(batch, draws, centers, slow),
            Method::Dinov2 => self.dino_pass(batch, draws, centers, slow),
        }
    }

    fn mae_pass(&self, batch: &Batch, draws: &Draws, centers: &Centers, slow: &mut SlowMotion) -> Pass {
        let config = self.config.mae_decoder();
        let pixels = self.crops(batch, Which::Global, &self.device);
        let Some(masking) = &draws.masking else { unreachable!("MAE draws masks") };
        let Some(decoder) = &self.student.decoder else { unreachable!("MAE has a decoder") };
        let output = mae::forward(&self.student.backbone, decoder, &config, pixels.clone(), masking);
        if slow.is_on() {
            let target = mae::patchify(pixels.inner(), self.config.model.patch_size);
            let target = if config.norm_pix_loss { normalise_patches(target) } else { target };
            let error = (output.logits.clone().inner() - target).powi_scalar(2).mean_dim(2); // [B, N, 1]
            slow.keep("mae.patch_loss", &error);
            slow.keep("mae.latent", &output.latent);
            slow.keep("mae.logits", &output.logits);
        }
        let mut figures = Figures::default();
        figures.push("loss", output.loss.clone());
        figures.push("mae", output.loss.clone());
        Pass { loss: output.loss, figures, centers: centers.clone() }
    }

    fn dino_pass(&self, batch: &Batch, draws: &Draws, centers: &Centers, slow: &mut SlowMotion) -> Pass {
        let config = &self.config;
        let (crops, images) = (&config.crops, batch.images);
        let grid = crops.global_size / config.model.patch_size;
        let masks = draws.ibot.as_ref().filter(|masks| !masks.indices.is_empty());
        let targets = self.targets(batch, masks, centers, slow);

        let global = self.crops(batch, Which::Global, &self.device);
        let mask = masks.map(|masks| {
            let values = masks.masks.iter().map(|&hidden| f32::from(u8::from(hidden))).collect();
            self.upload(values, [2 * images, grid * grid])
        });
        let student = self.student.backbone.forward_train(global, mask, &draws.drop_global);
        let Some(head) = &self.student.dino_head else { unreachable!("DINO has a head") };
        let cls = class_tokens(&student); // [2B, D]
        let global_logits = head.forward(cls.clone());
        let local_logits = (crops.local_number > 0).then(|| {
            let local = self.crops(batch, Which::Local, &self.device);
            head.forward(class_tokens(&self.student.backbone.forward_train(local, None, &draws.drop_local)))
        });
        slow.keep("student.global", &global_logits);
        if let Some(logits) = &local_logits {
            slow.keep("student.local", logits);
        }

        let mut figures = Figures::default();
        let temp = config.dino.student_temp;
        let DinoTerms { local, global } =
            dino::dino_loss(global_logits.clone(), local_logits, targets.dino.clone(), images, temp);
        let mut terms: Vec<(&str, Tensor<1>)> = Vec::new();
        if crops.local_number > 0 {
            terms.push(("dino_local", local * config.dino.loss_weight));
        }
        terms.push(("dino_global", global * config.dino.loss_weight));
        if let (Some(masks), Some(probs)) = (masks, targets.ibot) {
            let picked = pick(student.patches, &masks.indices);
            let Some(head) = self.student.patch_head() else { unreachable!("DINO has a head") };
            let weights = self.upload(masks.weights.clone(), [masks.weights.len()]);
            let loss = ibot_loss(head.forward(picked), probs, weights, 2 * images, temp);
            terms.push(("ibot", loss * config.ibot.loss_weight));
        }
        if config.dino.koleo_loss_weight > 0.0 {
            let both = koleo(cls.clone().narrow(0, 0, images)) + koleo(cls.narrow(0, images, images));
            terms.push(("koleo", both * config.dino.koleo_loss_weight));
        }
        let loss = terms.iter().map(|(_, term)| term.clone()).reduce(|a, b| a + b);
        let Some(loss) = loss else { unreachable!("the global term is always there") };
        figures.push("loss", loss.clone());
        for (name, term) in terms {
            figures.push(name, term);
        }
        // What the teacher's answer tells of the image: the entropy of the mean answer less the mean entropy. It is 0
        // exactly when every image gets the same answer, whatever that is.
        let mean_answer = entropy(targets.dino.clone().mean_dim(0));
        let entropy = entropy(targets.dino.clone());
        let most = ((2 * images) as f64).ln().min((config.dino.head_n_prototypes as f64).ln());
        let information = (mean_answer - entropy.clone()) / most.max(f64::MIN_POSITIVE);
        let cross = dino::cross_entropy(swap(global_logits, images), targets.dino, temp);
        let ln_k = (config.dino.head_n_prototypes as f64).ln().max(f64::MIN_POSITIVE);
        figures.push("teacher.kl", cross.inner() - entropy.clone());
        figures.push("teacher.teacher_entropy", entropy / ln_k);
        figures.push("teacher.information", information);
        let norm = sum_of_squares(targets.centers.dino.clone()).sqrt();
        figures.push("teacher.center_norm", norm);
        Pass { loss, figures, centers: targets.centers }
    }

    /// Crops `[n, 3, S, S]` on a device: sent as they are, or cut there.
    fn crops(&self, batch: &Batch, which: Which, device: &Device) -> Tensor<4> {
        let (values, number, size) = match which {
            Which::Global => (&batch.global, batch.global_number, batch.global_size),
            Which::Local => (&batch.local, batch.local_number, batch.local_size),
        };
        let shape = [number * batch.images, 3, size, size];
        let Some(uncut) = &batch.uncut else {
            return Tensor::from_data(TensorData::new(values.clone(), shape), device);
        };
        let plans = if which == Which::Global { &uncut.global } else { &uncut.local };
        let crops = augment(&uncut.images, plans, batch.mean, batch.std, &self.plain_device());
        match device.gradient_checkpointing_strategy() {
            Some(strategy) => Tensor::from_inner(crops).with_gradient_checkpointing_strategy(strategy),
            None => crops,
        }
    }

    /// What the teacher says of the whole global crops.
    fn targets(&self, batch: &Batch, masks: Option<&IbotMasks>, centers: &Centers, slow: &mut SlowMotion) -> Targets {
        let config = &self.config;
        let Some(teacher) = &self.teacher else { unreachable!("DINO has a teacher") };
        let Some(head) = &teacher.dino_head else { unreachable!("DINO has a head") };
        let global = self.crops(batch, Which::Global, &self.plain_device());
        let output = teacher.backbone.forward(global);
        let logits = head.forward(class_tokens(&output)); // [2B, K]
        let mut next = centers.clone();
        next.dino = moved(config, &centers.dino, &logits);
        slow.keep("teacher.logits", &logits);
        slow.keep("center", &centers.dino);
        if slow.is_on() {
            slow.keep("center.moved", &sum_of_squares(next.dino.clone() - centers.dino.clone()).sqrt());
        }
        let dino = self.answers(logits, centers.dino.clone());
        slow.keep("teacher.probs", &dino);
        let ibot = masks.map(|masks| {
            let picked = pick(output.patches.clone(), &masks.indices); // [M, D]
            let Some(head) = teacher.patch_head() else { unreachable!("DINO has a head") };
            let logits = head.forward(picked);
            next.ibot = moved(config, &centers.ibot, &logits);
            self.answers(logits, centers.ibot.clone())
        });
        Targets { dino, ibot, centers: next }
    }

    /// The teacher's logits `[n, K]`, centred and sharpened by the rules of this step.
    pub(super) fn answers(&self, logits: Tensor<2>, center: Tensor<2>) -> Tensor<2> {
        let temp = self.schedules.teacher_temp.at(self.step);
        match self.config.teacher.centering {
            Centering::SinkhornKnopp => sinkhorn_knopp(logits, temp, 3),
            Centering::Centering => teacher_probs(logits, center, temp),
            Centering::None => teacher_probs(logits, center.zeros_like(), temp),
        }
    }
}

/// The two kinds of crops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Global,
    Local,
}

struct Targets {
    /// Probabilities of class tokens, `[2B, K]`, crop by crop.
    dino: Tensor<2>,
    /// Probabilities of masked patches, `[M, K]`.
    ibot: Option<Tensor<2>>,
    /// With this batch in them; used from the next pass on.
    centers: Centers,
}

fn moved(config: &Config, center: &Tensor<2>, logits: &Tensor<2>) -> Tensor<2> {
    next_center(center.clone(), logits.clone().mean_dim(0), config.teacher.center_momentum)
}

/// Mean over rows of `-Σ p ln p`, `[1]`.
fn entropy(probs: Tensor<2>) -> Tensor<1> {
    let rows = probs.dims()[0] as f64;
    // 0 ln 0 is 0: f32's smallest normal number keeps the logarithm finite. Summed by axes: burn's sum of everything may
    // add in any order.
    let sum = (probs.clone() * probs.clamp_min(f32::MIN_POSITIVE).log()).sum_dim(1).sum_dim(0);
    -sum.reshape([1]) / rows
}

/// The class tokens, `[B, D]`.
fn class_tokens(output: &VitOutput) -> Tensor<2> {
    let Some(cls) = &output.cls else { unreachable!("what DINO trains has a class token") };
    cls.clone()
}

/// Rows of crop 2, then of crop 1.
fn swap(rows: Tensor<2>, images: usize) -> Tensor<2> {
    Tensor::cat(vec![rows.clone().narrow(0, images, images), rows.narrow(0, 0, images)], 0)
}

/// Tokens `[B, N, D]` at flat places of `[B * N]`: `[M, D]`.
fn pick(tokens: Tensor<3>, places: &[i32]) -> Tensor<2> {
    let [b, n, d] = tokens.dims();
    let ids = TensorData::new(places.to_vec(), [1, places.len()]);
    let ids: Tensor<2, Int> = Tensor::from_data(ids, &tokens.device());
    gather_tokens(tokens.reshape([1, b * n, d]), ids).reshape([places.len(), d])
}
