//! What a forward pass shows to those who look: named tensors, kept only when asked for.
//!
//! Names follow the model: `hidden_states.0` is what enters the first block, `hidden_states.{i + 1}` what leaves block
//! `i`, `blocks.{i}.attn.qkv` the fused queries, keys and values, from which any probability follows.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

/// Tensors by name; an empty one costs nothing.
#[derive(Debug, Default)]
pub struct Trace {
    qkv: bool,
    hidden_states: bool,
    found: BTreeMap<String, Tensor<3>>,
}

impl Trace {
    /// Keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Keeps queries, keys and values of every block, `[B, N, 3 D]`.
    pub fn with_qkv(mut self) -> Self {
        self.qkv = true;
        self
    }

    /// Keeps the tokens before and after every block, `[B, N, D]`.
    pub fn with_hidden_states(mut self) -> Self {
        self.hidden_states = true;
        self
    }

    /// Called by a model between its blocks.
    pub(crate) fn hidden_state(&mut self, index: usize, x: &Tensor<3>) {
        if self.hidden_states {
            self.found.insert(format!("hidden_states.{index}"), x.clone());
        }
    }

    /// Called by a model after each attention.
    pub(crate) fn attention(&mut self, block: usize, qkv: Tensor<3>) {
        if self.qkv {
            self.found.insert(format!("blocks.{block}.attn.qkv"), qkv);
        }
    }

    /// A tensor by its name.
    pub fn get(&self, name: &str) -> Option<&Tensor<3>> {
        self.found.get(name)
    }

    /// Queries, keys and values of a block, `[B, N, 3 D]`.
    pub fn qkv(&self, block: usize) -> Option<&Tensor<3>> {
        self.get(&format!("blocks.{block}.attn.qkv"))
    }
}
