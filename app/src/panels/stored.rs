//! Models kept in the browser: what they take, whether they are whole, and the way to be rid of them.

use lab_protocol::StoredModel;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::state::Store;
use crate::stored::{self, Fetching};
use crate::texts::storage as texts;

/// The download under way, the list, the room, and whether the page works without a network.
#[component]
pub(crate) fn StoredPanel(store: Store) -> impl IntoView {
    let state = store.stored;
    let none = move || state.models.with(Vec::is_empty) && state.fetching.with(Option::is_none);
    let bar = move || state.fetching.get().map(|fetching| view! { <Bar store fetching /> });
    let persistence = move || {
        let some = state.models.with(|models| !models.is_empty());
        state
            .persisted
            .get()
            .filter(|_| some)
            .map(|granted| if granted { texts::PERSISTED } else { texts::NOT_PERSISTED })
    };
    let run = move || stored::run(store);
    let may_ask = move || {
        state.persisted.get() == Some(false) && (run().is_some() || state.models.with(|models| !models.is_empty()))
    };
    let ask = move |_| spawn_local(stored::ask_to_keep(store));
    let mirror = move |event| stored::set_mirror(store, event_target_value(&event));
    // Beside the rows: a row is drawn anew when its model was used, and the question stays.
    let asked = RwSignal::new(None);
    view! {
        <section class="panel stored" aria-labelledby="stored-title" data-testid="stored">
            <h2 id="stored-title">{texts::TITLE}</h2>
            {bar}
            <Show when=none>
                <p class="hint">{texts::NONE}</p>
            </Show>
            <ul>
                <For each=move || state.models.get() key=|model| format!("{model:?}") let(model)>
                    <Kept store model asked />
                </For>
            </ul>
            {move || {
                run().map(|step| {
                    view! {
                        <p data-testid="stored-run">
                            <strong>{texts::run(step)}</strong> <span class="hint">{texts::RUN_KEPT}</span>
                        </p>
                    }
                })
            }}
            <p class="hint" data-testid="stored-room">{move || texts::room(state.room.get())} " " {persistence}</p>
            <Show when=may_ask>
                <button on:click=ask>{texts::PERSIST}</button>
            </Show>
            <Show when=move || state.offline.get()>
                <p class="hint offline" data-testid="offline">{texts::OFFLINE}</p>
            </Show>
            <details>
                <summary>{texts::MIRROR}</summary>
                <label>
                    {texts::MIRROR_LABEL}
                    <input
                        type="text"
                        inputmode="url"
                        data-testid="mirror"
                        placeholder="https://huggingface.co"
                        prop:value=move || state.mirror.get()
                        on:change=mirror
                    />
                </label>
            </details>
        </section>
    }
}

/// A line above everything while a newer version of the page waits.
#[component]
pub(crate) fn Update(store: Store) -> impl IntoView {
    view! {
        <Show when=move || store.stored.update.get()>
            <p class="update" role="status" data-testid="update">
                {texts::UPDATE}
                <button on:click=move |_| stored::take_update()>{texts::TAKE_UPDATE}</button>
            </p>
        </Show>
    }
}

#[component]
fn Bar(store: Store, fetching: Fetching) -> impl IntoView {
    let Fetching { source, file, done, total, seconds, .. } = fetching;
    let words = texts::fetching(&source, &file, done, total, seconds);
    view! {
        <div class="fetching" data-testid="fetching">
            <p>{words.clone()}</p>
            <progress
                aria-label=words
                max=total.max(1).to_string()
                value=(total > 0).then(|| done.to_string())
            ></progress>
            <button on:click=move |_| stored::cancel(store)>{texts::STOP}</button>
        </div>
    }
}

/// One model; `asked` is the key of the one whose deletion waits for an answer.
#[component]
fn Kept(store: Store, model: StoredModel, asked: RwSignal<Option<String>>) -> impl IntoView {
    let (chosen, key, complete) = (model.clone(), model.key.clone(), model.complete);
    let go = move |_| match complete {
        true => stored::load(store, &chosen),
        false => stored::fetch(store, chosen.source.clone(), stored::load),
    };
    // Half a model without a record of its source can only be deleted.
    let usable = complete || !model.source.is_empty();
    let (this, size) = (model.key.clone(), texts::delete_sure(model.bytes()));
    let asking = Signal::derive(move || asked.with(|asked| asked.as_ref() == Some(&this)));
    let ask = {
        let this = model.key.clone();
        move |_| asked.set(Some(this.clone()))
    };
    let sure = NodeRef::<leptos::html::Button>::new();
    // Who answers by keyboard is already there.
    sure.on_load(|button| drop(button.focus()));
    let delete = move |_| {
        // The same model may come again, and is asked about anew.
        asked.set(None);
        stored::delete(store, key.clone());
    };
    let label = texts::delete(&model.name);
    view! {
        <li data-testid=format!("kept-{}", model.name)>
            <strong title=model.source.clone()>{texts::named(&model.name)}</strong>
            <span class="hint">{texts::kept(&model)}</span>
            <span class="hint hash" title=texts::whole_hash(&model)>{texts::hash(&model)}</span>
            <span class="buttons">
                {usable.then(|| view! { <button on:click=go>{if complete { texts::LOAD } else { texts::GO_ON }}</button> })}
                <Show
                    when=move || asking.get()
                    fallback=move || {
                        view! {
                            <button aria-label=label.clone() on:click=ask.clone()>{texts::DELETE}</button>
                        }
                    }
                >
                    <button node_ref=sure data-testid="delete-sure" on:click=delete.clone()>{size.clone()}</button>
                    <button on:click=move |_| asked.set(None)>{texts::KEEP_IT}</button>
                </Show>
            </span>
        </li>
    }
}
