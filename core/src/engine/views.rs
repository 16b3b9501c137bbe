//! From a view's name to its [`Picture`]: attention, principal components, similarity, or the input itself.

use burn::tensor::{Tensor, TensorData};
use lab_protocol::{Foreground, HeadSummary, ImageId, Palette, Query, Slot, Summary, View};

use super::Engine;
use super::images::Seen;
use super::picture::{Colouring, NO_VALUE, Picture};
use crate::device::readback;
use crate::error::{EngineError, Error};
use crate::kernels::attention::attention_probs;
use crate::models::Model;
use crate::probe::colours::{Coloured, Colours};
use crate::probe::pca::{COMPONENTS, pca};
use crate::probe::rollout::through_block;
use crate::probe::similarity::cosines;

/// Share of a heatmap's colour over the picture: the map reads, the picture is still seen.
pub(super) const OVERLAY: f32 = 0.7;
/// Probabilities that a rollout holds at a time: 16 MiB.
const ROLLOUT_ELEMENTS: usize = 4 << 20;

impl Engine {
    /// Computes a view of an image (and its tokens first, when they are not at hand).
    ///
    /// # Errors
    ///
    /// [`EngineError::NoModel`], [`EngineError::NoImage`], [`EngineError::Range`] for a layer, head or patch that is
    /// not there, or what decoding or the device says.
    pub async fn view(&mut self, image: ImageId, view: &View) -> Result<Picture, Error> {
        self.view_in(Slot::Main, image, view).await
    }

    /// The same as the model in a slot sees it.
    ///
    /// # Errors
    ///
    /// As [`view`](Self::view), and [`EngineError::EmptySlot`].
    pub async fn view_in(&mut self, slot: Slot, image: ImageId, view: &View) -> Result<Picture, Error> {
        let palette = self.palette;
        let (model, images, colours) = self.seat(slot)?;
        // The other image first: with little room, one may push the other out.
        let clicked = match view {
            View::Similarity { from, patch } => {
                let seen = images.tokens(*from, model).await?;
                Some(direction(seen, *patch)?)
            }
            _ => None,
        };
        let seen = images.tokens(image, model).await?;
        let summary = Summary { grid: seen.output.grid, ..Summary::default() };
        let picture = match (view, clicked) {
            (View::Attention { layer, head, query }, _) => attention(model, seen, *layer, *head, *query, summary).await,
            (View::Heads { layer, query, columns }, _) => heads(model, seen, *layer, *query, *columns, summary).await,
            (View::Rollout { layer, query }, _) => rollout(model, seen, *layer, *query, summary).await,
            (View::Pca, _) => components(model, seen, summary).await,
            (View::SharedPca { foreground }, _) => shared(model, seen, colours, *foreground, summary).await,
            (View::Similarity { .. }, Some(clicked)) => {
                let values = cosines(seen.directions.clone(), clicked);
                let host = readback(values.clone()).await?;
                Ok(heatmap(model, seen, values, host, summary))
            }
            (View::Input | View::Similarity { .. }, _) => {
                Ok(Picture { opacity: 0.0, ..picture(model, &seen.pixels, Colouring::Image, summary) })
            }
        };
        picture.map(|picture| Picture { palette, ..picture })
    }
}

/// A patch's direction, `[1, D]`.
fn direction(seen: &Seen, patch: u32) -> Result<Tensor<2>, EngineError> {
    let index = within("patch", patch, seen.directions.dims()[0])?;
    Ok(seen.directions.clone().narrow(0, index, 1))
}

fn within(what: &'static str, asked: u32, count: usize) -> Result<usize, EngineError> {
    let index = asked as usize;
    if index < count { Ok(index) } else { Err(EngineError::Range { what, asked, count }) }
}

/// A block's queries, keys and values, the token that asks, and how many tokens stand before the patches.
struct Asked<'a> {
    qkv: &'a Tensor<3>,
    query: usize,
    before: usize,
}

