//! The room See: views of an image, by one model or two.

use js_sys::Array;
use lab_protocol::{CanvasId, Event, ImageId, SeeCommand, Slot, View};

use crate::api::{Answer, Engine, Reply, said};
use crate::host::now;

/// Carries out what the room asks.
pub(crate) async fn obey(
    engine: &mut Engine,
    command: SeeCommand,
    attachments: &Array,
    reply: &Reply,
) -> Result<Answer, String> {
    match command {
        SeeCommand::Load { slot, source } => engine.load(slot, source, attachments, reply).await,
        SeeCommand::Unload { slot } => {
            engine.engine.unload(slot);
            Ok(Event::Done.into())
        }
        SeeCommand::Show { slot, canvas, image, view, size } => show(engine, slot, canvas, image, &view, size).await,
        SeeCommand::Fit { slot, images } => {
            Ok(Event::See(engine.engine.fit(slot, &images).await.map_err(said)?).into())
        }
        SeeCommand::Colour { palette } => {
            engine.engine.set_palette(palette);
            Ok(Event::Done.into())
        }
        SeeCommand::Numbers { slot, image, view } => {
            let (event, numbers) = engine.engine.numbers(slot, image, &view).await.map_err(said)?;
            Ok(Answer { event: Event::See(event), vectors: vec![numbers], bytes: Vec::new() })
        }
    }
}

/// Draws a view of an image as the model in a slot sees it.
pub(crate) async fn show(
    engine: &mut Engine,
    slot: Slot,
    canvas: CanvasId,
    image: ImageId,
    view: &View,
    size: [u32; 2],
) -> Result<Answer, String> {
    engine.has_canvas(canvas)?;
    // What the picture rests on is counted apart.
    if slot == Slot::Main {
        engine.engine.embed(image, false).await.map_err(said)?;
    }
    let start = now();
    let picture = engine.engine.view_in(slot, image, view).await.map_err(said)?;
    engine.draw(canvas, &picture, size).await?;
    let millis = now() - start;
    let vectors = vec![picture.planes()];
    Ok(Answer { vectors, ..Event::Shown { canvas, millis, summary: picture.summary }.into() })
}
