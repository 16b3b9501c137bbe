//! The views of the real rooms that a step puts beside its text.

use lab_protocol::{ModelInfo, Slot};
use leptos::prelude::*;

use super::scale::{Measure, Scale};
use super::teacher::Teacher;
use crate::inputs::Images;
use crate::rooms::mask::Bench;
use crate::state::Store;
use crate::views::{Attention, Input, Pca, Similarity, Strip};

/// What stands beside a step's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Views {
    /// The picture and its principal components.
    Patches,
    /// The picture and a map of attention.
    Attention,
    /// The picture, similarity, and the same patch elsewhere.
    Similarity,
    /// The bench of the room Mask.
    Mask,
    /// A teacher's answers and what becomes of them.
    Teacher,
    /// The paper's figures, at first by one measure.
    Scale(Measure),
    /// Principal components by the model at work and by its random twin.
    Twin,
    /// The images by likeness to the one on show.
    Search,
}

/// One of them.
#[component]
pub(crate) fn Stage(store: Store, stage: Signal<Views>) -> impl IntoView {
    let stage = Memo::new(move |_| stage.get());
    move || {
        match stage.get() {
        Views::Patches => view! { <div class="stage"><Input store /><Pca store /></div> }.into_any(),
        Views::Attention => view! { <div class="stage"><Input store /><Attention store /></div> }.into_any(),
        Views::Similarity => {
            view! { <div class="stage"><Input store /><Similarity store /></div><Strip store /> }.into_any()
        }
        Views::Mask => view! { <Bench store /> }.into_any(),
        Views::Teacher => view! { <Teacher store /> }.into_any(),
        Views::Scale(first) => view! { <Scale store first /> }.into_any(),
        Views::Twin => view! { <Twin store /> }.into_any(),
        Views::Search => {
            view! { <div class="search"><Images store /></div><div class="stage"><Input store /><Similarity store /></div> }
                .into_any()
        }
    }
    }
}

/// The same map by two models, under their names.
#[component]
fn Twin(store: Store) -> impl IntoView {
    let see = store.rooms.see;
    let name = move |model: Option<ModelInfo>| model.map(|model| model.name);
    view! {
        <div class="stage">
            <section>
                <p class="model"><strong>{move || name(store.model.get())}</strong></p>
                <Pca store />
            </section>
            <Show when=move || see.other.get().is_some()>
                <section>
                    <p class="model"><strong data-testid="other-model">{move || name(see.other.get())}</strong></p>
                    <Pca store of=Slot::Other />
                </section>
            </Show>
        </div>
    }
}
