//! Decoding, resizing and preprocessing against Pillow, byte for byte where the codec is exact.
//!
//! Goldens: `golden/formats/{images,preprocess}`, made by `golden/formats/generate.py`.

use lab_core::error::ImageError;
use lab_core::image::preprocess::{CropRounding, IMAGENET_MEAN, IMAGENET_STD, Resize};
use lab_core::image::{Filter, Limits, Preprocess, Rgb8, decode, resize, scaled};
use lab_tests::SAMPLES;

macro_rules! golden {
    ($path:literal) => {
        include_bytes!(concat!("../golden/formats/", $path)).as_slice()
    };
}

fn picture(bytes: &[u8]) -> Rgb8 {
    decode(bytes, &Limits::default()).expect("a good image")
}

/// Largest difference, and how many bytes differ by more than one.
fn compare(found: &Rgb8, expected: &Rgb8) -> (u8, usize) {
    assert_eq!((found.width(), found.height()), (expected.width(), expected.height()));
    let gaps = found.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b));
    (gaps.clone().max().unwrap_or(0), gaps.filter(|&gap| gap > 1).count())
}

// --- decoding -----------------------------------------------------------------------------------

/// Each file, what Pillow makes of it, and the largest difference allowed: 0 for lossless formats and for JPEG, whose
/// decoder is a port of Pillow's; lossy WebP leaves rounding to the decoder.
const IMAGES: &[(&str, &[u8], &[u8], u8)] = &[
    ("exif1.jpg", golden!("images/exif1.jpg"), golden!("images/exif1_jpg.png"), 0),
    ("exif2.jpg", golden!("images/exif2.jpg"), golden!("images/exif2_jpg.png"), 0),
    ("exif3.jpg", golden!("images/exif3.jpg"), golden!("images/exif3_jpg.png"), 0),
    ("exif4.jpg", golden!("images/exif4.jpg"), golden!("images/exif4_jpg.png"), 0),
    ("exif5.jpg", golden!("images/exif5.jpg"), golden!("images/exif5_jpg.png"), 0),
    ("exif6.jpg", golden!("images/exif6.jpg"), golden!("images/exif6_jpg.png"), 0),
    ("exif7.jpg", golden!("images/exif7.jpg"), golden!("images/exif7_jpg.png"), 0),
    ("exif8.jpg", golden!("images/exif8.jpg"), golden!("images/exif8_jpg.png"), 0),
    ("progressive.jpg", golden!("images/progressive.jpg"), golden!("images/progressive_jpg.png"), 0),
    ("restarts.jpg", golden!("images/restarts.jpg"), golden!("images/restarts_jpg.png"), 0),
    ("grey.jpg", golden!("images/grey.jpg"), golden!("images/grey_jpg.png"), 0),
    ("cmyk.jpg", golden!("images/cmyk.jpg"), golden!("images/cmyk_jpg.png"), 0),
    ("alpha.png", golden!("images/alpha.png"), golden!("images/alpha_png.png"), 0),
    ("translucent.png", golden!("images/translucent.png"), golden!("images/translucent_png.png"), 0),
    ("translucent.webp", golden!("images/translucent.webp"), golden!("images/translucent_webp.png"), 0),
    ("grey_alpha.png", golden!("images/grey_alpha.png"), golden!("images/grey_alpha_png.png"), 0),
    ("palette.png", golden!("images/palette.png"), golden!("images/palette_png.png"), 0),
    ("bilevel.png", golden!("images/bilevel.png"), golden!("images/bilevel_png.png"), 0),
    ("grey16.png", golden!("images/grey16.png"), golden!("images/grey16_png.png"), 0),
    ("grey16.tif", golden!("images/grey16.tif"), golden!("images/grey16_tif.png"), 0),
    ("rgb16.png", golden!("images/rgb16.png"), golden!("images/rgb16_png.png"), 0),
    ("lossy.webp", golden!("images/lossy.webp"), golden!("images/lossy_webp.png"), 1),
    ("two_frames.gif", golden!("images/two_frames.gif"), golden!("images/two_frames_gif.png"), 0),
    ("two_frames.webp", golden!("images/two_frames.webp"), golden!("images/two_frames_webp.png"), 0),
    ("plain.tif", golden!("images/plain.tif"), golden!("images/plain_tif.png"), 0),
    ("lzw.tif", golden!("images/lzw.tif"), golden!("images/lzw_tif.png"), 0),
    ("turned.tif", golden!("images/turned.tif"), golden!("images/turned_tif.png"), 0),
    ("cmyk.tif", golden!("images/cmyk.tif"), golden!("images/cmyk_tif.png"), 1),
    ("plain.bmp", golden!("images/plain.bmp"), golden!("images/plain_bmp.png"), 0),
    ("palette.bmp", golden!("images/palette.bmp"), golden!("images/palette_bmp.png"), 0),
];

