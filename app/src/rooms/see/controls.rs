//! Which block, which head, who asks; by which basis; with which patch.

use lab_protocol::Slot;
use leptos::prelude::*;

use super::Map;
use super::attend::fit;
use crate::grid::place;
use crate::state::Store;
use crate::texts::{self, see};
use crate::views::Palettes;
use crate::widgets::segments::Segments;

/// What the attention view shows: map, layer, head, query.
#[component]
pub(crate) fn AttentionControls(store: Store) -> impl IntoView {
    let state = store.rooms.see;
    let model = move || store.model.get().unwrap_or_default();
    let layer = move || store.layer_of(&model());
    let heads = move || model().num_heads as u32;
    let set_layer = move |event| state.layer.set(event_target_value(&event).parse().ok());
    let set_head = move |event| state.head.set(event_target_value(&event).parse().ok());
    let maps = vec![(Map::One, see::MAP_ONE), (Map::Heads, see::MAP_HEADS), (Map::Rollout, see::MAP_ROLLOUT)];
    let query = move |by_patch: bool, test: &'static str, label: &'static str| {
        view! {
            <label>
                <input
                    type="radio"
                    name="query"
                    data-testid=test
                    prop:checked=move || state.by_patch.get() == by_patch
                    on:change=move |_| state.by_patch.set(by_patch)
                />
                <span>{label}</span>
            </label>
        }
    };
    view! {
        <div class="controls">
            <Segments legend=see::MAP name="map" options=maps value=state.map />
            <fieldset class="segmented">
                <legend>{see::QUERY}</legend>
                <div>
                    {query(false, "query-cls", see::QUERY_CLS)} {query(true, "query-patch", see::QUERY_PATCH)}
                </div>
            </fieldset>
            <label class="slider">
                <span>{see::LAYER} " " <output>{layer}</output></span>
                <input
                    type="range"
                    min="0"
                    max=move || model().depth.saturating_sub(1).to_string()
                    prop:value=move || layer().to_string()
                    data-testid="layer"
                    on:input=set_layer
                />
            </label>
            <label>
                {see::HEAD}
                <select
                    data-testid="head"
                    on:change=set_head
                    prop:value=move || store.head_of(&model()).map_or("mean".to_owned(), |head| head.to_string())
                    disabled=move || state.map.get() == Map::Rollout
                >
                    <option value="mean">{see::MEAN}</option>
                    <For each=move || 0..heads() key=|head| *head let(head)>
                        <option value=head.to_string() selected=move || store.head_of(&model()) == Some(head)>
                            {head}
                        </option>
                    </For>
                </select>
            </label>
        </div>
    }
}

/// Own or shared basis, the foreground's threshold, and a button that fits anew.
#[component]
pub(crate) fn ColourControls(store: Store) -> impl IntoView {
    let state = store.rooms.see;
    let bases = vec![(false, see::BASIS_OWN), (true, see::BASIS_SHARED)];
    let sides = || vec![(false, see::ABOVE), (true, see::BELOW)];
    let refit = move |_| {
        fit(store, Slot::Main);
        if state.other.with_untracked(Option::is_some) {
            fit(store, Slot::Other);
        }
    };
    let fitted = move || match state.fitted(Slot::Main).get() {
        Some(images) => see::fitted(images),
        None => see::FITTING.to_owned(),
    };
    view! {
        <div class="controls">
            <Segments legend=see::BASIS name="basis" options=bases value=state.shared />
            <Palettes store />
            <Show when=move || state.shared.get()>
                <label class="check">
                    <input
                        type="checkbox"
                        data-testid="foreground"
                        prop:checked=move || state.cut.get()
                        on:change=move |event| state.cut.set(event_target_checked(&event))
                    />
                    <span>{see::FOREGROUND}</span>
                </label>
                <Show when=move || state.cut.get()>
                    <label class="slider">
                        <span>{see::THRESHOLD} " " <output>{move || texts::number(state.threshold.get())}</output></span>
                        <input
                            type="range"
                            min="0"
                            max="1"
                            step="0.01"
                            data-testid="threshold"
                            prop:value=move || state.threshold.get().to_string()
                            on:input=move |event| {
                                state.threshold.set(event_target_value(&event).parse().unwrap_or(super::THRESHOLD));
                            }
                        />
                    </label>
                    <Segments legend=see::SIDE name="side" options=sides() value=state.below />
                </Show>
                <p class="hint fitted">
                    {fitted} " " <button class="quiet" data-testid="refit" on:click=refit>{see::REFIT}</button>
                </p>
            </Show>
        </div>
    }
}

/// Keeps a patch while other images are looked at.
#[component]
pub(crate) fn PinControls(store: Store) -> impl IntoView {
    let state = store.rooms.see;
    let pinned = move || {
        let (image, patch) = store.pinned()?;
        Some(see::pinned(&store.name_of(image)?, &place(patch, store.grid_in(image))))
    };
    view! {
        <div class="controls">
            <Show
                when=move || state.pin.get().is_some()
                fallback=move || {
                    view! {
                        <button class="quiet" data-testid="pin" on:click=move |_| store.pin_here()>{see::PIN}</button>
                        <span class="hint">{see::PIN_HINT}</span>
                    }
                }
            >
                <span class="hint">{pinned}</span>
                <button class="quiet" data-testid="unpin" on:click=move |_| state.pin.set(None)>{see::UNPIN}</button>
            </Show>
        </div>
    }
}
