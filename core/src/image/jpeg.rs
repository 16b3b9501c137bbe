//! JPEG by `libjpeg-turbo-rs`, a port of the library that Pillow and torchvision decode with: their bytes, to the last
//! bit, of the whole picture and of a scaled one.
//!
//! A file that is cut or whose codes are broken is an error here, where Pillow paints the missing part grey.

use image::metadata::Orientation;
use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat, ScalingFactor};

use super::Rgb8;
use super::limits::Limits;
use crate::error::ImageError;

/// All of the size, in the eighths that the decoder counts in.
pub const WHOLE: u32 = 8;
/// What the decoder itself may take, in units of the limit on bytes: a progressive file's coefficients have two bytes a
/// sample and wait for the last scan, and planes of several sizes are padded to whole blocks.
const WORK: u64 = 4;

/// A file whose header has been read.
pub(super) struct Jpeg<'a> {
    decoder: Decoder<'a>,
    bytes: usize,
    limits: Limits,
}

impl<'a> Jpeg<'a> {
    /// Reads the header and looks for the end marker.
    pub(super) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, ImageError> {
        check_end(bytes)?;
        let codec = DecodeLimits {
            max_pixels: limits.max_pixels,
            max_memory: Some(limits.max_bytes.saturating_mul(WORK)),
            ..DecodeLimits::default()
        };
        let decoder =
            Decoder::new_with_limits(bytes, codec).map_err(|error| convert_error(error, bytes.len(), limits))?;
        let jpeg = Self { decoder, bytes: bytes.len(), limits: *limits };
        let [width, height] = jpeg.size();
        limits.check(width, height, 3 * u64::from(width) * u64::from(height))?;
        jpeg.check_inks()?;
        Ok(jpeg)
    }

    /// Of four inks the decoder takes the first and the last at full size and the two between at one size; it panics
    /// on others, which nobody makes (found by fuzzing).
    fn check_inks(&self) -> Result<(), ImageError> {
        let parts = &self.decoder.header().components;
        let sides: Vec<[u8; 2]> = parts.iter().map(|part| [part.horizontal_sampling, part.vertical_sampling]).collect();
        let &[first, second, third, last] = sides.as_slice() else { return Ok(()) };
        let whole = (0..2).all(|axis| second[axis] > 0 && first[axis].is_multiple_of(second[axis]));
        if first == last && second == third && whole {
            return Ok(());
        }
        let sides: Vec<String> = sides.iter().map(|[width, height]| format!("{width}x{height}")).collect();
        let feature = format!("four inks sampled as {}", sides.join(", "));
        Err(ImageError::Unsupported { format: "JPEG", feature })
    }

    /// Width and height, as they are stored.
    pub(super) fn size(&self) -> [u32; 2] {
        let header = self.decoder.header();
        [u32::from(header.width), u32::from(header.height)]
    }

    /// How the picture is turned, by its EXIF data.
    pub(super) fn orientation(&self) -> Orientation {
        self.decoder.exif_orientation().and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
    }

    /// The picture at 1, 2, 4 or 8 eighths of its size, each side rounded up, turned as its EXIF data say.
    pub(super) fn decode(mut self, eighths: u32) -> Result<Rgb8, ImageError> {
        let fail = |error| convert_error(error, self.bytes, &self.limits);
        let inks = self.decoder.header().components.len() == 4;
        self.decoder.set_output_format(if inks { PixelFormat::Cmyk } else { PixelFormat::Rgb });
        self.decoder.set_scale(ScalingFactor::try_new(1, WHOLE / eighths.clamp(1, WHOLE)).map_err(fail)?);
        let orientation = self.orientation();
        let image = self.decoder.decode_image().map_err(fail)?;
        let data = if inks { mixed(&image.data) } else { image.data };
        Ok(Rgb8::new(image.width as u32, image.height as u32, data)?.turned(orientation))
    }
}

/// Cyan, magenta, yellow and black as Adobe stores them, upside down, to red, green and blue as Pillow mixes them
/// (`Convert.c: cmyk2rgb`).
fn mixed(inks: &[u8]) -> Vec<u8> {
    let mix = |ink: u8, light: u8| {
        let product = u32::from(255 - ink) * u32::from(light) + 128;
        light - (((product >> 8) + product) >> 8) as u8
    };
    inks.chunks_exact(4).flat_map(|ink| [0, 1, 2].map(|i| mix(ink[i], ink[3]))).collect()
}

/// Walks the segments of a JPEG to its end marker; a file without one was cut.
fn check_end(bytes: &[u8]) -> Result<(), ImageError> {
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

fn convert_error(error: JpegError, bytes: usize, limits: &Limits) -> ImageError {
    let format = "JPEG";
    match error {
        JpegError::UnexpectedEof => {
            ImageError::Truncated { format, bytes, missing: "more of the picture was expected".to_owned() }
        }
        JpegError::Unsupported(feature) => ImageError::Unsupported { format, feature },
        JpegError::AllocationFailed { bytes, .. } => ImageError::TooManyBytes { bytes, max_bytes: limits.max_bytes },
        error => ImageError::Corrupt { format, reason: error.to_string() },
    }
}
