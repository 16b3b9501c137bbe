//! Following one thing through frames by its features alone: where is the patch most like what was clicked?
//!
//! The query is the mean of the clicked patch's neighbourhood. In each frame the box of three by three patches whose
//! tokens are most like it is taken for the thing, and the query moves a little towards what is found there, so that it
//! keeps up with turns and light; where the likeness falls too low the thing is lost and the query stays.

use super::knn::{dot, unit};

/// Share of what is found that goes into the query, a frame.
const UPDATE: f32 = 0.1;
/// Below this share of the first likeness the thing counts as lost.
const LOST: f32 = 0.6;
/// How much a jump over the whole picture costs, in cosine: among equals the near one is it.
const JUMP: f32 = 0.1;

/// A thing that is followed.
#[derive(Debug, Clone)]
pub struct Follower {
    query: Vec<f32>,
    /// Likeness at the click.
    first: f32,
    at: u32,
}

/// Where it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The patch in the middle, row by row.
    pub patch: u32,
    /// Mean cosine of the box with the query.
    pub score: f32,
    /// It is most likely out of sight.
    pub lost: bool,
    /// Cosine of every patch with the query, `[rows * columns]`.
    pub cosines: Vec<f32>,
}

impl Follower {
    /// Begins with a click on `patch` of a frame's tokens `[rows * columns, dim]`.
    pub fn click(tokens: &[f32], dim: usize, grid: [usize; 2], patch: u32) -> Self {
        let unit = unit(tokens, dim);
        let query = mean(&unit, dim, grid, patch);
        let cosines = cosines(&unit, dim, &query);
        Self { first: box_mean(&cosines, grid, patch).max(1e-3), query, at: patch }
    }

    /// The vector that is looked for, of length 1.
    pub fn query(&self) -> &[f32] {
        &self.query
    }

    /// Says where it is, where that is known better.
    pub fn stay_at(&mut self, patch: u32) {
        self.at = patch;
    }

    /// Finds it in the next frame.
    pub fn follow(&mut self, tokens: &[f32], dim: usize, grid: [usize; 2]) -> Found {
        let unit = unit(tokens, dim);
        let cosines = cosines(&unit, dim, &self.query);
        let [rows, columns] = grid;
        let far = ((rows * rows + columns * columns) as f32).sqrt().max(1.0);
        let place = |patch: u32| [patch as usize / columns.max(1), patch as usize % columns.max(1)];
        let from = place(self.at);
        let score = |patch: u32| {
            let to = place(patch);
            let way = (from[0].abs_diff(to[0]).pow(2) + from[1].abs_diff(to[1]).pow(2)) as f32;
            box_mean(&cosines, grid, patch) - JUMP * way.sqrt() / far
        };
        let patches = 0..(rows * columns) as u32;
        let best = patches.max_by(|&a, &b| score(a).total_cmp(&score(b)).then(b.cmp(&a))).unwrap_or(0);
        let found = box_mean(&cosines, grid, best);
        let lost = found < LOST * self.first;
        if !lost {
            self.at = best;
            let now = mean(&unit, dim, grid, best);
            let moved: Vec<f32> = self.query.iter().zip(&now).map(|(q, n)| (1.0 - UPDATE) * q + UPDATE * n).collect();
            self.query = super::knn::unit(&moved, dim);
        }
        Found { patch: best, score: found, lost, cosines }
    }
}

fn cosines(unit: &[f32], dim: usize, query: &[f32]) -> Vec<f32> {
    unit.chunks_exact(dim).map(|row| dot(row, query)).collect()
}

/// The patches of the box around one, inside the grid.
fn around([rows, columns]: [usize; 2], patch: u32) -> impl Iterator<Item = usize> {
    let (row, column) = (patch as usize / columns.max(1), patch as usize % columns.max(1));
    let near = |at: usize, count: usize| at.saturating_sub(1)..(at + 2).min(count);
    near(row, rows).flat_map(move |row| near(column, columns).map(move |column| row * columns + column))
}

/// The mean token of a box, of length 1.
fn mean(tokens: &[f32], dim: usize, grid: [usize; 2], patch: u32) -> Vec<f32> {
    let mut sum = vec![0.0; dim];
    for index in around(grid, patch) {
        sum.iter_mut().zip(&tokens[index * dim..][..dim]).for_each(|(sum, x)| *sum += x);
    }
    unit(&sum, dim)
}

fn box_mean(values: &[f32], grid: [usize; 2], patch: u32) -> f32 {
    let (sum, count) = around(grid, patch).fold((0.0, 0), |(sum, count), index| (sum + values[index], count + 1));
    sum / count.max(1) as f32
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rng::Rng;

    pub(crate) const GRID: [usize; 2] = [10, 12];
    pub(crate) const DIM: usize = 16;

    /// A frame of noise with a thing of three by three patches in the middle of `at`; `turn` changes its features.
    pub(crate) fn frame(at: [usize; 2], turn: f32, seed: u64) -> Vec<f32> {
        let mut stream = Rng::new(seed).stream("frame", 0);
        let mut tokens: Vec<f32> = (0..GRID[0] * GRID[1] * DIM).map(|_| 0.5 * stream.normal() as f32).collect();
        for index in around(GRID, (at[0] * GRID[1] + at[1]) as u32) {
            let token = &mut tokens[index * DIM..][..DIM];
            for (place, value) in token.iter_mut().enumerate() {
                *value = 0.2 * *value + (place as f32 * 0.9 + turn).sin() * 2.0;
            }
        }
        tokens
    }

    #[test]
    fn a_thing_is_followed_while_it_moves_and_turns() {
        let mut follower = Follower::click(&frame([2, 2], 0.0, 1), DIM, GRID, (2 * GRID[1] + 2) as u32);
        for step in 1..7 {
            let at = [2 + step / 2, 2 + step];
            // In the end it has turned so far that the first view alone would no longer know it half as well.
            let found = follower.follow(&frame(at, 0.12 * step as f32, step as u64 + 1), DIM, GRID);
            assert_eq!(found.patch as usize, at[0] * GRID[1] + at[1], "step {step}");
            assert!(!found.lost && found.score > 0.6, "{}", found.score);
        }
    }

    #[test]
    fn what_is_gone_is_lost_and_found_again() {
        let mut follower = Follower::click(&frame([4, 4], 0.0, 1), DIM, GRID, (4 * GRID[1] + 4) as u32);
        let mut stream = Rng::new(9).stream("empty", 0);
        let empty: Vec<f32> = (0..GRID[0] * GRID[1] * DIM).map(|_| stream.normal() as f32).collect();
        let before = follower.query().to_vec();
        assert!(follower.follow(&empty, DIM, GRID).lost);
        assert_eq!(follower.query(), before);
        let found = follower.follow(&frame([7, 9], 0.1, 3), DIM, GRID);
        assert_eq!((found.patch as usize, found.lost), (7 * GRID[1] + 9, false));
    }
}
