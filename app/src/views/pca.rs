//! The three directions in which the patch tokens differ most, as red, green and blue.

use lab_protocol::View;
use leptos::prelude::*;

use crate::state::{Shown, Store};
use crate::texts;
use crate::views::figure::Figure;
use crate::views::surface::Surface;

/// The PCA view.
#[component]
pub(crate) fn Pca(store: Store) -> impl IntoView {
    let shown = RwSignal::new(None::<Shown>);
    let label = Signal::derive(|| texts::see::PCA_LABEL.to_owned());
    let caption = Signal::derive(move || {
        shown.get().map(|Shown { summary, millis }| texts::see::pca_caption(summary.explained, millis))
    });
    let share = move |index: usize| {
        shown.get().and_then(|shown| shown.summary.explained).map(|shares| texts::percent(shares[index]))
    };
    view! {
        <Figure title=texts::see::PCA explain=texts::see::PCA_EXPLAIN label caption>
            <Surface store view=Signal::derive(|| View::Pca) shown label mark=Signal::derive(|| None) test="view-pca"/>
            <ul class="legend components" aria-hidden="true">
                <li class="red">"PC1 " {move || share(0)}</li>
                <li class="green">"PC2 " {move || share(1)}</li>
                <li class="blue">"PC3 " {move || share(2)}</li>
            </ul>
        </Figure>
    }
}
