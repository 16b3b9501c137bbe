//! Keeps the engine's second model and its shared colours as the room's state wants them.

use lab_protocol::{Command, Event, ImageId, ModelInfo, Palette, SeeCommand, SeeEvent, Slot};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsValue;

use super::{FILES, place_beside};
use crate::link::Link;
use crate::state::{Severity, Source, Store};
use crate::{registry, stored, texts};

/// Watches the store.
pub(crate) fn attend(store: Store) {
    let see = store.rooms.see;
    // How components are coloured: told to each engine, which then draws them anew.
    Effect::new(move |before: Option<Palette>| {
        let palette = store.palette.get();
        let told = palette != Palette::default() || before.is_some_and(|before| before != palette);
        if let Some(link) = store.link.get().filter(|_| told) {
            spawn_local(async move {
                match link.ask(Command::See(SeeCommand::Colour { palette }), &[]).await {
                    Ok(_) => batch(|| {
                        see.edition.update(|edition| *edition += 1);
                        store.rooms.video.redraw();
                    }),
                    Err(sentence) => tell(store, &link, sentence),
                }
            });
        }
        palette
    });
    // A second model: when the engine, the wish, or the model that a twin copies has changed.
    let wish = Memo::new(move |_| {
        let key = see.compare.get()?;
        store.model.with(Option::is_some).then_some(())?;
        let of = if key == "twin" { store.edition.get() } else { 0 };
        Some((store.era.get(), key, of, see.seed.get(), see.turn.get()))
    });
    // One that a link asks for and that is not drawn or beside the page: shown when it is kept, else named.
    Effect::new(move |before: Option<Option<String>>| {
        let (asked, before) = (see.asked.get(), before.flatten());
        if store.link.with(Option::is_none) {
            return before;
        }
        if let Some(key) = asked.clone().filter(|_| asked != before) {
            spawn_local(look_for(store, key));
        }
        asked
    });
    Effect::new(move |before: Option<bool>| {
        let now = wish.get();
        let wished = now.is_some();
        see.other.set(None);
        see.fitted(Slot::Other).set(None);
        let Some(link) = store.link.get_untracked() else { return wished };
        let Some((_, key, _, seed, _)) = &now else {
            if before == Some(true) {
                // It takes as much memory as the first one. An engine that is gone has forgotten it anyway.
                spawn_local(async move {
                    drop(link.ask(Command::See(SeeCommand::Unload { slot: Slot::Other }), &[]).await);
                });
            }
            return wished;
        };
        let source = see.compare_source.get_value().unwrap_or_else(|| Source::of_key(key, *seed));
        spawn_local(async move {
            let answer = load_into(store, &link, Slot::Other, source.clone()).await;
            // A model that has made way for another one meanwhile, as a twin does, has no views any more.
            if store.runs_on(&link) && wish.get_untracked() == now {
                take(store, source, answer);
            }
        });
        wished
    });
    // A basis: when all images have been seen by a model that has none.
    for slot in [Slot::Main, Slot::Other] {
        // Once fitted it stays: pictures that come later are seen by the same basis, until the button is pressed.
        let due = Memo::new(move |before: Option<&Option<(String, u32)>>| {
            see.shared.get().then_some(())?;
            let model = match slot {
                Slot::Other => (see.other.get()?.name, store.era.get()),
                Slot::Main | Slot::Mae => (store.edition.get().to_string(), store.era.get()),
            };
            let known = before.and_then(Option::as_ref) == Some(&model);
            (known || settled(store)).then_some(model)
        });
        Effect::new(move || match due.get() {
            Some(_) => fit(store, slot),
            None => see.fitted(slot).set(None),
        });
    }
}

/// Every image is embedded or has been refused, and there is one to fit a basis on.
fn settled(store: Store) -> bool {
    let (failed, images) = (store.failed.get(), store.images.get());
    store.samples_done.get()
        && store.embedded.with(|embedded| {
            !embedded.is_empty()
                && images.iter().all(|picture| embedded.contains_key(&picture.id) || failed.contains(&picture.id))
        })
}

/// Fits a model's basis on the images at hand, in the order of their names: the same images give the same colours.
pub(crate) fn fit(store: Store, slot: Slot) {
    let see = store.rooms.see;
    let Some(link) = store.link.get_untracked() else { return };
    let failed = store.failed.get_untracked();
    let mut images = store.images.get_untracked();
    // Those on their way are not the engine's yet.
    let sent = store.sent.get_untracked();
    images.retain(|picture| sent.contains(&picture.id) && !failed.contains(&picture.id));
    images.sort_by(|a, b| a.name.cmp(&b.name));
    let images: Vec<ImageId> = images.iter().map(|picture| picture.id).collect();
    spawn_local(async move {
        match link.ask(Command::See(SeeCommand::Fit { slot, images }), &[]).await {
            Ok((Event::See(SeeEvent::Fitted { images, .. }), _)) => batch(|| {
                see.fitted(slot).set(Some(images));
                see.edition.update(|edition| *edition += 1);
            }),
            Ok(_) => {}
            Err(sentence) => tell(store, &link, sentence),
        }
    });
}

async fn look_for(store: Store, key: String) {
    if key == FILES {
        store.rooms.see.asked.set(None);
        store.tell(Severity::Warning, texts::see::LINK_FILES);
        return;
    }
    stored::refresh(store).await;
    match stored::kept(store, &key) {
        Some(model) => place_beside(store, &model),
        None => {
            store.tell(Severity::Warning, texts::see::link_asks(&key));
            store.rooms.see.offered.set(key);
        }
    }
}

/// The second model has come, or has not.
fn take(store: Store, source: Source, answer: Result<ModelInfo, String>) {
    let see = store.rooms.see;
    match answer {
        Ok(mut model) => {
            model.name = registry::title(store, source, &model.name);
            batch(|| {
                see.edition.update(|edition| *edition += 1);
                see.other.set(Some(model));
            });
        }
        Err(sentence) => {
            store.tell(Severity::Error, sentence);
            see.compare.set(None);
        }
    }
}

/// Loads a model into a slot of an engine.
pub(crate) async fn load_into(store: Store, link: &Link, slot: Slot, source: Source) -> Result<ModelInfo, String> {
    registry::check(store, &source).await?;
    let (source, files) = source.told();
    let files: Vec<JsValue> = files.into_iter().map(JsValue::from).collect();
    match link.ask(Command::See(SeeCommand::Load { slot, source }), &files).await? {
        (Event::ModelLoaded { model }, _) => Ok(model),
        _ => Err(texts::UNEXPECTED.to_owned()),
    }
}

/// Errors of an engine that is gone need no telling.
fn tell(store: Store, link: &Link, sentence: String) {
    if store.runs_on(link) {
        store.tell(Severity::Error, sentence);
    }
}
