//! The momentum teacher: an exponential moving average of the student.
//!
//! He et al., arXiv 1911.05722, equation 2; dinov2: train/ssl_meta_arch.py, `update_teacher`. Not differentiable.

use burn::tensor::Tensor;

#[cfg(feature = "wgpu")]
use super::mode::{self, Kernel};

/// `teacher * momentum + student * (1 - momentum)`, f32 tensors of one shape without a graph.
pub fn ema<const D: usize>(teacher: Tensor<D>, student: Tensor<D>, momentum: f64) -> Tensor<D> {
    assert!(teacher.dims() == student.dims(), "ema: teacher {:?}, student {:?}", teacher.dims(), student.dims());
    #[cfg(feature = "wgpu")]
    if mode::runs(Kernel::Ema, &teacher.device()) && !teacher.device().is_autodiff() {
        use burn::backend::Dispatch;
        // 1 - momentum in f64: near the end of a run it is too small a difference for f32.
        let shares = [momentum as f32, (1.0 - momentum) as f32];
        return Tensor::from_dispatch(Dispatch::fused_ema(teacher.into_dispatch(), student.into_dispatch(), shares));
    }
    reference(teacher, student, momentum)
}

/// The same in tensor operations.
pub fn reference<const D: usize>(teacher: Tensor<D>, student: Tensor<D>, momentum: f64) -> Tensor<D> {
    teacher * momentum + student * (1.0 - momentum)
}

#[cfg(feature = "wgpu")]
use launches::EmaOps;

#[cfg(feature = "wgpu")]
mod launches {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::wgpu::{CubeBackend, into_contiguous};
    use burn::backend::{Backend, backend_extension};
    use lab_shaders::{EMA, ema};

    use crate::kernels::launch::{empty, launch_elements};

    /// The average as an operation of burn's backends; without a graph.
    #[backend_extension(Cube)]
    pub(crate) trait EmaOps: Backend {
        /// See [`super::ema`]; the shares of teacher and student.
        fn fused_ema(teacher: FloatTensor<Self>, student: FloatTensor<Self>, shares: [f32; 2]) -> FloatTensor<Self>;
    }

    impl EmaOps for CubeBackend {
        fn fused_ema(teacher: FloatTensor<Self>, student: FloatTensor<Self>, shares: [f32; 2]) -> FloatTensor<Self> {
            let (teacher, student) = (into_contiguous(teacher), into_contiguous(student));
            let count = teacher.meta.num_elements();
            let y = empty(&teacher, teacher.meta.shape().clone());
            let params = ema::Params { count: count as u32, momentum: shares[0], rest: shares[1] };
            launch_elements(&EMA, &[&teacher, &student, &y], &params.words(), count);
            y
        }
    }
}
