//! What to train, on what, how fast; play, pause, step, begin anew.

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::{Method, Pace, choice, keep, replace, run};
use crate::state::Store;
use crate::texts::train as texts;
use crate::widgets::segments::Segments;

/// The panel above the room.
#[component]
pub(super) fn Controls(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let ready = move || state.status.with(Option::is_some);
    let standing = move || match state.status.get() {
        Some(status) => texts::standing(&status, state.report.get().as_ref()),
        None => state.refused.get().map_or_else(|| texts::WAITING.to_owned(), |why| texts::no_run(&why)),
    };
    let about = move || state.status.with(|status| status.as_ref().map(texts::about));
    let few = move || state.status.with(|status| status.as_ref().and_then(texts::few));
    let part = move || state.status.with(|s| s.as_ref().map_or(0.0, |s| s.step as f64 / s.total_steps.max(1) as f64));
    keys(store);
    view! {
        <section class="panel run" aria-labelledby="run-title">
            <h2 id="run-title">{texts::RUN}</h2>
            <div class="transport">
                <button
                    class="primary"
                    data-testid="play"
                    disabled=move || !ready()
                    on:click=move |_| run::play(store, !state.playing.get_untracked())
                >
                    {move || if state.playing.get() { texts::PAUSE } else { texts::PLAY }}
                </button>
                <button
                    data-testid="step"
                    disabled=move || !ready() || state.busy.get()
                    on:click=move |_| run::step(store)
                >
                    {texts::STEP}
                </button>
                <button data-testid="reset" disabled=move || state.busy.get() on:click=move |_| replace::reset(store)>
                    {texts::RESET}
                </button>
                <p class="standing" data-testid="standing">{standing}</p>
            </div>
            <progress class="run-bar" max="1" value=move || format!("{:.4}", part()) aria-label=standing></progress>
            <keep::Kept store />
            <choice::Other store />
            <div class="choices">
                <Choices store />
            </div>
            <p class="hint">{about} " " {few} " " {texts::KEYS}</p>
            <Settings store />
        </section>
    }
}

/// Method, data, pace.
#[component]
fn Choices(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let methods = vec![(Method::Dino, texts::DINO), (Method::Mae, texts::MAE)];
    let paces = vec![(Pace::Slow, texts::SLOW), (Pace::Calm, texts::CALM), (Pace::Full, texts::FULL)];
    // A run that has hardly begun gives way at once; another one waits for a word.
    let change = move || {
        state.chosen();
        if state.gives_way() {
            replace::reset(store);
        }
    };
    let own = move || texts::own(store.images.with(Vec::len));
    view! {
        <Segments
            legend=texts::METHOD
            name="method"
            options=methods
            value=state.method
            changed=Callback::new(move |_| change())
        />
        <fieldset class="segmented">
            <legend>{texts::LEARNS_FROM}</legend>
            <div>
            <label>
                <input
                    type="radio"
                    name="learns-from"
                    data-testid="data-drawn"
                    prop:checked=move || !state.own.get()
                    on:change=move |_| {
                        state.own.set(false);
                        change();
                    }
                />
                <span>{texts::DRAWN}</span>
            </label>
            <label>
                <input
                    type="radio"
                    name="learns-from"
                    data-testid="data-own"
                    prop:checked=move || state.own.get()
                    on:change=move |_| {
                        state.own.set(true);
                        change();
                    }
                />
                <span>{own}</span>
            </label>
            </div>
        </fieldset>
        <Segments legend=texts::PACE name="pace" options=paces value=state.pace />
    }
}

/// Settings of the next run, and all of this one.
#[component]
fn Settings(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    // Where they are at fault they lie open.
    let refused = Memo::new(move |_| state.refused.with(Option::is_some));
    let edit = move |event| {
        state.settings.set(event_target_value(&event));
        state.chosen();
    };
    view! {
        <details data-testid="settings-details" prop:open=refused>
            <summary>{texts::SETTINGS}</summary>
            <label class="settings">
                <span>{texts::SETTINGS_HINT}</span>
                <textarea
                    rows="3"
                    spellcheck="false"
                    placeholder=texts::SETTINGS_EXAMPLE
                    data-testid="settings"
                    prop:value=move || state.settings.get()
                    on:change=edit
                ></textarea>
            </label>
        </details>
        <details>
            <summary>{texts::CONFIG}</summary>
            <pre tabindex="0">{move || state.status.with(|status| status.as_ref().map(|status| status.config.clone()))}</pre>
        </details>
    }
}

/// Space plays and pauses, S makes a step, unless something else has the keyboard: a button or a link only takes Space.
fn keys(store: Store) {
    let state = store.rooms.train;
    let handle = window_event_listener(leptos::ev::keydown, move |event: KeyboardEvent| {
        let tag = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()).map(|it| it.tag_name());
        let among = |tags: &[&str]| tag.as_deref().is_some_and(|tag| tags.contains(&tag));
        if among(&["INPUT", "TEXTAREA", "SELECT"]) || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        match event.key().as_str() {
            " " if !among(&["BUTTON", "A", "SUMMARY"]) => {
                event.prevent_default();
                run::play(store, !state.playing.get_untracked());
            }
            "s" | "S" => run::step(store),
            _ => {}
        }
    });
    on_cleanup(move || handle.remove());
}
