//! What computes, why, and the switch.

use lab_protocol::{Command, EngineKind, Event, Memory};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::engine;
use crate::hash::engine_name;
use crate::state::{EngineState, Store};
use crate::texts;

/// The engine at work, the reason, its memory, the choice between automatic, CPU and GPU, and how to get WebGPU.
#[component]
pub(crate) fn EnginePanel(store: Store) -> impl IntoView {
    let status = move || match store.engine.get() {
        EngineState::Starting(kind) => texts::starting(engine_name(Some(kind))),
        EngineState::Running(info) => texts::running(&info),
        EngineState::Stopped(sentence) => sentence,
    };
    let running = move || matches!(store.engine.get(), EngineState::Running(_));
    let stopped = move || matches!(store.engine.get(), EngineState::Stopped(_));
    let choose = move |wanted: Option<EngineKind>| {
        if store.wanted.get_untracked() != wanted {
            store.wanted.set(wanted);
            engine::start(store);
        }
    };
    let memory = RwSignal::new(None::<Memory>);
    Effect::new(move || {
        // Asked anew when something came or went.
        store.model.track();
        store.embedded.track();
        store.rooms.see.other.track();
        let Some(link) = store.link.get() else { return };
        spawn_local(async move {
            // An engine that is gone has none; the next one is asked.
            if let Ok((Event::Memory { memory: found }, _)) = link.ask(Command::Memory, &[]).await {
                let _ = memory.try_set(Some(found));
            }
        });
    });
    let takes = move || match store.engine.get() {
        EngineState::Running(info) => memory.get().map(|memory| texts::memory(info.kind, &memory)),
        _ => None,
    };
    let choices = [None, Some(EngineKind::Cpu), Some(EngineKind::Gpu)];
    view! {
        <section class="panel" aria-labelledby="engine-title">
            <h2 id="engine-title">{texts::ENGINE}</h2>
            <p role="status" data-testid="engine-status">{status}</p>
            <p class="hint">{move || store.why.get()}</p>
            <p class="hint" data-testid="self-check">{move || running().then(|| store.verdict.get())}</p>
            <p class="hint" data-testid="memory">{takes}</p>
            <Show when=stopped>
                <button on:click=move |_| engine::start(store)>{texts::RESTART}</button>
            </Show>
            <fieldset class="segments">
                <legend>{texts::ENGINE_CHOICE}</legend>
                {choices
                    .map(|choice| {
                        view! {
                            <label>
                                <input
                                    type="radio"
                                    name="engine"
                                    prop:checked=move || store.wanted.get() == choice
                                    on:change=move |_| choose(choice)
                                />
                                <span>{texts::engine_choice(choice)}</span>
                            </label>
                        }
                    })
                    .collect_view()}
            </fieldset>
            <details>
                <summary>{texts::GET_WEBGPU}</summary>
                <ul>{texts::WEBGPU_ADVICE.map(|advice| view! { <li>{advice}</li> }).collect_view()}</ul>
            </details>
        </section>
    }
}
