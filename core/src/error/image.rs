//! What can be wrong with an image, or with a recipe for preparing images.

use thiserror::Error;

/// Why an image, or a recipe for preparing images, was refused.
#[derive(Debug, Error)]
pub enum ImageError {
    /// There are no bytes.
    #[error("the file is empty, 0 bytes: fetch or copy it again")]
    Empty,
    /// The first bytes belong to no format we read.
    #[error("not an image we read: it starts with {head:02x?}; supported are JPEG, PNG, WebP, GIF, TIFF and BMP")]
    UnknownFormat {
        /// The first bytes, at most 8.
        head: Vec<u8>,
    },
    /// The file ends before the image does.
    #[error("the {format} file ends early: {bytes} bytes, and {missing}")]
    Truncated {
        /// The format.
        format: &'static str,
        /// Bytes present.
        bytes: usize,
        /// What was still expected.
        missing: String,
    },
    /// The decoder found the data broken.
    #[error("the {format} data are broken: {reason}")]
    Corrupt {
        /// The format.
        format: &'static str,
        /// The decoder's finding.
        reason: String,
    },
    /// A feature of the format that the decoder lacks.
    #[error("this {format} file uses a feature that is not read: {feature}")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// The feature.
        feature: String,
    },
    /// More pixels than allowed.
    #[error("the image has {width} x {height} pixels; the limit is {max_pixels}: make it smaller")]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit on width times height.
        max_pixels: u64,
    },
    /// A recipe that makes more pixels of a picture than allowed.
    #[error(
        "a picture of {width} x {height} pixels would become one of {} x {}, beyond the limit of {max_pixels} \
         pixels; prepare it at a smaller size, or with a crop (preprocessor_config.json)",
        prepared[0], prepared[1]
    )]
    PreparedTooLarge {
        /// Width of the picture in pixels.
        width: u32,
        /// Height of the picture in pixels.
        height: u32,
        /// Width and height that the recipe asks for.
        prepared: [u64; 2],
        /// The limit on their product.
        max_pixels: u64,
    },
    /// More bytes, encoded or decoded, than allowed.
    #[error("the image needs {bytes} bytes; the limit is {max_bytes}: make it smaller")]
    TooManyBytes {
        /// Bytes needed.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// Width or height is zero, or the pixels do not fill them.
    #[error(
        "an image of {width} x {height} pixels needs {expected} bytes of RGB, and at least one pixel; found {found}"
    )]
    BadSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes needed.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// `preprocessor_config.json` is not JSON.
    #[error("preprocessor_config.json is not JSON: {source}")]
    Json {
        /// Where and why, with line and column.
        #[from]
        source: serde_json::Error,
    },
    /// An image processor that we do not know.
    #[error(
        "preprocessor_config.json {}; supported are {supported}; write one of them, or remove the file: then images are \
         prepared as the model's family was trained",
        named(found)
    )]
    UnknownProcessor {
        /// Its name, if any.
        found: Option<String>,
        /// The names supported.
        supported: &'static str,
    },
    /// A resampling filter other than bilinear and bicubic.
    #[error("preprocessor_config.json asks for resample = {found}; supported are 2 (bilinear) and 3 (bicubic)")]
    UnknownResample {
        /// The value found, as JSON.
        found: String,
    },
    /// A field of a kind or value that does not fit.
    #[error("preprocessor_config.json: {field} is {found}, expected {expected}")]
    BadField {
        /// The field.
        field: &'static str,
        /// What fits.
        expected: &'static str,
        /// The value found, as JSON.
        found: String,
    },
}

/// What a file says of its image processor, for a message.
fn named(processor: &Option<String>) -> String {
    match processor {
        Some(name) => format!("names the image processor {name}"),
        None => "names no image processor (image_processor_type)".to_owned(),
    }
}
