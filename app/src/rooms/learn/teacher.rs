//! A teacher's answers, made of numbers that the engine found: each image's likeness to every image, centred, sharpened.
//!
//! Caron et al., arXiv 2104.14294: `P = softmax((g - c) / τ)`. Here the outputs g of an image are its cosines with all
//! images, so that the images themselves are the prototypes; c is the mean of g over the images.

use lab_protocol::{Command, Event, ImageId};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::state::Store;
use crate::texts::{learn as texts, number};

/// Images that take part.
const MOST: usize = 6;

/// What the teacher says of each image, and what that is worth.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Answers {
    /// A distribution an image.
    pub(crate) probs: Vec<Vec<f64>>,
    /// Mean entropy of one answer, in bits.
    pub(crate) each: f64,
    /// Entropy of the mean answer, in bits.
    pub(crate) mean: f64,
}

impl Answers {
    /// Centred where asked, then sharpened by a temperature.
    fn of(outputs: &[Vec<f64>], centred: bool, temperature: f64) -> Self {
        let count = outputs.len().max(1) as f64;
        let prototypes = outputs.first().map_or(0, Vec::len);
        let center = |at: usize| outputs.iter().map(|row| row[at]).sum::<f64>() / count;
        let center: Vec<f64> = (0..prototypes).map(|at| if centred { center(at) } else { 0.0 }).collect();
        let softmax = |row: &Vec<f64>| {
            let logits: Vec<f64> = row.iter().zip(&center).map(|(g, c)| (g - c) / temperature).collect();
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let exps: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
            let sum: f64 = exps.iter().sum();
            exps.iter().map(|exp| exp / sum).collect::<Vec<f64>>()
        };
        let probs: Vec<Vec<f64>> = outputs.iter().map(softmax).collect();
        let mean: Vec<f64> = (0..prototypes).map(|at| probs.iter().map(|row| row[at]).sum::<f64>() / count).collect();
        let each = probs.iter().map(|row| entropy(row)).sum::<f64>() / count;
        Self { each, mean: entropy(&mean), probs }
    }
}

/// In bits.
fn entropy(probs: &[f64]) -> f64 {
    probs.iter().filter(|p| **p > 0.0).map(|p| -p * p.log2()).sum()
}

/// The answers as bars, with temperature and centring to play with.
#[component]
pub(crate) fn Teacher(store: Store) -> impl IntoView {
    let outputs = RwSignal::new(Vec::<Vec<f64>>::new());
    let names = RwSignal::new(Vec::<String>::new());
    // In hundredths: a slider's own unit.
    let temperature = RwSignal::new(7_u32);
    let centred = RwSignal::new(true);
    Effect::new(move || {
        let (embedded, link) = (store.embedded.get(), store.link.get());
        let mut images = store.images.get();
        images.retain(|picture| embedded.contains(&picture.id));
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
                        on:input=move |event| temperature.set(event_target_value(&event).parse().unwrap_or(7))
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
        </figure>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cold_teacher_is_sure_and_a_hot_one_says_nothing() {
        let outputs = vec![vec![1.0, 0.2, 0.1], vec![0.2, 1.0, 0.3], vec![0.1, 0.3, 1.0]];
        let cold = Answers::of(&outputs, false, 0.01);
        assert!(cold.each < 1e-6 && (cold.mean - 3f64.log2()).abs() < 1e-6, "{cold:?}");
        let hot = Answers::of(&outputs, false, 1000.0);
        assert!((hot.each - 3f64.log2()).abs() < 1e-5 && (hot.mean - 3f64.log2()).abs() < 1e-5, "{hot:?}");
    }

    #[test]
    fn centring_takes_away_what_all_share() {
        // One prototype is liked by everybody a little more than anything else.
        let outputs = vec![vec![0.9, 1.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 1.0, 0.9]];
        let plain = Answers::of(&outputs, false, 0.01);
        assert!(plain.mean < 1e-3, "all answer the same: {plain:?}");
        let centred = Answers::of(&outputs, true, 0.01);
        assert!(centred.mean > 1.0, "{centred:?}");
    }

    #[test]
    fn nothing_is_no_panic() {
        assert_eq!(Answers::of(&[], true, 0.1), Answers::default());
    }
}
