//! The room Mask.

use js_sys::Array;
use lab_protocol::{Event, MaskCommand};

use crate::api::{Answer, Engine, Reply, said};

/// Carries out what the room asks.
pub(crate) async fn obey(
    engine: &mut Engine,
    command: MaskCommand,
    _attachments: &Array,
    _reply: &Reply,
) -> Result<Answer, String> {
    Ok(Event::Mask(engine.engine.mask(command).await.map_err(said)?).into())
}
