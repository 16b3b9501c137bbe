//! Which patches are hidden: iBOT's blocks as DINOv2 draws them, and MAE's random, block and grid masks.
//!
//! DINOv2: `dinov2:data/masking.py` and `data/collate.py` (webssl specification §3.3). MAE: arXiv 2111.06377, figure 6.
//! A grid is square and counted row by row; true means hidden.

use crate::config::{Config, MaskingKind};
use crate::models::mae::{Masking, kept};
use crate::rng::Stream;

/// Least patches of a block, DINOv2's.
const MIN_NUM_PATCHES: f64 = 4.0;
/// Least and most height over width of a block, DINOv2's.
const ASPECT: [f64; 2] = [0.3, 1.0 / 0.3];
/// Draws of a block before a mask is left as it is, DINOv2's.
const TRIES: usize = 10;

/// iBOT's masks for the global crops of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct IbotMasks {
    /// True where a patch is hidden, `[2B, N]`, in the order of the crops.
    pub masks: Vec<bool>,
    /// Places of the hidden patches in `masks`, rising, `[M]`.
    pub indices: Vec<i32>,
    /// One over the number of hidden patches of the same crop, `[M]`.
    pub weights: Vec<f32>,
    /// No batch of this size hides more patches: the fixed length of DINOv2's buffers.
    pub upperbound: usize,
}

impl IbotMasks {
    /// The masks of equal shares of the images, in order: each crop-major again.
    ///
    /// # Panics
    ///
    /// When there are no equal shares.
    pub fn deal(self, shares: usize) -> Vec<Self> {
        if shares == 1 {
            return vec![self];
        }
        let images = self.masks.len() / 2; // [B, N] numbers each crop
        assert!(images.is_multiple_of(shares), "{images} patches of masks for {shares} shares");
        let each = images / shares;
        let deal = |share: usize| {
            let ranges = [0, images].map(|crop| crop + share * each..crop + (share + 1) * each);
            let masks = ranges.iter().flat_map(|range| self.masks[range.clone()].iter().copied()).collect();
            let (mut indices, mut weights) = (Vec::new(), Vec::new());
            for (crop, range) in ranges.iter().enumerate() {
                for (&index, &weight) in self.indices.iter().zip(&self.weights) {
                    if range.contains(&(index as usize)) {
                        indices.push((index as usize - range.start + crop * each) as i32);
                        weights.push(weight);
                    }
                }
            }
            Self { masks, indices, weights, upperbound: self.upperbound }
        };
        (0..shares).map(deal).collect()
    }

    /// Masks for the two global crops of each of `images` images.
    ///
    /// A share of the crops is masked, each with a ratio from its own part of the configured range; the others stay
    /// whole. A mask may fall a patch or two short of its ratio, as DINOv2's do.
    pub fn draw(config: &Config, images: usize, stream: &mut Stream) -> Self {
        let (size, patch, ibot) = (config.crops.global_size, config.model.patch_size, &config.ibot);
        let (side, crops) = (size / patch, 2 * images);
        let patches = side * side;
        let masked = (crops as f64 * ibot.mask_sample_probability) as usize;
        let edges = linspace(ibot.mask_ratio_min_max, masked + 1);
        let most = max_num_patches(size, patch);

        let (mut drawn, mut upperbound) = (Vec::with_capacity(crops), 0);
        for edge in edges.windows(2).take(masked) {
            let target = (patches as f64 * stream.between(edge[0], edge[1])) as usize;
            drawn.push(blocks(side, target, most, stream));
            upperbound += (patches as f64 * edge[1]) as usize;
        }
        drawn.resize(crops, vec![false; patches]);
        stream.shuffle(&mut drawn);

        let (mut indices, mut weights) = (Vec::new(), Vec::new());
        for (crop, mask) in drawn.iter().enumerate() {
            let hidden = (0..patches).filter(|&place| mask[place]).map(|place| (crop * patches + place) as i32);
            let before = indices.len();
            indices.extend(hidden);
            let count = indices.len() - before;
            weights.resize(indices.len(), 1.0 / count.max(1) as f32);
        }
        Self { masks: drawn.concat(), indices, weights, upperbound }
    }
}

/// torch's `linspace` of `[least, most]` in `count` numbers, in single precision like DINOv2's: from both ends to the
/// middle.
fn linspace(range: [f64; 2], count: usize) -> Vec<f64> {
    let (start, end) = (range[0] as f32, range[1] as f32);
    let step = (end - start) / count.saturating_sub(1).max(1) as f32;
    let at = |i: usize| if i < count / 2 { start + step * i as f32 } else { end - step * (count - 1 - i) as f32 };
    (0..count).map(|i| f64::from(at(i))).collect()
}

