//! A picture before it is drawn: numbers on the device, and how to colour them.

use burn::tensor::Tensor;
use lab_protocol::{Palette, Summary};

use crate::image::preprocess::Preprocess;

/// How numbers become colours; a shader of `shaders/views` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colouring {
    /// The picture itself (`image`).
    Image,
    /// One value a patch in viridis (`heatmap`).
    Heatmap,
    /// Three values a patch in the picture's palette (`rgb`).
    Rgb,
    /// Many maps side by side, each by its own scale (`montage`).
    Montage,
    /// The picture pixel by pixel, nothing between them (`pixels`).
    Pixels,
}

/// Everything that a view shader reads, and the same numbers on the host for its twin.
#[derive(Debug, Clone)]
pub struct Picture {
    /// How to colour.
    pub colouring: Colouring,
    /// How three values become a colour.
    pub palette: Palette,
    /// Numbers about it, for caption and screen reader.
    pub summary: Summary,
    /// Side of a patch in picture pixels.
    pub patch_size: usize,
    /// Share of the colour over the picture below, 0 to 1.
    pub opacity: f32,
    /// The values drawn darkest; one for a heat map, three for colours.
    pub low: [f32; 3],
    /// The values drawn brightest.
    pub high: [f32; 3],
    /// The recipe that made the pixels, whose numbers lead back to colours.
    pub recipe: Preprocess,
    /// The picture as the model receives it, normalised, `[1, 3, H, W]`, on the device.
    pub(crate) pixels: Tensor<4>,
    /// Patch values `[N, 1]` or `[N, 3]`, of a montage `[maps, N]`, on the device; `None` for the picture itself.
    pub(crate) values: Option<Tensor<2>>,
    /// The same on the host.
    pub host_values: Vec<f32>,
    /// Least and largest value of each map of a montage, `[maps, 2]`, on the device.
    pub(crate) ranges: Option<Tensor<2>>,
    /// The same on the host.
    pub host_ranges: Vec<f32>,
    /// Rows and columns of a montage.
    pub tiles: [usize; 2],
}

/// Values below this are none: a heat map shows the picture there, colours are black.
pub const NO_VALUE: f32 = -1e30;

impl Picture {
    /// Width and height in pixels of the picture as the model receives it.
    pub fn image_size(&self) -> [usize; 2] {
        let [_, _, height, width] = self.pixels.dims();
        [width, height]
    }

    /// The values plane by plane; where there is none, no number.
    pub fn planes(&self) -> Vec<f32> {
        let told = |&value: &f32| if value < NO_VALUE { f32::NAN } else { value };
        let values: Vec<f32> = self.host_values.iter().map(told).collect();
        match self.colouring {
            Colouring::Rgb => (0..3).flat_map(|channel| values.iter().copied().skip(channel).step_by(3)).collect(),
            _ => values,
        }
    }

    /// The normalised pixels `[1, 3, H, W]`, on the device.
    pub fn pixels(&self) -> &Tensor<4> {
        &self.pixels
    }

    /// The patch values on the device, `[N, 1]` or `[N, 3]`; of a montage `[maps, N]`.
    pub fn values(&self) -> Option<&Tensor<2>> {
        self.values.as_ref()
    }

    /// The ranges of a montage on the device, `[maps, 2]`.
    pub fn ranges(&self) -> Option<&Tensor<2>> {
        self.ranges.as_ref()
    }
}
