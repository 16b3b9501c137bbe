//! New pictures: what the probe says of them, and how sure it is.

use lab_protocol::{ImageId, Prediction, ProbeCommand, ProbeEvent};
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Event;

use super::{Shot, ask_of, ask_probe, forget, open_camera, send, shot};
use crate::engine::gone;
use crate::inputs::picked;
use crate::signals::pause;
use crate::state::{EngineState, Severity, Store};
use crate::texts::probe as texts;
use crate::{csv, download, webcam};

/// Pictures that are remembered; the oldest goes.
const MOST: usize = 12;

/// A picture and its answer.
#[derive(Clone)]
pub(super) struct Asked {
    shot: Shot,
    /// The camera's picture is replaced by its next.
    live: bool,
    answer: Option<Prediction>,
}

/// Asks about pictures; the newest stands first.
async fn ask(store: Store, shots: Vec<Shot>, live: bool) {
    let state = store.rooms.probe;
    let answer = loop {
        // Another model, other pictures: the probe comes anew in a moment. Another engine is on its way: so does that.
        let starts = || matches!(store.engine.get_untracked(), EngineState::Starting(_));
        while state.due.get_value() || starts() {
            pause(50).await;
        }
        let Some(link) = store.link.get_untracked() else { break Err(crate::texts::NO_ENGINE.to_owned()) };
        let answer = async {
            send(store, &link, &shots).await?;
            let images = shots.iter().map(|shot| shot.id).collect();
            ask_of(&link, ProbeCommand::Predict { images }, &[]).await
        };
        match answer.await {
            Err(sentence) if gone(store, &link, &sentence) => pause(50).await,
            answer => break answer,
        }
    };
    match answer {
        Ok((ProbeEvent::Predicted { images }, _)) => state.asked.update(|asked| {
            if live {
                for old in asked.iter().filter(|asked| asked.live) {
                    forget(store, &old.shot);
                }
                asked.retain(|asked| !asked.live);
            }
            let new = shots.into_iter().zip(images);
            let mut all: Vec<Asked> = new.map(|(shot, answer)| Asked { shot, live, answer: Some(answer) }).collect();
            all.append(asked);
            for old in all.iter().skip(MOST) {
                forget(store, &old.shot);
            }
            all.truncate(MOST);
            *asked = all;
        }),
        Ok(_) => store.tell(Severity::Error, crate::texts::UNEXPECTED),
        Err(sentence) => {
            state.live.set(false);
            store.tell(Severity::Error, sentence);
        }
    }
}

/// Asks about all pictures once more, since the probe is another one.
pub(super) async fn again(store: Store) {
    let state = store.rooms.probe;
    let shots: Vec<Shot> = state.asked.get_untracked().into_iter().map(|asked| asked.shot).collect();
    if shots.is_empty() {
        return;
    }
    let Some(link) = store.link.get_untracked() else { return };
    if send(store, &link, &shots).await.is_err() {
        return;
    }
    let images: Vec<ImageId> = shots.iter().map(|shot| shot.id).collect();
    if let Ok((ProbeEvent::Predicted { images }, _)) = ask_probe(store, ProbeCommand::Predict { images }, &[]).await {
        state.asked.update(|asked| {
            for (asked, answer) in asked.iter_mut().zip(images).filter(|(asked, new)| asked.shot.id == new.image) {
                asked.answer = Some(answer);
            }
        });
    }
}

/// What both classifiers say of every picture, as CSV: a line a picture and a classifier.
fn answers(store: Store) -> String {
    let state = store.rooms.probe;
    let names = state.trained.get_untracked().map(|trained| trained.names).unwrap_or_default();
    let head: Vec<String> = texts::ANSWERS.map(str::to_owned).into_iter().chain(names.iter().cloned()).collect();
    let lines = state.asked.get_untracked().into_iter().flat_map(|Asked { shot, answer, .. }| {
        let both = answer.map(|answer| [(texts::LINEAR, answer.linear), (texts::KNN, answer.knn)]);
        let line = |(by, chances): (&str, Vec<f32>)| {
            let best = best(&chances).and_then(|best| names.get(best)).cloned().unwrap_or_default();
            let chances = chances.iter().map(f32::to_string);
            [shot.name.clone(), by.to_owned(), best].into_iter().chain(chances).collect()
        };
        both.into_iter().flatten().map(line).collect::<Vec<Vec<String>>>()
    });
    csv::table(&head, &lines.collect::<Vec<_>>())
}

