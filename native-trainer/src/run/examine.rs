//! Looks at held-out images while a model learns: health without labels, k-NN with them, pictures for people.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use lab_core::config::{Config, Method, Pooling};
use lab_core::image::{Limits, Preprocess, Rgb8, decode};
use lab_core::probe::health::{feature_std, rankme};
use lab_core::probe::knn::{Labelled, knn};
use lab_core::train::Trainer;
use lab_core::train::event::{Event, Health, Look, Step};
use lab_core::train::look::Features;
use lab_core::train::verdict::Course;

use super::feed::Feed;
use crate::inputs::Inputs;
use crate::text;
use crate::watch::jsonl;

/// Images whose pictures are shown.
const SHOWN: usize = 6;
/// Images whose features tell rank and spread.
const HEALTH: usize = 256;
/// Most queries of k-NN, and most labelled images that they are compared with.
const QUERIES: usize = 500;
const BANK: usize = 2000;
/// DINOv2's k that does best most often.
const NEIGHBOURS: [usize; 1] = [20];
/// Most numbers that the comparison by pixels takes.
const PIXEL_FLOATS: usize = 64 << 20;
/// Most bytes of prepared pixels kept for looking.
const BUDGET: usize = 512 << 20;

/// The images that are looked at, prepared once.
pub(crate) struct Examiner {
    method: Method,
    /// Held-out images, `[n, 3, S, S]` bytes as prepared.
    held_out: Set,
    /// Labelled images to compare them with.
    bank: Set,
    preprocess: Preprocess,
    image: usize,
    /// What k-NN finds by the pixels themselves, once it is known.
    pixel_baseline: Option<f64>,
    course: Course,
}

/// Prepared pictures; a byte a channel, so that thousands fit.
#[derive(Default)]
struct Set {
    images: Vec<Rgb8>,
    labels: Vec<Option<u32>>,
}

impl Examiner {
    /// Prepares what is looked at: images of `--val`, or, without it, images of DATA, evenly spread.
    ///
    /// # Errors
    /// When `--val` holds no image.
    pub(crate) fn new(
        config: &Config,
        trainer: &Trainer,
        inputs: &Inputs,
        feed: &Feed<'_>,
        val: &[std::path::PathBuf],
    ) -> Result<Self> {
        let preprocess = trainer.preprocess();
        let image = 3 * config.crops.global_size.pow(2);
        let most = BUDGET / image / 2;
        let from_data = |index: usize| feed.decoded(index).map(|image| (*image).clone());
        let spread = |count: usize, most: usize, offset: usize| {
            let step = count.div_ceil(most.clamp(1, count.max(1))).max(1);
            (offset.min(step - 1)..count).step_by(step).collect::<Vec<_>>()
        };
        let labelled = inputs.label(0).is_some();
        let (held_out, bank) = if val.is_empty() {
            // An even choice of DATA asks, of which the others answer: an image that finds itself says nothing.
            let half = if labelled { inputs.len().div_ceil(2) } else { inputs.len() };
            let asked = spread(inputs.len(), QUERIES.min(most).min(half), 1);
            let answers = |index: &usize| labelled && asked.binary_search(index).is_err();
            let others: Vec<usize> = (0..inputs.len()).filter(answers).collect();
            let bank: Vec<usize> = spread(others.len(), BANK.min(most), 0).into_iter().map(|at| others[at]).collect();
            let held_out = Set::new(&preprocess, inputs, &asked, from_data);
            (held_out, Set::new(&preprocess, inputs, &bank, from_data))
        } else {
            let val = Inputs::list(val)?;
            val.tell_shared(inputs);
            let limits = Limits { max_pixels: config.data.max_pixels, ..Limits::default() };
            let read = |index: usize| {
                let bytes = val.read(index, &limits)?;
                decode(&bytes, &limits).map_err(|error| error.to_string())
            };
            let (held_out, unread) = Set::read(&preprocess, &val, &spread(val.len(), QUERIES.min(most), 0), read);
            if let Some((name, reason)) = unread.first() {
                let count = text::plural(unread.len() as u64, "image");
                if held_out.images.is_empty() {
                    bail!("no image of --val can be read; the first of {count} is {name}: {reason}");
                }
                text::note(&format!(
                    "warning: {count} of --val cannot be read and are left out, the first is {name}: {reason}"
                ));
            }
            let both = labelled && val.label(0).is_some();
            if !both && (labelled || val.label(0).is_some()) {
                let without = if labelled { "--val" } else { "DATA" };
                text::note(&format!("{without} lies in no class folders, so there is no k-NN on the side"));
            }
            if both && inputs.classes() != val.classes() && !inputs.classes().is_empty() && !val.classes().is_empty() {
                text::note("warning: DATA and --val name their classes differently; k-NN compares them by number");
            }
            let bank = if both { spread(inputs.len(), BANK.min(most), 0) } else { Vec::new() };
            (held_out, Set::new(&preprocess, inputs, &bank, from_data))
        };
        Ok(Self {
            method: config.method,
            held_out,
            bank,
            preprocess,
            image,
            pixel_baseline: None,
            course: Course::default(),
        })
    }

    /// Remembers what the diary in `folder` says of the steps before `step`, so that a run that goes on is judged as one.
    ///
    /// # Errors
    /// When the diary cannot be read.
    pub(crate) fn remember(&mut self, folder: &Path, step: u64) -> Result<()> {
        let mut course = Course::default();
        if step > 0 {
            jsonl::read(folder, step, |event, _| match event {
                Event::Step(step) => course.note(step),
                Event::Health(health) => {
                    let rankme = health.figures.iter().find(|(name, _)| name == "rankme");
                    rankme.into_iter().for_each(|(_, rank)| course.looked(*rank));
                }
                _ => {}
            })?;
        }
        self.course = course;
        Ok(())
    }

