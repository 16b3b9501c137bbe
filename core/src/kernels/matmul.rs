//! Batched matrix product, `[B0, B1, M, K] x [B0, B1, K, N] -> [B0, B1, M, N]`.
//!
//! Operands may be strided (a transpose costs nothing), K may have any length. Two shaders compute it: tiles in
//! workgroup memory for GPUs, registers only for software adapters; see `docs/decisions`. burn's own product does not
//! run in a browser, so there every product goes through here.

use burn::tensor::Tensor;

use super::mode;
#[cfg(feature = "wgpu")]
use super::mode::Kernel;

/// `a x b`: f32 `[B0, B1, M, K]` and `[B0, B1, K, N]` to `[B0, B1, M, N]`.
///
/// # Panics
///
/// When the shapes do not fit: shapes are ours, so that is a bug of ours.
pub fn matmul(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    let ([a0, a1, _, ak], [b0, b1, bk, _]) = (a.dims(), b.dims());
    assert!(a0 == b0 && a1 == b1 && ak == bk, "matmul: {:?} x {:?}", a.dims(), b.dims());
    #[cfg(feature = "wgpu")]
    if mode::runs(Kernel::Matmul, &a.device()) {
        use burn::backend::Dispatch;
        return Tensor::from_dispatch(Dispatch::fused_matmul(a.into_dispatch(), b.into_dispatch()));
    }
    reference(a, b)
}

/// The same in tensor operations: burn's product, or in a browser's GPU, which cannot run it, sums of outer products.
pub fn reference(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    if cfg!(target_family = "wasm") && mode::takes_wgsl(&a.device()) {
        return outer_products(a, b);
    }
    a.matmul(b)
}

/// `sum over k of a[.., k] * b[k, ..]`, with multiplications, sums and reductions only. Slow, and right.
fn outer_products(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    /// Elements of the largest intermediate, 16 MiB in f32.
    const ROOM: usize = 1 << 22;
    let [b0, b1, m, k] = a.dims();
    let n = b.dims()[3];
    let rows = (ROOM / (b0 * b1 * k * n).max(1)).clamp(1, m.max(1));
    let columns = b.swap_dims(2, 3).reshape([b0 * b1, 1, n, k]);
    let blocks = (0..m).step_by(rows).map(|start| {
        let block = a.clone().narrow(2, start, rows.min(m - start));
        let block = block.reshape([(b0 * b1) as i32, -1, 1, k as i32]);
        (block * columns.clone()).sum_dim(3).reshape([b0 as i32, b1 as i32, -1, n as i32])
    });
    Tensor::cat(blocks.collect(), 2)
}

#[cfg(feature = "wgpu")]
use launches::MatmulOps;

#[cfg(feature = "wgpu")]
pub(super) mod launches {
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::ops::FloatTensorOps;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::wgpu::{CubeBackend, CubeTensor};
    use burn::backend::{Autodiff, Backend, backend_extension};
    use burn::tensor::{DType, Shape};
    use lab_shaders::matmul_tile::Params;
    use lab_shaders::{MATMUL_REGISTER, MATMUL_REGISTER_F16, MATMUL_TILE, MATMUL_TILE_F16, Shader};

    use super::mode;
    use crate::kernels::launch::{Groups, dims, empty, launch};

    /// The product as an operation of burn's backends; [`super::matmul`] is its door.
    #[backend_extension(Autodiff, Cube)]
    pub(crate) trait MatmulOps: Backend {
        /// See [`super::matmul`].
        fn fused_matmul(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;
    }

    impl MatmulOps for CubeBackend {
        fn fused_matmul(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
            let [b0, b1, m, _] = dims(&a);
            let n = b.meta.shape()[3];
            let out = empty(&a, [b0, b1, m, n]);
            product(&a, &b, Epilogue::None, &out);
            out
        }
    }

