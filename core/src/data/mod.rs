//! What a run learns from: the order of the images, their crops, masks, batches.
//!
//! - [`sampler`]: which image a draw is
//! - [`augment`]: what happens to one crop, and doing it
//! - [`multi_crop`]: all crops of an image, and the batch of them
//! - [`masking`]: which patches are hidden
//! - [`drawn`]: pictures that the program draws
//!
//! All chance comes from [`crate::rng`] by the number of the draw or of the step, so nothing here has a state: a run
//! that resumes, or that runs in a browser, sees the same numbers.

pub mod augment;
pub mod drawn;
pub mod masking;
pub mod multi_crop;
pub mod sampler;
