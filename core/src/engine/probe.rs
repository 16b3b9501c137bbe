//! The room Probe: classes made of a few images.

use lab_protocol::{ProbeCommand, ProbeEvent};

use super::Engine;
use crate::error::Error;

/// Classes and what was learned of them.
#[derive(Debug, Default)]
pub struct State {}

impl Engine {
    /// Carries out what the room asks.
    ///
    /// # Errors
    ///
    /// None yet.
    pub async fn probe(&mut self, command: ProbeCommand) -> Result<ProbeEvent, Error> {
        match command {
            ProbeCommand::Clear => {
                self.probe = State::default();
                Ok(ProbeEvent::Cleared)
            }
        }
    }
}
