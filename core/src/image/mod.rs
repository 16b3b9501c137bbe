//! Images: bytes to pixels, and pixels to what a model was trained on.
//!
//! - [`decode`]: JPEG, PNG, WebP, GIF, TIFF and BMP to [`Rgb8`], within limits
//! - [`resize`]: Pillow's antialiased bilinear and bicubic, to the last bit
//! - [`augment`]: crops and their changes of colour, as torchvision makes them
//! - [`color`]: numbers as colours
//! - [`scaled`]: JPEG at a half, a quarter or an eighth of its size, for training
//! - [`preprocess`]: resize, crop and normalise as each released model expects it
//!
//! Everything here runs on the CPU; the GPU's `preprocess` kernel takes its filter weights from [`resize::coefficients`]
//! and its geometry from [`preprocess::Preprocess::plan`], so both paths are one recipe.

pub mod augment;
pub mod color;
pub mod decode;
mod jpeg;
mod limits;
pub mod preprocess;
pub mod resize;
pub mod scaled;

pub use decode::decode;
pub use limits::Limits;
pub use preprocess::{Plan, Preprocess};
pub use resize::{Filter, resize};

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use crate::error::ImageError;

/// An image of 8-bit red, green and blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb8 {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Rgb8 {
    /// An image from its bytes, row by row from the top, three a pixel: `[height, width, 3]`.
    ///
    /// # Errors
    /// [`ImageError::BadSize`] unless `data` has `3 * width * height` bytes, at least one pixel.
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Result<Self, ImageError> {
        let expected = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(3);
        if expected == 0 || expected != data.len() as u64 {
            return Err(ImageError::BadSize { width, height, expected, found: data.len() as u64 });
        }
        Ok(Self { width, height, data })
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes, `[height, width, 3]`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, `[height, width, 3]`, to be changed in place.
    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// A rectangle of the image: `width` x `height` pixels from column `x` and row `y` on.
    ///
    /// # Panics
    /// If the rectangle is empty or reaches beyond the image.
    pub fn crop(&self, x: u32, y: u32, width: u32, height: u32) -> Self {
        let fits = |from: u32, len: u32, all: u32| len > 0 && from.checked_add(len).is_some_and(|end| end <= all);
        assert!(
            fits(x, width, self.width) && fits(y, height, self.height),
            "{width} x {height} pixels at {x}, {y} of an image of {} x {}",
            self.width,
            self.height
        );
        let row = self.width as usize * 3;
        let columns = x as usize * 3..(x + width) as usize * 3;
        let rows = self.data.chunks_exact(row).skip(y as usize).take(height as usize);
        Self { width, height, data: rows.flat_map(|row| &row[columns.clone()]).copied().collect() }
    }

    /// The picture turned and mirrored.
    fn turned(self, orientation: Orientation) -> Self {
        if orientation == Orientation::NoTransforms {
            return self;
        }
        let (width, height) = (self.width, self.height);
        let Some(buffer) = RgbImage::from_raw(width, height, self.data) else {
            unreachable!("an Rgb8 of {width} x {height} holds its pixels")
        };
        let mut turned = DynamicImage::ImageRgb8(buffer);
        turned.apply_orientation(orientation);
        let (width, height) = (turned.width(), turned.height());
        Self { width, height, data: turned.into_rgb8().into_raw() }
    }

    /// The bytes, `[height, width, 3]`, without a copy.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }
}
