//! Where a token looks: attention by layer, head and query; all heads at once; or followed down to the input.

use lab_protocol::{Slot, View};
use leptos::prelude::*;

use crate::grid::{columns_for, place};
use crate::rooms::see::Map;
use crate::state::{Shown, Store};
use crate::texts::{percent, see as texts};
use crate::views::figure::Figure;
use crate::views::heads::Heads;
use crate::views::paint::Paint;
use crate::views::picker::Picker;
use crate::views::reading::reading;
use crate::views::surface::{CanvasSlot, Surface};
use crate::widgets::legend::Legend;

/// The attention view, as the model in a slot has it.
#[component]
pub(crate) fn Attention(store: Store, #[prop(optional)] of: Slot) -> impl IntoView {
    // `slot` itself is a word of the view macro.
    let slot = of;
    let shown = RwSignal::new(None::<Shown>);
    let canvas: CanvasSlot = RwSignal::new_local(None);
    let see = store.rooms.see;
    let grid = store.grid_of(slot);
    let patch = move || store.patch_in(slot);
    let paint = Signal::derive(move || {
        let model = store.model_in(slot)?;
        let layer = store.layer_of(&model);
        let query = store.query_in(slot);
        let view = match see.map.get() {
            Map::One => View::Attention { layer, head: store.head_of(&model), query },
            Map::Heads => View::Heads { layer, query, columns: columns_for(model.num_heads) as u32 },
            Map::Rollout => View::Rollout { layer, query },
        };
        Some(Paint::View { slot, view })
    });
    let shape = Signal::derive(move || match (see.map.get(), store.model_in(slot)) {
        (Map::Heads, Some(model)) => {
            let columns = columns_for(model.num_heads);
            [model.num_heads.div_ceil(columns) as u32, columns as u32]
        }
        _ => [1, 1],
    });
    let label = Signal::derive(move || {
        let model = store.model_in(slot).unwrap_or_default();
        let who = match see.by_patch.get() {
            true => texts::patch_asks(&place(patch(), grid.get())),
            false => texts::CLS.to_owned(),
        };
        texts::attention(see.map.get(), &who, store.layer_of(&model), store.head_of(&model))
    });
    let caption = Signal::derive(move || {
        let Shown { summary, .. } = shown.get()?;
        if !summary.heads.is_empty() {
            return Some(texts::heads_caption(&summary.heads));
        }
        let peak = place(summary.peak, summary.grid);
        Some(texts::attention_caption(summary.max, &peak, summary.on_patches))
    });
    let mark = Signal::derive(move || see.by_patch.get().then(patch));
    let many = move || see.map.get() == Map::Heads;
    let explain = Signal::derive(move || texts::attention_explain(see.map.get()).to_owned());
    let range = Signal::derive(move || shown.get().map(|shown| [shown.summary.min, shown.summary.max]));
    let test = if slot == Slot::Main { "view-attention" } else { "other-attention" };
    let (by, millis) = (store.by(slot), Signal::derive(move || shown.get().map(|shown| shown.millis)));
    let reading = reading(store, slot, shown, percent);
    view! {
        <Figure store title=texts::ATTENTION explain label caption paint canvas by millis reading>
            <Surface store paint shown label shape canvas test>
                <Show when=many fallback=move || view! { <Picker store label mark grid /> }>
                    <Heads store shown />
                </Show>
            </Surface>
            <Show when=move || !many()>
                <Legend range written=percent />
            </Show>
        </Figure>
    }
}
