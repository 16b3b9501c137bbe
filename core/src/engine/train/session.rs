//! A run and what it is made of: trainer, pictures, order, held-out images, curves, and a moment to return to.

use burn::tensor::Device;
use lab_protocol::train::{
    Curves, Data, Figure, Look, Status, StepReport, Switches, Thumbnail, TrainEvent, Verdict as Word,
};

use super::Answer;
use super::pictures::Pictures;
use super::stages;
use crate::config::{Centering, Config, Method, Teacher};
use crate::data::multi_crop::{self, Batch, Prepared};
use crate::data::sampler::Sampler;
use crate::device::mode::{self, Kernel};
use crate::engine::Clock;
use crate::error::{Error, TrainError};
use crate::formats::Checkpoint;
use crate::host::MemoryFile;
use crate::probe::health::{feature_std, rankme};
use crate::probe::knn::leave_one_out;
use crate::rng::Rng;
use crate::train::event::{self, Step, Verdict};
use crate::train::plan::Needs;
use crate::train::state::{self, Counters, FORMAT};
use crate::train::verdict::Course;
use crate::train::{Outcome, SlowMotion, Trainer};

/// Images whose pictures are shown.
const SHOWN: usize = 6;
/// Images whose features are judged: so many that k-NN among them is more than chance.
const HEALTH: usize = 128;
/// Neighbours that vote on what a drawn picture shows.
const NEIGHBOURS: usize = 5;
/// Most memory of a run in bytes: a 32-bit engine has 4 GiB for everything.
pub(super) const MOST_MEMORY: u64 = 1 << 30;

/// A run in the page.
#[derive(Debug)]
pub(super) struct Session {
    trainer: Trainer,
    /// The configuration with every switch on.
    begun: Config,
    /// In what it differs from the page's preset, `section.key=value`.
    settings: Vec<String>,
    data: Data,
    pictures: Pictures,
    sampler: Sampler,
    rng: Rng,
    counters: Counters,
    refused_in_row: u64,
    held_out: HeldOut,
    course: Course,
    curves: Curves,
    kept: Option<Kept>,
}

/// Held-out images, prepared.
#[derive(Debug)]
struct HeldOut {
    /// `[n, 3, S, S]`.
    pixels: Vec<f32>,
    /// What they show, where that is known.
    kinds: Option<Vec<u32>>,
    /// Numbers of one image.
    size: usize,
}

/// A moment to return to.
#[derive(Debug)]
struct Kept {
    step: u64,
    bytes: Vec<u8>,
}

impl Session {
    /// A run at its begin.
    ///
    /// # Errors
    ///
    /// [`TrainError::TooLarge`], or the device's.
    pub(super) async fn begin(config: Config, data: Data, pictures: Pictures, device: &Device) -> Result<Self, Error> {
        let images = pictures.len();
        let needs = Needs::of(&config, images, mode::runs(Kernel::Attention, device)).memory();
        if needs > MOST_MEMORY {
            return Err(TrainError::TooLarge { needs: needs >> 20, most: MOST_MEMORY >> 20 }.into());
        }
        let preset = Config::resolve(Some(lab_protocol::train::page_preset(&config.method.word())), None, &[])?;
        let settings =
            config.differences(&preset).into_iter().map(|(key, value, _)| format!("{key}={value}")).collect();
        let trainer = Trainer::begin(config.clone(), images, device).await?;
        let recipe = trainer.preprocess();
        let (looked_at, kinds) = pictures.held_out(HEALTH);
        let mut pixels = Vec::new();
        for image in &looked_at {
            pixels.extend(recipe.apply(image)?);
        }
        let size = 3 * config.crops.global_size.pow(2);
        Ok(Self {
            trainer,
            sampler: Sampler::new(config.train.seed, images),
            rng: Rng::new(config.train.seed),
            counters: Counters { format: FORMAT, step: 0, cursor: 0, bad_images: 0, bad_steps: 0, images },
            begun: config,
            settings,
            data,
            pictures,
            refused_in_row: 0,
            held_out: HeldOut { pixels, kinds, size },
            course: Course::default(),
            curves: Curves::default(),
            kept: None,
        })
    }

