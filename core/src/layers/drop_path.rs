//! Stochastic depth by exact subsets: a residual branch is computed for some samples of a batch only.
//!
//! Huang et al., arXiv 1603.09382; dinov2: layers/block.py, `drop_add_residual_stochastic_depth`. The number of samples
//! is exact where timm's DropPath tosses a coin for each, so that what is dropped is never computed.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::kernels::gather_tokens::{gather_tokens, scatter_tokens};
use crate::rng::Stream;

/// The samples of a batch for which one branch is computed.
#[derive(Debug, Clone)]
pub struct Subset {
    /// Their numbers, `[1, S]`.
    ids: Tensor<2, Int>,
    /// B.
    batch: usize,
}

impl Subset {
    /// Samples by their numbers, each below `batch` and there once.
    pub fn new(ids: &[usize], batch: usize, device: &Device) -> Self {
        assert!(!ids.is_empty() && ids.iter().all(|&id| id < batch), "samples {ids:?} of {batch}");
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let count = ids.len();
        Self { ids: Tensor::from_data(TensorData::new(ids, [1, count]), device), batch }
    }

    /// `max(int(batch (1 - rate)), 1)` samples, any of them equally likely.
    ///
    /// The truncation is DINOv2's: with small batches more is dropped than `rate` says.
    pub fn draw(batch: usize, rate: f64, stream: &mut Stream, device: &Device) -> Self {
        let mut ids: Vec<usize> = (0..batch).collect();
        stream.shuffle(&mut ids);
        ids.truncate(((batch as f64 * (1.0 - rate)) as usize).max(1));
        ids.sort_unstable();
        Self::new(&ids, batch, device)
    }

    /// The same, for tensors without autodiff.
    fn without_autodiff(&self) -> Self {
        Self { ids: self.ids.clone().inner(), batch: self.batch }
    }

    /// S.
    pub fn samples(&self) -> usize {
        self.ids.dims()[1]
    }

    /// `x + B / S * branch(x)` at the samples of the subset and `x` at the others; x `[B, N, D]`, and `branch` takes and
    /// gives `[S, N, D]`.
    pub fn add(&self, x: Tensor<3>, branch: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
        let [b, n, d] = x.dims();
        assert!(b == self.batch, "a subset of {} samples for a batch of {b}", self.batch);
        let samples = self.samples();
        // A sample is one long token here.
        let rows = x.clone().reshape([1, b, n * d]);
        let y = branch(gather_tokens(rows, self.ids.clone()).reshape([samples, n, d]));
        let scaled = (y * (b as f64 / samples as f64)).reshape([1, samples, n * d]);
        x + scatter_tokens(scaled, self.ids.clone(), b).reshape([b, n, d])
    }
}

/// The subsets of a block, drawn apart for its two branches.
#[derive(Debug, Clone)]
pub struct DropPath {
    /// Of attention.
    pub attn: Subset,
    /// Of the MLP.
    pub mlp: Subset,
}

impl DropPath {
    /// Two draws from a stream; `None` at rate 0, where every sample takes every branch.
    pub fn draw(batch: usize, rate: f64, stream: &mut Stream, device: &Device) -> Option<Self> {
        let mut subset = || Subset::draw(batch, rate, stream, device);
        (rate > 0.0).then(|| Self { attn: subset(), mlp: subset() })
    }

    /// The same, for tensors without autodiff.
    pub(crate) fn without_autodiff(&self) -> Self {
        Self { attn: self.attn.without_autodiff(), mlp: self.mlp.without_autodiff() }
    }
}
