//! The room Train: DINO or MAE learns in the page, step by step, on drawn pictures or the user's own.
//!
//! `run` drives the engine, one small command after another; the rest shows what comes back: `controls`, `health` with
//! the collapse sandbox, `curves`, `looks`, `slow` (inside one step) and `files`.

mod controls;
mod curves;
mod files;
mod health;
mod looks;
mod run;
mod slow;

use std::rc::Rc;

use js_sys::Uint8Array;
use lab_protocol::train::{Curves, Look, Stages, Status, StepReport, Thumbnail};
use leptos::prelude::*;

pub(crate) use run::{attend, leave};

use crate::hash::Address;
use crate::signals::put;
use crate::state::Store;
use crate::texts::train as texts;
use crate::widgets::thumbnail::url;

/// Whether there is something to see; an empty room stands in no navigation.
pub(crate) const FILLED: bool = true;
/// Images, model and engine stand beside it.
pub(crate) const BESIDE: bool = true;

/// Drawn pictures, unless the user says otherwise.
const DRAWN: u64 = 512;

/// How a model learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Self-distillation.
    Dino,
    /// Masked autoencoding.
    Mae,
}

impl Method {
    /// Its word in a status.
    pub(crate) fn of(status: &Status) -> Self {
        if status.method == "mae" { Self::Mae } else { Self::Dino }
    }
}

/// How fast it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Stage by stage inside every step.
    Slow,
    /// A step a second.
    Calm,
    /// As fast as the engine can.
    Full,
}

/// Where the run was last saved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Saved {
    /// Not yet.
    Never,
    /// In the browser, at this step.
    Browser(u64),
    /// Only in the page's memory, at this step; why.
    Page(u64, String),
}

/// A picture that can be shown: what it is, and its address.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    /// `image`, `reconstruction` …
    pub(crate) title: String,
    /// Pixels over pixels.
    pub(crate) wide: bool,
    /// For an `img`.
    pub(crate) src: String,
}

/// The state of this room. Copies are the same state.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// What to train next.
    pub(crate) method: RwSignal<Method>,
    /// On the user's images, not on drawn ones.
    pub(crate) own: RwSignal<bool>,
    /// `section.key=value` lines over the preset.
    pub(crate) settings: RwSignal<String>,
    /// How fast.
    pub(crate) pace: RwSignal<Pace>,
    /// Whether it goes.
    pub(crate) playing: RwSignal<bool>,
    /// The run on the engine.
    pub(crate) status: RwSignal<Option<Status>>,
    /// Its curves.
    pub(crate) curves: RwSignal<Curves>,
    /// Its last step.
    pub(crate) report: RwSignal<Option<StepReport>>,
    /// The last look, and its pictures.
    pub(crate) look: RwSignal<Option<(Look, Vec<Vec<Shown>>)>>,
    /// The last step in slow motion, and its pictures.
    pub(crate) stages: RwSignal<Option<(Stages, Vec<Shown>)>>,
    /// The stage on show.
    pub(crate) stage: RwSignal<usize>,
    /// Where it was saved.
    pub(crate) saved: RwSignal<Saved>,
    /// A command of the user's is under way.
    pub(crate) busy: RwSignal<bool>,
    /// The run as bytes in the page's hands, where the browser keeps none.
    held: StoredValue<Option<Rc<web_sys::Blob>>, LocalStorage>,
}

impl State {
    /// A room as nobody has used it yet.
    pub(crate) fn new() -> Self {
        Self {
            method: RwSignal::new(Method::Dino),
            own: RwSignal::new(false),
            settings: RwSignal::new(String::new()),
            pace: RwSignal::new(Pace::Full),
            playing: RwSignal::new(false),
            status: RwSignal::new(None),
            curves: RwSignal::new(Curves::default()),
            report: RwSignal::new(None),
            look: RwSignal::new(None),
            stages: RwSignal::new(None),
            stage: RwSignal::new(0),
            saved: RwSignal::new(Saved::Never),
            busy: RwSignal::new(false),
            held: StoredValue::new_local(None),
        }
    }

    /// Takes over what a link says; what it does not say keeps its default.
    pub(crate) fn read(self, address: &Address) {
        put(self.method, if address.get("method") == Some("mae") { Method::Mae } else { Method::Dino });
        put(self.own, address.get("data") == Some("own"));
        put(self.settings, address.get("set").unwrap_or_default().replace(';', "\n"));
        put(
            self.pace,
            match address.get("pace") {
                Some("slow") => Pace::Slow,
                Some("calm") => Pace::Calm,
                _ => Pace::Full,
            },
        );
    }

    /// Says in a link what differs from the defaults.
    pub(crate) fn write(self, address: &mut Address) {
        address.put("method", (self.method.get() == Method::Mae).then_some("mae"));
        address.put("data", self.own.get().then_some("own"));
        let settings = self.settings.get();
        let lines: Vec<&str> = settings.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        address.put("set", (!lines.is_empty()).then(|| lines.join(";")));
        address.put(
            "pace",
            match self.pace.get() {
                Pace::Slow => Some("slow"),
                Pace::Calm => Some("calm"),
                Pace::Full => None,
            },
        );
    }

    /// Whether the run trains self-distillation.
    pub(crate) fn is_dino(self) -> bool {
        self.status.with(|status| status.as_ref().is_none_or(|status| Method::of(status) == Method::Dino))
    }
}

/// The pictures of an answer, cut from its bytes.
fn cut(thumbnails: &[Thumbnail], bytes: &Uint8Array, offset: &mut u32) -> Vec<Shown> {
    let one = |thumbnail: &Thumbnail| {
        let length = 4 * thumbnail.width * thumbnail.height;
        let pixels = bytes.subarray(*offset, *offset + length).to_vec();
        *offset += length;
        let (title, wide) = (thumbnail.title.clone(), thumbnail.width > thumbnail.height);
        Shown { title, wide, src: url(thumbnail.width, thumbnail.height, &pixels) }
    };
    thumbnails.iter().map(one).collect()
}

/// The room.
#[component]
pub(crate) fn Train(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    run::arrive(store);
    view! {
        <p class="lead">{texts::LEAD}</p>
        <div class="train">
            <controls::Controls store />
            <health::Health store />
            <slow::Slow store />
            <div class="two">
                <looks::Looks store />
                <Show when=move || state.is_dino()>
                    <div class="column">
                        <health::Sandbox store />
                        <looks::Prototypes store />
                    </div>
                </Show>
            </div>
            <curves::CurvesPanel store />
            <files::Files store />
        </div>
    }
}
