//! How the mask is drawn, and who paints.

use lab_protocol::{MaskKind, PatchMask};
use leptos::prelude::*;

use crate::state::Store;
use crate::texts::{self, mask};
use crate::widgets::segments::Segments;

/// Brush, kind, ratio, seed, and the autoencoder.
#[component]
pub(crate) fn Controls(store: Store) -> impl IntoView {
    let state = store.rooms.mask;
    let kinds = vec![(MaskKind::Random, mask::RANDOM), (MaskKind::Block, mask::BLOCK), (MaskKind::Grid, mask::GRID)];
    let brushes = vec![(true, mask::HIDE), (false, mask::SHOW)];
    // A mask drawn by hand gives way to one that is asked for.
    let again = move || state.by_hand.set(None);
    let ratio = move |event| {
        batch(|| {
            state.percent.set(event_target_value(&event).parse().unwrap_or(super::PERCENT));
            again();
        });
    };
    let seed = move |event| {
        batch(|| {
            if store.typed(&event, state.seed, |_| true, mask::SEED_EXPECTED) {
                again();
            }
        });
    };
    let another = move |_| {
        batch(|| {
            state.seed.update(|seed| *seed = seed.wrapping_add(1));
            again();
        });
    };
    let show_all = move |_| {
        let patches = state.hidden.with_untracked(|hidden| hidden.as_ref().map_or(0, Vec::len));
        batch(|| {
            state.by_hand.set(Some(PatchMask::new(&vec![false; patches])));
            state.hidden.set(Some(vec![false; patches]));
        });
    };
    let count = move || {
        let [hidden, all] = state.count();
        mask::hidden(hidden, all)
    };
    view! {
        <p class="count" role="status" data-testid="hidden-count">{count}</p>
        <div class="controls">
            <Segments legend=mask::BRUSH name="brush" options=brushes value=state.hides />
            <Segments
                legend=mask::KIND
                name="kind"
                options=kinds
                value=state.kind
                changed=Callback::new(move |_: MaskKind| again())
            />
            <label class="slider">
                <span>{mask::RATIO} " " <output>{move || state.percent.get()} " %"</output></span>
                <input
                    type="range"
                    min="0"
                    max="100"
                    data-testid="ratio"
                    prop:value=move || state.percent.get().to_string()
                    on:input=ratio
                />
            </label>
            <label>
                {mask::SEED}
                <input
                    type="number"
                    min="0"
                    max="4294967295"
                    data-testid="seed"
                    prop:value=move || state.seed.get().to_string()
                    on:change=seed
                />
            </label>
            <button data-testid="resample" on:click=another>{mask::RESAMPLE}</button>
            <button class="quiet" data-testid="show-all" on:click=show_all>{mask::SHOW_ALL}</button>
            <label class="check">
                <input
                    type="checkbox"
                    data-testid="everywhere"
                    prop:checked=move || state.everywhere.get()
                    on:change=move |event| state.everywhere.set(event_target_checked(&event))
                />
                <span>{mask::EVERYWHERE}</span>
            </label>
        </div>
        <Who store />
    }
}

/// The autoencoder at work, and the choice of another where the main model has no decoder.
#[component]
fn Who(store: Store) -> impl IntoView {
    let state = store.rooms.mask;
    let main_paints = move || store.model.with(|model| model.as_ref().is_some_and(|model| model.decoder.is_some()));
    let sentence = move || match store.painter() {
        None => mask::WAITING.to_owned(),
        Some((model, _)) if main_paints() => mask::main_model(&model),
        Some((model, _)) => mask::own_model(&store.model.get().unwrap_or_default().name, &model),
    };
    let target = move || state.result.get().map(|result| mask::target(result.norm_pix));
    let offers = move || {
        let offers = store.offers.get().unwrap_or_default();
        offers.into_iter().filter(|offer| offer.decoder).collect::<Vec<_>>()
    };
    let note = move || {
        let now = state.own.get()?.name;
        offers().into_iter().find(|offer| offer.title == now).map(|offer| format!("{} {}", offer.note, offer.licence))
    };
    let chosen = move || {
        state
            .choice
            .get()
            .or_else(|| offers().first().map(|offer| offer.id.clone()))
            .unwrap_or("untrained-mae".to_owned())
    };
    view! {
        <p class="hint who" role="status" data-testid="mask-model">{sentence} " " {target} " " {note}</p>
        <Show when=move || !main_paints()>
            <div class="controls">
                <label>
                    {mask::RECONSTRUCT_WITH}
                    <select
                        data-testid="mae"
                        prop:value=chosen
                        on:change=move |event| state.choice.set(Some(event_target_value(&event)))
                    >
                        <For each=offers key=|offer| offer.id.clone() let(offer)>
                            <option value=offer.id.clone() selected=move || chosen() == offer.id>
                                {offer.title}
                            </option>
                        </For>
                        <option value="untrained-mae" selected=move || chosen() == "untrained-mae">
                            {texts::BUILT_IN_MAE}
                        </option>
                    </select>
                </label>
            </div>
        </Show>
    }
}
