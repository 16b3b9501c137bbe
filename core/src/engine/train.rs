//! The room Train: a run inside the engine.

use lab_protocol::{TrainCommand, TrainEvent};

use super::Engine;
use crate::error::Error;

/// The run, if there is one.
#[derive(Debug, Default)]
pub struct State {}

impl Engine {
    /// Carries out what the room asks.
    ///
    /// # Errors
    ///
    /// None yet.
    pub async fn train(&mut self, command: TrainCommand) -> Result<TrainEvent, Error> {
        match command {
            TrainCommand::Close => {
                self.train = State::default();
                Ok(TrainEvent::Closed)
            }
        }
    }
}
