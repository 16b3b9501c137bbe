//! Another run in the place of the one that stands: begun anew, opened from files, taken over from another tab; and the way
//! back from it.

use lab_protocol::train::{Place, Status, Switches, TrainCommand};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;

use super::choice::YOUNG;
use super::keep::{self, save};
use super::run::{TURN, act, ask, begin, data, look, restore, take};
use super::{Method, Saved, State, tab};
use crate::link::Link;
use crate::signals::{pause, put};
use crate::state::{Severity, Store};
use crate::texts::train as texts;

/// A run that gave way to another one.
#[derive(Clone)]
pub(crate) struct Aside {
    /// What it is, in a sentence.
    pub(super) what: String,
    /// Its bytes, as files to open.
    files: Vec<JsValue>,
}

/// The run that stands, before another one takes its place; nothing where it has hardly begun.
async fn aside(state: State, link: &Link) -> Result<Option<Aside>, String> {
    let worth = |status: &Status| (status.step > YOUNG).then(|| Method::of(status));
    match state.status.with_untracked(|status| status.as_ref().and_then(worth)) {
        Some(method) => {
            let (step, files) = keep::to_page(link).await?;
            Ok(Some(Aside { what: texts::aside(method, step), files }))
        }
        None => Ok(None),
    }
}

/// Another run stands now: the one that gave way can be brought back, or, where it had hardly begun, the one before it.
fn stood(state: State, aside: Option<Aside>) {
    if aside.is_some() {
        state.aside.set(aside);
    }
}

/// Begins anew by the room's choices; a run that is worth something can be brought back.
pub(super) fn reset(store: Store) {
    let state = store.rooms.train;
    state.playing.set(false);
    act(store, move |link| async move {
        let aside = aside(state, &link).await?;
        switch_on(state);
        if begin(store, &link).await {
            stood(state, aside);
        }
        Ok(())
    });
}

/// A new run begins with every switch on, unless a link asks otherwise.
fn switch_on(state: State) {
    let none = state.status.with_untracked(Option::is_none);
    let asked = state.linked.get_untracked() && (none || untrack(|| state.difference().is_some()));
    if !asked {
        put(state.wanted, Switches::default());
    }
}

/// Opens a run from files, once nothing else is under way: a file can be picked at any time.
pub(super) fn open(store: Store, files: Vec<JsValue>) {
    let state = store.rooms.train;
    state.playing.set(false);
    spawn_local(async move {
        while state.busy.get_untracked() {
            pause(TURN).await;
        }
        act(store, move |link| async move {
            let aside = aside(state, &link).await?;
            load(store, &link, &files).await?;
            stood(state, aside);
            welcome(store, &link).await?;
            save(state, &link).await
        });
    });
}

/// Opens a run from files in place of the one that stands, which stays where they are refused.
async fn load(store: Store, link: &Link, files: &[JsValue]) -> Result<(), String> {
    let command = TrainCommand::Load { from: Place::Page, data: data(store, link).await? };
    let (event, bytes) = ask(link, command, files).await?;
    take(store, link, event, &bytes);
    Ok(())
}

/// Another run stands, not by the room's choices: they become its own, and it is looked at.
async fn welcome(store: Store, link: &Link) -> Result<(), String> {
    let state = store.rooms.train;
    state.adopt();
    state.inside.set(None);
    state.found.set(None);
    look(store, link).await
}

/// Brings back the run that gave way; the one that stands gives way to it.
pub(super) fn bring_back(store: Store) {
    let state = store.rooms.train;
    let Some(back) = state.aside.get_untracked() else { return };
    state.playing.set(false);
    act(store, move |link| async move {
        let aside = aside(state, &link).await?;
        load(store, &link, &back.files).await?;
        state.aside.set(aside);
        welcome(store, &link).await?;
        save(state, &link).await
    });
}

/// Opens the run that another tab kept, once that one is closed.
pub(super) fn take_over(store: Store) {
    let state = store.rooms.train;
    state.playing.set(false);
    act(store, move |link| async move {
        if !tab::take().await {
            store.tell(Severity::Warning, texts::STILL_ELSEWHERE);
            return Ok(());
        }
        let aside = aside(state, &link).await?;
        state.elsewhere.set(false);
        state.held.set_value(None);
        if restore(store, &link).await? {
            stood(state, aside);
            welcome(store, &link).await
        } else {
            // The other tab has forgotten it: this one's takes its place.
            save(state, &link).await
        }
    });
}

/// Forgets the run here and in the browser's keeping, and begins a new one; until the page is left it can be brought back.
pub(super) fn forget(store: Store) {
    let state = store.rooms.train;
    state.playing.set(false);
    act(store, move |link| async move {
        let aside = aside(state, &link).await?;
        // What another tab keeps is not ours to forget.
        let ours = !state.elsewhere.get_untracked();
        if ours {
            let (event, bytes) = ask(&link, TrainCommand::Close, &[]).await?;
            take(store, &link, event, &bytes);
        }
        state.held.set_value(None);
        state.saved.set(Saved::Never);
        switch_on(state);
        if !begin(store, &link).await && ours {
            // The engine holds none any more.
            state.status.set(None);
        }
        stood(state, aside);
        Ok(())
    });
}
