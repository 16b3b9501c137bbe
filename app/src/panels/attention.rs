//! Which block, which head, who asks.

use leptos::prelude::*;

use crate::state::Store;
use crate::texts;

/// Layer slider, head list, and the choice between class token and patch.
#[component]
pub(crate) fn AttentionControls(store: Store) -> impl IntoView {
    let of =
        move |field: fn(&lab_protocol::ModelInfo) -> usize| store.model.with(|model| model.as_ref().map_or(0, field));
    let depth = move || of(|model| model.depth);
    let heads = move || of(|model| model.num_heads) as u32;
    let set_layer = move |event| store.rooms.see.layer.set(event_target_value(&event).parse().ok());
    let set_head = move |event| store.rooms.see.head.set(event_target_value(&event).parse().ok());
    view! {
        <div class="controls">
            <label>
                {texts::see::LAYER} " " <output>{move || store.layer()}</output>
                <input
                    type="range"
                    min="0"
                    max=move || depth().saturating_sub(1).to_string()
                    prop:value=move || store.layer().to_string()
                    data-testid="layer"
                    on:input=set_layer
                />
            </label>
            <label>
                {texts::see::HEAD}
                <select data-testid="head" on:change=set_head prop:value=move || store.head().map_or("mean".to_owned(), |head| head.to_string())>
                    <option value="mean">{texts::see::MEAN}</option>
                    <For each=move || 0..heads() key=|head| *head let(head)>
                        <option value=head.to_string() selected=move || store.head() == Some(head)>{head}</option>
                    </For>
                </select>
            </label>
            <fieldset>
                <legend>{texts::see::QUERY}</legend>
                <label>
                    <input
                        type="radio"
                        name="query"
                        data-testid="query-cls"
                        prop:checked=move || !store.rooms.see.by_patch.get()
                        on:change=move |_| store.rooms.see.by_patch.set(false)
                    />
                    {texts::see::QUERY_CLS}
                </label>
                <label>
                    <input
                        type="radio"
                        name="query"
                        data-testid="query-patch"
                        prop:checked=move || store.rooms.see.by_patch.get()
                        on:change=move |_| store.rooms.see.by_patch.set(true)
                    />
                    {texts::see::QUERY_PATCH}
                </label>
            </fieldset>
        </div>
    }
}
