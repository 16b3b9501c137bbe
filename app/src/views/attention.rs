//! Where a token looks: attention probabilities by layer, head and query.

use lab_protocol::View;
use leptos::prelude::*;

use crate::grid::place;
use crate::state::{Shown, Store};
use crate::texts;
use crate::views::figure::Figure;
use crate::views::surface::Surface;
use crate::widgets::legend::Legend;

/// The attention view.
#[component]
pub(crate) fn Attention(store: Store) -> impl IntoView {
    let shown = RwSignal::new(None::<Shown>);
    let view =
        Signal::derive(move || View::Attention { layer: store.layer(), head: store.head(), query: store.query() });
    let label = Signal::derive(move || {
        let who = if store.rooms.see.by_patch.get() {
            format!("the patch in {}", place(store.patch(), store.grid.get()))
        } else {
            texts::see::CLS.to_owned()
        };
        texts::see::attention(&who, store.layer(), store.head())
    });
    let caption = Signal::derive(move || {
        shown.get().map(|Shown { summary, millis }| {
            let peak = place(summary.peak, summary.grid);
            texts::see::attention_caption(summary.max, &peak, summary.on_patches, millis)
        })
    });
    let mark = Signal::derive(move || store.rooms.see.by_patch.get().then(|| store.patch()));
    view! {
        <Figure title=texts::see::ATTENTION explain=texts::see::ATTENTION_EXPLAIN label caption>
            <Surface store view shown label mark test="view-attention"/>
            <Legend range=Signal::derive(move || shown.get().map(|shown| [shown.summary.min, shown.summary.max]))/>
        </Figure>
    }
}
