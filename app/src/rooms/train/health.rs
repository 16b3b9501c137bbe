//! The verdict in words, the alarm, and the switches that make DINO collapse.

use lab_protocol::train::{Curves, Status, Switches, TrainCommand, Verdict};
use leptos::prelude::*;

use super::run;
use super::settings::look_up;
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
    // Of the answer: the features behind it may still be apart, as the trainer's own verdict has it.
    let alarm = move || {
        state.look.with(|look| {
            let figure = |name: &str| look.as_ref()?.0.figures.iter().find(|figure| figure.name == name);
            let [rank, spread] = ["rankme", "feature_std"].map(|name| figure(name).map_or(0.0, |figure| figure.value));
            texts::alarm(
                rank,
                rank < 1.5 || spread < 0.1,
                state.status.with(|status| status.as_ref().is_some_and(koleo)),
            )
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
                <p class="alarm" role="alert" data-testid="alarm">{alarm}</p>
            </Show>
            <p class="hint">{knn}</p>
        </section>
    }
}

/// Whether KoLeo is at work in a run.
fn koleo(status: &Status) -> bool {
    look_up(&status.config, "dino.koleo_loss_weight")
        .and_then(|weight| weight.parse().ok())
        .is_some_and(|it: f64| it > 0.0)
}

/// One of the switches.
pub(super) struct Switch {
    name: &'static str,
    says: &'static str,
    /// Its word in a link.
    pub(super) key: &'static str,
    /// Where it lies among them.
    pub(super) of: fn(&mut Switches) -> &mut bool,
}

/// All of them.
pub(super) static SWITCHES: [Switch; 4] = [
    Switch { name: texts::CENTRING, says: texts::CENTRING_SAYS, key: "centring", of: |all| &mut all.centring },
    Switch { name: texts::SHARPENING, says: texts::SHARPENING_SAYS, key: "sharpening", of: |all| &mut all.sharpening },
    Switch { name: texts::EMA, says: texts::EMA_SAYS, key: "ema", of: |all| &mut all.ema },
    Switch { name: texts::KOLEO, says: texts::KOLEO_SAYS, key: "koleo", of: |all| &mut all.koleo },
];

/// The switches, and the way back.
#[component]
pub(super) fn Sandbox(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let switches = Memo::new(move |_| {
        state.status.with(|status| status.as_ref().map_or_else(Switches::default, |status| status.switches))
    });
    let kept = move || state.status.with(|status| status.as_ref().and_then(|status| status.kept));
    let ready = move || state.status.with(Option::is_some) && !state.busy.get();
    let compared = move || {
        let kept = kept()?;
        let rows = state.curves.with(|curves| since(curves, kept));
        let row = |(name, values): (&'static str, [f32; 2])| {
            let cells = values.map(|value| view! { <td>{format!("{value:.2}")}</td> }).collect_view();
            view! { <tr><th scope="row">{name}</th>{cells}</tr> }
        };
        (!rows.is_empty()).then(|| {
            view! {
                <table class="pairs" data-testid="since">
                    <caption class="hint">{texts::SINCE}</caption>
                    <thead>
                        <tr><td></td>{texts::since(kept).map(|head| view! { <th scope="col">{head}</th> }).collect_view()}</tr>
                    </thead>
                    <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
                </table>
            }
        })
    };
    // Nothing to switch where the run was begun without it.
    let without_koleo = Memo::new(move |_| {
        switches.get().koleo && state.status.with(|status| status.as_ref().is_some_and(|status| !koleo(status)))
    });
    let one = move |switch: &'static Switch| {
        let on = move || *(switch.of)(&mut switches.get());
        let idle = move || switch.key == "koleo" && without_koleo.get();
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
                    aria-checked=move || (on() && !idle()).to_string()
                    data-testid=format!("switch-{}", switch.key)
                    disabled=move || !ready() || idle()
                    on:click=toggle
                >
                    <span class="knob" aria-hidden="true"></span>
                    <span>{switch.name}</span>
                </button>
                <span class="hint">{move || if idle() { texts::WITHOUT_KOLEO } else { switch.says }}</span>
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
                    {texts::KEEP_MOMENT}
                </button>
            </div>
            <p class="hint">{move || texts::kept(kept())}</p>
            {compared}
        </section>
    }
}

/// What shows a collapse: its name in the curves, and for people.
const FIGURES: [(&str, &str); 4] = [
    ("teacher_entropy", texts::ENTROPY),
    ("information", texts::INFORMATION),
    ("kl", texts::KL_SHORT),
    ("rankme", texts::RANK),
];
/// Steps over which a figure is averaged: from batch to batch it jumps.
const WINDOW: u64 = 10;

/// Each figure before a step and now: means over the last steps. Nothing where no step was made since.
fn since(curves: &Curves, kept: u64) -> Vec<(&'static str, [f32; 2])> {
    if curves.rows.last().is_none_or(|row| row.0 < kept) {
        return Vec::new();
    }
    let row = |(column, name): (&str, &'static str)| {
        let points = curves.points(column);
        let mean = |end: u64| {
            let points = &points[..points.partition_point(|point| point.0 < end)];
            let last = points.last()?.0;
            let recent: Vec<f32> = points.iter().filter(|point| point.0 + WINDOW > last).map(|point| point.1).collect();
            Some(recent.iter().sum::<f32>() / recent.len() as f32)
        };
        Some((name, [mean(kept)?, mean(u64::MAX)?]))
    };
    FIGURES.into_iter().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn before_and_now_are_means_of_the_last_steps() {
        let mut curves = Curves::default();
        for step in 0..40 {
            let jump = if step % 2 == 0 { 0.1 } else { -0.1 };
            curves.add(step, [("information", if step < 20 { 0.5 } else { 0.2 } + jump)]);
            if step % 10 == 9 {
                curves.add(step, [("rankme", step as f64)]);
            }
        }
        let rows = since(&curves, 20);
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [texts::INFORMATION, texts::RANK]);
        assert!((rows[0].1[0] - 0.5).abs() < 1e-6 && (rows[0].1[1] - 0.2).abs() < 1e-6, "{rows:?}");
        assert_eq!(rows[1].1, [19.0, 39.0]);
        assert!(since(&curves, 40).is_empty(), "nothing has happened yet");
        assert!(since(&Curves::default(), 0).is_empty());
    }
}