/// Finds who asks, and where.
fn asked<'a>(model: &Model, seen: &'a Seen, layer: u32, query: Query) -> Result<Asked<'a>, EngineError> {
    let config = model.config();
    let index = within("layer", layer, config.depth)?;
    // Every layer has a trace, since the engine asks for all.
    let qkv = seen.trace.qkv(index).ok_or(EngineError::Range { what: "layer", asked: layer, count: 0 })?;
    let [rows, columns] = seen.output.grid;
    let n = rows * columns;
    let before = qkv.dims()[1] - n;
    let query = match query {
        Query::Cls if config.class_token => 0,
        Query::Cls => before,
        Query::Patch { index } => before + within("patch", index, n)?,
    };
    Ok(Asked { qkv, query, before })
}

async fn attention(
    model: &Model,
    seen: &Seen,
    layer: u32,
    head: Option<u32>,
    query: Query,
    mut summary: Summary,
) -> Result<Picture, Error> {
    let num_heads = model.config().num_heads;
    let Asked { qkv, query, before } = asked(model, seen, layer, query)?;
    let head = head.map(|head| within("head", head, num_heads)).transpose()?;
    let probs = attention_probs(qkv.clone(), num_heads, query..query + 1, None); // [1, heads, 1, tokens]
    let probs = match head {
        Some(head) => probs.narrow(1, head, 1),
        None => probs.mean_dim(1),
    };
    let n = probs.dims()[3] - before;
    let values = probs.narrow(3, before, n).reshape([n, 1]);
    let host = readback(values.clone()).await?;
    summary.on_patches = Some(host.iter().sum());
    Ok(heatmap(model, seen, values, host, summary))
}

async fn heads(
    model: &Model,
    seen: &Seen,
    layer: u32,
    query: Query,
    columns: u32,
    mut summary: Summary,
) -> Result<Picture, Error> {
    let num_heads = model.config().num_heads;
    let Asked { qkv, query, before } = asked(model, seen, layer, query)?;
    let probs = attention_probs(qkv.clone(), num_heads, query..query + 1, None); // [1, heads, 1, tokens]
    let tokens = probs.dims()[3];
    let all = readback(probs.clone()).await?;
    let values = probs.narrow(3, before, tokens - before).reshape([num_heads, tokens - before]);
    let mut ranges = Vec::with_capacity(2 * num_heads);
    let mut host = Vec::with_capacity(num_heads * (tokens - before));
    for probs in all.chunks_exact(tokens) {
        let on_patches = &probs[before..];
        let (low, high) = extremes(on_patches.iter().copied());
        ranges.extend([low, high]);
        host.extend_from_slice(on_patches);
        summary.heads.push(HeadSummary {
            max: high,
            peak: peak(on_patches.iter().copied()),
            on_patches: on_patches.iter().sum(),
            entropy: entropy(probs),
        });
    }
    (summary.min, summary.max) = extremes(host.iter().copied());
    let device = values.device();
    let columns = (columns as usize).clamp(1, num_heads);
    Ok(Picture {
        opacity: OVERLAY,
        values: Some(values),
        host_values: host,
        ranges: Some(Tensor::from_data(TensorData::new(ranges.clone(), [num_heads, 2]), &device)),
        host_ranges: ranges,
        tiles: [num_heads.div_ceil(columns), columns],
        ..picture(model, &seen.pixels, Colouring::Montage, summary)
    })
}

/// In bits.
fn entropy(probs: &[f32]) -> f32 {
    probs.iter().filter(|&&p| p > 0.0).map(|p| -p * p.log2()).sum()
}