    /// Puts a fresh session where a checkpoint stands; a sentence where something had to give.
    ///
    /// # Errors
    ///
    /// As [`Trainer::restore`].
    pub(super) async fn resume(
        &mut self,
        checkpoint: &Checkpoint,
        config: Config,
        counters: Counters,
        curves: Curves,
    ) -> Result<Option<String>, Error> {
        self.trainer.restore(checkpoint, &counters).await?;
        self.trainer.set_rules(config.teacher, config.dino.koleo_loss_weight);
        let images = self.pictures.len();
        let note = (counters.images != images).then(|| {
            format!(
                "The run was begun on {} images and goes on with {images} others: weights and optimiser are its own, \
                 the order of the images begins anew.",
                counters.images
            )
        });
        self.counters = Counters { images, ..counters };
        self.course = Course::default();
        let mut looks = curves.points("rankme").into_iter().peekable();
        for (step, loss) in curves.points("loss") {
            self.course.stepped(f64::from(loss));
            while let Some((_, rank)) = looks.next_if(|(at, _)| *at <= step) {
                self.course.looked(f64::from(rank));
            }
        }
        self.curves = curves;
        self.refused_in_row = 0;
        Ok(note)
    }

    /// Where the run stands, and its curves.
    pub(super) fn begun(&self, note: Option<String>) -> Answer {
        TrainEvent::Begun { status: self.status(), curves: self.curves.clone(), note }.into()
    }

    /// What it learns from.
    pub(super) fn pictures(&self) -> &Pictures {
        &self.pictures
    }

