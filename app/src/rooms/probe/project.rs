//! Classes with their pictures in one file, and a question before a page is left whose classes no file holds.
//!
//! The file is a line that says what it is, the length of what follows, JSON of the classes, and the pictures' bytes.

use js_sys::Array;
use lab_protocol::ImageId;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde_json::{Value, json};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, Event};

use super::{Class, Shot, replace, shot};
use crate::download;
use crate::inputs::picked;
use crate::state::{Severity, Store};
use crate::texts::{SAMPLES, probe as texts};

/// What the file begins with.
const MARK: &str = "lab classes 1\n";
/// Digits of the length behind it, and the end of their line.
const DIGITS: usize = 9;

/// Pictures of the visitor's own that are in a class.
fn own(store: Store) -> Vec<ImageId> {
    let of =
        |class: &Class| class.shots.iter().filter(|shot| shot.sample.is_none()).map(|shot| shot.id).collect::<Vec<_>>();
    store.rooms.probe.classes.with_untracked(|classes| classes.iter().flat_map(of).collect())
}

/// Has the browser ask before a page is left whose own classes would be gone.
pub(crate) fn attend(store: Store) {
    window_event_listener(ev::beforeunload, move |event| {
        let kept = store.rooms.probe.kept.get_value();
        if own(store).iter().any(|picture| !kept.contains(picture)) {
            event.prevent_default();
        }
    });
}

/// Saves and opens such a file.
#[component]
pub(super) fn Project(store: Store) -> impl IntoView {
    let state = store.rooms.probe;
    let save = move |_| {
        download::told(
            store,
            pack(&state.classes.get_untracked()).and_then(|file| download::blob(texts::PROJECT, &file)),
        );
        state.kept.set_value(own(store));
    };
    let open = move |event: Event| {
        let Some(file) = picked(&event).into_iter().next() else { return };
        spawn_local(async move {
            match unpack(store, &file).await {
                Some(classes) => {
                    replace(store, classes);
                    state.kept.set_value(own(store));
                }
                None => store.tell(Severity::Error, texts::no_project(&file.name())),
            }
        });
    };
    let empty = move || state.classes.with(|classes| classes.iter().all(|class| class.shots.is_empty()));
    view! {
        <button data-testid="save-classes" title=texts::SAVE_PROJECT_MEANS prop:disabled=empty on:click=save>
            {texts::SAVE_PROJECT}
        </button>
        <label class="button">
            <input type="file" data-testid="open-classes" on:change=open />
            {texts::OPEN_PROJECT}
        </label>
    }
}

fn pack(classes: &[Class]) -> Result<Blob, wasm_bindgen::JsValue> {
    let picture = |shot: &Shot| json!({ "name": shot.name, "sample": shot.sample, "bytes": shot.blob.size() as u64 });
    let class =
        |class: &Class| json!({ "name": class.name, "pictures": class.shots.iter().map(picture).collect::<Vec<_>>() });
    let head = json!(classes.iter().map(class).collect::<Vec<_>>()).to_string();
    let parts = Array::of1(&format!("{MARK}{:0>1$}\n{head}", head.len(), DIGITS - 1).into());
    for shot in classes.iter().flat_map(|class| &class.shots) {
        parts.push(&shot.blob);
    }
    Blob::new_with_blob_sequence(&parts)
}

/// The classes of a file; nothing where it is no such file, or ends early.
async fn unpack(store: Store, file: &Blob) -> Option<Vec<Class>> {
    let mut at = (MARK.len() + DIGITS) as f64;
    let start = text(file, 0.0, at).await?;
    let length: u32 = start.strip_prefix(MARK)?.trim_end().parse().ok()?;
    let head: Value = serde_json::from_str(&text(file, at, at + f64::from(length)).await?).ok()?;
    at += f64::from(length);
    let mut classes = Vec::new();
    for class in head.as_array()? {
        let mut shots = Vec::new();
        for picture in class["pictures"].as_array()? {
            let end = at + picture["bytes"].as_u64()? as f64;
            let blob = file.slice_with_f64_and_f64(at, end).ok().filter(|_| end <= file.size())?;
            at = end;
            let name = picture["name"].as_str()?.to_owned();
            let sample = SAMPLES.iter().map(|sample| sample.name).find(|name| picture["sample"].as_str() == Some(name));
            shots.push(Shot { sample, ..shot(store, blob, name) });
        }
        classes.push(Class { id: store.number(), name: class["name"].as_str()?.to_owned(), shots });
    }
    Some(classes)
}

async fn text(file: &Blob, from: f64, to: f64) -> Option<String> {
    let part: Blob = file.slice_with_f64_and_f64(from, to).ok()?;
    JsFuture::from(part.text().unchecked_into::<js_sys::Promise>()).await.ok()?.as_string()
}
