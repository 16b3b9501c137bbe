//! DINOv2's and MAE's augmentation, as torchvision does it on PIL images: every operation rounds to bytes.
//!
//! Chance and pixels are apart: [`CropPlan::draw`] says what shall happen to a crop, [`apply`] does it. So the same
//! plan can be drawn again from its stream, shown to a reader, or carried out elsewhere.
//! The recipe is `dinov2:data/augmentations.py` (webssl specification §3.2) and `mae:main_pretrain.py` (§4.2). The
//! operations are those of torchvision's `functional_pil` and Pillow's C: `Blend.c`, `Convert.c`, `Resample.c`.

use crate::config::Crops;
use crate::image::{Filter, Rgb8, resize};
use crate::rng::Stream;

/// Least and most width over height of a crop, torchvision's default.
const RATIO: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];
/// Draws of a rectangle before the centre is taken, torchvision's.
const TRIES: usize = 10;
/// Least and most standard deviation of the blur in pixels, DINOv2's.
const SIGMA: [f64; 2] = [0.1, 2.0];
/// Pixels on each side of the blurred one: DINOv2's kernel is 9 x 9 whatever the deviation.
const BLUR_RADIUS: usize = 4;
/// Added to a small number and taken away again it leaves a whole one.
const ROUNDING: f32 = (1 << 23) as f32;
/// Bytes from here on are inverted by solarisation, DINOv2's.
const SOLARIZE_THRESHOLD: u8 = 128;

/// Which crop of an image it is; each kind has its own size and its own chances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CropKind {
    /// DINOv2's first global crop.
    Global1,
    /// DINOv2's second global crop.
    Global2,
    /// One of DINOv2's local crops.
    Local,
    /// MAE's only crop: a rectangle and a mirror image, no colours.
    Mae,
}

/// A rectangle of the image, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

/// One change of colour and by how much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Adjust {
    /// Factor on all bytes.
    Brightness(f64),
    /// Factor on the distance to the mean grey.
    Contrast(f64),
    /// Factor on the distance to the pixel's own grey.
    Saturation(f64),
    /// Turn of the colour wheel, from -0.5 to 0.5.
    Hue(f64),
}

/// What happens to one crop, in the order of the fields.
#[derive(Debug, Clone, PartialEq)]
pub struct CropPlan {
    /// The part of the image that is taken.
    pub rect: Rect,
    /// Side of the square that it becomes.
    pub size: u32,
    /// Whether it is mirrored, left and right.
    pub hflip: bool,
    /// Changes of colour, one after another; empty is none.
    pub jitter: Vec<Adjust>,
    /// Whether it loses its colours.
    pub grayscale: bool,
    /// Standard deviation of a blur, in pixels.
    pub blur: Option<f64>,
    /// Whether bright bytes are inverted.
    pub solarize: bool,
}

impl CropPlan {
    /// A plan for one crop of an image of `width` x `height` pixels.
    ///
    /// # Panics
    /// If the image has no pixels.
    pub fn draw(crops: &Crops, kind: CropKind, width: u32, height: u32, stream: &mut Stream) -> Self {
        assert!(width > 0 && height > 0, "a crop of {width} x {height} pixels");
        let (size, scale) = match kind {
            CropKind::Local => (crops.local_size, crops.local_scale),
            _ => (crops.global_size, crops.global_scale),
        };
        let mut plan = Self {
            rect: random_rect(width, height, scale, stream),
            size: size as u32,
            hflip: stream.chance(crops.hflip),
            jitter: Vec::new(),
            grayscale: false,
            blur: None,
            solarize: false,
        };
        let place = match kind {
            CropKind::Global1 => 0,
            CropKind::Global2 => 1,
            CropKind::Local => 2,
            CropKind::Mae => return plan,
        };
        if stream.chance(crops.color_jitter) {
            plan.jitter = random_jitter(crops.jitter, stream);
        }
        plan.grayscale = stream.chance(crops.grayscale);
        plan.blur = stream.chance(crops.blur[place]).then(|| stream.between(SIGMA[0], SIGMA[1]));
        plan.solarize = stream.chance(crops.solarize[place]);
        plan
    }
}

