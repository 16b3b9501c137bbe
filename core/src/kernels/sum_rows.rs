//! Sums over the rows of a matrix: gradients of biases and scales, and the parts of a product whose sum was cut.
//!
//! Not differentiable. Always added in the same order, as a run that resumes to the bit needs it.

use burn::tensor::Tensor;

#[cfg(feature = "wgpu")]
use super::mode::{self, Kernel};

/// f32 `[rows, columns]` without a graph to `[columns]`.
pub fn sum_rows(x: Tensor<2>) -> Tensor<1> {
    #[cfg(feature = "wgpu")]
    if mode::runs(Kernel::SumRows, &x.device()) && !x.device().is_autodiff() {
        use burn::backend::Dispatch;
        return Tensor::from_dispatch(Dispatch::fused_sum_rows(x.into_dispatch()));
    }
    reference(x)
}

/// The same in tensor operations.
pub fn reference(x: Tensor<2>) -> Tensor<1> {
    x.sum_dim(0).squeeze_dim(0)
}

#[cfg(feature = "wgpu")]
use launches::SumRowsOps;

#[cfg(feature = "wgpu")]
pub(super) mod launches {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::wgpu::{CubeBackend, CubeTensor, into_contiguous};
    use burn::backend::{Backend, backend_extension};
    use lab_shaders::SUM_ROWS;
    use lab_shaders::sum_rows::Params;

    use crate::kernels::launch::{Groups, MAX_GROUPS, empty, launch};

    /// The sum as an operation of burn's backends.
    #[backend_extension(Cube)]
    pub(crate) trait SumRowsOps: Backend {
        /// See [`super::sum_rows`].
        fn fused_sum_rows(x: FloatTensor<Self>) -> FloatTensor<Self>;
    }

    impl SumRowsOps for CubeBackend {
        fn fused_sum_rows(x: FloatTensor<Self>) -> FloatTensor<Self> {
            sum_of_rows(x)
        }
    }

    /// `x [.., columns]` to `[columns]`, the sum over all that comes before.
    pub(in crate::kernels) fn sum_of_rows(x: CubeTensor) -> CubeTensor {
        let x = into_contiguous(x);
        let shape = x.meta.shape();
        let columns = shape[shape.num_dims() - 1];
        let out = empty(&x, [columns]);
        sum_into(&x, columns, &out);
        out
    }

    /// Workgroups that fill a large GPU.
    const FULL: usize = 512;
    /// The fewest rows that are worth a workgroup.
    const FEWEST: usize = 64;
    /// The most rows of one: llvmpipe ends a shader after 65 535 turns, of which four rows take one.
    const MOST: usize = 1 << 16;

    /// `x`, contiguous and read as `[rows, columns]`, into `out`, `columns` numbers.
    pub(in crate::kernels) fn sum_into(x: &CubeTensor, columns: usize, out: &CubeTensor) {
        let rows = x.meta.num_elements() / columns.max(1);
        let across = columns.div_ceil(64);
        let chunks = (FULL / across.max(1)).min(rows / FEWEST).max(rows.div_ceil(MOST)).max(1);
        let chunk = rows.div_ceil(chunks).max(1);
        let chunks = rows.div_ceil(chunk).max(1);
        if chunks == 1 {
            return sum_chunks(x, [rows, columns, rows], out);
        }
        let parts = empty(x, [chunks, columns]);
        sum_chunks(x, [rows, columns, chunk], &parts);
        sum_into(&parts, columns, out);
    }

    fn sum_chunks(x: &CubeTensor, [rows, columns, chunk]: [usize; 3], out: &CubeTensor) {
        let params = Params { rows: rows as u32, columns: columns as u32, chunk: chunk as u32 };
        let (across, chunks) = (columns.div_ceil(64), rows.div_ceil(chunk.max(1)).max(1));
        let groups = Groups::Grid([across.min(MAX_GROUPS), across.div_ceil(MAX_GROUPS), chunks]);
        launch(&SUM_ROWS, &[x, out], &params.words(), groups);
    }
}
