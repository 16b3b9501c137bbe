//! The core: vision transformers, the kernels below them, the formats around them; all that is true without a screen,
//! a disk, a clock or a thread. Hosts (`native-trainer`, `lab-worker`) bring those.
//!
//! A folder imports only from the lines below its own:
//!
//! ```text
//! engine
//! train
//! data     parity   probe
//! config
//! models
//! layers   losses
//! kernels
//! device   image    formats
//! host     rng
//! error
//! ```

pub mod config;
pub mod data;
pub mod device;
pub mod engine;
pub mod error;
pub mod formats;
pub mod host;
pub mod image;
pub mod kernels;
pub mod layers;
pub mod losses;
pub mod models;
pub mod parity;
pub mod probe;
pub mod rng;
pub mod train;
