//! The core: vision transformers, the kernels below them, the formats around them; all that is true without a screen,
//! a disk, a clock or a thread. Hosts (`native-trainer`, `lab-worker`) bring those.
//!
//! A folder imports only from the lines below its own:
//!
//! ```text
//! parity
//! models
//! layers
//! kernels
//! device   image    formats
//! host
//! error
//! ```

pub mod device;
pub mod error;
pub mod formats;
pub mod host;
pub mod image;
pub mod kernels;
pub mod layers;
pub mod models;
pub mod parity;
