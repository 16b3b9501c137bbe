//! Following one thing through frames by its features alone: where is the place most like what was clicked?
//!
//! What is looked for are the nine tokens around the click, each in its place. What all patches of the first frame share,
//! their mean, is taken off: it tells no patch from another, and in a network that has learned little it is most of every
//! token. The likeness of a place is the mean cosine of its nine tokens with them.
//!
//! It is looked for near the place where it was last. What is looked for is mostly the first look and, by a little, a slow
//! average of the later ones: that keeps up with turns and light and does not wander off to a look-alike. Where nothing
//! near is like it, it is lost: then the last place stays, the window grows from frame to frame, and only what is more like
//! it than a thing in sight must be is it again.

use super::knn::{dot, unit};

/// How far from the last place it is looked for, in patches; doubled with every second frame without it, so that one bad
/// frame does not lead far away.
const REACH: usize = 2;
/// How much a step of one patch costs, in likeness: among equals the near one is it.
const STEP: f32 = 0.05;
/// Below this likeness the thing counts as lost.
const LOST: f32 = 0.4;
/// From this likeness on a lost thing counts as found.
const BACK: f32 = 0.5;
/// Share of the first look in what is looked for.
const FIRST: f32 = 0.7;
/// Share of what is found that goes into the average of later looks, a frame.
const UPDATE: f32 = 0.05;

/// The tokens around a patch, from the upper left; nothing beyond the border.
type Look = [Vec<f32>; 9];

/// A thing that is followed.
#[derive(Debug, Clone)]
pub struct Follower {
    /// What the patches of the first frame share.
    mean: Vec<f32>,
    first: Look,
    later: Look,
    grid: [usize; 2],
    at: u32,
    /// Frames in a row without it.
    missing: u32,
}

/// Where it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The patch in the middle, row by row; the last one while it is lost.
    pub patch: u32,
    /// Likeness of the best place in the window.
    pub score: f32,
    /// It is most likely out of sight.
    pub lost: bool,
    /// Likeness of every place, `[rows * columns]`.
    pub likeness: Vec<f32>,
}

impl Follower {
    /// Begins with a click on `patch` of a frame's tokens `[rows * columns, dim]`.
    pub fn click(tokens: &[f32], dim: usize, grid: [usize; 2], patch: u32) -> Self {
        let count = (tokens.len() / dim).max(1) as f32;
        let mut mean = vec![0.0; dim];
        tokens.chunks_exact(dim).for_each(|row| mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x / count));
        let first = look(&centred(tokens, &mean), dim, grid, patch);
        Self { mean, later: first.clone(), first, grid, at: patch, missing: 0 }
    }

    /// Cosine of every patch with all that was clicked at once, `[rows * columns]`: which patches may be of the same thing.
    pub fn alike(&self, tokens: &[f32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.mean.len()];
        self.first.iter().for_each(|token| sum.iter_mut().zip(token).for_each(|(sum, x)| *sum += x));
        let query = unit(&sum, sum.len());
        centred(tokens, &self.mean).chunks_exact(query.len()).map(|row| dot(row, &query)).collect()
    }

    /// Finds it in the next frame.
    pub fn follow(&mut self, tokens: &[f32], grid: [usize; 2]) -> Found {
        let dim = self.mean.len();
        let tokens = centred(tokens, &self.mean);
        let likeness = likeness(&tokens, dim, grid, &self.wanted());
        let [rows, columns] = grid;
        let place = |patch: u32, columns: usize| [patch as usize / columns.max(1), patch as usize % columns.max(1)];
        if grid != self.grid {
            // Another shape of frames: the same share of the way.
            let [row, column] = place(self.at, self.grid[1]);
            self.at = (row * rows / self.grid[0].max(1) * columns + column * columns / self.grid[1].max(1)) as u32;
            self.grid = grid;
        }
        let reach = REACH << (self.missing / 2).min(16);
        let from = place(self.at, columns);
        let way = |patch: u32| {
            let to = place(patch, columns);
            [from[0].abs_diff(to[0]), from[1].abs_diff(to[1])]
        };
        let value = |patch: u32| {
            let [down, right] = way(patch).map(|way| way as f32);
            likeness[patch as usize] - STEP * down.hypot(right) / (1 + self.missing) as f32
        };
        let near = (0..(rows * columns) as u32).filter(|&patch| way(patch).into_iter().all(|way| way <= reach));
        let best = near.max_by(|&a, &b| value(a).total_cmp(&value(b)).then(b.cmp(&a))).unwrap_or(0);
        let score = likeness[best as usize];
        let lost = score < if self.missing > 0 { BACK } else { LOST };
        if lost {
            self.missing += 1;
        } else {
            (self.missing, self.at) = (0, best);
            let now = look(&tokens, dim, grid, best);
            self.later.iter_mut().zip(&now).for_each(|(later, now)| *later = mix(later, now, UPDATE));
        }
        Found { patch: self.at, score, lost, likeness }
    }

    /// What is looked for.
    fn wanted(&self) -> Look {
        std::array::from_fn(|cell| unit(&mix(&self.later[cell], &self.first[cell], FIRST), self.mean.len()))
    }
}

