//! The room Learn.

use leptos::prelude::*;

use crate::hash::Address;
use crate::state::Store;
use crate::texts::learn as texts;

/// Whether there is something to see; an empty room stands in no navigation.
pub(crate) const FILLED: bool = false;
/// Images, model and engine stand beside it.
pub(crate) const BESIDE: bool = true;

/// The state of this room. Copies are the same state.
#[derive(Clone, Copy)]
pub(crate) struct State {}

impl State {
    /// A room as nobody has used it yet.
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// Takes over what a link says; what it does not say keeps its default.
    pub(crate) fn read(self, _address: &Address) {}

    /// Says in a link what differs from the defaults.
    pub(crate) fn write(self, _address: &mut Address) {}
}

/// The room.
#[component]
pub(crate) fn Learn(store: Store) -> impl IntoView {
    let _ = store;
    view! { <p class="coming">{texts::COMING}</p> }
}
