//! The momentum teacher: an exponential moving average of the student.
//!
//! He et al., arXiv 1911.05722, equation 2; dinov2: train/ssl_meta_arch.py, `update_teacher`. Not differentiable.

use burn::tensor::Tensor;

use super::mode::{self, Kernel};

/// `teacher * momentum + student * (1 - momentum)`, f32 tensors of one shape without a graph.
pub fn ema<const D: usize>(teacher: Tensor<D>, student: Tensor<D>, momentum: f64) -> Tensor<D> {
    assert!(teacher.dims() == student.dims(), "ema: teacher {:?}, student {:?}", teacher.dims(), student.dims());
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

use launches::EmaOps;

mod launches {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, backend_extension};

    /// The average as an operation of burn's backends; without a graph.
    #[backend_extension(Cube: cfg(feature = "wgpu"), Flex: cfg(feature = "flex"))]
    pub(crate) trait EmaOps: Backend {
        /// See [`super::ema`]; the shares of teacher and student.
        fn fused_ema(teacher: FloatTensor<Self>, student: FloatTensor<Self>, shares: [f32; 2]) -> FloatTensor<Self>;
    }

    #[cfg(feature = "wgpu")]
    impl EmaOps for burn::backend::wgpu::CubeBackend {
        fn fused_ema(teacher: FloatTensor<Self>, student: FloatTensor<Self>, shares: [f32; 2]) -> FloatTensor<Self> {
            use burn::backend::wgpu::into_contiguous;
            use lab_shaders::{EMA, ema};

            use crate::kernels::launch::{empty, launch_strided};

            let (teacher, student) = (into_contiguous(teacher), into_contiguous(student));
            let count = teacher.meta.num_elements();
            let y = empty(&teacher, teacher.meta.shape().clone());
            let params = ema::Params { count: count as u32, momentum: shares[0], rest: shares[1] };
            launch_strided(&EMA, &[&teacher, &student, &y], &params.words(), count);
            y
        }
    }
    #[cfg(feature = "flex")]
    impl EmaOps for burn::backend::Flex {
        fn fused_ema(teacher: FloatTensor<Self>, student: FloatTensor<Self>, shares: [f32; 2]) -> FloatTensor<Self> {
            use burn::backend::TensorMetadata as _;

            use crate::kernels::flex::{contiguous, filled, slice};

            let (teacher, student) = (contiguous(teacher), contiguous(student));
            filled(teacher.shape(), |y| lab_loops::optim::ema(slice(&teacher), slice(&student), shares, y))
        }
    }
}
