//! Features of all images of a run in memory: what a probe learns from and is asked of.

use anyhow::{Context as _, Result, bail};
use lab_core::config::Budget;
use lab_core::image::Preprocess;
use lab_core::models::{Model, ModelReport};
use lab_core::probe::classifier::features;
use lab_protocol::{EngineInfo, ProbeFeatures};

use crate::commands::embed::{Pixels, default_batch, prepare};
use crate::inputs::Inputs;
use crate::loader;
use crate::progress::{Progress, Unit};
use crate::text;

/// Lines about bad images on the terminal.
const SHOWN: usize = 10;

/// The images that could be read, each with its features.
pub(crate) struct Features {
    /// Numbers of the images among the inputs.
    pub(crate) images: Vec<usize>,
    /// `[n, dim]`.
    pub(crate) values: Vec<f32>,
    /// Numbers in a row.
    pub(crate) dim: usize,
    /// Images that could not be read, and why.
    pub(crate) bad: Vec<(String, String)>,
}

/// What computes.
pub(crate) struct Computer<'a> {
    /// The model.
    pub(crate) model: &'a Model,
    /// What it takes.
    pub(crate) about: &'a ModelReport,
    /// Where it runs.
    pub(crate) device: &'a EngineInfo,
    /// How pixels are prepared.
    pub(crate) recipe: &'a Preprocess,
}

impl Computer<'_> {
    /// Computes the features of all inputs.
    ///
    /// # Errors
    /// When more images are bad than `budget` allows, or the device fails.
    pub(crate) fn all(
        &self,
        inputs: &Inputs,
        which: ProbeFeatures,
        budget: Budget,
        task: &'static str,
    ) -> Result<Features> {
        let patch = self.about.info.patch_size.max(1) as u32;
        let side = self.recipe.output_side().map_or(self.about.info.img_size, |side| side as usize);
        let batch = default_batch(self.device, self.about, side).min(inputs.len());
        let allowed = budget.allows(inputs.len() as u64);
        let workers = loader::cores();
        let mut progress = Progress::new(task, Unit::Images, inputs.len() as u64);
        let mut found = Features { images: Vec::new(), values: Vec::new(), dim: 0, bad: Vec::new() };
        let mut waiting: Vec<(usize, Pixels)> = Vec::new();
        let prepare = |index| prepare(inputs, index, self.recipe, patch);
        let result = loader::run(inputs.len(), workers, 2 * batch + workers, prepare, |ordered| -> Result<()> {
            for (index, prepared) in ordered {
                match prepared {
                    Ok(pixels) => {
                        if waiting.first().is_some_and(|(_, first)| first.size != pixels.size) {
                            self.compute(&mut waiting, which, &mut found)?;
                        }
                        waiting.push((index, pixels));
                        if waiting.len() == batch {
                            self.compute(&mut waiting, which, &mut found)?;
                        }
                    }
                    Err(reason) => {
                        if found.bad.len() < SHOWN {
                            progress.note(&format!("bad image: {}: {reason}", inputs.name(index)));
                        }
                        found.bad.push((inputs.name(index).to_owned(), reason));
                        if found.bad.len() as u64 > allowed {
                            bail!(
                                "stopped at {}, {allowed} allowed (--bad-budget {budget} of {}); the last is {}: mend or \
                                 remove them, or let so many pass with --bad-budget {}",
                                text::plural(found.bad.len() as u64, "bad image"),
                                inputs.len(),
                                text::shown(inputs.name(index)),
                                found.bad.len()
                            );
                        }
                    }
                }
                progress.set((found.images.len() + waiting.len() + found.bad.len()) as u64, inputs.len() as u64);
            }
            self.compute(&mut waiting, which, &mut found)
        });
        progress.finish();
        result?;
        if found.images.is_empty() {
            bail!("none of the {} could be read", text::plural(inputs.len() as u64, "image"));
        }
        Ok(found)
    }

    fn compute(&self, waiting: &mut Vec<(usize, Pixels)>, which: ProbeFeatures, found: &mut Features) -> Result<()> {
        let Some([height, width]) = waiting.first().map(|(_, pixels)| pixels.size) else { return Ok(()) };
        let shape = [waiting.len(), 3, height, width];
        let mut values = Vec::with_capacity(shape.iter().product());
        for (index, pixels) in waiting.drain(..) {
            found.images.push(index);
            values.extend(pixels.values);
        }
        let embedded = pollster::block_on(self.model.embed(values, shape, false))
            .with_context(|| format!("cannot compute a batch of {}", shape[0]))?;
        let dim = embedded.dim;
        for (cls, mean) in embedded.cls.chunks_exact(dim).zip(embedded.mean.chunks_exact(dim)) {
            let row = features(cls, mean, which);
            found.dim = row.len();
            found.values.extend(row);
        }
        Ok(())
    }
}
