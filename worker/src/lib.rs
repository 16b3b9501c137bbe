//! The engine in a web worker: the only place that owns a device and canvases.
//!
//! - [`wire`]: the JSON of `lab-protocol`, with what JSON cannot carry beside it
//! - `render` (GPU engine): pictures drawn by WGSL from the tensors' own buffers
//! - `api` (browser): what JavaScript sees, a class `Engine` with `open` and `handle`
//! - `rooms` (browser): one file a room
//! - `canvas`, `host`, `files`, `opfs` (browser): canvases, bytes from blobs and addresses, the site's own file system
//! - `kept` (browser), [`saves`]: the run that stays, and which files it lies in
//! - `start` (browser): what runs before anything else
//! - [`store`]: models kept in the browser
//!
//! Two builds: the small CPU engine (`--no-default-features`: no wgpu, no CubeCL) loads first, the GPU engine (`gpu`)
//! replaces it where a GPU answers. The page holds no tensor; it sees events and canvases.

#[cfg(feature = "gpu")]
pub mod render;
pub mod saves;
pub mod store;
pub mod wire;

#[cfg(target_family = "wasm")]
mod api;
#[cfg(target_family = "wasm")]
mod canvas;
#[cfg(target_family = "wasm")]
mod files;
#[cfg(target_family = "wasm")]
mod host;
#[cfg(target_family = "wasm")]
mod kept;
#[cfg(target_family = "wasm")]
mod opfs;
#[cfg(target_family = "wasm")]
mod rooms;
#[cfg(target_family = "wasm")]
mod start;

/// Counts what is held: WebAssembly's own size only ever grows.
#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: cap::Cap<std::alloc::System> = cap::Cap::new(std::alloc::System, usize::MAX);

#[cfg(target_family = "wasm")]
pub use api::Engine;
#[cfg(target_family = "wasm")]
pub use store::Store;
