//! The room Video: one frame after another, coloured in a basis that stays, and a thing that is followed.

use burn::tensor::Tensor;
use lab_protocol::{Followed, Summary, VideoCommand, VideoEvent};

use super::Engine;
use super::picture::{Colouring, Picture};
use crate::device::readback;
use crate::error::{EngineError, Error, ProbeError};
use crate::image::Rgb8;
use crate::kernels::preprocess::preprocess;
use crate::models::trace::Trace;
use crate::probe::follow::Follower;
use crate::probe::pca::{Basis, COMPONENTS, pca};
use crate::probe::propagate::{Propagation, Settings, region};

/// Share of the likeness's colour over the frame. Its scale goes from 0 to 1 in every frame: where the thing is not,
/// nothing is bright.
const OVERLAY: f32 = 0.6;
/// Patches at least this much like the clicked one, as a share of the way from the frame's mean to it, are of its thing.
const SAME: f32 = 0.5;
/// A label above this belongs to the thing.
const BELONGS: f32 = 0.5;

/// What lasts from frame to frame.
#[derive(Debug, Default)]
pub struct State {
    basis: Option<Fitted>,
    last: Option<Last>,
    following: Option<Following>,
}

/// A basis and the colours' range, both of the frame that they were fitted to.
#[derive(Debug)]
struct Fitted {
    basis: Basis,
    low: [f32; 3],
    high: [f32; 3],
}

/// The last frame's tokens, on the host, for a click on it.
#[derive(Debug)]
struct Last {
    tokens: Vec<f32>,
    dim: usize,
    grid: [usize; 2],
}

#[derive(Debug)]
struct Following {
    follower: Follower,
    labels: Propagation,
}

/// A frame as it is shown.
#[derive(Debug)]
pub struct Frame {
    /// As the model receives it.
    pub input: Picture,
    /// Its components in the basis.
    pub components: Picture,
    /// Its likeness to the thing that is followed.
    pub likeness: Option<Picture>,
    /// What is said of it.
    pub event: VideoEvent,
}

impl Engine {
    /// Carries out what the room asks between frames.
    ///
    /// # Errors
    ///
    /// [`ProbeError::NothingFollowed`] for a click before the first frame, [`EngineError::Range`] for a patch that is
    /// not there.
    pub fn video(&mut self, command: &VideoCommand) -> Result<VideoEvent, Error> {
        match command {
            VideoCommand::Follow { patch } => {
                let last = self.video.last.as_ref().ok_or(ProbeError::NothingFollowed)?;
                let count = last.grid[0] * last.grid[1];
                if *patch as usize >= count {
                    return Err(EngineError::Range { what: "patch", asked: *patch, count }.into());
                }
                let follower = Follower::click(&last.tokens, last.dim, last.grid, *patch);
                let cosines = follower.alike(&last.tokens);
                let mean = cosines.iter().sum::<f32>() / cosines.len() as f32;
                let least = mean + SAME * (cosines[*patch as usize] - mean);
                let labels = region(&cosines, last.grid, *patch, least);
                let labels = Propagation::new(&last.tokens, last.dim, last.grid, labels, Settings::default());
                self.video.following = Some(Following { follower, labels });
            }
            VideoCommand::Release => self.video.following = None,
            VideoCommand::Refit => self.video.basis = None,
            VideoCommand::Frame { .. } | VideoCommand::Fit => {}
        }
        Ok(VideoEvent::Following { on: self.video.following.is_some() })
    }

    /// Takes the components' basis from a frame, which is no frame of what is followed.
    ///
    /// # Errors
    ///
    /// As [`frame`](Self::frame).
    pub async fn fit_frame(&mut self, image: &Rgb8) -> Result<VideoEvent, Error> {
        let before = std::mem::take(&mut self.video);
        let seen = self.frame(image).await;
        let basis = self.video.basis.take().or(before.basis);
        self.video = State { basis, ..before };
        seen?;
        Ok(VideoEvent::Following { on: self.video.following.is_some() })
    }

