//! A small line chart: one or two curves over steps, told apart by dashes as well as by colour, with their last numbers.

use std::fmt::Write as _;

use leptos::prelude::*;

use crate::texts;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 96.0;
/// Points drawn of a curve; more than that no eye tells apart.
const POINTS: usize = 240;

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curve {
    /// Its name for people.
    pub(crate) name: &'static str,
    /// Step and value, by rising step.
    pub(crate) points: Vec<(u64, f32)>,
}

/// Curves below each other's names; nothing is drawn before there are two points.
#[component]
pub(crate) fn Curves(
    /// What the chart is about.
    title: &'static str,
    /// What a good curve does, in a few words.
    hint: &'static str,
    /// The curves, two at most.
    curves: Signal<Vec<Curve>>,
    /// Range of values that is always shown.
    #[prop(optional)]
    range: Option<[f32; 2]>,
) -> impl IntoView {
    let drawn = move || {
        let curves = curves.get();
        let ([low, high], [first, last]) = extent(&curves, range);
        let label = curves.iter().map(in_words).collect::<Vec<_>>().join(" ");
        let lines = curves.iter().enumerate().map(|(number, curve)| {
            let path = path(&curve.points, [low, high], [first, last]);
            view! { <path class=if number == 0 { "curve" } else { "curve second" } d=path /> }
        });
        let legend = curves.iter().enumerate().map(|(number, curve)| {
            let value = curve.points.last().map(|point| texts::number(point.1));
            view! {
                <span class="key" class:second=number == 1>
                    {curve.name} " " <strong>{value.unwrap_or_else(|| "–".to_owned())}</strong>
                </span>
            }
        });
        view! {
            <p class="legend keys">{legend.collect_view()}</p>
            <div class="plot">
                <span class="tick high" aria-hidden="true">{texts::number(high)}</span>
                <span class="tick low" aria-hidden="true">{texts::number(low)}</span>
                <svg
                    viewBox=format!("0 0 {WIDTH} {HEIGHT}")
                    preserveAspectRatio="none"
                    role="img"
                    aria-label=format!("{title}. {label}")
                >
                    {lines.collect_view()}
                </svg>
            </div>
        }
    };
    view! {
        <figure class="curves">
            <h3>{title}</h3>
            {drawn}
            <figcaption class="hint">{hint}</figcaption>
        </figure>
    }
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

/// Smallest and largest value, first and last step.
fn extent(curves: &[Curve], range: Option<[f32; 2]>) -> ([f32; 2], [u64; 2]) {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let [mut low, mut high] = range.unwrap_or([f32::MAX, f32::MIN]);
    points().for_each(|point| (low, high) = (low.min(point.1), high.max(point.1)));
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    let first = points().map(|point| point.0).min().unwrap_or(0);
    let last = points().map(|point| point.0).max().unwrap_or(1);
    ([low, high], [first, last.max(first + 1)])
}

fn path(points: &[(u64, f32)], [low, high]: [f32; 2], [first, last]: [u64; 2]) -> String {
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
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_spans_its_frame() {
        let points = vec![(10, 1.0), (20, 3.0), (30, 2.0)];
        let curves = [Curve { name: "loss", points: points.clone() }];
        let (values, steps) = extent(&curves, None);
        assert_eq!((values, steps), ([1.0, 3.0], [10, 30]));
        assert_eq!(path(&points, values, steps), "M0.0 93.0L150.0 3.0L300.0 48.0");
        assert!(in_words(&curves[0]).contains("1.00 at step 10, 2.00 at step 30; between 1.00 and 3.00"));
    }

    #[test]
    fn nothing_and_long_curves_are_drawn_too() {
        assert_eq!(extent(&[], None), ([0.0, 1.0], [0, 1]));
        let points: Vec<(u64, f32)> = (0..10_000).map(|step| (step, step as f32)).collect();
        let path = path(&points, [0.0, 9999.0], [0, 9999]);
        assert!(path.matches('L').count() <= POINTS + 1 && path.ends_with("L300.0 3.0"), "{}", path.len());
    }
}
