//! Pillow's `Image.resize`, to the last bit: antialiased bilinear and bicubic in 22-bit fixed point.
//!
//! Every released model was trained on images that Pillow shrank, and its filter differs from a plain bicubic:
//! shrinking widens the kernel (so it averages instead of skipping), the cubic has a = -0.5,
//! and the horizontal pass rounds to bytes before the vertical one starts.
//! Weights that sum to one are rounded to 22 bits and each sum starts at one half, so bytes round to nearest.
//!
//! Our own rather than `fast_image_resize`: it equals Pillow in every byte of the goldens in `tests/suite/image.rs`,
//! and it computes a window of the result without the rest of it:
//! [`resize_window`] gives the crop at the cost of the crop, whatever the aspect ratio of a hostile image.

use std::ops::Range;

use super::Rgb8;

/// The interpolation kernel, by Pillow's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Triangle, `resample = 2`.
    Bilinear,
    /// Cubic with a = -0.5, `resample = 3`.
    Bicubic,
}

impl Filter {
    /// Half the kernel's width, in source pixels when not shrinking.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5; // Pillow's and Keys' choice; PyTorch without antialias uses -0.75
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// Filter weights along one axis: output `i` is the sum of `weights[i * ksize + k] * input[bounds[i][0] + k]`
/// for `k` below `bounds[i][1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Coefficients {
    /// For each output the first input and the number of inputs.
    pub bounds: Vec<[u32; 2]>,
    /// Room for weights an output, the same for all.
    pub ksize: usize,
    /// Weights, `[outputs, ksize]`, those beyond an output's number zero; each row sums to one.
    pub weights: Vec<f32>,
}

/// Weights from `in_size` pixels to `out_size`, for the GPU's `preprocess` kernel.
pub fn coefficients(in_size: u32, out_size: u32, filter: Filter) -> Coefficients {
    let axis = Axis::new(in_size, out_size, filter, 0..out_size);
    Coefficients {
        bounds: axis.bounds,
        ksize: axis.ksize,
        weights: axis.weights.into_iter().map(|weight| weight as f32).collect(),
    }
}

/// Bounds, room and weights from `in_size` pixels to `out_size` as Pillow rounds them, for the GPU's `augment` kernel.
#[cfg_attr(not(feature = "wgpu"), allow(dead_code, reason = "only the GPU's pass takes them from outside"))]
pub(crate) fn fixed_coefficients(in_size: u32, out_size: u32, filter: Filter) -> (Vec<[u32; 2]>, usize, Vec<i32>) {
    let axis = Axis::new(in_size, out_size, filter, 0..out_size);
    let weights = axis.fixed();
    (axis.bounds, axis.ksize, weights)
}

struct Axis {
    bounds: Vec<[u32; 2]>,
    ksize: usize,
    weights: Vec<f64>,
}

impl Axis {
    fn new(in_size: u32, out_size: u32, filter: Filter, window: Range<u32>) -> Self {
        assert!(in_size > 0 && out_size > 0, "resize from {in_size} to {out_size} pixels");
        assert!(window.end <= out_size, "window {window:?} of {out_size} pixels");
        let scale = f64::from(in_size) / f64::from(out_size);
        let widening = scale.max(1.0);
        let support = filter.support() * widening;
        let ksize = support.ceil() as usize * 2 + 1;
        let count = window.len();
        let mut axis = Self { bounds: Vec::with_capacity(count), ksize, weights: vec![0.0; count * ksize] };
        for (out, row) in window.zip(axis.weights.chunks_exact_mut(ksize)) {
            let center = (f64::from(out) + 0.5) * scale;
            // The cast truncates towards zero, as C's does.
            let first = ((center - support + 0.5) as i64).max(0);
            let last = ((center + support + 0.5) as i64).min(i64::from(in_size));
            let taps = (last - first) as usize;
            let mut sum = 0.0;
            for (k, weight) in row[..taps].iter_mut().enumerate() {
                let distance = (k as i64 + first) as f64 - center + 0.5;
                *weight = filter.weight(distance * (1.0 / widening));
                sum += *weight;
            }
            if sum != 0.0 {
                row[..taps].iter_mut().for_each(|weight| *weight /= sum);
            }
            axis.bounds.push([first as u32, taps as u32]);
        }
        axis
    }

    /// The weights as Pillow rounds them.
    fn fixed(&self) -> Vec<i32> {
        let scale = f64::from(1u32 << PRECISION_BITS);
        // Half away from zero, by C's truncating cast.
        self.weights.iter().map(|weight| (weight * scale + 0.5f64.copysign(*weight)) as i32).collect()
    }

    /// Inputs that any output of this axis needs.
    fn inputs(&self) -> Range<u32> {
        let first = self.bounds.iter().map(|bound| bound[0]).min().unwrap_or(0);
        let last = self.bounds.iter().map(|bound| bound[0] + bound[1]).max().unwrap_or(0);
        first..last
    }
}

/// A byte, one bit for overshoot, one for the sign of 32.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// One half: makes the final shift round to nearest.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// `image` at `width` x `height` pixels.
///
/// # Panics
/// If `width` or `height` is zero.
pub fn resize(image: &Rgb8, width: u32, height: u32, filter: Filter) -> Rgb8 {
    resize_window(image, [width, height], 0..width, 0..height, filter)
}

