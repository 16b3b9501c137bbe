//! The room Mask: what a masked autoencoder makes of an image.

use lab_protocol::{MaskCommand, MaskEvent};

use super::Engine;
use crate::error::Error;

/// What was reconstructed.
#[derive(Debug, Default)]
pub struct State {}

impl Engine {
    /// Carries out what the room asks.
    ///
    /// # Errors
    ///
    /// None yet.
    pub async fn mask(&mut self, command: MaskCommand) -> Result<MaskEvent, Error> {
        match command {
            MaskCommand::Clear => {
                self.mask = State::default();
                Ok(MaskEvent::Cleared)
            }
        }
    }
}
