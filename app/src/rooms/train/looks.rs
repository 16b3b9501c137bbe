//! The same held-out pictures as the model learns, and how much each prototype is used.

use leptos::prelude::*;

use crate::state::Store;
use crate::texts::train as texts;
use crate::widgets::bars::Bars;
use crate::widgets::thumbnail::Thumbnail;

/// A column a picture: the picture, then what the model makes of it.
#[component]
pub(super) fn Looks(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let rows = move || {
        state.look.with(|look| {
            let rows = look.as_ref().map(|(_, rows)| rows.clone()).unwrap_or_default();
            let column = |(number, row): (usize, Vec<super::Shown>)| {
                let pictures = row.into_iter().map(|shown| {
                    let alt = texts::picture(&shown.title, number);
                    view! { <Thumbnail src=shown.src alt /> }
                });
                view! { <li>{pictures.collect_view()}</li> }
            };
            rows.into_iter().enumerate().map(column).collect_view()
        })
    };
    let hint = move || if state.is_dino() { texts::LOOKS_DINO } else { texts::LOOKS_MAE };
    view! {
        <section class="panel" aria-labelledby="looks-title">
            <h2 id="looks-title">{texts::LOOKS}</h2>
            <ul class="looks" data-testid="looks">{rows}</ul>
            <p class="hint">{hint}</p>
        </section>
    }
}

/// A bar a prototype.
#[component]
pub(super) fn Prototypes(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let bars = move || {
        state.look.with(|look| {
            let shares = look.as_ref().map(|(look, _)| look.prototypes.clone()).filter(|shares| !shares.is_empty())?;
            let label = texts::prototypes(&shares);
            Some(view! {
                <Bars values=shares label=label.clone() />
                <p class="numbers">{label}</p>
            })
        })
    };
    view! {
        <section class="panel" aria-labelledby="prototypes-title" data-testid="prototypes">
            <h2 id="prototypes-title">{texts::PROTOTYPES}</h2>
            {bars}
            <p class="hint">{texts::PROTOTYPES_HINT}</p>
        </section>
    }
}
