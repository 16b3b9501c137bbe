//! `native-trainer pretrain`: from a folder of images to a model, and on from wherever it was stopped.
//!
//! Workers draw, decode and crop ([`feed`]); this thread alone drives the device, step by step; what happens goes to the
//! [`watch`]ers. The run's truth is the trainer's state and four counters; a checkpoint is their image on disk.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lab_core::config::{Budget, Config};
use lab_core::data::multi_crop::{Batch, Prepared};
use lab_core::device::mode;
use lab_core::formats::Checkpoint;
use lab_core::train::event::{Event, Started};
use lab_core::train::plan::Needs;
use lab_core::train::state::{Counters, FORMAT, read_about};
use lab_core::train::{Outcome, Trainer};
use lab_protocol::EngineKind;

use crate::cli::PretrainArgs;
use crate::inputs::Inputs;
use crate::run::checkpoint::Checkpoints;
use crate::run::examine::Examiner;
use crate::run::feed::Feed;
use crate::run::folder::{RunFolder, has_begun, hold_to_begun, kept_config, must_be_run};
use crate::run::{export, replay};
use crate::watch::{Stop, Wanted, Watchers};
use crate::{engine, host, loader, memory, text};

/// Runs the command. The exit status is 0 also when the run was asked to stop and its state is safe.
pub(crate) fn run(arguments: &PretrainArgs) -> Result<ExitCode> {
    if arguments.resume {
        must_be_run(&arguments.out)?;
    }
    let config = resolve(arguments)?;
    let budget: Budget = config.data.bad_budget.parse().context("data.bad_budget")?;
    hold_to_begun(&arguments.out, &config)?;
    not_among(&arguments.out, &arguments.data)?;
    let inputs = Inputs::list(&arguments.data)?;
    // Before here there is nothing that a run could save.
    let stop = Stop::default();
    stop.on_signals()?;
    let images = inputs.len() as u64;
    enough(&config, images)?;
    let folder = RunFolder::open(&arguments.out, &config, arguments.resume)?;
    let devices = match arguments.devices.is_empty() {
        true => vec![engine::open(&arguments.engine)?],
        false => engine::open_all(&arguments.devices, &arguments.engine)?,
    };
    let name = devices.iter().map(|device| engine::describe(&device.info)).collect::<Vec<_>>().join(" + ");
    for device in &devices {
        engine::check_heads(device, &config.head_dims(), true)?;
    }
    let Some(on) = devices.first() else { bail!("--devices names no device") };
    let needs = Needs::of(&config, images, mode::runs(mode::Kernel::Attention, &on.device));
    if on.info.kind == EngineKind::Cpu {
        room_in_memory(&needs, memory::available())?;
    }
    let mut devices = devices.into_iter().map(|device| device.device);
    let Some(first) = devices.next() else { bail!("--devices names no device") };

    let mut trainer = pollster::block_on(Trainer::begin(config.clone(), images, &first))?;
    pollster::block_on(trainer.spread(&devices.collect::<Vec<_>>())).context("--devices")?;
    let mut counters = Counters { format: FORMAT, step: 0, cursor: 0, bad_images: 0, bad_steps: 0, images };
    let checkpoints = Checkpoints::open(folder.join("checkpoints"))?;
    let begins = checkpoints.is_empty()?;
    if begins {
        room_on_disk(&needs, folder.path())?;
    }
    let new = begins && arguments.from.is_none();
    if new && !config.model.init.is_empty() {
        let files = crate::host::open_model(&PathBuf::from(&config.model.init)).context("model.init")?;
        let said = pollster::block_on(trainer.begin_from(&files))?;
        text::note(&format!("begins with {}: {said}", config.model.init));
    }
    let mut goes_on = false;
    let restore =
        |checkpoint: &Checkpoint, found: &Counters| Ok(pollster::block_on(trainer.restore(checkpoint, found))?);
    if let Some((found, path)) = checkpoints.last_good(restore)? {
        if found.images != images {
            bail!(
                "the run was begun on {} images, DATA now has {images}: their order would change; give the same DATA, \
                 or another --out",
                found.images
            );
        }
        (counters, goes_on) = (found, true);
        text::note(&format!("goes on from {}", path.display()));
        if let Some(from) = &arguments.from {
            text::note(&format!("{} is not read: the run has begun", from.display()));
        }
    } else if let Some(path) = &arguments.from {
        counters = begin_from_file(&mut trainer, path, images)?;
        if trainer.is_done() {
            bail!(
                "the run in {} stands at step {}, and on {} this one has only {}: nothing would be trained; raise train.epochs",
                path.display(),
                counters.step,
                text::plural(images, "image"),
                text::plural(trainer.schedules().total, "step")
            );
        }
    }
    folder.hold_to(&inputs, goes_on)?;

    let wanted = Wanted { tensorboard: true, report: true, dashboard: !arguments.plain };
    let watchers = Watchers::open(folder.path(), wanted, &stop);
    let feed = Feed::new(&inputs, &config, trainer.cuts_crops());
    let mut examiner = Examiner::new(&config, &trainer, &inputs, &feed, &arguments.val)?;
    examiner.remember(folder.path(), counters.step)?;
    let mut bad = known_bad(&folder.join(BAD), &inputs)?;
    // What was mended since is bad no more.
    bad.retain(|&image| feed.decoded(image).is_err());
    let allowed = budget.allows(images);
    if bad.len() as u64 > allowed {
        bail!("{}", too_many(bad.len() as u64, allowed, &config, &folder.join(BAD)));
    }
    let mut run = Run {
        allowed,
        bad,
        config: &config,
        feed: &feed,
        inputs: &inputs,
        folder: &folder,
        checkpoints,
        examiner,
        watchers,
        trainer,
        counters,
        stop: stop.flag(),
        last_steps: arguments.steps.map(|steps| counters.step.saturating_add(steps)),
        begun: Instant::now(),
        saved: Instant::now(),
        saved_step: counters.step,
        looked_at: None,
        refused_in_row: 0,
    };
    run.tell(&Event::Started(Started {
        method: config.method,
        device: name,
        parameters: run.trainer.parameters(),
        images,
        batch_size: config.train.batch_size,
        step: counters.step,
        total_steps: run.trainer.schedules().total,
        epoch_length: run.trainer.schedules().epoch_length,
        config: config.to_toml(),
    }));
    let workers = arguments.workers.map_or_else(loader::cores, |workers| workers as usize);
    // Two batches in store while one is computed, and something in every worker's hands.
    let ahead = 2 * config.train.batch_size + workers;
    let first = counters.cursor;
    let prepare = |index: usize| feed.prepare(first + index as u64);
    let result = loader::run(usize::MAX, workers, ahead, prepare, |ordered| run.all(ordered));
    let seconds = run.begun.elapsed().as_secs_f64();
    let stopped = !run.trainer.is_done();
    if result.is_ok() {
        run.tell(&Event::Finished { step: run.trainer.steps_made(), stopped, seconds });
    }
    let steps = run.trainer.steps_made();
    run.watchers.finish();
    result?;
    let state = if stopped { "stopped; the same command goes on" } else { "done" };
    let (place, model) = (folder.path().display(), folder.join("model"));
    let steps = text::plural(steps, "step");
    text::print(&format!("{place}: {state}, {steps}; the model is in {}\n", model.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// That DATA holds a batch.
///
/// # Errors
/// When it does not.
pub(crate) fn enough(config: &Config, images: u64) -> Result<()> {
    let batch = config.train.batch_size as u64;
    if images < batch {
        return Err(lab_core::error::TrainError::TooFewImages { found: images, batch }.into());
    }
    Ok(())
}

/// That the run does not lie in a folder that it learns from: what it draws would be among its images.
fn not_among(out: &Path, data: &[PathBuf]) -> Result<()> {
    // Of a folder that is not there yet, what there is of the way to it.
    let absolute = std::path::absolute(out).with_context(|| format!("--out {}", out.display()))?;
    let there = absolute.ancestors().find_map(|above| Some((std::fs::canonicalize(above).ok()?, above)));
    let Some((real, above)) = there else { return Ok(()) };
    let out_there = real.join(absolute.strip_prefix(above).unwrap_or(Path::new("")));
    for folder in data {
        if folder.is_dir() && std::fs::canonicalize(folder).is_ok_and(|folder| out_there.starts_with(folder)) {
            bail!(
                "--out {} lies in {}, whose images are trained on: the pictures that the run draws would be among them; name a \
                 folder elsewhere",
                out.display(),
                folder.display()
            );
        }
    }
    Ok(())
}

/// That the host's memory holds the run, as far as can be told before: activations are an estimate, and taken as half.
fn room_in_memory(needs: &Needs, room: u64) -> Result<()> {
    let held = needs.memory() - needs.activations;
    if held + needs.activations / 2 > room {
        bail!(
            "the run does not fit: {} are free, weights, gradients and optimiser take {}, activations about {}; native-trainer \
             plan says what needs less",
            text::bytes(room),
            text::bytes(held),
            text::bytes(needs.activations)
        );
    }
    Ok(())
}

/// That the disk holds what the run will save, where the system tells.
fn room_on_disk(needs: &Needs, folder: &Path) -> Result<()> {
    match fs4::available_space(folder) {
        Ok(free) if free < needs.disk => bail!(
            "no room in {}: checkpoints and model take about {}, the disk has {}; free some, or name another --out",
            folder.display(),
            text::bytes(needs.disk),
            text::bytes(free)
        ),
        _ => Ok(()),
    }
}

/// The list of bad images in the run's folder.
const BAD: &str = "bad.jsonl";

/// The images of DATA that a list names.
fn known_bad(list: &Path, inputs: &Inputs) -> Result<BTreeSet<usize>> {
    let text = match std::fs::read_to_string(list) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", list.display())),
    };
    let name = |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?["path"].as_str()?.to_owned());
    let listed: BTreeSet<String> = text.lines().filter_map(name).collect();
    Ok(inputs.names().enumerate().filter(|(_, name)| listed.contains(*name)).map(|(index, _)| index).collect())
}

/// What a run that ends over its bad images says.
fn too_many(bad: u64, allowed: u64, config: &Config, list: &Path) -> String {
    format!(
        "stopped at {}, {allowed} allowed (data.bad_budget = {}); they are listed in {}; the state is saved; mend or remove \
         them, or let so many pass with --set data.bad_budget={bad}",
        text::plural(bad, "bad image"),
        config.data.bad_budget,
        list.display(),
    )
}

/// Puts a new run where the run in a single file stands.
fn begin_from_file(trainer: &mut Trainer, path: &Path, images: u64) -> Result<Counters> {
    let (checkpoint, _, counters) = saved_run(path)?;
    pollster::block_on(trainer.restore_from(&checkpoint, &counters)).with_context(|| path.display().to_string())?;
    text::note(&format!("begins with {} at step {}", path.display(), counters.step));
    if counters.images != images {
        text::note(&format!(
            "warning: that run was begun on {}, DATA has {images}: the order of the images begins anew",
            text::plural(counters.images, "image")
        ));
    }
    Ok(Counters { images, ..counters })
}

/// A run that was saved as one file.
fn saved_run(path: &Path) -> Result<(Checkpoint, Config, Counters)> {
    let checkpoint = host::open_checkpoint(path)?;
    let about = read_about(&checkpoint).with_context(|| path.display().to_string())?;
    let Some((config, counters)) = about else {
        bail!(
            "{} holds no configuration of a run; expected what the page's room Train downloads, or a state.safetensors \
             of this version (for weights alone use --set model.init=PATH)",
            path.display()
        )
    };
    Ok((checkpoint, config, counters))
}

/// Preset, file and settings; without preset and file, settings over what the run in the folder was begun with; with
/// `--from`, over the configuration in that file.
pub(crate) fn resolve(arguments: &PretrainArgs) -> Result<Config> {
    let nothing = arguments.preset.is_none() && arguments.config.is_none();
    // A start that failed leaves a configuration too; against a file that is named it does not count.
    let keeps = arguments.from.is_none() || has_begun(&arguments.out);
    if nothing
        && keeps
        && let Some(config) = kept_config(&arguments.out)?
    {
        let name = arguments.out.join("config.toml");
        return Ok(Config::resolve(None, Some((&name.to_string_lossy(), &config.to_toml())), &arguments.set)?);
    }
    if let Some(path) = &arguments.from {
        let (_, config, _) = saved_run(path)?;
        let name = path.to_string_lossy();
        return Ok(Config::resolve(None, Some((&name, &config.to_toml())), &arguments.set)?);
    }
    if nothing {
        bail!(NOTHING);
    }
    resolve_from(arguments.preset.as_deref(), arguments.config.as_deref(), &arguments.set)
}

/// Neither preset nor file.
pub(crate) const NOTHING: &str = "nothing says what to train: give --preset NAME or --config FILE; for images of 32 to 96 \
     pixels small-mae and small-dinov2 on a GPU, tiny-mae and tiny-dino on a CPU; an unknown name lists all presets";

/// Preset, file and settings, each over the one before.
pub(crate) fn resolve_from(
    preset: Option<&str>,
    file: Option<&std::path::Path>,
    settings: &[String],
) -> Result<Config> {
    let file = match file {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Some((path.to_string_lossy().into_owned(), text))
        }
        None => None,
    };
    let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    Ok(Config::resolve(preset, file, settings)?)
}

