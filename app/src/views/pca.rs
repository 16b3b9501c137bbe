//! The directions in which the patch tokens differ most, as colours.

use lab_protocol::{Palette, Slot, View};
use leptos::prelude::*;

use crate::state::{Shown, Store};
use crate::texts::{number, percent, see as texts};
use crate::views::figure::Figure;
use crate::views::paint::Paint;
use crate::views::picker::Picker;
use crate::views::reading::reading;
use crate::views::surface::{CanvasSlot, Surface};

/// The PCA view: by the picture's own basis, or by one that all pictures share.
#[component]
pub(crate) fn Pca(store: Store, #[prop(optional)] of: Slot) -> impl IntoView {
    // `slot` itself is a word of the view macro.
    let slot = of;
    let shown = RwSignal::new(None::<Shown>);
    let canvas: CanvasSlot = RwSignal::new_local(None);
    let see = store.rooms.see;
    let grid = store.grid_of(slot);
    let paint = Signal::derive(move || {
        store.model_in(slot)?;
        let view = match see.shared.get() {
            false => View::Pca,
            true => {
                see.fitted(slot).get()?;
                View::SharedPca { foreground: see.foreground() }
            }
        };
        Some(Paint::View { slot, view })
    });
    let safe = move || store.palette.get() == Palette::BlueYellow;
    let label = Signal::derive(move || texts::pca_label(see.shared.get(), see.foreground().is_some(), safe()));
    let caption = Signal::derive(move || {
        let Shown { summary, .. } = shown.get()?;
        Some(texts::pca_caption(&summary, safe()))
    });
    let share =
        move |index: usize| shown.get().and_then(|shown| shown.summary.explained).map(|shares| percent(shares[index]));
    // The class of its colour in either palette.
    let component = move |index: usize, class: [&'static str; 2]| {
        view! { <li class=move || class[usize::from(safe())]>{format!("PC{} ", index + 1)} {move || share(index)}</li> }
    };
    let mark: Signal<Option<u32>> = Signal::derive(|| None);
    let test = if slot == Slot::Main { "view-pca" } else { "other-pca" };
    let (by, millis) = (store.by(slot), Signal::derive(move || shown.get().map(|shown| shown.millis)));
    let (title, explain, reading) = (texts::PCA, texts::PCA_EXPLAIN, reading(store, slot, shown, number));
    view! {
        <Figure store title explain label caption paint canvas by millis reading>
            <Surface store paint shown label canvas test>
                <Picker store label mark grid />
            </Surface>
            <ul class="legend components" class:blank=move || shown.with(Option::is_none) aria-hidden="true">
                {component(0, ["red", "shade"])} {component(1, ["green", "tint"])}
                <Show when=move || !safe()>{component(2, ["blue"; 2])}</Show>
            </ul>
        </Figure>
    }
}
