//! The chosen patch looked for in every other image: press a picture to go there and keep asking for the same patch.

use lab_protocol::{ImageId, Slot, View};
use leptos::prelude::*;

use crate::state::{Shown, Store};
use crate::texts::see as texts;
use crate::views::paint::Paint;
use crate::views::surface::Surface;

/// No more images than this are asked: each one's tokens must be at hand.
const MOST: usize = 6;
/// So many places are kept for the visitor's own, which the samples may all be nearer than.
const OWN: usize = 3;

/// Which of the others have a place: the nearest, with the nearest of one's own (`true`) among them, by falling cosine.
/// Before they are compared they stand in the order in which they came.
fn chosen(others: &[(ImageId, bool)], nearest: &[(ImageId, f32)]) -> Vec<ImageId> {
    let rank = |image: ImageId| nearest.iter().position(|(near, _)| *near == image).unwrap_or(nearest.len());
    let mut ranked = others.to_vec();
    ranked.sort_by_key(|(image, _)| rank(*image));
    let kept = ranked.iter().filter(|(_, own)| *own).take(OWN);
    let mut places: Vec<ImageId> = kept.map(|(image, _)| *image).collect();
    let left = MOST - places.len();
    let rest: Vec<ImageId> = ranked.iter().map(|(image, _)| *image).filter(|image| !places.contains(image)).collect();
    places.extend(rest.into_iter().take(left));
    ranked.retain(|(image, _)| places.contains(image));
    ranked.into_iter().map(|(image, _)| image).collect()
}

/// A row of small similarity maps.
#[component]
pub(crate) fn Strip(store: Store) -> impl IntoView {
    let others = move || {
        let shown = store.selected.get();
        let embedded = |id| store.embedded.with(|embedded| embedded.contains_key(&id));
        let images = store.images.get();
        let others = images.iter().filter(|picture| Some(picture.id) != shown && embedded(picture.id));
        let others: Vec<_> = others.map(|picture| (picture.id, picture.sample.is_none())).collect();
        let name = |id| images.iter().find(|picture| picture.id == id).map(|picture| (id, picture.name.clone()));
        store.neighbours.with(|nearest| chosen(&others, nearest)).into_iter().filter_map(name).collect::<Vec<_>>()
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

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_nearest_have_a_place_and_ones_own_among_them() {
        let ids = |numbers: &[u32]| numbers.iter().map(|&number| ImageId(number)).collect::<Vec<_>>();
        let samples: Vec<_> = (1..=6).map(|number| (ImageId(number), false)).collect();
        let nearest = |numbers: &[u32]| ids(numbers).into_iter().map(|image| (image, 0.0)).collect::<Vec<_>>();
        assert_eq!(chosen(&samples, &[]), ids(&[1, 2, 3, 4, 5, 6]));
        assert_eq!(chosen(&samples, &nearest(&[6, 4, 1, 2, 3, 5])), ids(&[6, 4, 1, 2, 3, 5]));
        // Many of one's own, all nearer: they alone.
        let own = |from: u32, to: u32| (from..=to).map(|number| (ImageId(number), true));
        let all: Vec<_> = samples.iter().copied().chain(own(11, 18)).collect();
        assert_eq!(chosen(&all, &nearest(&[18, 17, 16, 15, 14, 13, 12, 1])), ids(&[18, 17, 16, 15, 14, 13]));
        // All farther than the samples: half of the places, behind them.
        assert_eq!(chosen(&all, &nearest(&[1, 2, 3, 4, 5, 6, 12, 11, 13, 14])), ids(&[1, 2, 3, 12, 11, 13]));
        let one: Vec<_> = samples.iter().copied().chain(own(11, 11)).collect();
        assert_eq!(chosen(&one, &nearest(&[1, 2, 11, 3, 4, 5, 6])), ids(&[1, 2, 11, 3, 4, 5]));
        assert!(chosen(&[], &[]).is_empty());
    }
}
