//! From the bytes of a picture to the pixels that a model receives, on the GPU: resize as Pillow does, crop, normalise.
//!
//! Two passes, as in Pillow: rows, rounded to bytes, then columns, rounded to bytes; the weights come from
//! [`crate::image::resize::coefficients`]. The twin is [`Preprocess::apply`] on the CPU.

use burn::tensor::{Device, Tensor, TensorData};

#[cfg(feature = "wgpu")]
use super::mode::{self, Kernel};
use crate::error::ImageError;
use crate::image::Rgb8;
use crate::image::preprocess::Preprocess;

/// So many times as long as the crop a side may be resized to on the GPU.
#[cfg(feature = "wgpu")]
const STRIP: u32 = 16;

/// A picture to f32 `[1, 3, H, W]` on the device.
///
/// # Errors
///
/// [`ImageError`] when the recipe does not fit the picture.
pub fn preprocess(image: &Rgb8, recipe: &Preprocess, device: &Device) -> Result<Tensor<4>, ImageError> {
    #[cfg(feature = "wgpu")]
    if mode::runs(Kernel::Preprocess, device) && !device.is_autodiff() {
        let plan = recipe.plan(image.width(), image.height())?;
        // Padding, which only pictures smaller than the crop need, is left to the CPU; and a strip, of which the crop shows
        // little: the kernels take weights for all that it is resized to.
        let strip = plan.resized.iter().zip(plan.output).any(|(&resized, output)| resized > STRIP * output);
        if plan.offset.iter().all(|&offset| offset >= 0) && !strip {
            return Ok(launches::run(image, recipe, &plan, device));
        }
    }
    reference(image, recipe, device)
}

/// The same on the CPU.
///
/// # Errors
///
/// [`ImageError`] when the recipe does not fit the picture.
pub fn reference(image: &Rgb8, recipe: &Preprocess, device: &Device) -> Result<Tensor<4>, ImageError> {
    let [width, height] = recipe.plan(image.width(), image.height())?.output;
    let shape = [1, 3, height as usize, width as usize];
    Ok(Tensor::from_data(TensorData::new(recipe.apply(image)?, shape), device))
}

#[cfg(feature = "wgpu")]
mod launches {
    use burn::backend::tensor::{FloatTensor, IntTensor};
    use burn::backend::wgpu::CubeBackend;
    use burn::backend::{Backend, Dispatch, backend_extension};
    use burn::tensor::{DType, Device, Int, Tensor, TensorData};
    use lab_shaders::{PREPROCESS_COLUMNS, PREPROCESS_ROWS, preprocess_columns, preprocess_rows};

    use crate::image::Rgb8;
    use crate::image::preprocess::{Plan, Preprocess};
    use crate::image::resize::{Coefficients, coefficients};
    use crate::kernels::launch::{dims, empty, empty_of, launch_elements};

    /// The two passes as operations of burn's backends.
    #[backend_extension(Cube)]
    pub(crate) trait PreprocessOps: Backend {
        /// `source [height, width]` packed RGBA to `[height, out_width]` packed RGB.
        fn fused_preprocess_rows(
            source: IntTensor<Self>,
            bounds: IntTensor<Self>,
            weights: FloatTensor<Self>,
        ) -> IntTensor<Self>;
        /// `rows [height, width]` packed RGB to `[1, 3, out_height, out_width]`, cropped and normalised.
        fn fused_preprocess_columns(
            rows: IntTensor<Self>,
            bounds: IntTensor<Self>,
            weights: FloatTensor<Self>,
            crop: [u32; 4],
            recipe: [f32; 7],
        ) -> FloatTensor<Self>;
    }

    impl PreprocessOps for CubeBackend {
        fn fused_preprocess_rows(
            source: IntTensor<Self>,
            bounds: IntTensor<Self>,
            weights: FloatTensor<Self>,
        ) -> IntTensor<Self> {
            let ([height, width], [out_width, taps]) = (dims(&source), dims(&weights));
            let rows = empty_of(&source, [height, out_width], DType::I32);
            let [width, height_u32, out_width_u32, taps] = [width, height, out_width, taps].map(|size| size as u32);
            let params = preprocess_rows::Params { width, height: height_u32, out_width: out_width_u32, taps };
            launch_elements(
                &PREPROCESS_ROWS,
                &[&source, &bounds, &weights, &rows],
                &params.words(),
                height * out_width,
            );
            rows
        }

        fn fused_preprocess_columns(
            rows: IntTensor<Self>,
            bounds: IntTensor<Self>,
            weights: FloatTensor<Self>,
            crop: [u32; 4],
            recipe: [f32; 7],
        ) -> FloatTensor<Self> {
            let ([_, width], [_, taps]) = (dims(&rows), dims(&weights));
            let [crop_left, crop_top, out_width, out_height] = crop;
            let [rescale, mean_r, mean_g, mean_b, std_r, std_g, std_b] = recipe;
            let y = empty(&rows, [1, 3, out_height as usize, out_width as usize]);
            let params = preprocess_columns::Params {
                width: width as u32,
                out_width,
                out_height,
                crop_left,
                crop_top,
                taps: taps as u32,
                rescale,
                mean_r,
                mean_g,
                mean_b,
                std_r,
                std_g,
                std_b,
            };
            let pixels = (out_width * out_height) as usize;
            launch_elements(&PREPROCESS_COLUMNS, &[&rows, &bounds, &weights, &y], &params.words(), pixels);
            y
        }
    }

    fn upload(axis: &Coefficients, device: &Device) -> (Tensor<2, Int>, Tensor<2>) {
        let outputs = axis.bounds.len();
        let bounds: Vec<i32> = axis.bounds.iter().flatten().map(|&bound| bound as i32).collect();
        let bounds = TensorData::new(bounds, [outputs, 2]);
        let weights = TensorData::new(axis.weights.clone(), [outputs, axis.ksize]);
        (Tensor::from_data(bounds, (device, DType::I32)), Tensor::from_data(weights, (device, DType::F32)))
    }

    pub(super) fn run(image: &Rgb8, recipe: &Preprocess, plan: &Plan, device: &Device) -> Tensor<4> {
        let packed: Vec<i32> =
            image.data().chunks_exact(3).map(|rgb| i32::from_le_bytes([rgb[0], rgb[1], rgb[2], 0])).collect();
        let shape = [image.height() as usize, image.width() as usize];
        let source = Tensor::<2, Int>::from_data(TensorData::new(packed, shape), (device, DType::I32));
        let (bounds, weights) = upload(&coefficients(image.width(), plan.resized[0], recipe.filter), device);
        let rows =
            Dispatch::fused_preprocess_rows(source.into_dispatch(), bounds.into_dispatch(), weights.into_dispatch());
        let (bounds, weights) = upload(&coefficients(image.height(), plan.resized[1], recipe.filter), device);
        let crop = [plan.offset[0] as u32, plan.offset[1] as u32, plan.output[0], plan.output[1]];
        let ([mr, mg, mb], [sr, sg, sb]) = (recipe.mean, recipe.std);
        let numbers = [recipe.rescale, mr, mg, mb, sr, sg, sb];
        Tensor::from_dispatch(Dispatch::fused_preprocess_columns(
            rows,
            bounds.into_dispatch(),
            weights.into_dispatch(),
            crop,
            numbers,
        ))
    }
}
