//! The room Mask: hide patches, and a masked autoencoder paints them while you watch.

mod controls;
mod flow;
mod painter;

use lab_protocol::{DecoderInfo, MaskKind, MaskView, ModelInfo, PatchMask};
use leptos::prelude::*;

use crate::grid::place;
use crate::hash::Address;
use crate::signals::put;
use crate::state::{Shown, Store};
use crate::texts::{mask as texts, number, see};
use crate::views::surface::{CanvasSlot, Surface};
use crate::views::{Figure, Paint};
use crate::widgets::legend::Legend;
pub(crate) use controls::Controls;
pub(crate) use flow::attend;
use painter::Painter;

/// Whether there is something to see; an empty room stands in no navigation.
pub(crate) const FILLED: bool = true;
/// Images, model and engine stand beside it.
pub(crate) const BESIDE: bool = true;

/// MAE's own ratio, in percent.
const PERCENT: u32 = 75;

/// What came of a mask.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// Patch rows and columns.
    pub(crate) grid: [usize; 2],
    /// Error of each patch.
    pub(crate) losses: Vec<f32>,
    /// Mean over the hidden ones.
    pub(crate) loss: Option<f32>,
    /// The target is normalised.
    pub(crate) norm_pix: bool,
    /// How long it took.
    pub(crate) millis: f64,
}

/// The state of this room. Copies are the same state.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// How the mask is drawn.
    pub(crate) kind: RwSignal<MaskKind>,
    /// Share of the patches that are hidden, in percent.
    pub(crate) percent: RwSignal<u32>,
    /// The same seed draws the same mask.
    pub(crate) seed: RwSignal<u32>,
    /// A mask that a hand has changed, for links.
    pub(crate) by_hand: RwSignal<Option<PatchMask>>,
    /// What is hidden, a flag a patch; `None` before there is a model.
    pub(crate) hidden: RwSignal<Option<Vec<bool>>>,
    /// Drawing hides patches (or shows them).
    pub(crate) hides: RwSignal<bool>,
    /// Where the painter's cursor is.
    pub(crate) cursor: RwSignal<u32>,
    /// The decoder's patches also where the encoder saw.
    pub(crate) everywhere: RwSignal<bool>,
    /// What came of it.
    pub(crate) result: RwSignal<Option<Outcome>>,
    /// The autoencoder wished for where the main model has no decoder, as a link names it.
    pub(crate) choice: RwSignal<Option<String>>,
    /// That autoencoder, on the engine.
    pub(crate) own: RwSignal<Option<ModelInfo>>,
    /// Somebody looks: before that nothing is loaded.
    pub(crate) open: RwSignal<bool>,
    /// Counts autoencoders, so that pictures are drawn anew.
    pub(crate) edition: RwSignal<u32>,
}

impl State {
    /// A room as nobody has used it yet.
    pub(crate) fn new() -> Self {
        Self {
            kind: RwSignal::new(MaskKind::Random),
            percent: RwSignal::new(PERCENT),
            seed: RwSignal::new(0),
            by_hand: RwSignal::new(None),
            hidden: RwSignal::new(None),
            hides: RwSignal::new(true),
            cursor: RwSignal::new(0),
            everywhere: RwSignal::new(false),
            result: RwSignal::new(None),
            choice: RwSignal::new(None),
            own: RwSignal::new(None),
            open: RwSignal::new(false),
            edition: RwSignal::new(0),
        }
    }

    /// Takes over what a link says; what it does not say keeps its default.
    pub(crate) fn read(self, address: &Address) {
        let kind = match address.get("kind") {
            Some("block") => MaskKind::Block,
            Some("grid") => MaskKind::Grid,
            _ => MaskKind::Random,
        };
        put(self.kind, kind);
        put(self.percent, address.number("ratio").filter(|ratio| *ratio <= 100).unwrap_or(PERCENT));
        put(self.seed, address.number("seed").unwrap_or(0));
        put(self.by_hand, address.get("mask").and_then(PatchMask::from_digits));
        put(self.everywhere, address.get("paint") == Some("everywhere"));
        put(self.choice, address.name("mae").map(str::to_owned));
    }

    /// Says in a link what differs from the defaults.
    pub(crate) fn write(self, address: &mut Address) {
        let kind = match self.kind.get() {
            MaskKind::Random => None,
            MaskKind::Block => Some("block"),
            MaskKind::Grid => Some("grid"),
        };
        address.put("kind", kind);
        address.put("ratio", Some(self.percent.get()).filter(|percent| *percent != PERCENT));
        address.put("seed", Some(self.seed.get()).filter(|seed| *seed > 0));
        address.put("mask", self.by_hand.get().map(|mask| mask.digits().to_owned()));
        address.put("paint", self.everywhere.get().then_some("everywhere"));
        address.put("mae", self.choice.get());
    }

    /// How many patches are hidden, and how many there are.
    pub(crate) fn count(self) -> [usize; 2] {
        self.hidden.with(|hidden| {
            let hidden = hidden.as_deref().unwrap_or_default();
            [hidden.iter().filter(|hidden| **hidden).count(), hidden.len()]
        })
    }
}

