//! Small parts that know nothing of models.

pub(crate) mod legend;
