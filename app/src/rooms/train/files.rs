//! The run as a file, the model as a folder, and where the run is safe meanwhile.

use js_sys::Array;
use lab_protocol::train::{Place, TrainCommand};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, BlobPropertyBag, Event, File};

use super::{replace, run};
use crate::inputs::picked;
use crate::rooms::{Room, go};
use crate::state::{Severity, Source, Store};
use crate::texts::train as texts;
use crate::{download, engine, stored};

/// Download, open, keep, export, forget.
#[component]
pub(super) fn Files(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let ready = move || state.status.with(Option::is_some) && !state.busy.get();
    let download = move |command: TrainCommand| {
        run::fetch(store, command, move |files| {
            for (name, bytes) in files {
                if let Err(error) = blob(&bytes).and_then(|blob| download::blob(&name, &blob)) {
                    store.tell(Severity::Error, crate::link::words(&error));
                }
            }
        });
    };
    let see = move |_| {
        run::fetch(store, TrainCommand::Export, move |files| {
            let files = files.into_iter().filter_map(|(name, bytes)| file(&name, &bytes).ok()).collect();
            let name = state.status.with_untracked(|status| status.as_ref().map(texts::network)).unwrap_or_default();
            engine::load_model(store, Source::Run(name, files));
            go(store, Room::See);
        });
    };
    let keep = move |_| {
        run::fetch(store, TrainCommand::Export, move |files| {
            if let Some(name) = state.status.with_untracked(|status| status.as_ref().map(texts::network)) {
                stored::keep(store, name, files);
            }
        });
    };
    let pick = move |event: Event| {
        let files: Vec<JsValue> = picked(&event).into_iter().map(JsValue::from).collect();
        if !files.is_empty() {
            replace::open(store, files);
        }
    };
    view! {
        <section class="panel" aria-labelledby="files-title">
            <h2 id="files-title">{texts::FILES}</h2>
            <p data-testid="saved">{move || texts::saved(&state.saved.get())}</p>
            <div class="buttons">
                <button
                    data-testid="download-run"
                    disabled=move || !ready()
                    on:click=move |_| download(TrainCommand::Save { to: Place::Page })
                >
                    {texts::DOWNLOAD}
                </button>
                <label class="button">
                    <input type="file" multiple accept=".safetensors,.toml" data-testid="open-run" on:change=pick />
                    {texts::OPEN}
                </label>
                <button data-testid="open-in-see" disabled=move || !ready() on:click=see>{texts::SEE}</button>
                <button data-testid="keep-network" disabled=move || !ready() on:click=keep>{texts::KEEP}</button>
                <button
                    data-testid="download-model"
                    disabled=move || !ready()
                    on:click=move |_| download(TrainCommand::Export)
                >
                    {texts::EXPORT}
                </button>
                <button data-testid="forget" disabled=move || !ready() on:click=move |_| replace::forget(store)>
                    {texts::FORGET}
                </button>
            </div>
            <p class="hint">{texts::FILES_HINT}</p>
        </section>
    }
}

fn blob(bytes: &JsValue) -> Result<Blob, JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type("application/octet-stream");
    Blob::new_with_buffer_source_sequence_and_options(&Array::of1(bytes), &options)
}

/// A `File`, which a constructor of its own makes: web-sys has it behind a feature that nothing else needs.
pub(super) fn file(name: &str, bytes: &JsValue) -> Result<File, JsValue> {
    let class: js_sys::Function = js_sys::Reflect::get(&js_sys::global(), &"File".into())?.dyn_into()?;
    let arguments = Array::of2(&Array::of1(bytes), &name.into());
    js_sys::Reflect::construct(&class, &arguments)?.dyn_into()
}