/// torchvision's `RandomResizedCrop.get_params`: an area within `scale`, an aspect within 3/4..4/3, and a place; where
/// ten draws do not fit, the largest central rectangle of a permitted aspect.
fn random_rect(width: u32, height: u32, scale: [f64; 2], stream: &mut Stream) -> Rect {
    let (w, h) = (f64::from(width), f64::from(height));
    for _ in 0..TRIES {
        let area = w * h * stream.between(scale[0], scale[1]);
        let aspect = stream.between(RATIO[0].ln(), RATIO[1].ln()).exp();
        // Python's round: half to even.
        let (cut_w, cut_h) = ((area * aspect).sqrt().round_ties_even(), (area / aspect).sqrt().round_ties_even());
        if cut_w >= 1.0 && cut_w <= w && cut_h >= 1.0 && cut_h <= h {
            let (cut_w, cut_h) = (cut_w as u32, cut_h as u32);
            let y = stream.below((height - cut_h) as usize + 1) as u32;
            let x = stream.below((width - cut_w) as usize + 1) as u32;
            return Rect { x, y, width: cut_w, height: cut_h };
        }
    }
    let (cut_w, cut_h) = if w / h < RATIO[0] {
        (width, (w / RATIO[0]).round_ties_even() as u32)
    } else if w / h > RATIO[1] {
        ((h * RATIO[1]).round_ties_even() as u32, height)
    } else {
        (width, height)
    };
    Rect { x: (width - cut_w) / 2, y: (height - cut_h) / 2, width: cut_w, height: cut_h }
}

/// torchvision's `ColorJitter.get_params`: a factor each, a random order; what cannot change is left out.
fn random_jitter(most: [f64; 4], stream: &mut Stream) -> Vec<Adjust> {
    let factor = |most: f64, stream: &mut Stream| stream.between((1.0 - most).max(0.0), 1.0 + most);
    let mut jitter = vec![
        Adjust::Brightness(factor(most[0], stream)),
        Adjust::Contrast(factor(most[1], stream)),
        Adjust::Saturation(factor(most[2], stream)),
        Adjust::Hue(stream.between(-most[3], most[3])),
    ];
    stream.shuffle(&mut jitter);
    jitter.retain(|adjust| match adjust {
        Adjust::Brightness(_) => most[0] > 0.0,
        Adjust::Contrast(_) => most[1] > 0.0,
        Adjust::Saturation(_) => most[2] > 0.0,
        Adjust::Hue(_) => most[3] > 0.0,
    });
    jitter
}

/// The crop of `image` that `plan` describes, a square of `plan.size` pixels.
///
/// # Panics
/// If the plan's rectangle does not lie within the image.
pub fn apply(plan: &CropPlan, image: &Rgb8) -> Rgb8 {
    let Rect { x, y, width, height } = plan.rect;
    // As PIL: the filter sees the rectangle and nothing around it.
    let mut crop = resize(&image.crop(x, y, width, height), plan.size, plan.size, Filter::Bicubic);
    if plan.hflip {
        hflip(&mut crop);
    }
    for &change in &plan.jitter {
        adjust(&mut crop, change);
    }
    if plan.grayscale {
        grayscale(&mut crop);
    }
    if let Some(sigma) = plan.blur {
        gaussian_blur(&mut crop, sigma);
    }
    if plan.solarize {
        solarize(&mut crop);
    }
    crop
}

/// Pixels to the model's numbers, `[3, height, width]`: scaled to 0..1, then `(x - mean) / std`, all in f32 as
/// torchvision's `ToTensor` and `Normalize`.
///
/// # Panics
/// If `out` has not as many numbers as the image bytes.
pub fn to_tensor_values(image: &Rgb8, mean: [f64; 3], std: [f64; 3], out: &mut [f32]) {
    assert_eq!(out.len(), image.data().len(), "room for {} x {} pixels", image.width(), image.height());
    let plane = out.len() / 3;
    for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
        let (mean, std) = (mean[channel] as f32, std[channel] as f32);
        let table: [f32; 256] = std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        for (value, pixel) in out.iter_mut().zip(image.data().as_chunks::<3>().0) {
            *value = table[usize::from(pixel[channel])];
        }
    }
}

/// Left becomes right.
fn hflip(image: &mut Rgb8) {
    let row = image.width() as usize;
    for row in image.data_mut().as_chunks_mut::<3>().0.chunks_exact_mut(row) {
        row.reverse();
    }
}

