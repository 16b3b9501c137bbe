//! `activation(x + bias)`, what follows a product where a gradient is wanted: one pass forward, one back.
//!
//! Without gradients the product's own epilogue does this ([`linear`](super::linear)).

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
pub use lab_loops::Activation;

use super::mode::{self, Kernel};

/// f32 x `[B, N, D]`, bias `[D]` to `[B, N, D]`.
pub fn bias_activation(x: Tensor<3>, bias: Tensor<1>, activation: Activation) -> Tensor<3> {
    assert!(bias.dims() == [x.dims()[2]], "bias_activation: x {:?}, bias {:?}", x.dims(), bias.dims());
    if mode::runs(Kernel::BiasActivation, &x.device()) {
        use burn::backend::Dispatch;
        let y = Dispatch::fused_bias_activation(x.into_dispatch(), bias.into_dispatch(), activation as u32);
        return Tensor::from_dispatch(y);
    }
    reference(x, bias, activation)
}

/// The same in tensor operations.
pub fn reference(x: Tensor<3>, bias: Tensor<1>, activation: Activation) -> Tensor<3> {
    apply(x + bias.unsqueeze(), activation)
}

/// The activation alone, in tensor operations.
pub fn apply<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Identity => x,
        // By erf and not by burn's gelu, whose derivative is an approximation (1.5e-3 off).
        Activation::Gelu => x.clone() * ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5,
        Activation::QuickGelu => x.clone() * sigmoid(x * 1.702),
        Activation::GeluTanh => {
            // sqrt(2 / pi) and 0.044715: Hendrycks and Gimpel, arXiv 1606.08415.
            let inner = (x.clone().powi_scalar(3) * 0.044_715 + x.clone()) * 0.797_884_56;
            x * (inner.tanh() + 1.0) * 0.5
        }
    }
}

use launches::BiasActivationOps;

