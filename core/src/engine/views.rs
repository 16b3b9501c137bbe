//! From a view's name to its [`Picture`]: attention, principal components, similarity, or the input itself.

use burn::tensor::Tensor;
use lab_protocol::{ImageId, Query, Summary, View};

use super::Engine;
use super::images::Seen;
use super::picture::{Colouring, Picture};
use crate::device::readback;
use crate::error::{EngineError, Error};
use crate::kernels::attention::attention_probs;
use crate::models::Model;
use crate::probe::pca::{COMPONENTS, pca};
use crate::probe::similarity::similarity;

/// Share of a heatmap's colour over the picture: the map reads, the picture is still seen.
const OVERLAY: f32 = 0.7;

impl Engine {
    /// Computes a view of an image (and its tokens first, when they are not at hand).
    ///
    /// # Errors
    ///
    /// [`EngineError::NoModel`], [`EngineError::NoImage`], [`EngineError::Range`] for a layer, head or patch that is
    /// not there, or what decoding or the device says.
    pub async fn view(&mut self, image: ImageId, view: &View) -> Result<Picture, Error> {
        let model = self.model.as_ref().ok_or(EngineError::NoModel)?;
        // The other image first: with little room, one may push the other out.
        let clicked = match view {
            View::Similarity { from, patch } => {
                let seen = self.images.tokens(*from, model).await?;
                Some(patch_token(seen, *patch)?)
            }
            _ => None,
        };
        let seen = self.images.tokens(image, model).await?;
        let summary = Summary { grid: seen.output.grid, ..Summary::default() };
        match (view, clicked) {
            (View::Attention { layer, head, query }, _) => attention(model, seen, *layer, *head, *query, summary).await,
            (View::Pca, _) => components(model, seen, summary).await,
            (View::Similarity { .. }, Some(clicked)) => {
                let values = similarity(patches(seen), clicked);
                let host = readback(values.clone()).await?;
                Ok(heatmap(model, seen, values, host, summary))
            }
            (View::Input | View::Similarity { .. }, _) => {
                Ok(Picture { opacity: 0.0, ..picture(model, seen, Colouring::Image, summary) })
            }
        }
    }
}

/// `[N, D]`.
fn patches(seen: &Seen) -> Tensor<2> {
    let [_, n, d] = seen.output.patches.dims();
    seen.output.patches.clone().reshape([n, d])
}

/// `[1, D]`.
fn patch_token(seen: &Seen, patch: u32) -> Result<Tensor<2>, EngineError> {
    let patches = patches(seen);
    let index = within("patch", patch, patches.dims()[0])?;
    Ok(patches.narrow(0, index, 1))
}

fn within(what: &'static str, asked: u32, count: usize) -> Result<usize, EngineError> {
    let index = asked as usize;
    if index < count { Ok(index) } else { Err(EngineError::Range { what, asked, count }) }
}

async fn attention(
    model: &Model,
    seen: &Seen,
    layer: u32,
    head: Option<u32>,
    query: Query,
    mut summary: Summary,
) -> Result<Picture, Error> {
    let config = model.config();
    let layer = within("layer", layer, config.depth)?;
    let head = head.map(|head| within("head", head, config.num_heads)).transpose()?;
    // Every layer has a trace, since the engine asks for all.
    let Some(qkv) = seen.trace.qkv(layer) else {
        return Err(EngineError::Range { what: "layer", asked: layer as u32, count: 0 }.into());
    };
    let [rows, columns] = seen.output.grid;
    let (tokens, n) = (qkv.dims()[1], rows * columns);
    let before = tokens - n;
    let query = match query {
        Query::Cls if config.class_token => 0,
        Query::Cls => before,
        Query::Patch { index } => before + within("patch", index, n)?,
    };
    let probs = attention_probs(qkv.clone(), config.num_heads, query..query + 1, None); // [1, heads, 1, tokens]
    let probs = match head {
        Some(head) => probs.narrow(1, head, 1),
        None => probs.mean_dim(1),
    };
    let values = probs.narrow(3, before, n).reshape([n, 1]);
    let host = readback(values.clone()).await?;
    summary.on_patches = Some(host.iter().sum());
    Ok(heatmap(model, seen, values, host, summary))
}

async fn components(model: &Model, seen: &Seen, mut summary: Summary) -> Result<Picture, Error> {
    let found = pca(patches(seen));
    // One way home for both.
    let mut host = readback(Tensor::cat(vec![found.scores.clone(), found.explained], 0)).await?;
    let shares = host.split_off(host.len() - COMPONENTS);
    summary.explained = Some([shares[0], shares[1], shares[2]]);
    let column = |index: usize| host.iter().copied().skip(index).step_by(COMPONENTS);
    let (mut low, mut high) = ([0.0; 3], [0.0; 3]);
    for index in 0..COMPONENTS {
        (low[index], high[index]) = extremes(column(index));
    }
    (summary.min, summary.max) = extremes(host.iter().copied());
    summary.peak = peak(column(0));
    let picture = picture(model, seen, Colouring::Rgb, summary);
    Ok(Picture { low, high, values: Some(found.scores), host_values: host, ..picture })
}

fn heatmap(model: &Model, seen: &Seen, values: Tensor<2>, host: Vec<f32>, mut summary: Summary) -> Picture {
    (summary.min, summary.max) = extremes(host.iter().copied());
    summary.peak = peak(host.iter().copied());
    let (low, high) = ([summary.min; 3], [summary.max; 3]);
    let picture = picture(model, seen, Colouring::Heatmap, summary);
    Picture { low, high, opacity: OVERLAY, values: Some(values), host_values: host, ..picture }
}

fn picture(model: &Model, seen: &Seen, colouring: Colouring, summary: Summary) -> Picture {
    Picture {
        colouring,
        summary,
        patch_size: model.config().patch_size,
        opacity: 1.0,
        low: [0.0; 3],
        high: [1.0; 3],
        recipe: model.preprocess().clone(),
        pixels: seen.pixels.clone(),
        values: None,
        host_values: Vec::new(),
    }
}

fn extremes(values: impl Iterator<Item = f32>) -> (f32, f32) {
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    // Nothing but NaN: the picture is dark.
    if low <= high { (low, high) } else { (0.0, 0.0) }
}

fn peak(values: impl Iterator<Item = f32>) -> u32 {
    let best =
        values.enumerate().fold((0, f32::NEG_INFINITY), |best, (index, x)| if x > best.1 { (index, x) } else { best });
    best.0 as u32
}