/// Most patches of a block, DINOv2's `0.5 * img_size // patch_size * img_size // patch_size`, from left to right:
/// 128 of 256 at 224/14, but 666 of 1369 at 518/14.
fn max_num_patches(size: usize, patch: usize) -> usize {
    let (size, patch) = (size as f64, patch as f64);
    ((0.5 * size / patch).floor() * size / patch).floor() as usize
}

/// A mask of `side * side` patches, blocks laid over each other until `target` are hidden or no block fits.
fn blocks(side: usize, target: usize, most: usize, stream: &mut Stream) -> Vec<bool> {
    let (mut mask, mut hidden) = (vec![false; side * side], 0);
    while hidden < target {
        let added = add_block(&mut mask, side, (target - hidden).min(most), stream);
        if added == 0 {
            break;
        }
        hidden += added;
    }
    mask
}

/// Hides one more block that adds at most `cap` patches; returns how many it added, 0 after ten misfits.
fn add_block(mask: &mut [bool], side: usize, cap: usize, stream: &mut Stream) -> usize {
    for _ in 0..TRIES {
        // Near the end `cap` is below the least area: the range then runs downwards, as Python's `random.uniform`.
        let area = stream.between(MIN_NUM_PATCHES, cap as f64);
        let aspect = stream.between(ASPECT[0].ln(), ASPECT[1].ln()).exp();
        // Python's round: half to even.
        let rows = (area * aspect).sqrt().round_ties_even() as usize;
        let columns = (area / aspect).sqrt().round_ties_even() as usize;
        if rows >= side || columns >= side {
            continue;
        }
        let (top, left) = (stream.below(side - rows + 1), stream.below(side - columns + 1));
        let block = |row: usize| row * side + left..row * side + left + columns;
        let new = (top..top + rows).flat_map(block).filter(|&place| !mask[place]).count();
        if new > 0 && new <= cap {
            (top..top + rows).for_each(|row| mask[block(row)].fill(true));
            return new;
        }
    }
    0
}

/// MAE's masks for `images` images, all with the same number of shown patches.
///
/// Every kind shows `int(N (1 - mask_ratio))` patches.
pub fn mae_masking(config: &Config, images: usize, stream: &mut Stream) -> Masking {
    let (size, patch, ratio) = (config.crops.global_size, config.model.patch_size, config.mae.mask_ratio);
    let side = size / patch;
    let patches = side * side;
    match config.mae.masking {
        MaskingKind::Random => {
            let noise: Vec<f32> = (0..images * patches).map(|_| stream.uniform() as f32).collect();
            Masking::from_noise(&noise, images, ratio)
        }
        MaskingKind::Block => {
            let hidden = patches - kept(patches, ratio);
            let most = max_num_patches(size, patch);
            let masks: Vec<bool> = (0..images).flat_map(|_| filled_blocks(side, hidden, most, stream)).collect();
            Masking::from_masks(&masks, images)
        }
        MaskingKind::Grid => {
            let masks: Vec<bool> = (0..images).flat_map(|_| grid(side, ratio, stream)).collect();
            Masking::from_masks(&masks, images)
        }
    }
}

/// Blocks that hide exactly `target` patches: what no block can fill is taken patch by patch, at random.
fn filled_blocks(side: usize, target: usize, most: usize, stream: &mut Stream) -> Vec<bool> {
    let mut mask = blocks(side, target, most, stream);
    let mut shown: Vec<usize> = (0..mask.len()).filter(|&place| !mask[place]).collect();
    stream.shuffle(&mut shown);
    let missing = shown.len() - (mask.len() - target);
    shown[..missing].iter().for_each(|&place| mask[place] = true);
    mask
}

