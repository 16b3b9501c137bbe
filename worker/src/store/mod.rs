//! Models kept in the browser's own file system (OPFS): fetched once, as a stream, checked, loaded without the network.
//!
//! - [`address`]: from what a user types to a folder on a server
//! - [`answer`]: what a server's answer to a request for the rest of a file means
//! - `download` (browser): the stream to the disk, hashed as it passes, taken up again where it was cut
//! - `keep` (browser): models that were made here, whole from the start
//! - `net` (browser): requests, and bodies piece by piece
//! - `shelf` (browser): folders, files and records
//! - `weigh` (browser): whether a model finds room, before its weights come
//! - `api` (browser): the class `Store` that `public/engine/worker.js` drives beside the engine
//!
//! `docs/decisions/0012-models-are-kept-in-opfs.md` tells why so.

pub mod address;
pub mod answer;

#[cfg(target_family = "wasm")]
mod api;
#[cfg(target_family = "wasm")]
mod download;
#[cfg(target_family = "wasm")]
mod keep;
#[cfg(target_family = "wasm")]
mod net;
#[cfg(target_family = "wasm")]
mod shelf;
#[cfg(target_family = "wasm")]
mod weigh;

#[cfg(target_family = "wasm")]
pub use api::Store;
#[cfg(target_family = "wasm")]
pub(crate) use shelf::open as open_stored;
#[cfg(target_family = "wasm")]
pub(crate) use weigh::tell as tell_room;