/// The likeliest class; the first among equals.
fn best(chances: &[f32]) -> Option<usize> {
    (0..chances.len()).max_by(|&a, &b| chances[a].total_cmp(&chances[b]).then(b.cmp(&a)))
}

/// Pictures to ask about, and the answers.
#[component]
pub(super) fn Ask(store: Store) -> impl IntoView {
    let state = store.rooms.probe;
    let nothing = move || state.trained.with(Option::is_none);
    let pick = move |event: Event| {
        let files = picked(&event);
        if nothing() {
            store.tell(Severity::Warning, texts::NO_PROBE);
            return;
        }
        let shots: Vec<Shot> = files
            .into_iter()
            .map(|file| {
                let name = file.name();
                shot(store, file.into(), name)
            })
            .collect();
        if !shots.is_empty() {
            spawn_local(ask(store, shots, false));
        }
    };
    let shown = move |_| {
        if let Some(picture) = store.picture_untracked() {
            spawn_local(ask(store, vec![super::shown(store, picture)], false));
        }
    };
    let live = move |_| {
        if state.live.get_untracked() {
            state.live.set(false);
            return;
        }
        state.live.set(true);
        spawn_local(async move {
            if !open_camera(store).await {
                state.live.set(false);
            }
            while state.live.try_get_untracked() == Some(true) {
                let video = state.video.get_untracked();
                let taken = match &video {
                    Some(video) => webcam::snapshot(video).await,
                    None => None,
                };
                if let Some(blob) = taken {
                    ask(store, vec![shot(store, blob, "camera".to_owned())], true).await;
                }
                pause(30).await;
            }
        });
    };
    let save = move |_| {
        download::told(store, download::text("probe-answers.csv", "text/csv", &answers(store)));
    };
    let unanswered = move || state.asked.with(|asked| asked.iter().all(|asked| asked.answer.is_none()));
    view! {
        <section class="panel" aria-labelledby="ask-title" data-testid="probe-ask">
            <h2 id="ask-title">{texts::TEST}</h2>
            <div class="buttons">
                <label class="button">
                    <input type="file" accept=crate::texts::FORMATS multiple data-testid="ask-files" on:change=pick />
                    {texts::TEST_DROP}
                </label>
                <button prop:disabled=nothing data-testid="ask-shown" on:click=shown>{texts::TEST_SHOWN}</button>
                <button prop:disabled=nothing data-testid="ask-live" on:click=live>
                    {move || if state.live.get() { texts::TEST_STOP } else { texts::TEST_LIVE }}
                </button>
                <button prop:disabled=unanswered data-testid="answers-csv" title=texts::SAVE_ANSWERS on:click=save>
                    "CSV"
                </button>
            </div>
            <ul class="tests" aria-live="polite" data-testid="probe-answers">
                {move || state.asked.get().into_iter().map(|asked| view! { <Answer store asked /> }).collect_view()}
            </ul>
        </section>
    }
}

/// One picture with a bar a class.
#[component]
fn Answer(store: Store, asked: Asked) -> impl IntoView {
    let state = store.rooms.probe;
    let names = state.trained.get().map(|trained| trained.names).unwrap_or_default();
    let chances = asked.answer.map(|answer| if state.linear.get() { answer.linear } else { answer.knn });
    let chances = chances.unwrap_or_default();
    let words = match best(&chances).and_then(|best| Some((names.get(best)?, chances[best]))) {
        Some((class, chance)) => texts::verdict(&asked.shot.name, class, chance),
        None => asked.shot.name.clone(),
    };
    let bars = names.into_iter().zip(chances).map(|(name, chance)| {
        view! {
            <div class="answer">
                <span>{name}</span>
                <div class="bar"><i style:left="0" style:width=format!("{:.1}%", 100.0 * chance)></i></div>
                <span>{texts::percent(f64::from(chance))}</span>
            </div>
        }
    });
    view! {
        <li>
            <img src=asked.shot.url.clone() alt="" />
            <div>
                <strong>{words}</strong>
                <div aria-hidden="true">{bars.collect_view()}</div>
            </div>
        </li>
    }
}
