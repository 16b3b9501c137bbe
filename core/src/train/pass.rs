//! Forward passes that end in a loss: MAE's, and DINOv2's student against its teacher.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::slow_motion::SlowMotion;
use super::trainer::{Centers, Place, Trainer};
use crate::config::{Centering, Config, Method};
use crate::data::masking::{IbotMasks, mae_masking};
use crate::data::multi_crop::Batch;
use crate::device::carried;
use crate::kernels::adamw::sum_of_squares;
use crate::kernels::augment::augment;
use crate::kernels::gather_tokens::gather_tokens;
use crate::layers::drop_path::DropPath;
use crate::layers::recompute::Tape;
use crate::losses::dino::{self, DinoTerms};
use crate::losses::ibot::ibot_loss;
use crate::losses::koleo::koleo;
use crate::losses::mae::patch_errors;
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

    /// Adds `share` of another part's figures, which may lie on another device. A term that a part lacks counts as 0
    /// there: iBOT's, where chance masked nothing.
    pub(super) fn add(&mut self, other: Self, share: f64, device: &Device) {
        for (name, value) in other.names.into_iter().zip(other.values) {
            let value = carried(value, device) * share;
            match self.names.iter().position(|known| *known == name) {
                Some(place) => self.values[place] = self.values[place].clone() + value,
                None => {
                    self.names.push(name);
                    self.values.push(value);
                }
            }
        }
    }
}

/// What a pass ends in.
pub(super) struct Pass {
    /// The objective, `[1]`, with its graph.
    pub(super) loss: Tensor<1>,
    /// The blocks that are computed again in the backward pass; `None` where all is in the graph.
    pub(super) tape: Option<Tape>,
    /// Its terms first.
    pub(super) figures: Figures,
}

/// What the teacher says of a device's share of a batch.
#[derive(Debug)]
pub(super) struct Targets {
    /// Probabilities of class tokens, `[2B, K]`, crop by crop.
    dino: Tensor<2>,
    /// Probabilities of masked patches, `[M, K]`.
    ibot: Option<Tensor<2>>,
}