#[test]
fn every_kind_of_image_decodes_as_in_pillow() {
    let mut far = Vec::new();
    for &(name, bytes, expected, tolerance) in IMAGES {
        let (gap, _) = compare(&picture(bytes), &picture(expected));
        if gap > tolerance {
            far.push(format!("{name}: {gap} > {tolerance}"));
        }
    }
    assert!(far.is_empty(), "{far:?}");
}

/// Whole and scaled, `golden/formats/generate.py: jpegs`.
#[test]
fn jpegs_decode_as_in_pillow_to_the_last_byte() {
    let expected: serde_json::Value = serde_json::from_slice(golden!("images/jpeg.json")).expect("JSON");
    let limits = Limits::default();
    let small = IMAGES.iter().map(|&(name, bytes, ..)| (name, bytes)).filter(|(name, _)| name.ends_with(".jpg"));
    let mut seen = 0;
    for (name, bytes) in small.chain(SAMPLES) {
        let header = scaled::header(bytes, &limits).expect(name);
        assert!(header.scales, "{name}");
        for eighths in [1, 2, 4, 8] {
            let found = scaled::decode_scaled(bytes, &limits, eighths).expect(name);
            let expected = &expected[name][eighths.to_string()];
            assert_eq!(serde_json::json!([found.width(), found.height()]), expected["size"], "{name} at {eighths}");
            assert_eq!(serde_json::json!(crc32(found.data())), expected["crc32"], "{name} at {eighths} eighths");
            seen += 1;
            if eighths == scaled::WHOLE {
                assert_eq!(found, picture(bytes), "{name}");
                assert_eq!((header.width, header.height), (found.width(), found.height()), "{name}: as it will be");
            }
        }
    }
    assert_eq!(seen, 4 * 18);
}

#[test]
fn scaling_has_the_same_errors() {
    // What is no JPEG has no scale.
    let png = golden!("images/alpha.png");
    let limits = Limits::default();
    assert!(!scaled::header(png, &limits).expect("a picture").scales);
    assert_eq!(scaled::decode_scaled(png, &limits, 2).expect("a picture"), picture(png));
    // Limits hold for the whole picture, cut files are cut.
    let jpeg = golden!("images/progressive.jpg");
    let small = Limits { max_pixels: 64 * 48 - 1, ..limits };
    assert!(matches!(scaled::decode_scaled(jpeg, &small, 1), Err(ImageError::TooManyPixels { .. })));
    let error = scaled::decode_scaled(&jpeg[..jpeg.len() / 2], &limits, 1).expect_err("cut");
    assert!(matches!(error, ImageError::Truncated { .. }), "{error}");
}

#[test]
fn cut_files_are_typed_errors() {
    for &(name, bytes, ..) in IMAGES {
        // A cut that leaves less than half the file can leave no whole picture; TIFF keeps its table last.
        for len in [bytes.len() / 2, bytes.len() / 3, 20] {
            let error = decode(&bytes[..len], &Limits::default()).expect_err(name);
            assert!(
                matches!(error, ImageError::Truncated { .. } | ImageError::Corrupt { .. }),
                "{name} cut to {len}: {error}"
            );
        }
    }
    let jpeg = golden!("images/progressive.jpg");
    for len in 4..jpeg.len() {
        let error = decode(&jpeg[..len], &Limits::default()).expect_err("cut");
        let named = matches!(error, ImageError::Truncated { format: "JPEG", bytes, .. } if bytes == len);
        assert!(named, "cut to {len}: {error}");
    }
    // Bytes behind the end marker, as some cameras leave, do no harm.
    let trailing = [jpeg, b"MORE BYTES"].concat();
    assert_eq!(picture(&trailing), picture(jpeg));
}

