//! A line chart in SVG, drawn by hand: axes, series with marks of their own shape, and the same numbers as a table.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::XmlSerializer;

use crate::download;
use crate::texts;

/// A line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Its name in the legend.
    pub(crate) name: &'static str,
    /// Points from left to right.
    pub(crate) points: Vec<[f64; 2]>,
}

/// What the axes say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axes {
    /// Below.
    pub(crate) x: &'static str,
    /// Beside.
    pub(crate) y: &'static str,
    /// Marks on the logarithmic x axis, and what stands there.
    pub(crate) ticks: Vec<(f64, &'static str)>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 380.0;
/// Left, top, right, bottom.
const MARGIN: [f64; 4] = [54.0, 16.0, 18.0, 50.0];

/// From numbers to places in the picture: x by its logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Frame {
    x: [f64; 2],
    y: [f64; 2],
}

impl Frame {
    fn around(axes: &Axes, series: &[Series]) -> Self {
        let fold = |values: &mut dyn Iterator<Item = f64>| {
            values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| [low.min(value), high.max(value)])
        };
        let x = fold(&mut axes.ticks.iter().map(|(value, _)| value.ln()));
        let [low, high] = fold(&mut series.iter().flat_map(|series| series.points.iter().map(|point| point[1])));
        let step = step(high - low);
        Self { x, y: [(low / step).floor() * step, (high / step).ceil() * step] }
    }

    fn place(self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [left, top, right, bottom] = MARGIN;
        let share = |value: f64, [low, high]: [f64; 2]| if high > low { (value - low) / (high - low) } else { 0.5 };
        [
            left + 12.0 + share(x.ln(), self.x) * (WIDTH - left - right - 24.0),
            HEIGHT - bottom - share(y, self.y) * (HEIGHT - top - bottom),
        ]
    }

    fn levels(self) -> Vec<f64> {
        let step = step(self.y[1] - self.y[0]);
        let count = ((self.y[1] - self.y[0]) / step).round() as usize;
        (0..=count).map(|at| self.y[0] + at as f64 * step).collect()
    }
}

/// A round distance of which some four to eight fit into a range.
fn step(range: f64) -> f64 {
    let range = if range > 0.0 { range } else { 1.0 };
    let power = 10f64.powf((range / 5.0).log10().floor());
    let fits = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| range / (step * power) <= 7.0);
    fits.unwrap_or(10.0) * power
}

/// The chart, its legend, its numbers as a table, and the ways to keep it. `name` is the file's.
#[component]
pub(crate) fn Chart(
    name: &'static str,
    #[prop(into)] label: Signal<String>,
    axes: Axes,
    #[prop(into)] series: Signal<Vec<Series>>,
) -> impl IntoView {
    let axes = StoredValue::new(axes);
    let frame = Memo::new(move |_| axes.with_value(|axes| Frame::around(axes, &series.get())));
    let [left, top, right, bottom] = MARGIN;
    let levels = move || {
        let line = |level: f64| {
            let [_, y] = frame.get().place([1.0, level]);
            view! {
                <line class="level" x1=left x2=WIDTH - right y1=y y2=y></line>
                <text class="tick" x=left - 8.0 y=y + 4.0 text-anchor="end">{format!("{level:.0}")}</text>
            }
        };
        frame.get().levels().into_iter().map(line).collect_view()
    };
    let ticks = move || {
        let tick = |(at, text): (f64, &'static str)| {
            let [x, _] = frame.get().place([at, frame.get().y[0]]);
            view! { <text class="tick" x=x y=HEIGHT - bottom + 20.0 text-anchor="middle">{text}</text> }
        };
        axes.get_value().ticks.into_iter().map(tick).collect_view()
    };
    let lines =
        move || series.get().into_iter().enumerate().map(|(at, series)| line(frame.get(), at, &series)).collect_view();
    let svg = NodeRef::<leptos::svg::Svg>::new();
    let save_svg = move |_| {
        // The file carries its own colours: a viewer has no style sheet of ours.
        let text = svg.get_untracked().and_then(|svg| {
            let serializer = XmlSerializer::new().ok()?;
            serializer.serialize_to_string(svg.unchecked_ref()).ok()
        });
        if let Some(text) = text {
            let styled = text.replacen('>', &format!("><style>{SVG_STYLE}</style>"), 1);
            drop(download::text(&format!("{name}.svg"), "image/svg+xml", &styled));
        }
    };
    let save_csv = move |_| {
        let lines = series.get_untracked().into_iter().flat_map(|series| {
            series.points.into_iter().map(move |[x, y]| format!("{},{x},{y}\n", series.name)).collect::<Vec<_>>()
        });
        let head = axes.with_value(|axes| format!("series,{},{}\n", axes.x, axes.y));
        drop(download::text(&format!("{name}.csv"), "text/csv", &(head + &lines.collect::<String>())));
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
    view! {
        <div class="chart">
            <svg
                node_ref=svg
                xmlns="http://www.w3.org/2000/svg"
                viewBox=format!("0 0 {WIDTH} {HEIGHT}")
                role="img"
                aria-label=move || label.get()
                data-testid=name
            >
                {levels} {ticks}
                <text class="axis" x=(WIDTH + left) / 2.0 y=HEIGHT - 8.0 text-anchor="middle">
                    {axes.get_value().x}
                </text>
                <text
                    class="axis"
                    x="14"
                    y=(HEIGHT - bottom + top) / 2.0
                    text-anchor="middle"
                    transform=format!("rotate(-90 14 {})", (HEIGHT - bottom + top) / 2.0)
                >
                    {axes.get_value().y}
                </text>
                {lines}
            </svg>
            <ul class="chart-legend">{legend}</ul>
            <details class="numbers">
                <summary>{texts::NUMBERS}</summary>
                <div class="scroll" tabindex="0" role="region" aria-label=texts::NUMBERS><table>{rows}</table></div>
                <button on:click=save_svg data-testid="save-svg">"SVG"</button>
                <button on:click=save_csv>"CSV"</button>
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_round_and_hold_every_point() {
        let axes = Axes { x: "x", y: "y", ticks: vec![(1.0, "1"), (7.0, "7")] };
        let series = vec![Series { name: "a", points: vec![[1.0, 49.01], [7.0, 53.87]] }];
        let frame = Frame::around(&axes, &series);
        assert_eq!(frame.y, [49.0, 54.0]);
        assert_eq!(frame.levels(), [49.0, 50.0, 51.0, 52.0, 53.0, 54.0]);
        let ([x0, y0], [x1, y1]) = (frame.place([1.0, 49.0]), frame.place([7.0, 54.0]));
        assert!(x0 < x1 && y0 > y1 && x1 < WIDTH && y1 >= MARGIN[1]);
        // The middle of the axis is the geometric mean.
        let [middle, _] = frame.place([7f64.sqrt(), 50.0]);
        assert!((middle - (x0 + x1) / 2.0).abs() < 1e-9);
        assert_eq!((step(0.0), step(35.0), step(0.06)), (0.2, 5.0, 0.01));
    }
}
