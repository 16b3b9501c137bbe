//! Crops of pictures with their changes of colour, on the GPU: what [`crate::image::augment::apply`] does on the CPU.
//!
//! A workgroup makes a crop from the packed picture to normalised numbers, so that only pictures and plans travel.
//! Filter weights come from the CPU in Pillow's fixed point and hues are computed in whole numbers, so everything but
//! the blur gives the same bytes as the twin, given factors that are multiples of 2^-14 as drawn ones are.

use burn::tensor::{Device, Tensor, TensorData};

#[cfg(feature = "wgpu")]
use super::mode::{self, Kernel};
use crate::image::Rgb8;
use crate::image::augment::{CropPlan, apply, to_tensor_values};

/// Crops of pictures, `[crops, 3, S, S]`, normalised; each crop says which of `images` it is of, and all have one size.
/// Pictures are sent for this call alone.
///
/// # Panics
///
/// If there is no crop, sizes differ, or a crop does not lie in its image.
pub fn augment(
    images: &[Rgb8],
    crops: &[(usize, CropPlan)],
    mean: [f64; 3],
    std: [f64; 3],
    device: &Device,
) -> Tensor<4> {
    check(images, crops);
    #[cfg(feature = "wgpu")]
    if mode::runs(Kernel::Augment, device) && !device.is_autodiff() {
        return launches::run(images, crops, mean, std, device);
    }
    reference(images, crops, mean, std, device)
}

/// The same on the CPU.
///
/// # Panics
///
/// As [`augment`].
pub fn reference(
    images: &[Rgb8],
    crops: &[(usize, CropPlan)],
    mean: [f64; 3],
    std: [f64; 3],
    device: &Device,
) -> Tensor<4> {
    check(images, crops);
    let side = crops[0].1.size as usize;
    let mut values = vec![0.0; crops.len() * 3 * side * side];
    for ((image, plan), values) in crops.iter().zip(values.chunks_exact_mut(3 * side * side)) {
        to_tensor_values(&apply(plan, &images[*image]), mean, std, values);
    }
    Tensor::from_data(TensorData::new(values, [crops.len(), 3, side, side]), device)
}

fn check(images: &[Rgb8], crops: &[(usize, CropPlan)]) {
    assert!(!crops.is_empty(), "augment: no crop");
    for (image, plan) in crops {
        let (rect, picture) = (plan.rect, &images[*image]);
        assert_eq!(plan.size, crops[0].1.size, "augment: crops of two sizes");
        assert!(plan.size > 0 && plan.jitter.len() <= 4, "augment: {plan:?}");
        assert!(
            rect.width > 0
                && rect.height > 0
                && u64::from(rect.x) + u64::from(rect.width) <= u64::from(picture.width())
                && u64::from(rect.y) + u64::from(rect.height) <= u64::from(picture.height()),
            "augment: {rect:?} of an image of {} x {}",
            picture.width(),
            picture.height()
        );
    }
}

#[cfg(feature = "wgpu")]
mod launches {
    use burn::backend::tensor::{FloatTensor, IntTensor};
    use burn::backend::wgpu::CubeBackend;
    use burn::backend::{Backend, Dispatch, backend_extension};
    use burn::tensor::{DType, Device, Int, Tensor, TensorData};
    use lab_shaders::{AUGMENT, augment};

    use super::mode;
    use crate::image::augment::{Adjust, CropPlan, gaussian_kernel, hue_turn};
    use crate::image::resize::fixed_coefficients;
    use crate::image::{Filter, Rgb8};
    use crate::kernels::launch::{Groups, dims, empty, empty_of, launch};

    /// Words of a plan, as the shader reads them.
    const WORDS: usize = 26;
    /// Most words of a buffer: half of what every device binds (WebGPU: 128 MiB).
    const MAX_WORDS: usize = 16 << 20;
    /// Turns of an invocation's loops that software Vulkan surely makes; llvmpipe ends them after some 65 535.
    const SOFTWARE_TURNS: usize = 60_000;
    /// Invocations of a workgroup.
    const LANES: usize = 256;

    /// All phases as an operation of burn's backends.
    #[backend_extension(Cube)]
    pub(crate) trait AugmentOps: Backend {
        /// Packed pictures, `plans [crops, 26]` and filter weights to `[crops, 3, size, size]`; `work` words in between.
        fn fused_augment(
            source: IntTensor<Self>,
            plans: IntTensor<Self>,
            taps: IntTensor<Self>,
            work: usize,
            size: usize,
            recipe: [f32; 6],
        ) -> FloatTensor<Self>;
    }

    impl AugmentOps for CubeBackend {
        fn fused_augment(
            source: IntTensor<Self>,
            plans: IntTensor<Self>,
            taps: IntTensor<Self>,
            work: usize,
            size: usize,
            recipe: [f32; 6],
        ) -> FloatTensor<Self> {
            let [crops, _] = dims(&plans);
            let work = empty_of(&source, [work], DType::I32);
            let y = empty(&source, [crops, 3, size, size]);
            let [mean_r, mean_g, mean_b, std_r, std_g, std_b] = recipe;
            let params =
                augment::Params { crops: crops as u32, size: size as u32, mean_r, mean_g, mean_b, std_r, std_g, std_b };
            launch(&AUGMENT, &[&source, &plans, &taps, &work, &y], &params.words(), Groups::Line(crops));
            y
        }
    }

