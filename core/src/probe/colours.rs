//! One basis for the colours of many images: the same thing has the same colour in each of them.
//!
//! Oquab et al., arXiv 2304.07193, figure 1 and its notebooks: principal components of the patch tokens of several
//! images at once; where the first, scaled to 0..1, lies above a threshold is the foreground, whose patches get
//! components of their own. Here basis, signs and the range of the colours are fitted once and then stay.

use burn::tensor::{Int, Tensor, TensorData};
use lab_protocol::Foreground;

use super::pca::{Basis, COMPONENTS, Pca, pca};
use crate::device::readback;
use crate::error::DeviceError;
use crate::kernels::gather_tokens::gather_tokens;

/// Fewer patches than this have no three components worth seeing.
const FEWEST: usize = 8;
/// The value of a patch of the background: far below anything that is drawn.
const BACKGROUND: f32 = -1e31;

/// Scores and the values between which they are drawn.
#[derive(Debug, Clone)]
pub struct Scale {
    basis: Basis,
    /// Drawn darkest.
    pub low: [f32; COMPONENTS],
    /// Drawn brightest.
    pub high: [f32; COMPONENTS],
    /// The share of the variance that each component holds.
    pub explained: [f32; COMPONENTS],
}

/// A basis fitted on the tokens of some images.
#[derive(Debug)]
pub struct Colours {
    /// All of them, `[M, D]`: the foreground is fitted anew when its threshold moves.
    tokens: Tensor<2>,
    /// Their first component.
    first: Vec<f32>,
    whole: Scale,
    subject: Option<(Foreground, Scale)>,
    /// How many images.
    pub images: usize,
}

/// Colours of one image.
#[derive(Debug)]
pub struct Coloured {
    /// `[N, 3]`; a background lies far below anything that is drawn.
    pub values: Tensor<2>,
    /// Between which values to draw, and what they hold.
    pub scale: Scale,
    /// The share of the patches in the foreground, where one was asked for.
    pub foreground: Option<f32>,
}

impl Scale {
    async fn fit(tokens: Tensor<2>) -> Result<(Self, Vec<f32>), DeviceError> {
        let Pca { scores, explained, basis } = pca(tokens);
        let mut host = readback(Tensor::cat(vec![scores, explained], 0)).await?;
        let shares = host.split_off(host.len() - COMPONENTS);
        let column = |index: usize| host.iter().copied().skip(index).step_by(COMPONENTS);
        let fold = |index: usize, pick: fn(f32, f32) -> f32| column(index).reduce(pick).unwrap_or(0.0);
        let scale = Self {
            basis,
            low: std::array::from_fn(|index| fold(index, f32::min)),
            high: std::array::from_fn(|index| fold(index, f32::max)),
            explained: [shares[0], shares[1], shares[2]],
        };
        Ok((scale, column(0).collect()))
    }

    /// The first component the other way round.
    fn turn_first(&mut self) {
        let signs: [f32; COMPONENTS] = std::array::from_fn(|index| if index == 0 { -1.0 } else { 1.0 });
        let directions = &self.basis.directions;
        let signs = TensorData::new(signs.to_vec(), [1, COMPONENTS]);
        self.basis.directions = directions.clone() * Tensor::from_data(signs, &directions.device());
        (self.low[0], self.high[0]) = (-self.high[0], -self.low[0]);
    }

    /// The first component of a score, from 0 to 1 over the images of the fit.
    fn unit(&self, score: f32) -> f32 {
        let range = self.high[0] - self.low[0];
        if range > 0.0 { (score - self.low[0]) / range } else { 0.0 }
    }

    fn is_foreground(&self, score: f32, foreground: Foreground) -> bool {
        (self.unit(score) > foreground.threshold) != foreground.below
    }
}

/// Whether a component is larger along the edges of the pictures than within them; pictures that are no squares have no
/// edges that are known.
fn edges_are_bright(scores: &[f32], images: usize) -> bool {
    let patches = scores.len() / images.max(1);
    let side = patches.isqrt();
    if side < 3 || side * side != patches {
        return false;
    }
    let (mut edge, mut within) = ([0.0; 2], [0.0; 2]); // sum, count
    for (place, &score) in scores.iter().enumerate() {
        let [row, column] = [place % patches / side, place % side];
        let outside = [row, column].iter().any(|&at| at == 0 || at == side - 1);
        let [sum, count] = if outside { &mut edge } else { &mut within };
        (*sum, *count) = (*sum + f64::from(score), *count + 1.0);
    }
    edge[0] / edge[1] > within[0] / within[1]
}

impl Colours {
    /// A basis for tokens `[M, D]` of so many images, each a square of patches row by row.
    ///
    /// The first component's sign, arbitrary by itself, is such that what touches the edges of the pictures is dark: it
    /// is ground more often than what stands within, so that the foreground lies above a threshold.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn fit(tokens: Tensor<2>, images: usize) -> Result<Self, DeviceError> {
        let (mut whole, mut first) = Scale::fit(tokens.clone()).await?;
        if edges_are_bright(&first, images) {
            whole.turn_first();
            first.iter_mut().for_each(|score| *score = -*score);
        }
        Ok(Self { tokens, first, whole, subject: None, images })
    }

    /// The share of the variance that each component holds.
    pub fn explained(&self) -> [f32; COMPONENTS] {
        self.whole.explained
    }

    /// Colours of an image's tokens `[N, D]`, of all or of the foreground only.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn paint(&mut self, tokens: Tensor<2>, foreground: Option<Foreground>) -> Result<Coloured, DeviceError> {
        let scores = self.whole.basis.apply(tokens.clone());
        let Some(foreground) = foreground else {
            return Ok(Coloured { values: scores, scale: self.whole.clone(), foreground: None });
        };
        let scale = self.subject(foreground).await?;
        let first = readback(scores.narrow(1, 0, 1)).await?;
        let inside: Vec<f32> =
            first.iter().map(|&score| f32::from(u8::from(self.whole.is_foreground(score, foreground)))).collect();
        let share = inside.iter().sum::<f32>() / inside.len().max(1) as f32;
        let inside = Tensor::<2>::from_data(TensorData::new(inside, [first.len(), 1]), &tokens.device());
        let outside = (inside.clone() * -1.0 + 1.0) * BACKGROUND; // [N, 1]
        let values = scale.basis.apply(tokens) * inside + outside;
        Ok(Coloured { values, scale, foreground: Some(share) })
    }

    /// The basis of the foreground of all images of the fit.
    async fn subject(&mut self, foreground: Foreground) -> Result<Scale, DeviceError> {
        if let Some((known, scale)) = &self.subject
            && *known == foreground
        {
            return Ok(scale.clone());
        }
        let inside: Vec<i32> = (0..)
            .zip(&self.first)
            .filter(|(_, score)| self.whole.is_foreground(**score, foreground))
            .map(|(place, _)| place)
            .collect();
        let scale = if inside.len() < FEWEST {
            self.whole.clone()
        } else {
            let ([m, d], count) = (self.tokens.dims(), inside.len());
            let ids = Tensor::<2, Int>::from_data(TensorData::new(inside, [1, count]), &self.tokens.device());
            let chosen = gather_tokens(self.tokens.clone().reshape([1, m, d]), ids).reshape([count, d]);
            Scale::fit(chosen).await?.0
        };
        self.subject = Some((foreground, scale.clone()));
        Ok(scale)
    }
}
