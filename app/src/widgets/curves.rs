//! A small line chart: one or two curves over steps, told apart by dashes as well as by colour, with their last numbers
//! and both axes. It leaves as SVG or PNG, drawn anew on paper of its own: a viewer has no style sheet of ours.

use std::fmt::Write as _;

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, HtmlImageElement};

use crate::{csv, download, texts};

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 96.0;
/// Points drawn of a curve; more than that no eye tells apart.
const POINTS: usize = 240;

/// Size of a saved chart, and where the curves lie on it: left, top, right, bottom.
const PAPER: [f64; 2] = [640.0, 360.0];
const FRAME: [f64; 4] = [72.0, 76.0, 616.0, 300.0];
/// How each curve is drawn there. Attributes, not a style sheet: the page's own policy forbids one in a picture.
const LINES: [&str; 2] = ["stroke=\"#1b6a86\"", "stroke=\"#b3541e\" stroke-dasharray=\"7 4\""];

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    /// Its name for people.
    pub(crate) name: &'static str,
    /// Step and value, by rising step.
    pub(crate) points: Vec<(u64, f32)>,
}

/// Curves below each other's names; a single point is a dot.
#[component]
pub(crate) fn Curves(
    /// What the chart is about.
    title: &'static str,
    /// What a good curve does, in a few words.
    hint: &'static str,
    /// What values are counted in, where they have a unit.
    #[prop(optional)]
    unit: &'static str,
    /// The curves, two at most.
    curves: Signal<Vec<Curve>>,
    /// Range of values that is always shown.
    #[prop(optional)]
    range: Option<[f32; 2]>,
    /// Whose curves they are, for the names of files.
    of: Signal<String>,
    /// Told whether a file could be made.
    told: Callback<Result<(), JsValue>>,
) -> impl IntoView {
    let drawn = move || {
        let curves = curves.get();
        let extent = Extent::of(&curves, range);
        let [bottom, top, left, right] = extent.ticks();
        let label = curves.iter().map(in_words).collect::<Vec<_>>().join(" ");
        let unit_said = if unit.is_empty() { String::new() } else { format!(", {unit}") };
        let lines = curves.iter().enumerate().map(|(number, curve)| {
            let path = extent.path(&curve.points);
            view! { <path class="curve" class:second=number == 1 class:dot=curve.points.len() == 1 d=path /> }
        });
        let legend = curves.iter().enumerate().map(|(number, curve)| {
            view! {
                <span class="key" class:second=number == 1>
                    {curve.name} " " <strong>{last_value(curve)}</strong>
                </span>
            }
        });
        view! {
            <p class="legend keys">{legend.collect_view()}</p>
            <div class="plot">
                <p class="values" aria-hidden="true">
                    <span data-testid="tick-high">{top}</span>
                    <span>{unit}</span>
                    <span data-testid="tick-low">{bottom}</span>
                </p>
                <svg
                    viewBox=format!("0 0 {WIDTH} {HEIGHT}")
                    preserveAspectRatio="none"
                    role="img"
                    aria-label=format!("{title}{unit_said}. {label}")
                >
                    {lines.collect_view()}
                </svg>
                <p class="steps" aria-hidden="true">
                    <span data-testid="tick-first">{left}</span>
                    <span>{texts::train::STEPS}</span>
                    <span data-testid="tick-last">{right}</span>
                </p>
            </div>
        }
    };
    let picture = move || picture(title, unit, &curves.get_untracked(), range);
    let name = move |ending: &str| csv::file_name(&format!("{} {title}", of.get_untracked()), ending);
    let svg = move |_| told.run(download::text(&name("svg"), "image/svg+xml", &picture()));
    let png = move |_| {
        let (name, picture) = (name("png"), picture());
        spawn_local(async move { told.run(paint(&name, &picture).await) });
    };
    view! {
        <figure class="curves">
            <div class="title">
                <h3>{title}</h3>
                <details class="export">
                    <summary aria-label=format!("{}: {title}", texts::SAVE)>{texts::SAVE}</summary>
                    <div class="menu">
                        <button data-testid="curve-png" on:click=png>"PNG"</button>
                        <button data-testid="curve-svg" on:click=svg>"SVG"</button>
                    </div>
                </details>
            </div>
            {drawn}
            <figcaption class="hint">{hint}</figcaption>
        </figure>
    }
}

