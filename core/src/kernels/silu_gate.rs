//! SwiGLU's gate where a gradient is wanted: `silu(a) * b` with `[a | b] = x + bias`, one pass forward, one back.
//!
//! Shazeer, arXiv 2002.05202. Without gradients the product's own epilogue does this ([`linear`](super::linear)).

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::mode::{self, Kernel};

/// f32 x `[B, N, 2h]`, bias `[2h]` to `[B, N, h]`.
pub fn silu_gate(x: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
    let width = x.dims()[2];
    assert!(bias.dims() == [width] && width.is_multiple_of(2), "silu_gate: x {:?}, bias {:?}", x.dims(), bias.dims());
    if mode::runs(Kernel::SiluGate, &x.device()) {
        use burn::backend::Dispatch;
        return Tensor::from_dispatch(Dispatch::fused_silu_gate(x.into_dispatch(), bias.into_dispatch()));
    }
    reference(x, bias)
}

/// The same in tensor operations.
pub fn reference(x: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
    let x = x + bias.unsqueeze();
    let half = x.dims()[2] / 2;
    let (gate, value) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
    gate.clone() * sigmoid(gate) * value
}

use launches::SiluGateOps;

mod launches {
    use burn::backend::autodiff::NodeId;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Backend, backend_extension};

    use super::mode;
    use crate::kernels::kept::Kept;

    /// The gate as an operation of burn's backends.
    #[backend_extension(Autodiff, Cube: cfg(feature = "wgpu"), Flex: cfg(feature = "flex"))]
    pub(crate) trait SiluGateOps: Backend {
        /// See [`super::silu_gate`].
        fn fused_silu_gate(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
        /// The gradients of x and of the bias.
        fn fused_silu_gate_backward(
            x: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            dy: FloatTensor<Self>,
        ) -> (FloatTensor<Self>, FloatTensor<Self>);
    }

    #[cfg(feature = "wgpu")]
    mod wgsl {
        use burn::backend::tensor::FloatTensor;
        use burn::backend::wgpu::{CubeBackend, into_contiguous};
        use lab_shaders::{SILU_GATE, SILU_GATE_BACKWARD, silu_gate, silu_gate_backward};

        use super::SiluGateOps;
        use crate::kernels::launch::{dims, empty, launch_strided};
        use crate::kernels::sum_rows::launches::sum_of_rows;

        impl SiluGateOps for CubeBackend {
            fn fused_silu_gate(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
                let (x, bias) = (into_contiguous(x), into_contiguous(bias));
                let [b, n, width] = dims(&x);
                let (dim, count) = (width / 2, b * n * width / 2);
                let y = empty(&x, [b, n, dim]);
                let params = silu_gate::Params { count: count as u32, dim: dim as u32 };
                launch_strided(&SILU_GATE, &[&x, &bias, &y], &params.words(), count);
                y
            }

            fn fused_silu_gate_backward(
                x: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                dy: FloatTensor<Self>,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                let (x, bias, dy) = (into_contiguous(x), into_contiguous(bias), into_contiguous(dy));
                let [b, n, width] = dims(&x);
                let (dim, count) = (width / 2, b * n * width / 2);
                let dx = empty(&x, [b, n, width]);
                let params = silu_gate_backward::Params { count: count as u32, dim: dim as u32 };
                launch_strided(&SILU_GATE_BACKWARD, &[&x, &bias, &dy, &dx], &params.words(), count);
                (dx.clone(), sum_of_rows(dx))
            }
        }
    }

    #[cfg(feature = "flex")]
    mod loops {
        use burn::backend::Flex;
        use burn::backend::tensor::FloatTensor;
        use lab_loops::gate;

        use super::SiluGateOps;
        use crate::kernels::flex::{contiguous, dims, filled, from, slice};

        impl SiluGateOps for Flex {
            fn fused_silu_gate(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
                let (x, bias) = (contiguous(x), contiguous(bias));
                let [b, n, width] = dims(&x);
                filled([b, n, width / 2], |y| gate::forward(slice(&x), slice(&bias), y))
            }

            fn fused_silu_gate_backward(
                x: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                dy: FloatTensor<Self>,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                let (x, bias, dy) = (contiguous(x), contiguous(bias), contiguous(dy));
                let shape = dims::<3>(&x);
                let mut dbias = vec![0.0; shape[2]];
                let dx = filled(shape, |dx| gate::backward(slice(&x), slice(&bias), slice(&dy), dx, &mut dbias));
                (dx, from(dbias, [shape[2]]))
            }
        }
    }

    #[derive(Debug)]
    struct SiluGateBackward;

    impl<B: SiluGateOps> Backward<B, 2> for SiluGateBackward {
        type State = (Kept<B>, NodeId);

        fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
            let [node_x, node_bias] = ops.parents;
            let (x, bias) = ops.state;
            let x = x.take(checkpointer);
            let bias: FloatTensor<B> = checkpointer.retrieve_node_output(bias);
            let dy = grads.consume::<B>(&ops.node);
            let (dx, dbias) = B::fused_silu_gate_backward(x, bias, dy);
            for (node, gradient) in [(node_x, dx), (node_bias, dbias)] {
                if let Some(node) = node {
                    grads.register::<B>(node.id, gradient);
                }
            }
        }
    }

    impl<B: SiluGateOps, C: CheckpointStrategy> SiluGateOps for Autodiff<B, C> {
        fn fused_silu_gate(x: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
            let forward = |x: FloatTensor<Self>, bias: FloatTensor<Self>| {
                B::fused_silu_gate(x.into_primitive(), bias.into_primitive())
            };
            match SiluGateBackward.prepare::<C>([x.node(), bias.node()]).compute_bound().stateful() {
                OpsKind::Tracked(mut prep) => {
                    let state = (Kept::of(&x, mode::keeps_half(), &mut prep), prep.checkpoint(&bias));
                    prep.finish(state, forward(x, bias))
                }
                OpsKind::UnTracked(prep) => prep.finish(forward(x, bias)),
            }
        }

        fn fused_silu_gate_backward(
            _x: FloatTensor<Self>,
            _bias: FloatTensor<Self>,
            _dy: FloatTensor<Self>,
        ) -> (FloatTensor<Self>, FloatTensor<Self>) {
            unreachable!("the backward pass runs below autodiff")
        }
    }
}
