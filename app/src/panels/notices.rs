//! Sentences that wait to be read, and the bar of what takes long.

use leptos::prelude::*;
use web_sys::MouseEvent;

use crate::state::{Notice, Progress, Severity, Store};
use crate::{focus, texts};

/// So many are sent away together.
const MANY: usize = 3;

/// Warnings and errors, read out at once; below them what was done, read out when there is time. Each has a button that
/// sends it away, and many have one together.
#[component]
pub(crate) fn Notices(store: Store) -> impl IntoView {
    let list = move |done: bool| {
        let of = move || {
            let kind = |notice: &Notice| (notice.severity == Severity::Done) == done;
            store.notices.with(|all| all.iter().filter(|notice| kind(notice)).cloned().collect::<Vec<_>>())
        };
        view! {
            <For
                each=of
                key=|notice| notice.id
                children=move |Notice { id, severity, text }| {
                    let dismiss = move |event: MouseEvent| {
                        focus::pass_on(&event);
                        store.unsay(id);
                    };
                    view! {
                        <p class:error=severity == Severity::Error>
                            {text} <button aria-label=texts::DISMISS on:click=dismiss>"×"</button>
                        </p>
                    }
                }
            />
        }
    };
    let dismiss_all = move |event: MouseEvent| {
        focus::pass_on(&event);
        store.notices.set(Vec::new());
    };
    let many = move || store.notices.with(Vec::len) >= MANY;
    view! {
        <div class="notices" data-testid="alert">
            <Show when=many>
                <button class="all" data-testid="dismiss-all" on:click=dismiss_all>
                    {move || texts::dismiss_all(store.notices.with(Vec::len))}
                </button>
            </Show>
            <div role="alert">{list(false)}</div>
            <div role="status" data-testid="done">{list(true)}</div>
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