    /// What one launch needs.
    #[derive(Default)]
    struct Words {
        source: Vec<i32>,
        plans: Vec<i32>,
        taps: Vec<i32>,
        work: usize,
        turns: usize,
    }

    /// One launch, or two of half the crops each where a buffer would grow too large.
    pub(super) fn run(
        images: &[Rgb8],
        crops: &[(usize, CropPlan)],
        mean: [f64; 3],
        std: [f64; 3],
        device: &Device,
    ) -> Tensor<4> {
        let words = words(images, crops);
        let largest = words.source.len().max(words.taps.len()).max(words.work);
        if largest > MAX_WORDS && crops.len() > 1 {
            let (first, second) = crops.split_at(crops.len() / 2);
            return Tensor::cat(vec![run(images, first, mean, std, device), run(images, second, mean, std, device)], 0);
        }
        // A single picture of more than 16 megapixels, or loops that a software adapter would not finish.
        if largest > MAX_WORDS || (mode::software_adapter() && words.turns > SOFTWARE_TURNS) {
            return super::reference(images, crops, mean, std, device);
        }
        let upload = |words: Vec<i32>| {
            let len = words.len();
            Tensor::<1, Int>::from_data(TensorData::new(words, [len]), (device, DType::I32))
        };
        let size = crops[0].1.size as usize;
        let ([mr, mg, mb], [sr, sg, sb]) = (mean.map(|mean| mean as f32), std.map(|std| std as f32));
        Tensor::from_dispatch(Dispatch::fused_augment(
            upload(words.source).into_dispatch(),
            upload(words.plans).reshape([crops.len(), WORDS]).into_dispatch(),
            upload(words.taps).into_dispatch(),
            words.work,
            size,
            [mr, mg, mb, sr, sg, sb],
        ))
    }

    fn words(images: &[Rgb8], crops: &[(usize, CropPlan)]) -> Words {
        let mut words = Words::default();
        let mut begins: Vec<Option<usize>> = vec![None; images.len()];
        for (index, plan) in crops {
            let image = &images[*index];
            let begin = *begins[*index].get_or_insert_with(|| {
                let begin = words.source.len();
                let pixels = image.data().as_chunks::<3>().0;
                words.source.extend(pixels.iter().map(|&[r, g, b]| i32::from_le_bytes([r, g, b, 0])));
                begin
            });
            let (rect, size) = (plan.rect, plan.size as usize);
            let stride = image.width() as usize;
            let rows = rect.height as usize;
            let across = add_axis(&mut words.taps, rect.width, plan.size);
            let down = add_axis(&mut words.taps, rect.height, plan.size);
            let flag = |on: bool, bit: i32| if on { bit } else { 0 };
            let flags =
                flag(plan.hflip, 1) | flag(plan.grayscale, 2) | flag(plan.blur.is_some(), 4) | flag(plan.solarize, 8);
            let mut changes = [0; 4];
            let mut factors = [0; 4];
            let bits = |factor: f64| (factor as f32).to_bits() as i32;
            for (at, &adjust) in plan.jitter.iter().enumerate() {
                (changes[at], factors[at]) = match adjust {
                    Adjust::Brightness(factor) => (1, bits(factor)),
                    Adjust::Contrast(factor) => (2, bits(factor)),
                    Adjust::Saturation(factor) => (3, bits(factor)),
                    Adjust::Hue(turn) => (4, i32::from(hue_turn(turn))),
                };
            }
            let blur = plan.blur.map_or([0; 9], |sigma| gaussian_kernel(sigma).map(|weight| weight.to_bits() as i32));
            let first = begin + rect.y as usize * stride + rect.x as usize;
            let head = [first, stride, rows, across.0, across.1, down.0, down.1, words.work].map(|word| word as i32);
            words.plans.extend(head.into_iter().chain([flags]).chain(changes).chain(factors).chain(blur));
            words.work += (rows + size) * size;
            let each = |elements: usize| elements.div_ceil(LANES);
            let turns = each(rows * size) * (across.1 + 1) + each(size * size) * (down.1 + 40);
            words.turns = words.turns.max(turns);
        }
        words
    }

    /// Appends bounds and weights of an axis; returns where they begin, and the room for weights an output.
    fn add_axis(taps: &mut Vec<i32>, in_size: u32, out_size: u32) -> (usize, usize) {
        let begin = taps.len();
        let (bounds, ksize, weights) = fixed_coefficients(in_size, out_size, Filter::Bicubic);
        taps.extend(bounds.iter().flatten().map(|&bound| bound as i32));
        taps.extend(weights);
        (begin, ksize)
    }
}