impl Store {
    /// Who reconstructs: the main model where it has a decoder, else the room's own.
    pub(crate) fn painter(self) -> Option<(ModelInfo, DecoderInfo)> {
        let with_decoder = |model: ModelInfo| Some((model.clone(), model.decoder?));
        self.model.get().and_then(with_decoder).or_else(|| self.rooms.mask.own.get().and_then(with_decoder))
    }
}

/// The room.
#[component]
pub(crate) fn Mask(store: Store) -> impl IntoView {
    view! {
        <p class="lead">{texts::LEAD}</p>
        <Bench store />
    }
}

/// The four pictures and the controls: also what a tour shows.
#[component]
pub(crate) fn Bench(store: Store) -> impl IntoView {
    let state = store.rooms.mask;
    state.open.set(true);
    let grid = Signal::derive(move || store.painter().map_or([0, 0], |(_, decoder)| decoder.grid));
    let paint = move |what: MaskView| {
        let [rows, columns] = grid.get();
        let hidden = state.hidden.with(|hidden| hidden.as_deref().map(PatchMask::new))?;
        // A mask of another model's grid is on its way out.
        hidden.flags(rows * columns)?;
        Some(Paint::Mask { hidden, what })
    };
    let of = move |what: MaskView| Signal::derive(move || paint(what));
    let painted =
        Signal::derive(move || paint(if state.everywhere.get() { MaskView::Predicted } else { MaskView::Painted }));
    let named = move |what: &'static str| {
        Signal::derive(move || {
            let [hidden, all] = state.count();
            texts::label(what, hidden, all)
        })
    };
    let result = Signal::derive(move || state.result.get().map(|result| texts::result(result.loss, result.norm_pix)));
    let millis = Signal::derive(move || state.result.get().map(|result| result.millis));
    // The painter's cursor is on this map, too.
    let reading = Signal::derive(move || {
        let (result, cursor) = (state.result.get()?, state.cursor.get());
        let hidden = state.hidden.with(|hidden| hidden.as_ref()?.get(cursor as usize).copied())?;
        let error = result.losses.get(cursor as usize).filter(|_| hidden)?;
        Some(see::reading(&place(cursor, result.grid), &[*error], number))
    });
    let (painted_title, painted_explain) = (
        Signal::derive(move || choose(state.everywhere.get(), texts::PREDICTED, texts::PAINTED)),
        Signal::derive(move || choose(state.everywhere.get(), texts::PREDICTED_EXPLAIN, texts::PAINTED_EXPLAIN)),
    );
    let painted_label = Signal::derive(move || {
        let [hidden, all] = state.count();
        texts::label(&painted_title.get(), hidden, all)
    });
    let shown: [RwSignal<Option<Shown>>; 4] = std::array::from_fn(|_| RwSignal::new(None));
    let canvas: [CanvasSlot; 4] = std::array::from_fn(|_| RwSignal::new_local(None));
    let loss_caption = Signal::derive(move || {
        let Shown { summary, .. } = shown[2].get()?;
        let result = state.result.get().filter(|result| result.loss.is_some())?;
        Some(texts::loss_caption(summary.max, &place(summary.peak, summary.grid), result.norm_pix))
    });
    let loss_range = Signal::derive(move || shown[2].get().map(|shown| [0.0, shown.summary.max]));
    let nothing: Signal<Option<String>> = Signal::derive(|| None);
    let [seen_label, loss_label] = [texts::SEEN, texts::LOSS].map(named);
    let original_label =
        Signal::derive(move || store.picture().map(|picture| texts::original_label(&picture.name)).unwrap_or_default());
    let [seen, loss, original] = [MaskView::Seen, MaskView::Loss, MaskView::Original].map(of);
    view! {
        <div class="bench">
            <div class="work">
                <Figure
                    store
                    title=texts::SEEN
                    explain=texts::SEEN_EXPLAIN
                    label=seen_label
                    caption=nothing
                    paint=seen
                    canvas=canvas[0]
                >
                    <Surface store paint=seen shown=shown[0] label=seen_label canvas=canvas[0] test="mask-seen">
                        <Painter store grid />
                    </Surface>
                </Figure>
                <Controls store />
            </div>
            <Figure
                store
                title=painted_title
                explain=painted_explain
                label=painted_label
                caption=result
                millis
                paint=painted
                canvas=canvas[1]
            >
                <Surface store paint=painted shown=shown[1] label=painted_label canvas=canvas[1] test="mask-painted" />
            </Figure>
            <Figure
                store
                title=texts::LOSS
                explain=texts::LOSS_EXPLAIN
                label=loss_label
                caption=loss_caption
                reading
                paint=loss
                canvas=canvas[2]
            >
                <Surface store paint=loss shown=shown[2] label=loss_label canvas=canvas[2] test="mask-loss" />
                <Legend range=loss_range />
            </Figure>
            <Figure
                store
                title=texts::ORIGINAL
                explain=texts::ORIGINAL_EXPLAIN
                label=original_label
                caption=nothing
                paint=original
                canvas=canvas[3]
            >
                <Surface store paint=original shown=shown[3] label=original_label canvas=canvas[3] test="mask-original" />
            </Figure>
        </div>
    }
}

fn choose(first: bool, yes: &str, no: &str) -> String {
    if first { yes.to_owned() } else { no.to_owned() }
}
