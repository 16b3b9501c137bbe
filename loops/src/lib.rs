//! What a transformer does between its matrix products, as single loops over slices: the CPU's counterpart of the WGSL
//! kernels. Tensor operations walk memory once for each sign in a formula; these walk it once for the formula.
//!
//! No tensor library here, so that this crate alone is optimised in development builds and read in an afternoon.
//! Loops are written for the compiler to vectorise: no branches, sums in sixteen lanes, and every call goes through
//! [`pulp`], which takes AVX2 where the processor has it. Sums over rows are added in blocks of a fixed size and in order:
//! the number of threads changes no bit.

pub mod activation;
pub mod gate;
pub mod layer_norm;
mod math;
pub mod optim;
pub mod softmax;
mod split;
pub mod tokens;

pub use activation::Activation;