/// Patches shown as evenly as their number allows, in the order of Bayer's dither matrix, shifted at random: a quarter is
/// every second patch of every second row (MAE's grid at 75 %), a half is a chequerboard, and so on.
fn grid(side: usize, ratio: f64, stream: &mut Stream) -> Vec<bool> {
    /// Of the matrix's side: more patches than any picture has on an axis.
    const BITS: u32 = 16;
    let shown = kept(side * side, ratio).clamp(1, side * side);
    // A shift by less than the period of what can be seen.
    let period = side.next_power_of_two();
    let (down, right) = (stream.below(period), stream.below(period));
    let rank = |place: usize| {
        let (row, column) = ((place / side + down) as u64, (place % side + right) as u64);
        (0..BITS).fold(0u64, |rank, bit| (rank << 2) | ((row ^ column) >> bit & 1) << 1 | (row >> bit & 1))
    };
    let mut order: Vec<usize> = (0..side * side).collect();
    order.sort_by_key(|&place| rank(place));
    let mut hidden = vec![true; side * side];
    order[..shown].iter().for_each(|&place| hidden[place] = false);
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Method;
    use crate::rng::Rng;

    fn config(size: usize, patch: usize) -> Config {
        let mut config = Config::default();
        (config.crops.global_size, config.model.patch_size) = (size, patch);
        config
    }

    #[test]
    fn numbers_of_dinov2s_own_sizes() {
        for (size, patch, expected) in [(224, 14, 128), (224, 16, 98), (378, 14, 351), (518, 14, 666)] {
            assert_eq!(max_num_patches(size, patch), expected, "{size}/{patch}");
        }
        // `torch.linspace(0.1, 0.5, 65)`: ends, and the places where the two halves meet.
        let edges = linspace([0.1, 0.5], 65);
        for (at, expected) in [(0, 0.1f32), (31, 0.293_75), (32, 0.3), (33, 0.306_25), (64, 0.5)] {
            assert!((edges[at] as f32 - expected).abs() < 5e-8, "{at}: {}", edges[at]);
        }
        assert_eq!(linspace([0.1, 0.5], 1).len(), 1);
    }

    #[test]
    fn ibot_masks_are_dinov2s_in_share_and_number() {
        let (images, patches) = (64, 256);
        let config = config(224, 14);
        let (mut total, mut short, rounds) = (0, 0, 20);
        for round in 0..rounds {
            let drawn = IbotMasks::draw(&config, images, &mut Rng::new(1).stream("mask", round));
            assert_eq!(drawn.masks.len(), 2 * images * patches);
            assert_eq!(drawn.upperbound, 4941, "webssl specification 3.3");
            let counts: Vec<usize> =
                drawn.masks.chunks_exact(patches).map(|mask| mask.iter().filter(|&&hidden| hidden).count()).collect();
            assert_eq!(counts.iter().filter(|&&count| count > 0).count(), 64, "half of the crops");
            // Sorted, each count lies in its own part of 0.1..0.5, a patch or two short at most now and then.
            let mut sorted: Vec<usize> = counts.into_iter().filter(|&count| count > 0).collect();
            sorted.sort_unstable();
            for (i, &count) in sorted.iter().enumerate() {
                let edge = |i: usize| 256.0 * (0.1 + 0.4 * i as f64 / 64.0);
                assert!(count as f64 <= edge(i + 1) && count as f64 >= edge(i) - 6.0, "{i}: {count}");
                short += usize::from((count as f64) < edge(i).floor());
            }
            total += sorted.iter().sum::<usize>();
            assert!(drawn.indices.len() <= drawn.upperbound);
        }
        let share = total as f64 / (rounds as usize * 2 * images * patches) as f64;
        // 0.149 by simulation; a mask of 64 strata varies by less than a patch each, so the mean of 1280 by far less.
        assert!((share - 0.149).abs() < 0.001, "{share}");
        // Some 9% miss their target, and only those whose target is the least of its part fall below that part.
        assert!(short < 1280 / 10, "{short} of 1280");
    }

    #[test]
    fn indices_and_weights_say_what_the_masks_say() {
        let mut config = config(64, 16);
        config.ibot.mask_sample_probability = 1.0;
        for images in 1..6 {
            let drawn = IbotMasks::draw(&config, images, &mut Rng::new(2).stream("mask", images as u64));
            let hidden: Vec<i32> = (0..drawn.masks.len()).filter(|&i| drawn.masks[i]).map(|i| i as i32).collect();
            assert_eq!(drawn.indices, hidden);
            assert_eq!(drawn.weights.len(), hidden.len());
            for crop in 0..2 * images {
                let of_crop = |(index, _): &(&i32, &f32)| **index as usize / 16 == crop;
                let weights: Vec<f32> =
                    drawn.indices.iter().zip(&drawn.weights).filter(of_crop).map(|(_, w)| *w).collect();
                let sum: f32 = weights.iter().sum();
                assert!(weights.is_empty() || (sum - 1.0).abs() < 1e-6, "crop {crop}: {sum}");
            }
        }
        config.ibot.mask_sample_probability = 0.0;
        let none = IbotMasks::draw(&config, 3, &mut Rng::new(2).stream("mask", 0));
        assert!(none.indices.is_empty() && none.weights.is_empty() && none.upperbound == 0);
        assert_eq!(none.masks, [false; 6 * 16]);
    }

    #[test]
    fn the_first_block_is_a_rectangle_and_later_ones_only_add() {
        let side = 16;
        let mut stream = Rng::new(3).stream("blocks", 0);
        for _ in 0..500 {
            let mut mask = vec![false; side * side];
            let mut hidden = 0;
            for cap in [90, 40, 10, 3, 1] {
                let before = mask.clone();
                let added = add_block(&mut mask, side, cap, &mut stream);
                assert!(added <= cap);
                assert!(before.iter().zip(&mask).all(|(before, now)| !before || *now), "nothing is shown again");
                let new: Vec<usize> = (0..side * side).filter(|&i| mask[i] && !before[i]).collect();
                assert_eq!(new.len(), added);
                // The new ones and what they overlap fill their bounding box; it is smaller than the image.
                let (rows, columns) = (new.iter().map(|i| i / side), new.iter().map(|i| i % side));
                let (Some(top), Some(bottom)) = (rows.clone().min(), rows.max()) else { continue };
                let (left, right) = (columns.clone().min().expect("new"), columns.max().expect("new"));
                for row in top..=bottom {
                    assert!((left..=right).all(|column| mask[row * side + column]));
                }
                assert!(bottom - top + 1 < side && right - left + 1 < side);
                hidden += added;
            }
            assert_eq!(mask.iter().filter(|&&hidden| hidden).count(), hidden);
        }
    }

    fn mae(size: usize, ratio: f64, masking: MaskingKind) -> Config {
        let mut config = config(size, 16);
        (config.method, config.mae.mask_ratio, config.mae.masking) = (Method::Mae, ratio, masking);
        config
    }

    #[test]
    fn mae_shows_as_many_patches_in_every_image() {
        for masking in [MaskingKind::Random, MaskingKind::Block] {
            for (size, ratio) in [(224, 0.75), (224, 0.4), (160, 0.9), (32, 0.5), (32, 0.75)] {
                let (config, images) = (mae(size, ratio, masking), 9);
                let drawn = mae_masking(&config, images, &mut Rng::new(4).stream("mask", 0));
                let patches = (size / 16) * (size / 16);
                let kept = (patches as f64 * (1.0 - ratio)) as usize;
                assert_eq!(
                    (drawn.batch, drawn.patches, drawn.kept),
                    (images, patches, kept),
                    "{masking:?} {size} {ratio}"
                );
                assert_eq!(drawn.ids_keep.len(), images * kept);
                for (image, mask) in drawn.mask.chunks_exact(patches).enumerate() {
                    assert_eq!(mask.iter().sum::<f32>() as usize, patches - kept);
                    let ids = &drawn.ids_keep[image * kept..][..kept];
                    assert!(ids.iter().all(|&id| mask[id as usize] == 0.0));
                }
            }
        }
    }

    #[test]
    fn mae_blocks_hang_together_and_random_masks_do_not() {
        // Neighbours side by side with the same fate: 0.625 by chance at 0.75, far more in blocks.
        let alike = |masking| {
            let drawn = mae_masking(&mae(224, 0.75, masking), 50, &mut Rng::new(5).stream("mask", 0));
            let rows = drawn.mask.chunks_exact(14);
            let pairs = rows.flat_map(|row| row.windows(2)).map(|pair| f64::from(u8::from(pair[0] == pair[1])));
            pairs.sum::<f64>() / f64::from(50 * 14 * 13)
        };
        let (random, block) = (alike(MaskingKind::Random), alike(MaskingKind::Block));
        assert!((random - 0.625).abs() < 0.02, "{random}");
        assert!(block > 0.8, "{block}");
    }

    #[test]
    fn a_grid_is_regular() {
        let draw = |size, ratio| {
            let drawn = mae_masking(&mae(size, ratio, MaskingKind::Grid), 8, &mut Rng::new(6).stream("mask", 0));
            let side = size / 16;
            let hides = |mask: &[f32]| mask.iter().map(|&hidden| hidden == 1.0).collect::<Vec<_>>();
            (side, drawn.kept, drawn.mask.chunks_exact(side * side).map(hides).collect::<Vec<_>>())
        };
        // As many as at random, whatever the ratio.
        for (size, ratio) in [(224, 0.75), (208, 0.75), (224, 0.6), (224, 0.25), (32, 0.75), (128, 0.4), (224, 0.99)] {
            let (side, kept, masks) = draw(size, ratio);
            assert_eq!(kept, ((side * side) as f64 * (1.0 - ratio)) as usize, "{size} {ratio}");
            for mask in &masks {
                assert_eq!(mask.iter().filter(|hidden| !**hidden).count(), kept, "{size} {ratio}");
            }
            assert!(side < 4 || masks.iter().any(|mask| *mask != masks[0]), "{size} {ratio}: never shifted");
        }
        // A quarter shown is every second patch of every second row.
        let (side, _, masks) = draw(224, 0.75);
        for mask in masks {
            let places: Vec<usize> = (0..side * side).filter(|&place| !mask[place]).collect();
            let alike =
                |place: &usize| (place / side % 2, place % side % 2) == (places[0] / side % 2, places[0] % side % 2);
            assert!(places.iter().all(alike));
        }
        // A half is a chequerboard.
        let (side, _, masks) = draw(224, 0.5);
        for mask in masks {
            assert!((0..side * side).all(|place| mask[place] == (mask[0] == ((place / side + place % side) % 2 == 0))));
        }
    }
}
