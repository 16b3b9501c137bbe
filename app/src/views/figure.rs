//! What surrounds each picture: title, what it is, numbers, and the ways to keep it.

use lab_protocol::Slot;
use leptos::prelude::*;

use crate::state::Store;
use crate::texts::{self, see};
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
    /// Whose it is, where two models look.
    #[prop(optional)]
    by: Option<Signal<Option<String>>>,
    /// How long it took, in milliseconds.
    #[prop(optional)]
    millis: Option<Signal<Option<f64>>>,
    /// The value under the cursor. Not read out: a cursor moves faster than a voice.
    #[prop(optional)]
    reading: Option<Signal<Option<String>>>,
    children: Children,
) -> impl IntoView {
    let by = move || by.and_then(|by| by.get()).map(|by| view! { <p class="by" title=by.clone()>{by.clone()}</p> });
    let time = move || millis.and_then(|millis| millis.get()).map(texts::time);
    let reading = reading.map(|reading| view! { <p class="reading">{move || reading.get()}</p> });
    // Without a picture there is nothing to say of it.
    let said = move |words: Option<String>| words.filter(|_| !store.bare());
    view! {
        <figure class="view">
            <div class="title">
                <h2>{move || title.get()}</h2>
                <span class="time" title=texts::TIME>{time}</span>
                <Export store paint canvas label />
            </div>
            {by}
            <p class="explain">{move || explain.get()}</p>
            {children()}
            {reading}
            <figcaption aria-live="polite">
                <span class="what">{move || said(Some(label.get()))}</span>
                <span class="numbers">{move || said(caption.get())}</span>
            </figcaption>
        </figure>
    }
}

impl Store {
    /// Whose a picture is, while two models look at it.
    pub(crate) fn by(self, slot: Slot) -> Signal<Option<String>> {
        Signal::derive(move || {
            self.rooms.see.other.with(Option::is_some).then_some(())?;
            self.model_in(slot).map(|model| see::by(&model.name, model.untrained))
        })
    }
}