    /// Remembers a step for the next verdict.
    pub(crate) fn note(&mut self, step: &Step) {
        self.course.note(step);
    }

    /// Health and pictures at this moment; nothing once `stop` is set: who asks to stop waits for no look.
    ///
    /// # Errors
    /// The device's.
    pub(crate) fn examine(&mut self, trainer: &Trainer, stop: &AtomicBool) -> Result<Vec<Event>> {
        let step = trainer.steps_made();
        let epoch = step as f64 / trainer.schedules().epoch_length as f64;
        if self.held_out.images.is_empty() {
            return Ok(Vec::new());
        }
        let Some(features) = self.features(trainer, &self.held_out.images, stop)? else { return Ok(Vec::new()) };
        let rows = features.cls.len() / features.dim;
        let few = &features.pooled(self.method.judged_by())[..rows.min(HEALTH) * features.dim];
        let (rank, spread) = (rankme(few, features.dim), feature_std(few, features.dim));
        let mut figures = vec![("rankme".to_owned(), rank), ("feature_std".to_owned(), spread)];
        figures.extend(self.course.teacher().iter().cloned());
        if !self.bank.images.is_empty() {
            if self.pixel_baseline.is_none() {
                self.pixel_baseline = self.by_pixels(trainer)?;
            }
            figures.extend(self.pixel_baseline.map(|pixels| ("knn_pixels".to_owned(), pixels)));
            let Some(bank) = self.features(trainer, &self.bank.images, stop)? else { return Ok(Vec::new()) };
            for pooling in [Pooling::Cls, Pooling::Mean] {
                let queries = self.held_out.labelled(features.pooled(pooling), features.dim);
                let bank = self.bank.labelled(bank.pooled(pooling), features.dim);
                let device = trainer.plain_device();
                let found = pollster::block_on(knn(&bank, &queries, &NEIGHBOURS, &device))?;
                figures.push((pooling.knn_figure().to_owned(), found[0]));
            }
        }
        let (verdict, says) = self.course.judge(step, trainer.schedules().warmup(), rank, spread);
        let shown = self.pixels(&self.held_out.images[..self.held_out.images.len().min(SHOWN)]);
        let rows = pollster::block_on(trainer.look(&shown))?;
        Ok(vec![Event::Health(Health { step, epoch, figures, verdict, says }), Event::Look(Look { step, epoch, rows })])
    }

    /// What k-NN finds without any network: the bar to pass.
    fn by_pixels(&self, trainer: &Trainer) -> Result<Option<f64>> {
        if (self.bank.images.len() + self.held_out.images.len()) * self.image > PIXEL_FLOATS {
            return Ok(None);
        }
        let queries = self.held_out.labelled(&self.pixels(&self.held_out.images), self.image);
        let bank = self.bank.labelled(&self.pixels(&self.bank.images), self.image);
        Ok(Some(pollster::block_on(knn(&bank, &queries, &NEIGHBOURS, &trainer.plain_device()))?[0]))
    }

    /// The features of images; nothing once `stop` is set.
    fn features(&self, trainer: &Trainer, images: &[Rgb8], stop: &AtomicBool) -> Result<Option<Features>> {
        let mut all = Features::default();
        // A few images at a time: their floats take four times the room of their bytes, and who asks to stop waits for them.
        for images in images.chunks(64) {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let part = pollster::block_on(trainer.features(&self.pixels(images)))?;
            all.cls.extend(part.cls);
            all.mean.extend(part.mean);
            all.dim = part.dim;
        }
        Ok(Some(all))
    }

    fn pixels(&self, images: &[Rgb8]) -> Vec<f32> {
        let mut pixels = Vec::with_capacity(images.len() * self.image);
        for image in images {
            pixels.extend(self.preprocess.normalise(image));
        }
        pixels
    }
}

impl Set {
    /// Prepares images; what cannot be read is left out here, and told where it is trained on.
    fn new(
        preprocess: &Preprocess,
        inputs: &Inputs,
        indices: &[usize],
        read: impl Fn(usize) -> Result<Rgb8, String>,
    ) -> Self {
        Self::read(preprocess, inputs, indices, read).0
    }

    /// Prepares images; beside them what cannot be read, and why.
    fn read(
        preprocess: &Preprocess,
        inputs: &Inputs,
        indices: &[usize],
        read: impl Fn(usize) -> Result<Rgb8, String>,
    ) -> (Self, Vec<(String, String)>) {
        let (mut set, mut unread) = (Self::default(), Vec::new());
        for &index in indices {
            match read(index).and_then(|image| preprocess.prepare(&image).map_err(|e| e.to_string())) {
                Ok(image) => {
                    set.images.push(image);
                    set.labels.push(inputs.label(index));
                }
                Err(reason) => unread.push((inputs.name(index).to_owned(), reason)),
            }
        }
        (set, unread)
    }

    /// Those of `features [n, dim]` that have a label.
    fn labelled(&self, features: &[f32], dim: usize) -> Labelled {
        let mut labelled = Labelled { dim, ..Labelled::default() };
        for (row, label) in features.chunks_exact(dim).zip(&self.labels) {
            if let Some(label) = label {
                labelled.features.extend_from_slice(row);
                labelled.labels.push(*label);
            }
        }
        labelled
    }
}
