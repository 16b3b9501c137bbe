//! Keeping the run: how often it saves itself, where to, and what is noted on the way out.
//!
//! A worker dies with its page, so that nothing can be saved at that moment: a run that goes saves itself so often that
//! next to nothing is lost then.

use std::cell::Cell;

use js_sys::Date;
use lab_protocol::train::{Place, TrainCommand, TrainEvent};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;

use super::run::{TURN, ask};
use super::{Saved, State, files, replace};
use crate::engine::is_loss;
use crate::link::Link;
use crate::signals::pause;
use crate::state::Store;
use crate::stored;
use crate::texts::train as texts;

/// Milliseconds between two saves of a run that goes, at least and at most.
const BETWEEN: [f64; 2] = [2_000.0, 15_000.0];
/// A save may take one part in so many of the time.
const SHARE: f64 = 20.0;
/// Where the browser remembers the step at which the page was left.
const LEFT: &str = "lab-train-left";

thread_local! {
    /// When the run was last saved, by the clock.
    static SAVED_AT: Cell<f64> = const { Cell::new(0.0) };
    /// Milliseconds that a save of this run takes, the least of all: others had to wait for their turn. 0 before the first.
    static COST: Cell<f64> = const { Cell::new(0.0) };
    /// A save is under way.
    static SAVING: Cell<bool> = const { Cell::new(false) };
}

/// Another run stands: what a save costs is not known yet.
pub(super) fn begun() {
    COST.set(0.0);
}

/// Whether a run that goes shall save itself now.
pub(super) fn due() -> bool {
    let [least, most] = BETWEEN;
    Date::now() - SAVED_AT.get() >= (SHARE * COST.get()).clamp(least, most)
}

/// Whether there are steps that a save lacks.
pub(super) fn unsaved(state: State) -> bool {
    let step = state.steps();
    match (step, state.saved.get_untracked()) {
        (None, _) => false,
        (Some(step), Saved::Browser(saved) | Saved::Page(saved, _)) => step != saved,
        (Some(_), Saved::Never) => true,
    }
}

/// Saves in the browser; where that keeps nothing, or another tab does, the page holds the bytes, which outlive a lost
/// device at least. One save at a time.
pub(super) async fn save(state: State, link: &Link) -> Result<(), String> {
    while SAVING.replace(true) {
        pause(TURN).await;
    }
    let start = Date::now();
    let result = save_once(state, link).await;
    SAVING.set(false);
    let (end, known) = (Date::now(), COST.get());
    SAVED_AT.set(end);
    COST.set(if known > 0.0 { known.min(end - start) } else { end - start });
    result
}

async fn save_once(state: State, link: &Link) -> Result<(), String> {
    let why = match state.elsewhere.get_untracked() {
        true => texts::OTHER_TAB.to_owned(),
        false => match ask(link, TrainCommand::Save { to: Place::Browser }, &[]).await {
            Ok((TrainEvent::Saved { step, .. }, _)) => {
                state.held.set_value(None);
                state.saved.set(Saved::Browser(step));
                return Ok(());
            }
            Ok(_) => return Err(crate::texts::UNEXPECTED.to_owned()),
            Err(sentence) if is_loss(&sentence) => return Err(sentence),
            Err(why) => why,
        },
    };
    let (step, files) = to_page(link).await?;
    state.held.set_value(Some(files));
    state.saved.set(Saved::Page(step, why));
    Ok(())
}

/// The run in the page's hands: how many steps it has made, and its files.
pub(super) async fn to_page(link: &Link) -> Result<(u64, Vec<JsValue>), String> {
    let (event, bytes) = ask(link, TrainCommand::Save { to: Place::Page }, &[]).await?;
    let TrainEvent::Saved { step, .. } = event else { return Err(crate::texts::UNEXPECTED.to_owned()) };
    let named = ["state.safetensors", "images.safetensors"].into_iter().zip(bytes.iter());
    let files: Result<_, _> = named.map(|(name, bytes)| files::file(name, &bytes).map(JsValue::from)).collect();
    Ok((step, files.map_err(|error| crate::link::words(&error))?))
}

/// The page is left: what was not saved cannot be any more, but how far the run had come can be noted.
pub(super) fn leave_note(state: State) {
    let Some(notes) = stored::storage() else { return };
    if let Some(step) = state.steps().filter(|_| !state.elsewhere.get_untracked()) {
        // A browser that keeps no notes only tells less the next time.
        drop(notes.set_item(LEFT, &step.to_string()));
    }
}

/// How far the run had come when the page was left, if that was further than its last save. Asked once.
pub(super) fn left(saved: u64) -> Option<u64> {
    let notes = stored::storage()?;
    let step: u64 = notes.get_item(LEFT).ok()??.parse().ok()?;
    drop(notes.remove_item(LEFT));
    Some(step).filter(|&step| step > saved)
}

/// What there is to know of keeping: where the run was found, the run that gave way, the tab that keeps another one.
#[component]
pub(super) fn Kept(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let step = Memo::new(move |_| state.status.with(|status| status.as_ref().map(|status| status.step)));
    // Told until it goes on.
    let found = move || state.found.get().filter(|(found, _)| Some(*found) == step.get());
    let told = move || found().map(|(step, had)| texts::found(step, had));
    let what = move || state.aside.with(|aside| aside.as_ref().map(|aside| aside.what.clone()));
    let busy = move || state.busy.get();
    view! {
        <Show when=move || found().is_some()>
            <p class="hint" role="status" data-testid="found">{told}</p>
        </Show>
        <Show when=move || state.elsewhere.get()>
            <div class="other" role="status" data-testid="elsewhere">
                <p>{texts::ELSEWHERE}</p>
                <div class="buttons">
                    <button data-testid="take-over" disabled=busy on:click=move |_| replace::take_over(store)>
                        {texts::TAKE_OVER}
                    </button>
                </div>
            </div>
        </Show>
        <Show when=move || state.aside.with(Option::is_some)>
            <div class="other" role="status" data-testid="aside">
                <p>{what}</p>
                <div class="buttons">
                    <button data-testid="bring-back" disabled=busy on:click=move |_| replace::bring_back(store)>
                        {texts::BRING_BACK}
                    </button>
                    <button data-testid="let-go" on:click=move |_| state.aside.set(None)>{texts::LET_GO}</button>
                </div>
            </div>
        </Show>
    }
}
