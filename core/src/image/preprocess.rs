//! From any picture to the tensor that a model was trained on: resize, crop, scale, normalise.
//!
//! Three conventions are in use for the same weights (and give three different embeddings): the short side to 256 and
//! a central 224, the whole picture pressed into a square, and the short side to the crop's own size.
//! A Hugging Face folder says which in `preprocessor_config.json`; without it the caller chooses.

use serde_json::{Map, Value};

use super::Rgb8;
use super::resize::{Filter, resize_window};
use crate::error::ImageError;

/// Means of ImageNet's red, green, blue in 0..1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Standard deviations of ImageNet's red, green, blue in 0..1.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73]; // OpenAI's CLIP
const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
const HALF: [f32; 3] = [0.5; 3]; // Hugging Face's default for ViT and SigLIP

/// Largest side that a recipe may ask for, in pixels.
const MAX_SIDE: u32 = 16_384;
/// Most pixels of one prepared image.
const MAX_PIXELS: u64 = 1 << 26;

const PROCESSORS: &str = "BitImageProcessor, ViTImageProcessor, CLIPImageProcessor and SiglipImageProcessor, also as …Fast and, older, as …FeatureExtractor";

/// How large the picture becomes before the crop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// The shorter side to so many pixels, the longer in proportion, rounded down.
    ShortSide(u32),
    /// Exactly this width and height, whatever the proportions.
    Exact(u32, u32),
    /// As it is.
    None,
}

/// Which pixel a central crop starts at where the margins are uneven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CropRounding {
    /// Half a pixel goes to the even side, as torchvision's `CenterCrop` (Python's `round`).
    Torchvision,
    /// Half a pixel goes up or left, as Hugging Face's `center_crop`.
    HuggingFace,
}

/// A recipe from picture to tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocess {
    /// Size before the crop.
    pub resize: Resize,
    /// Central crop, width and height; where the picture is smaller it is padded with black.
    pub crop: Option<(u32, u32)>,
    /// Rounding of the crop's place.
    pub crop_rounding: CropRounding,
    /// Interpolation.
    pub filter: Filter,
    /// Factor on bytes, 1/255 as a rule.
    pub rescale: f32,
    /// Subtracted after scaling; red, green, blue.
    pub mean: [f32; 3],
    /// Divisor after that; red, green, blue.
    pub std: [f32; 3],
}

/// The geometry of a recipe for a picture of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Width and height after resizing.
    pub resized: [u32; 2],
    /// Where the result starts in the resized picture, x and y; negative where it is padded.
    pub offset: [i32; 2],
    /// Width and height of the result.
    pub output: [u32; 2],
}

impl Preprocess {
    /// Short side to `resize` pixels, bicubic, then the central `crop` square; ImageNet's mean and deviation.
    /// DINOv2's own evaluation and `facebook/dinov2-*` with 256 and 224.
    pub fn short_side_crop(resize: u32, crop: u32) -> Self {
        Self {
            resize: Resize::ShortSide(resize),
            crop: Some((crop, crop)),
            crop_rounding: CropRounding::Torchvision,
            filter: Filter::Bicubic,
            rescale: 1.0 / 255.0,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
        }
    }

    /// The whole picture pressed into `size` x `size`, bicubic. Web-SSL's demos.
    pub fn direct(size: u32) -> Self {
        Self { resize: Resize::Exact(size, size), crop: None, ..Self::short_side_crop(size, size) }
    }

    /// Short side and crop of one size, bicubic. The released Web-SSL checkpoints on Hugging Face.
    pub fn short_side_equal(size: u32) -> Self {
        Self::short_side_crop(size, size)
    }

    /// The whole picture pressed into `size` x `size`, bilinear. `facebook/vit-mae-*`.
    pub fn square_bilinear(size: u32) -> Self {
        Self { filter: Filter::Bilinear, ..Self::direct(size) }
    }

