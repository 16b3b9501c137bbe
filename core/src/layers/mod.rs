//! The parts of a vision transformer, each a chapter. A layer knows kernels and tensors, never a model.

pub mod attention;
pub mod attention_pool;
pub mod block;
pub mod drop_path;
pub mod layer_norm;
pub mod linear;
pub mod mlp;
pub mod patch_embed;
pub mod pos_embed;
pub mod recompute;