mod launches {
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, backend_extension};

    use super::mode;
    use crate::kernels::kept::Kept;

    /// Bias and activation as an operation of burn's backends; the activation by its code.
    #[backend_extension(Autodiff, Cube: cfg(feature = "wgpu"), Flex: cfg(feature = "flex"))]
    pub(crate) trait BiasActivationOps: Backend {
        /// See [`super::bias_activation`].
        fn fused_bias_activation(x: FloatTensor<Self>, bias: FloatTensor<Self>, activation: u32) -> FloatTensor<Self>;
        /// The gradients of x and of the bias.
        fn fused_bias_activation_backward(
            x: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            dy: FloatTensor<Self>,
            activation: u32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>);
    }

    #[cfg(feature = "wgpu")]
    impl BiasActivationOps for burn::backend::wgpu::CubeBackend {
        fn fused_bias_activation(x: FloatTensor<Self>, bias: FloatTensor<Self>, activation: u32) -> FloatTensor<Self> {
            use burn::backend::wgpu::into_contiguous;

            use crate::kernels::launch::{dims, empty, launch_strided};

            let (x, bias) = (into_contiguous(x), into_contiguous(bias));
            let [b, n, dim] = dims(&x);
            let y = empty(&x, [b, n, dim]);
            let count = b * n * dim;
            let params = lab_shaders::bias_activation::Params { count: count as u32, dim: dim as u32, activation };
            launch_strided(&lab_shaders::BIAS_ACTIVATION, &[&x, &bias, &y], &params.words(), count);
            y
        }

        fn fused_bias_activation_backward(
            x: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            dy: FloatTensor<Self>,
            activation: u32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            use burn::backend::wgpu::into_contiguous;

            use crate::kernels::launch::{dims, empty, launch_strided};
            use crate::kernels::sum_rows::launches::sum_of_rows;

            let (x, bias, dy) = (into_contiguous(x), into_contiguous(bias), into_contiguous(dy));
            if activation == super::Activation::Identity as u32 {
                return (dy.clone(), sum_of_rows(dy));
            }
            let [b, n, dim] = dims(&x);
            let dx = empty(&x, [b, n, dim]);
            let count = b * n * dim;
            let params =
                lab_shaders::bias_activation_backward::Params { count: count as u32, dim: dim as u32, activation };
            let shader = &lab_shaders::BIAS_ACTIVATION_BACKWARD;
            launch_strided(shader, &[&x, &bias, &dy, &dx], &params.words(), count);
            (dx.clone(), sum_of_rows(dx))
        }
    }

    #[cfg(feature = "flex")]
    impl BiasActivationOps for burn::backend::Flex {
        fn fused_bias_activation(x: FloatTensor<Self>, bias: FloatTensor<Self>, activation: u32) -> FloatTensor<Self> {
            use crate::kernels::flex::{contiguous, dims, filled, slice};

            let (x, bias) = (contiguous(x), contiguous(bias));
            filled(dims::<3>(&x), |y| {
                lab_loops::activation::forward(slice(&x), slice(&bias), activation_of(activation), y);
            })
        }

        fn fused_bias_activation_backward(
            x: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            dy: FloatTensor<Self>,
            activation: u32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            use crate::kernels::flex::{contiguous, dims, filled, from, slice};

            let (x, bias, dy) = (contiguous(x), contiguous(bias), contiguous(dy));
            let shape = dims::<3>(&x);
            let mut dbias = vec![0.0; shape[2]];
            let dx = filled(shape, |dx| {
                let activation = activation_of(activation);
                lab_loops::activation::backward(slice(&x), slice(&bias), slice(&dy), activation, dx, &mut dbias);
            });
            (dx, from(dbias, [shape[2]]))
        }
    }

    #[cfg(feature = "flex")]
    fn activation_of(code: u32) -> super::Activation {
        super::Activation::from_code(code).expect("the door hands over a known activation")
    }

    #[derive(Debug)]
    struct BiasActivationBackward;

    impl<B: BiasActivationOps> Backward<B, 2> for BiasActivationBackward {
        /// The identity's derivative is the same everywhere: no x is kept for it, and the gradient's own numbers do.
        type State = (Option<Kept<B>>, NodeId, u32);

        fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
            let [node_x, node_bias] = ops.parents;
            let (x, bias, activation) = ops.state;
            let bias: FloatTensor<B> = checkpointer.retrieve_node_output(bias);
            let dy = grads.consume::<B>(&ops.node);
            let x = x.map_or_else(|| dy.clone(), |x| x.take(checkpointer));
            let (dx, dbias) = B::fused_bias_activation_backward(x, bias, dy, activation);
            if let Some(node) = node_x {
                grads.register::<B>(node.id, dx);
            }
            if let Some(node) = node_bias {
                grads.register::<B>(node.id, dbias);
            }
        }
    }

    impl<B: BiasActivationOps, C: CheckpointStrategy> BiasActivationOps for Autodiff<B, C> {
        fn fused_bias_activation(x: FloatTensor<Self>, bias: FloatTensor<Self>, activation: u32) -> FloatTensor<Self> {
            let forward = |x: FloatTensor<Self>, bias: FloatTensor<Self>| {
                B::fused_bias_activation(x.into_primitive(), bias.into_primitive(), activation)
            };
            match BiasActivationBackward.prepare::<C>([x.node(), bias.node()]).compute_bound().stateful() {
                OpsKind::Tracked(mut prep) => {
                    let needs_x = activation != super::Activation::Identity as u32;
                    let kept = needs_x.then(|| Kept::of(&x, mode::keeps_half(), &mut prep));
                    let state = (kept, prep.checkpoint(&bias), activation);
                    prep.finish(state, forward(x, bias))
                }
                OpsKind::UnTracked(prep) => prep.finish(forward(x, bias)),
            }
        }

        fn fused_bias_activation_backward(
            _x: FloatTensor<Self>,
            _bias: FloatTensor<Self>,
            _dy: FloatTensor<Self>,
            _activation: u32,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            unreachable!("the backward pass runs below autodiff")
        }
    }
}
