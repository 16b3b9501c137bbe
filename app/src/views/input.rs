//! The image as the model receives it, resized and cropped, with its patches to choose from.

use lab_protocol::View;
use leptos::prelude::*;

use crate::grid::place;
use crate::state::{Shown, Store};
use crate::texts::see as texts;
use crate::views::paint::Paint;
use crate::views::picker::Picker;
use crate::views::surface::{CanvasSlot, Surface};
use crate::widgets::export::Export;

/// The input picture with its patch grid.
#[component]
pub(crate) fn Input(store: Store) -> impl IntoView {
    let shown = RwSignal::new(None::<Shown>);
    let label = Signal::derive(move || {
        let name = store.picture().map(|picture| picture.name).unwrap_or_default();
        texts::input_label(&name, &place(store.patch(), store.grid.get()))
    });
    let paint = Signal::derive(|| Some(Paint::main(View::Input)));
    let canvas: CanvasSlot = RwSignal::new_local(None);
    let name = Signal::derive(|| texts::INPUT.to_owned());
    let mark = Signal::derive(move || Some(store.patch()));
    let caption = move || {
        let grid = store.grid.get();
        (!store.bare()).then(|| texts::input_caption(grid, &place(store.patch(), grid)))
    };
    view! {
        <figure class="input">
            <div class="title">
                <h2>{texts::INPUT}</h2>
                <Export store paint canvas label=name />
            </div>
            <p class="explain">{texts::INPUT_EXPLAIN}</p>
            <Surface store paint shown label canvas test="view-input">
                <Picker store label mark grid=store.grid keyboard=true />
            </Surface>
            <figcaption aria-live="polite">{caption}</figcaption>
        </figure>
    }
}
