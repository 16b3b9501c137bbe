//! The address of this room with its whole state, for the clipboard.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen_futures::JsFuture;

use crate::link::words;
use crate::state::{Severity, Store};
use crate::texts;

/// A button, and a word when it is done.
#[component]
pub(crate) fn CopyLink(store: Store) -> impl IntoView {
    let copied = RwSignal::new(false);
    // What changes afterwards is not in the link any more.
    Effect::new(move || {
        store.address(store.room.get()).format();
        copied.set(false);
    });
    let copy = move |_| {
        spawn_local(async move {
            let href = window().location().href().unwrap_or_default();
            match JsFuture::from(window().navigator().clipboard().write_text(&href)).await {
                Ok(_) => copied.set(true),
                Err(error) => store.tell(Severity::Warning, texts::not_copied(&words(&error))),
            }
        });
    };
    view! {
        <span class="copy">
            <span role="status" class="hint">{move || copied.get().then_some(texts::COPIED)}</span>
            <button class="quiet" data-testid="copy-link" on:click=copy>{texts::COPY_LINK}</button>
        </span>
    }
}
