//! How good a probe is: accuracy with its interval, each class, confusions, the hardest pictures; and its file.

use lab_protocol::{ProbeCommand, ProbeEvent, ProbeReport};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Event;

use super::{Given, Reports, Shot, Trained, ask_probe, replace};
use crate::inputs::picked;
use crate::state::{Severity, Store};
use crate::texts::probe as texts;
use crate::widgets::segments::Segments;
use crate::{csv, download};

/// The hardest pictures that are listed.
const HARDEST: usize = 12;

/// The verdict of the classifier on show.
#[component]
pub(super) fn Outcome(store: Store) -> impl IntoView {
    let state = store.rooms.probe;
    let report = move |trained: &Trained| {
        let linear = state.linear.get();
        trained.reports.as_ref().map(|reports| if linear { reports.linear.clone() } else { reports.knn.clone() })
    };
    let body = move || {
        let trained = state.trained.get()?;
        let report = report(&trained)?;
        let millis = trained.reports.as_ref().map(|reports| reports.millis)?;
        let untrained = store.model.with(|model| model.as_ref().is_some_and(|model| model.untrained));
        Some(view! { <Report report shots=trained.shots millis untrained /> })
    };
    let status = move || match (state.learning.get(), state.trained.with(Option::is_some)) {
        (true, _) => texts::LEARNING,
        (false, false) => texts::WAITING,
        (false, true) => "",
    };
    let export = move |_| {
        spawn_local(async move {
            match ask_probe(store, ProbeCommand::Export, &[]).await {
                Ok((ProbeEvent::Exported { .. }, back)) => {
                    download::told(store, download::bytes(texts::FILE, &back.get(0)));
                }
                Ok(_) => store.tell(Severity::Error, crate::texts::UNEXPECTED),
                Err(sentence) => store.tell(Severity::Error, sentence),
            }
        });
    };
    let whole = move |_| {
        let Some(Trained { names, shots, reports: Some(reports) }) = state.trained.get_untracked() else { return };
        let object = serde_json::json!({
            "model": download::model(store),
            "features": state.features.get_untracked(),
            "k": state.k.get_untracked(),
            "c": state.c.get_untracked(),
            "standardise": state.standardise.get_untracked(),
            "classes": names,
            "pictures": shots.iter().map(|shot| &shot.name).collect::<Vec<_>>(),
            "linear": reports.linear,
            "knn": reports.knn,
        });
        download::json(store, "probe-report.json", object);
    };
    let save = move |name: &str, table: fn(&Trained, &Reports) -> String| {
        let Some(trained) = state.trained.get_untracked() else { return };
        let Some(reports) = &trained.reports else { return };
        download::told(store, download::text(name, "text/csv", &table(&trained, reports)));
    };
    let import = move |event: Event| {
        let Some(file) = picked(&event).into_iter().next() else { return };
        spawn_local(open(store, vec![file.unchecked_into()], false));
    };
    let nothing = move || state.trained.with(Option::is_none);
    let unreported = move || state.trained.with(|trained| trained.as_ref().is_none_or(|all| all.reports.is_none()));
    let table =
        move |test: &'static str, name: &'static str, words: &'static str, of: fn(&Trained, &Reports) -> String| {
            view! {
                <button data-testid=test prop:disabled=unreported on:click=move |_| save(name, of)>{words}</button>
            }
        };
    view! {
        <section class="panel" aria-labelledby="result-title" data-testid="probe-result">
            <h2 id="result-title">{texts::RESULT}</h2>
            <Segments
                legend=texts::METHOD
                name="probe-method"
                options=vec![(true, texts::LINEAR), (false, texts::KNN)]
                value=state.linear
            />
            <p class="hint" role="status">{status}</p>
            {body}
            <div class="buttons">
                <button data-testid="probe-export" prop:disabled=nothing on:click=export>{texts::EXPORT}</button>
                <button data-testid="report-json" prop:disabled=unreported on:click=whole>{texts::EXPORT_JSON}</button>
                {table("classes-csv", "probe-classes.csv", texts::EXPORT_CLASSES, classes)}
                {table("margins-csv", "probe-pictures.csv", texts::EXPORT_PICTURES, pictures)}
                <label class="button">
                    <input type="file" accept=".safetensors" data-testid="probe-import" on:change=import />
                    {texts::IMPORT}
                </label>
            </div>
        </section>
    }
}

