//! Loss, the teacher's answer, KL, RankMe, gradient: a small chart each, and all numbers as a table.

use lab_protocol::train;
use leptos::prelude::*;

use crate::state::Store;
use crate::texts::train as texts;
use crate::widgets::curves::{Curve, Curves};
use crate::{csv, download};

/// All charts of the method.
#[component]
pub(super) fn CurvesPanel(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let curves = move |columns: &'static [(&'static str, &'static str)]| {
        Signal::derive(move || {
            state.curves.with(|curves| {
                // People count steps from 1.
                let points =
                    |column| curves.points(column).into_iter().map(|(step, value)| (step + 1, value)).collect();
                let all = columns.iter().map(|&(column, name)| Curve { name, points: points(column) });
                // A second curve that was never measured is no curve.
                let mut all: Vec<Curve> = all.collect();
                let first = all.remove(0);
                std::iter::once(first).chain(all.into_iter().filter(|curve| !curve.points.is_empty())).collect()
            })
        })
    };
    let dino = Memo::new(move |_| state.is_dino());
    let shapes = Memo::new(move |_| state.curves.with(|curves| curves.names.iter().any(|name| name == "knn")));
    let of = Signal::derive(move || state.status.with(|status| status.as_ref().map(texts::file)).unwrap_or_default());
    let told = Callback::new(move |result| download::told(store, result));
    let name = move |what: &str, ending: &str| csv::file_name(&format!("{} {what}", of.get_untracked()), ending);
    let save = move |_| {
        told.run(download::text(&name("curves", "csv"), "text/csv", &state.curves.with_untracked(table)));
    };
    let save_run = move |_| {
        let (status, look) = (state.status.get_untracked(), state.look.get_untracked());
        let object =
            state.curves.with_untracked(|curves| run(status.as_ref(), look.map(|look| look.0).as_ref(), curves));
        download::json(store, &name("run", "json"), object);
    };
    view! {
        <section class="panel curve-panel" aria-labelledby="curves-title" data-testid="curves">
            <h2 id="curves-title">{texts::CURVES}</h2>
            <div class="charts" class:four=move || !dino.get() && shapes.get() class:five=move || dino.get() && !shapes.get()>
                {move || {
                    let (hint, unit) = if dino.get() { (texts::LOSS_DINO, texts::NATS) } else { (texts::LOSS_MAE, "") };
                    view! {
                        <Curves
                            title=texts::LOSS
                            hint
                            unit
                            curves=curves(&[("loss", texts::LOSS_ALL), ("dino_local", texts::LOSS_LOCAL)])
                            of
                            told
                        />
                    }
                }}
                <Show when=move || dino.get()>
                    <Curves
                        title=texts::TEACHER
                        hint=texts::TEACHER_HINT
                        unit=texts::SHARE
                        range=[0.0, 1.0]
                        curves=curves(&[("teacher_entropy", texts::ENTROPY), ("information", texts::INFORMATION)])
                        of
                        told
                    />
                    <Curves
                        title=texts::KL
                        hint=texts::KL_HINT
                        unit=texts::NATS
                        curves=curves(&[("kl", texts::KL_SHORT)])
                        of
                        told
                    />
                </Show>
                <Curves
                    title=texts::RANK
                    hint=texts::RANK_HINT
                    range=[1.0, 2.0]
                    curves=curves(&[("rankme", texts::RANK_SHORT)])
                    of
                    told
                />
                <Show when=move || shapes.get()>
                    <Curves
                        title=texts::SHAPES
                        hint=texts::SHAPES_HINT
                        unit=texts::SHARE
                        range=[0.0, 1.0]
                        curves=curves(&[("knn", texts::SHAPES_SHORT)])
                        of
                        told
                    />
                </Show>
                <Curves
                    title=texts::NORM
                    hint=texts::NORM_HINT
                    curves=curves(&[("grad_norm", texts::NORM_SHORT)])
                    of
                    told
                />
            </div>
            <div class="buttons">
                <button data-testid="curves-csv" on:click=save>{texts::SAVE_CURVES}</button>
                <button data-testid="run-json" on:click=save_run>{texts::SAVE_RUN}</button>
            </div>
        </section>
    }
}

/// A run for other programs: what it is, how it was judged last, and the figures of each step, counted from 1.
fn run(status: Option<&train::Status>, look: Option<&train::Look>, curves: &train::Curves) -> serde_json::Value {
    let step = |(step, row): &(u64, Vec<Option<f32>>)| {
        let mut object = serde_json::json!({ "step": step + 1 });
        for (name, value) in curves.names.iter().zip(row) {
            if let Some(value) = value {
                object[name] = (*value).into();
            }
        }
        object
    };
    let steps: Vec<_> = curves.rows.iter().map(step).collect();
    let judged = |look: &train::Look| {
        serde_json::json!({
            "step": look.step,
            "verdict": look.verdict,
            "says": look.says,
            "figures": look.figures,
            "prototypes": look.prototypes,
        })
    };
    serde_json::json!({ "run": status, "look": look.map(judged), "steps": steps })
}

/// Every curve as comma-separated values: a line a step, counted from 1; empty where nothing was measured.
fn table(curves: &train::Curves) -> String {
    let head: Vec<String> = std::iter::once("step".to_owned()).chain(curves.names.iter().cloned()).collect();
    let line = |(step, row): &(u64, Vec<Option<f32>>)| {
        let cell = |column: usize| match row.get(column) {
            Some(Some(value)) => value.to_string(),
            _ => String::new(),
        };
        std::iter::once((step + 1).to_string()).chain((0..curves.names.len()).map(cell)).collect()
    };
    let lines: Vec<Vec<String>> = curves.rows.iter().map(line).collect();
    csv::table(&head, &lines)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_line_a_step() {
        let mut curves = train::Curves::default();
        curves.add(0, [("loss", 4.5)]);
        curves.add(1, [("loss", 4.25), ("knn", 0.5)]);
        curves.add(2, [("knn", 0.75)]);
        assert_eq!(table(&curves), "step,loss,knn\n1,4.5,\n2,4.25,0.5\n3,,0.75\n");
        let object = run(None, None, &curves);
        let steps = r#"[{"loss":4.5,"step":1},{"knn":0.5,"loss":4.25,"step":2},{"knn":0.75,"step":3}]"#;
        assert_eq!(object["steps"].to_string(), steps);
    }
}
