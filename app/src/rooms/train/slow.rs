//! Inside one step: a row of stages, and the one on show with the numbers and pictures of this very step.

use lab_protocol::train::{DinoStages, MaeStages, Stages};
use leptos::prelude::*;

use super::run::count;
use super::{Inside, Pace, Shown, run};
use crate::state::Store;
use crate::texts::train as texts;
use crate::widgets::bars::Bars;
use crate::widgets::thumbnail::Thumbnail;

/// Prototypes shown as bars.
const SHOWN: usize = 32;

/// The stages of the last step in slow motion.
#[component]
pub(super) fn Slow(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let any = Memo::new(move |_| state.inside.with(Option::is_some));
    let stages = move || state.inside.with(|inside| inside.as_ref().map_or(0, |inside| count(&inside.stages)));
    let mae = move || {
        state.inside.with(|inside| inside.as_ref().is_some_and(|inside| matches!(inside.stages, Stages::Mae(_))))
    };
    let names = move || if mae() { texts::MAE_STAGES.as_slice() } else { texts::DINO_STAGES.as_slice() };
    // Which step it is: the run may be far beyond it.
    let which = move || {
        let now = state.status.with(|status| status.as_ref().map_or(0, |status| status.step));
        state.inside.with(|inside| inside.as_ref().map(|inside| texts::inside(inside.number(), now)))
    };
    let old = Memo::new(move |_| {
        let now = state.status.with(|status| status.as_ref().map(|status| status.step));
        state.inside.with(|inside| inside.as_ref().map(Inside::number)) != now
    });
    let old = move || old.get();
    let at = move || state.stage.get().min(stages().saturating_sub(1));
    let forward = move |_| {
        if at() + 1 < stages() {
            state.stage.set(at() + 1);
        } else {
            state.stage.set(0);
            run::step(store);
        }
    };
    let row = move || {
        let all = names().iter().enumerate().map(|(number, (name, _, _))| {
            view! {
                <li>
                    <button
                        aria-current=move || (at() == number).then_some("step")
                        data-testid=format!("stage-{number}")
                        on:click=move |_| state.stage.set(number)
                    >
                        <span class="number" aria-hidden="true">{number + 1}</span>
                        {*name}
                    </button>
                </li>
            }
        });
        all.collect_view()
    };
    let shown = move || {
        let at = at();
        let (name, formula, says) = names().get(at).copied().unwrap_or_default();
        let body = state.inside.with(|inside| {
            inside.as_ref().map(|inside| match &inside.stages {
                Stages::Dino(dino) => dino_stage(at, dino, inside),
                Stages::Mae(mae) => mae_stage(at, mae, inside),
            })
        });
        view! {
            <div class="stage-words">
                <h3>{name}</h3>
                <p class="formula">{formula}</p>
                <p>{says}</p>
            </div>
            <div class="stage-body">{body}</div>
        }
    };
    // While stages follow each other by themselves, what lies below stays in its place.
    let walks = move || state.playing.get() && state.pace.get() == Pace::Slow;
    view! {
        <section class="panel slow" aria-labelledby="slow-title" data-testid="slow">
            <h2 id="slow-title">{texts::INSIDE}</h2>
            <Show when=move || any.get() fallback=|| view! { <p class="hint">{texts::NO_STAGES}</p> }>
                <div class="which">
                    <p class="hint" data-testid="inside-which">{which}</p>
                    <Show when=old>
                        <button data-testid="into-next" on:click=move |_| run::into_next(store)>{texts::INTO_NEXT}</button>
                    </Show>
                </div>
                <div class="stage-row">
                    <ol class="stages">{row}</ol>
                    <div class="buttons">
                        <button disabled=move || at() == 0 on:click=move |_| state.stage.set(at().saturating_sub(1))>
                            {texts::BEFORE}
                        </button>
                        <button data-testid="stage-next" disabled=move || state.busy.get() on:click=forward>
                            {move || if at() + 1 < stages() { texts::NEXT } else { texts::STEP }}
                        </button>
                    </div>
                </div>
                <div class="stage-card" class:walks=walks aria-live="off">{shown}</div>
            </Show>
        </section>
    }
}

