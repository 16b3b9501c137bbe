//! Batched matrix product, `[B0, B1, M, K] x [B0, B1, K, N] -> [B0, B1, M, N]`.
//!
//! Operands may be strided (a transpose costs nothing), K may have any length. Four shaders compute it: tiles of two
//! sizes in workgroup memory for GPUs, registers only for software adapters, and natively the GPU's matrix units for
//! products of 16-bit floats; see `docs/decisions`. burn's own product does not run in a browser, so there every product goes
//! through here.

use burn::tensor::{DType, Tensor};

use super::mode;
#[cfg(feature = "wgpu")]
use super::mode::Kernel;

/// `a x b`: f32 `[B0, B1, M, K]` and `[B0, B1, K, N]` to `[B0, B1, M, N]`. Under [`mode::half_precision`] both are rounded
/// to 16 bits first, as under PyTorch's autocast: matrix units want it so. Where burn multiplies, what comes out is rounded
/// too. Our shader leaves that in 32 bits, and multiplies unrounded what does not lie in quads or is small, and everything
/// on a device without matrix units; what is kept for the gradient of `b` is rounded on every device.
///
/// # Panics
///
/// When the shapes do not fit: shapes are ours, so that is a bug of ours.
pub fn matmul(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    if !mode::precision_is_half() {
        return matmul_f32(a, b);
    }
    #[cfg(feature = "wgpu")]
    if mode::runs(Kernel::Matmul, &a.device()) {
        check(&a, &b);
        return fused(a, b, true);
    }
    matmul_f32(a.cast(DType::F16), b.cast(DType::F16)).cast(DType::F32)
}

/// [`matmul`] as its operands are, whatever the mode: for what must not lose digits.
///
/// # Panics
///
/// As [`matmul`].
pub fn matmul_f32(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    check(&a, &b);
    #[cfg(feature = "wgpu")]
    if a.dtype() == DType::F32 && mode::runs(Kernel::Matmul, &a.device()) {
        return fused(a, b, false);
    }
    reference(a, b)
}

fn check(a: &Tensor<4>, b: &Tensor<4>) {
    let ([a0, a1, _, ak], [b0, b1, bk, _]) = (a.dims(), b.dims());
    assert!(a0 == b0 && a1 == b1 && ak == bk, "matmul: {:?} x {:?}", a.dims(), b.dims());
}