    /// The run's bytes: every tensor, its configuration, counters, curves and data.
    ///
    /// # Errors
    ///
    /// The device's.
    pub(super) async fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut about = state::about(self.trainer.config(), &self.counters);
        about.extend(super::saved::about(&self.begun, &self.data, &self.curves));
        Ok(state::to_bytes(&self.trainer.state(), about).await?)
    }

    /// The files of the model's Hugging Face folder and their bytes.
    ///
    /// # Errors
    ///
    /// The device's.
    pub(super) async fn export(&self) -> Result<(Vec<String>, Vec<Vec<u8>>), Error> {
        let (folder, entries) = self.trainer.export();
        let weights = state::to_bytes(&entries, Default::default()).await?;
        let files = ["config.json", "preprocessor_config.json", "model.safetensors"].map(str::to_owned);
        Ok((files.to_vec(), vec![folder.config.into_bytes(), folder.preprocessor.into_bytes(), weights]))
    }

    /// Where the run stands.
    pub(super) fn status(&self) -> Status {
        let config = self.trainer.config();
        let dino = config.method == Method::Dinov2;
        Status {
            method: config.method.word(),
            step: self.trainer.steps_made(),
            total_steps: self.trainer.schedules().total,
            warmup: self.trainer.schedules().warmup(),
            parameters: self.trainer.parameters(),
            images: self.pictures.len(),
            data: self.data.clone(),
            batch_size: config.train.batch_size,
            img_size: config.crops.global_size,
            patch_size: config.model.patch_size,
            prototypes: if dino { config.dino.head_n_prototypes } else { 0 },
            student_temp: if dino { config.dino.student_temp } else { 0.0 },
            switches: switches(&self.begun, config),
            kept: self.kept.as_ref().map(|kept| kept.step),
            bad_steps: self.counters.bad_steps,
            config: config.to_toml(),
            settings: self.settings.clone(),
        }
    }

    /// Makes a step: the next draws, their crops, and what the trainer makes of them.
    ///
    /// # Errors
    ///
    /// [`TrainError::Done`], [`TrainError::NotFinite`] when too many steps in a row were refused, or the device's.
    pub(super) async fn step(&mut self, slowly: bool, clock: Clock) -> Result<Answer, Error> {
        if self.trainer.is_done() {
            return Err(TrainError::Done { total: self.trainer.schedules().total }.into());
        }
        let start = clock();
        let batches = self.gather();
        let mut slow = if slowly { SlowMotion::on() } else { SlowMotion::off() };
        // As `Trainer::step` draws.
        let first = self.trainer.steps_made() * batches.len() as u64;
        let draws: Vec<_> =
            batches.iter().zip(first..).map(|(batch, index)| self.trainer.draw(batch.images, index)).collect();
        let outcome = self.trainer.step_slowly(&batches, &draws, &mut slow).await?;
        let millis = clock() - start;
        match outcome {
            Outcome::Updated(step) => {
                self.refused_in_row = 0;
                self.counters.step = self.trainer.steps_made();
                self.course.note(&step);
                self.note(&step);
                let (stages, pictures) = match (slowly, batches.last(), draws.last().and_then(|draws| draws.first())) {
                    (true, Some(batch), Some(draws)) => {
                        let (stages, pictures) = stages::of(&self.trainer, batch, draws, &step, &slow).await?;
                        (Some(Box::new(stages)), vec![pictures])
                    }
                    _ => (None, Vec::new()),
                };
                let report = Some(report(step, millis));
                let event = TrainEvent::Stepped { report, refused: None, stages, status: self.status() };
                Ok(Answer { event, bytes: pictures })
            }
            // Only a run with 16-bit products meets it; the step is made again at the smaller scale.
            Outcome::Overflowed { loss_scale } => {
                let what = format!("16-bit gradients overflowed: the loss is scaled by {loss_scale} from now on");
                let status = self.status();
                Ok(TrainEvent::Stepped { report: None, refused: Some(what), stages: None, status }.into())
            }
            Outcome::Refused { what } => {
                self.counters.bad_steps += 1;
                self.refused_in_row += 1;
                if self.refused_in_row >= self.trainer.config().train.max_bad_steps {
                    let (count, step) = (self.refused_in_row, self.trainer.steps_made());
                    self.refused_in_row = 0;
                    return Err(TrainError::NotFinite { count, what, step }.into());
                }
                let status = self.status();
                Ok(TrainEvent::Stepped { report: None, refused: Some(what), stages: None, status }.into())
            }
        }
    }

    /// The next batch, in parts.
    fn gather(&mut self) -> Vec<Batch> {
        let config = self.trainer.config();
        let (size, parts) = (config.train.batch_size, config.train.accumulate);
        let whole = self.trainer.cuts_crops();
        let mut images = Vec::with_capacity(size);
        for _ in 0..size {
            let draw = self.counters.cursor;
            self.counters.cursor += 1;
            let image = self.pictures.get(self.sampler.draw(draw));
            images.push(match whole {
                true => {
                    let plans = multi_crop::plans(config, self.rng, draw, image.width(), image.height());
                    Prepared::Whole(image.clone(), plans)
                }
                false => Prepared::Crops(multi_crop::crops(config, self.rng, draw, image)),
            });
        }
        let mut images = images.into_iter();
        (0..parts).map(|_| Batch::collate(config, images.by_ref().take(size / parts).collect())).collect()
    }

    fn note(&mut self, step: &Step) {
        let norm = step.norms.iter().map(|(_, norm)| norm * norm).sum::<f64>().sqrt();
        let named = |pairs: &[(String, f64)]| pairs.to_vec();
        let figures = [named(&step.losses), named(&step.teacher)].concat();
        let all = figures.iter().map(|(name, value)| (name.as_str(), *value));
        self.curves.add(step.step, all.chain([("loss", step.loss), ("grad_norm", norm)]));
    }

    /// Throws switches; the moment before the first one goes off is kept, unless one was.
    ///
    /// # Errors
    ///
    /// The device's.
    pub(super) async fn set(&mut self, wanted: Switches) -> Result<(), Error> {
        if self.kept.is_none() && wanted != Switches::default() {
            self.keep().await?;
        }
        let (teacher, koleo_loss_weight) = rules(&self.begun, wanted);
        self.trainer.set_rules(teacher, koleo_loss_weight);
        Ok(())
    }

    /// Remembers this moment.
    ///
    /// # Errors
    ///
    /// The device's.
    pub(super) async fn keep(&mut self) -> Result<(), Error> {
        let bytes = self.to_bytes().await?;
        self.kept = Some(Kept { step: self.trainer.steps_made(), bytes });
        Ok(())
    }

    /// Returns to the moment that was kept, which stays kept.
    ///
    /// # Errors
    ///
    /// [`TrainError::NotKept`].
    pub(super) async fn back(&mut self) -> Result<(), Error> {
        let kept = self.kept.as_ref().ok_or(TrainError::NotKept)?;
        let file = MemoryFile::new("the kept moment", kept.bytes.clone());
        let saved = super::saved::open(vec![Box::new(file)]).await?;
        self.resume(&saved.checkpoint, saved.config, saved.counters, saved.curves).await?;
        Ok(())
    }

    /// Health and pictures at this moment.
    ///
    /// # Errors
    ///
    /// The device's.
    pub(super) async fn look(&mut self) -> Result<Answer, Error> {
        let HeldOut { pixels, kinds, size } = &self.held_out;
        let features = self.trainer.features(pixels).await?;
        let chosen = features.pooled(self.begun.method.judged_by());
        let (rank, spread) = (rankme(chosen, features.dim), feature_std(chosen, features.dim));
        let mut figures = vec![("rankme", rank), ("feature_std", spread)];
        if let Some(kinds) = kinds {
            figures.push(("knn", leave_one_out(chosen, features.dim, kinds, NEIGHBOURS)));
        }
        let prototypes = self.trainer.prototypes(pixels).await?;
        let shown = &pixels[..pixels.len().min(SHOWN * size)];
        let (rows, bytes) = stages::flatten(self.trainer.look(shown).await?);
        let step = self.trainer.steps_made();
        self.curves.add(step.saturating_sub(1), figures.iter().copied());
        let (verdict, says) = self.course.judge(step, self.trainer.schedules().warmup(), rank, spread);
        let figures = figures.into_iter().map(|(name, value)| Figure { name: name.to_owned(), value }).collect();
        let look = Look { step, figures, verdict: word(verdict), says, rows, prototypes };
        Ok(Answer { event: TrainEvent::Looked { look, status: self.status() }, bytes: vec![bytes] })
    }
}

