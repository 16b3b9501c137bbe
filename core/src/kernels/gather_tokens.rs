//! Picking tokens by number, and its adjoint: MAE keeps and restores tokens, iBOT picks the masked ones.

use burn::tensor::{Int, Tensor};

use super::mode::{self, Kernel};

/// `y[b, m] = x[b, ids[b, m]]`: f32 x `[B, N, D]`, ids `[B, M]` (each below N) to `[B, M, D]`.
pub fn gather_tokens(x: Tensor<3>, ids: Tensor<2, Int>) -> Tensor<3> {
    assert_eq!(x.dims()[0], ids.dims()[0], "gather_tokens: x {:?}, ids {:?}", x.dims(), ids.dims());
    if mode::runs(Kernel::GatherTokens, &x.device()) {
        use burn::backend::Dispatch;
        let tokens = x.dims()[1];
        return Tensor::from_dispatch(Dispatch::fused_gather_tokens(
            x.into_dispatch(),
            ids.into_dispatch(),
            tokens as u32,
        ));
    }
    reference(x, ids)
}

/// `y[b, n]` = the sum of `x[b, m]` over the m with `ids[b, m] = n`: x `[B, M, D]`, ids `[B, M]` to `[B, tokens, D]`.
pub fn scatter_tokens(x: Tensor<3>, ids: Tensor<2, Int>, tokens: usize) -> Tensor<3> {
    assert_eq!(x.dims()[..2], ids.dims(), "scatter_tokens: x {:?}, ids {:?}", x.dims(), ids.dims());
    if mode::runs(Kernel::GatherTokens, &x.device()) {
        use burn::backend::Dispatch;
        return Tensor::from_dispatch(Dispatch::fused_scatter_tokens(
            x.into_dispatch(),
            ids.into_dispatch(),
            tokens as u32,
        ));
    }
    scatter_reference(x, ids, tokens)
}

/// [`gather_tokens`] in tensor operations.
pub fn reference(x: Tensor<3>, ids: Tensor<2, Int>) -> Tensor<3> {
    let ([_, _, d], [b, m]) = (x.dims(), ids.dims());
    x.gather(1, ids.reshape([b, m, 1]).repeat_dim(2, d))
}

/// [`scatter_tokens`] in tensor operations.
pub fn scatter_reference(x: Tensor<3>, ids: Tensor<2, Int>, tokens: usize) -> Tensor<3> {
    let [b, m, d] = x.dims();
    let zeros = Tensor::zeros([b, tokens, d], &x.device());
    zeros.scatter(1, ids.reshape([b, m, 1]).repeat_dim(2, d), x, burn::tensor::IndexingUpdateOp::Add)
}

use launches::GatherTokensOps;

mod launches {
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
    use burn::backend::tensor::{FloatTensor, IntTensor};
    use burn::backend::{Autodiff, Backend, backend_extension};

    /// Gather and scatter as operations of burn's backends; each is the other's derivative.
    #[backend_extension(Autodiff, Cube: cfg(feature = "wgpu"), Flex: cfg(feature = "flex"))]
    pub(crate) trait GatherTokensOps: Backend {
        /// See [`super::gather_tokens`]; `tokens` is N.
        fn fused_gather_tokens(x: FloatTensor<Self>, ids: IntTensor<Self>, tokens: u32) -> FloatTensor<Self>;
        /// See [`super::scatter_tokens`].
        fn fused_scatter_tokens(x: FloatTensor<Self>, ids: IntTensor<Self>, tokens: u32) -> FloatTensor<Self>;
    }

    #[cfg(feature = "wgpu")]
    mod wgsl {
        use burn::backend::tensor::{FloatTensor, IntTensor};
        use burn::backend::wgpu::{CubeBackend, into_contiguous};
        use burn::tensor::DType;
        use lab_shaders::{GATHER_TOKENS, SCATTER_LINKS, SCATTER_TOKENS, gather_tokens, scatter_links, scatter_tokens};

        use super::GatherTokensOps;
        use crate::kernels::launch::{dims, empty, empty_of, launch_elements};