    /// Short side and crop of one size, bicubic, CLIP's mean and deviation.
    pub fn clip(size: u32) -> Self {
        Self { mean: CLIP_MEAN, std: CLIP_STD, ..Self::short_side_equal(size) }
    }

    /// The whole picture pressed into `size` x `size`, bicubic, mean and deviation one half. SigLIP.
    pub fn siglip(size: u32) -> Self {
        Self { mean: HALF, std: HALF, ..Self::direct(size) }
    }

    /// The side of the square that comes out, where it is one whatever the picture.
    pub fn output_side(&self) -> Option<u32> {
        match (self.crop, self.resize) {
            (Some((width, height)), _) | (None, Resize::Exact(width, height)) if width == height => Some(width),
            _ => None,
        }
    }

    /// The recipe in a Hugging Face `preprocessor_config.json`; fields that are absent have that processor's defaults.
    ///
    /// # Errors
    /// [`ImageError::Json`], [`ImageError::UnknownProcessor`], [`ImageError::UnknownResample`] or
    /// [`ImageError::BadField`].
    pub fn from_json(text: &str) -> Result<Self, ImageError> {
        let fields: Map<String, Value> = serde_json::from_str(text)?;
        let named = |field| fields.get(field).and_then(Value::as_str);
        let name = named("image_processor_type").or_else(|| named("feature_extractor_type"));
        let family = name.and_then(|name| {
            let name = name.strip_suffix("Fast").unwrap_or(name);
            name.strip_suffix("ImageProcessor").or_else(|| name.strip_suffix("FeatureExtractor"))
        });
        // Defaults: short side or square, crop, filter, mean, deviation; from each processor's constructor.
        let (short_side, crop, filter, mean, std) = match family {
            Some("Bit" | "CLIP") => (true, true, Filter::Bicubic, CLIP_MEAN, CLIP_STD),
            Some("ViT") => (false, false, Filter::Bilinear, HALF, HALF),
            Some("Siglip") => (false, false, Filter::Bicubic, HALF, HALF),
            _ => {
                let found = name.map(str::to_owned);
                return Err(ImageError::UnknownProcessor { found, supported: PROCESSORS });
            }
        };

        let field = Fields(&fields);
        let resize = match (field.flag("do_resize", true)?, fields.get("size")) {
            (false, _) => Resize::None,
            (true, None | Some(Value::Null)) if short_side => Resize::ShortSide(224),
            (true, None | Some(Value::Null)) => Resize::Exact(224, 224),
            (true, Some(Value::Object(size))) if size.contains_key("shortest_edge") => {
                if size.get("longest_edge").is_some_and(|edge| !edge.is_null()) {
                    return Err(field.bad("size", "a shortest_edge without a longest_edge"));
                }
                Resize::ShortSide(field.side("size", size.get("shortest_edge"))?)
            }
            (true, Some(Value::Object(size))) => {
                Resize::Exact(field.side("size", size.get("width"))?, field.side("size", size.get("height"))?)
            }
            (true, size) => {
                let side = field.side("size", size)?;
                if short_side { Resize::ShortSide(side) } else { Resize::Exact(side, side) }
            }
        };
        let crop = match (field.flag("do_center_crop", crop)?, fields.get("crop_size")) {
            (false, _) => None,
            (true, None | Some(Value::Null)) => Some((224, 224)),
            (true, Some(Value::Object(size))) => {
                Some((field.side("crop_size", size.get("width"))?, field.side("crop_size", size.get("height"))?))
            }
            (true, size) => {
                let side = field.side("crop_size", size)?;
                Some((side, side))
            }
        };
        let filter = match fields.get("resample") {
            None | Some(Value::Null) => filter,
            Some(value) => match value.as_u64() {
                Some(2) => Filter::Bilinear,
                Some(3) => Filter::Bicubic,
                _ => {
                    return Err(ImageError::UnknownResample { found: value.to_string() });
                }
            },
        };
        let rescale = match (field.flag("do_rescale", true)?, fields.get("rescale_factor")) {
            (false, _) => 1.0,
            (true, None | Some(Value::Null)) => 1.0 / 255.0,
            (true, Some(value)) => match value.as_f64().map(|factor| factor as f32) {
                Some(factor) if factor > 0.0 && factor.is_finite() => factor,
                _ => return Err(field.bad("rescale_factor", "a positive number")),
            },
        };
        let (mean, std) = if field.flag("do_normalize", true)? {
            let (mean, std) = (field.triple("image_mean", mean)?, field.triple("image_std", std)?);
            if !std.iter().all(|&std| std > 0.0) {
                return Err(field.bad("image_std", "three positive numbers"));
            }
            (mean, std)
        } else {
            ([0.0; 3], [1.0; 3])
        };
        Ok(Self { resize, crop, crop_rounding: CropRounding::HuggingFace, filter, rescale, mean, std })
    }