/// A row of bars under its name; the first prototypes of all.
fn bars(what: &str, values: &[f32], scale: Option<f32>) -> AnyView {
    let values = values[..values.len().min(SHOWN)].to_vec();
    let label = texts::bars_label(what, &values);
    let scale = scale.unwrap_or_else(|| values.iter().fold(0.0, |most: f32, value| most.max(value.abs())));
    view! {
        <div class="bar-row">
            <p>{what.to_owned()}</p>
            <Bars values label scale />
        </div>
    }
    .into_any()
}

/// Largest size among the bars that are shown.
fn scale(rows: &[&[f32]]) -> Option<f32> {
    let all = rows.iter().flat_map(|row| row.iter().take(SHOWN));
    Some(all.fold(0.0, |most: f32, value| most.max(value.abs())))
}

fn pictures(shown: &[Shown]) -> AnyView {
    let one = |shown: &Shown| {
        view! {
            <li>
                <Thumbnail src=shown.src.clone() alt=texts::stage_picture(&shown.title) wide=shown.wide />
                <span>{shown.title.clone()}</span>
            </li>
        }
    };
    view! { <ul class="stage-pictures">{shown.iter().map(one).collect_view()}</ul> }.into_any()
}

fn numbers(text: String) -> AnyView {
    view! { <p class="numbers">{text}</p> }.into_any()
}

fn dino_stage(at: usize, dino: &DinoStages, inside: &Inside) -> AnyView {
    let Inside { pictures: shown, report, student_temp, .. } = inside;
    let all = dino.center.len();
    let note = || numbers(texts::bars(all.min(SHOWN), all));
    // Of the student or of the teacher, for both global crops.
    let both = |rows: &[Vec<f32>], what: &str, scale: Option<f32>| {
        let named = texts::GLOBAL.into_iter().zip(rows);
        named.map(|(crop, row)| bars(&format!("{what}{crop}"), row, scale)).collect_view()
    };
    let first = dino.teacher_logits.first().map_or(&[][..], Vec::as_slice);
    match at {
        0 => pictures(shown),
        1 => {
            let all: Vec<&[f32]> = dino.teacher_logits.iter().chain(&dino.student_logits).map(Vec::as_slice).collect();
            let same = scale(&all);
            view! {
                {both(&dino.teacher_logits, texts::TEACHER_Z, same)}
                {both(&dino.student_logits, texts::STUDENT_Z, same)}
                {note()}
            }
            .into_any()
        }
        2 => {
            let centred: Vec<f32> = first.iter().zip(&dino.center).map(|(logit, centre)| logit - centre).collect();
            let same = scale(&[first, &dino.center, &centred]);
            view! {
                {bars(&format!("{}{}", texts::TEACHER_Z, texts::GLOBAL[0]), first, same)}
                {bars(texts::CENTRE_BARS, &dino.center, same)}
                {bars(texts::AFTER_CENTRE, &centred, same)}
                {numbers(texts::centre_moved(dino.center_moved))}
            }
            .into_any()
        }
        3 => {
            let student = dino
                .student_probs
                .iter()
                .zip(shown)
                .take(3)
                .map(|(probs, crop)| bars(&format!("{}{}", texts::STUDENT_P, crop.title), probs, None));
            view! {
                {both(&dino.teacher_probs, texts::TEACHER_P, None)}
                {student.collect_view()}
                {numbers(texts::temperatures(report.teacher_temp, *student_temp))}
            }
            .into_any()
        }
        4 => {
            let koleo = report.losses.iter().find(|term| term.name == "koleo").map(|term| term.value);
            view! {
                {pairs(dino, shown)}
                {numbers(texts::loss_is(report.loss, koleo))}
            }
            .into_any()
        }
        5 => view! { {gradients(&dino.clipping)} {numbers(texts::student_moved(dino.student_moved, report.lr))} }
            .into_any(),
        // Without a learning rate both stand still: what is measured then is rounding.
        _ if report.lr == 0.0 => numbers(texts::NOTHING_MOVES.to_owned()),
        _ => view! {
            {ema(dino)}
            {numbers(texts::teacher_moved(report.momentum, dino.teacher_moved, dino.apart))}
        }
        .into_any(),
    }
}

