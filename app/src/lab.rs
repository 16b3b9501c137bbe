//! The shell: what stands where, and the address that follows the state.

use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsValue;
use web_sys::MouseEvent;

use crate::hash::{self, Address};
use crate::inputs::{self, Images};
use crate::panels::{CopyLink, EnginePanel, ModelPanel, Notices, StoredPanel, Update};
use crate::rooms::{Navigation, Open, Room};
use crate::signals::{Turns, later, put};
use crate::state::{Severity, Source, Store};
use crate::{debug, engine, pictures, registry, rooms, stored, texts};

/// The whole page.
#[component]
pub(crate) fn Lab() -> impl IntoView {
    let address = here();
    let store = Store::new(&address);
    // The task that lays out the shell is long enough; an engine that starts takes some hundred times as long to answer.
    later(move || {
        engine::start(store);
        registry::read(store);
    });
    later(move || {
        pictures::attend(store);
        debug::publish(store);
        inputs::listen(store, address.get("sample").and_then(|name| store.sample_named(name)));
        tell_nonsense(store, &address);
        keep_address(store);
    });
    later(move || {
        rooms::train::attend(store);
        rooms::probe::attend(store);
        rooms::see::attend(store);
        rooms::mask::attend(store);
        stored::attend(store);
    });
    // Tabs and the history are told apart by it.
    Effect::new(move || document().set_title(&texts::document_title(store.room.get().title())));
    window_event_listener(ev::hashchange, move |_| arrive(store, &here()));
    let beside = move || store.room.get().beside();
    let turns = Turns::to(3);
    view! {
        <a class="skip" href="#room" on:click=skip>{texts::SKIP}</a>
        <header>
            <h1>{texts::TITLE}</h1>
            <Navigation store />
            <CopyLink store />
        </header>
        <Update store />
        <Notices store />
        <main class:beside=beside>
            <Show when=beside>
                <div class="side">
                    <Show when=turns.from(2)>
                        <Images store />
                        <ModelPanel store />
                    </Show>
                    <Show when=turns.from(3)>
                        <StoredPanel store />
                        <EnginePanel store />
                    </Show>
                </div>
            </Show>
            <div id="room" class="room" tabindex="-1" data-testid="room">
                <Show when=turns.from(1)>
                    <Open store />
                </Show>
            </div>
        </main>
        <footer>
            <p>{texts::PRIVACY}</p>
        </footer>
    }
}

/// What the address bar says.
fn here() -> Address {
    Address::parse(&window().location().hash().unwrap_or_default())
}

/// Says once what in a link means nothing.
fn tell_nonsense(store: Store, address: &Address) {
    let parts = rooms::sense::nonsense(address);
    if !parts.is_empty() {
        store.tell(Severity::Warning, texts::nonsense(&parts));
    }
}

/// Writes the state into the address as it changes.
fn keep_address(store: Store) {
    Effect::new(move || {
        if settled(store) {
            write_address(store);
        }
    });
}

/// Whether the address follows the state: before a sample has come it keeps the one that it asked for.
fn settled(store: Store) -> bool {
    store.selected.with(Option::is_some) || store.samples_done.get()
}

/// Writes the state into the address.
fn write_address(store: Store) {
    let hash = format!("#{}", store.address(store.room.get()).format());
    // A page without a history, as in some frames, only loses its link.
    let history = window().history();
    drop(history.and_then(|history| history.replace_state_with_url(&JsValue::NULL, "", Some(&hash))));
}

/// Follows a link inside the page, the back button, or an address typed by hand.
fn arrive(store: Store, address: &Address) {
    let room = Room::of(address);
    let wanted = address.get("engine").and_then(hash::engine);
    // A link without a model keeps the one at work: a tour names none, and the visitor's own files have no name.
    let named = address.get("model");
    let at_work = named.is_some() && named == store.source.get_value().key().as_deref();
    let awaited = store.awaited.get_untracked();
    tell_nonsense(store, address);
    let other = named.filter(|key| !at_work && awaited.as_deref() != Some(*key));
    let coming = store.wanted.get_untracked() != wanted || other.is_some();
    batch(|| {
        store.rooms.read(room, address);
        store.unchecked.set(true);
        if named.is_some() {
            store.weights.set(hash::fingerprint(address));
        }
        if at_work {
            put(store.awaited, None);
        }
        put(store.patch, address.number("patch"));
        put(store.palette, hash::palette(address));
        if let Some(sample) = address.get("sample") {
            store.wish_sample(sample);
        }
        put(store.room, room);
    });
    if store.wanted.get_untracked() != wanted {
        store.wanted.set(wanted);
        engine::start(store);
    }
    match other.map(|key| Source::of_key(key, 0)) {
        // On another host: only when the user says so.
        Some(Source::Url(url)) => stored::wish(store, url),
        Some(source) => {
            store.awaited.set(None);
            engine::load_model(store, source);
        }
        None => {}
    }
    if !coming {
        engine::check_link(store);
    }
    // Also what the link did not change: a model that stays, classes that stay.
    untrack(|| {
        if settled(store) {
            write_address(store);
        }
    });
}

/// Moves the focus without touching the address.
fn skip(event: MouseEvent) {
    event.prevent_default();
    rooms::focus();
}
