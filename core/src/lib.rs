//! The core: all that is true without a screen or a disk.

pub mod error;
pub mod formats;
pub mod host;
pub mod image;
