//! The room See: views of an image.

use lab_protocol::{CanvasId, Event, ImageId, View};

use crate::api::{Answer, Engine, said};
use crate::host::now;

/// Draws a view of an image.
pub(crate) async fn show(
    engine: &mut Engine,
    canvas: CanvasId,
    image: ImageId,
    view: &View,
    size: [u32; 2],
) -> Result<Answer, String> {
    engine.has_canvas(canvas)?;
    // What the picture rests on is counted apart.
    engine.engine.embed(image, false).await.map_err(said)?;
    let start = now();
    let picture = engine.engine.view(image, view).await.map_err(said)?;
    engine.draw(canvas, &picture, size).await?;
    let millis = now() - start;
    Ok(Event::Shown { canvas, millis, summary: picture.summary }.into())
}