/// One change of colour, as torchvision's `adjust_brightness`, `adjust_contrast`, `adjust_saturation`, `adjust_hue`.
fn adjust(image: &mut Rgb8, change: Adjust) {
    match change {
        Adjust::Brightness(factor) => {
            for byte in image.data_mut() {
                *byte = blend(0, *byte, factor as f32);
            }
        }
        Adjust::Contrast(factor) => {
            let mean = mean_grey(image);
            for byte in image.data_mut() {
                *byte = blend(mean, *byte, factor as f32);
            }
        }
        Adjust::Saturation(factor) => {
            for pixel in image.data_mut().as_chunks_mut::<3>().0 {
                let grey = grey(*pixel);
                *pixel = pixel.map(|byte| blend(grey, byte, factor as f32));
            }
        }
        Adjust::Hue(turn) => {
            // numpy's cast to uint8: towards zero, then modulo 256.
            let turn = (turn * 255.0) as i32 as u8;
            for pixel in image.data_mut().as_chunks_mut::<3>().0 {
                let [h, s, v] = hsv_from_rgb(*pixel);
                *pixel = rgb_from_hsv([h.wrapping_add(turn), s, v]);
            }
        }
    }
}

/// Every pixel by its brightness.
fn grayscale(image: &mut Rgb8) {
    for pixel in image.data_mut().as_chunks_mut::<3>().0 {
        *pixel = [grey(*pixel); 3];
    }
}

/// Bytes of 128 and more are inverted.
fn solarize(image: &mut Rgb8) {
    for byte in image.data_mut() {
        if *byte >= SOLARIZE_THRESHOLD {
            *byte = 255 - *byte;
        }
    }
}

/// A Gaussian of 9 x 9 pixels, mirrored at the edges without repeating the edge itself (torch's "reflect").
///
/// Two passes of nine where torchvision takes one of 81: the same sum in another order, so that a byte may differ by
/// one where the exact value lies halfway.
fn gaussian_blur(image: &mut Rgb8, sigma: f64) {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let kernel = gaussian_kernel(sigma);
    let row = width * 3;

    let mut across = vec![0f32; row * height];
    let mut padded = vec![0f32; row + 6 * BLUR_RADIUS];
    for (from, to) in image.data().chunks_exact(row).zip(across.chunks_exact_mut(row)) {
        let from = from.as_chunks::<3>().0;
        for (place, pixel) in padded.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = from[reflect(place as isize - BLUR_RADIUS as isize, width)].map(f32::from);
        }
        for (tap, weight) in kernel.iter().enumerate() {
            for (sum, value) in to.iter_mut().zip(&padded[3 * tap..]) {
                *sum += weight * value;
            }
        }
    }

    let mut sums = vec![0f32; row];
    for (y, to) in image.data_mut().chunks_exact_mut(row).enumerate() {
        sums.fill(0.0);
        for (tap, weight) in kernel.iter().enumerate() {
            let from = reflect((y + tap) as isize - BLUR_RADIUS as isize, height) * row;
            for (sum, value) in sums.iter_mut().zip(&across[from..from + row]) {
                *sum += weight * value;
            }
        }
        for (byte, sum) in to.iter_mut().zip(&sums) {
            // torch.round, half to even: above 2^23 a single has no digits behind the point. `round_ties_even` is a
            // call for each byte where the processor's rounding may not be assumed.
            *byte = (sum + ROUNDING - ROUNDING) as u8;
        }
    }
}

/// torchvision's `_get_gaussian_kernel1d`.
fn gaussian_kernel(sigma: f64) -> [f32; 2 * BLUR_RADIUS + 1] {
    let kernel: [f32; 2 * BLUR_RADIUS + 1] = std::array::from_fn(|tap| {
        let x = (tap as f32 - BLUR_RADIUS as f32) / sigma as f32;
        (-0.5 * x * x).exp()
    });
    let sum: f32 = kernel.iter().sum();
    kernel.map(|weight| weight / sum)
}

/// Where a place outside `0..len` finds itself when the axis is mirrored at its first and last pixel, again and again
/// for an axis shorter than the kernel.
fn reflect(place: isize, len: usize) -> usize {
    let period = 2 * (len as isize - 1).max(1);
    let place = place.rem_euclid(period);
    (if place < len as isize { place } else { period - place }) as usize % len
}

