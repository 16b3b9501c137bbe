//! The room Train.

use js_sys::Array;
use lab_protocol::{Event, TrainCommand};

use crate::api::{Answer, Engine, Reply, said};

/// Carries out what the room asks.
pub(crate) async fn obey(
    engine: &mut Engine,
    command: TrainCommand,
    _attachments: &Array,
    _reply: &Reply,
) -> Result<Answer, String> {
    Ok(Event::Train(engine.engine.train(command).await.map_err(said)?).into())
}
