//! The suite: kernels against references, layers and models against PyTorch, formats against hostile files.

mod formats;
mod image;
mod kernels;
mod layers;
mod models;
