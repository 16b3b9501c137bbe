//! The room Train: a run in the page, and what it tells.

use serde::{Deserialize, Serialize};

/// What the page can ask in the room Train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "train")]
pub enum TrainCommand {
    /// Forget the run, if there is one. Answer: [`TrainEvent::Closed`].
    Close,
}

/// What the engine says in the room Train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "train")]
pub enum TrainEvent {
    /// There is no run any more.
    Closed,
}
