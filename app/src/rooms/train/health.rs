//! The verdict in words, the alarm, and the switches that make DINO collapse.

use lab_protocol::train::{Switches, TrainCommand, Verdict};
use leptos::prelude::*;

use super::run;
use crate::state::Store;
use crate::texts::train as texts;

/// The last look's verdict, and what to do about a collapse.
#[component]
pub(super) fn Health(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let verdict = Memo::new(move |_| state.look.with(|look| look.as_ref().map(|(look, _)| look.verdict)));
    let says = move || state.look.with(|look| look.as_ref().map(|(look, _)| look.says.clone()));
    let knn = move || {
        state.look.with(|look| {
            let figure = look.as_ref()?.0.figures.iter().find(|figure| figure.name == "knn")?;
            Some(texts::knn(figure.value))
        })
    };
    let none = move || if state.refused.with(Option::is_some) { texts::NONE } else { texts::WAITING };
    let ill = move || verdict.get().is_some_and(|verdict| matches!(verdict, Verdict::Collapsing | Verdict::Diverging));
    let class = move || match verdict.get() {
        Some(Verdict::Good) => "verdict good",
        Some(Verdict::Watch) => "verdict watch",
        Some(Verdict::Collapsing | Verdict::Diverging) => "verdict ill",
        _ => "verdict",
    };
    view! {
        <section class="panel health" class:ill=ill aria-labelledby="health-title">
            <h2 id="health-title">{texts::HEALTH}</h2>
            <p class="says">
                <strong class=class role="status" data-testid="verdict">
                    {move || verdict.get().map_or_else(none, texts::verdict)}
                </strong>
                <span data-testid="says">{says}</span>
            </p>
            <Show when=move || verdict.get() == Some(Verdict::Collapsing) && state.is_dino()>
                <p class="alarm" role="alert" data-testid="alarm">{texts::ALARM}</p>
            </Show>
            <p class="hint">{knn}</p>
        </section>
    }
}

/// One of the three switches.
pub(super) struct Switch {
    name: &'static str,
    says: &'static str,
    /// Its word in a link.
    pub(super) key: &'static str,
    /// Where it lies among them.
    pub(super) of: fn(&mut Switches) -> &mut bool,
}

/// All of them.
pub(super) static SWITCHES: [Switch; 3] = [
    Switch { name: texts::CENTRING, says: texts::CENTRING_SAYS, key: "centring", of: |all| &mut all.centring },
    Switch { name: texts::SHARPENING, says: texts::SHARPENING_SAYS, key: "sharpening", of: |all| &mut all.sharpening },
    Switch { name: texts::EMA, says: texts::EMA_SAYS, key: "ema", of: |all| &mut all.ema },
];

/// Switches for centring, sharpening and EMA, and the way back.
#[component]
pub(super) fn Sandbox(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let switches = Memo::new(move |_| {
        state.status.with(|status| status.as_ref().map_or_else(Switches::default, |status| status.switches))
    });
    let kept = move || state.status.with(|status| status.as_ref().and_then(|status| status.kept));
    let ready = move || state.status.with(Option::is_some) && !state.busy.get();
    let one = move |switch: &'static Switch| {
        let on = move || *(switch.of)(&mut switches.get());
        let toggle = move |_| {
            let mut wanted = switches.get_untracked();
            let slot = (switch.of)(&mut wanted);
            *slot = !*slot;
            run::set(store, wanted);
        };
        view! {
            <li>
                <button
                    class="switch"
                    role="switch"
                    aria-checked=move || on().to_string()
                    data-testid=format!("switch-{}", switch.key)
                    disabled=move || !ready()
                    on:click=toggle
                >
                    <span class="knob" aria-hidden="true"></span>
                    <span>{switch.name}</span>
                </button>
                <span class="hint">{switch.says}</span>
            </li>
        }
    };
    view! {
        <section class="panel sandbox" aria-labelledby="sandbox-title">
            <h2 id="sandbox-title">{texts::SANDBOX}</h2>
            <p class="hint">{texts::SANDBOX_HINT}</p>
            <ul class="switches">{SWITCHES.iter().map(one).collect_view()}</ul>
            <div class="buttons">
                <button
                    data-testid="back"
                    disabled=move || !ready() || kept().is_none()
                    on:click=move |_| run::command(store, TrainCommand::Back)
                >
                    {texts::BACK}
                </button>
                <button data-testid="keep" disabled=move || !ready() on:click=move |_| run::command(store, TrainCommand::Keep)>
                    {texts::KEEP}
                </button>
            </div>
            <p class="hint">{move || texts::kept(kept())}</p>
        </section>
    }
}
