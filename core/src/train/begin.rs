//! A run that begins with weights that there already are: released ones, or those of another run at another size.
//!
//! Everything that has a name of ours is taken; positions are interpolated to the run's grid as their source does it.
//! Heads that the source lacks begin anew, which is said: their first epochs are their warm-up, with the prototypes
//! frozen as long as `optim.freeze_last_layer_epochs` says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use burn::tensor::{Device, Tensor, TensorData};

use super::state::{parameter_name, read_about};
use super::trainer::Trainer;
use super::walk::{Named, change, tensors};
use crate::config::Method;
use crate::error::{Error, TrainError};
use crate::formats::{Checkpoint, ModelFiles};
use crate::layers::pos_embed::{Interpolation, interpolate};
use crate::models::keys::{Layout, recognise};

/// What a run took from the weights that it begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Begun {
    /// Tensors taken, `student.…` and `teacher.…`.
    pub taken: usize,
    /// Tables of positions that were of another size: name, patches along a side there and here.
    pub resized: Vec<(String, usize, usize)>,
    /// Tensors that the source lacks and that begin anew, without the net before them.
    pub missing: Vec<String>,
    /// The source's tensors that are of no use here.
    pub unused: Vec<String>,
}

impl fmt::Display for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors taken", self.taken)?;
        for (name, from, to) in &self.resized {
            write!(f, ", {name} interpolated from {from} x {from} to {to} x {to} patches")?;
        }
        if !self.missing.is_empty() {
            // A head that is new as a whole is one word.
            let mut parts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for name in &self.missing {
                parts.entry(name.split('.').next().unwrap_or_default()).or_default().push(name);
            }
            let say = |(part, names): (&str, Vec<&str>)| match part {
                "backbone" => names.join(", "),
                _ => format!("{part} ({} tensors)", names.len()),
            };
            let parts: Vec<String> = parts.into_iter().map(say).collect();
            write!(f, "; missing there and new here: {}", parts.join(", "))?;
        }
        if let [first, rest @ ..] = self.unused.as_slice() {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            write!(f, "; of no use here: {first}{more}")?;
        }
        Ok(())
    }
}

impl Trainer {
    /// Takes what `files` hold before the first step; says what came, what begins anew and what is left over.
    ///
    /// # Errors
    ///
    /// The files' own, and [`TrainError::Checkpoint`] when their encoder is of another size.
    pub async fn begin_from(&mut self, files: &ModelFiles) -> Result<Begun, Error> {
        let checkpoint = &files.checkpoint;
        let own = checkpoint.entry("student.backbone.pos_embed").is_some();
        let own_interpolation = self.config.vit().interpolation;
        let layout = match own {
            true => None,
            false => Some(recognise(checkpoint, files.config.as_deref())?),
        };
        // Without a config.json the heads of a foreign model are a guess by its width.
        if own || files.config.is_some() {
            self.check_heads_of(checkpoint, layout.as_ref())?;
        }
        let device = self.plain_device();
        let mut taken = BTreeMap::new();
        let (mut resized, mut missing, mut used) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let mut nets = vec![("student", tensors(&self.student))];
        nets.extend(self.teacher.as_ref().map(|teacher| ("teacher", tensors(teacher))));
        for (net, wanted) in nets {
            for Named { name, shape, .. } in wanted {
                let found = match &layout {
                    None => match read(checkpoint, vec![format!("{net}.{name}")]).await? {
                        // A run of MAE has no teacher: there the student is both.
                        None => read(checkpoint, vec![format!("student.{name}")]).await?,
                        found => found,
                    },
                    Some(layout) => foreign(checkpoint, layout, &name).await?,
                };
                let Some(Found { shape: found, values, names }) = found else {
                    let whole = !name.starts_with("backbone.") || name == "backbone.mask_token";
                    if !whole {
                        return Err(misfit(&name, &shape, "missing".to_owned()).into());
                    }
                    missing.insert(name);
                    continue;
                };
                used.extend(names);
                let values = if name.ends_with("pos_embed") && found != shape {
                    let interpolation = layout.as_ref().map_or(own_interpolation, |layout| layout.config.interpolation);
                    let table = at_another_size(values, &found, &shape, interpolation, &device)
                        .ok_or_else(|| misfit(&name, &shape, format!("{found:?}")))?;
                    let side = |shape: &[usize]| (shape[1] - 1).isqrt();
                    resized.insert(name.clone(), (side(&found), side(&shape)));
                    table
                } else if found.iter().product::<usize>() == values_of(&shape) {
                    Tensor::from_data(TensorData::new(values, [values_of(&shape)]), &device)
                } else {
                    return Err(misfit(&name, &shape, format!("{found:?}")).into());
                };
                taken.insert(format!("{net}.{name}"), values);
            }
        }
        let unused = checkpoint.names().filter(|name| !used.contains(*name)).map(str::to_owned).collect();
        let resized = resized.into_iter().map(|(name, (from, to))| (name, from, to)).collect();
        let begun = Begun { taken: taken.len(), resized, missing: missing.into_iter().collect(), unused };
        let mut give = |name: String, old: Tensor<1>| taken.remove(&name).unwrap_or(old);
        self.student = change(self.student.clone(), &mut |name, old| give(format!("student.{name}"), old));
        self.teacher =
            self.teacher.take().map(|net| change(net, &mut |name, old| give(format!("teacher.{name}"), old)));
        self.hand_out();
        Ok(begun)
    }

