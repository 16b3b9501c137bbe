//! Image files to [`Rgb8`], within limits that hold before anything is allocated.
//!
//! What a training set holds in the wild: grey, 16-bit, transparent and CMYK images, photographs that a camera
//! stored on their side, and files cut in the middle. The result is what Pillow's `ImageOps.exif_transpose` and
//! `convert("RGB")` give: transparency is ignored, 16-bit samples lose their low byte. One exception: Pillow 13 clips
//! 16-bit grey at 255, so that nearly all of it turns white; here it loses its low byte like colour does.
//! The codecs are those of the `image` crate. Its JPEG decoder paints the missing part of a cut file grey and says
//! nothing, so [`decode`] looks for the end marker first.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::Rgb8;
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

/// The formats read, by their first bytes.
const FORMATS: [(ImageFormat, &str); 6] = [
    (ImageFormat::Jpeg, "JPEG"),
    (ImageFormat::Png, "PNG"),
    (ImageFormat::WebP, "WebP"),
    (ImageFormat::Gif, "GIF"),
    (ImageFormat::Tiff, "TIFF"),
    (ImageFormat::Bmp, "BMP"),
];

/// Decodes a file of any supported format; of an animation the first frame. Orientation from EXIF is applied.
///
/// # Errors
/// [`ImageError`]: an unknown format, a file that is cut or broken, or one beyond `limits`.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Rgb8, ImageError> {
    let (decoder, format, orientation) = open(bytes, limits)?;
    let decoded = DynamicImage::from_decoder(decoder).map_err(|error| convert_error(error, format, bytes.len()))?;
    let (width, height) = (decoded.width(), decoded.height());
    let rgb = Rgb8::new(width, height, into_rgb(decoded))?;
    Ok(orient(rgb, orientation))
}

/// A decoder that has read the file's header, within `limits`; the format's name; how the picture is turned.
pub(super) fn open<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(impl ImageDecoder + use<'a>, &'static str, Orientation), ImageError> {
    if bytes.len() as u64 > limits.max_bytes {
        return Err(ImageError::TooManyBytes { bytes: bytes.len() as u64, max_bytes: limits.max_bytes });
    }
    let unknown = || ImageError::UnknownFormat { head: bytes[..bytes.len().min(8)].to_vec() };
    let guessed = image::guess_format(bytes).map_err(|_| unknown())?;
    let &(guessed, format) = FORMATS.iter().find(|(known, _)| *known == guessed).ok_or_else(unknown)?;
    if guessed == ImageFormat::Jpeg {
        check_jpeg_end(bytes)?;
    }

    let fail = |error| convert_error(error, format, bytes.len());
    let mut reader = ImageReader::with_format(Cursor::new(bytes), guessed);
    let mut codec_limits = image::Limits::no_limits();
    codec_limits.max_alloc = Some(limits.max_bytes);
    reader.limits(codec_limits);
    let mut decoder = reader.into_decoder().map_err(fail)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(ImageError::TooManyPixels { width, height, max_pixels: limits.max_pixels });
    }
    if decoder.total_bytes() > limits.max_bytes {
        return Err(ImageError::TooManyBytes { bytes: decoder.total_bytes(), max_bytes: limits.max_bytes });
    }
    // Broken EXIF is common, and no reason to lose the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder, format, orientation))
}

/// Samples of any kind to red, green, blue, as Pillow's `convert("RGB")`.
fn into_rgb(decoded: DynamicImage) -> Vec<u8> {
    /// Pillow drops the low byte.
    fn high(sample: u16) -> u8 {
        (sample >> 8) as u8
    }
    match decoded {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageRgba8(image) => image.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).collect(),
        DynamicImage::ImageLuma8(image) => image.pixels().flat_map(|p| [p.0[0]; 3]).collect(),
        DynamicImage::ImageLumaA8(image) => image.pixels().flat_map(|p| [p.0[0]; 3]).collect(),
        DynamicImage::ImageLuma16(image) => image.pixels().flat_map(|p| [high(p.0[0]); 3]).collect(),
        DynamicImage::ImageLumaA16(image) => image.pixels().flat_map(|p| [high(p.0[0]); 3]).collect(),
        DynamicImage::ImageRgb16(image) => image.pixels().flat_map(|p| p.0.map(high)).collect(),
        DynamicImage::ImageRgba16(image) => {
            image.pixels().flat_map(|p| [high(p.0[0]), high(p.0[1]), high(p.0[2])]).collect()
        }
        // Floating-point TIFF: samples from 0 to 1, as the crate scales them.
        other => other.into_rgb8().into_raw(),
    }
}

/// The picture turned and mirrored.
pub(super) fn orient(image: Rgb8, orientation: Orientation) -> Rgb8 {
    if orientation == Orientation::NoTransforms {
        return image;
    }
    let (width, height) = (image.width(), image.height());
    // The buffer fits by construction of Rgb8.
    let Some(buffer) = image::RgbImage::from_raw(width, height, image.data) else {
        unreachable!("an Rgb8 of {width} x {height} holds its pixels")
    };
    let mut turned = DynamicImage::ImageRgb8(buffer);
    turned.apply_orientation(orientation);
    let (width, height) = (turned.width(), turned.height());
    Rgb8 { width, height, data: turned.into_rgb8().into_raw() }
}

/// Walks the segments of a JPEG to its end marker; a file without one was cut.
fn check_jpeg_end(bytes: &[u8]) -> Result<(), ImageError> {
    let cut = |missing: &str| ImageError::Truncated { format: "JPEG", bytes: bytes.len(), missing: missing.to_owned() };
    let mut at = 2; // behind SOI
    let mut in_scan = false;
    loop {
        // To the next marker: 0xff and a byte that is neither a stuffed zero, nor fill, nor a restart within a scan.
        let marker = loop {
            let Some(&[first, second]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
                return Err(cut(if in_scan {
                    "neither the rest of the picture nor the end marker came"
                } else {
                    "no picture data came"
                }));
            };
            match second {
                _ if first != 0xff => at += 1,
                0xff => at += 1,
                0x00 | 0x01 | 0xd0..=0xd7 => at += 2,
                marker => break marker,
            }
        };
        at += 2;
        match marker {
            // EOI
            0xd9 if in_scan => return Ok(()),
            0xd9 => return Err(cut("the end marker came before any picture data")),
            0xd8 => {}
            _ => {
                let Some(&len) = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()) else {
                    return Err(cut("a segment's length is missing"));
                };
                at += usize::from(u16::from_be_bytes(len)).max(2);
                // SOS: entropy-coded data follow.
                in_scan |= marker == 0xda;
            }
        }
    }
}

fn convert_error(error: image::ImageError, format: &'static str, bytes: usize) -> ImageError {
    use image::ImageError as E;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        let io = inner.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof) {
            return ImageError::Truncated { format, bytes, missing: "more of the picture was expected".to_owned() };
        }
        cause = inner.source();
    }
    match error {
        E::Unsupported(error) => ImageError::Unsupported { format, feature: error.to_string() },
        error => ImageError::Corrupt { format, reason: error.to_string() },
    }
}
