//! What surrounds each picture: title, what it is, numbers.

use leptos::prelude::*;

/// A titled picture with a caption that is read out when its numbers change.
#[component]
pub(crate) fn Figure(
    title: &'static str,
    explain: &'static str,
    label: Signal<String>,
    caption: Signal<Option<String>>,
    children: Children,
) -> impl IntoView {
    view! {
        <figure class="view">
            <h2>{title}</h2>
            <p class="explain">{explain}</p>
            {children()}
            <figcaption aria-live="polite">
                <span class="what">{move || label.get()}</span>
                <span class="numbers">{move || caption.get()}</span>
            </figcaption>
        </figure>
    }
}
