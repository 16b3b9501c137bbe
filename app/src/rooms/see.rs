//! The room See: attention, principal components and similarity of an image, by one model or two.

mod asking;
mod attend;
mod compare;
mod controls;

use lab_protocol::{Foreground, MADE, ModelInfo, Slot};
use leptos::prelude::*;

use crate::hash::Address;
use crate::signals::{Turns, put};
use crate::state::{Source, Store};
use crate::texts::see as texts;
use crate::views::{Attention, Input, Pca, Similarity, Strip};
pub(crate) use attend::{attend, load_into};
use compare::{Compare, place_beside};
use controls::{AttentionControls, ColourControls, PinControls};

/// Whether there is something to see; an empty room stands in no navigation.
pub(crate) const FILLED: bool = true;
/// Images, model and engine stand beside it.
pub(crate) const BESIDE: bool = true;

/// The threshold that a foreground starts with.
pub(crate) const THRESHOLD: f32 = 0.5;

/// The word of a second model from the visitor's files.
const FILES: &str = "files";

/// The sample that an image of this name is.
fn sample_of(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix(".jpg")?;
    crate::texts::SAMPLES.iter().map(|sample| sample.name).find(|sample| *sample == name)
}

/// What the attention view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Map {
    /// One head, or the mean of all.
    #[default]
    One,
    /// Every head of a block.
    Heads,
    /// All blocks below, multiplied.
    Rollout,
}

/// The state of this room. Copies are the same state.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// Block, from 0; `None` is the last one.
    pub(crate) layer: RwSignal<Option<u32>>,
    /// Head, from 0; `None` is the mean.
    pub(crate) head: RwSignal<Option<u32>>,
    /// The patch asks, not the class token.
    pub(crate) by_patch: RwSignal<bool>,
    /// What the attention view shows.
    pub(crate) map: RwSignal<Map>,
    /// Colours by a basis that all images share.
    pub(crate) shared: RwSignal<bool>,
    /// Leave out the background.
    pub(crate) cut: RwSignal<bool>,
    /// From which share of the first component on.
    pub(crate) threshold: RwSignal<f32>,
    /// The foreground lies below it.
    pub(crate) below: RwSignal<bool>,
    /// On how many images each model's basis is fitted; `None` while it is not.
    fitted: [RwSignal<Option<u32>>; 2],
    /// The patch that asks wherever one looks: an image's name and a patch.
    pub(crate) pin: RwSignal<Option<(String, u32)>>,
    /// The second model, as a link names it.
    pub(crate) compare: RwSignal<Option<String>>,
    /// Where it comes from, when no link can name it.
    pub(crate) compare_source: StoredValue<Option<Source>, LocalStorage>,
    /// Counts choices of a second model: the same word may mean other files.
    turn: RwSignal<u32>,
    /// A second model that a link asks for and that is looked for among those kept, or waits for the user's word.
    asked: RwSignal<Option<String>>,
    /// The address beside the choice of a second model.
    offered: RwSignal<String>,
    /// The second model on the engine.
    pub(crate) other: RwSignal<Option<ModelInfo>>,
    /// Counts second models and fits, so that pictures are drawn anew.
    pub(crate) edition: RwSignal<u32>,
    /// Seed of the random twin.
    pub(crate) seed: RwSignal<u32>,
}

impl State {
    /// A room as nobody has used it yet.
    pub(crate) fn new() -> Self {
        Self {
            layer: RwSignal::new(None),
            head: RwSignal::new(None),
            by_patch: RwSignal::new(false),
            map: RwSignal::new(Map::One),
            shared: RwSignal::new(false),
            cut: RwSignal::new(false),
            threshold: RwSignal::new(THRESHOLD),
            below: RwSignal::new(false),
            fitted: [RwSignal::new(None), RwSignal::new(None)],
            pin: RwSignal::new(None),
            compare: RwSignal::new(None),
            compare_source: StoredValue::new_local(None),
            turn: RwSignal::new(0),
            asked: RwSignal::new(None),
            offered: RwSignal::new(String::new()),
            other: RwSignal::new(None),
            edition: RwSignal::new(0),
            seed: RwSignal::new(0),
        }
    }

