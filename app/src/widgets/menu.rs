//! A word with a few buttons behind it: it opens by a press, and closes by Escape, by a press elsewhere, or with the focus.

use leptos::ev;
use leptos::html::Details;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{FocusEvent, HtmlElement, KeyboardEvent, Node, PointerEvent};

/// The ways to keep something.
#[component]
pub(crate) fn Menu(
    /// What is kept, for those who do not see where it stands.
    #[prop(optional, into)]
    title: Option<&'static str>,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<Details>::new();
    let inside = move |target: Option<web_sys::EventTarget>| {
        let target = target.and_then(|target| target.dyn_into::<Node>().ok());
        node.get_untracked().is_some_and(|node| node.contains(target.as_ref()))
    };
    let close = move || node.get_untracked().filter(|node| node.open()).inspect(|node| node.set_open(false));
    let elsewhere = window_event_listener(ev::pointerdown, move |event: PointerEvent| {
        if !inside(event.target()) {
            close();
        }
    });
    on_cleanup(move || elsewhere.remove());
    let key = move |event: KeyboardEvent| {
        if event.key() == "Escape"
            && let Some(node) = close()
        {
            event.stop_propagation();
            if let Ok(Some(summary)) = node.query_selector("summary") {
                drop(summary.unchecked_into::<HtmlElement>().focus());
            }
        }
    };
    let left = move |event: FocusEvent| {
        if event.related_target().is_some() && !inside(event.related_target()) {
            close();
        }
    };
    view! {
        <details class="export" node_ref=node title=title on:keydown=key on:focusout=left>
            <summary>{crate::texts::SAVE}</summary>
            <div class="menu">{children()}</div>
        </details>
    }
}
