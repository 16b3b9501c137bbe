//! The address of this room with its whole state, for the clipboard.

use std::time::Duration;

use lab_protocol::MADE;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen_futures::JsFuture;

use crate::link::words;
use crate::state::{Severity, Source, Store};
use crate::texts;

/// The word that a link was copied stands for so long.
const LONG_ENOUGH: Duration = Duration::from_secs(8);

/// What the visitor sees and no link holds.
fn missing(store: Store) -> Vec<&'static str> {
    store.model.track();
    let room = store.room.get();
    let own = store.images.with(|images| images.iter().any(|picture| picture.sample.is_none()));
    let files = matches!(store.source.get_value(), Source::Files(_) | Source::Run(..));
    let made =
        store.source.with_value(|source| matches!(source, Source::Stored { source, .. } if source.starts_with(MADE)));
    let shared = [(own, texts::MISSING_PICTURES), (files, texts::MISSING_MODEL), (made, texts::MISSING_MADE)];
    let shared = shared.into_iter().filter(|(missing, _)| *missing).map(|(_, words)| words);
    shared.chain(store.rooms.missing(room)).collect()
}

/// A button, and a word when it is done.
#[component]
pub(crate) fn CopyLink(store: Store) -> impl IntoView {
    let copied = RwSignal::new(false);
    // Copies so far: only the last one's word is taken back.
    let copies = StoredValue::new(0);
    // What changes afterwards is not in the link any more.
    Effect::new(move || {
        store.address(store.room.get()).format();
        copied.set(false);
    });
    let copy = move |_| {
        spawn_local(async move {
            let href = window().location().href().unwrap_or_default();
            match JsFuture::from(window().navigator().clipboard().write_text(&href)).await {
                Ok(_) => {
                    copied.set(true);
                    copies.update_value(|copies| *copies += 1);
                    let this = copies.get_value();
                    let forget = move || {
                        if copies.get_value() == this {
                            copied.set(false);
                        }
                    };
                    set_timeout(forget, LONG_ENOUGH);
                }
                Err(error) => store.tell(Severity::Warning, texts::not_copied(&words(&error))),
            }
        });
    };
    view! {
        <span class="copy">
            <span role="status" class="hint">{move || copied.get().then(|| texts::copied(&missing(store)))}</span>
            <button class="quiet" data-testid="copy-link" on:click=copy>{texts::COPY_LINK}</button>
        </span>
    }
}
