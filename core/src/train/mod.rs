//! Learning: what a step computes, what a run keeps, what it tells.
//!
//! - [`trainer`]: one step after another; [`pass`](self): the forward passes of MAE and DINOv2 that end in a loss
//! - [`schedule`], [`optim`]: values that change with the step, AdamW with its groups
//! - [`loss_scale`](self): what keeps 16-bit gradients from vanishing
//! - [`plan`]: what a run needs
//! - [`walk`]: every tensor of a net by its name
//! - [`state`]: a run as named tensors, and back
//! - [`look`]: features and pictures of held-out images
//! - [`slow_motion`]: what one step computes on its way
//! - [`verdict`]: health in a word and a sentence
//! - [`event`]: what a run tells those who watch

mod begin;
pub mod event;
pub mod look;
mod loss_scale;
pub mod optim;
mod pass;
pub mod plan;
pub mod schedule;
pub mod slow_motion;
pub mod state;
pub mod trainer;
pub mod verdict;
pub mod walk;

pub use begin::Begun;
pub use loss_scale::LossScale;
pub use pass::Draws;
pub use slow_motion::SlowMotion;
pub use trainer::{Outcome, Trainer};
