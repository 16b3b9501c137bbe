//! The suite: kernels against references, layers and models against PyTorch, formats against hostile files, and the
//! house against its own rules.

mod data;
mod engine;
mod engine_train;
mod formats;
mod house;
mod image;
mod kernels;
mod layers;
mod losses;
mod models;
mod probe;
mod train;
mod views;
