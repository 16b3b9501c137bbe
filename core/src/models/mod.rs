//! Vision transformers as published, and the way from files to a model on a device.
//!
//! - [`config`]: sizes and switches of an encoder, of MAE's decoder, and the released presets
//! - [`vit`], [`mae`]: the forward passes, one page each; [`dino_head`]: what DINO and iBOT put behind an encoder
//! - [`keys`]: which family a checkpoint is, and which of its tensors is which of ours
//! - [`parameters`]: tensors from a checkpoint (streamed) or from a seed
//! - [`fit`]: what a model needs of memory, and which released one needs less
//! - [`model`]: all of it together, with the preprocessing it wants
//! - [`trace`]: what a forward pass shows to those who look

pub mod config;
mod config_json;
pub mod dino_head;
pub mod export;
pub mod fingerprint;
pub mod fit;
pub mod inspect;
pub mod keys;
pub mod mae;
pub mod model;
pub mod names;
pub mod net;
pub mod parameters;
pub mod presets;
pub mod trace;
pub mod vit;

pub use inspect::{ModelReport, inspect};
pub use model::{Embeddings, LoadOptions, Model, load};