/// Draws an SVG on a canvas of twice its size, and saves that.
async fn paint(name: &str, svg: &str) -> Result<(), JsValue> {
    let image: HtmlImageElement = document().create_element("img")?.unchecked_into();
    image.set_src(&format!("data:image/svg+xml,{}", String::from(js_sys::encode_uri_component(svg))));
    JsFuture::from(image.decode()).await?;
    let canvas: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
    let [width, height] = PAPER.map(|side| 2.0 * side);
    canvas.set_width(width as u32);
    canvas.set_height(height as u32);
    let context: CanvasRenderingContext2d = canvas.get_context("2d")?.ok_or("no 2d context")?.unchecked_into();
    context.draw_image_with_html_image_element_and_dw_and_dh(&image, 0.0, 0.0, width, height)?;
    download::png(name, &canvas)
}

/// The chart as a file of its own.
fn picture(title: &str, unit: &str, curves: &[Curve], range: Option<[f32; 2]>) -> String {
    let extent = Extent::of(curves, range);
    let [low, high, first, last] = extent.ticks();
    let [width, height] = PAPER;
    let [left, top, right, bottom] = FRAME;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\
         <path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"#666\"/>\
         <g font-family=\"sans-serif\" font-size=\"14\" fill=\"#444\">"
    );
    // Words are ours, but for an & that may come one day.
    let mut text = |anchor: &str, [x, y]: [f64; 2], words: &str| {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>");
    };
    text("start", [left, 28.0], title);
    let (middle, below) = ((top + bottom) / 2.0, bottom + 22.0);
    for (y, words) in [(top + 5.0, &*high), (middle + 5.0, unit), (bottom + 5.0, &*low)] {
        text("end", [left - 8.0, y], words);
    }
    text("start", [left, below], &first);
    text("middle", [(left + right) / 2.0, below], texts::train::STEPS);
    text("end", [right, below], &last);
    let keys = curves.iter().zip(LINES).enumerate().map(|(at, (curve, line))| (left + 250.0 * at as f64, curve, line));
    for (x, curve, _) in keys.clone() {
        text("start", [x + 36.0, 56.0], &format!("{} {}", curve.name, last_value(curve)));
    }
    svg.push_str("</g><g fill=\"none\" stroke-width=\"2\">");
    let (across, down) = ((right - left) / WIDTH, (bottom - top) / HEIGHT);
    for (x, curve, line) in keys {
        let path = extent.path(&curve.points);
        let drawn = match (curve.points.len(), line.split_once(' ')) {
            (1, colour) => format!("{} stroke-width=\"7\" stroke-linecap=\"round\"", colour.map_or(line, |it| it.0)),
            _ => line.to_owned(),
        };
        let _ = write!(
            svg,
            "<path {line} d=\"M{x} 51h28\"/><path {drawn} vector-effect=\"non-scaling-stroke\" d=\"{path}\" \
             transform=\"translate({left} {top}) scale({across:.4} {down:.4})\"/>"
        );
    }
    svg + "</g></svg>\n"
}

/// A curve's last value, for its legend.
fn last_value(curve: &Curve) -> String {
    curve.points.last().map_or_else(|| "–".to_owned(), |point| texts::number(point.1))
}

/// What a curve shows, for a screen reader.
fn in_words(curve: &Curve) -> String {
    let (Some(first), Some(last)) = (curve.points.first(), curve.points.last()) else {
        return format!("{}: nothing measured yet.", curve.name);
    };
    let values = curve.points.iter().map(|point| point.1);
    let (low, high) = values.fold((f32::MAX, f32::MIN), |(low, high), value| (low.min(value), high.max(value)));
    format!(
        "{}: {} at step {}, {} at step {}; between {} and {}.",
        curve.name,
        texts::number(first.1),
        first.0,
        texts::number(last.1),
        last.0,
        texts::number(low),
        texts::number(high)
    )
}

/// What curves span together.
struct Extent {
    /// Smallest and largest value, apart.
    values: [f32; 2],
    /// First and last step, apart.
    steps: [u64; 2],
    /// Points of the longest curve.
    points: usize,
    /// The values are shown before anything is measured.
    always: bool,
}

impl Extent {
    fn of(curves: &[Curve], range: Option<[f32; 2]>) -> Self {
        let [mut low, mut high] = range.unwrap_or([f32::MAX, f32::MIN]);
        let [mut first, mut last] = [u64::MAX, 0];
        for &(step, value) in curves.iter().flat_map(|curve| &curve.points) {
            (low, high) = (low.min(value), high.max(value));
            (first, last) = (first.min(step), last.max(step));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        } else if low == high {
            // A level line lies in the middle.
            let room = (0.1 * low.abs()).max(0.1);
            (low, high) = (low - room, high + room);
        }
        let points = curves.iter().map(|curve| curve.points.len()).max().unwrap_or(0);
        first = if points == 0 { 0 } else { first };
        Self { values: [low, high], steps: [first, last.max(first + 1)], points, always: range.is_some() }
    }