/// Tokens without what they share, of length 1.
fn centred(tokens: &[f32], mean: &[f32]) -> Vec<f32> {
    let rest: Vec<f32> = tokens.iter().zip(mean.iter().cycle()).map(|(x, mean)| x - mean).collect();
    unit(&rest, mean.len())
}

/// The patch in a cell of the three by three around another; nothing beyond the border.
fn neighbour([rows, columns]: [usize; 2], patch: usize, cell: usize) -> Option<usize> {
    let row = (patch / columns + cell / 3).checked_sub(1).filter(|&row| row < rows)?;
    let column = (patch % columns + cell % 3).checked_sub(1).filter(|&column| column < columns)?;
    Some(row * columns + column)
}

/// The tokens around a patch.
fn look(tokens: &[f32], dim: usize, grid: [usize; 2], patch: u32) -> Look {
    let token = |index: usize| tokens[index * dim..][..dim].to_vec();
    std::array::from_fn(|cell| neighbour(grid, patch as usize, cell).map(token).unwrap_or_default())
}

/// The mean cosine of the tokens around every patch with those of a look, where both have one.
fn likeness(tokens: &[f32], dim: usize, grid: [usize; 2], wanted: &Look) -> Vec<f32> {
    let cosines = |token: &Vec<f32>| tokens.chunks_exact(dim).map(|row| dot(row, token)).collect::<Vec<_>>();
    let cells: Vec<(usize, Vec<f32>)> = wanted
        .iter()
        .enumerate()
        .filter(|(_, token)| !token.is_empty())
        .map(|(cell, token)| (cell, cosines(token)))
        .collect();
    let mean = |patch: usize| {
        let there = cells.iter().filter_map(|(cell, cosines)| Some(cosines[neighbour(grid, patch, *cell)?]));
        let (sum, count) = there.fold((0.0, 0), |(sum, count), cosine| (sum + cosine, count + 1));
        sum / count.max(1) as f32
    };
    (0..grid[0] * grid[1]).map(mean).collect()
}

