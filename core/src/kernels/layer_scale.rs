//! LayerScale while training: each of a token's numbers times a learned factor.
//!
//! Touvron et al., arXiv 2103.17239. Inference has it in the product's epilogue (`linear_residual`). The factors' gradient
//! is a sum over all tokens, which is what this kernel is for.

use burn::tensor::Tensor;

#[cfg(feature = "wgpu")]
use super::mode::{self, Kernel};

/// `x * gamma`: f32 x `[B, N, D]`, gamma `[D]`.
pub fn layer_scale(x: Tensor<3>, gamma: Tensor<1>) -> Tensor<3> {
    assert!(gamma.dims() == [x.dims()[2]], "layer_scale: x {:?}, gamma {:?}", x.dims(), gamma.dims());
    #[cfg(feature = "wgpu")]
    if mode::runs(Kernel::LayerScale, &x.device()) {
        use burn::backend::Dispatch;
        return Tensor::from_dispatch(Dispatch::fused_layer_scale(x.into_dispatch(), gamma.into_dispatch()));
    }
    reference(x, gamma)
}

/// The same in tensor operations.
pub fn reference(x: Tensor<3>, gamma: Tensor<1>) -> Tensor<3> {
    x * gamma.unsqueeze()
}

#[cfg(feature = "wgpu")]
use launches::LayerScaleOps;

#[cfg(feature = "wgpu")]
mod launches {
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::tensor::FloatTensor;
    use burn::backend::wgpu::{CubeBackend, into_contiguous};
    use burn::backend::{Autodiff, Backend, backend_extension};
    use lab_shaders::{LAYER_SCALE, LAYER_SCALE_BACKWARD, layer_scale, layer_scale_backward};

    use super::mode;
    use crate::kernels::kept::Kept;
    use crate::kernels::launch::{dims, empty, launch_strided};
    use crate::kernels::sum_rows::launches::sum_of_rows;

    /// LayerScale as an operation of burn's backends.
    #[backend_extension(Autodiff, Cube)]
    pub(crate) trait LayerScaleOps: Backend {
        /// See [`super::layer_scale`].
        fn fused_layer_scale(x: FloatTensor<Self>, gamma: FloatTensor<Self>) -> FloatTensor<Self>;
        /// The gradients of x and of gamma.
        fn fused_layer_scale_backward(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            dy: FloatTensor<Self>,
        ) -> (FloatTensor<Self>, FloatTensor<Self>);
    }

    impl LayerScaleOps for CubeBackend {
        fn fused_layer_scale(x: FloatTensor<Self>, gamma: FloatTensor<Self>) -> FloatTensor<Self> {
            let (x, gamma) = (into_contiguous(x), into_contiguous(gamma));
            let [b, n, dim] = dims(&x);
            let y = empty(&x, [b, n, dim]);
            let params = layer_scale::Params { count: (b * n * dim) as u32, dim: dim as u32 };
            launch_strided(&LAYER_SCALE, &[&x, &gamma, &y], &params.words(), b * n * dim);
            y
        }

        fn fused_layer_scale_backward(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            dy: FloatTensor<Self>,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            let (x, gamma, dy) = (into_contiguous(x), into_contiguous(gamma), into_contiguous(dy));
            let [b, n, dim] = dims(&x);
            let (dx, dy_x) = (empty(&x, [b, n, dim]), empty(&x, [b, n, dim]));
            let params = layer_scale_backward::Params { count: (b * n * dim) as u32, dim: dim as u32 };
            let buffers = [&x, &gamma, &dy, &dx, &dy_x];
            launch_strided(&LAYER_SCALE_BACKWARD, &buffers, &params.words(), b * n * dim);
            (dx, sum_of_rows(dy_x))
        }
    }

    #[derive(Debug)]
    struct LayerScaleBackward;

    impl<B: LayerScaleOps> Backward<B, 2> for LayerScaleBackward {
        type State = (Kept<B>, NodeId);

        fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
            let [node_x, node_gamma] = ops.parents;
            let (x, gamma) = ops.state;
            let x = x.take(checkpointer);
            let gamma: FloatTensor<B> = checkpointer.retrieve_node_output(gamma);
            let dy = grads.consume::<B>(&ops.node);
            let (dx, dgamma) = B::fused_layer_scale_backward(x, gamma, dy);
            for (node, gradient) in [(node_x, dx), (node_gamma, dgamma)] {
                if let Some(node) = node {
                    grads.register::<B>(node.id, gradient);
                }
            }
        }
    }

    impl<B: LayerScaleOps, C: CheckpointStrategy> LayerScaleOps for Autodiff<B, C> {
        fn fused_layer_scale(x: FloatTensor<Self>, gamma: FloatTensor<Self>) -> FloatTensor<Self> {
            let forward = |x: FloatTensor<Self>, gamma: FloatTensor<Self>| {
                B::fused_layer_scale(x.into_primitive(), gamma.into_primitive())
            };
            match LayerScaleBackward.prepare::<C>([x.node(), gamma.node()]).compute_bound().stateful() {
                OpsKind::Tracked(mut prep) => {
                    let state = (Kept::of(&x, mode::keeps_half(), &mut prep), prep.checkpoint(&gamma));
                    prep.finish(state, forward(x, gamma))
                }
                OpsKind::UnTracked(prep) => prep.finish(forward(x, gamma)),
            }
        }

        fn fused_layer_scale_backward(
            _x: FloatTensor<Self>,
            _gamma: FloatTensor<Self>,
            _dy: FloatTensor<Self>,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            unreachable!("the backward pass runs below autodiff")
        }
    }
}
