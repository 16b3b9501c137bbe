//! One step after another: passes, guard, optimiser, teacher.
//!
//! Order within a step (dinov2: `train/train.py`): schedules, teacher and its targets, student, loss, backward, check
//! that everything is finite, clip, optimiser, teacher's moving average. Nothing of a step that fails the check is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};

use super::event::Step;
use super::loss_scale::LossScale;
use super::optim::{AdamW, PARTS, part};
use super::pass::{Draws, Figures, Lesson, Pass};
use super::schedule::Schedules;
use super::slow_motion::SlowMotion;
use super::walk::{change, gradients, tensors};
use crate::config::{Config, Method, Teacher};
use crate::data::multi_crop::Batch;
use crate::device::exact_memory::{self, ExactMemory};
use crate::device::mode::{self, Kernel};
use crate::device::{carried, readback};
use crate::error::{Error, TrainError};
use crate::kernels::adamw::sum_of_squares;
use crate::kernels::ema::ema;
use crate::layers::recompute::Tape;
use crate::models::dino_head::DinoHeadConfig;
use crate::models::net::{Net, NetConfig};
use crate::models::parameters::Init;
use crate::rng::Rng;

/// A run's whole truth between two steps, and how to make the next.
#[derive(Debug)]
pub struct Trainer {
    pub(super) config: Config,
    pub(super) schedules: Schedules,
    /// With autodiff.
    pub(super) device: Device,
    pub(super) rng: Rng,
    pub(super) student: Net,
    /// Without autodiff; MAE has none.
    pub(super) teacher: Option<Net>,
    pub(super) optim: AdamW,
    pub(super) centers: Centers,
    pub(super) step: u64,
    /// Of a run in half precision.
    pub(super) loss_scale: Option<LossScale>,
    /// The other devices of the run.
    pub(super) replicas: Vec<Replica>,
    /// Of the source, for the length of an epoch.
    images: u64,
    /// The last, since it gives back what the others held.
    memory: ExactMemory,
}

/// The nets once more, on another device; between two steps all copies are the same.
#[derive(Debug)]
pub(super) struct Replica {
    /// With autodiff.
    device: Device,
    student: Net,
    teacher: Option<Net>,
}

/// A device with its nets.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// With autodiff.
    pub(super) device: &'a Device,
    pub(super) student: &'a Net,
    pub(super) teacher: Option<&'a Net>,
}

/// Running means of the teacher's outputs, `[1, K]`.
#[derive(Debug, Clone)]
pub struct Centers {
    /// Of class tokens.
    pub dino: Tensor<2>,
    /// Of masked patches.
    pub ibot: Tensor<2>,
}

/// What both passes of a step give.
struct Gathered {
    /// The gradients, by their names.
    sum: Vec<(String, Tensor<1>)>,
    /// Of each part, where it has gradients.
    squares: [Option<Tensor<1>>; 4],
    figures: Figures,
    /// As they would be after the step.
    centers: Centers,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The weights moved. Times and rates are the host's to fill in.
    Updated(Step),
    /// Gradients were beyond 16 bits; the scale of the loss is halved, nothing else changed, not even the step's number.
    Overflowed {
        /// The scale for the next try.
        loss_scale: f64,
    },
    /// Something was not finite; nothing changed, not even the step's number.
    Refused {
        /// The first figure that was not finite: a loss, a teacher's figure, or the norm of a part's gradients.
        what: String,
    },
}

/// The sizes of what a configuration trains.
pub fn net_config(config: &Config) -> NetConfig {
    let head = |n_prototypes, bottleneck_dim, hidden_dim, nlayers| DinoHeadConfig {
        in_dim: config.model.embed_dim,
        hidden_dim,
        bottleneck_dim,
        n_prototypes,
        nlayers,
        norm_last_layer: config.dino.norm_last_layer,
    };
    let (dino, ibot) = (&config.dino, &config.ibot);
    let learns_dino = config.method == Method::Dinov2;
    NetConfig {
        vit: config.vit(),
        mae: (config.method == Method::Mae).then(|| config.mae_decoder()),
        dino_head: learns_dino
            .then(|| head(dino.head_n_prototypes, dino.head_bottleneck_dim, dino.head_hidden_dim, dino.head_nlayers)),
        ibot_head: (learns_dino && ibot.separate_head && ibot.loss_weight > 0.0)
            .then(|| head(ibot.head_n_prototypes, ibot.head_bottleneck_dim, ibot.head_hidden_dim, ibot.head_nlayers)),
    }
}