    /// What stands at the ends of both axes: smallest and largest value, first and last step; nothing where nothing was
    /// measured.
    fn ticks(&self) -> [String; 4] {
        let &Self { values: [low, high], steps: [first, last], points, always } = self;
        if points == 0 && !always {
            return Default::default();
        }
        let step = |at: u64, measured: bool| if measured { at.to_string() } else { String::new() };
        [texts::number(low), texts::number(high), step(first, points > 0), step(last, points > 1)]
    }

    /// A curve within a frame of [`WIDTH`] by [`HEIGHT`].
    fn path(&self, points: &[(u64, f32)]) -> String {
        let ([low, high], [first, last]) = (self.values, self.steps);
        let every = points.len().div_ceil(POINTS).max(1);
        let height = f64::from((high - low).max(1e-9));
        let mut path = String::new();
        for (at, &(step, value)) in points.iter().enumerate() {
            if at % every != 0 && at + 1 != points.len() {
                continue;
            }
            let x = (step - first) as f64 / (last - first) as f64 * WIDTH;
            // A margin of 3: the line has a width of its own.
            let y = HEIGHT - 3.0 - f64::from(value - low) / height * (HEIGHT - 6.0);
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
        }
        if points.len() == 1 {
            path.push_str("h0"); // a line of no length, whose round end is the dot
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_curve_spans_its_frame() {
        let points = vec![(10, 1.0), (20, 3.0), (30, 2.0)];
        let curves = [Curve { name: "loss", points: points.clone() }];
        let extent = Extent::of(&curves, None);
        assert_eq!((extent.values, extent.steps), ([1.0, 3.0], [10, 30]));
        assert_eq!(extent.path(&points), "M0.0 93.0L150.0 3.0L300.0 48.0");
        assert!(in_words(&curves[0]).contains("1.00 at step 10, 2.00 at step 30; between 1.00 and 3.00"));
    }

    #[test]
    fn nothing_and_long_curves_are_drawn_too() {
        let nothing = Extent::of(&[], None);
        assert_eq!((nothing.values, nothing.steps), ([0.0, 1.0], [0, 1]));
        let points: Vec<(u64, f32)> = (0..10_000).map(|step| (step, step as f32)).collect();
        let path = Extent::of(&[Curve { name: "loss", points: points.clone() }], None).path(&points);
        assert!(path.matches('L').count() <= POINTS + 1 && path.ends_with("L300.0 3.0"), "{}", path.len());
        let one = vec![(1, 4.0)];
        assert_eq!(Extent::of(&[Curve { name: "loss", points: one.clone() }], None).path(&one), "M0.0 48.0h0");
    }

    #[test]
    fn axes_say_where_they_begin_and_end() {
        let curve = |points: &[(u64, f32)]| [Curve { name: "loss", points: points.to_vec() }];
        let ticks = |points: &[(u64, f32)]| Extent::of(&curve(points), None).ticks();
        assert_eq!(ticks(&[(1, 4.0), (40, 2.0)]), ["2.00", "4.00", "1", "40"]);
        assert_eq!(ticks(&[(1, 4.0)]), ["3.60", "4.40", "1", ""], "there is no second step yet");
        assert_eq!(ticks(&[]), ["", "", "", ""]);
        assert_eq!(Extent::of(&[], Some([0.0, 1.0])).ticks(), ["0.00", "1.00", "", ""]);
    }

    #[test]
    fn a_saved_chart_stands_alone() {
        let curves = ["loss", "of <local> crops"].map(|name| Curve { name, points: vec![(1, 4.0), (40, 2.0)] });
        let svg = picture("Loss", "nats", &curves, None);
        for part in
            ["xmlns=", ">Loss<", ">nats<", ">step<", ">1<", ">40<", ">4.00<", ">2.00<", "of &lt;local> crops 2.00"]
        {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert_eq!(svg.matches("<path stroke=").count(), 4, "two curves, two keys");
        let dots = curves.map(|curve| Curve { points: vec![(1, 4.0)], ..curve });
        let svg = picture("Loss", "nats", &dots, None);
        assert_eq!(svg.matches("stroke-linecap=\"round\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("stroke-dasharray").count(), 1, "a dot has no dashes: {svg}");
    }
}
