//! A picture's pixels on the CPU: the plain twin of the fragment shaders in `shaders/views`, formula by formula.
//!
//! The CPU engine shows these; a test holds them against what the shaders draw.

use lab_protocol::Palette;

use super::picture::{Colouring, NO_VALUE, Picture};
use crate::device::readback;
use crate::error::DeviceError;
use crate::image::color::{blue_yellow, viridis};

/// Red, green, blue and alpha of a canvas of `width` by `height` pixels, row by row.
///
/// # Errors
///
/// The device's, since the pixels come home for it.
pub async fn paint(picture: &Picture, width: u32, height: u32) -> Result<Vec<u8>, DeviceError> {
    let pixels = readback(picture.pixels().clone()).await?;
    let image = Image::new(picture, &pixels);
    let [image_width, image_height] = picture.image_size();
    let mut bytes = Vec::with_capacity(4 * width as usize * height as usize);
    for y in 0..height {
        for x in 0..width {
            let share = [(x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32];
            let at = [share[0] * image_width as f32, share[1] * image_height as f32];
            let colour = match picture.colouring {
                Colouring::Image => image.colour(at),
                Colouring::Pixels => image.pixel(at[0] as i32, at[1] as i32),
                Colouring::Heatmap => {
                    let value = picture.host_values[patch_index(picture, at)];
                    let opacity = if value < NO_VALUE { 0.0 } else { picture.opacity };
                    over(&image, at, viridis(scaled(value, picture.low[0], picture.high[0])), opacity)
                }
                Colouring::Montage => map_of_montage(picture, &image, share),
                Colouring::Rgb => {
                    let index = 3 * patch_index(picture, at);
                    let values = &picture.host_values[index..index + 3];
                    let scaled = [0, 1, 2].map(|c| scaled(values[c], picture.low[c], picture.high[c]));
                    let colour = match picture.palette {
                        Palette::Rgb => scaled,
                        Palette::BlueYellow if values[0] < NO_VALUE => [0.0; 3],
                        Palette::BlueYellow => blue_yellow([scaled[0], scaled[1]]),
                    };
                    over(&image, at, colour, picture.opacity)
                }
            };
            bytes.extend(colour.map(|channel| (channel * 255.0).round() as u8));
            bytes.push(255);
        }
    }
    Ok(bytes)
}

/// The map that a place of the montage falls into, and its colour there; black beyond the last map.
fn map_of_montage(picture: &Picture, image: &Image<'_>, share: [f32; 2]) -> [f32; 3] {
    let [tile_rows, tile_columns] = picture.tiles;
    let place = [share[0] * tile_columns as f32, share[1] * tile_rows as f32];
    let map = place[1] as usize * tile_columns + place[0] as usize;
    let Some(&[low, high]) = picture.host_ranges.as_chunks::<2>().0.get(map) else { return [0.0; 3] };
    let size = picture.image_size();
    let at = [place[0].fract() * size[0] as f32, place[1].fract() * size[1] as f32];
    let [rows, columns] = picture.summary.grid;
    let value = picture.host_values[map * rows * columns + patch_index(picture, at)];
    over(image, at, viridis(scaled(value, low, high)), picture.opacity)
}

/// The colour over the picture; nothing of the picture is read where nothing of it shows.
fn over(image: &Image<'_>, at: [f32; 2], colour: [f32; 3], opacity: f32) -> [f32; 3] {
    if opacity < 1.0 { mix(image.colour(at), colour, opacity) } else { colour }
}

fn scaled(value: f32, low: f32, high: f32) -> f32 {
    let range = high - low;
    if range > 0.0 { ((value - low) / range).clamp(0.0, 1.0) } else { 0.0 }
}

fn patch_index(picture: &Picture, at: [f32; 2]) -> usize {
    let [rows, columns] = picture.summary.grid;
    let side = picture.patch_size as f32;
    let place = |at: f32, count: usize| ((at / side).max(0.0) as usize).min(count - 1);
    place(at[1], rows) * columns + place(at[0], columns)
}

fn mix(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    [0, 1, 2].map(|c| a[c] * (1.0 - t) + b[c] * t)
}

/// The picture below, as colours.
struct Image<'a> {
    pixels: &'a [f32],
    size: [usize; 2],
    mean: [f32; 3],
    std: [f32; 3],
    white: f32,
}

impl<'a> Image<'a> {
    fn new(picture: &Picture, pixels: &'a [f32]) -> Self {
        let recipe = &picture.recipe;
        Self { pixels, size: picture.image_size(), mean: recipe.mean, std: recipe.std, white: recipe.rescale * 255.0 }
    }

    fn pixel(&self, x: i32, y: i32) -> [f32; 3] {
        let [width, height] = self.size;
        let inside = |place: i32, count: usize| place.clamp(0, count as i32 - 1) as usize;
        let index = inside(y, height) * width + inside(x, width);
        [0, 1, 2].map(|c| {
            let value = self.pixels[c * width * height + index];
            ((value * self.std[c] + self.mean[c]) / self.white).clamp(0.0, 1.0)
        })
    }

    /// Interpolated between pixels, whose centres lie at halves.
    fn colour(&self, at: [f32; 2]) -> [f32; 3] {
        let place = at.map(|at| at - 0.5);
        let corner = place.map(f32::floor);
        let part = [place[0] - corner[0], place[1] - corner[1]];
        let [x, y] = corner.map(|at| at as i32);
        let above = mix(self.pixel(x, y), self.pixel(x + 1, y), part[0]);
        let below = mix(self.pixel(x, y + 1), self.pixel(x + 1, y + 1), part[0]);
        mix(above, below, part[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viridis_passes_through_its_stops() {
        let bytes = |t: f32| viridis(t).map(|c| (c * 255.0).round() as u8);
        assert_eq!(bytes(0.0), [68, 1, 84]);
        assert_eq!(bytes(3.0 / 7.0), [39, 127, 142]);
        assert_eq!(bytes(1.0), [253, 231, 37]);
        assert_eq!(bytes(0.5 / 7.0), [69, 26, 105]);
        assert_eq!(bytes(-3.0), bytes(0.0));
        assert_eq!(bytes(f32::INFINITY), bytes(1.0));
    }

    #[test]
    fn an_empty_range_is_dark() {
        assert_eq!(scaled(5.0, 5.0, 5.0), 0.0);
        assert_eq!(scaled(f32::NAN, 0.0, 0.0), 0.0);
        assert_eq!(scaled(0.75, 0.5, 1.0), 0.5);
    }
}
