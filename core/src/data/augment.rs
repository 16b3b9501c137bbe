//! Drawing the augmentation of DINOv2 and MAE: which part of an image, which colours, how often.
//!
//! Chance and pixels are apart: [`draw`] says what shall happen to a crop, [`apply`] does it. So the same plan can be
//! drawn again from its stream, shown to a reader, or carried out elsewhere.
//! The recipe is `dinov2:data/augmentations.py` (webssl specification §3.2) and `mae:main_pretrain.py` (§4.2); torch's
//! random numbers are others, their distributions the same.

use crate::config::Crops;
pub use crate::image::augment::{Adjust, CropPlan, Rect, apply, to_tensor_values};
use crate::rng::Stream;

/// Least and most width over height of a crop, torchvision's default.
const RATIO: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];
/// Draws of a rectangle before the centre is taken, torchvision's.
const TRIES: usize = 10;
/// Least and most standard deviation of the blur in pixels, DINOv2's.
const SIGMA: [f64; 2] = [0.1, 2.0];

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

/// A plan for one crop of an image of `width` x `height` pixels.
///
/// # Panics
/// If the image has no pixels.
pub fn draw(crops: &Crops, kind: CropKind, width: u32, height: u32, stream: &mut Stream) -> CropPlan {
    assert!(width > 0 && height > 0, "a crop of {width} x {height} pixels");
    let (size, scale) = match kind {
        CropKind::Local => (crops.local_size, crops.local_scale),
        _ => (crops.global_size, crops.global_scale),
    };
    let mut plan = CropPlan {
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
///
/// Factors are multiples of 2^-14, some 13 000 of them where torch has a few more: their product with a byte is exact
/// in single precision, so that a GPU that fuses product and sum gives the same bytes as the CPU.
fn random_jitter(most: [f64; 4], stream: &mut Stream) -> Vec<Adjust> {
    let factor = |most: f64, stream: &mut Stream| {
        (stream.between((1.0 - most).max(0.0), 1.0 + most) * 16_384.0).round_ties_even() / 16_384.0
    };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::rng::Rng;

    const DRAWS: usize = 20_000;

    fn drawn(kind: CropKind, width: u32, height: u32) -> Vec<CropPlan> {
        let crops = Config::default().crops;
        let rng = Rng::new(1);
        let one = |i| super::draw(&crops, kind, width, height, &mut rng.stream("crop", i as u64));
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
            let plans = drawn(kind, 500, 400);
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
        let plans = drawn(CropKind::Global2, 500, 400);
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
        let plan = super::draw(&crops, CropKind::Local, 50, 50, &mut Rng::new(0).stream("crop", 0));
        assert!(matches!(plan.jitter.as_slice(), [Adjust::Brightness(_)]), "{plan:?}");
    }

    #[test]
    fn rectangles_are_even_in_area_in_log_aspect_and_in_place() {
        // At most 0.32 of a square: no draw fails, so nothing is selected.
        let plans = drawn(CropKind::Local, 4000, 4000);
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
                for Rect { x, y, width: w, height: h } in drawn(kind, width, height).iter().map(|plan| plan.rect) {
                    assert!(w > 0 && h > 0 && x + w <= width && y + h <= height, "{w} x {h} at {x}, {y}");
                }
            }
        }
        // No draw of the whole area fits a strip: torchvision's centre.
        let centre = |width, height| random_rect(width, height, [1.0, 1.0], &mut Rng::new(0).stream("crop", 0));
        assert_eq!(centre(1000, 10), Rect { x: 493, y: 0, width: 13, height: 10 });
        assert_eq!(centre(10, 1000), Rect { x: 0, y: 493, width: 10, height: 13 });
    }
}
