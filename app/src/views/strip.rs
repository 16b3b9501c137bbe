//! The chosen patch looked for in every other image: press a picture to go there and keep asking for the same patch.

use lab_protocol::{ImageId, Slot, View};
use leptos::prelude::*;

use crate::state::{Shown, Store};
use crate::texts::see as texts;
use crate::views::paint::Paint;
use crate::views::surface::Surface;

/// No more images than this are asked: each one's tokens must be at hand.
const MOST: usize = 6;

/// A row of small similarity maps.
#[component]
pub(crate) fn Strip(store: Store) -> impl IntoView {
    let others = move || {
        let shown = store.selected.get();
        let embedded = store.embedded.get();
        let images = store.images.get();
        let others = images.into_iter().filter(|picture| Some(picture.id) != shown && embedded.contains(&picture.id));
        others.take(MOST).map(|picture| (picture.id, picture.name)).collect::<Vec<_>>()
    };
    view! {
        <Show when=move || !others().is_empty()>
            <section class="strip" aria-labelledby="strip-title">
                <h2 id="strip-title">{texts::STRIP}</h2>
                <p class="explain">{texts::STRIP_EXPLAIN}</p>
                <ul>
                    <For each=others key=|(image, _)| *image let(other)>
                        <Entry store image=other.0 name=other.1 />
                    </For>
                </ul>
            </section>
        </Show>
    }
}

#[component]
fn Entry(store: Store, image: ImageId, name: String) -> impl IntoView {
    let shown = RwSignal::new(None::<Shown>);
    let paint = Signal::derive(move || {
        let (from, patch) = store.asking(Slot::Main)?;
        Some(Paint::main(View::Similarity { from, patch }))
    });
    let best = move || shown.get().map(|shown| shown.summary.max);
    let label = {
        let name = name.clone();
        Signal::derive(move || texts::strip_label(&name, best()))
    };
    let go = move |_| {
        batch(|| {
            store.pin_here();
            store.selected.set(Some(image));
        });
    };
    let of = Signal::derive(move || Some(image));
    view! {
        <li>
            <button class="thumbnail" on:click=go title=texts::GO_TO data-testid="strip-image">
                <Surface store paint shown label image=of test="view-strip" />
                <span class="name">{name}</span>
                <span class="cosine">{move || best().map(texts::best)}</span>
            </button>
        </li>
    }
}