    /// That attention is split as it was: the tensors have the same shapes whatever the heads.
    fn check_heads_of(&self, checkpoint: &Checkpoint, layout: Option<&Layout>) -> Result<(), Error> {
        let (model, mae) = (&self.config.model, &self.config.mae);
        let (heads, decoder) = match layout {
            Some(layout) => (Some(layout.config.num_heads), layout.mae.as_ref().map(|mae| mae.decoder_num_heads)),
            None => {
                let about = read_about(checkpoint)?.map(|(config, _)| config);
                let with_decoder = about.as_ref().filter(|config| config.method == Method::Mae);
                (
                    about.as_ref().map(|config| config.model.num_heads),
                    with_decoder.map(|config| config.mae.decoder_num_heads),
                )
            }
        };
        let learns_decoder = self.config.method == Method::Mae;
        let pairs = [
            ("model.num_heads", model.num_heads, heads),
            ("mae.decoder_num_heads", mae.decoder_num_heads, decoder.filter(|_| learns_decoder)),
        ];
        for (key, here, there) in pairs {
            if let Some(there) = there.filter(|there| *there != here) {
                return Err(TrainError::Checkpoint {
                    what: key.to_owned(),
                    expected: here.to_string(),
                    found: format!("{there} in model.init"),
                    advice: format!(
                        "set {key}={there}: attention would be split otherwise than the weights learned it"
                    ),
                }
                .into());
            }
        }
        Ok(())
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

/// A tensor of the source, or several below each other.
struct Found {
    shape: Vec<usize>,
    values: Vec<f32>,
    names: Vec<String>,
}

/// The tensors `names` below each other; `None` where one is not there.
async fn read(checkpoint: &Checkpoint, names: Vec<String>) -> Result<Option<Found>, Error> {
    let mut shape: Vec<usize> = Vec::new();
    let mut values = Vec::new();
    for name in &names {
        let Some(entry) = checkpoint.entry(name) else { return Ok(None) };
        match shape.first_mut() {
            Some(rows) => *rows += entry.shape.first().copied().unwrap_or(1),
            None => shape = entry.shape.clone(),
        }
        values.extend(checkpoint.read(name).await?.to_f32()?);
    }
    Ok(Some(Found { shape, values, names }))
}

/// A tensor of ours in a layout that is not: encoder and decoder by their recipes, heads by their own names.
async fn foreign(checkpoint: &Checkpoint, layout: &Layout, name: &str) -> Result<Option<Found>, Error> {
    if let Some(recipe) = parameter_name(name).and_then(|name| layout.recipes.get(&name)) {
        return match recipe.parts.is_empty() {
            true => Ok(None),
            false => read(checkpoint, recipe.parts.iter().map(|(part, _)| part.clone()).collect()).await,
        };
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
        let found = read(checkpoint, vec![format!("{prefix}{theirs}")]).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Positions `[1, 1 + M², D]` at another square grid, flat; `None` where a shape is no such table.
fn at_another_size(
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