/// Pillow's `Image.blend` of two bytes, `Blend.c`: single precision, cut off behind the point.
fn blend(from: u8, to: u8, alpha: f32) -> u8 {
    // The cast clips, which for factors within 0..1 changes nothing.
    (f32::from(from) + alpha * f32::from(i16::from(to) - i16::from(from))) as u8
}

/// Pillow's `convert("L")`: ITU-R 601 in 16-bit fixed point.
fn grey([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}

/// The mean of all greys, rounded, as `ImageEnhance.Contrast`.
fn mean_grey(image: &Rgb8) -> u8 {
    let pixels = image.data().as_chunks::<3>().0;
    let sum: u64 = pixels.iter().map(|&pixel| u64::from(grey(pixel))).sum();
    (sum as f64 / pixels.len() as f64 + 0.5) as u8
}

/// Pillow's `convert("HSV")`, `Convert.c: rgb2hsv_row`, with its mixture of single and double precision.
fn hsv_from_rgb([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let distance = |byte: u8| f32::from(most - byte) / range;
    let (rc, gc, bc) = (distance(r), distance(g), distance(b));
    let h = if r == most {
        bc - gc
    } else if g == most {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let h = f64::from(h) / 6.0 + 1.0; // from 5/6 to 11/6; C takes its remainder by 1
    let h = (if h >= 1.0 { h - 1.0 } else { h }) as f32;
    let s = range / f32::from(most);
    [(f64::from(h) * 255.0) as u8, (f64::from(s) * 255.0) as u8, most]
}

/// Pillow's way back, `Convert.c: hsv2rgb_row`.
fn rgb_from_hsv([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let sextant = f64::from(h) * 6.0 / 255.0;
    let i = sextant as u8;
    let f = f64::from((sextant - f64::from(i)) as f32);
    let fs = f64::from((f64::from(s) / 255.0) as f32);
    let byte = |value: f64| (f64::from(v) * value + 0.5) as u8; // C's round, for what is not negative
    let (p, q, t) = (byte(1.0 - fs), byte(1.0 - fs * f), byte(1.0 - fs * (1.0 - f)));
    match i % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::rng::Rng;

    const DRAWS: usize = 20_000;

    fn draw(kind: CropKind, width: u32, height: u32) -> Vec<CropPlan> {
        let crops = Config::default().crops;
        let rng = Rng::new(1);
        let one = |i| CropPlan::draw(&crops, kind, width, height, &mut rng.stream("crop", i as u64));
        (0..DRAWS).map(one).collect()
    }

    /// Five standard errors around what is expected.
    #[track_caller]
    fn moments(what: &str, values: impl Iterator<Item = f64>, mean: f64, variance: f64) {
        let values: Vec<f64> = values.collect();
        let count = values.len() as f64;
        let found = values.iter().sum::<f64>() / count;
        let spread = values.iter().map(|value| (value - found).powi(2)).sum::<f64>() / count;
        assert!((found - mean).abs() <= 5.0 * (variance / count).sqrt() + 1e-12, "{what}: mean {found}, not {mean}");
        assert!((spread - variance).abs() <= 0.06 * variance, "{what}: variance {spread}, not {variance}");
    }

    #[track_caller]
    fn frequency(what: &str, plans: &[CropPlan], p: f64, happens: impl Fn(&CropPlan) -> bool) {
        moments(what, plans.iter().map(|plan| f64::from(u8::from(happens(plan)))), p, p * (1.0 - p));
    }

    fn even(range: [f64; 2]) -> (f64, f64) {
        ((range[0] + range[1]) / 2.0, (range[1] - range[0]).powi(2) / 12.0)
    }

    #[test]
    fn every_crop_has_its_own_chances() {
        for (kind, [jitter, grey, blur, solarize]) in [
            (CropKind::Global1, [0.8, 0.2, 0.0, 0.0]),
            (CropKind::Global2, [0.8, 0.2, 0.9, 0.2]),
            (CropKind::Local, [0.8, 0.2, 0.5, 0.0]),
            (CropKind::Mae, [0.0; 4]),
        ] {
            let plans = draw(kind, 500, 400);
            frequency("flip", &plans, 0.5, |plan| plan.hflip);
            frequency("jitter", &plans, jitter, |plan| !plan.jitter.is_empty());
            frequency("grey", &plans, grey, |plan| plan.grayscale);
            frequency("blur", &plans, blur, |plan| plan.blur.is_some());
            frequency("solarize", &plans, solarize, |plan| plan.solarize);
            let size = if kind == CropKind::Local { 96 } else { 224 };
            assert!(plans.iter().all(|plan| plan.size == size && matches!(plan.jitter.len(), 0 | 4)));
        }
    }

    #[test]
    fn factors_and_order_are_torchvisions() {
        let plans = draw(CropKind::Global2, 500, 400);
        let jitter = || plans.iter().flat_map(|plan| plan.jitter.iter());
        for (what, range, factor) in [
            ("brightness", [0.6, 1.4], (|a| if let Adjust::Brightness(f) = a { Some(f) } else { None }) as fn(_) -> _),
            ("contrast", [0.6, 1.4], |a| if let Adjust::Contrast(f) = a { Some(f) } else { None }),
            ("saturation", [0.8, 1.2], |a| if let Adjust::Saturation(f) = a { Some(f) } else { None }),
            ("hue", [-0.1, 0.1], |a| if let Adjust::Hue(f) = a { Some(f) } else { None }),
        ] {
            let (mean, variance) = even(range);
            moments(what, jitter().copied().filter_map(factor), mean, variance);
            // Each operation at each of the four places.
            for place in 0..4 {
                let there = |plan: &CropPlan| plan.jitter.get(place).is_some_and(|&a| factor(a).is_some());
                frequency(what, &plans, 0.8 / 4.0, there);
            }
        }
        let (mean, variance) = even([0.1, 2.0]);
        moments("sigma", plans.iter().filter_map(|plan| plan.blur), mean, variance);

        // What cannot change is left out: a hue turned by nothing still loses colours on its way there and back.
        let mut crops = Config::default().crops;
        (crops.color_jitter, crops.jitter) = (1.0, [0.4, 0.0, 0.0, 0.0]);
        let plan = CropPlan::draw(&crops, CropKind::Local, 50, 50, &mut Rng::new(0).stream("crop", 0));
        assert!(matches!(plan.jitter.as_slice(), [Adjust::Brightness(_)]), "{plan:?}");
    }

    #[test]
    fn rectangles_are_even_in_area_in_log_aspect_and_in_place() {
        // At most 0.32 of a square: no draw fails, so nothing is selected.
        let plans = draw(CropKind::Local, 4000, 4000);
        let each = |of: fn(&Rect) -> f64| plans.iter().map(move |plan| of(&plan.rect));
        let (mean, variance) = even([0.05, 0.32]);
        moments("area", each(|r| f64::from(r.width) * f64::from(r.height) / 16e6), mean, variance);
        let (mean, variance) = even([(3.0f64 / 4.0).ln(), (4.0f64 / 3.0).ln()]);
        moments("aspect", each(|r| (f64::from(r.width) / f64::from(r.height)).ln()), mean, variance);
        let (mean, variance) = even([0.0, 1.0]);
        moments("x", each(|r| f64::from(r.x) / f64::from(4000 - r.width)), mean, variance);
        moments("y", each(|r| f64::from(r.y) / f64::from(4000 - r.height)), mean, variance);
    }

    #[test]
    fn rectangles_stay_inside_whatever_the_image() {
        for (width, height) in [(1, 1), (1, 9), (9, 1), (2, 3), (1000, 10), (10, 1000), (31, 33)] {
            for kind in [CropKind::Global1, CropKind::Local] {
                for Rect { x, y, width: w, height: h } in draw(kind, width, height).iter().map(|plan| plan.rect) {
                    assert!(w > 0 && h > 0 && x + w <= width && y + h <= height, "{w} x {h} at {x}, {y}");
                }
            }
        }
        // No draw of the whole area fits a strip: torchvision's centre.
        let centre = |width, height| random_rect(width, height, [1.0, 1.0], &mut Rng::new(0).stream("crop", 0));
        assert_eq!(centre(1000, 10), Rect { x: 493, y: 0, width: 13, height: 10 });
        assert_eq!(centre(10, 1000), Rect { x: 0, y: 493, width: 10, height: 13 });
    }

    #[test]
    fn mirrored_edges_do_not_repeat_the_edge() {
        let check = |len: usize, expected: &[usize]| {
            let found: Vec<usize> = (-4..len as isize + 4).map(|place| reflect(place, len)).collect();
            assert_eq!(found, expected, "{len}");
        };
        check(6, &[4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 4, 3, 2, 1]);
        check(2, &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        check(1, &[0; 9]);
    }
}