async fn rollout(model: &Model, seen: &Seen, layer: u32, query: Query, mut summary: Summary) -> Result<Picture, Error> {
    let num_heads = model.config().num_heads;
    let Asked { qkv, query, before } = asked(model, seen, layer, query)?;
    let tokens = qkv.dims()[1];
    let one: Vec<f32> = (0..tokens).map(|token| f32::from(u8::from(token == query))).collect();
    let mut row = Tensor::<2>::from_data(TensorData::new(one, [1, tokens]), &qkv.device());
    let chunk = ROLLOUT_ELEMENTS / (num_heads * tokens).max(1);
    for block in (0..=layer as usize).rev() {
        let Some(qkv) = seen.trace.qkv(block) else { continue };
        row = through_block(row, chunk, |queries| {
            let count = queries.len();
            attention_probs(qkv.clone(), num_heads, queries, None).reshape([num_heads, count, tokens])
        });
    }
    let n = tokens - before;
    let values = row.narrow(1, before, n).reshape([n, 1]);
    let host = readback(values.clone()).await?;
    summary.on_patches = Some(host.iter().sum());
    Ok(heatmap(model, seen, values, host, summary))
}

async fn shared(
    model: &Model,
    seen: &Seen,
    colours: &mut Option<Colours>,
    foreground: Option<Foreground>,
    mut summary: Summary,
) -> Result<Picture, Error> {
    let tokens = seen.output.patch_rows();
    // A basis of another width belongs to another model: `forget_main` has dropped it, so this is the first image.
    let fitted = match colours {
        Some(fitted) => fitted,
        None => colours.insert(Colours::fit(tokens.clone(), 1).await?),
    };
    let Coloured { values, scale, foreground } = fitted.paint(tokens, foreground).await?;
    let host = readback(values.clone()).await?;
    summary.explained = Some(scale.explained);
    summary.fitted = Some(fitted.images as u32);
    summary.foreground = foreground;
    (summary.min, summary.max) = extremes(host.iter().copied().filter(|value| *value > NO_VALUE));
    summary.peak = peak(host.iter().copied().step_by(COMPONENTS));
    let picture = picture(model, &seen.pixels, Colouring::Rgb, summary);
    Ok(Picture { low: scale.low, high: scale.high, values: Some(values), host_values: host, ..picture })
}

async fn components(model: &Model, seen: &Seen, mut summary: Summary) -> Result<Picture, Error> {
    let found = pca(seen.output.patch_rows());
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
    let picture = picture(model, &seen.pixels, Colouring::Rgb, summary);
    Ok(Picture { low, high, values: Some(found.scores), host_values: host, ..picture })
}

fn heatmap(model: &Model, seen: &Seen, values: Tensor<2>, host: Vec<f32>, mut summary: Summary) -> Picture {
    (summary.min, summary.max) = extremes(host.iter().copied());
    summary.peak = peak(host.iter().copied());
    let (low, high) = ([summary.min; 3], [summary.max; 3]);
    let picture = picture(model, &seen.pixels, Colouring::Heatmap, summary);
    Picture { low, high, opacity: OVERLAY, values: Some(values), host_values: host, ..picture }
}

/// A picture without values.
pub(super) fn picture(model: &Model, pixels: &Tensor<4>, colouring: Colouring, summary: Summary) -> Picture {
    Picture {
        colouring,
        palette: Palette::default(),
        summary,
        patch_size: model.config().patch_size,
        opacity: 1.0,
        low: [0.0; 3],
        high: [1.0; 3],
        recipe: model.preprocess().clone(),
        pixels: pixels.clone(),
        values: None,
        host_values: Vec::new(),
        ranges: None,
        host_ranges: Vec::new(),
        tiles: [1, 1],
    }
}

pub(super) fn extremes(values: impl Iterator<Item = f32>) -> (f32, f32) {
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    // Nothing but NaN: the picture is dark.
    if low <= high { (low, high) } else { (0.0, 0.0) }
}

pub(super) fn peak(values: impl Iterator<Item = f32>) -> u32 {
    let best =
        values.enumerate().fold((0, f32::NEG_INFINITY), |best, (index, x)| if x > best.1 { (index, x) } else { best });
    best.0 as u32
}
