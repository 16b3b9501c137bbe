//! The three directions in which the patch tokens differ most, as red, green and blue.

use lab_protocol::{Slot, View};
use leptos::prelude::*;

use crate::state::{Shown, Store};
use crate::texts::{percent, see as texts};
use crate::views::figure::Figure;
use crate::views::paint::Paint;
use crate::views::picker::Picker;
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
    let label = Signal::derive(move || texts::pca_label(see.shared.get(), see.foreground().is_some()).to_owned());
    let caption = Signal::derive(move || {
        let Shown { summary, millis } = shown.get()?;
        Some(texts::pca_caption(&summary, millis))
    });
    let share =
        move |index: usize| shown.get().and_then(|shown| shown.summary.explained).map(|shares| percent(shares[index]));
    let mark: Signal<Option<u32>> = Signal::derive(|| None);
    let test = if slot == Slot::Main { "view-pca" } else { "other-pca" };
    view! {
        <Figure store title=texts::PCA explain=texts::PCA_EXPLAIN label caption paint canvas>
            <Surface store paint shown label canvas test>
                <Picker store label mark grid />
            </Surface>
            <ul class="legend components" aria-hidden="true">
                <li class="red">"PC1 " {move || share(0)}</li>
                <li class="green">"PC2 " {move || share(1)}</li>
                <li class="blue">"PC3 " {move || share(2)}</li>
            </ul>
        </Figure>
    }
}
