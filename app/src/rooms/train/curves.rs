//! Loss, the teacher's answer, KL, RankMe, gradient: a small chart each.

use leptos::prelude::*;

use crate::state::Store;
use crate::texts::train as texts;
use crate::widgets::curves::{Curve, Curves};

/// All charts of the method.
#[component]
pub(super) fn CurvesPanel(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let curves = move |columns: &'static [(&'static str, &'static str)]| {
        Signal::derive(move || {
            state.curves.with(|curves| {
                let all = columns.iter().map(|&(column, name)| Curve { name, points: curves.points(column) });
                // A second curve that was never measured is no curve.
                let mut all: Vec<Curve> = all.collect();
                let first = all.remove(0);
                std::iter::once(first).chain(all.into_iter().filter(|curve| !curve.points.is_empty())).collect()
            })
        })
    };
    let dino = Memo::new(move |_| state.is_dino());
    let shapes = Memo::new(move |_| state.curves.with(|curves| curves.names.iter().any(|name| name == "knn")));
    let loss_hint = move || if dino.get() { texts::LOSS_DINO } else { texts::LOSS_MAE };
    view! {
        <section class="panel" aria-labelledby="curves-title" data-testid="curves">
            <h2 id="curves-title">{texts::CURVES}</h2>
            <div class="charts">
                {move || {
                    let hint = loss_hint();
                    view! {
                        <Curves
                            title=texts::LOSS
                            hint
                            curves=curves(&[("loss", texts::LOSS_ALL), ("dino_local", texts::LOSS_LOCAL)])
                        />
                    }
                }}
                <Show when=move || dino.get()>
                    <Curves
                        title=texts::TEACHER
                        hint=texts::TEACHER_HINT
                        range=[0.0, 1.0]
                        curves=curves(&[("teacher_entropy", texts::ENTROPY), ("information", texts::INFORMATION)])
                    />
                    <Curves title=texts::KL hint=texts::KL_HINT curves=curves(&[("kl", texts::KL_SHORT)]) />
                </Show>
                <Curves title=texts::RANK hint=texts::RANK_HINT curves=curves(&[("rankme", texts::RANK_SHORT)]) />
                <Show when=move || shapes.get()>
                    <Curves
                        title=texts::SHAPES
                        hint=texts::SHAPES_HINT
                        range=[0.0, 1.0]
                        curves=curves(&[("knn", texts::SHAPES_SHORT)])
                    />
                </Show>
                <Curves title=texts::NORM hint=texts::NORM_HINT curves=curves(&[("grad_norm", texts::NORM_SHORT)]) />
            </div>
        </section>
    }
}
