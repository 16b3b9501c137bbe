//! The camera, while somebody looks: opened when asked for, its light off as soon as it is not needed.

use js_sys::Reflect;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, CanvasRenderingContext2d, HtmlCanvasElement, HtmlVideoElement, MediaStream, MediaStreamConstraints,
    MediaStreamTrack,
};

use crate::link::words;
use crate::texts;

/// The camera of one room; copies are the same.
#[derive(Clone, Copy)]
pub(crate) struct Camera {
    stream: RwSignal<Option<MediaStream>, LocalStorage>,
    /// Nobody switched it off while the visitor was asked for leave.
    wanted: StoredValue<bool>,
}

impl Camera {
    /// A camera that is off.
    pub(crate) fn new() -> Self {
        Self { stream: RwSignal::new_local(None), wanted: StoredValue::new(false) }
    }

    /// What it shows, while it is on.
    pub(crate) fn stream(self) -> Option<MediaStream> {
        self.stream.get()
    }

    /// Whether it is on.
    pub(crate) fn on(self) -> bool {
        self.stream.with(Option::is_some)
    }

    /// Switches it on; false where it was switched off again before it came.
    ///
    /// # Errors
    ///
    /// A sentence with what to do: no camera, no leave, in use elsewhere.
    pub(crate) async fn open(self) -> Result<bool, String> {
        if self.stream.with_untracked(Option::is_some) {
            return Ok(true);
        }
        self.wanted.set_value(true);
        let stream = ask().await?;
        let wanted = self.wanted.get_value();
        // Asked for twice it comes twice.
        if wanted && self.stream.with_untracked(Option::is_none) {
            self.stream.set(Some(stream));
        } else {
            dark(&stream);
        }
        Ok(wanted)
    }

    /// Switches it off, also one that is still to come. With the page that holds it, too.
    pub(crate) fn close(self) {
        let _ = self.wanted.try_set_value(false);
        if let Some(stream) = self.stream.try_get_untracked().flatten() {
            dark(&stream);
            let _ = self.stream.try_set(None);
        }
    }
}

/// Asks the browser, and the browser its user, for the camera.
async fn ask() -> Result<MediaStream, String> {
    let devices = window().navigator().media_devices().map_err(|_| texts::NO_CAMERA_API.to_owned())?;
    let wanted = MediaStreamConstraints::new();
    let size = js_sys::JSON::parse(r#"{"width":{"ideal":640},"height":{"ideal":480},"facingMode":"environment"}"#);
    wanted.set_video(&size.unwrap_or(JsValue::TRUE));
    wanted.set_audio(&JsValue::FALSE);
    let promise = devices.get_user_media_with_constraints(&wanted).map_err(|error| refusal(&error))?;
    JsFuture::from(promise).await.map(JsCast::unchecked_into).map_err(|error| refusal(&error))
}

fn refusal(error: &JsValue) -> String {
    let name = Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default();
    texts::no_camera(&name, &words(error))
}

/// Switches its light off.
fn dark(stream: &MediaStream) {
    for track in stream.get_tracks().iter() {
        track.unchecked_into::<MediaStreamTrack>().stop();
    }
}

/// Shows a camera in a video element.
pub(crate) fn show(stream: &MediaStream, video: &HtmlVideoElement) {
    video.set_muted(true);
    video.set_src_object(Some(stream));
    start(video);
}

/// Plays; a browser that does not let it plays when the user asks.
pub(crate) fn start(video: &HtmlVideoElement) {
    if let Ok(promise) = video.play() {
        leptos::task::spawn_local(async move { drop(JsFuture::from(promise).await) });
    }
}

/// What a video shows now, as a JPEG; nothing before its first frame.
pub(crate) async fn snapshot(video: &HtmlVideoElement) -> Option<Blob> {
    let (width, height) = (video.video_width(), video.video_height());
    if width == 0 || height == 0 {
        return None;
    }
    let canvas: HtmlCanvasElement = document().create_element("canvas").ok()?.unchecked_into();
    canvas.set_width(width);
    canvas.set_height(height);
    let context: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.unchecked_into();
    context.draw_image_with_html_video_element(video, 0.0, 0.0).ok()?;
    let made = js_sys::Promise::new(&mut |resolve, _| {
        let give = Closure::once_into_js(move |blob: JsValue| drop(resolve.call1(&JsValue::NULL, &blob)));
        drop(canvas.to_blob_with_type(give.unchecked_ref(), "image/jpeg"));
    });
    JsFuture::from(made).await.ok()?.dyn_into().ok()
}
