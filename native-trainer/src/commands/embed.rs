//! `native-trainer embed`: images to embeddings, a row an image.
//!
//! Three parts run at once: workers read, decode and prepare ([`loader`]); this thread drives the device, batch by
//! batch; and the rows go to the disk ([`sinks`]) as they come. Nothing grows with the number of images but their names.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lab_core::image::{Limits, Preprocess, decode};
use lab_core::models::{self, Model, ModelReport};
use lab_protocol::{EngineInfo, EngineKind};

use crate::bad::BadList;
use crate::cli::{EmbedArgs, MAX_SIZE, What};
use crate::inputs::Inputs;
use crate::progress::{Progress, Unit, duration};
use crate::sinks::{Format, Layout, Output, Row, json_len};
use crate::watch::{INTERRUPTED, Stop, Work};
use crate::{engine, host, loader, memory, recipe, text};

/// Lines about bad images on the terminal; the list has them all.
const SHOWN: u64 = 10;

/// Runs the command. The exit status is 1 when more images are bad than `--bad-budget` allows, or all; 130 when it was
/// stopped before the last.
pub(crate) fn run(arguments: &EmbedArgs) -> Result<ExitCode> {
    // Everything that can be wrong is found before the first image is computed.
    let format = Output::check(&arguments.out, arguments.force)?;
    let mut inputs = Inputs::list(&arguments.inputs)?;
    let repeats = inputs.leave_out_repeats();
    let files = host::open_model(&arguments.model)?;
    let about = pollster::block_on(models::inspect(&files))
        .with_context(|| format!("cannot make a model of {}", arguments.model.display()))?;
    let what = arguments.what;
    let patch = about.info.patch_size.max(1) as u32;
    if let Some(size) = arguments.size.filter(|size| size % patch != 0) {
        let nearest = match (size / patch * patch, size.next_multiple_of(patch)) {
            (0, above) => format!("the least is {above}"),
            (below, above) if above > MAX_SIZE => format!("the largest is {below}"),
            (below, above) => format!("the nearest are {below} and {above}"),
        };
        bail!("--size {size} is no multiple of the patch size {patch}; {nearest}");
    }
    let device = engine::open(&arguments.engine)?;
    let model = engine::load(files, &device, arguments.half)?;
    let recipe = recipe::choose(model.preprocess(), about.info.img_size as u32, arguments.size, arguments.preprocess);
    text::note(&format!("images: {recipe}"));

    let side = arguments.size.map_or(about.info.img_size, |size| size as usize);
    let batch_size = arguments
        .batch_size
        .map_or_else(|| default_batch(&device.info, &about, side), |size| size as usize)
        .min(inputs.len());
    if device.info.kind == EngineKind::Cpu {
        check_room(image_bytes(&about, side), batch_size, side, memory::available())?;
    }
    let layout = Layout {
        what,
        dim: about.info.embed_dim,
        rows: inputs.len(),
        path_bytes: inputs.names().map(json_len).sum(),
        about: origin(arguments, what, &recipe, &model),
    };
    let patches = (side / patch as usize).pow(2);
    // From here on there is something to keep.
    let stop = Stop::of(Work::Embedding);
    stop.on_signals()?;
    let output = Output::create(&arguments.out, format, &layout, patches, arguments.force)?;
    // Removes an older list, which is for whoever holds the output to do.
    let bad = match BadList::new(&arguments.out, arguments.bad_budget.allows(inputs.len() as u64)) {
        Ok(bad) => bad,
        Err(error) => {
            output.discard()?;
            return Err(error);
        }
    };

    let mut run = Run {
        model: &model,
        inputs: &inputs,
        what,
        normalize: arguments.normalize,
        batch_size,
        batch: Batch::default(),
        output,
        bad,
        progress: Progress::new("embedding", Unit::Images, inputs.len() as u64),
        done: 0,
        rows: 0,
        stop: stop.flag(),
        stopped_at: None,
    };
    let workers = arguments.workers.map_or_else(loader::cores, |workers| workers as usize);
    // Two batches in store while one is computed, and something in every worker's hands.
    let ahead = 2 * batch_size + workers;
    let start = Instant::now();
    let prepare = |index| prepare(&inputs, index, &recipe, patch);
    let (result, waited) = loader::run(inputs.len(), workers, ahead, prepare, |ordered| {
        let result = run.all(ordered);
        (result, ordered.waited())
    });
    run.progress.finish();
    finish(arguments, format, result, run, repeats, (start.elapsed(), waited))
}