        impl GatherTokensOps for CubeBackend {
            fn fused_gather_tokens(x: FloatTensor<Self>, ids: IntTensor<Self>, tokens: u32) -> FloatTensor<Self> {
                let (x, ids) = (into_contiguous(x), into_contiguous(ids));
                let ([batch, _, dim], [_, picked]) = (dims(&x), dims(&ids));
                let y = empty(&x, [batch, picked, dim]);
                let params =
                    gather_tokens::Params { batch: batch as u32, tokens, picked: picked as u32, dim: dim as u32 };
                launch_elements(&GATHER_TOKENS, &[&x, &ids, &y], &params.words(), batch * picked * dim);
                y
            }

            fn fused_scatter_tokens(x: FloatTensor<Self>, ids: IntTensor<Self>, tokens: u32) -> FloatTensor<Self> {
                let (x, ids) = (into_contiguous(x), into_contiguous(ids));
                let [batch, picked, dim] = dims(&x);
                let each = tokens as usize + picked;
                let links = empty_of(&ids, [batch, each], DType::I32);
                let params = scatter_links::Params { batch: batch as u32, tokens, picked: picked as u32 };
                launch_elements(&SCATTER_LINKS, &[&ids, &links], &params.words(), batch * each);
                let y = empty(&x, [batch, tokens as usize, dim]);
                let params =
                    scatter_tokens::Params { batch: batch as u32, tokens, picked: picked as u32, dim: dim as u32 };
                launch_elements(&SCATTER_TOKENS, &[&x, &links, &y], &params.words(), batch * tokens as usize * dim);
                y
            }
        }
    }

    #[cfg(feature = "flex")]
    mod loops {
        use burn::backend::Flex;
        use burn::backend::tensor::{FloatTensor, IntTensor};

        use super::GatherTokensOps;
        use crate::kernels::flex::{contiguous, dims, filled, indices, slice};

        impl GatherTokensOps for Flex {
            fn fused_gather_tokens(x: FloatTensor<Self>, ids: IntTensor<Self>, tokens: u32) -> FloatTensor<Self> {
                let ([batch, _, dim], [_, picked]) = (dims(&x), dims(&ids));
                let (x, ids) = (contiguous(x), indices(ids));
                let sizes = [tokens as usize, picked, dim];
                filled([batch, picked, dim], |y| lab_loops::tokens::gather(slice(&x), &ids, sizes, y))
            }

            fn fused_scatter_tokens(x: FloatTensor<Self>, ids: IntTensor<Self>, tokens: u32) -> FloatTensor<Self> {
                let [batch, picked, dim] = dims(&x);
                let (x, ids) = (contiguous(x), indices(ids));
                let sizes = [tokens as usize, picked, dim];
                filled([batch, tokens as usize, dim], |y| lab_loops::tokens::scatter(slice(&x), &ids, sizes, y))
            }
        }
    }

    #[derive(Debug)]
    struct GatherBackward;

    impl<B: GatherTokensOps> Backward<B, 1> for GatherBackward {
        type State = (IntTensor<B>, u32);

        fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
            let (ids, tokens) = ops.state;
            unary::<B, _>(ops.parents, ops.node, grads, |dy| B::fused_scatter_tokens(dy, ids, tokens));
        }
    }

    #[derive(Debug)]
    struct ScatterBackward;

    impl<B: GatherTokensOps> Backward<B, 1> for ScatterBackward {
        type State = (IntTensor<B>, u32);

        fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
            let (ids, tokens) = ops.state;
            unary::<B, _>(ops.parents, ops.node, grads, |dy| B::fused_gather_tokens(dy, ids, tokens));
        }
    }

    impl<B: GatherTokensOps, C: CheckpointStrategy> GatherTokensOps for Autodiff<B, C> {
        fn fused_gather_tokens(x: FloatTensor<Self>, ids: IntTensor<Self>, tokens: u32) -> FloatTensor<Self> {
            match GatherBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let y = B::fused_gather_tokens(x.into_primitive(), ids.clone(), tokens);
                    prep.finish((ids, tokens), y)
                }
                OpsKind::UnTracked(prep) => prep.finish(B::fused_gather_tokens(x.into_primitive(), ids, tokens)),
            }
        }

        fn fused_scatter_tokens(x: FloatTensor<Self>, ids: IntTensor<Self>, tokens: u32) -> FloatTensor<Self> {
            match ScatterBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => {
                    let y = B::fused_scatter_tokens(x.into_primitive(), ids.clone(), tokens);
                    prep.finish((ids, tokens), y)
                }
                OpsKind::UnTracked(prep) => prep.finish(B::fused_scatter_tokens(x.into_primitive(), ids, tokens)),
            }
        }
    }
}
