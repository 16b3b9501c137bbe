//! The room Mask: what a masked autoencoder is asked, and what it says.

use serde::{Deserialize, Serialize};

/// What the page can ask in the room Mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mask")]
pub enum MaskCommand {
    /// Forget what was reconstructed. Answer: [`MaskEvent::Cleared`].
    Clear,
}

/// What the engine says in the room Mask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mask")]
pub enum MaskEvent {
    /// Nothing reconstructed is kept any more.
    Cleared,
}
