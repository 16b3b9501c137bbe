//! One step of AdamW over a tensor, and the sum of squares by which gradients are clipped.
//!
//! Loshchilov and Hutter, arXiv 1711.05101, in the order of operations of `torch.optim.AdamW`. Not differentiable:
//! parameters, gradients and moments are tensors without a graph.

use burn::tensor::Tensor;

use super::mode::{self, Kernel};

/// The settings of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Learning rate.
    pub lr: f64,
    /// Decoupled: the parameter is first multiplied by `1 - lr * weight_decay`.
    pub weight_decay: f64,
    /// Share of the old first moment in the new one.
    pub beta1: f64,
    /// Share of the old second moment in the new one.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// The number of this update, from 1, for the bias corrections.
    pub step: u64,
    /// The gradient is first multiplied by it: clipping, and the inverse of the loss's scale.
    pub grad_scale: f64,
}

/// The factors of a step as the shader takes them, computed in f64 as PyTorch does.
#[derive(Debug, Clone, Copy)]
struct Factors {
    decay: f64,
    one_minus_beta1: f64,
    one_minus_beta2: f64,
    step_size: f64,
    root_correction: f64,
}

impl Step {
    fn factors(&self) -> Factors {
        let correction = |beta: f64| 1.0 - beta.powf(self.step as f64);
        Factors {
            decay: 1.0 - self.lr * self.weight_decay,
            one_minus_beta1: 1.0 - self.beta1,
            one_minus_beta2: 1.0 - self.beta2,
            step_size: self.lr / correction(self.beta1),
            root_correction: correction(self.beta2).sqrt(),
        }
    }
}

/// The parameter and its two moments after a step, all f32 of one shape.
pub fn adamw<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: Step,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let shape = param.dims();
    assert!(
        grad.dims() == shape && m.dims() == shape && v.dims() == shape,
        "adamw: param {shape:?}, grad {:?}, m {:?}, v {:?}",
        grad.dims(),
        m.dims(),
        v.dims()
    );
    assert!(step.step > 0, "adamw: steps count from 1");
    if fuses(&param) {
        return launches::step(param, grad, m, v, step);
    }
    reference(param, grad, m, v, step)
}

/// [`adamw`] in tensor operations.
pub fn reference<const D: usize>(
    param: Tensor<D>,
    grad: Tensor<D>,
    m: Tensor<D>,
    v: Tensor<D>,
    step: Step,
) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
    let factors = step.factors();
    let grad = grad * step.grad_scale;
    let m = m.clone() + (grad.clone() - m) * factors.one_minus_beta1;
    let v = v * step.beta2 + grad.clone() * grad * factors.one_minus_beta2;
    let denominator = v.clone().sqrt() / factors.root_correction + step.eps;
    let param = param * factors.decay - (m.clone() / denominator) * factors.step_size;
    (param, m, v)
}

/// The sum of the squares of all elements, `[1]`; added in the same order every time, however many they are.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    if fuses(&x) {
        return launches::squares(x);
    }
    sum_of_squares_reference(x)
}

/// [`sum_of_squares`] in tensor operations.
pub fn sum_of_squares_reference<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    (x.clone() * x).sum()
}

fn fuses<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device();
    mode::runs(Kernel::AdamW, &device) && !device.is_autodiff()
}

