//! Image files to [`Rgb8`], within limits that hold before anything is allocated.
//!
//! What a training set holds in the wild: grey, 16-bit, transparent and CMYK images, photographs that a camera
//! stored on their side, and files cut in the middle. The result is what Pillow's `ImageOps.exif_transpose` and
//! `convert("RGB")` give: transparency is ignored, 16-bit samples lose their low byte. One exception: Pillow 13 clips
//! 16-bit grey at 255, so that nearly all of it turns white; here it loses its low byte like colour does.
//! The codecs are those of the `image` crate, but for JPEG ([`super::jpeg`]).

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::Rgb8;
use super::jpeg::{Jpeg, WHOLE};
use super::limits::Limits;
use crate::error::ImageError;

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
    open(bytes, limits)?.decode(WHOLE)
}

/// A file whose header has been read, within the limits.
pub(super) enum Opened<'a> {
    Jpeg(Box<Jpeg<'a>>),
    Other(Other<'a>),
}

/// A file that the `image` crate decodes.
pub(super) struct Other<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    format: &'static str,
    bytes: usize,
}

/// Reads the header.
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Opened<'a>, ImageError> {
    if bytes.len() as u64 > limits.max_bytes {
        return Err(ImageError::TooManyBytes { bytes: bytes.len() as u64, max_bytes: limits.max_bytes });
    }
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    let unknown = || ImageError::UnknownFormat { head: bytes[..bytes.len().min(8)].to_vec() };
    let guessed = image::guess_format(bytes).map_err(|_| unknown())?;
    let &(guessed, format) = FORMATS.iter().find(|(known, _)| *known == guessed).ok_or_else(unknown)?;
    if guessed == ImageFormat::Jpeg {
        return Ok(Opened::Jpeg(Box::new(Jpeg::open(bytes, limits)?)));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), guessed);
    let mut codec_limits = image::Limits::no_limits();
    codec_limits.max_alloc = Some(limits.max_bytes);
    reader.limits(codec_limits);
    let decoder = reader.into_decoder().map_err(|error| convert_error(error, format, bytes.len()))?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height, decoder.total_bytes())?;
    Ok(Opened::Other(Other { decoder: Box::new(decoder), format, bytes: bytes.len() }))
}

impl Opened<'_> {
    /// Width and height of the picture as it will be, turned as its EXIF data say.
    pub(super) fn size(&mut self) -> [u32; 2] {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        let ([width, height], orientation) = match self {
            Self::Jpeg(jpeg) => (jpeg.size(), jpeg.orientation()),
            Self::Other(other) => (other.decoder.dimensions().into(), other.orientation()),
        };
        let turned = matches!(orientation, Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH);
        if turned { [height, width] } else { [width, height] }
    }

    /// The picture at so many eighths of its size where its format can, else the whole one.
    pub(super) fn decode(self, eighths: u32) -> Result<Rgb8, ImageError> {
        match self {
            Self::Jpeg(jpeg) => jpeg.decode(eighths),
            Self::Other(other) => other.decode(),
        }
    }
}

impl Other<'_> {
    /// Broken EXIF is common, and no reason to lose the picture.
    fn orientation(&mut self) -> Orientation {
        self.decoder.orientation().unwrap_or(Orientation::NoTransforms)
    }

    fn decode(mut self) -> Result<Rgb8, ImageError> {
        let orientation = self.orientation();
        let decoded =
            DynamicImage::from_decoder(self.decoder).map_err(|error| convert_error(error, self.format, self.bytes))?;
        let (width, height) = (decoded.width(), decoded.height());
        Ok(Rgb8::new(width, height, into_rgb(decoded))?.turned(orientation))
    }
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
