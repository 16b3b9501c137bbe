use lab_core::image::Rgb8;
use lab_core::image::preprocess::Preprocess;
use lab_core::kernels::preprocess::{preprocess, reference};
use lab_tests::{gpu, values};

/// A picture with edges, ramps and noise.
fn picture(width: u32, height: u32) -> Rgb8 {
    let pixel = |x: u32, y: u32| {
        let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(2_246_822_519) >> 28;
        let block = if (x / 9 + y / 7).is_multiple_of(2) { 200 } else { 20 };
        [(block + noise) as u8, (x * 255 / width) as u8, (y * 255 / height + noise / 2).min(255) as u8]
    };
    let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
    Rgb8::new(width, height, data).expect("the size fits")
}

#[test]
fn the_gpu_prepares_pixels_as_the_cpu_does() {
    let gpu = gpu();
    for recipe in [
        Preprocess::short_side_crop(64, 56),
        Preprocess::direct(70),
        Preprocess::square_bilinear(40),
        Preprocess::siglip(97),
        // Larger than the picture: enlarged.
        Preprocess::short_side_equal(120),
    ] {
        for (width, height) in [(97, 71), (61, 150)] {
            let image = picture(width, height);
            let found = values(preprocess(&image, &recipe, &gpu.device).expect("the recipe fits"));
            let expected = values(reference(&image, &recipe, &lab_tests::cpu()).expect("the recipe fits"));
            assert_eq!(found.len(), expected.len());
            // The GPU sums in f32, Pillow in 22-bit fixed point: a byte may round the other way, twice at most.
            let step = recipe.rescale / recipe.std.iter().copied().fold(f32::INFINITY, f32::min);
            let differences: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).collect();
            let largest = differences.iter().copied().fold(0.0, f32::max);
            let off = differences.iter().filter(|&&difference| difference > 1e-5).count();
            assert!(largest <= 2.001 * step, "{recipe}: {largest} is more than two bytes");
            assert!(off * 1000 <= differences.len() * 5, "{recipe}: {off} of {} differ", differences.len());
        }
    }
}

#[test]
fn a_strip_is_prepared_without_weights_for_all_of_it() {
    let gpu = gpu();
    // Its short side resized to 64 it is 15 million pixels long, of which the crop shows 56.
    let (image, recipe) = (picture(240_000, 1), Preprocess::short_side_crop(64, 56));
    let found = values(preprocess(&image, &recipe, &gpu.device).expect("the recipe fits"));
    assert_eq!(found, values(reference(&image, &recipe, &lab_tests::cpu()).expect("the recipe fits")));
}
