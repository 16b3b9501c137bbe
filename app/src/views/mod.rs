//! The pictures: what a vision transformer makes of an image.

mod attention;
mod figure;
mod input;
mod pca;
mod similarity;
mod surface;

pub(crate) use attention::Attention;
pub(crate) use input::Input;
pub(crate) use pca::Pca;
pub(crate) use similarity::Similarity;
