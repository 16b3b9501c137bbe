//! Small parts that know nothing of models.

pub(crate) mod bars;
pub(crate) mod chart;
pub(crate) mod curves;
pub(crate) mod export;
pub(crate) mod frame;
pub(crate) mod legend;
pub(crate) mod menu;
pub(crate) mod plate;
pub(crate) mod segments;
pub(crate) mod thumbnail;
pub(crate) mod width;
