//! The losses, a file each: they take tensors, never models.

pub mod dino;
pub mod ibot;
pub mod koleo;
pub mod mae;
pub mod sinkhorn_knopp;
pub mod softmax_centering;
