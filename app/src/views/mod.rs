//! The pictures: what a vision transformer makes of an image.

mod attention;
mod figure;
pub(crate) mod heads;
mod input;
mod paint;
mod palettes;
mod pca;
pub(crate) mod picker;
pub(crate) mod reading;
mod similarity;
mod strip;
pub(crate) mod surface;

pub(crate) use attention::Attention;
pub(crate) use figure::Figure;
pub(crate) use input::Input;
pub(crate) use paint::Paint;
pub(crate) use palettes::Palettes;
pub(crate) use pca::Pca;
pub(crate) use similarity::Similarity;
pub(crate) use strip::Strip;
