//! A line chart in SVG, drawn by hand: axes, series with marks of their own shape, and the same numbers as a table.

use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::JsValue;
use web_sys::XmlSerializer;

pub(crate) use crate::widgets::frame::{Axes, Series};
use crate::widgets::frame::{Frame, MARGIN, WIDTH};
use crate::widgets::width;
use crate::{csv, download, texts};

/// The chart, its legend, its numbers as a table, and the ways to keep it. `name` is the file's.
#[component]
pub(crate) fn Chart(
    name: &'static str,
    #[prop(into)] label: Signal<String>,
    axes: Axes,
    #[prop(into)] series: Signal<Vec<Series>>,
    /// Told whether a file could be made.
    told: Callback<Result<(), JsValue>>,
) -> impl IntoView {
    let axes = StoredValue::new(axes);
    // Drawn as wide as it stands, so that its words keep their size.
    let (place, wide) = (NodeRef::<Div>::new(), RwSignal::new(WIDTH));
    width::attend(place, move |width| {
        let _ = wide.try_set(width.max(1.0));
    });
    let frame = Memo::new(move |_| axes.with_value(|axes| Frame::around(axes, &series.get(), wide.get())));
    let [left, top, right, bottom] = MARGIN;
    let levels = move || {
        let line = |level: f64| {
            let [_, y] = frame.get().place([1.0, level]);
            view! {
                <line class="level" x1=left x2=frame.get().size[0] - right y1=y y2=y></line>
                <text class="tick" x=left - 8.0 y=y + 4.0 text-anchor="end">{format!("{level:.0}")}</text>
            }
        };
        frame.get().levels().into_iter().map(line).collect_view()
    };
    let ticks = move || {
        let tick = |(at, text): (f64, &'static str)| {
            let [x, y] = frame.get().place([at, frame.get().y[0]]);
            view! { <text class="tick" x=x y=y + 20.0 text-anchor="middle">{text}</text> }
        };
        axes.get_value().ticks.into_iter().map(tick).collect_view()
    };
    let lines =
        move || series.get().into_iter().enumerate().map(|(at, series)| line(frame.get(), at, &series)).collect_view();
    let svg = NodeRef::<leptos::svg::Svg>::new();
    let save_svg = move |_| {
        // The file carries its own colours: a viewer has no style sheet of ours.
        let Some(svg) = svg.get_untracked() else { return };
        let text = XmlSerializer::new().and_then(|serializer| serializer.serialize_to_string(&svg));
        told.run(text.and_then(|text| {
            let styled = text.replacen('>', &format!("><style>{SVG_STYLE}</style>"), 1);
            download::text(&format!("{name}.svg"), "image/svg+xml", &styled)
        }));
    };
    let save_csv = move |_| {
        let lines = series.get_untracked().into_iter().flat_map(|series| {
            let line = |[x, y]: [f64; 2]| vec![series.name.to_owned(), x.to_string(), y.to_string()];
            series.points.into_iter().map(line).collect::<Vec<_>>()
        });
        let head = axes.with_value(|axes| ["series", axes.x, axes.y].map(str::to_owned));
        told.run(download::text(&format!("{name}.csv"), "text/csv", &csv::table(&head, &lines.collect::<Vec<_>>())));
    };
    let rows = move || {
        let row = |series: Series| {
            let cells = series.points.iter().map(|[x, y]| view! { <td>{format!("{x}: {y}")}</td> }).collect_view();
            view! { <tr><th scope="row">{series.name}</th>{cells}</tr> }
        };
        series.get().into_iter().map(row).collect_view()
    };
    let legend = move || {
        let entry = |(at, series): (usize, Series)| {
            view! {
                <li>
                    <svg viewBox="0 0 36 12" aria-hidden="true" class=format!("series s{}", at % 4)>
                        <line x1="1" x2="35" y1="6" y2="6"></line>
                        {mark(at, [18.0, 6.0])}
                    </svg>
                    {series.name}
                </li>
            }
        };
        series.get().into_iter().enumerate().map(entry).collect_view()
    };
    let size = move |part: usize| frame.get().size[part];
    let middle = move || (size(1) - bottom + top) / 2.0;
    view! {
        <div class="chart" node_ref=place>
            <svg
                node_ref=svg
                xmlns="http://www.w3.org/2000/svg"
                viewBox=move || format!("0 0 {} {}", size(0), size(1))
                role="img"
                aria-label=move || label.get()
                data-testid=name
            >
                {levels} {ticks}
                <text class="axis" x=move || (size(0) + left) / 2.0 y=move || size(1) - 8.0 text-anchor="middle">
                    {axes.get_value().x}
                </text>
                <text
                    class="axis"
                    x="14"
                    y=middle
                    text-anchor="middle"
                    transform=move || format!("rotate(-90 14 {})", middle())
                >
                    {move || texts::from(axes.get_value().y, frame.get().y[0])}
                </text>
                {lines}
            </svg>
            <ul class="chart-legend">{legend}</ul>
            <details class="numbers">
                <summary>{texts::NUMBERS}</summary>
                <div class="scroll" tabindex="0" role="region" aria-label=texts::NUMBERS><table>{rows}</table></div>
                <button on:click=save_svg data-testid="save-svg">"SVG"</button>
                <button on:click=save_csv data-testid="chart-csv">"CSV"</button>
            </details>
        </div>
    }
}

/// What a saved chart looks like elsewhere.
const SVG_STYLE: &str = "text{font:12px sans-serif;fill:#444}.level{stroke:#ddd}.series{fill:none;stroke-width:2.5}\
    .s0{stroke:#1f6f8b}.s1{stroke:#c2571a;stroke-dasharray:7 4}.s2{stroke:#5b4b9a;stroke-dasharray:2 4}\
    .s3{stroke:#4f7a28;stroke-dasharray:10 3 2 3}.mark{fill:#fff;stroke-dasharray:none}";

fn line(frame: Frame, at: usize, series: &Series) -> impl IntoView + use<> {
    let places: Vec<[f64; 2]> = series.points.iter().map(|point| frame.place(*point)).collect();
    let path = places.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    let marks = places.into_iter().map(|place| mark(at, place)).collect_view();
    view! {
        <g class=format!("series s{}", at % 4)>
            <polyline points=path></polyline>
            {marks}
        </g>
    }
}

/// Each series has its own shape, so that colour alone tells nothing.
fn mark(at: usize, [x, y]: [f64; 2]) -> impl IntoView + use<> {
    let points = |corners: &[[f64; 2]]| {
        corners.iter().map(|[dx, dy]| format!("{:.1},{:.1}", x + dx, y + dy)).collect::<Vec<_>>().join(" ")
    };
    match at % 4 {
        0 => view! { <circle class="mark" cx=x cy=y r="4.5"></circle> }.into_any(),
        1 => {
            let square = points(&[[-4.0, -4.0], [4.0, -4.0], [4.0, 4.0], [-4.0, 4.0]]);
            view! { <polygon class="mark" points=square></polygon> }.into_any()
        }
        2 => {
            let triangle = points(&[[0.0, -5.5], [5.0, 4.0], [-5.0, 4.0]]);
            view! { <polygon class="mark" points=triangle></polygon> }.into_any()
        }
        _ => {
            let diamond = points(&[[0.0, -5.5], [5.5, 0.0], [0.0, 5.5], [-5.5, 0.0]]);
            view! { <polygon class="mark" points=diamond></polygon> }.into_any()
        }
    }
}
