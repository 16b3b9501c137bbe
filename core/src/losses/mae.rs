//! The loss of the masked autoencoder: the squared error of the pixels it could not see.
//!
//! He et al., arXiv 2111.06377, section 3; mae: models_mae.py, `forward_loss`.

use burn::tensor::Tensor;

/// The mean over hidden patches of the mean squared error of their pixels, `[1]`: predicted and target pixels
/// `[B, N, P]`, mask `[B, N]` with 1 where a patch is hidden, and how many ones it holds.
pub fn mae_loss(pred: Tensor<3>, target: Tensor<3>, mask: Tensor<2>, hidden: f32) -> Tensor<1> {
    let [b, n, _] = pred.dims();
    assert!(target.dims() == pred.dims() && mask.dims() == [b, n], "pred {:?}, mask {:?}", pred.dims(), mask.dims());
    let error = patch_errors(pred, target).reshape([b, n]);
    (error * mask).sum_dim(1).sum_dim(0).reshape([1]) / hidden
}

/// The mean squared error of the pixels of each patch, `[B, N, 1]`: predicted and target pixels `[B, N, P]`.
pub fn patch_errors(pred: Tensor<3>, target: Tensor<3>) -> Tensor<3> {
    (pred - target).powi_scalar(2).mean_dim(2)
}

/// Pixels `[B, N, P]` of each patch by its own mean and deviation, the target of `norm_pix_loss`; the variance is the
/// unbiased one, as in MAE's code.
pub fn normalise_patches(patches: Tensor<3>) -> Tensor<3> {
    let (mean, deviation) = patch_moments(patches.clone());
    (patches - mean) / deviation
}

/// Mean and deviation of each patch `[B, N, P]`, as `norm_pix_loss` takes them: `[B, N, 1]`.
pub fn patch_moments(patches: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
    let pixels = patches.dims()[2] as f64;
    let mean = patches.clone().mean_dim(2);
    let variance = (patches - mean.clone()).powi_scalar(2).sum_dim(2) / (pixels - 1.0);
    (mean, (variance + 1e-6).sqrt()) // 1e-6: mae:models_mae.py
}
