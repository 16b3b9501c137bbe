//! The room Mask: masks, reconstructions, and pictures of them.

use js_sys::Array;
use lab_protocol::{Event, MaskCommand};

use crate::api::{Answer, Engine, Reply, said};
use crate::host::now;

/// Carries out what the room asks.
pub(crate) async fn obey(
    engine: &mut Engine,
    command: MaskCommand,
    _attachments: &Array,
    _reply: &Reply,
) -> Result<Answer, String> {
    match command {
        MaskCommand::Show { canvas, image, hidden, what, size } => {
            engine.has_canvas(canvas)?;
            let start = now();
            let picture = engine.engine.mask_view(image, &hidden, what).await.map_err(said)?;
            engine.draw(canvas, &picture, size).await?;
            Ok(Event::Shown { canvas, millis: now() - start, summary: picture.summary }.into())
        }
        command => Ok(Event::Mask(engine.engine.mask(command).await.map_err(said)?).into()),
    }
}