/// What the teacher says of a whole batch. What DINO takes over a batch is taken here, over all devices: rounds of
/// Sinkhorn and Knopp, centres, entropies.
pub(super) struct Lesson {
    /// For each device; empty for a method without a teacher.
    pub(super) targets: Vec<Targets>,
    /// The teacher's.
    pub(super) figures: Figures,
    /// For the next batch.
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
    /// The draws of a pass over `images` images, for each device its own. `index` numbers the passes of the run.
    ///
    /// Masks are drawn for all images and dealt out; the samples that skip a branch are drawn on each device among its
    /// own, as DINOv2 does.
    pub fn draw(&self, images: usize, index: u64) -> Vec<Draws> {
        let config = &self.config;
        let mut masks = self.rng.stream("mask", index);
        let mut depth = self.rng.stream("drop_path", index);
        let rate = config.model.drop_path_rate;
        let places = self.places();
        let devices = places.len();
        match config.method {
            Method::Mae => {
                let masking = mae_masking(config, images, &mut masks);
                let deal = |masking| Draws { masking: Some(masking), ..Draws::default() };
                masking.deal(devices).into_iter().map(deal).collect()
            }
            Method::Dinov2 => {
                let ibot = (config.ibot.loss_weight > 0.0).then(|| IbotMasks::draw(config, images, &mut masks));
                let mut ibot = ibot.map(|masks| masks.deal(devices).into_iter());
                let deal = |place: &Place<'_>| {
                    let mut drops = |batch: usize| {
                        // Without local crops there is nothing to drop.
                        let blocks = 0..if batch > 0 { config.model.depth } else { 0 };
                        blocks.filter_map(|_| DropPath::draw(batch, rate, &mut depth, place.device)).collect()
                    };
                    let images = images / devices;
                    Draws {
                        masking: None,
                        ibot: ibot.as_mut().and_then(Iterator::next),
                        drop_global: drops(2 * images),
                        drop_local: drops(config.crops.local_number * images),
                    }
                };
                places.iter().map(deal).collect()
            }
        }
    }

    /// What the teachers say of a batch that is dealt out to their devices.
    pub(super) fn teach(
        &self,
        places: &[Place<'_>],
        shares: &[Batch],
        draws: &[Draws],
        centers: &Centers,
        slow: &mut SlowMotion,
    ) -> Lesson {
        match self.config.method {
            Method::Mae => Lesson { targets: Vec::new(), figures: Figures::default(), centers: centers.clone() },
            Method::Dinov2 => self.targets(places, shares, draws, centers, slow),
        }
    }

    /// The pass of the run's method over a device's share.
    pub(super) fn pass(
        &self,
        place: &Place<'_>,
        batch: &Batch,
        draws: &Draws,
        targets: Option<Targets>,
        slow: &mut SlowMotion,
    ) -> Pass {
        match targets {
            None => self.mae_pass(place, batch, draws, slow),
            Some(targets) => self.dino_pass(place, batch, draws, targets, slow),
        }
    }

    fn mae_pass(&self, place: &Place<'_>, batch: &Batch, draws: &Draws, slow: &mut SlowMotion) -> Pass {
        let config = self.config.mae_decoder();
        let pixels = crops(batch, Which::Global, place.device);
        let Some(masking) = &draws.masking else { unreachable!("MAE draws masks") };
        let Some(decoder) = &place.student.decoder else { unreachable!("MAE has a decoder") };
        let mut tape = self.tape();
        let backbone = &place.student.backbone;
        let output = mae::forward_train(backbone, decoder, &config, pixels.clone(), masking, tape.as_mut());
        if slow.is_on() {
            let target = mae::target(&config, mae::patchify(pixels.inner(), self.config.model.patch_size));
            slow.keep("mae.patch_loss", &patch_errors(output.logits.clone().inner(), target));
            slow.keep("mae.latent", &output.latent);
            slow.keep("mae.logits", &output.logits);
        }
        let mut figures = Figures::default();
        figures.push("loss", output.loss.clone());
        figures.push("mae", output.loss.clone());
        Pass { loss: output.loss, tape, figures }
    }

    fn tape(&self) -> Option<Tape> {
        self.config.train.checkpoint_activations.then(Tape::default)
    }

    fn dino_pass(
        &self,
        place: &Place<'_>,
        batch: &Batch,
        draws: &Draws,
        targets: Targets,
        slow: &mut SlowMotion,
    ) -> Pass {
        let config = &self.config;
        let (local_number, images) = (config.crops.local_number, batch.images);
        let grid = config.crops.global_size / config.model.patch_size;
        let masks = draws.ibot.as_ref().filter(|masks| !masks.indices.is_empty());
        let (student_net, device) = (place.student, place.device);
        let global = crops(batch, Which::Global, device);
        let mask = masks.map(|masks| {
            let values = masks.masks.iter().map(|&hidden| f32::from(u8::from(hidden))).collect();
            upload(device, values, [2 * images, grid * grid])
        });
        let mut tape = self.tape();
        let student = student_net.backbone.forward_train(global, mask, &draws.drop_global, tape.as_mut());
        let Some(head) = &student_net.dino_head else { unreachable!("DINO has a head") };
        let cls = class_tokens(&student); // [2B, D]
        let global_logits = head.forward(cls.clone());
        let local_logits = (local_number > 0).then(|| {
            let local = crops(batch, Which::Local, device);
            let output = student_net.backbone.forward_train(local, None, &draws.drop_local, tape.as_mut());
            head.forward(class_tokens(&output))
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
        if local_number > 0 {
            terms.push(("dino_local", local * config.dino.loss_weight));
        }
        terms.push(("dino_global", global * config.dino.loss_weight));
        if let (Some(masks), Some(probs)) = (masks, targets.ibot) {
            let picked = pick(student.patches, &masks.indices);
            let Some(head) = student_net.patch_head() else { unreachable!("DINO has a head") };
            let weights = upload(device, masks.weights.clone(), [masks.weights.len()]);
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
        let cross = dino::cross_entropy(swap(global_logits, images), targets.dino.clone(), temp);
        figures.push("teacher.kl", cross.inner() - entropy(targets.dino));
        Pass { loss, tape, figures }
    }

    /// What the teachers say of the whole global crops; all that is taken over a batch is taken on the first device.
    fn targets(
        &self,
        places: &[Place<'_>],
        shares: &[Batch],
        draws: &[Draws],
        centers: &Centers,
        slow: &mut SlowMotion,
    ) -> Lesson {
        let config = &self.config;
        let main = self.plain_device();
        let (mut dino, mut ibot) = (Vec::new(), Vec::new());
        for ((place, batch), draws) in places.iter().zip(shares).zip(draws) {
            let Some(teacher) = place.teacher else { unreachable!("DINO has a teacher") };
            let Some(head) = &teacher.dino_head else { unreachable!("DINO has a head") };
            let output = teacher.backbone.forward(crops(batch, Which::Global, &place.device.clone().inner()));
            dino.push(carried(head.forward(class_tokens(&output)), &main)); // [2B, K]
            let masks = draws.ibot.as_ref().filter(|masks| !masks.indices.is_empty());
            ibot.push(masks.map(|masks| {
                let picked = pick(output.patches, &masks.indices); // [M, D]
                let Some(head) = teacher.patch_head() else { unreachable!("DINO has a head") };
                carried(head.forward(picked), &main)
            }));
        }
        let mut next = centers.clone();
        let rows = |logits: &Tensor<2>| logits.dims()[0];
        let (dino_rows, ibot_rows): (Vec<_>, Vec<_>) =
            (dino.iter().map(rows).collect(), ibot.iter().map(|logits| logits.as_ref().map(rows)).collect());
        let logits = join(dino);
        next.dino = moved(config, &centers.dino, &logits);
        slow.keep("teacher.logits", &logits);
        slow.keep("center", &centers.dino);
        if slow.is_on() {
            slow.keep("center.moved", &sum_of_squares(next.dino.clone() - centers.dino.clone()).sqrt());
        }
        let probs = self.answers(logits, centers.dino.clone());
        slow.keep("teacher.probs", &probs);
        let masked: Vec<Tensor<2>> = ibot.into_iter().flatten().collect();
        let masked = (!masked.is_empty()).then(|| {
            let logits = join(masked);
            next.ibot = moved(config, &centers.ibot, &logits);
            self.answers(logits, centers.ibot.clone())
        });

        let mut figures = Figures::default();
        // What the teacher's answer tells of the image: the entropy of the mean answer less the mean entropy. It is 0
        // exactly when every image gets the same answer, whatever that is.
        let mean_answer = entropy(probs.clone().mean_dim(0));
        let mean_entropy = entropy(probs.clone());
        let most = (rows(&probs) as f64).ln().min((config.dino.head_n_prototypes as f64).ln());
        let information = (mean_answer - mean_entropy.clone()) / most.max(f64::MIN_POSITIVE);
        let ln_k = (config.dino.head_n_prototypes as f64).ln().max(f64::MIN_POSITIVE);
        figures.push("teacher.teacher_entropy", mean_entropy / ln_k);
        figures.push("teacher.information", information);
        figures.push("teacher.center_norm", sum_of_squares(next.dino.clone()).sqrt());

        let (mut at, mut masked_at) = (0, 0);
        let deal = |from: &Tensor<2>, rows: usize, at: &mut usize, place: &Place<'_>| {
            let part = if rows == from.dims()[0] { from.clone() } else { from.clone().narrow(0, *at, rows) };
            *at += rows;
            carried(part, &place.device.clone().inner())
        };
        let targets = places.iter().zip(dino_rows).zip(ibot_rows).map(|((place, rows), masked_rows)| Targets {
            dino: deal(&probs, rows, &mut at, place),
            ibot: masked.as_ref().zip(masked_rows).map(|(masked, rows)| deal(masked, rows, &mut masked_at, place)),
        });
        Lesson { targets: targets.collect(), figures, centers: next }
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

/// Crops `[n, 3, S, S]` on a device: sent as they are, or cut there.
fn crops(batch: &Batch, which: Which, device: &Device) -> Tensor<4> {
    let (values, number, size) = match which {
        Which::Global => (&batch.global, batch.global_number, batch.global_size),
        Which::Local => (&batch.local, batch.local_number, batch.local_size),
    };
    let shape = [number * batch.images, 3, size, size];
    let Some(uncut) = &batch.uncut else {
        return Tensor::from_data(TensorData::new(values.clone(), shape), device);
    };
    let plans = if which == Which::Global { &uncut.global } else { &uncut.local };
    let crops = augment(&uncut.images, plans, batch.mean, batch.std, &device.clone().inner());
    match device.gradient_checkpointing_strategy() {
        Some(strategy) => Tensor::from_inner(crops).with_gradient_checkpointing_strategy(strategy),
        None => crops,
    }
}

/// Numbers from the host on a device.
fn upload<const D: usize>(device: &Device, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Rows of several tensors below each other.
fn join(mut rows: Vec<Tensor<2>>) -> Tensor<2> {
    if rows.len() == 1 { rows.remove(0) } else { Tensor::cat(rows, 0) }
}

/// The two kinds of crops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Global,
    Local,
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
