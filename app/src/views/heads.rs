//! A button above each map of a montage: press one and its head is the chosen one.

use lab_protocol::HeadSummary;
use leptos::prelude::*;

use crate::grid::columns_for;
use crate::state::{Shown, Store};
use crate::texts::see as texts;

/// One button a head, in the montage's own order.
#[component]
pub(crate) fn Heads(store: Store, shown: RwSignal<Option<Shown>>) -> impl IntoView {
    let heads = move || shown.with(|shown| shown.as_ref().map_or(0, |shown| shown.summary.heads.len()));
    // Cells of the last row that no head fills.
    let holes = move || heads().next_multiple_of(columns_for(heads().max(1))) - heads();
    let columns = move || format!("repeat({}, 1fr)", columns_for(heads().max(1)));
    let label = move |head: usize| {
        let numbers = move |shown: &Option<Shown>| -> HeadSummary {
            shown.as_ref().and_then(|shown| shown.summary.heads.get(head).cloned()).unwrap_or_default()
        };
        move || texts::head_label(head, &shown.with(numbers))
    };
    let chosen = move |head: usize| move || store.rooms.see.head.get() == Some(head as u32);
    view! {
        <div class="tiles" style:grid-template-columns=columns>
            <For each=move || 0..heads() key=|head| *head let(head)>
                <button
                    class="tile"
                    aria-label=label(head)
                    aria-pressed=move || chosen(head)().to_string()
                    data-testid=format!("head-{head}")
                    on:click=move |_| store.rooms.see.head.set(Some(head as u32))
                >
                    <span aria-hidden="true">{head}</span>
                </button>
            </For>
            <For each=move || 0..holes() key=|hole| *hole let(_hole)>
                <span class="hole"></span>
            </For>
        </div>
    }
}