    /// Where the pixels of a picture of `width` x `height` go.
    ///
    /// # Errors
    /// [`ImageError::PreparedTooLarge`] if the result, or the resized picture's side, is absurdly large:
    /// a picture of 1 x 50 000 pixels without a crop.
    pub fn plan(&self, width: u32, height: u32) -> Result<Plan, ImageError> {
        let too_large = |prepared| ImageError::PreparedTooLarge { width, height, prepared, max_pixels: MAX_PIXELS };
        let resized = match self.resize {
            Resize::None => [width, height],
            Resize::Exact(width, height) => [width, height],
            Resize::ShortSide(side) => {
                let short = u64::from(width.min(height));
                if short == 0 {
                    return Err(ImageError::BadSize { width, height, expected: 3, found: 0 });
                }
                // As torchvision and Hugging Face: int(side * long / short).
                let scaled = [width, height].map(|length| u64::from(side) * u64::from(length) / short);
                let narrow = |scaled: u64| u32::try_from(scaled).ok().filter(|&scaled| i32::try_from(scaled).is_ok());
                match scaled.map(narrow) {
                    [Some(width), Some(height)] => [width, height],
                    _ => return Err(too_large(scaled)),
                }
            }
        };
        let output = self.crop.map_or(resized, |(width, height)| [width, height]);
        if u64::from(output[0]) * u64::from(output[1]) > MAX_PIXELS {
            return Err(too_large(output.map(u64::from)));
        }
        let offset =
            [self.crop_rounding.offset(resized[0], output[0]), self.crop_rounding.offset(resized[1], output[1])];
        Ok(Plan { resized, offset, output })
    }

