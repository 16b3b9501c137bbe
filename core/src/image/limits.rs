//! What an image may cost, asked before anything is allocated.

use crate::error::ImageError;

/// What an image may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels, width times height.
    pub max_pixels: u64,
    /// Most bytes, of the file and of its decoded samples each.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 100 megapixels and 1 GiB: the largest cameras, and an eighth of what a hostile PNG of a few bytes may claim.
    fn default() -> Self {
        Self { max_pixels: 100_000_000, max_bytes: 1 << 30 }
    }
}

impl Limits {
    /// Whether a picture that decodes to `bytes` bytes stays within the limits.
    pub(super) fn check(&self, width: u32, height: u32, bytes: u64) -> Result<(), ImageError> {
        let &Self { max_pixels, max_bytes } = self;
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(ImageError::TooManyPixels { width, height, max_pixels });
        }
        if bytes > max_bytes { Err(ImageError::TooManyBytes { bytes, max_bytes }) } else { Ok(()) }
    }
}