/// A token moved by a share towards another; one that is beyond the border in either stays.
fn mix(from: &[f32], to: &[f32], share: f32) -> Vec<f32> {
    if to.len() != from.len() {
        return from.to_vec();
    }
    from.iter().zip(to).map(|(from, to)| (1.0 - share) * from + share * to).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rng::Rng;

    pub(crate) const GRID: [usize; 2] = [10, 12];
    pub(crate) const DIM: usize = 16;

    /// A frame of noise.
    fn noise(seed: u64) -> Vec<f32> {
        let mut stream = Rng::new(seed).stream("frame", 0);
        (0..GRID[0] * GRID[1] * DIM).map(|_| 0.5 * stream.normal() as f32).collect()
    }

    /// Puts a thing of three by three patches into a frame, in the middle of `at`; `turn` changes its features.
    fn put(tokens: &mut [f32], at: [usize; 2], turn: f32) {
        for index in (0..9).filter_map(|cell| neighbour(GRID, patch(at) as usize, cell)) {
            let token = &mut tokens[index * DIM..][..DIM];
            for (place, value) in token.iter_mut().enumerate() {
                *value = 0.2 * *value + (place as f32 * 0.9 + turn).sin() * 2.0;
            }
        }
    }

    /// A frame of noise with a thing.
    pub(crate) fn frame(at: [usize; 2], turn: f32, seed: u64) -> Vec<f32> {
        let mut tokens = noise(seed);
        put(&mut tokens, at, turn);
        tokens
    }

    fn patch([row, column]: [usize; 2]) -> u32 {
        (row * GRID[1] + column) as u32
    }

    #[test]
    fn a_thing_is_followed_while_it_moves_and_turns() {
        let mut follower = Follower::click(&frame([2, 2], 0.0, 1), DIM, GRID, patch([2, 2]));
        for step in 1..7 {
            let at = [2 + step / 2, 2 + step];
            let found = follower.follow(&frame(at, 0.12 * step as f32, step as u64 + 1), GRID);
            assert_eq!(found.patch, patch(at), "step {step}");
            assert!(!found.lost && found.score > 0.6, "{}", found.score);
        }
    }

    #[test]
    fn a_moving_thing_is_told_from_look_alikes_that_stand_still() {
        let scene = |at: Option<[usize; 2]>, turn: f32, seed: u64| {
            let mut tokens = noise(seed);
            // One is the very thing as it was clicked, and far; the other is less like it, and on the way.
            put(&mut tokens, [8, 10], 0.0);
            put(&mut tokens, [5, 5], 1.2);
            if let Some(at) = at {
                put(&mut tokens, at, turn);
            }
            tokens
        };
        let mut follower = Follower::click(&scene(Some([1, 1]), 0.0, 1), DIM, GRID, patch([1, 1]));
        for step in 1..8 {
            let at = [1, 1 + step];
            let found = follower.follow(&scene(Some(at), 0.07 * step as f32, step as u64 + 1), GRID);
            assert_eq!((found.patch, found.lost), (patch(at), false), "step {step}: {}", found.score);
        }
        // It is gone: the place stays where it was, whatever else is in the picture.
        let found = follower.follow(&scene(None, 0.0, 20), GRID);
        assert_eq!((found.patch, found.lost), (patch([1, 8]), true), "{}", found.score);
    }

    #[test]
    fn what_is_gone_is_lost_and_looked_for_further_out() {
        let mut follower = Follower::click(&frame([4, 4], 0.0, 1), DIM, GRID, patch([4, 4]));
        let before = follower.wanted();
        let place = |found: Found| (found.patch, found.lost);
        assert_eq!(place(follower.follow(&noise(9), GRID)), (patch([4, 4]), true));
        assert_eq!(follower.wanted(), before);
        // Back, but far from where it was: not at once.
        for seed in 3..6 {
            assert_eq!(place(follower.follow(&frame([7, 10], 0.1, seed), GRID)), (patch([4, 4]), true));
        }
        assert_eq!(place(follower.follow(&frame([7, 10], 0.1, 6), GRID)), (patch([7, 10]), false));
    }

    #[test]
    fn a_thing_at_the_border_is_followed_along_it() {
        let mut follower = Follower::click(&frame([0, 3], 0.0, 1), DIM, GRID, patch([0, 3]));
        for step in 1..5 {
            let found = follower.follow(&frame([0, 3 + step], 0.0, step as u64 + 1), GRID);
            assert_eq!((found.patch, found.lost), (patch([0, 3 + step]), false), "step {step}");
        }
    }
}