/// Where the numbers come from, for the formats that can tell.
fn origin(arguments: &EmbedArgs, what: What, recipe: &Preprocess, model: &Model) -> Vec<(String, String)> {
    let mut origin = vec![
        ("made_by", concat!("native-trainer ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("model", arguments.model.to_string_lossy().into_owned()),
        ("fingerprint", model.info().fingerprint.clone()),
        ("what", what.name().to_owned()),
        ("preprocess", recipe.to_string()),
    ];
    origin.extend(arguments.normalize.then(|| ("normalize", "l2".to_owned())));
    origin.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// As many images as the device likes at once: enough to fill it, few enough to fit.
pub(crate) fn default_batch(info: &EngineInfo, about: &ModelReport, side: usize) -> usize {
    let (most, budget) = match info.kind {
        EngineKind::Gpu if !info.software => (64, 2u64 << 30),
        EngineKind::Gpu => (4, 1 << 30),
        EngineKind::Cpu => (16, 1 << 30),
    };
    ((budget as f64 / image_bytes(about, side)) as usize).clamp(1, most)
}

/// Bytes of an image's activations at their widest; they grow with the number of patches.
fn image_bytes(about: &ModelReport, side: usize) -> f64 {
    let scale = (side as f64 / about.info.img_size.max(1) as f64).powi(2).max(1.0);
    (about.activation_bytes_per_image as f64 * scale).max(1.0)
}

/// That a batch fits the host's memory, where it is the host's that computes.
fn check_room(image: f64, batch: usize, side: usize, room: u64) -> Result<()> {
    let needed = (image * batch as f64) as u64;
    if needed > room {
        let less = if batch > 1 { "a smaller --batch-size or --size" } else { "a smaller --size" };
        bail!(
            "{} of {side} pixels a side would take about {} at once, and {} are free: choose {less}",
            text::plural(batch as u64, "image"),
            text::bytes(needed),
            text::bytes(room)
        );
    }
    Ok(())
}

/// An image as the model takes it.
pub(crate) struct Pixels {
    /// `[3, height, width]`.
    pub(crate) values: Vec<f32>,
    /// Height and width.
    pub(crate) size: [usize; 2],
}

/// Reads, decodes, resizes and normalises one image; runs on a worker.
pub(crate) fn prepare(inputs: &Inputs, index: usize, recipe: &Preprocess, patch: u32) -> Result<Pixels, String> {
    let limits = Limits::default();
    let bytes = inputs.read(index, &limits)?;
    let image = decode(&bytes, &limits).map_err(|error| error.to_string())?;
    drop(bytes);
    let plan = recipe.plan(image.width(), image.height()).map_err(|error| error.to_string())?;
    let [width, height] = plan.output;
    if width % patch != 0 || height % patch != 0 || width == 0 || height == 0 {
        return Err(format!(
            "prepared it has {width} x {height} pixels, no multiple of the patch size {patch}; --preprocess direct makes all alike"
        ));
    }
    let values = recipe.apply(&image).map_err(|error| error.to_string())?;
    Ok(Pixels { values, size: [height as usize, width as usize] })
}

/// Images of one size, waiting to be computed together.
#[derive(Default)]
struct Batch {
    indices: Vec<usize>,
    values: Vec<f32>, // [B, 3, height, width]
    size: [usize; 2],
}

/// What goes on while images are embedded.
struct Run<'a> {
    model: &'a Model,
    inputs: &'a Inputs,
    what: What,
    normalize: bool,
    batch_size: usize,
    batch: Batch,
    output: Output,
    bad: BadList,
    progress: Progress,
    done: u64,
    rows: u64,
    stop: Arc<AtomicBool>,
    /// The first image that has no row, where someone asked to stop.
    stopped_at: Option<usize>,
}

impl Run<'_> {
    /// Takes the images in order until there are none, too many are bad, or someone asks to stop.
    fn all(&mut self, ordered: &mut loader::Ordered<'_, Pixels>) -> Result<()> {
        for (index, prepared) in ordered {
            if self.stop.load(Ordering::Relaxed) {
                // Those that wait for their batch to be full are the first of the rest.
                self.stopped_at = Some(self.batch.indices.first().copied().unwrap_or(index));
                return Ok(());
            }
            match prepared {
                Ok(pixels) => self.add(index, pixels)?,
                Err(reason) => self.reject(index, &reason)?,
            }
            if self.bad.exceeded() {
                break;
            }
        }
        self.compute()
    }

    fn reject(&mut self, index: usize, reason: &str) -> Result<()> {
        let name = self.inputs.name(index);
        self.bad.add(name, reason)?;
        match self.bad.count() {
            count if count <= SHOWN => self.progress.note(&format!("bad image: {name}: {reason}")),
            count if count == SHOWN + 1 => {
                self.progress.note(&format!("more bad images: see {}", self.bad.path().display()));
            }
            _ => {}
        }
        self.progress.message(format!("{} bad", self.bad.count()));
        self.step(1);
        Ok(())
    }

    fn step(&mut self, images: usize) {
        self.done += images as u64;
        self.progress.set(self.done, self.inputs.len() as u64);
    }

    fn add(&mut self, index: usize, pixels: Pixels) -> Result<()> {
        if !self.batch.indices.is_empty() && self.batch.size != pixels.size {
            self.compute()?;
        }
        self.batch.size = pixels.size;
        self.batch.indices.push(index);
        self.batch.values.extend_from_slice(&pixels.values);
        if self.batch.indices.len() == self.batch_size { self.compute() } else { Ok(()) }
    }

    /// Embeds the batch and writes its rows.
    fn compute(&mut self) -> Result<()> {
        let Batch { indices, values, size: [height, width] } = std::mem::take(&mut self.batch);
        if indices.is_empty() {
            return Ok(());
        }
        let shape = [indices.len(), 3, height, width];
        let found = pollster::block_on(self.model.embed(values, shape, self.what == What::Patches))
            .with_context(|| format!("cannot compute a batch of {}; a smaller --batch-size may help", indices.len()))?;
        let (dim, grid) = (found.dim, found.grid);
        let mut values = match self.what {
            What::Cls => found.cls,
            What::Mean => found.mean,
            What::Patches => found.patches,
        };
        let each = values.len() / indices.len();
        let expected = if self.what == What::Patches { grid[0] * grid[1] * dim } else { dim };
        assert_eq!(each, expected, "embed: numbers an image, for {:?} of {shape:?}", self.what);
        for (&index, values) in indices.iter().zip(values.chunks_exact_mut(each)) {
            if values.iter().all(|value| value.is_finite()) {
                if self.normalize {
                    normalise(values, dim);
                }
                self.output.write(&Row { path: self.inputs.name(index), grid, values })?;
                self.rows += 1;
                self.step(1);
            } else {
                self.reject(index, "the model's output is not finite; with --half numbers may be too large for f16")?;
            }
        }
        Ok(())
    }
}

/// Divides each vector of `dim` numbers by its length; a vector of zeros stays one.
fn normalise(values: &mut [f32], dim: usize) {
    for vector in values.chunks_exact_mut(dim) {
        let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
        }
    }
}

