//! The room Video: a bitmap in, two pictures out.

use js_sys::Array;
use lab_core::image::Rgb8;
use lab_protocol::{Event, VideoCommand};
use wasm_bindgen::JsCast;
use web_sys::{ImageBitmap, OffscreenCanvas, OffscreenCanvasRenderingContext2d};

use crate::api::{Answer, Engine, attachment, said};
use crate::host::words;

/// Carries out what the room asks.
pub(crate) async fn obey(engine: &mut Engine, command: VideoCommand, attachments: &Array) -> Result<Answer, String> {
    let (input, components, likeness, size) = match command {
        VideoCommand::Frame { input, components, likeness, size } => (input, components, likeness, size),
        VideoCommand::Fit => {
            return Ok(Event::Video(engine.engine.fit_frame(&image(attachments)?).await.map_err(said)?).into());
        }
        command => return Ok(Event::Video(engine.engine.video(&command).map_err(said)?).into()),
    };
    let frame = engine.engine.frame(&image(attachments)?).await.map_err(said)?;
    if let Some(canvas) = input {
        engine.draw(canvas, &frame.input, size).await?;
    }
    if let Some(canvas) = components {
        engine.draw(canvas, &frame.components, size).await?;
    }
    if let (Some(canvas), Some(picture)) = (likeness, &frame.likeness) {
        engine.draw(canvas, picture, size).await?;
    }
    Ok(Event::Video(frame.event).into())
}

/// The attached frame.
fn image(attachments: &Array) -> Result<Rgb8, String> {
    let bitmap = attachment::<ImageBitmap>(attachments, "an ImageBitmap")?;
    let image = pixels(&bitmap);
    bitmap.close();
    image
}

/// A bitmap's colours.
fn pixels(bitmap: &ImageBitmap) -> Result<Rgb8, String> {
    let (width, height) = (bitmap.width(), bitmap.height());
    let canvas = OffscreenCanvas::new(width, height).map_err(|error| words(&error))?;
    let context = canvas.get_context("2d").map_err(|error| words(&error))?;
    let context: OffscreenCanvasRenderingContext2d =
        context.ok_or("the browser gives no 2d context to read a frame with")?.unchecked_into();
    context.draw_image_with_image_bitmap(bitmap, 0.0, 0.0).map_err(|error| words(&error))?;
    let data = context.get_image_data(0.0, 0.0, f64::from(width), f64::from(height));
    let rgba = data.map_err(|error| words(&error))?.data().0;
    let rgb = rgba.as_chunks::<4>().0.iter().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
    Rgb8::new(width, height, rgb).map_err(said)
}