    /// Resizes and crops; the bytes before scaling, for the tensor and for showing what the model sees.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn prepare(&self, image: &Rgb8) -> Result<Rgb8, ImageError> {
        let plan = self.plan(image.width(), image.height())?;
        let [width, height] = plan.output;
        // The part of the result that the picture covers: all of it, unless padded.
        let cover = |axis: usize| {
            let start = plan.offset[axis].max(0) as u32;
            let end = plan.resized[axis].min(start + plan.output[axis]);
            (start..end, (-plan.offset[axis]).max(0) as usize)
        };
        let ((x, left), (y, top)) = (cover(0), cover(1));
        let inner = resize_window(image, plan.resized, x, y, self.filter);
        if (inner.width(), inner.height()) == (width, height) {
            return Ok(inner);
        }
        let mut data = vec![0u8; width as usize * height as usize * 3];
        let (row, inner_row) = (width as usize * 3, inner.width() as usize * 3);
        for (to, from) in data.chunks_exact_mut(row).skip(top).zip(inner.data().chunks_exact(inner_row)) {
            to[left * 3..left * 3 + inner_row].copy_from_slice(from);
        }
        Rgb8::new(width, height, data)
    }

    /// Scales and normalises; `[3, height, width]`, red first.
    pub fn normalise(&self, image: &Rgb8) -> Vec<f32> {
        let mut out = Vec::with_capacity(image.data().len());
        for channel in 0..3 {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            let bytes = image.data().iter().skip(channel).step_by(3);
            out.extend(bytes.map(|&byte| (f32::from(byte) * self.rescale - mean) / std));
        }
        out
    }

    /// The whole recipe: `[3, height, width]`, red first.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn apply(&self, image: &Rgb8) -> Result<Vec<f32>, ImageError> {
        Ok(self.normalise(&self.prepare(image)?))
    }

    /// Back to bytes from `[3, height, width]`, clipped and rounded; for showing a reconstruction.
    ///
    /// # Errors
    /// [`ImageError::BadSize`] if `tensor` has another length.
    pub fn denormalise(&self, tensor: &[f32], width: u32, height: u32) -> Result<Rgb8, ImageError> {
        let plane = tensor.len() / 3;
        let byte = |i: usize| {
            let (channel, pixel) = (i % 3, i / 3);
            let value = tensor[channel * plane + pixel] * self.std[channel] + self.mean[channel];
            // The cast clips, and sends NaN to zero.
            (value / self.rescale).round() as u8
        };
        if !tensor.len().is_multiple_of(3) {
            let expected = 3 * u64::from(width) * u64::from(height);
            return Err(ImageError::BadSize { width, height, expected, found: tensor.len() as u64 });
        }
        Rgb8::new(width, height, (0..tensor.len()).map(byte).collect())
    }
}

impl std::fmt::Display for Preprocess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filter = match self.filter {
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
        };
        match self.resize {
            Resize::None => write!(f, "size kept")?,
            Resize::ShortSide(side) => write!(f, "short side to {side} ({filter})")?,
            Resize::Exact(width, height) => write!(f, "resized to {width} x {height} ({filter})")?,
        }
        if let Some((width, height)) = self.crop {
            write!(f, ", centre {width} x {height}")?;
        }
        write!(f, ", mean {:?}, std {:?}", self.mean, self.std)
    }
}

impl CropRounding {
    fn offset(self, length: u32, crop: u32) -> i32 {
        // Both sides fit an i32 by the limits of `plan`.
        let margin = i64::from(length) - i64::from(crop);
        let offset = match self {
            // Both pad first where the picture is too small, with the smaller half on the left and top.
            _ if margin < 0 => margin / 2,
            Self::HuggingFace => margin / 2,
            Self::Torchvision => (margin as f64 / 2.0).round_ties_even() as i64,
        };
        offset as i32
    }
}

/// Typed access to the JSON.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn bad(&self, field: &'static str, expected: &'static str) -> ImageError {
        let found = self.0.get(field).map_or_else(|| "absent".to_owned(), ToString::to_string);
        ImageError::BadField { field, expected, found }
    }

    fn flag(&self, field: &'static str, default: bool) -> Result<bool, ImageError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.bad(field, "true or false")),
        }
    }

    fn side(&self, field: &'static str, value: Option<&Value>) -> Result<u32, ImageError> {
        let side = value.and_then(Value::as_u64).and_then(|side| u32::try_from(side).ok());
        side.filter(|side| (1..=MAX_SIDE).contains(side))
            .ok_or_else(|| self.bad(field, "1 to 16384, {\"shortest_edge\": n} or {\"height\": n, \"width\": n}"))
    }

    fn triple(&self, field: &'static str, default: [f32; 3]) -> Result<[f32; 3], ImageError> {
        let bad = || self.bad(field, "three numbers");
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => {
                let numbers: Option<Vec<f32>> =
                    value.as_array().ok_or_else(bad)?.iter().map(|v| v.as_f64().map(|v| v as f32)).collect();
                let triple = <[f32; 3]>::try_from(numbers.ok_or_else(bad)?).map_err(|_| bad())?;
                if triple.iter().all(|value| value.is_finite()) { Ok(triple) } else { Err(bad()) }
            }
        }
    }
}