/// How far each of the two moved, as bars on one scale.
fn ema(dino: &DinoStages) -> AnyView {
    let most = dino.student_moved.max(dino.teacher_moved).max(f64::MIN_POSITIVE);
    let row = |name: &'static str, moved: f64| {
        view! {
            <div class="meter-row">
                <span>{name}</span>
                <svg
                    class="meter"
                    viewBox="0 0 1 1"
                    preserveAspectRatio="none"
                    role="img"
                    aria-label=texts::moves(name, moved)
                >
                    <rect width=format!("{:.4}", moved / most) height="1" />
                </svg>
            </div>
        }
    };
    let rows = [(texts::STUDENT_MOVED, dino.student_moved), (texts::TEACHER_MOVED, dino.teacher_moved)];
    view! { <div class="meters">{rows.map(|(name, moved)| row(name, moved)).collect_view()}</div> }.into_any()
}

/// A row a teacher's crop, a column a student's.
fn pairs(dino: &DinoStages, shown: &[Shown]) -> AnyView {
    let head = shown.iter().map(|crop| view! { <th scope="col">{crop.title.clone()}</th> });
    let rows = dino.pairs.iter().zip(shown).map(|(row, crop)| {
        let cells = row.iter().map(|pair| {
            let text = pair.map_or_else(|| texts::NOT_COMPARED.to_owned(), |loss| format!("{loss:.3}"));
            view! { <td>{text}</td> }
        });
        view! { <tr><th scope="row">{crop.title.clone()}</th>{cells.collect_view()}</tr> }
    });
    view! {
        <div class="scroll" tabindex="0" role="group" aria-label=texts::PAIRS>
            <table class="pairs">
                <thead><tr><th scope="col">{texts::TEACHER_SAYS}</th>{head.collect_view()}</tr></thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

fn gradients(clipping: &[(String, f64, f64)]) -> AnyView {
    let one = |(part, norm, factor): &(String, f64, f64)| view! { <li>{texts::gradient(part, *norm, *factor)}</li> };
    view! { <ul class="plain numbers">{clipping.iter().map(one).collect_view()}</ul> }.into_any()
}

fn mae_stage(at: usize, mae: &MaeStages, inside: &Inside) -> AnyView {
    let Inside { pictures: shown, report, .. } = inside;
    let of = |titles: &[&str]| -> Vec<Shown> {
        shown.iter().filter(|shown| titles.contains(&shown.title.as_str())).cloned().collect()
    };
    let hidden = mae.hidden.iter().filter(|&&hidden| hidden).count();
    let all = mae.hidden.len();
    match at {
        0 => pictures(&of(&["image"])),
        1 => view! { {pictures(&of(&["image", "seen"]))} {numbers(texts::hidden(hidden, all))} }.into_any(),
        2 => view! { {pictures(&of(&["seen", "tokens"]))} {numbers(texts::tokens(all - hidden + 1, mae.dim))} }
            .into_any(),
        3 => pictures(&of(&["seen", "prediction", "reconstruction"])),
        _ => {
            let losses = mae.hidden.iter().zip(&mae.patch_loss).filter(|(hidden, _)| **hidden).map(|(_, loss)| *loss);
            let mean = losses.sum::<f32>() / hidden.max(1) as f32;
            view! {
                <div class="side-by-side">{pictures(&of(&["reconstruction"]))} {loss_map(mae)}</div>
                {numbers(texts::patch_loss(mean, report.loss))}
                {gradients(&mae.clipping)}
                {numbers(texts::student_moved(mae.student_moved, report.lr))}
            }
            .into_any()
        }
    }
}

/// Squared error of each hidden patch; opacity carries it, so that it reads without colours.
fn loss_map(mae: &MaeStages) -> AnyView {
    let hidden = |patch: usize| mae.hidden.get(patch).copied().unwrap_or(false);
    let losses: Vec<f32> =
        mae.patch_loss.iter().enumerate().map(|(patch, &loss)| if hidden(patch) { loss } else { 0.0 }).collect();
    let (worst, most) = losses
        .iter()
        .copied()
        .enumerate()
        .fold((0, 1e-9f32), |best, (at, loss)| if loss > best.1 { (at, loss) } else { best });
    let grid = mae.grid.max(1);
    let cells = losses.iter().enumerate().map(|(patch, loss)| {
        view! {
            <rect
                x=(patch % grid).to_string()
                y=(patch / grid).to_string()
                width="1"
                height="1"
                fill-opacity=format!("{:.3}", (loss / most).sqrt())
            />
        }
    });
    view! {
        <svg
            class="loss-map"
            viewBox=format!("0 0 {grid} {grid}")
            role="img"
            aria-label=texts::loss_map(worst, grid)
        >
            {cells.collect_view()}
        </svg>
    }
    .into_any()
}