#[test]
fn limits_hold_before_decoding() {
    let jpeg = golden!("images/progressive.jpg"); // 64 x 48
    let limits = |max_pixels, max_bytes| Limits { max_pixels, max_bytes };
    assert!(decode(jpeg, &limits(64 * 48, 1 << 20)).is_ok());
    let error = decode(jpeg, &limits(64 * 48 - 1, 1 << 20)).expect_err("pixels");
    assert!(matches!(error, ImageError::TooManyPixels { width: 64, height: 48, .. }), "{error}");
    let error = decode(jpeg, &limits(1 << 20, 64 * 48 * 3 - 1)).expect_err("decoded bytes");
    assert!(matches!(error, ImageError::TooManyBytes { bytes: 9216, .. }), "{error}");
    let error = decode(jpeg, &limits(1 << 20, 100)).expect_err("file bytes");
    assert!(matches!(error, ImageError::TooManyBytes { .. }), "{error}");

    // A PNG of a few bytes that claims 60 000 x 60 000 pixels.
    let mut png = golden!("images/rgb16.png").to_vec();
    png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = decode(&png, &Limits::default()).expect_err("a bomb");
    assert!(matches!(error, ImageError::TooManyPixels { width: 60_000, height: 60_000, .. }), "{error}");
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0u32, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn what_is_no_image_is_named() {
    assert!(matches!(decode(b"", &Limits::default()), Err(ImageError::Empty)));
    for bytes in [&b"<svg></svg>"[..], b"PK\x03\x04", b"\x00\x00\x00\x20ftypavif"] {
        let error = decode(bytes, &Limits::default()).expect_err("no image");
        assert!(matches!(error, ImageError::UnknownFormat { .. }), "{bytes:?}: {error}");
    }
}

/// Found by fuzzing: the decoder panics on inks of sizes that it has no way for.
#[test]
fn four_inks_of_odd_sizes_are_refused() {
    let error = decode(golden!("images/four_inks_1x4.jpg"), &Limits::default()).expect_err("no way for it");
    let sentence = error.to_string();
    assert!(matches!(error, ImageError::Unsupported { format: "JPEG", .. }), "{sentence}");
    assert!(sentence.contains("four inks sampled as 1x4, 1x1, 1x1, 1x1"), "{sentence}");
}

#[test]
fn damaged_images_never_panic() {
    let limits = Limits { max_pixels: 1 << 20, max_bytes: 1 << 24 };
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for &(_, good, ..) in IMAGES {
        for _ in 0..300 {
            let mut bytes = good.to_vec();
            for _ in 0..1 + next() % 4 {
                let at = next() % bytes.len();
                bytes[at] = next() as u8;
            }
            if let Ok(image) = decode(&bytes, &limits) {
                assert!(u64::from(image.width()) * u64::from(image.height()) <= limits.max_pixels);
            }
        }
    }
}

// --- resizing and preprocessing -------------------------------------------------------------------

const INPUT: &[u8] = golden!("preprocess/input.png"); // 331 x 263

#[test]
fn resize_is_pillows_to_the_last_bit() {
    let input = picture(INPUT);
    for (bytes, filter) in [
        (golden!("preprocess/square224_bicubic.png"), Filter::Bicubic),
        (golden!("preprocess/square224_bilinear.png"), Filter::Bilinear),
        (golden!("preprocess/upscale_square448_bicubic.png"), Filter::Bicubic),
        (golden!("preprocess/stretched_37x301_bilinear.png"), Filter::Bilinear),
    ] {
        let expected = picture(bytes);
        assert_eq!(resize(&input, expected.width(), expected.height(), filter), expected);
    }
}

#[test]
fn the_three_conventions_give_pillows_bytes() {
    let input = picture(INPUT);
    for (recipe, bytes) in [
        (Preprocess::short_side_crop(256, 224), golden!("preprocess/short256_bicubic_crop224.png")),
        (Preprocess::short_side_equal(224), golden!("preprocess/short224_bicubic_crop224.png")),
        (Preprocess::direct(224), golden!("preprocess/square224_bicubic.png")),
        (Preprocess::direct(448), golden!("preprocess/upscale_square448_bicubic.png")),
    ] {
        let expected = picture(bytes);
        assert_eq!(recipe.prepare(&input).expect("a sound recipe"), expected);
        let tensor = recipe.apply(&input).expect("a sound recipe");
        let plane = expected.data().len() / 3;
        for (i, &byte) in expected.data().iter().enumerate() {
            let channel = i % 3;
            let value =
                (f64::from(byte) / 255.0 - f64::from(IMAGENET_MEAN[channel])) / f64::from(IMAGENET_STD[channel]);
            let found = f64::from(tensor[channel * plane + i / 3]);
            assert!((found - value).abs() < 1e-6, "{i}: {found} for {value}");
        }
        let back = recipe.denormalise(&tensor, expected.width(), expected.height());
        assert_eq!(back.expect("as many values as pixels"), expected);
    }
}

#[test]
fn plans_round_as_torchvision_and_hugging_face_do() {
    let recipe = Preprocess::short_side_crop(256, 224);
    let plan = recipe.plan(331, 263).expect("sound");
    assert_eq!((plan.resized, plan.offset, plan.output), ([322, 256], [49, 16], [224, 224]));
    // A margin of 99 is 49.5 pixels a side: Python's round goes to 50, Hugging Face's to 49; of 97, both to 48.
    for (width, torchvision, hugging_face) in [(323, 50, 49), (321, 48, 48), (322, 49, 49)] {
        let whole = Preprocess { resize: Resize::None, ..recipe.clone() };
        let offset = |crop_rounding| {
            let recipe = Preprocess { crop_rounding, ..whole.clone() };
            recipe.plan(width, 256).expect("sound").offset[0]
        };
        assert_eq!(offset(CropRounding::Torchvision), torchvision, "{width}");
        assert_eq!(offset(CropRounding::HuggingFace), hugging_face, "{width}");
    }
    // Portrait, landscape, square.
    assert_eq!(recipe.plan(100, 333).expect("sound").resized, [256, 852]);
    assert_eq!(recipe.plan(333, 100).expect("sound").resized, [852, 256]);
    assert_eq!(recipe.plan(7, 7).expect("sound").resized, [256, 256]);
}

#[test]
fn a_crop_larger_than_the_picture_is_padded_with_black() {
    let image = Rgb8::new(2, 3, (1..=18).collect()).expect("2 x 3");
    let recipe = Preprocess { resize: Resize::None, crop: Some((5, 4)), ..Preprocess::direct(4) };
    let plan = recipe.plan(2, 3).expect("sound");
    assert_eq!((plan.offset, plan.output), ([-1, 0], [5, 4]));
    let padded = recipe.prepare(&image).expect("sound");
    let row = |y: usize| &padded.data()[y * 15..(y + 1) * 15];
    assert_eq!(row(0), [0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0]);
    assert_eq!(row(2), [0, 0, 0, 13, 14, 15, 16, 17, 18, 0, 0, 0, 0, 0, 0]);
    assert_eq!(row(3), [0; 15]);
}

#[test]
fn a_picture_of_any_proportions_costs_only_its_crop() {
    // The resized picture would have 224 x 14 560 000 pixels.
    let thread = Rgb8::new(1, 65_000, vec![200; 195_000]).expect("a thread");
    let recipe = Preprocess::short_side_equal(224);
    let tensor = recipe.prepare(&thread).expect("only the crop is computed");
    assert!(tensor.data().iter().all(|&byte| byte == 200));
    let without_crop = Preprocess { crop: None, ..recipe };
    let error = without_crop.prepare(&thread).expect_err("9.8 GB");
    assert!(matches!(error, ImageError::PreparedTooLarge { prepared: [224, 14_560_000], .. }), "{error}");
    // A small picture made too large: both sizes are told.
    let error = Preprocess::direct(16_384).prepare(&Rgb8::new(1, 1, vec![0; 3]).expect("a pixel")).expect_err("800 MB");
    let said = "a picture of 1 x 1 pixels would become one of 16384 x 16384, beyond the limit of 67108864 pixels";
    assert!(error.to_string().starts_with(said), "{error}");
}

#[test]
fn recipes_come_from_hugging_faces_json() {
    let parse = |text: &str| Preprocess::from_json(text).expect(text);
    // As in facebook/dinov2-*.
    let dinov2 = parse(
        r#"{"crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "do_convert_rgb": true,
        "do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "BitImageProcessor", "image_std": [0.229, 0.224, 0.225], "resample": 3,
        "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256}}"#,
    );
    let expected = Preprocess { crop_rounding: CropRounding::HuggingFace, ..Preprocess::short_side_crop(256, 224) };
    assert_eq!(dinov2, expected);
    // As in facebook/vit-mae-*, an older spelling: a number for the size, bilinear by 2.
    let mae = parse(
        r#"{"do_normalize": true, "do_resize": true, "feature_extractor_type": "ViTFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 2, "size": 224}"#,
    );
    assert_eq!((mae.resize, mae.crop, mae.filter), (Resize::Exact(224, 224), None, Filter::Bilinear));
    // Defaults of each processor.
    let clip = parse(r#"{"image_processor_type": "CLIPImageProcessorFast"}"#);
    assert_eq!((clip.resize, clip.crop), (Resize::ShortSide(224), Some((224, 224))));
    assert!((clip.mean[0] - 0.481_454_66).abs() < 1e-7);
    let siglip = parse(r#"{"image_processor_type": "SiglipImageProcessor", "size": {"height": 384, "width": 320}}"#);
    assert_eq!((siglip.resize, siglip.crop), (Resize::Exact(320, 384), None));
    assert_eq!((siglip.mean, siglip.std, siglip.filter), ([0.5; 3], [0.5; 3], Filter::Bicubic));
    let off = parse(
        r#"{"image_processor_type": "BitImageProcessor", "do_resize": false, "do_center_crop": false,
        "do_rescale": false, "do_normalize": false}"#,
    );
    assert_eq!((off.resize, off.crop, off.rescale, off.mean, off.std), (Resize::None, None, 1.0, [0.0; 3], [1.0; 3]));
}

#[test]
fn recipes_that_do_not_fit_are_typed_errors() {
    let refuse = |text: &str| Preprocess::from_json(text).expect_err(text);
    assert!(matches!(refuse("{"), ImageError::Json { .. }));
    assert!(matches!(refuse("[]"), ImageError::Json { .. }));
    let error = refuse("{}").to_string();
    assert!(error.contains("names no image processor (image_processor_type); supported are Bit"), "{error}");
    assert!(error.contains("or remove the file"), "{error}");
    let error = refuse(r#"{"image_processor_type": "DonutImageProcessor"}"#);
    assert!(error.to_string().contains("DonutImageProcessor") && error.to_string().contains("Siglip"), "{error}");
    let bit = |rest: &str| refuse(&format!(r#"{{"image_processor_type": "BitImageProcessor", {rest}}}"#));
    assert!(matches!(bit(r#""resample": 1"#), ImageError::UnknownResample { .. }));
    assert!(matches!(bit(r#""resample": "bicubic""#), ImageError::UnknownResample { .. }));
    for (rest, field) in [
        (r#""size": 0"#, "size"),
        (r#""size": 1000000"#, "size"),
        (r#""size": -3"#, "size"),
        (r#""size": {"height": 224}"#, "size"),
        (r#""size": {"shortest_edge": 256, "longest_edge": 512}"#, "size"),
        (r#""crop_size": {"height": 224}"#, "crop_size"),
        (r#""do_resize": 1"#, "do_resize"),
        (r#""rescale_factor": 0"#, "rescale_factor"),
        (r#""image_mean": [0.5, 0.5]"#, "image_mean"),
        (r#""image_mean": [1e999, 0, 0]"#, ""),
        (r#""image_std": [0.5, 0.0, 0.5]"#, "image_std"),
        (r#""image_std": 0.5"#, "image_std"),
    ] {
        match bit(rest) {
            ImageError::BadField { field: found, .. } => assert_eq!(found, field, "{rest}"),
            ImageError::Json { .. } if field.is_empty() => {}
            error => panic!("{rest}: {error}"),
        }
    }
    assert!(matches!(Rgb8::new(0, 5, vec![]), Err(ImageError::BadSize { .. })));
    assert!(matches!(Rgb8::new(2, 2, vec![0; 11]), Err(ImageError::BadSize { .. })));
    assert!(matches!(Rgb8::new(u32::MAX, u32::MAX, vec![]), Err(ImageError::BadSize { .. })));
    let recipe = Preprocess::direct(2);
    assert!(matches!(recipe.denormalise(&[0.0; 11], 2, 2), Err(ImageError::BadSize { .. })));
}
