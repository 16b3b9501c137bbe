//! Augmentation of pictures, as torchvision does it on PIL images: every operation rounds to bytes.
//!
//! A [`CropPlan`] says what shall happen to a crop, [`apply`] does it; what is drawn how often is not known here.
//! The operations are those of torchvision's `functional_pil` and Pillow's C: `Blend.c`, `Convert.c`, `Resample.c`.
//! The GPU's way is the kernel `augment`.

use super::{Filter, Rgb8, resize};

/// Pixels on each side of the blurred one: DINOv2's kernel is 9 x 9 whatever the deviation.
const BLUR_RADIUS: usize = 4;
/// Added to a small number and taken away again it leaves a whole one.
const ROUNDING: f32 = (1 << 23) as f32;
/// Bytes from here on are inverted by solarisation, DINOv2's.
const SOLARIZE_THRESHOLD: u8 = 128;

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
            let turn = hue_turn(turn);
            for pixel in image.data_mut().as_chunks_mut::<3>().0 {
                let [h, s, v] = hsv_from_rgb(*pixel);
                *pixel = rgb_from_hsv([h.wrapping_add(turn), s, v]);
            }
        }
    }
}

/// What is added to a hue's byte: numpy's cast to uint8, towards zero, then modulo 256.
pub(crate) fn hue_turn(turn: f64) -> u8 {
    (turn * 255.0) as i32 as u8
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
pub(crate) fn gaussian_kernel(sigma: f64) -> [f32; 2 * BLUR_RADIUS + 1] {
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

/// Exact hues at which Pillow's floats fall short, so that its byte is one less: bit `h % 32` of word `h / 32`.
/// The shader `augment` has the same words.
const SHORT_HUES: [u32; 8] = [0xffff_fffe, 0, 0x1100_0000, 0x0000_0111, 0x222a_aaaa, 0x2323_2222, 0x0002_2222, 0];

/// Pillow's `convert("HSV")`, in whole numbers that give the bytes of its floats for every colour.
fn hsv_from_rgb([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most == least {
        return [0, 0, most];
    }
    let range = i32::from(most - least);
    let less = |a: u8, b: u8| i32::from(a) - i32::from(b);
    // Red, green and blue at 0, 85 and 170; 255 is added so that everything stays above 0.
    let (base, difference) = if r == most {
        (255, less(g, b))
    } else if g == most {
        (255 + 85, less(b, r))
    } else {
        (255 + 170, less(r, g))
    };
    let numerator = base * 2 * range + 85 * difference;
    let hue = numerator / (2 * range);
    let exact = hue * 2 * range == numerator;
    let hue = (if hue >= 255 { hue - 255 } else { hue }) as u8;
    let short = exact && SHORT_HUES[usize::from(hue / 32)] >> (hue % 32) & 1 == 1;
    [hue - u8::from(short), (255 * range / i32::from(most)) as u8, most]
}

/// Pillow's way back, likewise.
fn rgb_from_hsv([h, s, v]: [u8; 3]) -> [u8; 3] {
    if s == 0 {
        return [v; 3];
    }
    let (sextant, saturation, value) = (6 * u32::from(h), u32::from(s), u32::from(v));
    let part = sextant % 255;
    let p = ((2 * value * (255 - saturation) + 255) / 510) as u8;
    let falling = |part: u32| ((2 * value * (65_025 - saturation * part) + 65_025) / 130_050) as u8; // 65 025: 255 squared
    let (q, t) = (falling(part), falling(255 - part));
    match sextant / 255 % 6 {
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

    #[test]
    fn whole_numbers_give_the_bytes_of_pillows_floats_for_every_colour() {
        for colour in 0..1u32 << 24 {
            let [a, b, c, _] = colour.to_le_bytes();
            assert_eq!(hsv_from_rgb([a, b, c]), rgb2hsv([a, b, c]), "{colour:06x}");
            assert_eq!(rgb_from_hsv([a, b, c]), hsv2rgb([a, b, c]), "{colour:06x}");
        }
    }

    /// `Convert.c: rgb2hsv_row`, with its mixture of single and double precision.
    fn rgb2hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
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

    /// `Convert.c: hsv2rgb_row`.
    fn hsv2rgb([h, s, v]: [u8; 3]) -> [u8; 3] {
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
}