mod launches {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, Dispatch, backend_extension};
    use burn::tensor::Tensor;

    use super::Step;

    /// AdamW and the sum of squares as operations of burn's backends; without a graph.
    #[backend_extension(Cube: cfg(feature = "wgpu"), Flex: cfg(feature = "flex"))]
    pub(crate) trait AdamWOps: Backend {
        /// See [`super::adamw`]; the factors in the order of the shader's parameters after `count`.
        fn fused_adamw(
            param: FloatTensor<Self>,
            grad: FloatTensor<Self>,
            m: FloatTensor<Self>,
            v: FloatTensor<Self>,
            factors: [f32; 8],
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
        /// See [`super::sum_of_squares`].
        fn fused_sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self>;
    }

    #[cfg(feature = "wgpu")]
    mod wgsl {
        use burn::backend::tensor::FloatTensor;
        use burn::backend::wgpu::{CubeBackend, into_contiguous};
        use lab_shaders::{ADAMW, SUM_OF_SQUARES, adamw, sum_of_squares};

        use super::AdamWOps;
        use crate::kernels::launch::{Groups, empty, launch, launch_strided};

        impl AdamWOps for CubeBackend {
            fn fused_adamw(
                param: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                m: FloatTensor<Self>,
                v: FloatTensor<Self>,
                factors: [f32; 8],
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let (param, grad) = (into_contiguous(param), into_contiguous(grad));
                let (m, v) = (into_contiguous(m), into_contiguous(v));
                let count = param.meta.num_elements();
                let new = || empty(&param, param.meta.shape().clone());
                let (new_param, new_m, new_v) = (new(), new(), new());
                let [grad_scale, decay, one_minus_beta1, beta2, one_minus_beta2, step_size, root_correction, eps] =
                    factors;
                let params = adamw::Params {
                    count: count as u32,
                    grad_scale,
                    decay,
                    one_minus_beta1,
                    beta2,
                    one_minus_beta2,
                    step_size,
                    root_correction,
                    eps,
                };
                let buffers = [&param, &grad, &m, &v, &new_param, &new_m, &new_v];
                launch_strided(&ADAMW, &buffers, &params.words(), count);
                (new_param, new_m, new_v)
            }

            fn fused_sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
                /// Workgroups of the first launch: 65 536 invocations, each of which adds 1 526 of 100 million elements,
                /// far from where llvmpipe ends a loop.
                const GROUPS: usize = 1024;
                let x = into_contiguous(x);
                let count = x.meta.num_elements();
                let groups = count.div_ceil(64).clamp(1, GROUPS);
                let (parts, y) = (empty(&x, [groups]), empty(&x, [1]));
                let first = sum_of_squares::Params { count: count as u32, stride: 64 * groups as u32, squares: 1 };
                launch(&SUM_OF_SQUARES, &[&x, &parts], &first.words(), Groups::Line(groups));
                let second = sum_of_squares::Params { count: groups as u32, stride: 64, squares: 0 };
                launch(&SUM_OF_SQUARES, &[&parts, &y], &second.words(), Groups::Line(1));
                y
            }
        }
    }

    #[cfg(feature = "flex")]
    mod loops {
        use burn::backend::Flex;
        use burn::backend::TensorMetadata as _;
        use burn::backend::tensor::FloatTensor;
        use lab_loops::optim;

        use super::AdamWOps;
        use crate::kernels::flex::{contiguous, filled, from, slice};

        impl AdamWOps for Flex {
            fn fused_adamw(
                param: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                m: FloatTensor<Self>,
                v: FloatTensor<Self>,
                factors: [f32; 8],
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let [param, grad, m, v] = [param, grad, m, v].map(contiguous);
                let [grad_scale, decay, one_minus_beta1, beta2, one_minus_beta2, step_size, root_correction, eps] =
                    factors;
                let step = optim::AdamW {
                    grad_scale,
                    decay,
                    one_minus_beta1,
                    beta2,
                    one_minus_beta2,
                    step_size,
                    root_correction,
                    eps,
                };
                let shape = param.shape();
                let (mut new_m, mut new_v) = (vec![], vec![]);
                let new_param = filled(shape.clone(), |new_param| {
                    new_m.resize(new_param.len(), 0.0);
                    new_v.resize(new_param.len(), 0.0);
                    let before = [slice(&param), slice(&grad), slice(&m), slice(&v)];
                    step.step(before, [new_param, &mut new_m, &mut new_v]);
                });
                (new_param, from(new_m, &shape), from(new_v, &shape))
            }

            fn fused_sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
                let x = contiguous(x);
                filled([1], |y| y[0] = optim::sum_of_squares(slice(&x)))
            }
        }
    }

    pub(super) fn step<const D: usize>(
        param: Tensor<D>,
        grad: Tensor<D>,
        m: Tensor<D>,
        v: Tensor<D>,
        step: Step,
    ) -> (Tensor<D>, Tensor<D>, Tensor<D>) {
        let factors = step.factors();
        let words = [
            step.grad_scale,
            factors.decay,
            factors.one_minus_beta1,
            step.beta2,
            factors.one_minus_beta2,
            factors.step_size,
            factors.root_correction,
            step.eps,
        ];
        let (param, m, v) = Dispatch::fused_adamw(
            param.into_dispatch(),
            grad.into_dispatch(),
            m.into_dispatch(),
            v.into_dispatch(),
            words.map(|word| word as f32),
        );
        (Tensor::from_dispatch(param), Tensor::from_dispatch(m), Tensor::from_dispatch(v))
    }

    pub(super) fn squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
        Tensor::from_dispatch(Dispatch::fused_sum_of_squares(x.into_dispatch()))
    }
}
