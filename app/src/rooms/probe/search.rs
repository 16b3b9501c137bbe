//! Search among embeddings that were made elsewhere.

use lab_protocol::{ProbeCommand, ProbeEvent, SearchHit};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsValue;
use web_sys::Event;

use super::{Given, ask_probe};
use crate::inputs::picked;
use crate::state::{Severity, Store};
use crate::texts::probe as texts;

/// Results that are shown.
const COUNT: usize = 20;

/// What is open, and what was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Found {
    /// What can be searched, in a sentence; empty for nothing.
    about: String,
    hits: Vec<SearchHit>,
    millis: Option<f64>,
}

/// Opens embeddings; `known` are those that were open before: what was found among them stays.
async fn give(store: Store, files: Vec<JsValue>, known: bool) {
    let state = store.rooms.probe;
    let edition = store.edition.get_untracked();
    match ask_probe(store, ProbeCommand::OpenEmbeddings, &files).await {
        Ok((ProbeEvent::Searchable { images, patches, dim, model, fits }, _)) => {
            let about = texts::searchable(images, patches, dim, &model, fits);
            state.searched.set_value(Given { files, edition });
            state.found.update(|found| match known {
                true => found.about = about,
                false => *found = Found { about, ..Found::default() },
            });
        }
        Ok(_) => store.tell(Severity::Error, crate::texts::UNEXPECTED),
        // Once more, when the next engine stands.
        Err(_) if known && edition != store.edition.get_untracked() => {}
        Err(sentence) => {
            if known {
                state.found.set(Found::default());
            }
            store.tell(Severity::Error, sentence);
        }
    }
}

/// Opens the embeddings on show once more, where the engine does not hold them.
pub(super) async fn again(store: Store) {
    let state = store.rooms.probe;
    let open = state.found.with_untracked(|found| !found.about.is_empty());
    let given = state.searched.get_value();
    if open && given.is_due(store) {
        give(store, given.files, true).await;
    }
}

/// Opens embeddings, and asks which are like the picture on show.
#[component]
pub(super) fn Search(store: Store) -> impl IntoView {
    let state = store.rooms.probe;
    let fail = move |sentence: String| store.tell(Severity::Error, sentence);
    let open = move |event: Event| {
        let files: Vec<JsValue> = picked(&event).into_iter().map(JsValue::from).collect();
        if !files.is_empty() {
            spawn_local(give(store, files, false));
        }
    };
    let close = move |_| {
        state.found.set(Found::default());
        spawn_local(async move { drop(ask_probe(store, ProbeCommand::CloseEmbeddings, &[]).await) });
    };
    let search = move |by_patch: bool| {
        let Some(image) = store.selected.get_untracked() else { return };
        let patch = by_patch.then(|| store.patch_untracked());
        spawn_local(async move {
            match ask_probe(store, ProbeCommand::Search { image, patch, count: COUNT }, &[]).await {
                Ok((ProbeEvent::Hits { hits, millis }, _)) => {
                    state.found.update(|found| (found.hits, found.millis) = (hits, Some(millis)));
                }
                Ok(_) => fail(crate::texts::UNEXPECTED.to_owned()),
                Err(sentence) => fail(sentence),
            }
        });
    };
    let closed = move || state.found.with(|found| found.about.is_empty());
    let row = |hit: SearchHit| {
        let place = hit.patch.map(|patch| format!(", patch {patch}")).unwrap_or_default();
        view! { <li>{hit.name}{place}<span>{format!("{:.4}", hit.cosine)}</span></li> }
    };
    view! {
        <section class="panel" aria-labelledby="search-title" data-testid="probe-search">
            <h2 id="search-title">{texts::SEARCH}</h2>
            <p class="hint">
                {texts::SEARCH_LEAD[0]} <code>{texts::SEARCH_LEAD[1]}</code> {texts::SEARCH_LEAD[2]}
            </p>
            <div class="buttons">
                <label class="button">
                    <input type="file" multiple accept=".safetensors,.npy,.txt" data-testid="search-files" on:change=open />
                    {texts::SEARCH_OPEN}
                </label>
                <button prop:disabled=closed data-testid="search-image" on:click=move |_| search(false)>
                    {texts::SEARCH_IMAGE}
                </button>
                <button prop:disabled=closed data-testid="search-patch" on:click=move |_| search(true)>
                    {texts::SEARCH_PATCH}
                </button>
                <Show when=move || !closed()>
                    <button on:click=close>{texts::SEARCH_CLOSE}</button>
                </Show>
            </div>
            <p role="status" data-testid="search-about">{move || state.found.with(|found| found.about.clone())}</p>
            <p class="hint" role="status" data-testid="search-time">
                {move || state.found.with(|found| found.millis.map(|millis| texts::searched(found.hits.len(), millis)))}
            </p>
            <ol class="hits" data-testid="search-hits">
                {move || state.found.get().hits.into_iter().map(row).collect_view()}
            </ol>
        </section>
    }
}
