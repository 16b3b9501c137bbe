//! The commands, one file each: arguments in, exit status out.

pub(crate) mod devices;
pub(crate) mod embed;
pub(crate) mod inspect;
pub(crate) mod parity;
