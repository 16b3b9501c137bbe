//! Sentences that wait to be read, and the bar of what takes long.

use leptos::prelude::*;

use crate::state::{Progress, Severity, Store};
use crate::texts;

/// Warnings and errors, each with a button that sends it away.
#[component]
pub(crate) fn Notices(store: Store) -> impl IntoView {
    let dismiss = move |id: u32| store.notices.update(|notices| notices.retain(|notice| notice.id != id));
    view! {
        <div class="notices" role="alert" data-testid="alert">
            <For each=move || store.notices.get() key=|notice| notice.id let(notice)>
                <p class:error=notice.severity == Severity::Error>
                    {notice.text.clone()}
                    <button aria-label=texts::DISMISS on:click=move |_| dismiss(notice.id)>"×"</button>
                </p>
            </For>
        </div>
        <Show when=move || store.progress.get().is_some()>
            {move || store.progress.get().map(bar)}
        </Show>
    }
}

fn bar(Progress { task, done, total, unit }: Progress) -> impl IntoView {
    let amount = texts::amount(done, total, &unit);
    view! {
        <p class="progress" role="status">
            <span>{task} " " {amount}</span>
            <progress max=total.max(1).to_string() value=(total > 0).then(|| done.to_string())></progress>
        </p>
    }
}
