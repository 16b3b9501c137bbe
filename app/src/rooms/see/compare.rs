//! The choice of a second model on the same image; its views stand beside the first one's, with linked cursors.

use lab_protocol::StoredModel;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement};

use super::FILES;
use crate::inputs::picked;
use crate::state::{Source, Store};
use crate::stored;
use crate::texts::{self, see};

/// Chooses the second model; `source` says where it comes from when its word does not.
fn place(store: Store, key: String, source: Option<Source>) {
    let state = store.rooms.see;
    batch(|| {
        state.compare_source.set_value(source);
        state.asked.set(None);
        state.compare.set(Some(key));
        state.turn.update(|turn| *turn += 1);
    });
}

/// Puts a model that is kept beside the first one.
pub(super) fn place_beside(store: Store, model: &StoredModel) {
    place(store, model.source.clone(), Some(stored::source(model)));
}

/// The choice of a second model, and what it is.
#[component]
pub(crate) fn Compare(store: Store) -> impl IntoView {
    let state = store.rooms.see;
    let choose = move |event: Event| match event_target_value(&event) {
        key if key.is_empty() => batch(|| {
            state.asked.set(None);
            state.compare.set(None);
        }),
        key => match stored::kept(store, &key) {
            Some(model) => place_beside(store, &model),
            None if key == FILES => {}
            None => place(store, key, None),
        },
    };
    let pick = move |event: Event| {
        let files = picked(&event);
        if !files.is_empty() {
            place(store, FILES.to_owned(), Some(Source::Files(files)));
        }
    };
    let folder = NodeRef::<leptos::html::Input>::new();
    // No attribute of HTML's standard, and known to every browser.
    folder.on_load(|input| drop(input.unchecked_ref::<Element>().set_attribute("webkitdirectory", "")));
    let address = state.offered;
    let open = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let url = address.get_untracked().trim().to_owned();
        if !url.is_empty() {
            stored::fetch(store, url, place_beside);
        }
    };
    let chosen = move || state.compare.get().unwrap_or_default();
    let option = move |key: String, label: String| {
        let own = key.clone();
        view! { <option value=key selected=move || chosen() == own>{label}</option> }
    };
    let offers = move || store.offers.get().unwrap_or_default();
    let kept = move || {
        let models = store.stored.models.get().into_iter().filter(|model| model.complete);
        models.map(|model| (model.source, model.name)).collect::<Vec<_>>()
    };
    let memory = move || {
        let bytes = store.model.get().map_or(0, |model| model.bytes) + state.other.get()?.bytes;
        Some(see::memory(bytes))
    };
    // The pairs stand above, out of sight when one chooses here.
    let to_pairs = move |_| {
        if let Some(room) = document().get_element_by_id("room") {
            room.scroll_into_view();
            drop(room.unchecked_into::<HtmlElement>().focus());
        }
    };
    view! {
        <section class="compare" aria-labelledby="compare-title">
            <h2 id="compare-title">{see::COMPARE}</h2>
            <p class="explain">{see::COMPARE_EXPLAIN}</p>
            <div class="controls">
                <label>
                    {see::COMPARE_WITH}
                    <select data-testid="compare" on:change=choose prop:value=chosen>
                        {option(String::new(), see::COMPARE_NONE.to_owned())}
                        {option("twin".to_owned(), see::COMPARE_TWIN.to_owned())}
                        {option("built-in".to_owned(), texts::BUILT_IN_VIT.to_owned())}
                        {option("untrained-mae".to_owned(), texts::BUILT_IN_MAE.to_owned())}
                        <For each=offers key=|offer| offer.id.clone() let(offer)>
                            {option(offer.id, offer.title)}
                        </For>
                        <For each=kept key=|(source, _)| source.clone() let(model)>
                            {option(model.0, see::kept(&model.1))}
                        </For>
                        <Show when=move || chosen() == FILES>{option(FILES.to_owned(), see::COMPARE_FILES.to_owned())}</Show>
                    </select>
                </label>
                <label class="button">
                    <input type="file" node_ref=folder on:change=pick data-testid="compare-folder" />
                    {texts::FOLDER}
                </label>
                <form class="inline" on:submit=open>
                    <label>
                        {see::COMPARE_ADDRESS}
                        <input
                            type="text"
                            inputmode="url"
                            autocapitalize="off"
                            spellcheck="false"
                            placeholder="facebook/dinov2-small"
                            data-testid="compare-url"
                            prop:value=move || address.get()
                            on:input=move |event| address.set(event_target_value(&event))
                        />
                    </label>
                    <button type="submit" data-testid="compare-fetch">{texts::LOAD}</button>
                </form>
            </div>
            <Show when=move || state.compare.get().is_some() && state.other.get().is_none()>
                <p class="hint" role="status">{texts::OPENING_MODEL}"…"</p>
            </Show>
            <Show when=move || state.other.get().is_some()>
                <p class="model">
                    <strong data-testid="other-model">{move || state.other.get().map(|model| model.name)}</strong>
                    <Show when=move || state.other.get().is_some_and(|model| model.untrained)>
                        <span class="badge">{texts::UNTRAINED}</span>
                    </Show>
                    <span class="hint">" " {move || state.other.get().map(|model| texts::model(&model))} " " {memory}</span>
                </p>
                <button class="quiet" data-testid="to-pairs" on:click=to_pairs>{see::TO_PAIRS}</button>
            </Show>
        </section>
    }
}