/// Gives the output its name, or says why not and what is left of it.
fn finish(
    arguments: &EmbedArgs,
    format: Format,
    result: Result<()>,
    run: Run<'_>,
    repeats: u64,
    (elapsed, waited): (Duration, Duration),
) -> Result<ExitCode> {
    let Run { output, bad, rows, inputs, stopped_at, .. } = run;
    let total = inputs.len() as u64;
    if let Err(error) = result {
        if let Ok(kept) = keep(output, rows, total) {
            text::note(&kept);
        }
        return Err(error);
    }
    if bad.exceeded() {
        bail!(
            "stopped at {}, {} allowed (--bad-budget {}); {}; the bad ones are listed in {}; let so many pass with \
             --bad-budget {}",
            text::plural(bad.count(), "bad image"),
            bad.allowed(),
            arguments.bad_budget,
            keep(output, rows, total)?,
            bad.path().display(),
            bad.count()
        );
    }
    if let Some(first) = stopped_at {
        let on = match rows {
            0 => "the same command begins anew".to_owned(),
            _ => format!(
                "to go on, rename it (the same command begins anew and replaces it) and embed the images from {} on into \
                 another file",
                inputs.name(first)
            ),
        };
        text::note(&format!("stopped: {}; {on}", keep(output, rows, total)?));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    if let (0, Some(first)) = (rows, bad.first()) {
        output.discard()?;
        let none = match total {
            1 => "the one image could not be embedded".to_owned(),
            _ => format!("none of the {total} images could be embedded"),
        };
        bail!(
            "{none}, so there is no {}; the first is {}; all are listed in {}",
            arguments.out.display(),
            text::shown(first),
            bad.path().display()
        );
    }
    output.complete()?;
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let mut summary = format!(
        "{}: {} embedded in {} ({:.1} images/s, {:.0}% waiting for images)",
        arguments.out.display(),
        text::plural(rows, "image"),
        duration(elapsed),
        rows as f64 / seconds,
        100.0 * waited.as_secs_f64() / seconds
    );
    if bad.count() > 0 {
        summary += &format!("; {} listed in {}", text::plural(bad.count(), "bad image"), bad.path().display());
    }
    if repeats > 0 {
        summary += &format!("; {} given twice, left out the second time", text::plural(repeats, "image"));
    }
    if inputs.others > 0 {
        summary += &format!("; {} left alone", text::plural(inputs.others, "other file"));
    }
    if format == Format::Npy {
        summary += &format!("; paths in {}.paths.txt", arguments.out.display());
    }
    text::print(&(text::shown(summary) + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Ends a file that is not whole: its rows stay under the partial name; without a row there is no file. Says which.
fn keep(output: Output, rows: u64, total: u64) -> Result<String> {
    let count = format!("{rows} of {} embedded", text::plural(total, "image"));
    if rows == 0 {
        output.discard()?;
        return Ok(format!("{count}, nothing is kept"));
    }
    Ok(format!("{count}, kept and readable as {}", output.keep_partial()?.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_does_not_fit_is_told() {
        assert!(check_room(1e6, 16, 224, 16_000_000).is_ok());
        let told = |batch| check_room(1e9, batch, 8190, 500_000_000).expect_err("no room").to_string();
        assert!(told(1).starts_with("1 image of 8190 pixels a side") && told(1).ends_with("choose a smaller --size"));
        assert!(told(2).ends_with("choose a smaller --batch-size or --size"), "{}", told(2));
    }

    #[test]
    fn a_normalised_vector_has_the_length_one() {
        let mut values = [3.0, 4.0, 0.0, 0.0, -1e30, 1e30];
        normalise(&mut values, 2);
        let half = 0.5f32.sqrt();
        assert_eq!(values, [0.6, 0.8, 0.0, 0.0, -half, half]);
    }
}
