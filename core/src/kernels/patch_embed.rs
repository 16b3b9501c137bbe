//! Cutting an image into patches and projecting each one: a convolution whose stride is its size.

use burn::tensor::Tensor;

use super::bias_activation::{Activation, bias_activation};
use super::matmul::matmul;
#[cfg(feature = "wgpu")]
use super::mode::{self, Kernel};

/// f32 x `[B, C, H, W]`, weight `[D, C, p, p]`, bias `[D]` to `[B, (H / p) * (W / p), D]`, patches row by row. Pixels
/// beyond the last whole patch are left out, as PyTorch's convolution does.
pub fn patch_embed(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<3> {
    let ([_, c, h, w], [d, channels, p, q]) = (x.dims(), weight.dims());
    assert!(
        c == channels && p == q && bias.dims() == [d] && h >= p && w >= p,
        "patch_embed: x {:?}, weight {:?}, bias {:?}",
        x.dims(),
        weight.dims(),
        bias.dims()
    );
    #[cfg(feature = "wgpu")]
    if mode::runs(Kernel::PatchEmbed, &x.device()) && !x.device().is_autodiff() && !weight.device().is_autodiff() {
        use burn::backend::Dispatch;
        let y = Dispatch::fused_patch_embed(x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
        return Tensor::from_dispatch(y);
    }
    bias_activation(by_product(x, weight, matmul), bias, Activation::Identity)
}

/// The same in tensor operations: cut, then one product.
pub fn reference(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<3> {
    by_product(x, weight, super::matmul::reference) + bias.unsqueeze()
}

/// Before the bias.
fn by_product(x: Tensor<4>, weight: Tensor<4>, product: fn(Tensor<4>, Tensor<4>) -> Tensor<4>) -> Tensor<3> {
    let [d, _, p, _] = weight.dims();
    let patches = patches_of(x, p);
    let [b, n, area] = patches.dims();
    let weight = weight.reshape([1, 1, d, area]).swap_dims(2, 3);
    product(patches.reshape([1, 1, b * n, area]), weight).reshape([b, n, d])
}

/// x `[B, C, H, W]` cut into `[B, N, C * p * p]`, channel first as in a convolution's weight.
pub fn patches_of(x: Tensor<4>, p: usize) -> Tensor<3> {
    let [b, c, h, w] = x.dims();
    let (rows, columns) = (h / p, w / p);
    let x = x.narrow(2, 0, rows * p).narrow(3, 0, columns * p);
    let x: Tensor<6> = x.reshape([b, c, rows, p, columns, p]);
    x.permute([0, 2, 4, 1, 3, 5]).reshape([b, rows * columns, c * p * p])
}

#[cfg(feature = "wgpu")]
use launches::PatchEmbedOps;

#[cfg(feature = "wgpu")]
mod launches {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::wgpu::{CubeBackend, into_contiguous};
    use burn::backend::{Backend, backend_extension};
    use lab_shaders::PATCH_EMBED;
    use lab_shaders::patch_embed::Params;

    use crate::kernels::launch::{Groups, dims, empty, launch};

    /// Patch embedding as an operation of burn's backends; inference only.
    #[backend_extension(Cube)]
    pub(crate) trait PatchEmbedOps: Backend {
        /// See [`super::patch_embed`].
        fn fused_patch_embed(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
        ) -> FloatTensor<Self>;
    }

    impl PatchEmbedOps for CubeBackend {
        fn fused_patch_embed(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            let (x, weight, bias) = (into_contiguous(x), into_contiguous(weight), into_contiguous(bias));
            let ([batch, channels, height, width], [dim, _, patch_size, _]) = (dims(&x), dims(&weight));
            let (grid_h, grid_w) = (height / patch_size, width / patch_size);
            let y = empty(&x, [batch, grid_h * grid_w, dim]);
            let [batch_u32, channels, height, width, patch_size, grid_h_u32, grid_w_u32, dim_u32] =
                [batch, channels, height, width, patch_size, grid_h, grid_w, dim].map(|size| size as u32);
            let params = Params {
                batch: batch_u32,
                channels,
                height,
                width,
                patch_size,
                grid_h: grid_h_u32,
                grid_w: grid_w_u32,
                dim: dim_u32,
            };
            let groups = Groups::Grid([dim.div_ceil(32), (batch * grid_h * grid_w).div_ceil(32), 1]);
            launch(&PATCH_EMBED, &[&x, &weight, &bias, &y], &params.words(), groups);
            y
        }
    }
}
