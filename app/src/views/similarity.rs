//! Which patches are like the chosen one: the cosine of their tokens, in this image or across images.

use lab_protocol::{Slot, View};
use leptos::prelude::*;

use crate::grid::place;
use crate::state::{Shown, Store};
use crate::texts::{number, see as texts};
use crate::views::figure::Figure;
use crate::views::paint::Paint;
use crate::views::picker::Picker;
use crate::views::reading::reading;
use crate::views::surface::{CanvasSlot, Surface};
use crate::widgets::legend::Legend;

/// The similarity view.
#[component]
pub(crate) fn Similarity(store: Store, #[prop(optional)] of: Slot) -> impl IntoView {
    // `slot` itself is a word of the view macro.
    let slot = of;
    let shown = RwSignal::new(None::<Shown>);
    let canvas: CanvasSlot = RwSignal::new_local(None);
    let grid = store.grid_of(slot);
    let paint = Signal::derive(move || {
        store.model_in(slot)?;
        let (from, patch) = store.asking(slot)?;
        Some(Paint::View { slot, view: View::Similarity { from, patch } })
    });
    let elsewhere = move || store.pinned().filter(|(image, _)| Some(*image) != store.selected.get());
    let label = Signal::derive(move || {
        let patch = store.asking(slot).map_or(0, |(_, patch)| patch);
        let name = elsewhere().and_then(|(image, _)| store.name_of(image));
        texts::similarity(&place(patch, grid.get()), name.as_deref())
    });
    let caption = Signal::derive(move || {
        let Shown { summary, .. } = shown.get()?;
        Some(texts::similarity_caption(summary.min, summary.max))
    });
    let mark = Signal::derive(move || match elsewhere() {
        Some(_) => None,
        None => store.asking(slot).map(|(_, patch)| patch),
    });
    let range = Signal::derive(move || shown.get().map(|shown| [shown.summary.min, shown.summary.max]));
    let test = if slot == Slot::Main { "view-similarity" } else { "other-similarity" };
    let (by, millis) = (store.by(slot), Signal::derive(move || shown.get().map(|shown| shown.millis)));
    let (title, explain, reading) = (texts::SIMILARITY, texts::SIMILARITY_EXPLAIN, reading(store, slot, shown, number));
    view! {
        <Figure store title explain label caption paint canvas by millis reading>
            <Surface store paint shown label canvas test>
                <Picker store label mark grid />
            </Surface>
            <Legend range />
        </Figure>
    }
}
