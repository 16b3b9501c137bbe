//! A run that begins with weights that there already are: released ones, or those of another run at another size.
//!
//! Everything that has a name of ours is taken; positions are interpolated to the run's grid as their source does it.
//! Heads that the source lacks begin anew, which is said: their first epochs are their warm-up, with the prototypes
//! frozen as long as `optim.freeze_last_layer_epochs` says.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::state::parameter_name;
use super::trainer::Trainer;
use super::walk::{Named, change, tensors};
use crate::error::{Error, TrainError};
use crate::formats::{Checkpoint, ModelFiles};
use crate::layers::pos_embed::{Interpolation, interpolate};
use crate::models::keys::{Layout, recognise};

impl Trainer {
    /// Takes what `files` hold before the first step; says what came and what begins anew.
    ///
    /// # Errors
    ///
    /// The files' own, and [`TrainError::Checkpoint`] when their encoder is of another size.
    pub async fn begin_from(&mut self, files: &ModelFiles) -> Result<String, Error> {
        let checkpoint = &files.checkpoint;
        let own = checkpoint.entry("student.backbone.pos_embed").is_some();
        let layout = match own {
            true => None,
            false => Some(recognise(checkpoint, files.config.as_deref())?),
        };
        let device = self.plain_device();
        let (mut taken, mut anew) = (BTreeMap::new(), Vec::new());
        let mut nets = vec![("student", tensors(&self.student))];
        nets.extend(self.teacher.as_ref().map(|teacher| ("teacher", tensors(teacher))));
        for (net, wanted) in nets {
            for Named { name, shape, .. } in wanted {
                let found = match &layout {
                    None => read(checkpoint, &format!("{net}.{name}"), &[]).await?,
                    Some(layout) => foreign(checkpoint, layout, &name).await?,
                };
                let Some((found, values)) = found else {
                    let whole = !name.starts_with("backbone.") || name == "backbone.mask_token";
                    if !whole {
                        return Err(misfit(&name, &shape, "missing".to_owned()).into());
                    }
                    anew.push(name.split('.').next().unwrap_or_default().to_owned());
                    continue;
                };
                let values = if name.ends_with("pos_embed") && found != shape {
                    let interpolation =
                        layout.as_ref().map_or(Interpolation::Size, |layout| layout.config.interpolation);
                    resized(values, &found, &shape, interpolation, &device)
                        .ok_or_else(|| misfit(&name, &shape, format!("{found:?}")))?
                } else if found.iter().product::<usize>() == values_of(&shape) {
                    Tensor::from_data(TensorData::new(values, [values_of(&shape)]), &device)
                } else {
                    return Err(misfit(&name, &shape, format!("{found:?}")).into());
                };
                taken.insert(format!("{net}.{name}"), values);
            }
        }
        let count = taken.len();
        let mut give = |name: String, old: Tensor<1>| taken.remove(&name).unwrap_or(old);
        self.student = change(self.student.clone(), &mut |name, old| give(format!("student.{name}"), old));
        self.teacher =
            self.teacher.take().map(|net| change(net, &mut |name, old| give(format!("teacher.{name}"), old)));
        anew.sort();
        anew.dedup();
        Ok(match anew.is_empty() {
            true => format!("{count} tensors taken"),
            false => format!("{count} tensors taken; new: {}", anew.join(", ")),
        })
    }
}

/// Numbers of a shape.
fn values_of(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn misfit(name: &str, expected: &[usize], found: String) -> TrainError {
    TrainError::Checkpoint {
        what: format!("tensor {name}"),
        expected: format!("{expected:?}"),
        found,
        advice: "set model.* to the sizes of the model in model.init (native-trainer inspect tells them)".to_owned(),
    }
}

/// Shape and numbers of a tensor, or of several below each other; `None` where it is not there.
async fn read(checkpoint: &Checkpoint, name: &str, more: &[String]) -> Result<Option<(Vec<usize>, Vec<f32>)>, Error> {
    let mut shape: Vec<usize> = Vec::new();
    let mut values = Vec::new();
    for name in std::iter::once(name).chain(more.iter().map(String::as_str)) {
        let Some(entry) = checkpoint.entry(name) else { return Ok(None) };
        match shape.first_mut() {
            Some(rows) => *rows += entry.shape.first().copied().unwrap_or(1),
            None => shape = entry.shape.clone(),
        }
        values.extend(checkpoint.read(name).await?.to_f32()?);
    }
    Ok(Some((shape, values)))
}

/// A tensor of ours in a layout that is not: encoder and decoder by their recipes, heads by their own names.
async fn foreign(
    checkpoint: &Checkpoint,
    layout: &Layout,
    name: &str,
) -> Result<Option<(Vec<usize>, Vec<f32>)>, Error> {
    if let Some(recipe) = parameter_name(name).and_then(|name| layout.recipes.get(&name)) {
        let mut parts = recipe.parts.iter().map(|(part, _)| part.clone());
        let Some(first) = parts.next() else { return Ok(None) };
        return read(checkpoint, &first, &parts.collect::<Vec<_>>()).await;
    }
    // DINOv2 numbers the layers of a head with the activations between them: 0, 2, 4.
    let Some((head, rest)) = name.split_once('.') else { return Ok(None) };
    let theirs = match rest.strip_prefix("mlp.").and_then(|rest| rest.split_once('.')) {
        Some((layer, kind)) => match layer.parse::<usize>() {
            Ok(layer) => format!("{head}.mlp.{}.{kind}", 2 * layer),
            Err(_) => return Ok(None),
        },
        None => format!("{head}.{rest}"),
    };
    for prefix in ["", "teacher.", "teacher.module.", "module."] {
        let found = read(checkpoint, &format!("{prefix}{theirs}"), &[]).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Positions `[1, 1 + M², D]` at another square grid, flat; `None` where a shape is no such table.
fn resized(
    values: Vec<f32>,
    from: &[usize],
    to: &[usize],
    interpolation: Interpolation,
    device: &Device,
) -> Option<Tensor<1>> {
    let (&[1, rows, dim], &[1, wanted, width]) = (from, to) else { return None };
    let (old, new) = ((rows - 1).isqrt(), (wanted - 1).isqrt());
    if dim != width || old * old + 1 != rows || new * new + 1 != wanted {
        return None;
    }
    let table = Tensor::<3>::from_data(TensorData::new(values, [1, rows, dim]), device);
    let patches = interpolate(table.clone().narrow(1, 1, rows - 1), new, new, interpolation);
    Some(Tensor::cat(vec![table.narrow(1, 0, 1), patches], 1).reshape([wanted * dim]))
}
