//! KoLeo: the features of a batch keep away from their nearest neighbours.
//!
//! Sablayrolles et al., arXiv 1806.03198, section 3.1; dinov2: loss/koleo_loss.py. DINOv2 takes it over each global
//! crop's class tokens separately and adds the two. Always f32: the epsilon of 1e-8 vanishes in half precision, where
//! DINOv2 in fact computes it.

use burn::tensor::{Tensor, TensorData};

use crate::kernels::gather_tokens::gather_tokens;
use crate::kernels::matmul::matmul_f32;

/// dinov2: loss/koleo_loss.py; of the normalisation, of each component of a difference, and of the logarithm.
const EPS: f64 = 1e-8;

/// `-mean over i of log(|x_i - x_nn(i) + 1e-8| + 1e-8)`, `[1]`: x `[B, D]`, made unit vectors here. The neighbour is
/// the other row with the largest product; the gradient reaches both.
///
/// # Panics
///
/// With fewer than two rows, which have no neighbours: the configuration is checked for that.
pub fn koleo(x: Tensor<2>) -> Tensor<1> {
    let [b, d] = x.dims();
    assert!(b > 1, "koleo: {b} rows have no neighbours");
    let squares = (x.clone() * x.clone()).sum_dim(1);
    // max(|x|, eps), below the root, so that a row of zeros has a gradient.
    let x = x / squares.clamp_min(EPS * EPS).sqrt();
    let constant: Tensor<4> = x.clone().detach().reshape([1, 1, b, d]);
    let dots = matmul_f32(constant.clone(), constant.swap_dims(2, 3)).reshape([b, b]);
    // No row is its own neighbour. DINOv2 writes -1 on the diagonal, which an exactly opposite row ties with; this lies
    // below every product of unit vectors.
    let diagonal: Vec<f32> = (0..b * b).map(|at| if at % (b + 1) == 0 { -3.0 } else { 0.0 }).collect();
    let diagonal = Tensor::from_data(TensorData::new(diagonal, [b, b]), &dots.device());
    let nearest = (dots + diagonal).argmax(1).reshape([1, b]);
    let neighbours = gather_tokens(x.clone().reshape([1, b, d]), nearest).reshape([b, d]);
    let difference = x - neighbours + EPS;
    let distances = (difference.clone() * difference).sum_dim(1).sqrt();
    -(distances + EPS).log().mean_dim(0).reshape([1])
}
