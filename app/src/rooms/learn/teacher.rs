//! A teacher's answers, made of numbers that the engine found: each image's likeness to every image, centred, sharpened.

use lab_protocol::{Command, Event, ImageId};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::TEMPERATURE;
use super::answers::Answers;
use crate::state::Store;
use crate::texts::{learn as texts, number};
use crate::{csv, download};

/// Images that take part.
const MOST: usize = 6;

/// The answers as bars, with temperature and centring to play with.
#[component]
pub(crate) fn Teacher(store: Store) -> impl IntoView {
    let outputs = RwSignal::new(Vec::<Vec<f64>>::new());
    let names = RwSignal::new(Vec::<String>::new());
    let (temperature, centred) = (store.rooms.learn.temperature, store.rooms.learn.centred);
    Effect::new(move || {
        let (mut images, link) = (store.images.get(), store.link.get());
        store.embedded.with(|embedded| images.retain(|picture| embedded.contains_key(&picture.id)));
        images.sort_by(|a, b| a.name.cmp(&b.name));
        images.truncate(MOST);
        let ids: Vec<ImageId> = images.iter().map(|picture| picture.id).collect();
        let Some(link) = link.filter(|_| ids.len() > 1) else { return };
        spawn_local(async move {
            let mut rows = Vec::new();
            for id in &ids {
                // All that are embedded: those that take part are among them.
                let Ok((Event::Neighbours { nearest, .. }, _)) =
                    link.ask(Command::Nearest { image: *id, count: 1000 }, &[]).await
                else {
                    return;
                };
                let cosine = |other: &ImageId| match nearest.iter().find(|(found, _)| found == other) {
                    _ if other == id => 1.0,
                    Some((_, cosine)) => f64::from(*cosine),
                    None => 0.0,
                };
                rows.push(ids.iter().map(cosine).collect());
            }
            let titles = images.into_iter().map(|picture| picture.name.trim_end_matches(".jpg").to_owned()).collect();
            batch(|| {
                let _ = names.try_set(titles);
                let _ = outputs.try_set(rows);
            });
        });
    });
    let answers = Memo::new(move |_| Answers::of(&outputs.get(), centred.get(), f64::from(temperature.get()) / 100.0));
    Effect::new(move || store.rooms.learn.answers.set(Some(answers.get())));
    let rows = move || {
        let answers = answers.get();
        let bar = |(at, share): (usize, &f64)| {
            view! { <span class=format!("part p{at}") style:width=format!("{:.2}%", 100.0 * share)></span> }
        };
        let row = |(name, probs): (String, &Vec<f64>)| {
            let most = probs.iter().copied().fold(0.0, f64::max);
            view! {
                <tr>
                    <th scope="row">{name}</th>
                    <td class="bar" aria-hidden="true">{probs.iter().enumerate().map(bar).collect_view()}</td>
                    <td class="most">{texts::most(most)}</td>
                </tr>
            }
        };
        names.get().into_iter().zip(&answers.probs).map(row).collect_view()
    };
    let save = move |_| {
        let (names, answers) = (names.get_untracked(), answers.get_untracked());
        let head: Vec<String> = std::iter::once(texts::PICTURE.to_owned()).chain(names.iter().cloned()).collect();
        let line = |(name, probs): (String, &Vec<f64>)| {
            std::iter::once(name).chain(probs.iter().map(f64::to_string)).collect::<Vec<_>>()
        };
        let lines: Vec<_> = names.into_iter().zip(&answers.probs).map(line).collect();
        download::told(store, download::text("teacher.csv", "text/csv", &csv::table(&head, &lines)));
    };
    let save_json = move |_| {
        let answers = answers.get_untracked();
        let object = serde_json::json!({
            "model": download::model(store),
            "temperature": f64::from(temperature.get_untracked()) / 100.0,
            "centred": centred.get_untracked(),
            "pictures": names.get_untracked(),
            "outputs": outputs.get_untracked(),
            "answers": answers.probs,
            "bits": { "of the mean answer": answers.mean, "of an answer": answers.each, "told": answers.mean - answers.each },
        });
        download::json(store, "teacher.json", object);
    };
    let verdict = move || {
        let answers = answers.get();
        texts::teacher_verdict(answers.each, answers.mean, answers.probs.len())
    };
    view! {
        <figure class="view teacher">
            <h2>{texts::TEACHER_TITLE}</h2>
            <p class="explain">{texts::TEACHER_EXPLAIN}</p>
            <div class="controls">
                <label class="slider">
                    <span>
                        {texts::TEMPERATURE} " " <output>{move || number(temperature.get() as f32 / 100.0)}</output>
                    </span>
                    <input
                        type="range"
                        min="1"
                        max="100"
                        data-testid="temperature"
                        prop:value=move || temperature.get().to_string()
                        on:input=move |event| temperature.set(event_target_value(&event).parse().unwrap_or(TEMPERATURE))
                    />
                </label>
                <label class="check">
                    <input
                        type="checkbox"
                        data-testid="centred"
                        prop:checked=move || centred.get()
                        on:change=move |event| centred.set(event_target_checked(&event))
                    />
                    <span>{texts::CENTRE}</span>
                </label>
            </div>
            <table class="answers">
                <caption>{texts::TEACHER_CAPTION}</caption>
                <tbody>{rows}</tbody>
            </table>
            <figcaption aria-live="polite" data-testid="teacher-verdict">{verdict}</figcaption>
            <div class="buttons">
                <button data-testid="teacher-csv" title=texts::SAVE_ANSWERS on:click=save>"CSV"</button>
                <button data-testid="teacher-json" title=texts::SAVE_ANSWERS on:click=save_json>"JSON"</button>
            </div>
        </figure>
    }
}
