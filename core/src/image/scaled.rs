//! Photographs decoded at a half, a quarter or an eighth of their size, for crops that end up small anyway.
//!
//! A JPEG keeps blocks of 8 x 8 cosines; from the lowest 4, 2 or 1 of each axis come 4, 2 or 1 pixels, the others are
//! never computed (libjpeg's `scale_denom`, Pillow's `draft`). So a crop of 224 pixels of a photograph of 4000 costs
//! neither the full inverse transform, nor the memory of 12 megapixels, nor a filter over all of them. It is for training
//! alone: `embed` and `parity` must see the whole picture.

use super::Rgb8;
use super::augment::{CropPlan, Rect};
use super::decode::{Opened, open};
use super::limits::Limits;

pub use super::jpeg::WHOLE;
use crate::error::ImageError;

/// Eighths of the size that the codec can decode to.
const EIGHTHS: [u32; 4] = [1, 2, 4, 8];

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, as [`decode`](super::decode()) gives it.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Whether [`decode_scaled`] can decode less than the whole: JPEG.
    pub scales: bool,
}

/// Reads a file's header; `limits` hold for the whole picture.
///
/// # Errors
/// As [`decode`](super::decode()).
pub fn header(bytes: &[u8], limits: &Limits) -> Result<Header, ImageError> {
    let mut opened = open(bytes, limits)?;
    let [width, height] = opened.size();
    Ok(Header { width, height, scales: matches!(opened, Opened::Jpeg(_)) })
}

/// The least part of the picture's size, in eighths, at which every crop still has as many pixels as it ends up with.
pub fn eighths(plans: &[CropPlan]) -> u32 {
    let enough = |part: u32| {
        let holds = |side: u32, size: u32| u64::from(side) * u64::from(part) >= u64::from(size) * u64::from(WHOLE);
        plans.iter().all(|plan| holds(plan.rect.width, plan.size) && holds(plan.rect.height, plan.size))
    };
    EIGHTHS.into_iter().find(|&part| enough(part)).unwrap_or(WHOLE)
}

/// A plan for the whole picture as one for the picture at `eighths` of its size.
pub fn scale_plan(plan: &CropPlan, header: Header, eighths: u32) -> CropPlan {
    let along = |from: u32, length: u32, all: u32| {
        let all = scaled(all, eighths);
        let place = |at: u32| ((u64::from(at) * u64::from(eighths) + 4) / 8) as u32;
        let start = place(from).min(all - 1);
        (start, place(from + length).clamp(start + 1, all) - start)
    };
    let (x, width) = along(plan.rect.x, plan.rect.width, header.width);
    let (y, height) = along(plan.rect.y, plan.rect.height, header.height);
    CropPlan { rect: Rect { x, y, width, height }, ..plan.clone() }
}

/// Decodes a file at 1, 2, 4 or 8 eighths of its size, each side rounded up; what is no JPEG is decoded whole.
/// Orientation from EXIF is applied.
///
/// # Errors
/// As [`decode`](super::decode()).
pub fn decode_scaled(bytes: &[u8], limits: &Limits, eighths: u32) -> Result<Rgb8, ImageError> {
    open(bytes, limits)?.decode(eighths)
}

/// A side at a part of its size.
fn scaled(side: u32, eighths: u32) -> u32 {
    (side * eighths).div_ceil(WHOLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(x: u32, y: u32, width: u32, height: u32, size: u32) -> CropPlan {
        let rect = Rect { x, y, width, height };
        CropPlan { rect, size, hflip: true, jitter: vec![], grayscale: false, blur: None, solarize: true }
    }

    #[test]
    fn the_scale_is_the_least_that_every_crop_bears() {
        for (side, size, expected) in [
            (2240, 224, 1),
            (1792, 224, 1),
            (1791, 224, 2),
            (896, 224, 2),
            (895, 224, 4),
            (448, 224, 4),
            (447, 224, 8),
            (100, 224, 8),
        ] {
            assert_eq!(eighths(&[plan(0, 0, side, 3000, size)]), expected, "{side}");
            assert_eq!(eighths(&[plan(0, 0, 3000, 3000, 96), plan(0, 0, 3000, side, size)]), expected, "{side}");
        }
    }

    #[test]
    fn scaled_plans_lie_where_they_lay() {
        let mut random = 1u32;
        let mut below = |most: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % most
        };
        for _ in 0..2000 {
            let (width, height) = (1 + below(5000), 1 + below(5000));
            let header = Header { width, height, scales: true };
            let (x, y) = (below(width), below(height));
            let whole = plan(x, y, 1 + below(width - x), 1 + below(height - y), 224);
            for part in EIGHTHS {
                let small = scale_plan(&whole, header, part);
                let (rect, all) = (small.rect, [scaled(width, part), scaled(height, part)]);
                assert!(rect.width > 0 && rect.height > 0, "{whole:?} at {part}: {rect:?}");
                assert!(
                    rect.x + rect.width <= all[0] && rect.y + rect.height <= all[1],
                    "{whole:?} at {part}: {rect:?}"
                );
                for (small, large) in [
                    (rect.x, whole.rect.x),
                    (rect.y, whole.rect.y),
                    (rect.x + rect.width, whole.rect.x + whole.rect.width),
                    (rect.y + rect.height, whole.rect.y + whole.rect.height),
                ] {
                    let exact = f64::from(large) * f64::from(part) / 8.0;
                    // Half a pixel of rounding, and one where the rectangle would be none.
                    assert!((f64::from(small) - exact).abs() <= 1.5, "{small} for {exact}");
                }
                assert_eq!((small.size, small.hflip, small.solarize), (224, true, true));
            }
        }
    }
}