/// Opens a probe; `known` is one that was open before.
async fn open(store: Store, files: Vec<JsValue>, known: bool) {
    let state = store.rooms.probe;
    let edition = store.edition.get_untracked();
    match ask_probe(store, ProbeCommand::Import, &files).await {
        Ok((ProbeEvent::Imported { classes, images, model, same_weights, .. }, _)) => {
            if !known || !same_weights {
                let severity = if same_weights { Severity::Done } else { Severity::Error };
                store.tell(severity, texts::imported(&classes, images, &model, same_weights));
            }
            state.opened.set_value(Given { files, edition });
            replace(store, Vec::new());
            state.trained.set(Some(Trained { names: classes, shots: Vec::new(), reports: None }));
            super::ask::again(store).await;
        }
        Ok(_) => store.tell(Severity::Error, crate::texts::UNEXPECTED),
        // Once more, when the next engine stands.
        Err(_) if known && edition != store.edition.get_untracked() => {}
        Err(sentence) => {
            if known {
                state.trained.set(None);
            }
            store.tell(Severity::Error, sentence);
        }
    }
}

/// Opens the probe on show once more, where the engine does not hold it.
pub(super) async fn again(store: Store) {
    let state = store.rooms.probe;
    let shown =
        state.trained.with_untracked(|trained| trained.as_ref().is_some_and(|trained| trained.reports.is_none()));
    let given = state.opened.get_value();
    if shown && given.is_due(store) {
        open(store, given.files, true).await;
    }
}

