//! A row of bars: values from zero, upwards and downwards, and what its height means.

use leptos::prelude::*;

use crate::texts;

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 56.0;

/// Bars of some values, the largest size filling the height (or `scale`, so that neighbours can be compared).
#[component]
pub(crate) fn Bars(
    /// The values.
    values: Vec<f32>,
    /// What they show, in words.
    label: String,
    /// The size that fills the height.
    #[prop(optional)]
    scale: Option<f32>,
) -> impl IntoView {
    let most = scale.unwrap_or_else(|| values.iter().fold(0.0, |most: f32, value| most.max(value.abs()))).max(1e-9);
    let signed = values.iter().any(|&value| value < 0.0);
    let zero = if signed { HEIGHT / 2.0 } else { HEIGHT };
    // What its height means, beside it; the words of the label say it too.
    let ends = (!values.is_empty()).then(|| {
        let [top, bottom] = [most, if signed { -most } else { 0.0 }].map(texts::number);
        view! { <p aria-hidden="true"><span>{top}</span><span>{bottom}</span></p> }
    });
    let step = WIDTH / values.len().max(1) as f64;
    let bars = values.into_iter().enumerate().map(|(at, value)| {
        let length = (f64::from(value / most) * zero).clamp(-zero, zero);
        let (y, height) = if length >= 0.0 { (zero - length, length) } else { (zero, -length) };
        view! {
            <rect
                x=format!("{:.2}", at as f64 * step + 0.12 * step)
                y=format!("{y:.2}")
                width=format!("{:.2}", 0.76 * step)
                height=format!("{:.2}", height.max(0.6))
            />
        }
    });
    view! {
        <div class="scaled">
            <svg
                class="bars"
                viewBox=format!("0 0 {WIDTH} {HEIGHT}")
                preserveAspectRatio="none"
                role="img"
                aria-label=label
            >
                <line x1="0" x2=WIDTH.to_string() y1=zero.to_string() y2=zero.to_string() />
                {bars.collect_view()}
            </svg>
            {ends}
        </div>
    }
}
