//! What people set in every room: the model, the engine; and what they are told.

mod copy_link;
mod engine;
mod model;
mod notices;

pub(crate) use copy_link::CopyLink;
pub(crate) use engine::EnginePanel;
pub(crate) use model::ModelPanel;
pub(crate) use notices::Notices;