/// Both classifiers, with their names.
fn both(reports: &Reports) -> [(&'static str, &ProbeReport); 2] {
    [(texts::LINEAR, &reports.linear), (texts::KNN, &reports.knn)]
}

/// A line a classifier and class: how well it is found, and for what its pictures were taken.
fn classes(trained: &Trained, reports: &Reports) -> String {
    let head = texts::CLASSES_CSV.map(str::to_owned).into_iter();
    let head: Vec<String> = head.chain(trained.names.iter().map(|name| texts::taken_for(name))).collect();
    let lines = both(reports).into_iter().flat_map(|(by, report)| {
        report.classes.iter().zip(&report.confusion).map(move |(class, row)| {
            let figures = [class.precision, class.recall, class.f1].map(|figure| figure.to_string());
            let words = [by.to_owned(), class.name.clone(), class.support.to_string()];
            words.into_iter().chain(figures).chain(row.iter().map(u32::to_string)).collect()
        })
    });
    csv::table(&head, &lines.collect::<Vec<_>>())
}

/// A line a classifier and picture: its class, what it was taken for, and by what margin.
fn pictures(trained: &Trained, reports: &Reports) -> String {
    let name = |class: u32| trained.names.get(class as usize).cloned().unwrap_or_default();
    let lines = both(reports).into_iter().flat_map(|(by, report)| {
        report.samples.iter().zip(&trained.shots).map(move |(sample, shot)| {
            let words = [by.to_owned(), shot.name.clone(), name(sample.truth), name(sample.predicted)];
            words.into_iter().chain([sample.margin.to_string()]).collect()
        })
    });
    csv::table(&texts::PICTURES_CSV.map(str::to_owned), &lines.collect::<Vec<_>>())
}

#[component]
fn Report(report: ProbeReport, shots: Vec<Shot>, millis: [f64; 2], untrained: bool) -> impl IntoView {
    let share = |value: f64| format!("{:.2}%", 100.0 * value);
    let (low, width, at) = (share(report.low), share(report.high - report.low), share(report.accuracy));
    let names: Vec<String> = report.classes.iter().map(|class| class.name.clone()).collect();
    view! {
        <p class="accuracy">
            <strong data-testid="probe-accuracy">{texts::percent(report.accuracy)}</strong>
            <span class="hint">{texts::interval(&report)}</span>
        </p>
        <div class="range" aria-hidden="true">
            <span style:left=low style:width=width></span>
            <i style:left=at></i>
        </div>
        <p class="hint" data-testid="probe-chance">{texts::chance(report.classes.len(), untrained)}</p>
        <p class="hint" data-testid="probe-time">{texts::took(millis[0], millis[1])}</p>
        <div class="scroll">
            <Table report=report.clone() />
            <Confusion report=report.clone() />
        </div>
        <Margins report shots names />
    }
}

#[component]
fn Table(report: ProbeReport) -> impl IntoView {
    let row = |class: lab_protocol::ClassReport| {
        view! {
            <tr>
                <td>{class.name}</td>
                <td>{class.support}</td>
                <td>{texts::percent(class.precision)}</td>
                <td>{texts::percent(class.recall)}</td>
                <td>{format!("{:.2}", class.f1)}</td>
            </tr>
        }
    };
    view! {
        <table data-testid="probe-table">
            <caption>{texts::TABLE}</caption>
            <thead>
                <tr>{texts::COLUMNS.map(|column| view! { <th scope="col">{column}</th> }).collect_view()}</tr>
            </thead>
            <tbody>{report.classes.into_iter().map(row).collect_view()}</tbody>
        </table>
    }
}

#[component]
fn Confusion(report: ProbeReport) -> impl IntoView {
    let names: Vec<String> = report.classes.iter().map(|class| class.name.clone()).collect();
    let head = names.clone().into_iter().map(|name| view! { <th scope="col">{name}</th> }).collect_view();
    let rows = report.confusion.into_iter().zip(names).enumerate().map(|(truth, (row, name))| {
        let sum = row.iter().sum::<u32>().max(1);
        let cells = row.into_iter().enumerate().map(move |(answer, count)| {
            let shade = format!("{:.2}", 0.45 * f64::from(count) / f64::from(sum));
            view! {
                <td class:right=truth == answer>
                    <i style:opacity=shade></i>
                    <span>{count}</span>
                </td>
            }
        });
        view! {
            <tr>
                <th scope="row">{name}</th>
                {cells.collect_view()}
            </tr>
        }
    });
    view! {
        <table class="confusion" data-testid="probe-confusion">
            <caption>{texts::CONFUSION}</caption>
            <thead>
                <tr><td></td>{head}</tr>
            </thead>
            <tbody>{rows.collect_view()}</tbody>
        </table>
    }
}

#[component]
fn Margins(report: ProbeReport, shots: Vec<Shot>, names: Vec<String>) -> impl IntoView {
    let mut order: Vec<usize> = (0..report.samples.len().min(shots.len())).collect();
    order.sort_by(|&a, &b| report.samples[a].margin.total_cmp(&report.samples[b].margin));
    order.truncate(HARDEST);
    let name = move |class: u32| names.get(class as usize).cloned().unwrap_or_default();
    let rows = order.into_iter().map(|at| {
        let (sample, shot) = (report.samples[at], &shots[at]);
        let words = texts::margin(sample.margin, &name(sample.truth), &name(sample.predicted));
        // The middle of the bar is a margin of zero.
        let half = 50.0 * sample.margin.abs().min(1.0);
        let left = if sample.margin < 0.0 { 50.0 - half } else { 50.0 };
        view! {
            <li>
                <img src=shot.url.clone() alt=shot.name.clone() />
                <div>
                    <span>{words}</span>
                    <div class="bar" aria-hidden="true">
                        <i
                            class:wrong=sample.margin < 0.0
                            style:left=format!("{left:.1}%")
                            style:width=format!("{half:.1}%")
                        ></i>
                    </div>
                </div>
            </li>
        }
    });
    view! {
        <h3>{texts::MARGINS}</h3>
        <p class="hint">{texts::MARGINS_HINT}</p>
        <ul class="margins" data-testid="probe-margins">{rows.collect_view()}</ul>
    }
}
