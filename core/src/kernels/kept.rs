//! What an operation keeps of its inputs for the way back.
//!
//! In 32 bits it shares them with the graph. Under half precision it keeps a copy in 16 bits, so that the 32 are let go as
//! soon as the forward pass has read them: half the memory, for a pass over each. Weights are never copied, as they stay in
//! memory anyway, and neither is what a layer norm reads, the residual stream, whose digits PyTorch's autocast keeps too.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::ops::{Backward, OpsPrep, Tracked};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, TensorMetadata as _};
use burn::tensor::{DType, FloatDType};

/// One input, until the backward pass takes it.
#[derive(Debug, Clone)]
pub(super) enum Kept<B: Backend> {
    /// The graph's own, in 32 bits.
    Shared(NodeId),
    /// The operation's own, in 32 bits or 16.
    Own(FloatTensor<B>),
}

impl<B: Backend> Kept<B> {
    /// Keeps `x` for the operation in preparation.
    pub(super) fn of<C, O, S, const N: usize>(
        x: &FloatTensor<Autodiff<B, C>>,
        half: bool,
        prep: &mut OpsPrep<O, B, S, C, N, Tracked>,
    ) -> Self
    where
        C: CheckpointStrategy,
        O: Backward<B, N, State = S>,
        S: Clone + Send + std::fmt::Debug + 'static,
    {
        match half {
            true => Self::own(x.primitive().clone(), true),
            false => Self::Shared(prep.checkpoint(x)),
        }
    }

    /// Keeps what no node of the graph stands for yet: an operation's output.
    pub(super) fn own(x: FloatTensor<B>, half: bool) -> Self {
        Self::Own(if half { B::float_cast(x, FloatDType::F16) } else { x })
    }

    /// In 32 bits.
    pub(super) fn take(self, checkpointer: &mut Checkpointer) -> FloatTensor<B> {
        match self.take_as_it_lies(checkpointer) {
            x if x.dtype() == DType::F16 => B::float_cast(x, FloatDType::F32),
            x => x,
        }
    }

    /// As it lies, in 32 bits or 16.
    pub(super) fn take_as_it_lies(self, checkpointer: &mut Checkpointer) -> FloatTensor<B> {
        match self {
            Self::Shared(node) => checkpointer.retrieve_node_output(node),
            Self::Own(x) => x,
        }
    }
}