/// A run under way.
struct Run<'a> {
    config: &'a Config,
    feed: &'a Feed<'a>,
    inputs: &'a Inputs,
    folder: &'a RunFolder,
    checkpoints: Checkpoints,
    examiner: Examiner,
    watchers: Watchers,
    trainer: Trainer,
    counters: Counters,
    stop: Arc<AtomicBool>,
    /// Where `--steps` ends this session.
    last_steps: Option<u64>,
    allowed: u64,
    /// Images found bad so far.
    bad: BTreeSet<usize>,
    begun: Instant,
    saved: Instant,
    saved_step: u64,
    /// The step at which it was looked last, in this session.
    looked_at: Option<u64>,
    refused_in_row: u64,
}

impl Run<'_> {
    fn tell(&mut self, event: &Event) {
        self.watchers.event(event);
    }

    /// Steps until the end, or until someone asks to stop; ends with everything saved.
    fn all(&mut self, ordered: &mut loader::Ordered<'_, Prepared>) -> Result<()> {
        if self.counters.step == 0 && self.config.train.look_epochs > 0.0 {
            self.look()?;
        }
        while !self.trainer.is_done() && !self.should_stop() {
            let start = Instant::now();
            let waited = ordered.waited();
            let Some((batches, images)) = self.gather(ordered)? else { break };
            let outcome = pollster::block_on(self.trainer.step(&batches));
            let outcome = outcome.with_context(|| {
                let size = self.config.train.batch_size;
                format!("step {} failed; if memory ran out, raise train.accumulate (batch {size})", self.counters.step)
            })?;
            self.conclude(outcome, &batches, &images, start.elapsed(), ordered.waited() - waited)?;
            self.save_when_due()?;
            self.look_when_due()?;
        }
        self.save()
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.last_steps.is_some_and(|last| self.trainer.steps_made() >= last)
    }

    /// The next batch, in parts; bad images are passed over for the next draws. Nothing where someone asks to stop before
    /// it is whole: its images are drawn again when the run goes on.
    fn gather(&mut self, ordered: &mut loader::Ordered<'_, Prepared>) -> Result<Option<(Vec<Batch>, Vec<usize>)>> {
        let size = self.config.train.batch_size;
        let begin = self.counters.cursor;
        let mut in_vain = 0;
        let mut crops = Vec::with_capacity(size);
        let mut images = Vec::with_capacity(size);
        while crops.len() < size {
            if self.stop.load(Ordering::Relaxed) {
                self.counters.cursor = begin;
                return Ok(None);
            }
            let Some((_, prepared)) = ordered.next() else { bail!("the images ended, which an endless order cannot") };
            let image = self.feed.image_of(self.counters.cursor);
            self.counters.cursor += 1;
            match prepared {
                Ok(found) => {
                    crops.push(found);
                    images.push(image);
                    in_vain = 0;
                }
                Err(reason) => {
                    in_vain += 1;
                    if self.reject(image, &reason)? {
                        self.counters.cursor = begin;
                        self.save()?;
                        let (bad, list) = (self.bad.len() as u64, self.folder.join(BAD));
                        bail!("{}", too_many(bad, self.allowed, self.config, &list));
                    }
                }
            }
            // Every image was drawn once, at least.
            if in_vain > 2 * self.inputs.len() {
                let list = self.folder.join(BAD);
                bail!(
                    "none of {} can be read; why is in {}",
                    text::plural(self.inputs.len() as u64, "image"),
                    list.display()
                );
            }
        }
        let part = size / self.config.train.accumulate;
        let mut crops = crops.into_iter();
        let parts = 0..self.config.train.accumulate;
        let batches = parts.map(|_| Batch::collate(self.config, crops.by_ref().take(part).collect())).collect();
        Ok(Some((batches, images)))
    }

    /// Lists a bad image; whether there are more of them than allowed.
    fn reject(&mut self, image: usize, reason: &str) -> Result<bool> {
        if !self.bad.insert(image) {
            return Ok(false); // it was told in an earlier epoch
        }
        self.counters.bad_images = self.counters.bad_images.max(self.bad.len() as u64);
        let name = self.inputs.name(image).to_owned();
        let path = self.folder.join(BAD);
        let line = serde_json::json!({ "path": name, "reason": reason });
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{line}"))
            .with_context(|| format!("cannot write the list of bad images {}", path.display()))?;
        self.tell(&Event::BadImage { name, reason: reason.to_owned() });
        Ok(self.bad.len() as u64 > self.allowed)
    }

    fn conclude(
        &mut self,
        outcome: Outcome,
        batches: &[Batch],
        images: &[usize],
        took: Duration,
        waited: Duration,
    ) -> Result<()> {
        match outcome {
            Outcome::Updated(mut step) => {
                let seconds = took.as_secs_f64().max(1e-9);
                step.seconds = seconds;
                step.images_per_sec = images.len() as f64 / seconds;
                step.data_wait = waited.as_secs_f64() / seconds;
                self.counters.step = self.trainer.steps_made();
                self.refused_in_row = 0;
                self.examiner.note(&step);
                self.tell(&Event::Step(step));
            }
            Outcome::Overflowed { loss_scale } => {
                let step = self.counters.step;
                let message =
                    format!("step {step}: gradients beyond 16 bits; the loss is scaled by {loss_scale} from here on");
                self.tell(&Event::Warning { message });
            }
            Outcome::Refused { what } => {
                self.counters.bad_steps += 1;
                self.refused_in_row += 1;
                let step = self.counters.step;
                let names: Vec<&str> = images.iter().map(|&image| self.inputs.name(image)).collect();
                let path =
                    self.folder.join("replay").join(format!("step-{step:09}-{}.safetensors", self.refused_in_row));
                replay::write(&path, batches, &names, &what, step)?;
                let replay = path.to_string_lossy().into_owned();
                self.tell(&Event::BadStep { step, what: what.clone(), replay });
                if self.refused_in_row >= self.config.train.max_bad_steps {
                    // No step is possible from here: the run goes back to where one was.
                    if let Some(aside) = self.checkpoints.set_aside(step, "refused")? {
                        let message = format!("the state of step {step} is set aside as {}", aside.display());
                        self.tell(&Event::Warning { message });
                    }
                    let count = self.refused_in_row;
                    return Err(lab_core::error::TrainError::NotFinite { count, what, step }.into());
                }
            }
        }
        Ok(())
    }

    fn save_when_due(&mut self) -> Result<()> {
        if self.refused_in_row > 0 {
            return Ok(()); // nothing new, and perhaps nothing good
        }
        let train = &self.config.train;
        let minutes = self.saved.elapsed().as_secs_f64() / 60.0;
        let steps = self.counters.step - self.saved_step;
        if minutes >= train.save_minutes || (train.save_steps > 0 && steps >= train.save_steps) {
            self.save()?;
        }
        Ok(())
    }

    /// Checkpoint and model to the disk.
    fn save(&mut self) -> Result<()> {
        let start = Instant::now();
        let saved = self.checkpoints.save(&self.trainer, self.counters);
        let path = saved.and_then(|path| export::write(&self.trainer, &self.folder.join("model")).map(|()| path));
        let path = path.context("the run could not be saved; make room, and the same command goes on from what was")?;
        let (seconds, path) = (start.elapsed().as_secs_f64(), path.to_string_lossy().into_owned());
        self.saved = Instant::now();
        self.saved_step = self.counters.step;
        self.tell(&Event::Saved { step: self.counters.step, path, seconds });
        Ok(())
    }

    fn look_when_due(&mut self) -> Result<()> {
        let every = self.config.train.look_epochs * self.trainer.schedules().epoch_length as f64;
        let every = (every as u64).max(1);
        if self.config.train.look_epochs > 0.0 && (self.counters.step.is_multiple_of(every) || self.trainer.is_done()) {
            self.look()?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        // A step that was refused, or whose gradients did not fit 16 bits, is no new one to look at.
        if self.looked_at.replace(self.counters.step) == Some(self.counters.step) {
            return Ok(());
        }
        for event in self.examiner.examine(&self.trainer, &self.stop)? {
            self.tell(&event);
        }
        Ok(())
    }
}
