//! Checkpoint formats: bytes to named tensors, and never anything more.
//!
//! - [`checkpoint`]: the tensors of one model, in one file or many, read one tensor (or some rows) at a time
//! - [`safetensors`]: its header; and writing small ones
//! - [`pth`]: what `torch.save` wrote, through [`archive`] (zip) and [`pickle`] (a reader that executes nothing)
//! - [`index`]: which file of a model in shards holds each tensor
//! - [`model_files`]: which of the files in a folder are config, preprocessing and weights
//!
//! Every file is taken for hostile: lengths are checked before anything is allocated,
//! depth and size are limited, and each fault is a [`FormatError`](crate::error::FormatError) of its own.

pub mod archive;
pub mod checkpoint;
pub mod index;
pub mod model_files;
pub mod pickle;
pub mod pth;
pub mod safetensors;
pub mod tensor;

pub use checkpoint::Checkpoint;
pub use index::ShardIndex;
pub use model_files::ModelFiles;
pub use tensor::{Dtype, Entry, TensorBytes};
