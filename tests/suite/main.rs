//! The suite: kernels against references, layers and models against PyTorch, formats against hostile files, and the
//! house against its own rules.

mod begin;
mod data;
mod engine;
mod engine_train;
mod formats;
mod house;
mod image;
mod kernels;
mod layers;
mod losses;
mod mask;
mod memory;
mod models;
mod probe;
mod rooms;
mod see;
mod storage;
mod train;
mod views;
mod ways;
mod worker;
