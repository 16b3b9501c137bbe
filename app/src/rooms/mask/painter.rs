//! Hides and shows patches: drag with pointer or finger, or move with the arrow keys and press space.

use lab_protocol::PatchMask;
use leptos::html::Div;
use leptos::prelude::*;
use web_sys::{KeyboardEvent, PointerEvent};

use crate::grid::{line, patch_from_key, patch_from_pixel, place};
use crate::state::Store;
use crate::texts::mask as texts;
use crate::views::picker::{Mark, place_on};

/// A layer above the picture that takes pointer and keys.
#[component]
pub(crate) fn Painter(store: Store, grid: Signal<[usize; 2]>) -> impl IntoView {
    let state = store.rooms.mask;
    let layer = NodeRef::<Div>::new();
    let last = StoredValue::new(None::<u32>);
    let paint = move |event: &PointerEvent| {
        let Some((at, size)) = place_on(layer, event) else { return };
        let Some(patch) = patch_from_pixel(at, size, grid.get_untracked()) else { return };
        // A fast pointer skips patches between two events.
        let stroke = last.get_value().map_or_else(|| vec![patch], |from| line(from, patch, grid.get_untracked()));
        last.set_value(Some(patch));
        state.cursor.set(patch);
        set(store, &stroke, state.hides.get_untracked());
    };
    let press = move |event: PointerEvent| {
        if event.button() == 0 {
            event.prevent_default();
            last.set_value(None);
            // Only smoother with it: a browser that refuses still sends the events.
            drop(layer.get_untracked().map(|layer| {
                let _ = layer.focus();
                layer.set_pointer_capture(event.pointer_id())
            }));
            paint(&event);
        }
    };
    let drag = move |event: PointerEvent| {
        if event.buttons() & 1 == 1 {
            paint(&event);
        }
    };
    let key = move |event: KeyboardEvent| {
        let cursor = state.cursor.get_untracked();
        let here =
            move |patch: u32| state.hidden.with_untracked(|hidden| hidden.as_ref()?.get(patch as usize).copied());
        if matches!(event.key().as_str(), " " | "Enter") {
            event.prevent_default();
            set(store, &[cursor], here(cursor) == Some(false));
        } else if let Some(patch) = patch_from_key(&event.key(), cursor, grid.get_untracked()) {
            event.prevent_default();
            state.cursor.set(patch);
            if event.shift_key() {
                set(store, &[patch], state.hides.get_untracked());
            }
        }
    };
    let label = move || {
        let cursor = state.cursor.get();
        let hidden = state.hidden.with(|hidden| hidden.as_ref().and_then(|all| all.get(cursor as usize).copied()));
        let [count, all] = state.count();
        texts::painter(&place(cursor, grid.get()), hidden.unwrap_or(false), count, all)
    };
    let tile = move || {
        let [rows, columns] = grid.get().map(|count| count.max(1) as f64);
        format!("{}% {}%", 100.0 / columns, 100.0 / rows)
    };
    let mark = Signal::derive(move || Some(state.cursor.get()));
    view! {
        <div
            class="picker lines painter"
            node_ref=layer
            style:background-size=tile
            data-testid="painter"
            tabindex="0"
            role="application"
            aria-roledescription=texts::PICKER_ROLE
            aria-label=label
            on:pointerdown=press
            on:pointermove=drag
            on:keydown=key
        >
            <Mark patch=mark grid class="mark" />
        </div>
    }
}

/// Hides or shows patches; the last one that is shown stays, since an encoder must see something.
pub(crate) fn set(store: Store, patches: &[u32], hide: bool) {
    let state = store.rooms.mask;
    let Some(mut hidden) = state.hidden.get_untracked() else { return };
    for &patch in patches {
        let shown = hidden.iter().filter(|hidden| !**hidden).count();
        if let Some(flag) = hidden.get_mut(patch as usize)
            && (!hide || shown > 1)
        {
            *flag = hide;
        }
    }
    if state.hidden.with_untracked(|now| now.as_ref() != Some(&hidden)) {
        batch(|| {
            state.by_hand.set(Some(PatchMask::new(&hidden)));
            state.hidden.set(Some(hidden));
        });
    }
}