/// The teacher's rules and KoLeo's weight with some of it switched off.
fn rules(begun: &Config, switches: Switches) -> (Teacher, f64) {
    let mut teacher = begun.teacher.clone();
    if !switches.centring {
        teacher.centering = Centering::None;
    }
    if !switches.sharpening {
        (teacher.warmup_teacher_temp, teacher.teacher_temp) = (1.0, 1.0);
    }
    if !switches.ema {
        (teacher.momentum_teacher, teacher.final_momentum_teacher) = (0.0, 0.0);
    }
    (teacher, if switches.koleo { begun.dino.koleo_loss_weight } else { 0.0 })
}

/// Where the switches stand in a run that was begun so and now is so.
fn switches(begun: &Config, now: &Config) -> Switches {
    Switches {
        centring: now.teacher.centering != Centering::None,
        sharpening: now.teacher.teacher_temp < 1.0,
        ema: now.teacher.momentum_teacher > 0.0,
        koleo: now.dino.koleo_loss_weight == begun.dino.koleo_loss_weight,
    }
}

fn report(step: Step, millis: f64) -> StepReport {
    let named = |pairs: Vec<(String, f64)>| pairs.into_iter().map(|(name, value)| Figure { name, value }).collect();
    StepReport {
        step: step.step,
        loss: step.loss,
        losses: named(step.losses),
        norms: named(step.norms),
        teacher: named(step.teacher),
        lr: step.lr,
        momentum: step.momentum,
        teacher_temp: step.teacher_temp,
        millis,
    }
}

fn word(verdict: Verdict) -> Word {
    match verdict {
        Verdict::Young => Word::Young,
        Verdict::Good => Word::Good,
        Verdict::Watch => Word::Watch,
        Verdict::Collapsing => Word::Collapsing,
        Verdict::Diverging => Word::Diverging,
    }
}

/// A picture's title and size, for the answer; its bytes travel apart.
pub(super) fn titled(thumbnail: &event::Thumbnail) -> Thumbnail {
    Thumbnail { title: thumbnail.title.clone(), width: thumbnail.width, height: thumbnail.height }
}
