//! Inside one step: a row of stages, and the one on show with the numbers and pictures of this very step.

use lab_protocol::train::{DinoStages, MaeStages, Stages, StepReport};
use leptos::prelude::*;

use super::run::count;
use super::{Shown, run};
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
    let any = Memo::new(move |_| state.stages.with(Option::is_some));
    let stages = move || state.stages.with(|stages| stages.as_ref().map_or(0, |(stages, _)| count(stages)));
    let names = move || match state.stages.with(|stages| matches!(stages, Some((Stages::Mae(_), _)))) {
        true => texts::MAE_STAGES.as_slice(),
        false => texts::DINO_STAGES.as_slice(),
    };
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
        let report = state.report.get();
        let student_temp = state.status.with(|status| status.as_ref().map_or(0.0, |status| status.student_temp));
        let body = state.stages.with(|stages| {
            stages.as_ref().map(|(stages, pictures)| match stages {
                Stages::Dino(dino) => dino_stage(at, dino, pictures, report.as_ref(), student_temp),
                Stages::Mae(mae) => mae_stage(at, mae, pictures, report.as_ref()),
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
    view! {
        <section class="panel slow" aria-labelledby="slow-title" data-testid="slow">
            <h2 id="slow-title">{texts::INSIDE}</h2>
            <Show when=move || any.get() fallback=|| view! { <p class="hint">{texts::NO_STAGES}</p> }>
                <ol class="stages">{row}</ol>
                <div class="stage-card" aria-live="off">{shown}</div>
                <div class="buttons">
                    <button disabled=move || at() == 0 on:click=move |_| state.stage.set(at().saturating_sub(1))>
                        {texts::BEFORE}
                    </button>
                    <button data-testid="stage-next" disabled=move || state.busy.get() on:click=forward>
                        {move || if at() + 1 < stages() { texts::NEXT } else { texts::STEP }}
                    </button>
                </div>
                <p class="hint">{texts::INSIDE_HINT}</p>
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

fn dino_stage(
    at: usize,
    dino: &DinoStages,
    shown: &[Shown],
    report: Option<&StepReport>,
    student_temp: f64,
) -> AnyView {
    let all = dino.center.len();
    let note = || numbers(texts::bars(all.min(SHOWN), all));
    let [first, second] = [0, 1].map(|crop| dino.teacher_logits.get(crop).map_or(&[][..], Vec::as_slice));
    match at {
        0 => pictures(shown),
        1 => {
            let same = scale(&[first, second]);
            view! { {bars(texts::TEACHER_1, first, same)} {bars(texts::TEACHER_2, second, same)} {note()} }.into_any()
        }
        2 => {
            let centred: Vec<f32> = first.iter().zip(&dino.center).map(|(logit, centre)| logit - centre).collect();
            let same = scale(&[first, &dino.center, &centred]);
            view! {
                {bars(texts::TEACHER_1, first, same)}
                {bars(texts::CENTRE_BARS, &dino.center, same)}
                {bars(texts::AFTER_CENTRE, &centred, same)}
                {numbers(texts::centre_moved(dino.center_moved))}
            }
            .into_any()
        }
        3 => {
            let teacher = [0, 1].map(|crop| dino.teacher_probs.get(crop).map_or(&[][..], Vec::as_slice));
            let student = dino
                .student_probs
                .iter()
                .zip(shown)
                .take(3)
                .map(|(probs, crop)| bars(&format!("{}{}", texts::STUDENT_BARS, crop.title), probs, None));
            view! {
                {bars(texts::TEACHER_1, teacher[0], None)}
                {bars(texts::TEACHER_2, teacher[1], None)}
                {student.collect_view()}
                {report.map(|report| numbers(texts::temperatures(report.teacher_temp, student_temp)))}
            }
            .into_any()
        }
        4 => view! {
            {pairs(dino, shown)}
            {report.map(|report| numbers(texts::loss_is(report.loss)))}
        }
        .into_any(),
        5 => {
            let moved = report.map(|report| numbers(texts::student_moved(dino.student_moved, report.lr)));
            view! { {gradients(&dino.clipping)} {moved} }.into_any()
        }
        _ => {
            let momentum = report.map_or(0.0, |report| report.momentum);
            view! {
                {ema(dino)}
                {numbers(texts::teacher_moved(momentum, dino.teacher_moved, dino.apart))}
            }
            .into_any()
        }
    }
}

/// How far each of the two moved, as bars on one scale.
fn ema(dino: &DinoStages) -> AnyView {
    let [student, teacher] = [dino.student_moved, dino.teacher_moved].map(|moved| moved as f32);
    let most = student.max(teacher).max(1e-12);
    let row = |name: &'static str, value: f32| {
        let share = value / most;
        view! {
            <div class="meter-row">
                <span>{name}</span>
                <meter min="0" max="1" value=format!("{share:.4}") aria-label=name></meter>
            </div>
        }
    };
    view! { <div class="meters">{row(texts::STUDENT_MOVED, student)} {row(texts::TEACHER_MOVED, teacher)}</div> }
        .into_any()
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

fn mae_stage(at: usize, mae: &MaeStages, shown: &[Shown], report: Option<&StepReport>) -> AnyView {
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
            let moved = report.map(|report| numbers(texts::student_moved(mae.student_moved, report.lr)));
            view! {
                <div class="side-by-side">{pictures(&of(&["reconstruction"]))} {loss_map(mae)}</div>
                {report.map(|report| numbers(texts::patch_loss(mean, report.loss)))}
                {gradients(&mae.clipping)}
                {moved}
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