#[cfg(feature = "wgpu")]
fn fused(a: Tensor<4>, b: Tensor<4>, half: bool) -> Tensor<4> {
    use burn::backend::Dispatch;
    Tensor::from_dispatch(Dispatch::fused_matmul(a.into_dispatch(), b.into_dispatch(), half))
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
    use burn::backend::tensor::FloatTensor;
    use burn::backend::wgpu::{CubeBackend, CubeTensor};
    use burn::backend::{Autodiff, Backend, TensorMetadata as _, backend_extension};
    use burn::tensor::DType;
    use lab_shaders::matmul_tile::Params;
    use lab_shaders::{
        MATMUL_LARGE, MATMUL_LARGE_F16, MATMUL_REGISTER, MATMUL_REGISTER_F16, MATMUL_TILE, MATMUL_TILE_F16, Shader,
    };

    use super::mode;
    use crate::kernels::kept::Kept;
    use crate::kernels::launch::{Groups, dims, empty, launch};
    use crate::kernels::sum_rows::launches::sum_into;

    /// The product as an operation of burn's backends; [`super::matmul`] is its door.
    #[backend_extension(Autodiff, Cube)]
    pub(crate) trait MatmulOps: Backend {
        /// See [`super::matmul`]; `half` asks for operands rounded to 16 bits.
        fn fused_matmul(a: FloatTensor<Self>, b: FloatTensor<Self>, half: bool) -> FloatTensor<Self>;
    }

    impl MatmulOps for CubeBackend {
        fn fused_matmul(a: FloatTensor<Self>, b: FloatTensor<Self>, half: bool) -> FloatTensor<Self> {
            let [b0, b1, m, _] = dims(&a);
            let n = b.meta.shape()[3];
            let out = empty(&a, [b0, b1, m, n]);
            product(&a, &b, half, Epilogue::None, &out);
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
    /// Workgroups that fill a large GPU without a long tail: an H200 has 132 multiprocessors.
    const FULL: usize = 512;
    /// The shortest piece of a sum that is worth a workgroup of its own.
    const K_PIECE: usize = 256;

    /// The least rows and columns that are worth a tile of the matrix units.
    #[cfg(not(target_family = "wasm"))]
    const COOPERATIVE_LEAST: usize = 32;

    /// How a product is computed.
    struct Way {
        shader: &'static Shader,
        /// Rows and columns of a workgroup.
        side: usize,
        /// Pieces that the sum is cut into, each a batch of its own; 1 leaves it whole.
        pieces: usize,
    }

    /// The shader for the device's matrix units, where there are any and the operands lie so that it can read them.
    #[cfg(not(target_family = "wasm"))]
    fn cooperative(a: View<'_>, b: View<'_>, sizes: [usize; 3]) -> Option<&'static Shader> {
        if !mode::matrix_units() || mode::is_replaced(mode::Kernel::MatmulCooperative) {
            return None;
        }
        in_quads((a.offset, a.strides), (b.offset, b.strides), sizes, b.tensor.dtype)
    }

    /// The shader that reads `a [M, K]` and `b [K, N]`, of which offset and strides are given, in quads: along the sum, or
    /// across it (`a` only where `b` is, too). None where they lie otherwise, or are too small for its tile.
    #[cfg(not(target_family = "wasm"))]
    fn in_quads(
        (a_offset, a): (usize, [usize; 4]),
        (b_offset, b): (usize, [usize; 4]),
        [m, k, n]: [usize; 3],
        second: DType,
    ) -> Option<&'static Shader> {
        use lab_shaders::{
            MATMUL_COOPERATIVE_NN, MATMUL_COOPERATIVE_NT, MATMUL_COOPERATIVE_NT_F16, MATMUL_COOPERATIVE_TN,
            MATMUL_COOPERATIVE_TN_F16,
        };
        if m.min(n) <= COOPERATIVE_LEAST {
            return None;
        }
        // Neighbours lie side by side, and a quad that begins in a line ends in it.
        let quads = |next: usize, others: [usize; 5]| next == 1 && others.iter().all(|number| number.is_multiple_of(4));
        let [a_outer, a_inner, a_row, a_col] = a;
        let [b_outer, b_inner, b_row, b_col] = b;
        let a_along = quads(a_col, [k, a_row, a_inner, a_outer, a_offset]);
        let a_across = quads(a_row, [m, a_col, a_inner, a_outer, a_offset]);
        let b_along = quads(b_row, [k, b_col, b_inner, b_outer, b_offset]);
        let b_across = quads(b_col, [n, b_row, b_inner, b_outer, b_offset]);
        match second == DType::F16 {
            true if a_along && b_along => Some(&MATMUL_COOPERATIVE_NT_F16),
            true => (a_across && b_across).then_some(&MATMUL_COOPERATIVE_TN_F16),
            false if a_along && b_along => Some(&MATMUL_COOPERATIVE_NT),
            false if a_along && b_across => Some(&MATMUL_COOPERATIVE_NN),
            false => (a_across && b_across).then_some(&MATMUL_COOPERATIVE_TN),
        }
    }

    #[cfg(target_family = "wasm")]
    fn cooperative(_a: View<'_>, _b: View<'_>, _sizes: [usize; 3]) -> Option<&'static Shader> {
        None
    }

    /// Tiles as large as still fill the device. Few tiles share one long sum (a weight's gradient: as many rows as it has
    /// outputs, as many columns as inputs, a term for every token), so that is cut, where nothing but the product is asked.
    fn way(
        [m, columns, k]: [usize; 3],
        batches: usize,
        may_cut: bool,
        second: DType,
        cooperative: Option<&'static Shader>,
    ) -> Way {
        let shader = |plain, f16| if second == DType::F16 { f16 } else { plain };
        if mode::software_adapter() {
            return Way { shader: shader(&MATMUL_REGISTER, &MATMUL_REGISTER_F16), side: 32, pieces: 1 };
        }
        let tiles = |side: usize| columns.div_ceil(side) * m.div_ceil(side) * batches;
        let pieces = |side: usize| match may_cut {
            true => (FULL / tiles(side).max(1)).min(k / K_PIECE).max(1),
            false => 1,
        };
        if let Some(shader) = cooperative {
            return Way { shader, side: 128, pieces: pieces(128) };
        }
        if m > 64 && columns > 64 && tiles(128) * pieces(128) >= FULL / 4 {
            return Way { shader: shader(&MATMUL_LARGE, &MATMUL_LARGE_F16), side: 128, pieces: pieces(128) };
        }
        Way { shader: shader(&MATMUL_TILE, &MATMUL_TILE_F16), side: 64, pieces: pieces(64) }
    }

    /// A tensor read or written as batches `[outer, inner]` of matrices, wherever they lie in it; in elements.
    #[derive(Clone, Copy)]
    pub(in crate::kernels) struct View<'a> {
        /// What holds them.
        pub(in crate::kernels) tensor: &'a CubeTensor,
        /// Where the first begins.
        pub(in crate::kernels) offset: usize,
        /// From one to the next: outer and inner batches, rows, columns.
        pub(in crate::kernels) strides: [usize; 4],
    }

    impl<'a> View<'a> {
        /// `[B0, B1, rows, columns]` as it lies.
        fn of(tensor: &'a CubeTensor) -> Self {
            Self { tensor, offset: 0, strides: std::array::from_fn(|axis| tensor.meta.strides()[axis]) }
        }

        /// Contiguous, with as many rows and columns.
        pub(in crate::kernels) fn contiguous(
            tensor: &'a CubeTensor,
            inner: usize,
            rows: usize,
            columns: usize,
        ) -> Self {
            Self { tensor, offset: 0, strides: [inner * rows * columns, rows * columns, columns, 1] }
        }

        /// Rows for columns.
        pub(in crate::kernels) fn transposed(self) -> Self {
            let [outer, inner, row, column] = self.strides;
            Self { strides: [outer, inner, column, row], ..self }
        }
    }

    /// Launches `out = epilogue(a x b)`; `a [B0, B1, M, K]` f32, `b [B0, B1, K, N]` f32 or f16, both strided. With `half`,
    /// or where `b` is f16, operands are rounded to 16 bits where the device has matrix units for them.
    pub(in crate::kernels) fn product(
        a: &CubeTensor,
        b: &CubeTensor,
        half: bool,
        epilogue: Epilogue<'_>,
        out: &CubeTensor,
    ) {
        let [b0, b1, m, k] = dims(a);
        let n = b.meta.shape()[3];
        let columns = if matches!(epilogue, Epilogue::SiluGate { .. }) { n / 2 } else { n };
        let out = View::contiguous(out, b1, m, columns);
        product_of([b0, b1], [m, k, n], View::of(a), View::of(b), half, epilogue, out);
    }

    /// The same for matrices that lie anywhere: `batches` (outer, inner) of `[M, K] x [K, N]`. The columns of `out` lie side
    /// by side.
    pub(in crate::kernels) fn product_of(
        batches: [usize; 2],
        [m, k, n]: [usize; 3],
        a: View<'_>,
        b: View<'_>,
        half: bool,
        epilogue: Epilogue<'_>,
        out: View<'_>,
    ) {
        let (code, bias, gamma, residual) = match epilogue {
            Epilogue::None => (0, a.tensor, a.tensor, a.tensor),
            Epilogue::Bias { code, bias } => (code, bias, a.tensor, a.tensor),
            Epilogue::SiluGate { bias } => (5, bias, a.tensor, a.tensor),
            Epilogue::Residual { bias, gamma, residual } => (6, bias, gamma, residual),
        };
        let columns = if code == 5 { (n / 2).div_ceil(2) * 4 } else { n };
        let count = batches[0] * batches[1];
        // What was cut is put together again by rows, which are whole where nothing lies between them.
        let may_cut = code == 0 && count == 1 && out.strides[2] == n && out.offset == 0;
        let half = half || b.tensor.dtype == DType::F16;
        // A gate's columns are read by pairs from both halves: with weights along the sum alone.
        let cooperative = match half && (code != 5 || b.strides[2] == 1) {
            true => cooperative(a, b, [m, k, n]),
            false => None,
        };
        let Way { shader, side, pieces } = way([m, columns, k], count, may_cut, b.tensor.dtype, cooperative);
        let [a_outer, a_inner, a_row, a_col] = a.strides.map(|stride| stride as u32);
        let [b_outer, b_inner, b_row, b_col] = b.strides.map(|stride| stride as u32);
        let [out_outer, out_inner, out_row, _] = out.strides.map(|stride| stride as u32);
        let whole = Params {
            m: m as u32,
            n: n as u32,
            k: k as u32,
            k_last: k as u32,
            inner: batches[1] as u32,
            a_outer,
            a_inner,
            a_row,
            a_col,
            a_offset: a.offset as u32,
            b_outer,
            b_inner,
            b_row,
            b_col,
            b_offset: b.offset as u32,
            out_outer,
            out_inner,
            out_row,
            out_offset: out.offset as u32,
            epilogue: code,
            accumulate: 0,
        };
        let run = |params: Params, count: usize, out: &CubeTensor| {
            let groups = Groups::Grid([columns.div_ceil(side), m.div_ceil(side), count]);
            launch(shader, &[a.tensor, b.tensor, bias, gamma, residual, out], &params.words(), groups);
        };
        if pieces > 1 {
            // Pieces are batches that lie one behind the other along the sum.
            let piece = k.div_ceil(pieces).next_multiple_of(16);
            let pieces = k.div_ceil(piece);
            let params = Params {
                k: piece as u32,
                k_last: (k - (pieces - 1) * piece) as u32,
                inner: 1,
                a_outer: piece as u32 * a_col,
                b_outer: piece as u32 * b_row,
                out_outer: (m * n) as u32,
                ..whole
            };
            let parts = empty(a.tensor, [pieces, m, n]);
            run(params, pieces, &parts);
            return sum_into(&parts, m * n, out.tensor);
        }
        let launches = if code == 5 { 1 } else { k.div_ceil(K_MAX).max(1) };
        for index in 0..launches {
            let start = index * K_MAX;
            let last = index + 1 == launches;
            let length = if last { k - start } else { K_MAX } as u32;
            let params = Params {
                k: length,
                k_last: length,
                a_offset: whole.a_offset + start as u32 * a_col,
                b_offset: whole.b_offset + start as u32 * b_row,
                epilogue: if last { code } else { 0 },
                accumulate: u32::from(index > 0),
                ..whole
            };
            run(params, count, out.tensor);
        }
    }

    #[derive(Debug)]
    struct MatmulBackward;

    impl<B: MatmulOps> Backward<B, 2> for MatmulBackward {
        type State = (Option<Kept<B>>, Option<NodeId>, bool);

        fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
            let [node_a, node_b] = ops.parents;
            let (state_a, state_b, half) = ops.state;
            let grad = grads.consume::<B>(&ops.node);
            // dA = dC x Bᵀ, dB = Aᵀ x dC; the transposes are strides.
            if let (Some(node), Some(b)) = (node_a, state_b) {
                let b: FloatTensor<B> = checkpointer.retrieve_node_output(b);
                grads.register::<B>(node.id, B::fused_matmul(grad.clone(), B::float_swap_dims(b, 2, 3), half));
            }
            if let (Some(node), Some(a)) = (node_b, state_a) {
                let a = a.take_as_it_lies(checkpointer);
                // What lies in 16 bits is a product's second operand: (dCᵀ x A)ᵀ.
                let gradient = match a.dtype() == DType::F16 {
                    true => {
                        let transposed = B::fused_matmul(B::float_swap_dims(grad, 2, 3), a, half);
                        B::float_swap_dims(transposed, 2, 3)
                    }
                    false => B::fused_matmul(B::float_swap_dims(a, 2, 3), grad, half),
                };
                grads.register::<B>(node.id, gradient);
            }
        }
    }

    impl<B: MatmulOps, C: CheckpointStrategy> MatmulOps for Autodiff<B, C> {
        fn fused_matmul(a: FloatTensor<Self>, b: FloatTensor<Self>, half: bool) -> FloatTensor<Self> {
            let (a_tracked, b_tracked) = (a.is_tracked(), b.is_tracked());
            match MatmulBackward.prepare::<C>([a.node(), b.node()]).compute_bound().stateful() {
                OpsKind::Tracked(mut prep) => {
                    // Each operand is kept only if the other one wants a gradient; the second is weights nearly always.
                    let kept_a = b_tracked.then(|| Kept::of(&a, half && mode::keeps_half(), &mut prep));
                    let state = (kept_a, a_tracked.then(|| prep.checkpoint(&b)), half);
                    prep.finish(state, B::fused_matmul(a.into_primitive(), b.into_primitive(), half))
                }
                OpsKind::UnTracked(prep) => prep.finish(B::fused_matmul(a.into_primitive(), b.into_primitive(), half)),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn matrix_units_read_what_lies_in_quads() {
            let name = |a, b, sizes, second| in_quads(a, b, sizes, second).map(|shader| shader.name);
            // 300 tokens of 68 numbers, weights [140, 68] as PyTorch stores them, gradients of 140.
            let (x, weight, grad) = ((0, [0, 0, 68, 1]), (0, [0, 0, 1, 68]), (0, [0, 0, 140, 1]));
            let transposed =
                |(offset, [outer, inner, row, column]): (usize, [usize; 4])| (offset, [outer, inner, column, row]);
            assert_eq!(name(x, weight, [300, 68, 140], DType::F32), Some("matmul_cooperative_nt"));
            assert_eq!(name(x, weight, [300, 68, 140], DType::F16), Some("matmul_cooperative_nt_f16"));
            assert_eq!(name(grad, transposed(weight), [300, 140, 68], DType::F32), Some("matmul_cooperative_nn"));
            assert_eq!(name(transposed(x), grad, [68, 300, 140], DType::F32), Some("matmul_cooperative_tn"));
            assert_eq!(name(transposed(grad), x, [140, 300, 68], DType::F16), Some("matmul_cooperative_tn_f16"));
            // Tokens may be any number where they are the sum; a width that ends within a quad may not.
            assert_eq!(name(transposed(x), grad, [68, 301, 140], DType::F32), Some("matmul_cooperative_tn"));
            let odd = ((0, [0, 0, 67, 1]), (0, [0, 0, 1, 67]));
            assert_eq!(name(odd.0, odd.1, [300, 67, 140], DType::F32), None);
            // Heads of 64 in fused queries, keys and values; probabilities of 65 tokens are odd.
            let (heads, probabilities) = ((64, [65 * 768, 64, 768, 1]), (0, [4 * 65 * 65, 65 * 65, 65, 1]));
            assert_eq!(name(heads, transposed(heads), [65, 64, 65], DType::F32), Some("matmul_cooperative_nt"));
            assert_eq!(name(probabilities, heads, [65, 65, 64], DType::F32), None);
            assert_eq!(name((2, heads.1), transposed(heads), [65, 64, 65], DType::F32), None, "begins within a quad");
            assert_eq!(name(x, weight, [COOPERATIVE_LEAST, 68, 140], DType::F32), None, "too few rows");
        }
    }
}
