//! The room Train: DINO or MAE learns in the page, step by step, on drawn pictures or the user's own.
//!
//! `run` drives the engine, one small command after another; `keep` saves the run, in one `tab` at a time; `replace` puts
//! another one in its place; `choice` holds what a link asks for against the run that stands, `settings` its settings; the
//! rest shows what comes back: `controls`, `health` with the collapse sandbox, `curves`, `looks`, `slow` (inside one step)
//! and `files`.

mod choice;
mod controls;
mod curves;
mod files;
mod health;
mod keep;
mod looks;
mod replace;
mod run;
mod settings;
mod slow;
mod tab;

use js_sys::Uint8Array;
use lab_protocol::train::{Curves, Look, Stages, Status, StepReport, Switches, Thumbnail};
use leptos::prelude::*;
use wasm_bindgen::JsValue;

pub(crate) use choice::Difference;
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

/// Drawn pictures: so many that a run does not learn them by heart.
const DRAWN: u64 = 8192;

/// How a model learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Self-distillation.
    Dino,
    /// Masked autoencoding.
    Mae,
}

impl Method {
    /// The one of a run.
    pub(crate) fn of(status: &Status) -> Self {
        Self::named(&status.method)
    }

    /// By its word in a link, or in a status.
    fn named(word: &str) -> Self {
        if word == "mae" { Self::Mae } else { Self::Dino }
    }

    /// Its word in a link.
    fn word(self) -> &'static str {
        match self {
            Self::Dino => "dino",
            Self::Mae => "mae",
        }
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

/// A step in slow motion: everything of it is of this one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inside {
    /// What it computed on its way.
    pub(crate) stages: Stages,
    /// Its pictures.
    pub(crate) pictures: Vec<Shown>,
    /// Its numbers.
    pub(crate) report: StepReport,
    /// The student's temperature.
    pub(crate) student_temp: f64,
}

impl Inside {
    /// Which step it is, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.report.step + 1
    }
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
    /// The switches of the collapse sandbox, as the run to come shall have them.
    pub(crate) wanted: RwSignal<Switches>,
    /// The choices say which run is meant; until then it is the one that the browser keeps.
    pub(crate) named: RwSignal<bool>,
    /// They are a link's.
    pub(crate) linked: RwSignal<bool>,
    /// A link has come, and nothing was done about it yet.
    pub(crate) asked: RwSignal<bool>,
    /// Why the run that was asked for could not begin.
    pub(crate) refused: RwSignal<Option<String>>,
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
    /// The last step in slow motion.
    pub(crate) inside: RwSignal<Option<Inside>>,
    /// The stage on show.
    pub(crate) stage: RwSignal<usize>,
    /// Where it was saved.
    pub(crate) saved: RwSignal<Saved>,
    /// Another tab keeps its run in this browser: the one here is not saved.
    pub(crate) elsewhere: RwSignal<bool>,
    /// The kept run was found at this step; and how far it had come when the page was left, where that was further.
    found: RwSignal<Option<(u64, Option<u64>)>>,
    /// The run that gave way to the one that stands.
    aside: RwSignal<Option<replace::Aside>, LocalStorage>,
    /// A command of the user's is under way.
    pub(crate) busy: RwSignal<bool>,
    /// The run as files in the page's hands, where the browser keeps none.
    held: StoredValue<Option<Vec<JsValue>>, LocalStorage>,
}

impl State {
    /// A room as nobody has used it yet.
    pub(crate) fn new() -> Self {
        Self {
            method: RwSignal::new(Method::Dino),
            own: RwSignal::new(false),
            settings: RwSignal::new(String::new()),
            wanted: RwSignal::new(Switches::default()),
            named: RwSignal::new(false),
            linked: RwSignal::new(false),
            asked: RwSignal::new(false),
            refused: RwSignal::new(None),
            pace: RwSignal::new(Pace::Full),
            playing: RwSignal::new(false),
            status: RwSignal::new(None),
            curves: RwSignal::new(Curves::default()),
            report: RwSignal::new(None),
            look: RwSignal::new(None),
            inside: RwSignal::new(None),
            stage: RwSignal::new(0),
            saved: RwSignal::new(Saved::Never),
            elsewhere: RwSignal::new(false),
            found: RwSignal::new(None),
            aside: RwSignal::new_local(None),
            busy: RwSignal::new(false),
            held: StoredValue::new_local(None),
        }
    }

    /// Takes over what a link says; what it does not say keeps its default. A link that names no run means the one that
    /// stands, or that the browser keeps.
    pub(crate) fn read(self, address: &Address) {
        put(
            self.pace,
            match address.get("pace") {
                Some("slow") => Pace::Slow,
                Some("calm") => Pace::Calm,
                _ => Pace::Full,
            },
        );
        put(self.stage, address.number::<usize>("stage").map_or(0, |stage| stage.saturating_sub(1)));
        let names = ["method", "data", "set", "off"].into_iter().any(|key| address.get(key).is_some());
        if !names && self.status.with_untracked(Option::is_some) {
            self.adopt();
            return;
        }
        put(self.method, Method::named(address.get("method").unwrap_or_default()));
        put(self.own, address.get("data") == Some("own"));
        put(self.settings, address.get("set").unwrap_or_default().replace(';', "\n"));
        let off = |name: &str| address.get("off").is_some_and(|off| off.split(',').any(|one| one == name));
        let mut wanted = Switches::default();
        health::SWITCHES.iter().for_each(|switch| *(switch.of)(&mut wanted) = !off(switch.key));
        put(self.wanted, wanted);
        put(self.named, names);
        put(self.linked, names);
        put(self.asked, names);
    }

    /// Says in a link which run it is, and what differs from the defaults.
    pub(crate) fn write(self, address: &mut Address) {
        let method = self.method.get();
        // The default is the run that the browser keeps, whatever it is: a link that means one says so.
        address.put("method", self.named.get().then_some(method.word()));
        address.put("data", self.own.get().then_some("own"));
        let settings = self.settings.get();
        let lines: Vec<&str> = settings.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        address.put("set", (!lines.is_empty()).then(|| lines.join(";")));
        let mut wanted = self.wanted.get();
        let off: Vec<&str> =
            health::SWITCHES.iter().filter(|switch| !*(switch.of)(&mut wanted)).map(|switch| switch.key).collect();
        address.put("off", (method == Method::Dino && !off.is_empty()).then(|| off.join(",")));
        address.put(
            "pace",
            match self.pace.get() {
                Pace::Slow => Some("slow"),
                Pace::Calm => Some("calm"),
                Pace::Full => None,
            },
        );
        address.put("stage", Some(self.stage.get() + 1).filter(|&stage| stage > 1));
    }

    /// How many steps the run has made, if there is one.
    pub(crate) fn steps(self) -> Option<u64> {
        self.status.with_untracked(|status| status.as_ref().map(|status| status.step))
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
                <div class="column">
                    <looks::Looks store />
                    <Show when=move || state.is_dino()>
                        <looks::Prototypes store />
                    </Show>
                </div>
                <Show when=move || state.is_dino()>
                    <health::Sandbox store />
                </Show>
            </div>
            <curves::CurvesPanel store />
            <files::Files store />
        </div>
    }
}
