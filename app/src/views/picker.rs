//! A layer above a picture on which a patch is chosen, and cursors that all pictures share.

use leptos::html::Div;
use leptos::prelude::*;
use web_sys::{KeyboardEvent, MouseEvent, PointerEvent};

use crate::grid::{patch_from_key, patch_from_pixel};
use crate::state::Store;
use crate::texts;

/// Where a pointer is on an element, from its upper left corner, and how large the element is.
pub(crate) fn place_on(layer: NodeRef<Div>, event: &MouseEvent) -> Option<([f64; 2], [f64; 2])> {
    let bounds = layer.get_untracked()?.get_bounding_client_rect();
    let at = [f64::from(event.client_x()) - bounds.left(), f64::from(event.client_y()) - bounds.top()];
    Some((at, [bounds.width(), bounds.height()]))
}

/// A frame around a patch, in percent of the picture.
#[component]
pub(crate) fn Mark(patch: Signal<Option<u32>>, grid: Signal<[usize; 2]>, class: &'static str) -> impl IntoView {
    let cell = move || {
        let [rows, columns] = grid.get().map(|count| count.max(1) as f64);
        let patch = f64::from(patch.get()?);
        Some([patch % columns / columns, (patch / columns).floor() / rows, 1.0 / columns, 1.0 / rows])
    };
    let percent = move |index: usize| move || cell().map(|cell| format!("{}%", 100.0 * cell[index]));
    view! {
        <Show when=move || cell().is_some()>
            <span
                class=class
                style:left=percent(0)
                style:top=percent(1)
                style:width=percent(2)
                style:height=percent(3)
            ></span>
        </Show>
    }
}

/// Chooses a patch by pointer or arrow keys, and outlines it. `grid` is this picture's; the choice is kept in the
/// main model's grid.
#[component]
pub(crate) fn Picker(
    store: Store,
    #[prop(into)] label: Signal<String>,
    #[prop(into)] mark: Signal<Option<u32>>,
    #[prop(into)] grid: Signal<[usize; 2]>,
    /// This one takes the keyboard.
    #[prop(optional)]
    keyboard: bool,
) -> impl IntoView {
    let layer = NodeRef::<Div>::new();
    let choose = move |patch: u32| {
        if store.patch.get_untracked() != Some(patch) {
            store.patch.set(Some(patch));
        }
    };
    let follow = move |event: &PointerEvent| {
        let Some((at, size)) = place_on(layer, event) else { return };
        store.hover.set(Some([at[0] / size[0], at[1] / size[1]]));
        if event.buttons() & 1 == 1
            && let Some(patch) = patch_from_pixel(at, size, store.grid.get_untracked())
        {
            choose(patch);
        }
    };
    let key = move |event: KeyboardEvent| {
        let now = store.patch_untracked();
        if let Some(patch) = patch_from_key(&event.key(), now, store.grid.get_untracked()) {
            event.prevent_default();
            choose(patch);
        }
    };
    let tile = move || {
        let [rows, columns] = grid.get().map(|count| count.max(1) as f64);
        format!("{}% {}%", 100.0 / columns, 100.0 / rows)
    };
    let hovered = Signal::derive(move || patch_from_pixel(store.hover.get()?, [1.0, 1.0], grid.get()));
    view! {
        <div
            class="picker"
            class:lines=keyboard
            node_ref=layer
            style:background-size=tile
            data-testid=keyboard.then_some("patch-grid")
            tabindex=keyboard.then_some("0")
            role=keyboard.then_some("application")
            aria-hidden=(!keyboard).then_some("true")
            aria-roledescription=keyboard.then_some(texts::PICKER_ROLE)
            aria-label=move || keyboard.then(|| label.get())
            on:pointerdown=move |event| follow(&event)
            on:pointermove=move |event| follow(&event)
            on:pointerleave=move |_| store.hover.set(None)
            on:keydown=key
        >
            <Mark patch=hovered grid class="hovered" />
            <Mark patch=mark grid class="mark" />
        </div>
    }
}
