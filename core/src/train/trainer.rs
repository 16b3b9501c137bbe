//! One step after another: passes, guard, optimiser, teacher.
//!
//! Order within a step (dinov2: `train/train.py`): schedules, teacher and its targets, student, loss, backward, check
//! that everything is finite, clip, optimiser, teacher's moving average. Nothing of a step that fails the check is kept.

use burn::tensor::{Device, Tensor, TensorData};

use super::event::Step;
use super::optim::{AdamW, PARTS, part};
use super::pass::{Draws, Figures, Pass};
use super::schedule::Schedules;
use super::slow_motion::SlowMotion;
use super::walk::{change, gradients, tensors};
use crate::config::{Config, Method, Teacher};
use crate::data::multi_crop::Batch;
use crate::device::mode::{self, Kernel};
use crate::device::readback;
use crate::error::Error;
use crate::kernels::adamw::sum_of_squares;
use crate::kernels::ema::ema;
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
    /// Of the source, for the length of an epoch.
    images: u64,
}

/// Running means of the teacher's outputs, `[1, K]`.
#[derive(Debug, Clone)]
pub struct Centers {
    /// Of class tokens.
    pub dino: Tensor<2>,
    /// Of masked patches.
    pub ibot: Tensor<2>,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The weights moved. Times and rates are the host's to fill in.
    Updated(Step),
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
    /// The device's.
    pub async fn begin(config: Config, images: u64, device: &Device) -> Result<Self, Error> {
        let rng = Rng::new(config.train.seed);
        let init = match config.method {
            Method::Mae => Init::Mae,
            Method::Dinov2 => Init::Dinov2 { layerscale: config.model.layerscale },
        };
        let sizes = net_config(&config);
        let tracked = match config.train.checkpoint_activations {
            true => device.clone().autodiff().gradient_checkpointing(),
            false => device.clone().autodiff(),
        };
        let student = Net::begin(&sizes, init, rng, &tracked).await?;
        // The same draw once more: the teacher begins as the student.
        let teacher = match config.method {
            Method::Dinov2 => Some(Net::begin(&sizes, init, rng, device).await?),
            Method::Mae => None,
        };
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
            images,
            config,
        })
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

    /// Changes the teacher's rules in the middle of a run, as those do who want to see a collapse: how its outputs are
    /// centred, how cold its softmax is, how slowly it follows. The schedules go on at the step that they have reached.
    pub fn set_teacher(&mut self, teacher: Teacher) {
        self.config.teacher = teacher;
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

    /// The same with given draws, one for each part.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub async fn step_with(&mut self, parts: &[Batch], draws: &[Draws]) -> Result<Outcome, Error> {
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
        draws: &[Draws],
        slow: &mut SlowMotion,
    ) -> Result<Outcome, Error> {
        assert!(
            !parts.is_empty() && parts.len() == draws.len(),
            "a step of {} parts, {} draws",
            parts.len(),
            draws.len()
        );
        let share = 1.0 / parts.len() as f64;
        let mut sum: Vec<(String, Tensor<1>)> = Vec::new();
        let mut figures = Figures::default();
        let mut centers = self.centers.clone();
        for (batch, draws) in parts.iter().zip(draws) {
            let Pass { loss, figures: of_part, centers: next } = self.pass(batch, draws, &centers, slow);
            centers = next;
            figures.add(of_part, share);
            let mut graph = (loss * share).backward();
            let of_part = gradients(&self.student, &mut graph);
            if sum.is_empty() {
                sum = of_part;
            } else {
                for ((name, total), (other, gradient)) in sum.iter_mut().zip(of_part) {
                    assert_eq!(*name, other, "every part of a batch reaches the same tensors");
                    *total = total.clone() + gradient;
                }
            }
        }
        let mut squares: [Option<Tensor<1>>; 4] = Default::default();
        for (name, gradient) in &sum {
            let square = sum_of_squares(gradient.clone());
            let slot = &mut squares[part(name)];
            *slot = Some(slot.take().map_or(square.clone(), |total| total + square));
        }

        // One way home for everything that the guard and the watchers want to know.
        let mut wanted = figures.values.clone();
        let present: Vec<usize> = (0..PARTS.len()).filter(|&part| squares[part].is_some()).collect();
        wanted.extend(squares.into_iter().flatten());
        let mut values = readback(Tensor::cat(wanted, 0)).await?.into_iter().map(f64::from);
        let found: Vec<f64> = values.by_ref().take(figures.values.len()).collect();
        let norms: Vec<f64> = values.map(f64::sqrt).collect();
        let named = figures.names.iter().cloned().zip(found.iter().copied());
        let of_gradients =
            present.iter().zip(&norms).map(|(&part, &norm)| (format!("gradients of {}", PARTS[part]), norm));
        if let Some((what, _)) = named.chain(of_gradients).find(|(_, value)| !value.is_finite()) {
            return Ok(Outcome::Refused { what });
        }

        let clip = self.config.optim.clip_grad;
        let mut factors = [1.0; 4];
        for (&part, &norm) in present.iter().zip(&norms) {
            if clip > 0.0 {
                factors[part] = (clip / (norm + 1e-6)).min(1.0); // torch.nn.utils.clip_grad_norm_
            }
        }
        let (student, before) = (self.student.clone(), slow.is_on().then(|| self.nets()));
        self.student = self.optim.step(student, sum, factors, &self.config, &self.schedules, self.step);
        let momentum = self.schedules.momentum.at(self.step);
        if let Some(teacher) = self.teacher.take() {
            let mut students = tensors(&self.student).into_iter();
            self.teacher = Some(change(teacher, &mut |name, values| {
                let student = students.next().filter(|student| student.name == name);
                ema(values, student.unwrap_or_else(|| panic!("the student lacks {name}")).values, momentum)
            }));
        }
        self.centers = centers;
        if let Some(before) = before {
            self.keep_moves(before, slow);
        }
        let report = self.report(&figures.names, &found, present.iter().map(|&part| PARTS[part]).zip(norms));
        self.step += 1;
        Ok(Outcome::Updated(report))
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

    /// Numbers from the host on the student's device, with autodiff.
    pub(super) fn upload<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}
