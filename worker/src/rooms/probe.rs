//! The room Probe.

use js_sys::Array;
use lab_protocol::{Event, ProbeCommand};

use crate::api::{Answer, Engine, Reply, said};

/// Carries out what the room asks.
pub(crate) async fn obey(
    engine: &mut Engine,
    command: ProbeCommand,
    _attachments: &Array,
    _reply: &Reply,
) -> Result<Answer, String> {
    Ok(Event::Probe(engine.engine.probe(command).await.map_err(said)?).into())
}
