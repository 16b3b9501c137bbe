//! A choice of one among few, side by side: radio buttons by nature, so keyboard and screen reader know them.

use leptos::prelude::*;

/// One of a few. `name` groups the buttons and names them for tests: `name-0`, `name-1` …
#[component]
pub(crate) fn Segments<T>(
    legend: &'static str,
    name: &'static str,
    options: Vec<(T, &'static str)>,
    value: RwSignal<T>,
    /// Told after a change.
    #[prop(optional, into)]
    changed: Option<Callback<T>>,
) -> impl IntoView
where
    T: Copy + PartialEq + Send + Sync + 'static,
{
    let button = move |(at, (option, label)): (usize, (T, &'static str))| {
        let choose = move |_| {
            value.set(option);
            if let Some(changed) = changed {
                changed.run(option);
            }
        };
        view! {
            <label>
                <input
                    type="radio"
                    name=name
                    data-testid=format!("{name}-{at}")
                    prop:checked=move || value.get() == option
                    on:change=choose
                />
                <span>{label}</span>
            </label>
        }
    };
    view! {
        <fieldset class="segmented">
            <legend>{legend}</legend>
            <div>{options.into_iter().enumerate().map(button).collect_view()}</div>
        </fieldset>
    }
}
