use lab_core::config::Config;
use lab_core::data::augment::{Adjust, CropKind, CropPlan, Rect, draw};
use lab_core::image::Rgb8;
use lab_core::image::preprocess::{IMAGENET_MEAN, IMAGENET_STD};
use lab_core::kernels::augment::{augment, reference};
use lab_core::rng::Rng;
use lab_tests::{gpu, values};

/// Noise: every colour, and no two neighbours alike.
fn noise(width: u32, height: u32, seed: u64) -> Rgb8 {
    let mut stream = Rng::new(seed).stream("picture", 0);
    let bytes = (0..width * height * 3).map(|_| stream.below(256) as u8).collect();
    Rgb8::new(width, height, bytes).expect("as many bytes as pixels")
}

/// The largest difference in bytes and the share of bytes that differ.
fn compare(images: &[Rgb8], crops: &[(usize, CropPlan)]) -> (f32, f64) {
    let gpu = gpu();
    let (mean, std) = (IMAGENET_MEAN.map(f64::from), IMAGENET_STD.map(f64::from));
    let found = values(augment(images, crops, mean, std, &gpu.device));
    let expected = values(reference(images, crops, mean, std, &lab_tests::cpu()));
    assert_eq!(found.len(), expected.len());
    let plane = (crops[0].1.size as usize).pow(2);
    let gaps = found.iter().zip(&expected).enumerate().map(|(i, (a, b))| {
        // Back to bytes, by the channel's deviation.
        let gap = (a - b).abs() * IMAGENET_STD[i / plane % 3] * 255.0;
        if gap.is_nan() { f32::INFINITY } else { gap }
    });
    let gaps: Vec<f32> = gaps.collect();
    let differing = gaps.iter().filter(|&&gap| gap > 0.01).count();
    (gaps.iter().copied().fold(0.0, f32::max), differing as f64 / gaps.len() as f64)
}

#[test]
fn drawn_crops_are_the_cpus() {
    let images = [noise(97, 71, 1), noise(61, 150, 2), noise(40, 40, 3)];
    let mut config = Config::default();
    (config.crops.global_size, config.crops.local_size) = (48, 21);
    // Everything often, so that every operation meets every other.
    (config.crops.blur, config.crops.solarize, config.crops.grayscale) = ([0.5; 3], [0.3; 3], 0.2);
    for (kind, count) in [(CropKind::Global2, 40), (CropKind::Local, 60), (CropKind::Mae, 6)] {
        let one = |i: usize| {
            let image = &images[i % 3];
            let mut stream = Rng::new(4).stream("crop", i as u64);
            (i % 3, draw(&config.crops, kind, image.width(), image.height(), &mut stream))
        };
        let crops: Vec<_> = (0..count).map(one).collect();
        let (sharp, blurred): (Vec<_>, Vec<_>) = crops.into_iter().partition(|(_, plan)| plan.blur.is_none());
        let (largest, share) = compare(&images, &sharp);
        // Whole numbers and exact products on both sides; 0.01 of a byte for the normalisation.
        assert!(largest <= 0.01, "{kind:?}: {largest} bytes, {share} of them differ");
        if !blurred.is_empty() {
            let (largest, share) = compare(&images, &blurred);
            // The blur sums in f32 in another order, so that a byte may round the other way now and then.
            assert!(largest <= 1.01 && share < 0.001, "{kind:?}, blurred: {largest} bytes, {share} of them differ");
        }
    }
}

#[test]
fn awkward_sizes_and_every_hue_agree() {
    let images = [noise(1, 1, 5), noise(300, 2, 6), noise(256, 256, 7)];
    let plan = |x, y, width, height, size| CropPlan {
        rect: Rect { x, y, width, height },
        size,
        hflip: false,
        jitter: vec![],
        grayscale: false,
        blur: None,
        solarize: false,
    };
    // A pixel enlarged, a strip shrunk; blurred where the edge mirrors more than once.
    for size in [1, 3, 17] {
        let blurred = |plan: CropPlan| CropPlan { blur: Some(1.5), ..plan };
        let crops =
            [(0, plan(0, 0, 1, 1, size)), (1, plan(7, 1, 290, 1, size)), (1, blurred(plan(0, 0, 300, 2, size)))];
        let (largest, _) = compare(&images, &crops);
        assert!(largest <= 1.01, "{size}: {largest}");
    }
    // 65 536 colours at every step of the wheel that a turn of 0.1 allows, and some beyond.
    let turns = [-0.5, -0.1, -0.03, 0.0, 0.004, 0.1, 0.5];
    let turned = turns.map(|turn| (2, CropPlan { jitter: vec![Adjust::Hue(turn)], ..plan(0, 0, 256, 256, 256) }));
    let (largest, share) = compare(&images, &turned);
    assert!(largest <= 0.01, "{largest}, {share}");
}
