//! What people set: the model, the engine, the attention view; and what they are told.

mod attention;
mod engine;
mod model;
mod notices;
mod stored;

pub(crate) use attention::AttentionControls;
pub(crate) use engine::EnginePanel;
pub(crate) use model::ModelPanel;
pub(crate) use notices::Notices;
pub(crate) use stored::{StoredPanel, Update};
