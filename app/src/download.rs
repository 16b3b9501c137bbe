//! Files that the page hands to the browser's downloads: nothing leaves the machine.

use std::time::Duration;

use js_sys::Array;
use lab_protocol::ModelInfo;
use leptos::prelude::{Get, GetUntracked, set_timeout, untrack};
use serde_json::Value;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, BlobPropertyBag, CanvasRenderingContext2d, HtmlAnchorElement, HtmlCanvasElement, Url};

use crate::link::words;
use crate::state::{Severity, Store};
use crate::texts::not_saved;

/// How long a file can be read by the browser's downloads.
const KEPT: Duration = Duration::from_secs(60);

/// Says in a sentence why a file could not be saved, if it could not.
pub(crate) fn told(store: Store, result: Result<(), JsValue>) {
    if let Err(error) = result {
        store.tell(Severity::Error, not_saved(&words(&error)));
    }
}

/// Saves a text.
///
/// # Errors
///
/// The browser's.
pub(crate) fn text(name: &str, kind: &str, text: &str) -> Result<(), JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    blob(name, &Blob::new_with_str_sequence_and_options(&Array::of1(&text.into()), &options)?)
}

/// Saves a JSON object together with the link that leads to where it was seen, and says so where that fails.
pub(crate) fn json(store: Store, name: &str, mut object: Value) {
    let link = untrack(|| store.address(store.room.get()).format());
    object["link"] = format!("#{link}").into();
    told(store, text(name, "application/json", &format!("{object:#}\n")));
}

/// The model on the engine, for such an object.
pub(crate) fn model(store: Store) -> Value {
    describe(&store.model.get_untracked().unwrap_or_default())
}

/// A model, for such an object.
pub(crate) fn describe(model: &ModelInfo) -> Value {
    serde_json::json!({ "name": model.name, "family": model.family, "untrained": model.untrained })
}

/// Saves bytes, an `ArrayBuffer`.
///
/// # Errors
///
/// The browser's.
pub(crate) fn bytes(name: &str, bytes: &JsValue) -> Result<(), JsValue> {
    blob(name, &Blob::new_with_buffer_source_sequence(&Array::of1(bytes))?)
}

/// Saves what a canvas shows as PNG. A canvas that a worker draws on is copied first: it gives no file itself.
///
/// # Errors
///
/// The browser's.
pub(crate) fn png(name: &str, canvas: &HtmlCanvasElement) -> Result<(), JsValue> {
    let document = web_sys::window().and_then(|window| window.document()).ok_or("there is no document")?;
    let copy: HtmlCanvasElement = document.create_element("canvas")?.unchecked_into();
    copy.set_width(canvas.width());
    copy.set_height(canvas.height());
    let context: CanvasRenderingContext2d = copy.get_context("2d")?.ok_or("no 2d context")?.unchecked_into();
    context.draw_image_with_html_canvas_element(canvas, 0.0, 0.0)?;
    let name = name.to_owned();
    let save = Closure::once_into_js(move |made: Option<Blob>| {
        // A browser that refuses says so itself.
        drop(made.map(|made| blob(&name, &made)));
    });
    copy.to_blob(save.unchecked_ref())
}

/// Saves a blob.
///
/// # Errors
///
/// The browser's.
pub(crate) fn blob(name: &str, blob: &Blob) -> Result<(), JsValue> {
    let document = web_sys::window().and_then(|window| window.document()).ok_or("there is no document")?;
    let url = Url::create_object_url_with_blob(blob)?;
    let anchor: HtmlAnchorElement = document.create_element("a")?.unchecked_into();
    anchor.set_href(&url);
    anchor.set_download(name);
    anchor.click();
    // Some browsers begin to read a moment later.
    set_timeout(move || drop(Url::revoke_object_url(&url)), KEPT);
    Ok(())
}
