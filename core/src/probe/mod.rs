//! What frozen tokens tell: directions of most variance, likeness, neighbours, health; and, with labels, classes.
//!
//! Probes know tensors, never models; products go through the `matmul` door, since a browser's GPU has no other.

pub mod classifier;
pub mod colours;
pub mod file;
pub mod follow;
pub mod health;
pub mod knn;
pub mod linear;
pub mod neighbours;
pub mod pca;
pub mod propagate;
pub mod report;
pub mod rollout;
pub mod search;
pub mod similarity;
