//! What surrounds each picture: title, what it is, numbers, and the ways to keep it.

use leptos::prelude::*;

use crate::state::Store;
use crate::views::paint::Paint;
use crate::views::surface::CanvasSlot;
use crate::widgets::export::Export;

/// A titled picture with a caption that is read out when its numbers change.
#[component]
pub(crate) fn Figure(
    store: Store,
    #[prop(into)] title: Signal<String>,
    #[prop(into)] explain: Signal<String>,
    #[prop(into)] label: Signal<String>,
    #[prop(into)] caption: Signal<Option<String>>,
    /// What is on it, for exports.
    #[prop(into)]
    paint: Signal<Option<Paint>>,
    /// The canvas that shows it, for exports.
    canvas: CanvasSlot,
    children: Children,
) -> impl IntoView {
    view! {
        <figure class="view">
            <div class="title">
                <h2>{move || title.get()}</h2>
                <Export store paint canvas label />
            </div>
            <p class="explain">{move || explain.get()}</p>
            {children()}
            <figcaption aria-live="polite">
                <span class="what">{move || label.get()}</span>
                <span class="numbers">{move || caption.get()}</span>
            </figcaption>
        </figure>
    }
}
