//! Label propagation through frames, as DINO evaluates video segmentation (`eval_video_segmentation.py`, after Jabri et
//! al., arXiv 2006.14613): each patch of a new frame takes its label from the most alike patches near its place in the
//! first frame and in the last few.

use std::collections::VecDeque;

use super::knn::{dot, unit};

/// How labels travel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Frames remembered beside the first; DINO keeps 7.
    pub context: usize,
    /// How far a label may travel in a frame, in patches; DINO allows 12 of about 60, here as much of a smaller grid.
    pub radius: usize,
    /// The most alike patches that are asked; DINO asks 5.
    pub top: usize,
    /// Temperature of the votes; DINO's 0.1.
    pub temperature: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { context: 4, radius: 4, top: 5, temperature: 0.1 }
    }
}

/// The frames that are asked.
#[derive(Debug, Clone)]
pub struct Propagation {
    settings: Settings,
    dim: usize,
    grid: [usize; 2],
    first: Frame,
    last: VecDeque<Frame>,
}

#[derive(Debug, Clone)]
struct Frame {
    /// Tokens of length 1.
    unit: Vec<f32>,
    /// How much of each patch belongs to the thing, 0 to 1.
    labels: Vec<f32>,
}

impl Propagation {
    /// Begins with a frame's tokens `[rows * columns, dim]` and its labels `[rows * columns]`.
    pub fn new(tokens: &[f32], dim: usize, grid: [usize; 2], labels: Vec<f32>, settings: Settings) -> Self {
        assert!(labels.len() * dim == tokens.len() && labels.len() == grid[0] * grid[1], "propagate: {grid:?}");
        Self { settings, dim, grid, first: Frame { unit: unit(tokens, dim), labels }, last: VecDeque::new() }
    }

    /// Whether a frame of this grid and width can follow.
    pub fn fits(&self, dim: usize, grid: [usize; 2]) -> bool {
        self.dim == dim && self.grid == grid
    }

    /// The labels of the next frame.
    pub fn next(&mut self, tokens: &[f32]) -> Vec<f32> {
        let (Settings { context, radius, top, temperature }, [rows, columns]) = (self.settings, self.grid);
        let unit = unit(tokens, self.dim);
        let mut labels = Vec::with_capacity(rows * columns);
        let mut asked: Vec<(f32, f32)> = Vec::new();
        for (patch, token) in unit.chunks_exact(self.dim).enumerate() {
            let (row, column) = (patch / columns, patch % columns);
            asked.clear();
            for frame in std::iter::once(&self.first).chain(&self.last) {
                for row in row.saturating_sub(radius)..(row + radius + 1).min(rows) {
                    for column in column.saturating_sub(radius)..(column + radius + 1).min(columns) {
                        let other = row * columns + column;
                        let cosine = dot(token, &frame.unit[other * self.dim..][..self.dim]);
                        asked.push((cosine, frame.labels[other]));
                    }
                }
            }
            if top < asked.len() {
                asked.select_nth_unstable_by(top, |a, b| b.0.total_cmp(&a.0));
                asked.truncate(top);
            }
            let most = asked.iter().map(|(cosine, _)| *cosine).fold(f32::NEG_INFINITY, f32::max);
            let (votes, sum) = asked.iter().fold((0.0, 0.0), |(votes, sum), (cosine, label)| {
                let weight = ((cosine - most) / temperature).exp();
                (votes + weight * label, sum + weight)
            });
            labels.push(votes / sum);
        }
        if self.last.len() == context {
            self.last.pop_front();
        }
        if context > 0 {
            self.last.push_back(Frame { unit, labels: labels.clone() });
        }
        labels
    }
}

/// Patches most like one, joined to it without a gap: what a click means by "this thing".
pub fn region(cosines: &[f32], [rows, columns]: [usize; 2], patch: u32, least: f32) -> Vec<f32> {
    let mut labels = vec![0.0; cosines.len()];
    let mut waiting = vec![patch as usize];
    while let Some(at) = waiting.pop() {
        if labels[at] > 0.0 || (cosines[at] < least && at != patch as usize) {
            continue;
        }
        labels[at] = 1.0;
        let (row, column) = (at / columns, at % columns);
        waiting.extend((row > 0).then(|| at - columns));
        waiting.extend((row + 1 < rows).then_some(at + columns));
        waiting.extend((column > 0).then(|| at - 1));
        waiting.extend((column + 1 < columns).then_some(at + 1));
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::super::follow::tests::{DIM, GRID, frame};
    use super::*;

    fn inside(at: [usize; 2]) -> Vec<f32> {
        (0..GRID[0] * GRID[1])
            .map(|patch| {
                let [row, column] = [patch / GRID[1], patch % GRID[1]];
                f32::from(u8::from(row.abs_diff(at[0]) <= 1 && column.abs_diff(at[1]) <= 1))
            })
            .collect()
    }

    #[test]
    fn labels_travel_with_the_features() {
        let mut propagation = Propagation::new(&frame([2, 2], 0.0, 1), DIM, GRID, inside([2, 2]), Settings::default());
        for step in 1..7 {
            let at = [2 + step / 2, 2 + step];
            let found = propagation.next(&frame(at, 0.1 * step as f32, step as u64 + 1));
            let truth = inside(at);
            // Intersection over union of what is more than half the thing; where it began they no longer meet.
            let overlap = |labels: &[f32]| {
                let both = labels.iter().zip(&truth).filter(|(f, t)| **f > 0.5 && **t > 0.5).count();
                let either = labels.iter().zip(&truth).filter(|(f, t)| **f > 0.5 || **t > 0.5).count();
                both as f64 / either as f64
            };
            assert!(overlap(&found) >= 0.6, "step {step}: {}", overlap(&found));
            assert!(step < 4 || overlap(&inside([2, 2])) < 0.1);
        }
    }

    #[test]
    fn a_region_is_of_one_piece() {
        let cosines = [0.9, 0.8, 0.1, 0.9, 0.1, 0.1, 0.1, 0.9];
        assert_eq!(region(&cosines, [2, 4], 0, 0.5), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(region(&cosines, [2, 4], 7, 0.5), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(region(&cosines, [2, 4], 2, 0.5).iter().sum::<f32>(), 5.0);
    }
}