    /// What follows the product; numbers as in `common/epilogue.wgsl`.
    #[derive(Clone, Copy)]
    pub(in crate::kernels) enum Epilogue<'a> {
        /// Nothing.
        None,
        /// `activation(y + bias)`; the code is the activation's.
        Bias { code: u32, bias: &'a CubeTensor },
        /// `silu(first half) * second half`, bias added before.
        SiluGate { bias: &'a CubeTensor },
        /// `residual + gamma * (y + bias)`.
        Residual { bias: &'a CubeTensor, gamma: &'a CubeTensor, residual: &'a CubeTensor },
    }

    /// The longest sum of one launch. llvmpipe ends a shader after 65 535 turns of all its loops together, of which the
    /// tile kernel takes 21 for 16 steps; longer sums are continued by further launches.
    const K_MAX: usize = 1 << 15;

    /// Launches `out = epilogue(a x b)`; `a [B0, B1, M, K]` f32, `b [B0, B1, K, N]` f32 or f16, both strided.
    pub(in crate::kernels) fn product(a: &CubeTensor, b: &CubeTensor, epilogue: Epilogue<'_>, out: &CubeTensor) {
        let [b0, b1, m, k] = dims(a);
        let n = b.meta.shape()[3];
        let a_strides: [u32; 4] = std::array::from_fn(|axis| a.meta.strides()[axis] as u32);
        let b_strides: [u32; 4] = std::array::from_fn(|axis| b.meta.strides()[axis] as u32);
        let (code, bias, gamma, residual) = match epilogue {
            Epilogue::None => (0, a, a, a),
            Epilogue::Bias { code, bias } => (code, bias, a, a),
            Epilogue::SiluGate { bias } => (5, bias, a, a),
            Epilogue::Residual { bias, gamma, residual } => (6, bias, gamma, residual),
        };
        let columns = if code == 5 { (n / 2).div_ceil(2) * 4 } else { n };
        let shader = choose(b.dtype);
        let (across, down) = if shader.workgroup_size[0] == 16 { (64, 64) } else { (32, 32) };
        let pieces = if code == 5 { 1 } else { k.div_ceil(K_MAX).max(1) };
        for piece in 0..pieces {
            let start = piece * K_MAX;
            let last = piece + 1 == pieces;
            let params = Params {
                m: m as u32,
                n: n as u32,
                k: if last { k - start } else { K_MAX } as u32,
                inner: b1 as u32,
                a_outer: a_strides[0],
                a_inner: a_strides[1],
                a_row: a_strides[2],
                a_col: a_strides[3],
                a_offset: start as u32 * a_strides[3],
                b_outer: b_strides[0],
                b_inner: b_strides[1],
                b_row: b_strides[2],
                b_col: b_strides[3],
                b_offset: start as u32 * b_strides[2],
                epilogue: if last { code } else { 0 },
                accumulate: u32::from(piece > 0),
            };
            let groups = Groups::Grid([columns.div_ceil(across), m.div_ceil(down), b0 * b1]);
            launch(shader, &[a, b, bias, gamma, residual, out], &params.words(), groups);
        }
    }

    /// The sum over all rows of `x [B, N, D]`, as a product with ones: it has no limit on the number of rows, which
    /// llvmpipe's loops have.
    pub(in crate::kernels) fn sum_of_rows(x: CubeTensor) -> CubeTensor {
        let [b, n, dim] = dims(&x);
        let ones = CubeBackend::float_ones(Shape::new([1, 1, 1, b * n]), &x.device, DType::F32.into());
        let x = CubeBackend::float_reshape(x, Shape::new([1, 1, b * n, dim]));
        let sum = empty(&x, [1, 1, 1, dim]);
        product(&ones, &x, Epilogue::None, &sum);
        CubeBackend::float_reshape(sum, Shape::new([dim]))
    }

    fn choose(weights: DType) -> &'static Shader {
        match (mode::software_adapter(), weights) {
            (false, DType::F16) => &MATMUL_TILE_F16,
            (false, _) => &MATMUL_TILE,
            (true, DType::F16) => &MATMUL_REGISTER_F16,
            (true, _) => &MATMUL_REGISTER,
        }
    }

    #[derive(Debug)]
    struct MatmulBackward;

    impl<B: MatmulOps> Backward<B, 2> for MatmulBackward {
        type State = (Option<NodeId>, Option<NodeId>);

        fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
            let [node_a, node_b] = ops.parents;
            let (state_a, state_b) = ops.state;
            let grad = grads.consume::<B>(&ops.node);
            // dA = dC x Bᵀ, dB = Aᵀ x dC; the transposes are strides.
            if let (Some(node), Some(b)) = (node_a, state_b) {
                let b: FloatTensor<B> = checkpointer.retrieve_node_output(b);
                grads.register::<B>(node.id, B::fused_matmul(grad.clone(), B::float_swap_dims(b, 2, 3)));
            }
            if let (Some(node), Some(a)) = (node_b, state_a) {
                let a: FloatTensor<B> = checkpointer.retrieve_node_output(a);
                grads.register::<B>(node.id, B::fused_matmul(B::float_swap_dims(a, 2, 3), grad));
            }
        }
    }

    impl<B: MatmulOps, C: CheckpointStrategy> MatmulOps for Autodiff<B, C> {
        fn fused_matmul(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self> {
            let (a_tracked, b_tracked) = (a.is_tracked(), b.is_tracked());
            match MatmulBackward.prepare::<C>([a.node(), b.node()]).compute_bound().stateful() {
                OpsKind::Tracked(mut prep) => {
                    // Each operand is kept only if the other one wants a gradient.
                    let state = (b_tracked.then(|| prep.checkpoint(&a)), a_tracked.then(|| prep.checkpoint(&b)));
                    prep.finish(state, B::fused_matmul(a.into_primitive(), b.into_primitive()))
                }
                OpsKind::UnTracked(prep) => prep.finish(B::fused_matmul(a.into_primitive(), b.into_primitive())),
            }
        }
    }
}
