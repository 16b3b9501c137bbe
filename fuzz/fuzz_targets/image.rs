//! An image from anywhere, decoded within limits and prepared for a model.
#![no_main]

use lab_core::image::{Limits, Preprocess, decode};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_pixels: 1 << 20, max_bytes: 1 << 24 };
    if let Ok(image) = decode(bytes, &limits) {
        assert!(u64::from(image.width()) * u64::from(image.height()) <= limits.max_pixels);
        let tensor = Preprocess::short_side_crop(32, 28).apply(&image).expect("a crop always fits");
        assert_eq!(tensor.len(), 3 * 28 * 28);
    }
});
