//! The choice of how components are coloured.

use lab_protocol::Palette;
use leptos::prelude::*;

use crate::state::Store;
use crate::texts::see;
use crate::widgets::segments::Segments;

/// How components are coloured, in every room.
#[component]
pub(crate) fn Palettes(store: Store) -> impl IntoView {
    let palettes = vec![(Palette::Rgb, see::PALETTE_RGB), (Palette::BlueYellow, see::PALETTE_SAFE)];
    view! { <Segments legend=see::PALETTE name="palette" options=palettes value=store.palette /> }
}
