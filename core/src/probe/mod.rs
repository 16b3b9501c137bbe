//! What tokens tell without learning anything: directions of most variance, likeness, neighbours, health.
//!
//! Probes know tensors, never models; products go through the `matmul` door, since a browser's GPU has no other.

pub mod colours;
pub mod health;
pub mod knn;
pub mod neighbours;
pub mod pca;
pub mod rollout;
pub mod similarity;
