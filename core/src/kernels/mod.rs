//! The doors to the hand-written kernels.
//!
//! A file a kernel, four parts each: the door (what layers call), the launch, the backward pass, and the reference:
//! the same formula in tensor operations. A door takes the kernel where the device runs WGSL and [`mode`] allows it,
//! for some of them the CPU's loops (`lab-loops`), and the reference everywhere else. Only [`launch`] and the launches
//! speak CubeCL, only [`flex`] and the launches know Flex's memory; nothing here knows a layer.

pub mod adamw;
pub mod attention;
pub mod augment;
pub mod bias_activation;
pub mod ema;
#[cfg(feature = "flex")]
pub(crate) mod flex;
pub mod gather_tokens;
mod kept;
#[cfg(feature = "wgpu")]
pub(crate) mod launch;
pub mod layer_norm;
pub mod layer_scale;
pub mod linear;
pub mod matmul;
pub use crate::device::mode;
pub mod patch_embed;
pub mod preprocess;
pub mod self_check;
#[cfg(feature = "wgpu")]
pub mod share;
pub mod silu_gate;
pub mod sum_rows;
