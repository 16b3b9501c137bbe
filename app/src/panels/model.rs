//! Which model, from where, and what it is.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::Event;

use crate::engine;
use crate::inputs::picked;
use crate::state::{Source, Store};
use crate::stored;
use crate::texts;

/// The model at work, and the ways to another one: built in, a folder, files, an address.
#[component]
pub(crate) fn ModelPanel(store: Store) -> impl IntoView {
    // Beside a run it is not the network that learns.
    let trains = move || store.room.get().learns();
    let address = store.offered;
    let key = move || {
        store.model.track();
        match store.source.get_value() {
            Source::First => "built-in".to_owned(),
            Source::Files(_) | Source::Run(..) | Source::Url(_) | Source::Twin(_) | Source::Stored { .. } => {
                "own".to_owned()
            }
            source => source.key().unwrap_or_default(),
        }
    };
    let choose = move |event: Event| {
        let chosen = event_target_value(&event);
        if chosen != "own" {
            engine::load_model(store, Source::of_key(&chosen, 0));
        }
    };
    let offers = move || store.offers.get().unwrap_or_default();
    let note = move || {
        let key = key();
        offers().into_iter().find(|offer| offer.id == key).map(|offer| format!("{} {}", offer.note, offer.licence))
    };
    let pick = move |event: Event| {
        let files = picked(&event);
        if !files.is_empty() {
            engine::load_model(store, Source::Files(files));
        }
    };
    let open = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let url = address.get_untracked().trim().to_owned();
        if !url.is_empty() {
            stored::fetch(store, url, stored::load);
        }
    };
    let folder = NodeRef::<leptos::html::Input>::new();
    // No attribute of HTML's standard, and known to every browser.
    folder.on_load(|input| drop(input.unchecked_ref::<web_sys::Element>().set_attribute("webkitdirectory", "")));
    let info = move || {
        store.model.get().map(|model| {
            view! {
                <p class="model">
                    <strong>{model.name.clone()}</strong>
                    <Show when=move || model.untrained>
                        <span class="badge" data-testid="untrained">{texts::UNTRAINED}</span>
                    </Show>
                </p>
                <Show when=move || model.untrained>
                    <p class="hint">{texts::UNTRAINED_MEANS}</p>
                </Show>
                <p class="hint">{texts::model(&model)}</p>
                <p class="hint">{note}</p>
            }
        })
    };
    view! {
        <section class="panel" aria-labelledby="model-title" data-testid="model-select">
            <h2 id="model-title">{move || if trains() { texts::train::OTHER_MODEL } else { texts::MODEL }}</h2>
            <Show when=trains>
                <p class="hint">{texts::train::OTHER_MODEL_SAYS}</p>
            </Show>
            {info}
            <div class="buttons">
                <label class="choice">
                    <span>{texts::BUILT_IN}</span>
                    <select data-testid="built-in" prop:value=key on:change=choose>
                        <option value="built-in" selected=move || key() == "built-in">{texts::BUILT_IN_VIT}</option>
                        <option value="untrained-mae" selected=move || key() == "untrained-mae">
                            {texts::BUILT_IN_MAE}
                        </option>
                        <For each=offers key=|offer| offer.id.clone() let(offer)>
                            <option value=offer.id.clone() selected=move || key() == offer.id>{offer.title}</option>
                        </For>
                        <Show when=move || key() == "own"><option value="own" selected=true>{texts::OWN}</option></Show>
                    </select>
                </label>
                <label class="button">
                    <input type="file" data-testid="model-folder" node_ref=folder on:change=pick />
                    {texts::FOLDER}
                </label>
                <label class="button">
                    <input type="file" multiple data-testid="model-files" on:change=pick />
                    {texts::FILES}
                </label>
            </div>
            <form on:submit=open>
                <label>
                    {texts::ADDRESS}
                    <input
                        type="text"
                        inputmode="url"
                        autocapitalize="off"
                        spellcheck="false"
                        placeholder="facebook/dinov2-small"
                        data-testid="model-url"
                        prop:value=move || address.get()
                        on:input=move |event| address.set(event_target_value(&event))
                    />
                </label>
                <button type="submit">{texts::LOAD}</button>
            </form>
            <p class="hint">{texts::MODEL_HINT}</p>
        </section>
    }
}
