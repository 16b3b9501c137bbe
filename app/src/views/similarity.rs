//! Which patches are like the chosen one: the cosine of their tokens.

use lab_protocol::{ImageId, View};
use leptos::prelude::*;

use crate::grid::place;
use crate::state::{Shown, Store};
use crate::texts;
use crate::views::figure::Figure;
use crate::views::surface::Surface;
use crate::widgets::legend::Legend;

/// The similarity view.
#[component]
pub(crate) fn Similarity(store: Store) -> impl IntoView {
    let shown = RwSignal::new(None::<Shown>);
    let view = Signal::derive(move || View::Similarity {
        from: store.selected.get().unwrap_or(ImageId(0)),
        patch: store.patch(),
    });
    let label = Signal::derive(move || texts::see::similarity(&place(store.patch(), store.grid.get())));
    let caption = Signal::derive(move || {
        shown.get().map(|Shown { summary, millis }| texts::see::similarity_caption(summary.min, summary.max, millis))
    });
    let mark = Signal::derive(move || Some(store.patch()));
    view! {
        <Figure title=texts::see::SIMILARITY explain=texts::see::SIMILARITY_EXPLAIN label caption>
            <Surface store view shown label mark test="view-similarity"/>
            <Legend range=Signal::derive(move || shown.get().map(|shown| [shown.summary.min, shown.summary.max]))/>
        </Figure>
    }
}
