//! Augmentation against torchvision on PIL images, byte for byte.
//!
//! Goldens: `golden/augment/augment.safetensors`, made by `golden/generate_augment.py`, which also says what a plan is.

use lab_core::data::augment::{Adjust, CropPlan, Rect, apply, to_tensor_values};
use lab_core::image::Rgb8;
use lab_core::image::preprocess::{IMAGENET_MEAN, IMAGENET_STD};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

const GOLDEN: &[u8] = include_bytes!("../golden/augment/augment.safetensors");

fn golden() -> SafeTensors<'static> {
    SafeTensors::deserialize(GOLDEN).expect("the golden")
}

fn picture(tensor: &TensorView<'_>) -> Rgb8 {
    let &[height, width, 3] = tensor.shape() else { panic!("a picture of the shape {:?}", tensor.shape()) };
    Rgb8::new(width as u32, height as u32, tensor.data().to_vec()).expect("a picture")
}

fn numbers(tensor: &TensorView<'_>) -> Vec<f32> {
    tensor.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn plan(tensor: &TensorView<'_>) -> CropPlan {
    let numbers = numbers(tensor);
    let [x, y, width, height, size, hflip, .., grey, sigma, solarize] = numbers[..] else { panic!("{numbers:?}") };
    let adjust = |pair: &[f32; 2]| match (pair[0], f64::from(pair[1])) {
        (0.0, _) => None,
        (1.0, factor) => Some(Adjust::Brightness(factor)),
        (2.0, factor) => Some(Adjust::Contrast(factor)),
        (3.0, factor) => Some(Adjust::Saturation(factor)),
        (4.0, factor) => Some(Adjust::Hue(factor)),
        other => panic!("{other:?}"),
    };
    CropPlan {
        rect: Rect { x: x as u32, y: y as u32, width: width as u32, height: height as u32 },
        size: size as u32,
        hflip: hflip == 1.0,
        jitter: numbers[6..14].as_chunks::<2>().0.iter().filter_map(adjust).collect(),
        grayscale: grey == 1.0,
        blur: (sigma > 0.0).then_some(f64::from(sigma)),
        solarize: solarize == 1.0,
    }
}

#[test]
fn every_crop_is_torchvisions_to_the_byte() {
    let golden = golden();
    let source = |name: &str| picture(&golden.tensor(name).expect(name));
    let (square, wide) = (source("square"), source("picture"));
    let (mut cases, mut far) = (0, Vec::new());
    for name in golden.names().into_iter().filter_map(|name| name.strip_suffix(".plan")) {
        let plan = plan(&golden.tensor(&format!("{name}.plan")).expect(name));
        let found = apply(&plan, if name.starts_with("square.") { &square } else { &wide });
        let expected = source(name);
        assert_eq!((found.width(), found.height()), (expected.width(), expected.height()), "{name}");
        let gaps: Vec<u8> = found.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b)).collect();
        // A blur sums nine and nine numbers where torch sums 81: bytes that lie halfway may round to the other side.
        // Solarisation behind it may throw such a byte across its threshold, not seen in these cases.
        let allowed = u8::from(plan.blur.is_some());
        let worst = gaps.iter().copied().max().unwrap_or(0);
        let differing = gaps.iter().filter(|&&gap| gap > 0).count();
        if worst > allowed || differing * 1000 > gaps.len() {
            far.push(format!("{name}: {differing} of {} bytes differ, by up to {worst}", gaps.len()));
        }
        cases += 1;
    }
    assert_eq!(cases, 28, "cases in the golden");
    assert!(far.is_empty(), "{far:#?}");
}

#[test]
fn a_crop_becomes_the_tensor_that_torchvision_makes() {
    let golden = golden();
    let crop = picture(&golden.tensor("chain.global1").expect("a crop"));
    let expected = numbers(&golden.tensor("tensor.chain.global1").expect("a tensor"));
    let mut found = vec![f32::NAN; expected.len()];
    to_tensor_values(&crop, IMAGENET_MEAN.map(f64::from), IMAGENET_STD.map(f64::from), &mut found);
    assert_eq!(found, expected, "the same three operations in f32");
}
