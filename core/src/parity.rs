//! Our outputs against stored ones: the inputs of an `io.safetensors` run through a model, every tensor that the file
//! also holds compared.
//!
//! Read by `native-trainer parity`, by the page and by the tests. Names: `pixel_values`, `last_hidden_state`,
//! `pooler_output`, `hidden_states.i`, `attentions.i`, the same under `*_size.` for other image sizes, and MAE's
//! `noise`, `loss`, `logits`, `mask`, `ids_restore`.

use burn::tensor::Tensor;
use lab_protocol::{ParityReport, TensorParity};

use crate::device::readback;
use crate::error::{Error, ModelError};
use crate::formats::Checkpoint;
use crate::kernels::attention::attention_probs;
use crate::models::Model;
use crate::models::mae::{self, Masking};
use crate::models::trace::Trace;

/// Compares; an element passes within `atol` or within `rtol` of the stored value's size.
///
/// # Errors
///
/// [`ModelError::Absent`] when the file holds no `pixel_values`; the file's and the device's own.
pub async fn run(model: &Model, io: &Checkpoint, atol: f64, rtol: f64) -> Result<ParityReport, Error> {
    let mut comparison = Comparison { io, report: ParityReport { tensors: Vec::new(), atol, rtol } };
    let inputs: Vec<String> =
        io.names().filter(|name| name.rsplit('.').next() == Some("pixel_values")).map(str::to_owned).collect();
    if inputs.is_empty() {
        return Err(absent(io, "pixel_values").into());
    }
    for input in inputs {
        let prefix = input.strip_suffix("pixel_values").unwrap_or_default().to_owned();
        let pixels = read_pixels(model, io, &input).await?;
        if io.entry(&format!("{prefix}noise")).is_some() {
            mae(model, &mut comparison, &prefix, pixels).await?;
        } else {
            encoder(model, &mut comparison, &prefix, pixels).await?;
        }
    }
    Ok(comparison.report)
}

async fn read_pixels(model: &Model, io: &Checkpoint, name: &str) -> Result<Tensor<4>, Error> {
    let tensor = io.read(name).await?;
    let shape = tensor.shape.as_slice().try_into().map_err(|_| ModelError::Shape {
        tensor: name.to_owned(),
        expected: "[B, C, H, W]".to_owned(),
        found: tensor.shape.clone(),
    })?;
    Ok(model.pixels(tensor.to_f32()?, shape)?)
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
    let noise = comparison.io.read(&format!("{prefix}noise")).await?.to_f32()?;
    let masking = Masking::from_noise(&noise, pixels.dims()[0], config.mask_ratio);
    let output = mae::forward(model.encoder(), decoder, config, pixels, &masking);
    comparison.tensor(&format!("{prefix}loss"), output.loss).await?;
    comparison.tensor(&format!("{prefix}logits"), output.logits).await?;
    comparison.values(&format!("{prefix}mask"), &masking.mask).await?;
    let ids: Vec<f32> = masking.ids_restore.iter().map(|&id| id as f32).collect();
    comparison.values(&format!("{prefix}ids_restore"), &ids).await
}

struct Comparison<'a> {
    io: &'a Checkpoint,
    report: ParityReport,
}

impl Comparison<'_> {
    fn wants(&self, name: &str) -> bool {
        self.io.entry(name).is_some()
    }

    /// Compares a tensor, if the file holds one of its name.
    async fn tensor<const D: usize>(&mut self, name: &str, ours: Tensor<D>) -> Result<(), Error> {
        if self.wants(name) {
            let ours = readback(ours).await?;
            self.values(name, &ours).await?;
        }
        Ok(())
    }

    async fn values(&mut self, name: &str, ours: &[f32]) -> Result<(), Error> {
        if !self.wants(name) {
            return Ok(());
        }
        let stored = self.io.read(name).await?;
        let theirs = match stored.dtype.is_float() {
            true => stored.to_f32()?,
            false => stored.to_i64()?.into_iter().map(|value| value as f32).collect(),
        };
        if ours.len() != theirs.len() {
            let expected = format!("{} values, as the model gives", ours.len());
            return Err(ModelError::Shape { tensor: name.to_owned(), expected, found: stored.shape }.into());
        }
        let (atol, rtol) = (self.report.atol, self.report.rtol);
        let (mut max_abs, mut max_rel, mut passed) = (0.0f64, 0.0f64, true);
        for (&ours, &theirs) in ours.iter().zip(&theirs) {
            let difference = (f64::from(ours) - f64::from(theirs)).abs();
            let relative = difference / f64::from(theirs).abs();
            // NaN is within nothing.
            if difference > atol || difference.is_nan() {
                max_rel = if relative > max_rel || relative.is_nan() { relative } else { max_rel };
                passed &= relative <= rtol;
            }
            max_abs = if difference > max_abs || difference.is_nan() { difference } else { max_abs };
        }
        let (name, shape) = (name.to_owned(), stored.shape);
        self.report.tensors.push(TensorParity { name, shape, max_abs, max_rel, passed });
        Ok(())
    }
}

fn absent(io: &Checkpoint, name: &str) -> ModelError {
    ModelError::Absent {
        what: name.to_owned(),
        found: format!("the file holds {}", io.names().take(8).collect::<Vec<_>>().join(", ")),
        advice: "an io.safetensors holds inputs (pixel_values) and outputs; tests/golden/README.md lists the names"
            .to_owned(),
    }
}