impl Trainer {
    /// A run at its begin, on a device without autodiff (it is added here), over a source of `images` images.
    ///
    /// # Errors
    ///
    /// The device's, and [`TrainError::Precision`].
    pub async fn begin(config: Config, images: u64, device: &Device) -> Result<Self, Error> {
        let rng = Rng::new(config.train.seed);
        let sizes = net_config(&config);
        let loss_scale = LossScale::begin(&config, device)?;
        let Replica { device: tracked, student, teacher } = Self::begin_nets(&config, rng, device).await?;
        let width = |head: &Option<DinoHeadConfig>| head.as_ref().map_or(1, |head| head.n_prototypes);
        let dino = width(&sizes.dino_head);
        let ibot = if sizes.ibot_head.is_some() { width(&sizes.ibot_head) } else { dino };
        Ok(Self {
            schedules: Schedules::new(&config, images),
            device: tracked,
            rng,
            student,
            teacher,
            optim: AdamW::default(),
            centers: Centers { dino: Tensor::zeros([1, dino], device), ibot: Tensor::zeros([1, ibot], device) },
            step: 0,
            loss_scale,
            replicas: Vec::new(),
            images,
            memory: ExactMemory::new(device),
            config,
        })
    }

    /// Deals every batch out to more devices (without autodiff) beside the first, in equal shares.
    ///
    /// The gradients are averaged and the optimiser runs on the first device, which then hands the weights out. What
    /// DINO takes over a batch (Sinkhorn-Knopp, centres) is taken over all devices, so that the sum is that of one
    /// device with the whole batch; KoLeo and stochastic depth stay each device's own, as in DINOv2.
    ///
    /// # Errors
    ///
    /// [`TrainError::Shares`] when a part of a batch has no equal shares, and as [`begin`](Self::begin).
    pub async fn spread(&mut self, devices: &[Device]) -> Result<(), Error> {
        let (all, train) = (devices.len() + 1, &self.config.train);
        let part = train.batch_size / train.accumulate;
        let least =
            if self.config.method == Method::Dinov2 && self.config.dino.koleo_loss_weight > 0.0 { 2 } else { 1 };
        if !part.is_multiple_of(all) || part / all < least {
            return Err(TrainError::Shares { images: part, devices: all, least }.into());
        }
        for device in devices {
            LossScale::begin(&self.config, device)?;
            let copy = Self::begin_nets(&self.config, self.rng, device).await?;
            self.replicas.push(copy);
            self.memory.add(device);
        }
        self.hand_out();
        Ok(())
    }

    /// Gives every replica the weights of the first device.
    pub(super) fn hand_out(&mut self) {
        if self.replicas.is_empty() {
            return;
        }
        let by_name = |net: &Net| tensors(net).into_iter().map(|tensor| (tensor.name, tensor.values)).collect();
        let student: BTreeMap<String, Tensor<1>> = by_name(&self.student);
        let teacher: Option<BTreeMap<String, Tensor<1>>> = self.teacher.as_ref().map(by_name);
        for replica in &mut self.replicas {
            let device = replica.device.clone().inner();
            let give = |net: Net, from: &BTreeMap<String, Tensor<1>>| {
                change(net, &mut |name, _| carried(from[name].clone(), &device))
            };
            replica.student = give(replica.student.clone(), &student);
            replica.teacher = replica.teacher.take().zip(teacher.as_ref()).map(|(net, from)| give(net, from));
        }
    }

