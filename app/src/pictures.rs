//! Images on their way to the engine: sent once an engine, embedded once a model, the one on show first.

use std::cell::Cell;
use std::collections::HashMap;

use js_sys::{Array, Float32Array, Object, Reflect};
use lab_protocol::{Command, Event, ImageId};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, Url};

use crate::debug::debug;
use crate::engine::is_loss;
use crate::hash::engine_name;
use crate::link::Link;
use crate::state::{EngineState, Picture, Severity, Store};

/// How many neighbours are kept.
const NEIGHBOURS: usize = 64;

thread_local! {
    /// A worker of our own: one image after another.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Takes an image; the engine decodes it.
pub(crate) fn add(store: Store, blob: Blob, name: String, sample: Option<&'static str>) -> ImageId {
    let id = ImageId(store.number());
    let url = Url::create_object_url_with_blob(&blob).unwrap_or_default();
    store.images.update(|images| images.push(Picture { id, name, sample, url, blob }));
    id
}

/// Forgets an image here and in the engine.
pub(crate) fn remove(store: Store, id: ImageId) {
    let Some(at) = store.images.with_untracked(|images| images.iter().position(|picture| picture.id == id)) else {
        return;
    };
    batch(|| {
        let next = store.images.with_untracked(|images| {
            let others = images.get(at + 1).or_else(|| at.checked_sub(1).and_then(|before| images.get(before)));
            others.map(|picture| picture.id)
        });
        if store.selected.get_untracked() == Some(id) {
            store.selected.set(next);
            store.neighbours.set(Vec::new());
        }
        store.neighbours.update(|nearest| nearest.retain(|(other, _)| *other != id));
        store.images.update(|images| {
            let picture = images.remove(at);
            drop(Url::revoke_object_url(&picture.url));
        });
        store.embedded.update(|embedded| {
            embedded.remove(&id);
        });
    });
    let sent = store.sent.try_update(|sent| sent.remove(&id)).unwrap_or(false);
    if let Some(link) = store.link.get_untracked().filter(|_| sent) {
        spawn_local(async move {
            // An engine that no longer has it has nothing to forget.
            drop(link.ask(Command::RemoveImage { image: id }, &[]).await);
        });
    }
}

/// Watches the store and keeps the engine supplied.
pub(crate) fn attend(store: Store) {
    Effect::new(move || {
        store.images.track();
        store.selected.track();
        store.edition.track();
        if !BUSY.replace(true) {
            spawn_local(async move {
                while let Some((link, picture)) = next(store) {
                    serve(store, &link, &picture).await;
                }
                BUSY.set(false);
            });
        }
    });
    Effect::new(move || {
        let Some(picture) = store.picture() else { return };
        if let Some(grid) = store.embedded.with(|embedded| embedded.get(&picture.id).copied()) {
            store.set_grid(grid);
            let _ = lift(&picture.name);
        }
    });
    Effect::new(move || {
        let link = store.link.get();
        if let (Some(id), Some(link)) = (store.selected.get(), link)
            && store.embedded.with(|embedded| embedded.contains_key(&id) && embedded.len() > 1)
        {
            spawn_local(ask_nearest(store, link, id));
        }
    });
}

/// The image to work on next: the one on show, then the others in their order.
fn next(store: Store) -> Option<(Link, Picture)> {
    let link = store.link.get_untracked()?;
    store.model.with_untracked(Option::is_some).then_some(())?;
    let selected = store.selected.get_untracked();
    let failed = store.failed.get_untracked();
    let embedded = |id: ImageId| store.embedded.with_untracked(|embedded| embedded.contains_key(&id));
    let waits = |picture: &&Picture| !embedded(picture.id) && !failed.contains(&picture.id);
    let picture = store.images.with_untracked(|images| {
        let first = images.iter().find(|picture| Some(picture.id) == selected).filter(waits);
        first.or_else(|| images.iter().find(waits)).cloned()
    })?;
    Some((link, picture))
}

async fn serve(store: Store, link: &Link, picture: &Picture) {
    let edition = store.edition.get_untracked();
    let answer = work(store, link, picture).await;
    let stale = store.edition.get_untracked() != edition
        || store.model.with_untracked(Option::is_none)
        || !store.runs_on(link)
        || !store.images.with_untracked(|images| images.iter().any(|other| other.id == picture.id));
    match answer {
        _ if stale => {}
        Ok((Event::Embedded { dim, grid, .. }, vectors)) => {
            // Before it has a grid of its own: a patch that is kept of it goes along.
            if store.selected.get_untracked() == Some(picture.id) {
                store.set_grid(grid);
            }
            store.embedded.update(|embedded| {
                embedded.insert(picture.id, grid);
            });
            let _ = publish(store, picture, dim, grid, &vectors);
        }
        Ok(_) => store.failed.update(|failed| {
            failed.insert(picture.id);
        }),
        // A new engine comes by itself and asks for the image again.
        Err(sentence) if is_loss(&sentence) => {}
        Err(sentence) => {
            store.tell(Severity::Error, sentence);
            if store.sent.with_untracked(|sent| sent.contains(&picture.id)) {
                // The image is sound, this model cannot take it; another may.
                store.failed.update(|failed| {
                    failed.insert(picture.id);
                });
            } else {
                remove(store, picture.id);
            }
        }
    }
}

/// Hands an image to an engine that does not hold it yet.
pub(crate) async fn send(store: Store, link: &Link, picture: &Picture) -> Result<(), String> {
    if store.sent.with_untracked(|sent| sent.contains(&picture.id)) {
        return Ok(());
    }
    let command = Command::AddImage { image: picture.id, name: picture.name.clone() };
    link.ask(command, &[picture.blob.clone().into()]).await?;
    // Another engine may have come meanwhile, which holds none of them.
    if store.runs_on(link) {
        store.sent.update(|sent| {
            sent.insert(picture.id);
        });
    }
    Ok(())
}

async fn work(store: Store, link: &Link, picture: &Picture) -> Result<(Event, Array), String> {
    send(store, link, picture).await?;
    link.ask(Command::Embed { image: picture.id, patches: false }, &[]).await
}

async fn ask_nearest(store: Store, link: Link, id: ImageId) {
    // All: the engine also holds the room Probe's, which are no neighbours here.
    let answer = link.ask(Command::Nearest { image: id, count: usize::MAX }, &[]).await;
    if let Ok((Event::Neighbours { image, nearest }, _)) = answer
        && store.selected.get_untracked() == Some(image)
    {
        store.neighbours.set(store.embedded.with_untracked(|embedded| among(embedded, nearest)));
    }
}

/// The nearest of the page's own pictures.
fn among(embedded: &HashMap<ImageId, [usize; 2]>, mut nearest: Vec<(ImageId, f32)>) -> Vec<(ImageId, f32)> {
    nearest.retain(|(image, _)| embedded.contains_key(image));
    nearest.truncate(NEIGHBOURS);
    nearest
}

/// Leaves the numbers in `window.lab.debug.images`, for tests and the curious.
fn publish(store: Store, picture: &Picture, dim: usize, grid: [usize; 2], vectors: &Array) -> Result<(), JsValue> {
    let engine = match store.engine.get_untracked() {
        EngineState::Running(info) => Some(info.kind),
        _ => None,
    };
    let debug = debug()?;
    let mut images = Reflect::get(&debug, &"images".into())?;
    if images.is_undefined() {
        images = Object::new().into();
        Reflect::set(&debug, &"images".into(), &images)?;
    }
    let entry = Object::new();
    Reflect::set(&entry, &"engine".into(), &engine_name(engine).into())?;
    Reflect::set(&entry, &"image".into(), &picture.name.as_str().into())?;
    Reflect::set(&entry, &"cls".into(), &Float32Array::new(&vectors.get(0)))?;
    Reflect::set(&entry, &"dim".into(), &JsValue::from_f64(dim as f64))?;
    let grid = Array::of2(&JsValue::from_f64(grid[0] as f64), &JsValue::from_f64(grid[1] as f64));
    Reflect::set(&entry, &"grid".into(), &grid)?;
    Reflect::set(&images, &picture.name.as_str().into(), &entry)?;
    Ok(())
}

/// Lifts the numbers of the image on show to `window.lab.debug` itself.
fn lift(name: &str) -> Result<(), JsValue> {
    let debug = debug()?;
    let entry = Reflect::get(&Reflect::get(&debug, &"images".into())?, &name.into())?;
    Object::assign(debug.unchecked_ref(), &Object::from(entry));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn pictures_of_another_room_take_no_neighbours_place() {
        let nearest = (1..=300).map(|number| (ImageId(number), 0.5)).collect();
        let ours = (201..=300).map(|number| (ImageId(number), [2, 2])).collect();
        let found: Vec<u32> = among(&ours, nearest).into_iter().map(|(image, _)| image.0).collect();
        assert_eq!(found, (201..=264).collect::<Vec<_>>());
    }
}
