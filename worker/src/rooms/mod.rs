//! One file a room: its commands, carried out on the engine and drawn on its canvases.

pub(crate) mod mask;
pub(crate) mod probe;
pub(crate) mod see;
pub(crate) mod train;
