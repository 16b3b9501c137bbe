//! The room Probe: classes made of a few images, and what a classifier on frozen features makes of them.

use serde::{Deserialize, Serialize};

/// What the page can ask in the room Probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "probe")]
pub enum ProbeCommand {
    /// Forget all classes and what was learned of them. Answer: [`ProbeEvent::Cleared`].
    Clear,
}

/// What the engine says in the room Probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "probe")]
pub enum ProbeEvent {
    /// There are no classes any more.
    Cleared,
}
