//! The room Probe: classes from images, a probe's file in and out, search among embeddings.

use js_sys::Array;
use lab_protocol::{Event, ProbeCommand};

use crate::api::{Answer, Engine, picked, said};

/// Carries out what the room asks.
pub(crate) async fn obey(engine: &mut Engine, command: ProbeCommand, attachments: &Array) -> Result<Answer, String> {
    let (event, bytes) = engine.engine.probe(command, picked(attachments)?).await.map_err(said)?;
    let bytes = if bytes.is_empty() { Vec::new() } else { vec![bytes] };
    Ok(Answer { bytes, ..Event::Probe(event).into() })
}
