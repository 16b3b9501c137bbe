//! The shell: what stands where, and the address that follows the state.

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use crate::hash::Address;
use crate::inputs::{self, Images};
use crate::panels::{AttentionControls, EnginePanel, ModelPanel, Notices};
use crate::state::Store;
use crate::views::{Attention, Input, Pca, Similarity};
use crate::{engine, pictures, texts};

/// The whole page.
#[component]
pub(crate) fn Lab() -> impl IntoView {
    let location = window().location();
    let address = Address::parse(&location.hash().unwrap_or_default());
    let store = Store::new(&address);
    pictures::attend(store);
    inputs::listen(store, address.sample.clone());
    engine::start(store);
    Effect::new(move || {
        // Before a sample has come the address keeps the one that it asked for.
        if store.selected.get().is_some() {
            let hash = format!("#{}", store.address().format());
            // A page without a history, as in some frames, only loses its link.
            let history = window().history();
            drop(history.and_then(|history| history.replace_state_with_url(&JsValue::NULL, "", Some(&hash))));
        }
    });
    view! {
        <header>
            <h1>{texts::TITLE}</h1>
            <p>{texts::TAGLINE}</p>
        </header>
        <Notices store />
        <main>
            <div class="side">
                <Images store />
                <ModelPanel store />
                <EnginePanel store />
            </div>
            <div class="stage">
                <div>
                    <Input store />
                    <AttentionControls store />
                </div>
                <Attention store />
                <Pca store />
                <Similarity store />
            </div>
        </main>
        <footer>
            <p>{texts::PRIVACY}</p>
        </footer>
    }
}
