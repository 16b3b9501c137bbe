//! The colour scale of a heat map: viridis, from the smallest value to the largest.

use leptos::prelude::*;

use crate::texts;

/// A viridis bar between its two numbers.
#[component]
pub(crate) fn Legend(
    range: Signal<Option<[f32; 2]>>,
    /// How its ends are written: numbers unless said otherwise.
    #[prop(default = texts::number)]
    written: fn(f32) -> String,
) -> impl IntoView {
    let end = move |index: usize| range.get().map(|range| written(range[index]));
    view! {
        <div class="legend scale" class:blank=move || range.get().is_none() aria-hidden="true">
            <span>{move || end(0)}</span>
            <span class="viridis"></span>
            <span>{move || end(1)}</span>
        </div>
    }
}
