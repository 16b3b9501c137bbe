//! What scale does: the figures of Fan et al., arXiv 2504.01017, as a chart of our own.
//!
//! Numbers: tables 6, 11 and 12 of the paper, averages as printed, groups as means of their four tasks; all models
//! trained on two billion images of MetaCLIP's collection and judged by sixteen tasks of visual question answering.

use leptos::prelude::*;

use crate::download;
use crate::state::Store;
use crate::texts::learn as texts;
use crate::widgets::chart::{Axes, Chart, Series};
use crate::widgets::segments::Segments;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The mean of all tasks.
    Average,
    /// OCR and charts.
    Ocr,
    /// Tasks that need the eye.
    Vision,
}

/// Parameters in billions, as the models are named.
const SIZES: [f64; 5] = [1.0, 2.0, 3.0, 5.0, 7.0];

/// Average, OCR and chart, vision-centric.
const WEB_DINO: [[f64; 5]; 3] =
    [[49.01, 50.77, 51.71, 52.83, 53.87], [23.3, 26.8, 28.3, 30.2, 31.4], [55.6, 56.4, 58.7, 59.8, 61.5]];
const CLIP: [[f64; 5]; 3] =
    [[52.30, 53.03, 53.22, 52.52, 52.97], [36.5, 36.1, 36.8, 34.9, 35.3], [54.2, 55.0, 55.4, 54.8, 55.4]];
/// There is none of seven billion.
const WEB_MAE: [[f64; 4]; 3] = [[49.19, 50.59, 50.92, 51.50], [26.5, 30.3, 31.1, 32.7], [55.2, 56.3, 55.8, 56.6]];

/// The chart, and what it measures at first.
#[component]
pub(crate) fn Scale(store: Store, first: Measure) -> impl IntoView {
    let measure = RwSignal::new(first);
    let options = vec![
        (Measure::Average, texts::SCALE_AVERAGE),
        (Measure::Ocr, texts::SCALE_OCR),
        (Measure::Vision, texts::SCALE_VISION),
    ];
    let series = Signal::derive(move || {
        let row = measure.get() as usize;
        let points = |values: &[f64]| SIZES.iter().zip(values).map(|(x, y)| [*x, *y]).collect();
        vec![
            Series { name: "Web-DINO", points: points(&WEB_DINO[row]) },
            Series { name: "CLIP", points: points(&CLIP[row]) },
            Series { name: "Web-MAE", points: points(&WEB_MAE[row]) },
        ]
    });
    let axes = Axes {
        x: texts::SCALE_X,
        y: texts::SCALE_Y,
        ticks: vec![(1.0, "1"), (2.0, "2"), (3.0, "3"), (5.0, "5"), (7.0, "7")],
    };
    let label = Signal::derive(move || {
        let row = measure.get() as usize;
        texts::scale_label(WEB_DINO[row][0], WEB_DINO[row][4], CLIP[row][0], CLIP[row][4])
    });
    view! {
        <figure class="view scale">
            <h2>{texts::SCALE_TITLE}</h2>
            <Segments legend=texts::SCALE_MEASURE name="measure" options value=measure />
            <Chart name="scale" label axes series told=Callback::new(move |result| download::told(store, result)) />
            <figcaption>{texts::SCALE_SOURCE}</figcaption>
        </figure>
    }
}