    /// Takes over what a link says; what it does not say keeps its default.
    pub(crate) fn read(self, address: &Address) {
        put(self.layer, address.number("layer"));
        put(self.head, address.number("head"));
        put(self.by_patch, address.get("query") == Some("patch"));
        let map = match address.get("map") {
            Some("heads") => Map::Heads,
            Some("rollout") => Map::Rollout,
            _ => Map::One,
        };
        put(self.map, map);
        put(self.shared, address.get("basis") == Some("shared"));
        let threshold = address.number("foreground").filter(|share: &f32| (-1.0..=1.0).contains(share));
        put(self.cut, threshold.is_some());
        put(self.threshold, threshold.map_or(THRESHOLD, f32::abs));
        put(self.below, threshold.is_some_and(|share| share.is_sign_negative()));
        let pin = address.name("from").zip(address.number("from-patch"));
        put(self.pin, pin.map(|(sample, patch)| (format!("{sample}.jpg"), patch)));
        put(self.seed, address.number("seed").unwrap_or(0));
        let key = address.get("compare");
        if key == self.compare.get_untracked().as_deref() {
            put(self.asked, None);
            return;
        }
        // On another host: only when the user says so, as for the first model. Files have no address at all.
        let elsewhere = key.filter(|key| *key == FILES || key.contains('/'));
        self.compare_source.set_value(None);
        put(self.compare, key.filter(|_| elsewhere.is_none()).map(str::to_owned));
        put(self.asked, elsewhere.map(str::to_owned));
    }

    /// Says in a link what differs from the defaults.
    pub(crate) fn write(self, address: &mut Address) {
        address.put("layer", self.layer.get());
        address.put("head", self.head.get());
        address.put("query", self.by_patch.get().then_some("patch"));
        let map = match self.map.get() {
            Map::One => None,
            Map::Heads => Some("heads"),
            Map::Rollout => Some("rollout"),
        };
        address.put("map", map);
        address.put("basis", self.shared.get().then_some("shared"));
        let sign = if self.below.get() { "-" } else { "" };
        address.put("foreground", self.cut.get().then(|| format!("{sign}{}", self.threshold.get())));
        let pin = self.pin.get().and_then(|(name, patch)| Some((sample_of(&name)?, patch)));
        address.put("from", pin.as_ref().map(|(sample, _)| sample));
        address.put("from-patch", pin.as_ref().map(|(_, patch)| patch));
        address.put("compare", self.asked.get().or(self.compare.get()));
        address.put("seed", Some(self.seed.get()).filter(|seed| *seed > 0));
    }

    /// What of it no link holds.
    pub(crate) fn missing(self) -> Vec<&'static str> {
        let other = self.compare.get();
        let files = other.as_deref().and_then(|key| match key {
            FILES => Some(texts::MISSING_FILES),
            key => key.starts_with(MADE).then_some(texts::MISSING_MADE),
        });
        let pin = self.pin.get().filter(|(name, _)| sample_of(name).is_none()).map(|_| texts::MISSING_PIN);
        files.into_iter().chain(pin).collect()
    }

    /// Drops what a link asks for and a model does not have; a sentence for each.
    pub(crate) fn check(self, model: &ModelInfo, patches: usize) -> Vec<String> {
        let dead = |value: RwSignal<Option<u32>>, count: usize| {
            let dead = value.get_untracked().filter(|&value| value as usize >= count);
            if dead.is_some() {
                value.set(None);
            }
            dead
        };
        let layer = dead(self.layer, model.depth).map(|layer| texts::no_layer(layer, model.depth));
        let head = dead(self.head, model.num_heads).map(|head| texts::no_head(head, model.num_heads));
        let pin = self.pin.get_untracked().filter(|&(_, patch)| patch as usize >= patches);
        let pin = pin.map(|(_, patch)| {
            self.pin.set(None);
            crate::texts::no_patch(patch, patches)
        });
        [layer, head, pin].into_iter().flatten().collect()
    }

    /// What is left out of the colours, if anything.
    pub(crate) fn foreground(self) -> Option<Foreground> {
        let foreground = Foreground { threshold: self.threshold.get(), below: self.below.get() };
        (self.shared.get() && self.cut.get()).then_some(foreground)
    }

    /// On how many images a model's basis is fitted.
    pub(crate) fn fitted(self, slot: Slot) -> RwSignal<Option<u32>> {
        self.fitted[usize::from(slot == Slot::Other)]
    }
}

/// The room.
#[component]
pub(crate) fn See(store: Store) -> impl IntoView {
    let turns = Turns::to(2);
    // Each map of the first model, and beside it the second one's.
    let paired = Memo::new(move |_| store.rooms.see.other.with(Option::is_some));
    let two = move || paired.get();
    view! {
        <p class="lead">{texts::LEAD}</p>
        <div class="maps">
            <div class="stage" class:pairs=two>
                <div>
                    <Input store />
                    <AttentionControls store />
                </div>
                <div>
                    <Attention store />
                    <Show when=two>
                        <Attention store of=Slot::Other />
                    </Show>
                </div>
                <Show when=turns.from(1)>
                    <div>
                        <Pca store />
                        <Show when=two>
                            <Pca store of=Slot::Other />
                        </Show>
                        <ColourControls store />
                    </div>
                </Show>
                <Show when=turns.from(2)>
                    <div>
                        <Similarity store />
                        <Show when=two>
                            <Similarity store of=Slot::Other />
                        </Show>
                        <PinControls store />
                    </div>
                </Show>
            </div>
        </div>
        <Show when=turns.from(2)>
            <Strip store />
            <Compare store />
        </Show>
    }
}