/// The columns `x` and rows `y` of `image` at `size` (width, height), without computing the rest.
///
/// # Panics
/// If the window is empty or reaches beyond `size`.
pub fn resize_window(image: &Rgb8, size: [u32; 2], x: Range<u32>, y: Range<u32>, filter: Filter) -> Rgb8 {
    assert!(!x.is_empty() && !y.is_empty(), "an empty window, {x:?} x {y:?}");
    let horizontal = Axis::new(image.width(), size[0], filter, x.clone());
    let vertical = Axis::new(image.height(), size[1], filter, y.clone());
    let rows = if image.height() == size[1] { y.clone() } else { vertical.inputs() };
    let (in_row, out_row) = (image.width() as usize * 3, x.len() * 3);

    // Across: only the rows that the second pass reads.
    let (start, end) = (rows.start as usize * in_row, rows.end as usize * in_row);
    let source = &image.data()[start..end];
    let mut across = vec![0u8; rows.len() * out_row];
    if image.width() == size[0] {
        let columns = x.start as usize * 3..x.end as usize * 3;
        for (from, to) in source.chunks_exact(in_row).zip(across.chunks_exact_mut(out_row)) {
            to.copy_from_slice(&from[columns.clone()]);
        }
    } else {
        let weights = horizontal.fixed();
        for (from, to) in source.chunks_exact(in_row).zip(across.chunks_exact_mut(out_row)) {
            let from = from.as_chunks::<3>().0;
            let taps = horizontal.bounds.iter().zip(weights.chunks_exact(horizontal.ksize));
            for (pixel, (&[first, count], weights)) in to.as_chunks_mut::<3>().0.iter_mut().zip(taps) {
                let (first, count) = (first as usize, count as usize);
                let mut sums = [HALF; 3];
                for (rgb, &weight) in from[first..first + count].iter().zip(&weights[..count]) {
                    for (sum, &byte) in sums.iter_mut().zip(rgb) {
                        *sum += i32::from(byte) * weight;
                    }
                }
                *pixel = sums.map(to_byte);
            }
        }
    }

    // Down: whole rows at a time, so that the inner loop runs along memory.
    let mut down = vec![0u8; y.len() * out_row];
    if image.height() == size[1] {
        down.copy_from_slice(&across);
    } else {
        let weights = vertical.fixed();
        let taps = vertical.bounds.iter().zip(weights.chunks_exact(vertical.ksize));
        let mut sums = vec![HALF; out_row];
        for (to, (&[first, count], weights)) in down.chunks_exact_mut(out_row).zip(taps) {
            sums.fill(HALF);
            let first = (first - rows.start) as usize * out_row;
            let inputs = across[first..first + count as usize * out_row].chunks_exact(out_row);
            for (from, &weight) in inputs.zip(weights) {
                for (sum, &byte) in sums.iter_mut().zip(from) {
                    *sum += i32::from(byte) * weight;
                }
            }
            for (byte, &sum) in to.iter_mut().zip(&sums) {
                *byte = to_byte(sum);
            }
        }
    }
    Rgb8 { width: x.end - x.start, height: y.end - y.start, data: down }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: u32, height: u32) -> Rgb8 {
        let mut state = 1u32;
        let bytes = (0..width * height * 3).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Rgb8::new(width, height, bytes.collect()).expect("as many bytes as pixels")
    }

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for (from, to) in [(331, 224), (224, 331), (7, 7), (1, 9), (9, 1), (100_000, 3)] {
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                let c = coefficients(from, to, filter);
                assert_eq!(c.bounds.len(), to as usize);
                assert_eq!(c.weights.len(), to as usize * c.ksize);
                for (&[first, count], row) in c.bounds.iter().zip(c.weights.chunks_exact(c.ksize)) {
                    assert!(first + count <= from && count > 0 && count as usize <= c.ksize);
                    let sum: f32 = row.iter().sum();
                    assert!((sum - 1.0).abs() < 1e-4, "{from} -> {to}: {sum}");
                    assert!(row[count as usize..].iter().all(|&weight| weight == 0.0));
                }
            }
        }
    }

    #[test]
    fn the_same_size_is_the_same_image() {
        let image = noise(13, 9);
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            assert_eq!(resize(&image, 13, 9, filter), image);
            // The weights alone are the identity too, also without the short cut.
            let axis = Axis::new(13, 13, filter, 0..13);
            for (i, row) in axis.weights.chunks_exact(axis.ksize).enumerate() {
                let at = i - axis.bounds[i][0] as usize;
                assert_eq!(row[at], 1.0);
            }
        }
    }

    #[test]
    fn a_window_equals_the_same_part_of_the_whole() {
        let image = noise(40, 31);
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            for (w, h) in [(20, 15), (57, 90), (40, 90), (17, 31), (1, 1)] {
                let whole = resize(&image, w, h, filter);
                let (x, y) = (w / 3..w - w / 4, h / 4..h - h / 3);
                let window = resize_window(&image, [w, h], x.clone(), y.clone(), filter);
                let expected: Vec<u8> = y
                    .clone()
                    .flat_map(|row| {
                        let start = (row * w + x.start) as usize * 3;
                        whole.data()[start..start + x.len() * 3].to_vec()
                    })
                    .collect();
                assert_eq!(window.data(), expected, "{w} x {h} {filter:?}");
            }
        }
    }

    #[test]
    fn flat_stays_flat() {
        for value in [0, 1, 127, 254, 255] {
            let image = Rgb8::new(10, 6, vec![value; 180]).expect("a flat image");
            for (w, h) in [(3, 3), (64, 50), (10, 1), (1, 60)] {
                for filter in [Filter::Bilinear, Filter::Bicubic] {
                    let out = resize(&image, w, h, filter);
                    assert!(out.data().iter().all(|&byte| byte == value), "{value} at {w} x {h}");
                }
            }
        }
    }
}
