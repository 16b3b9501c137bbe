//! Activation checkpointing: a block keeps its input alone, and is computed again when its gradient is due.
//!
//! Chen et al., arXiv 1604.06174; PyTorch's `torch.utils.checkpoint` around each block. burn's own checkpointing spares
//! the cheap operations only. Here the forward pass of a stretch of blocks has no graph at all; its end is a leaf. The
//! backward pass first runs as far as these leaves, then goes through the blocks from the last: forward once more with a
//! graph from the block's input, backward from `(y * dy).sum()`, whose gradient at `y` is `dy` to the bit. So memory
//! holds one `[B, N, D]` a block, and the graph of one block.

use burn::module::Module as _;
use burn::tensor::{Gradients, Tensor};

use super::block::Block;
use super::drop_path::DropPath;
use crate::kernels::mode;

/// The stretches of blocks that a forward pass went through, for its backward pass.
#[derive(Debug, Default)]
pub struct Tape {
    stretches: Vec<Stretch>,
}

/// Blocks one after another.
#[derive(Debug)]
struct Stretch {
    /// What comes before, with its graph.
    begin: Tensor<3>,
    blocks: Vec<Block>,
    drops: Vec<DropPath>,
    /// What each block got, without a graph.
    inputs: Vec<Tensor<3>>,
    /// What follows builds its graph on this leaf.
    end: Tensor<3>,
}

/// `x [B, N, D]` through `blocks`, with the samples of each block's branches where there is stochastic depth. With a
/// tape nothing but the blocks' inputs is kept; without one, all that the backward pass needs.
pub fn run(blocks: &[Block], drops: &[DropPath], x: Tensor<3>, tape: Option<&mut Tape>) -> Tensor<3> {
    let Some(tape) = tape else {
        let step = |x, (index, block): (usize, &Block)| block.forward_train(x, None, drops.get(index));
        return blocks.iter().enumerate().fold(x, step);
    };
    let drops: Vec<DropPath> = drops.iter().map(DropPath::without_autodiff).collect();
    let mut inputs = Vec::with_capacity(blocks.len());
    let mut plain = x.clone().inner();
    for (index, block) in blocks.iter().enumerate() {
        inputs.push(plain.clone());
        plain = block.valid().forward_train(plain, None, drops.get(index));
    }
    let end = tracked(plain, &x).require_grad();
    tape.stretches.push(Stretch { begin: x, blocks: blocks.to_vec(), drops, inputs, end: end.clone() });
    end
}

impl Tape {
    /// The backward pass from `loss`. `take` gets what each piece of it found, and takes the parameters' gradients out:
    /// a parameter that several pieces reach has its gradient in as many parts.
    pub fn backward(self, loss: &Tensor<1>, take: &mut dyn FnMut(&mut Gradients)) {
        let mut ends: Vec<Option<Tensor<3>>> = vec![None; self.stretches.len()];
        let leaves: Vec<Tensor<3>> = self.stretches.iter().map(|stretch| stretch.end.clone()).collect();
        let mut collect = |mut graph: Gradients, ends: &mut Vec<Option<Tensor<3>>>| {
            for (leaf, sum) in leaves.iter().zip(ends) {
                if let Some(gradient) = leaf.grad_remove(&mut graph) {
                    *sum = Some(sum.take().map_or(gradient.clone(), |sum| sum + gradient));
                }
            }
            take(&mut graph);
        };
        collect(loss.backward(), &mut ends);
        // What comes later in the forward pass may stand on what came earlier, never the other way.
        for (index, stretch) in self.stretches.into_iter().enumerate().rev() {
            let Some(mut gradient) = ends[index].take() else { continue };
            let Stretch { begin, blocks, drops, mut inputs, .. } = stretch;
            for (index, block) in blocks.iter().enumerate().rev() {
                let Some(input) = inputs.pop() else { unreachable!("an input a block") };
                let x = tracked(input, &begin).require_grad();
                let y = {
                    let _kept = mode::keeping_32_bits();
                    block.forward_train(x.clone(), None, drops.get(index))
                };
                let mut graph = towards(y, gradient).backward();
                let Some(dx) = x.grad_remove(&mut graph) else { unreachable!("a block's output has its input in it") };
                gradient = dx;
                collect(graph, &mut ends);
            }
            if begin.is_tracked() {
                collect(towards(begin, gradient).backward(), &mut ends);
            }
        }
    }
}

/// A number whose gradient at `y` is `dy`.
fn towards(y: Tensor<3>, dy: Tensor<3>) -> Tensor<1> {
    let dy = tracked(dy, &y);
    (y * dy).sum()
}

/// With autodiff as `like` has it, as a constant.
fn tracked(values: Tensor<3>, like: &Tensor<3>) -> Tensor<3> {
    match like.gradient_checkpointing_strategy() {
        Some(strategy) => Tensor::from_inner(values).with_gradient_checkpointing_strategy(strategy),
        None => values,
    }
}
