//! Small parts that know nothing of models.

pub(crate) mod bars;
pub(crate) mod chart;
pub(crate) mod legend;
pub(crate) mod thumbnail;