    /// All devices with their nets, the first one first.
    pub(super) fn places(&self) -> Vec<Place<'_>> {
        let first = Place { device: &self.device, student: &self.student, teacher: self.teacher.as_ref() };
        let rest = self.replicas.iter();
        let rest =
            rest.map(|Replica { device, student, teacher }| Place { device, student, teacher: teacher.as_ref() });
        std::iter::once(first).chain(rest).collect()
    }

    /// Student and teacher at their begin, drawn from the run's seed.
    async fn begin_nets(config: &Config, rng: Rng, device: &Device) -> Result<Replica, Error> {
        let init = match config.method {
            Method::Mae => Init::Mae,
            Method::Dinov2 => Init::Dinov2 { std: config.model.init_std, layerscale: config.model.layerscale },
        };
        let sizes = net_config(config);
        let tracked = device.clone().autodiff();
        let student = Net::begin(&sizes, init, rng, &tracked).await?;
        // The same draw once more: the teacher begins as the student.
        let teacher = match config.method {
            Method::Dinov2 => Some(Net::begin(&sizes, init, rng, device).await?),
            Method::Mae => None,
        };
        Ok(Replica { device: tracked, student, teacher })
    }

    /// The run's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The run's schedules.
    pub fn schedules(&self) -> &Schedules {
        &self.schedules
    }

    /// Steps made so far.
    pub fn steps_made(&self) -> u64 {
        self.step
    }

    /// Whether the last step is made.
    pub fn is_done(&self) -> bool {
        self.step >= self.schedules.total
    }

    /// Changes in the middle of a run what keeps it from a collapse, as those do who want to see one: how the teacher's
    /// outputs are centred, how cold its softmax is, how slowly it follows; and KoLeo's weight. The schedules go on at the
    /// step that they have reached.
    pub fn set_rules(&mut self, teacher: Teacher, koleo_loss_weight: f64) {
        self.config.teacher = teacher;
        self.config.dino.koleo_loss_weight = koleo_loss_weight;
        self.schedules = Schedules::new(&self.config, self.images);
    }

    /// Learnable and fixed numbers of the student.
    pub fn parameters(&self) -> u64 {
        tensors(&self.student).iter().map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum()
    }

    /// The net whose features are looked at: the teacher, or the student where there is none.
    pub fn evaluated(&self) -> &Net {
        self.teacher.as_ref().unwrap_or(&self.student)
    }

    /// Whether the device cuts crops itself, so that pictures should come whole.
    pub fn cuts_crops(&self) -> bool {
        mode::runs(Kernel::Augment, &self.plain_device())
    }

    /// Makes one step from a batch in `train.accumulate` parts.
    ///
    /// # Errors
    ///
    /// The device's on reading back.
    pub async fn step(&mut self, parts: &[Batch]) -> Result<Outcome, Error> {
        let first = self.step * parts.len() as u64;
        let draws = parts.iter().zip(first..).map(|(part, index)| self.draw(part.images, index)).collect::<Vec<_>>();
        self.step_with(parts, &draws).await
    }

    /// The same with given draws, for each part one for each device.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub async fn step_with(&mut self, parts: &[Batch], draws: &[Vec<Draws>]) -> Result<Outcome, Error> {
        self.step_slowly(parts, draws, &mut SlowMotion::off()).await
    }

    /// The same, keeping on the way what is worth seeing; of several parts the last one's.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub async fn step_slowly(
        &mut self,
        parts: &[Batch],
        draws: &[Vec<Draws>],
        slow: &mut SlowMotion,
    ) -> Result<Outcome, Error> {
        assert!(
            !parts.is_empty() && parts.len() == draws.len(),
            "a step of {} parts, {} draws",
            parts.len(),
            draws.len()
        );
        let scale = self.scale_of_loss();
        let devices = self.memory.devices();
        let input = (&*self, parts, draws, &mut *slow);
        let Gathered { sum, squares, figures, centers } =
            exact_memory::run(&devices, input, &|(trainer, parts, draws, slow): (&Self, _, _, _)| {
                trainer.gather(parts, draws, slow)
            });
        // One way home for everything that the guard and the watchers want to know.
        let mut wanted = figures.values.clone();
        let present: Vec<usize> = (0..PARTS.len()).filter(|&part| squares[part].is_some()).collect();
        wanted.extend(squares.into_iter().flatten());
        let mut values = readback(Tensor::cat(wanted, 0)).await?.into_iter().map(f64::from);
        let found: Vec<f64> = values.by_ref().take(figures.values.len()).collect();
        let norms: Vec<f64> = values.map(|square| square.sqrt() / scale).collect();
        // The first update brings the optimiser's moments.
        if !self.optim.moments.is_empty() {
            self.memory.tidy();
        }
        let mut named = figures.names.iter().cloned().zip(found.iter().copied());
        if let Some((what, _)) = named.find(|(_, value)| !value.is_finite()) {
            return Ok(Outcome::Refused { what });
        }
        let mut of_gradients = present.iter().zip(&norms);
        if let Some((&part, _)) = of_gradients.find(|(_, norm)| !norm.is_finite()) {
            return Ok(match self.loss_scale.as_mut().filter(|loss_scale| loss_scale.scale > 1.0) {
                Some(loss_scale) => {
                    loss_scale.shrink();
                    Outcome::Overflowed { loss_scale: loss_scale.scale }
                }
                None => Outcome::Refused { what: format!("gradients of {}{}", PARTS[part], self.where_it_may_lie()) },
            });
        }

        let clip = self.config.optim.clip_grad;
        let mut factors = [1.0 / scale; 4];
        for (&part, &norm) in present.iter().zip(&norms) {
            if clip > 0.0 {
                factors[part] = (clip / (norm + 1e-6)).min(1.0) / scale; // torch.nn.utils.clip_grad_norm_
            }
        }
        let before = slow.is_on().then(|| self.nets());
        let input = (&mut *self, sum);
        exact_memory::run(&devices, input, &|(trainer, sum): (&mut Self, _)| trainer.update(sum, factors));
        self.centers = centers;
        if let Some(before) = before {
            self.keep_moves(before, slow);
        }
        if let Some(loss_scale) = &mut self.loss_scale {
            loss_scale.grow();
        }
        let report = self.report(&figures.names, &found, present.iter().map(|&part| PARTS[part]).zip(norms));
        self.step += 1;
        Ok(Outcome::Updated(report))
    }

    /// The factor on the loss, which is on the gradients too.
    fn scale_of_loss(&self) -> f64 {
        self.loss_scale.map_or(1.0, |loss_scale| loss_scale.scale)
    }

    /// Both passes over all parts on all devices: what the guard looks at, and what the optimiser takes.
    fn gather(&self, parts: &[Batch], draws: &[Vec<Draws>], slow: &mut SlowMotion) -> Gathered {
        let devices = 1 + self.replicas.len();
        let share = 1.0 / (parts.len() * devices) as f64;
        let main = self.plain_device();
        let scale = self.scale_of_loss();
        let mut sum: BTreeMap<String, Tensor<1>> = BTreeMap::new();
        let mut figures = Figures::default();
        let mut centers = self.centers.clone();
        for (batch, draws) in parts.iter().zip(draws) {
            let _half = mode::half_precision(self.loss_scale.is_some());
            let places = self.places();
            let shares = match devices {
                1 => Cow::Borrowed(std::slice::from_ref(batch)),
                _ => Cow::Owned(batch.deal(devices)),
            };
            let Lesson { targets, figures: of_teacher, centers: next } =
                self.teach(&places, &shares, draws, &centers, slow);
            centers = next;
            let mut targets = targets.into_iter();
            for ((place, share_of_batch), draws) in places.iter().zip(shares.iter()).zip(draws) {
                let Pass { loss, tape, figures: of_share } =
                    self.pass(place, share_of_batch, draws, targets.next(), slow);
                figures.add(of_share, share, &main);
                for (name, gradient) in backward(place.student, loss * (share * scale), tape) {
                    let gradient = carried(gradient, &main);
                    let total = sum.remove(&name).map_or(gradient.clone(), |total| total + gradient);
                    sum.insert(name, total);
                }
            }
            figures.add(of_teacher, 1.0 / parts.len() as f64, &main);
        }
        // In the order of the net's fields, whatever the order in which they came.
        let ordered = tensors(&self.student).into_iter();
        let sum: Vec<(String, Tensor<1>)> = ordered.filter_map(|tensor| sum.remove_entry(&tensor.name)).collect();
        let mut squares: [Option<Tensor<1>>; 4] = Default::default();
        for (name, gradient) in &sum {
            let square = sum_of_squares(gradient.clone());
            let slot = &mut squares[part(name)];
            *slot = Some(slot.take().map_or(square.clone(), |total| total + square));
        }

        Gathered { sum, squares, figures, centers }
    }

    /// A reason for gradients that are not finite, beside all others.
    fn where_it_may_lie(&self) -> &'static str {
        match self.loss_scale {
            Some(_) => " (in 16 bits a number beyond 65504 is infinite: train.precision=f32 has room for it)",
            None => "",
        }
    }

    /// The update from gradients that are finite: each part's times its factor, then the teacher.
    fn update(&mut self, sum: Vec<(String, Tensor<1>)>, factors: [f64; 4]) {
        let student = self.student.clone();
        self.student = self.optim.step(student, sum, factors, &self.config, &self.schedules, self.step);
        let momentum = self.schedules.momentum.at(self.step);
        if let Some(teacher) = self.teacher.take() {
            let mut students = tensors(&self.student).into_iter();
            self.teacher = Some(change(teacher, &mut |name, values| {
                let student = students.next().filter(|student| student.name == name);
                ema(values, student.unwrap_or_else(|| panic!("the student lacks {name}")).values, momentum)
            }));
        }
        self.hand_out();
    }

    fn report<'a>(&self, names: &[String], found: &[f64], norms: impl Iterator<Item = (&'a str, f64)>) -> Step {
        let mut step = Step {
            step: self.step,
            epoch: self.step as f64 / self.schedules.epoch_length as f64,
            loss: 0.0,
            losses: Vec::new(),
            norms: norms.map(|(part, norm)| (part.to_owned(), norm)).collect(),
            teacher: Vec::new(),
            lr: self.schedules.lr.at(self.step),
            weight_decay: self.schedules.weight_decay.at(self.step),
            momentum: self.teacher.as_ref().map_or(0.0, |_| self.schedules.momentum.at(self.step)),
            teacher_temp: self.teacher.as_ref().map_or(0.0, |_| self.schedules.teacher_temp.at(self.step)),
            images_per_sec: 0.0,
            data_wait: 0.0,
            seconds: 0.0,
        };
        for (name, &value) in names.iter().zip(found) {
            match name.strip_prefix("teacher.") {
                Some(name) => step.teacher.push((name.to_owned(), value)),
                None if name == "loss" => step.loss = value,
                None => step.losses.push((name.clone(), value)),
            }
        }
        step
    }

    /// Every tensor of student and teacher at this moment.
    fn nets(&self) -> [Vec<Tensor<1>>; 2] {
        let values = |net: &Net| tensors(net).into_iter().map(|tensor| tensor.values).collect();
        [values(&self.student), self.teacher.as_ref().map(values).unwrap_or_default()]
    }

    /// How far student and teacher have moved, how long they are, how far apart.
    fn keep_moves(&self, before: [Vec<Tensor<1>>; 2], slow: &mut SlowMotion) {
        let length = |parts: &mut dyn Iterator<Item = Tensor<1>>| {
            parts.map(sum_of_squares).reduce(|sum, part| sum + part).map(Tensor::sqrt)
        };
        let after = self.nets();
        let mut keep = |name, length: Option<Tensor<1>>| {
            if let Some(length) = length {
                slow.keep(name, &length);
            }
        };
        let [old_student, old_teacher] = before;
        let [student, teacher] = &after;
        let apart = |a: &[Tensor<1>], b: &[Tensor<1>]| length(&mut a.iter().zip(b).map(|(a, b)| a.clone() - b.clone()));
        keep("moved.student", apart(student, &old_student));
        keep("moved.teacher", apart(teacher, &old_teacher));
        keep("length.student", length(&mut student.iter().cloned()));
        keep("length.teacher", length(&mut teacher.iter().cloned()));
        keep("apart", apart(student, teacher));
    }
}

/// The gradients of a net's tensors; with a tape a tensor may come in several parts.
fn backward(net: &Net, loss: Tensor<1>, tape: Option<Tape>) -> Vec<(String, Tensor<1>)> {
    let Some(tape) = tape else { return gradients(net, &mut loss.backward()) };
    let mut found = Vec::new();
    tape.backward(&loss, &mut |graph| found.extend(gradients(net, graph)));
    found
}
