//! The value under the cursor: under a pointer that is on any of the pictures, else in the chosen patch, which arrow keys
//! move.

use lab_protocol::Slot;
use leptos::prelude::*;

use crate::grid::{patch_from_pixel, place};
use crate::state::{Shown, Store};
use crate::texts::see as texts;

/// A line about the patch under the cursor; `word` writes a value. Nothing where maps lie side by side.
pub(crate) fn reading(
    store: Store,
    slot: Slot,
    shown: RwSignal<Option<Shown>>,
    word: fn(f32) -> String,
) -> Signal<Option<String>> {
    Signal::derive(move || {
        let hover = store.hover.get();
        shown.with(|shown| {
            let Shown { summary, values, .. } = shown.as_ref().filter(|shown| shown.summary.heads.is_empty())?;
            let grid = summary.grid;
            let under = hover.and_then(|at| patch_from_pixel(at, [1.0, 1.0], grid));
            let patch = under.unwrap_or_else(|| store.patch_in(slot));
            let planes = values.chunks_exact((grid[0] * grid[1]).max(1));
            let found: Vec<f32> = planes.filter_map(|plane| plane.get(patch as usize).copied()).collect();
            (!found.is_empty()).then(|| texts::reading(&place(patch, grid), &found, word))
        })
    })
}
