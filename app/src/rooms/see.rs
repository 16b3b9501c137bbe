//! The room See: attention, principal components and similarity of one image.

use leptos::prelude::*;

use crate::hash::{Address, put};
use crate::panels::AttentionControls;
use crate::state::Store;
use crate::texts::see as texts;
use crate::views::{Attention, Input, Pca, Similarity};

/// Whether there is something to see; an empty room stands in no navigation.
pub(crate) const FILLED: bool = true;
/// Images, model and engine stand beside it.
pub(crate) const BESIDE: bool = true;

/// The state of this room. Copies are the same state.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// Block, from 0; `None` is the last one.
    pub(crate) layer: RwSignal<Option<u32>>,
    /// Head, from 0; `None` is the mean.
    pub(crate) head: RwSignal<Option<u32>>,
    /// The patch asks, not the class token.
    pub(crate) by_patch: RwSignal<bool>,
}

impl State {
    /// A room as nobody has used it yet.
    pub(crate) fn new() -> Self {
        Self { layer: RwSignal::new(None), head: RwSignal::new(None), by_patch: RwSignal::new(false) }
    }

    /// Takes over what a link says; what it does not say keeps its default.
    pub(crate) fn read(self, address: &Address) {
        put(self.layer, address.number("layer"));
        put(self.head, address.number("head"));
        put(self.by_patch, address.get("query") == Some("patch"));
    }

    /// Says in a link what differs from the defaults.
    pub(crate) fn write(self, address: &mut Address) {
        address.put("layer", self.layer.get());
        address.put("head", self.head.get());
        address.put("query", self.by_patch.get().then_some("patch"));
    }
}

/// The room.
#[component]
pub(crate) fn See(store: Store) -> impl IntoView {
    view! {
        <p class="lead">{texts::LEAD}</p>
        <div class="stage">
            <div>
                <Input store />
                <AttentionControls store />
            </div>
            <Attention store />
            <Pca store />
            <Similarity store />
        </div>
    }
}
