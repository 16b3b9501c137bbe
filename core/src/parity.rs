//! Our outputs against stored ones: the inputs of an `io.safetensors` run through a model, every tensor that the file
//! also holds compared, by shape and by number.
//!
//! Two figures tell how far a tensor is off: the largest absolute error, and the largest relative one,
//! `|ours - stored| / max(|stored|, atol)`. A stored value nearer to 0 than `atol` has no size to be relative to, so the
//! floor takes its place; an element that fails is thus beyond `rtol` (up to 1) in the second figure too.
//!
//! Read by `native-trainer parity`, by the page and by the tests. Names: `pixel_values`, `last_hidden_state`,
//! `pooler_output`, `hidden_states.i`, `attentions.i`, the same under `*_size.` for other image sizes, and MAE's
//! `noise`, `loss`, `logits`, `mask`, `ids_restore`.

use std::collections::BTreeSet;

use burn::tensor::Tensor;
use lab_protocol::{ParityReport, TensorParity};

use crate::device::readback;
use crate::error::{Error, FormatError, ModelError};
use crate::formats::{Checkpoint, TensorBytes};
use crate::kernels::attention::attention_probs;
use crate::models::Model;
use crate::models::mae::{self, Masking};
use crate::models::trace::Trace;

/// Compares; an element passes within `atol` or within `rtol` of the stored value's size.
///
/// # Errors
///
/// [`ModelError::Absent`] when the file holds no `pixel_values`, [`ModelError::Shape`] when a stored tensor has another
/// shape than the model gives or takes, [`ModelError::Stored`] for a NaN or infinity in it; the file's and the device's
/// own.
pub async fn run(model: &Model, io: &Checkpoint, atol: f64, rtol: f64) -> Result<ParityReport, Error> {
    let report = ParityReport { atol, rtol, ..ParityReport::default() };
    let mut comparison = Comparison { io, report, used: BTreeSet::new() };
    let inputs: Vec<String> =
        io.names().filter(|name| name.rsplit('.').next() == Some("pixel_values")).map(str::to_owned).collect();
    if inputs.is_empty() {
        return Err(absent(io, "pixel_values").into());
    }
    for input in inputs {
        let prefix = input.strip_suffix("pixel_values").unwrap_or_default().to_owned();
        let pixels = comparison.pixels(model, &input).await?;
        if io.entry(&format!("{prefix}noise")).is_some() {
            mae(model, &mut comparison, &prefix, pixels).await?;
        } else {
            encoder(model, &mut comparison, &prefix, pixels).await?;
        }
    }
    let Comparison { used, mut report, .. } = comparison;
    report.not_compared = io.names().filter(|name| !used.contains(*name)).map(str::to_owned).collect();
    Ok(report)
}

async fn encoder(model: &Model, comparison: &mut Comparison<'_>, prefix: &str, pixels: Tensor<4>) -> Result<(), Error> {
    let depth = model.config().depth;
    let mut trace = Trace::none().with_hidden_states().with_qkv();
    let output = model.forward(pixels, &mut trace);
    comparison.tensor(&format!("{prefix}last_hidden_state"), output.last_hidden_state).await?;
    if let Some(pooled) = output.pooler_output {
        comparison.tensor(&format!("{prefix}pooler_output"), pooled).await?;
    }
    for index in 0..=depth {
        let name = format!("hidden_states.{index}");
        if let Some(found) = trace.get(&name) {
            comparison.tensor(&format!("{prefix}{name}"), found.clone()).await?;
        }
    }
    for index in 0..depth {
        let name = format!("{prefix}attentions.{index}");
        if let (Some(qkv), true) = (trace.qkv(index), comparison.wants(&name)) {
            let tokens = qkv.dims()[1];
            let probs = attention_probs(qkv.clone(), model.config().num_heads, 0..tokens, None);
            comparison.tensor(&name, probs).await?;
        }
    }
    Ok(())
}

async fn mae(model: &Model, comparison: &mut Comparison<'_>, prefix: &str, pixels: Tensor<4>) -> Result<(), Error> {
    let Some((decoder, config)) = model.decoder() else {
        return Err(ModelError::Absent {
            what: "a MAE decoder".to_owned(),
            found: "the checkpoint holds an encoder only".to_owned(),
            advice: "give the pre-training checkpoint that the stored noise belongs to".to_owned(),
        }
        .into());
    };
    let [batch, _, height, width] = pixels.dims();
    let patches = model.encoder().grid(height, width).iter().product();
    let noise = comparison.input(&format!("{prefix}noise")).await?;
    check_shape(&noise, &[batch, patches], "a number a patch")?;
    let masking = Masking::from_noise(&finite(&noise, "input")?, batch, config.mask_ratio);
    let output = mae::forward(model.encoder(), decoder, config, pixels, &masking);
    comparison.tensor(&format!("{prefix}loss"), output.loss).await?;
    comparison.tensor(&format!("{prefix}logits"), output.logits).await?;
    comparison.values(&format!("{prefix}mask"), &masking.mask, &[batch, patches]).await?;
    let ids: Vec<f32> = masking.ids_restore.iter().map(|&id| id as f32).collect();
    comparison.values(&format!("{prefix}ids_restore"), &ids, &[batch, patches]).await
}

struct Comparison<'a> {
    io: &'a Checkpoint,
    report: ParityReport,
    /// Names of the stored tensors that were inputs or were compared.
    used: BTreeSet<String>,
}