    /// Sees a frame.
    ///
    /// # Errors
    ///
    /// [`EngineError::NoModel`], or the device's.
    pub async fn frame(&mut self, image: &Rgb8) -> Result<Frame, Error> {
        let start = self.now();
        let model = self.model.as_ref().ok_or(EngineError::NoModel)?;
        let pixels = preprocess(image, model.preprocess(), model.device())?;
        let [_, _, height, width] = pixels.dims();
        model.check_size(height, width)?;
        let output = model.forward(pixels.clone(), &mut Trace::none());
        let grid = output.grid;
        let [_, n, dim] = output.patches.dims();
        let patches: Tensor<2> = output.patches.reshape([n, dim]);

        // A model of another width needs another basis.
        let fitted = self.video.basis.take().filter(|fitted| fitted.basis.mean.dims()[1] == dim);
        let (scores, fresh) = match &fitted {
            Some(fitted) => (fitted.basis.apply(patches.clone()), None),
            None => {
                let found = pca(patches.clone());
                (found.scores, Some(found.basis))
            }
        };
        // One way home for all: tokens first, then the scores beside them.
        let together = readback(Tensor::cat(vec![patches.clone(), scores.clone()], 1)).await?; // [N, D + 3]
        let (mut tokens, mut host) = (Vec::with_capacity(n * dim), Vec::with_capacity(n * COMPONENTS));
        for row in together.chunks_exact(dim + COMPONENTS) {
            tokens.extend_from_slice(&row[..dim]);
            host.extend_from_slice(&row[dim..]);
        }
        let fitted = match (fitted, fresh) {
            (Some(fitted), _) => fitted,
            (None, Some(basis)) => {
                let column = |index: usize| host.iter().copied().skip(index).step_by(COMPONENTS);
                let extreme =
                    |pick: fn(f32, f32) -> f32| std::array::from_fn(|index| column(index).reduce(pick).unwrap_or(0.0));
                Fitted { basis, low: extreme(f32::min), high: extreme(f32::max) }
            }
            (None, None) => return Err(EngineError::NoModel.into()),
        };
        let explained = explained(&tokens, &host, dim);
        let followed = self.video.following.as_mut().map(|following| {
            let found = following.follower.follow(&tokens, grid);
            if !following.labels.fits(dim, grid) {
                let labels = region(&found.likeness, grid, found.patch, found.score);
                following.labels = Propagation::new(&tokens, dim, grid, labels, Settings::default());
            }
            let labels = following.labels.next(&tokens);
            (found, labels)
        });
        let palette = self.palette;
        let picture = |colouring, values: Tensor<2>, host_values: Vec<f32>| Picture {
            colouring,
            palette,
            summary: Summary { grid, ..Summary::default() },
            patch_size: model.config().patch_size,
            opacity: 1.0,
            low: fitted.low,
            high: fitted.high,
            recipe: model.preprocess().clone(),
            pixels: pixels.clone(),
            values: Some(values),
            host_values,
            ranges: None,
            host_ranges: Vec::new(),
            tiles: [1, 1],
        };
        let input = picture(Colouring::Rgb, scores.clone(), Vec::new());
        let input = Picture { colouring: Colouring::Image, opacity: 0.0, values: None, ..input };
        let components = picture(Colouring::Rgb, scores, host);
        let likeness = followed.as_ref().map(|(found, _)| {
            let values =
                Tensor::from_data(burn::tensor::TensorData::new(found.likeness.clone(), [n, 1]), &patches.device());
            let picture = picture(Colouring::Heatmap, values, found.likeness.clone());
            Picture { opacity: OVERLAY, low: [0.0; 3], high: [1.0; 3], ..picture }
        });
        let followed = followed.map(|(found, labels)| Followed {
            patch: found.patch,
            score: found.score,
            lost: found.lost,
            region: (0..n as u32).filter(|&patch| labels[patch as usize] > BELONGS).collect(),
            range: range(&found.likeness),
        });
        self.video.basis = Some(fitted);
        self.video.last = Some(Last { tokens, dim, grid });
        let millis = self.now() - start;
        Ok(Frame { input, components, likeness, event: VideoEvent::Frame { grid, millis, explained, followed } })
    }
}

fn range(values: &[f32]) -> [f32; 2] {
    let pick = |pick: fn(f32, f32) -> f32| values.iter().copied().reduce(pick).unwrap_or(0.0);
    [pick(f32::min), pick(f32::max)]
}

/// The share of the tokens' variance that their scores hold.
fn explained(tokens: &[f32], scores: &[f32], dim: usize) -> f32 {
    fn spread(values: &[f32], dim: usize) -> f64 {
        let n = (values.len() / dim).max(1) as f64;
        let mut means = vec![0.0; dim];
        for row in values.chunks_exact(dim) {
            means.iter_mut().zip(row).for_each(|(mean, &x)| *mean += f64::from(x) / n);
        }
        let square = |row: &[f32]| row.iter().zip(&means).map(|(&x, mean)| (f64::from(x) - mean).powi(2)).sum::<f64>();
        values.chunks_exact(dim).map(square).sum()
    }
    let all = spread(tokens, dim);
    if all > 0.0 { (spread(scores, COMPONENTS) / all) as f32 } else { 0.0 }
}
