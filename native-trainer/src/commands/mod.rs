//! The commands, one file each: arguments in, exit status out.

pub(crate) mod devices;
pub(crate) mod embed;
pub(crate) mod eval;
pub(crate) mod inspect;
pub(crate) mod parity;
pub(crate) mod plan;
pub(crate) mod pretrain;
pub(crate) mod probe;
#[cfg(feature = "remote")]
pub(crate) mod serve;
