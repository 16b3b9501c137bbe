//! Stochastic depth by exact subsets: a branch is computed for some samples of the batch only, and what it adds there is
//! scaled up for those it leaves out.
//!
//! Huang et al., arXiv 1603.09382; DINOv2's variant (`layers/block.py`) draws `max(int(B (1 - rate)), 1)` samples for
//! each branch, so every step saves the same work.

use burn::tensor::{Int, Tensor, TensorData};

use crate::kernels::gather_tokens::{gather_tokens, scatter_tokens};
use crate::rng::Stream;

/// The samples that the two branches of a block are computed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropPath {
    /// Of the attention branch.
    pub attn: Vec<i32>,
    /// Of the feed-forward branch.
    pub mlp: Vec<i32>,
}

impl DropPath {
    /// Draws both subsets of a batch.
    pub fn draw(rate: f64, batch: usize, chance: &mut Stream) -> Self {
        let count = ((batch as f64 * (1.0 - rate)) as usize).max(1);
        let mut subset = || {
            let mut all: Vec<i32> = (0..batch as i32).collect();
            chance.shuffle(&mut all);
            all.truncate(count);
            all
        };
        Self { attn: subset(), mlp: subset() }
    }
}

/// `x` with `B / samples * branch` added to the rows of the chosen `samples`; x `[B, N, D]`, branch sees
/// `[samples, N, D]`.
pub fn add_to_subset(x: Tensor<3>, samples: &[i32], branch: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
    let [b, n, d] = x.dims();
    let count = samples.len();
    assert!(count > 0 && count <= b, "drop_path: {count} samples of {b}");
    // A sample's tokens lie side by side: one long token of a batch of one, for the doors that browsers have.
    let ids: Tensor<2, Int> = Tensor::from_data(TensorData::new(samples.to_vec(), [1, count]), &x.device());
    let chosen = gather_tokens(x.clone().reshape([1, b, n * d]), ids.clone()).reshape([count, n, d]);
    let added = branch(chosen) * (b as f64 / count as f64);
    x + scatter_tokens(added.reshape([1, count, n * d]), ids, b).reshape([b, n, d])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn subsets_have_the_exact_size_and_no_sample_twice() {
        for (rate, batch, expected) in [(0.4, 10, 6), (0.3, 7, 4), (0.9, 3, 1), (0.1, 64, 57)] {
            let drop = DropPath::draw(rate, batch, &mut Rng::new(1).stream("drop", 0));
            for mut subset in [drop.attn, drop.mlp] {
                assert_eq!(subset.len(), expected, "{rate} of {batch}");
                subset.sort_unstable();
                subset.dedup();
                assert_eq!(subset.len(), expected);
                assert!(subset.iter().all(|&sample| (0..batch as i32).contains(&sample)));
            }
        }
    }
}