impl Comparison<'_> {
    fn wants(&self, name: &str) -> bool {
        self.io.entry(name).is_some()
    }

    /// Reads a stored input.
    async fn input(&mut self, name: &str) -> Result<TensorBytes, Error> {
        self.used.insert(name.to_owned());
        Ok(self.io.read(name).await?)
    }

    async fn pixels(&mut self, model: &Model, name: &str) -> Result<Tensor<4>, Error> {
        let tensor = self.input(name).await?;
        let shape = tensor.shape.as_slice().try_into().map_err(|_| ModelError::Shape {
            tensor: name.to_owned(),
            expected: "[B, C, H, W]".to_owned(),
            found: tensor.shape.clone(),
        })?;
        Ok(model.pixels(finite(&tensor, "input")?, shape)?)
    }

    /// Compares a tensor, if the file holds one of its name.
    async fn tensor<const D: usize>(&mut self, name: &str, ours: Tensor<D>) -> Result<(), Error> {
        if self.wants(name) {
            let shape = ours.dims();
            let ours = readback(ours).await?;
            self.values(name, &ours, &shape).await?;
        }
        Ok(())
    }

    async fn values(&mut self, name: &str, ours: &[f32], shape: &[usize]) -> Result<(), Error> {
        if !self.wants(name) {
            return Ok(());
        }
        let stored = self.io.read(name).await?;
        check_shape(&stored, shape, "as the model gives")?;
        let theirs = match stored.dtype.is_float() {
            true => finite(&stored, "output")?,
            false => stored.to_i64()?.into_iter().map(|value| value as f32).collect(),
        };
        let errors = Errors::of(ours, &theirs, self.report.atol, self.report.rtol);
        self.used.insert(name.to_owned());
        self.report.tensors.push(TensorParity {
            name: name.to_owned(),
            shape: stored.shape,
            max_abs: errors.max_abs,
            max_rel: errors.max_rel,
            passed: errors.passed,
        });
        Ok(())
    }
}

/// How far a tensor's elements are off.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Errors {
    max_abs: f64,
    /// Over all elements, `|ours - stored| / max(|stored|, atol)`; infinite where both bounds are 0 and they differ.
    max_rel: f64,
    passed: bool,
}

impl Errors {
    fn of(ours: &[f32], theirs: &[f32], atol: f64, rtol: f64) -> Self {
        let mut errors = Self { max_abs: 0.0, max_rel: 0.0, passed: true };
        // A NaN is the largest of all, and within nothing.
        let larger = |most: f64, found: f64| if found > most || found.is_nan() { found } else { most };
        for (&ours, &theirs) in ours.iter().zip(theirs) {
            let (size, difference) = (f64::from(theirs).abs(), (f64::from(ours) - f64::from(theirs)).abs());
            let relative = if difference == 0.0 { 0.0 } else { difference / size.max(atol) };
            errors.max_abs = larger(errors.max_abs, difference);
            errors.max_rel = larger(errors.max_rel, relative);
            errors.passed &= difference <= atol || difference <= rtol * size;
        }
        errors
    }
}

/// Holds a stored tensor to a shape; a scalar may be stored as `[]` or as `[1]`.
fn check_shape(stored: &TensorBytes, expected: &[usize], why: &str) -> Result<(), ModelError> {
    let scalar = |shape: &[usize]| matches!(shape, [] | [1]);
    if stored.shape == expected || (scalar(&stored.shape) && scalar(expected)) {
        return Ok(());
    }
    let (tensor, found) = (stored.name.clone(), stored.shape.clone());
    Err(ModelError::Shape { tensor, expected: format!("{expected:?}, {why}"), found })
}

/// A stored tensor's numbers; `role` is "input" or "output".
fn finite(stored: &TensorBytes, role: &'static str) -> Result<Vec<f32>, Error> {
    stored.to_f32().map_err(|error| match error {
        FormatError::NonFinite { tensor, index, value } => ModelError::Stored { role, tensor, index, value }.into(),
        other => other.into(),
    })
}

fn absent(io: &Checkpoint, name: &str) -> ModelError {
    ModelError::Absent {
        what: name.to_owned(),
        found: format!("the file holds {}", io.names().take(8).collect::<Vec<_>>().join(", ")),
        advice: "an io.safetensors holds inputs (pixel_values) and outputs; tests/golden/README.md lists the names"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pair: (f32, f32), (atol, rtol): (f64, f64), expected: (f64, f64, bool)) {
        let Errors { max_abs, max_rel, passed } = Errors::of(&[1.0, pair.0], &[1.0, pair.1], atol, rtol);
        let close = |a: f64, b: f64| a == b || (a - b).abs() <= 1e-6 * b.abs() || (a.is_nan() && b.is_nan());
        assert!(close(max_abs, expected.0) && close(max_rel, expected.1), "{pair:?}: {max_abs:e} {max_rel:e}");
        assert_eq!(passed, expected.2, "{pair:?} within {atol} or {rtol}");
    }

    #[test]
    fn the_relative_error_is_the_largest_of_all_elements() {
        // Within atol, and counted all the same.
        check((0.503_906_25, 0.5), (1e-2, 1e-4), (0.003_906_25, 0.007_812_5, true));
        // Beyond atol, within rtol.
        check((102.0, 100.0), (1e-3, 0.05), (2.0, 0.02, true));
        check((102.0, 100.0), (1e-3, 0.01), (2.0, 0.02, false));
        // Nearer to 0 than atol: relative to atol.
        check((0.25, 0.0), (0.5, 1e-4), (0.25, 0.5, true));
        check((1.0, 0.0), (0.5, 1e-4), (1.0, 2.0, false));
        check((1.0, 0.0), (0.0, 0.0), (1.0, f64::INFINITY, false));
        check((0.0, 0.0), (0.0, 0.0), (0.0, 0.0, true));
        check((f32::NAN, 1.0), (1.0, 1.0), (f64::NAN, f64::NAN, false));
    }
}
