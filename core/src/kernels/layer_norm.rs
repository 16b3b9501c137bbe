//! Layer normalisation over the last axis: `(x - mean) / sqrt(var + eps) * gamma + beta`, `var` biased (PyTorch's).

use burn::tensor::Tensor;

use super::mode::{self, Kernel};

/// f32 x `[B, N, D]`, gamma and beta `[D]` to `[B, N, D]`.
pub fn layer_norm(x: Tensor<3>, gamma: Tensor<1>, beta: Tensor<1>, eps: f64) -> Tensor<3> {
    let dim = x.dims()[2];
    assert!(gamma.dims() == [dim] && beta.dims() == [dim], "layer_norm: x {:?}, gamma {:?}", x.dims(), gamma.dims());
    if mode::runs(Kernel::LayerNorm, &x.device()) {
        use burn::backend::Dispatch;
        let y = Dispatch::fused_layer_norm(x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch(), eps as f32);
        return Tensor::from_dispatch(y);
    }
    reference(x, gamma, beta, eps)
}

/// The same in tensor operations.
pub fn reference(x: Tensor<3>, gamma: Tensor<1>, beta: Tensor<1>, eps: f64) -> Tensor<3> {
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().powi_scalar(2).mean_dim(2);
    centred / (variance + eps).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

use launches::LayerNormOps;

mod launches {
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, backend_extension};

    /// Layer normalisation as an operation of burn's backends; [`super::layer_norm`] is its door.
    #[backend_extension(Autodiff, Cube: cfg(feature = "wgpu"), Flex: cfg(feature = "flex"))]
    pub(crate) trait LayerNormOps: Backend {
        /// See [`super::layer_norm`].
        fn fused_layer_norm(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            eps: f32,
        ) -> FloatTensor<Self>;
        /// The gradients of `x`, `gamma` and `beta`.
        fn fused_layer_norm_backward(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            dy: FloatTensor<Self>,
            eps: f32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    }

    #[cfg(feature = "wgpu")]
    mod wgsl {
        use burn::backend::tensor::FloatTensor;
        use burn::backend::wgpu::{CubeBackend, into_contiguous};
        use lab_shaders::{LAYER_NORM, LAYER_NORM_BACKWARD, layer_norm, layer_norm_backward};

        use super::LayerNormOps;
        use crate::kernels::launch::{Groups, dims, empty, launch};
        use crate::kernels::sum_rows::launches::sum_of_rows;

        impl LayerNormOps for CubeBackend {
            fn fused_layer_norm(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                eps: f32,
            ) -> FloatTensor<Self> {
                let (x, gamma, beta) = (into_contiguous(x), into_contiguous(gamma), into_contiguous(beta));
                let [b, n, dim] = dims(&x);
                let y = empty(&x, [b, n, dim]);
                let params = layer_norm::Params { rows: (b * n) as u32, dim: dim as u32, eps };
                launch(&LAYER_NORM, &[&x, &gamma, &beta, &y], &params.words(), Groups::Line(b * n));
                y
            }

            fn fused_layer_norm_backward(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                dy: FloatTensor<Self>,
                eps: f32,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let (x, gamma, dy) = (into_contiguous(x), into_contiguous(gamma), into_contiguous(dy));
                let [b, n, dim] = dims(&x);
                let (dx, dy_xhat) = (empty(&x, [b, n, dim]), empty(&x, [b, n, dim]));
                let params = layer_norm_backward::Params { rows: (b * n) as u32, dim: dim as u32, eps };
                let buffers = [&x, &gamma, &dy, &dx, &dy_xhat];
                launch(&LAYER_NORM_BACKWARD, &buffers, &params.words(), Groups::Line(b * n));
                (dx, sum_of_rows(dy_xhat), sum_of_rows(dy))
            }
        }
    }

    #[cfg(feature = "flex")]
    mod loops {
        use burn::backend::Flex;
        use burn::backend::tensor::FloatTensor;
        use lab_loops::layer_norm;

        use super::LayerNormOps;
        use crate::kernels::flex::{contiguous, dims, filled, from, slice};

        impl LayerNormOps for Flex {
            fn fused_layer_norm(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                eps: f32,
            ) -> FloatTensor<Self> {
                let (x, gamma, beta) = (contiguous(x), contiguous(gamma), contiguous(beta));
                filled(dims::<3>(&x), |y| layer_norm::forward(slice(&x), slice(&gamma), slice(&beta), eps, y))
            }

            fn fused_layer_norm_backward(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                dy: FloatTensor<Self>,
                eps: f32,
            ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
                let (x, gamma, dy) = (contiguous(x), contiguous(gamma), contiguous(dy));
                let shape = dims::<3>(&x);
                let (mut dgamma, mut dbeta) = (vec![0.0; shape[2]], vec![0.0; shape[2]]);
                let dx = filled(shape, |dx| {
                    let of_parameters = [dgamma.as_mut_slice(), dbeta.as_mut_slice()];
                    layer_norm::backward(slice(&x), slice(&gamma), slice(&dy), eps, dx, of_parameters);
                });
                (dx, from(dgamma, [shape[2]]), from(dbeta, [shape[2]]))
            }
        }
    }

    #[derive(Debug)]
    struct LayerNormBackward;

    impl<B: LayerNormOps> Backward<B, 3> for LayerNormBackward {
        type State = (NodeId, NodeId, f32);

        fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
            let [node_x, node_gamma, node_beta] = ops.parents;
            let (x, gamma, eps) = ops.state;
            let x: FloatTensor<B> = checkpointer.retrieve_node_output(x);
            let gamma: FloatTensor<B> = checkpointer.retrieve_node_output(gamma);
            let dy = grads.consume::<B>(&ops.node);
            let (dx, dgamma, dbeta) = B::fused_layer_norm_backward(x, gamma, dy, eps);
            for (node, gradient) in [(node_x, dx), (node_gamma, dgamma), (node_beta, dbeta)] {
                if let Some(node) = node {
                    grads.register::<B>(node.id, gradient);
                }
            }
        }
    }

    impl<B: LayerNormOps, C: CheckpointStrategy> LayerNormOps for Autodiff<B, C> {
        fn fused_layer_norm(
            x: FloatTensor<Self>,
            gamma: FloatTensor<Self>,
            beta: FloatTensor<Self>,
            eps: f32,
        ) -> FloatTensor<Self> {
            let nodes = [x.node(), gamma.node(), beta.node()];
            let forward = |x: FloatTensor<Self>, gamma: FloatTensor<Self>| {
                B::fused_layer_norm(x.into_primitive(), gamma.into_primitive(), beta.into_primitive(), eps)
            };
            match LayerNormBackward.prepare::<C>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(mut prep) => {
                    let state = (prep.checkpoint(&x), prep.checkpoint(&gamma), eps);
                    prep.finish(state, forward(x, gamma))
                }
                OpsKind::UnTracked(prep) => prep.finish(forward(x, gamma)),
            }
        }

        fn fused_layer_norm_backward(
            _x: FloatTensor<Self>,
            _gamma: FloatTensor<Self>,
            _dy: FloatTensor<Self>,
            _eps: f32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
            unreachable!("the backward pass runs below autodiff")
        }
    }
}
