//! One store: everything the page knows. Plain signals; who changes them is written beside each.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::time::Duration;

use lab_protocol::{EngineInfo, EngineKind, ImageId, MADE, ModelInfo, ModelSource, Palette, Summary};
use leptos::prelude::*;
use web_sys::{Blob, Event, File, HtmlInputElement};

use crate::grid;
use crate::hash::{self, Address};
use crate::link::Link;
use crate::offers::Offer;
use crate::registry;
use crate::rooms::{Room, States};
use crate::signals;
use crate::{stored, texts};

/// An image that the user or a sample gave us.
#[derive(Clone)]
pub(crate) struct Picture {
    /// Its name for the engine.
    pub(crate) id: ImageId,
    /// Its name for people: the file's.
    pub(crate) name: String,
    /// The sample it is, if it is one.
    pub(crate) sample: Option<&'static str>,
    /// A `blob:` address for its thumbnail.
    pub(crate) url: String,
    /// Its bytes, for an engine that starts later.
    pub(crate) blob: Blob,
}

/// Where the model comes from, for an engine that starts later.
#[derive(Clone)]
pub(crate) enum Source {
    /// What a visitor meets who asks for none: which it is the manifest tells; where there is none, as [`Self::BuiltIn`].
    First,
    /// The one that needs no file, with random weights.
    BuiltIn,
    /// A masked autoencoder that has learned nothing.
    UntrainedMae,
    /// The main model's architecture with random weights.
    Twin(u32),
    /// A folder that lies beside the page.
    Beside(String),
    /// The user's files.
    Files(Vec<File>),
    /// The network of a run of this page: its name, and its files.
    Run(String, Vec<File>),
    /// A folder on a server.
    Url(String),
    /// A model in the store: its key, and what it was fetched by.
    Stored {
        /// In the store.
        key: String,
        /// In a link.
        source: String,
    },
}

impl Source {
    /// What the engine is told, and the files that go with it.
    pub(crate) fn told(self) -> (ModelSource, Vec<File>) {
        match self {
            Self::First | Self::BuiltIn => (ModelSource::BuiltIn, Vec::new()),
            Self::UntrainedMae => (ModelSource::UntrainedMae, Vec::new()),
            Self::Twin(seed) => (ModelSource::Twin { seed }, Vec::new()),
            Self::Beside(id) => (ModelSource::Url { url: registry::address(&id) }, Vec::new()),
            Self::Files(files) | Self::Run(_, files) => (ModelSource::Files, files),
            Self::Url(url) => (ModelSource::Url { url }, Vec::new()),
            Self::Stored { key, .. } => (ModelSource::Stored { key }, Vec::new()),
        }
    }

    /// Its word in a link; the user's files have none.
    pub(crate) fn key(&self) -> Option<String> {
        match self {
            Self::First | Self::Files(_) | Self::Run(..) => None,
            Self::BuiltIn => Some("built-in".to_owned()),
            Self::UntrainedMae => Some("untrained-mae".to_owned()),
            Self::Twin(_) => Some("twin".to_owned()),
            Self::Beside(id) => Some(id.clone()),
            Self::Url(url) => Some(url.clone()),
            Self::Stored { source, .. } => Some(source.clone()),
        }
    }

    /// The reverse of [`key`](Self::key).
    pub(crate) fn of_key(key: &str, seed: u32) -> Self {
        if let Some(made) = key.strip_prefix(MADE) {
            return Self::Stored { key: made.to_owned(), source: key.to_owned() };
        }
        match key {
            "built-in" => Self::BuiltIn,
            "untrained-mae" => Self::UntrainedMae,
            "twin" => Self::Twin(seed),
            // A repository or an address.
            url if url.contains('/') => Self::Url(url.to_owned()),
            id => Self::Beside(id.to_owned()),
        }
    }
}

/// What computes, or why nothing does.
#[derive(Clone, PartialEq)]
pub(crate) enum EngineState {
    /// On its way.
    Starting(EngineKind),
    /// At work.
    Running(EngineInfo),
    /// Ended; one sentence.
    Stopped(String),
}

/// What the bar shows.
#[derive(Clone, PartialEq)]
pub(crate) struct Progress {
    /// "reading weights".
    pub(crate) task: String,
    /// Done so far.
    pub(crate) done: u64,
    /// All there is to do; 0 when unknown.
    pub(crate) total: u64,
    /// "bytes", "tensors", "kernels".
    pub(crate) unit: String,
}

/// How long a success stays on the page.
const READ: Duration = Duration::from_secs(8);

/// How serious a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Something was done; it goes by itself.
    Done,
    /// The work goes on.
    Warning,
    /// Something could not be done.
    Error,
}

/// A sentence that stays until the user sends it away, or has had the time to read that all is well.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Unique.
    pub(crate) id: u32,
    /// How serious.
    pub(crate) severity: Severity,
    /// One or two sentences.
    pub(crate) text: String,
}

/// What a view last showed.
#[derive(Clone, PartialEq)]
pub(crate) struct Shown {
    /// Numbers behind the picture.
    pub(crate) summary: Summary,
    /// The value of every patch, row by row; where a patch has three, plane by plane.
    pub(crate) values: Vec<f32>,
    /// From command to picture.
    pub(crate) millis: f64,
}

/// Everything the page knows. Copies are the same store.
#[derive(Clone, Copy)]
pub(crate) struct Store {
    /// The room that is open.
    pub(crate) room: RwSignal<Room>,
    /// How components are coloured.
    pub(crate) palette: RwSignal<Palette>,
    /// What each room keeps for itself.
    pub(crate) rooms: States,
    /// All images, in the order they came. Written by `inputs`.
    pub(crate) images: RwSignal<Vec<Picture>, LocalStorage>,
    /// The one on show.
    pub(crate) selected: RwSignal<Option<ImageId>>,
    /// The engine at work; a new one means new canvases. Written by `engine`.
    pub(crate) link: RwSignal<Option<Link>, LocalStorage>,
    /// Counts engines, so that canvases can be made anew.
    pub(crate) era: RwSignal<u32>,
    /// Counts models, so that pictures can be drawn anew.
    pub(crate) edition: RwSignal<u32>,
    /// What computes.
    pub(crate) engine: RwSignal<EngineState>,
    /// Why this engine and not the other.
    pub(crate) why: RwSignal<String>,
    /// What the self-check of the engine at work found.
    pub(crate) verdict: RwSignal<String>,
    /// The engine that the user insists on.
    pub(crate) wanted: RwSignal<Option<EngineKind>>,
    /// The model on the engine.
    pub(crate) model: RwSignal<Option<ModelInfo>>,
    /// Every sample has come or has been given up.
    pub(crate) samples_done: RwSignal<bool>,
    /// The models that lie beside the page; `None` until the manifest has come.
    pub(crate) offers: RwSignal<Option<Vec<Offer>>>,
    /// The model that a link asks for and that is not at work yet, as the link names it: it is looked for among those
    /// kept, or waits for the user's word. The address keeps it until another one is chosen.
    pub(crate) awaited: RwSignal<Option<String>>,
    /// What stands in the field for a model's address.
    pub(crate) offered: RwSignal<String>,
    /// A link was read, and what it asks for has not been held against a model yet.
    pub(crate) unchecked: RwSignal<bool>,
    /// The fingerprint of the weights that a link was made with.
    pub(crate) weights: RwSignal<Option<String>>,
    /// Where the model comes from.
    pub(crate) source: StoredValue<Source, LocalStorage>,
    /// Images that the engine holds.
    pub(crate) sent: RwSignal<HashSet<ImageId>>,
    /// Images whose embedding the engine holds for this model, and how many patch rows and columns each has.
    pub(crate) embedded: RwSignal<HashMap<ImageId, [usize; 2]>>,
    /// Images that this model could not take.
    pub(crate) failed: RwSignal<HashSet<ImageId>>,
    /// Patch rows and columns of the image on show.
    pub(crate) grid: RwSignal<[usize; 2]>,
    /// The chosen patch; `None` is the middle one.
    pub(crate) patch: RwSignal<Option<u32>>,
    /// Where a pointer is on a picture, in shares of its width and height: a cursor on all of them.
    pub(crate) hover: RwSignal<Option<[f64; 2]>>,
    /// Images near the one on show, by falling cosine.
    pub(crate) neighbours: RwSignal<Vec<(ImageId, f32)>>,
    /// Models kept in the browser.
    pub(crate) stored: stored::State,
    /// What each view showed last, by its name for tests: for texts that speak of the numbers on the screen.
    pub(crate) shown: RwSignal<HashMap<&'static str, Shown>>,
    /// A sample that a link or a tour wants to see, until it has come.
    pub(crate) sample: RwSignal<Option<String>>,
    /// Something long that is under way.
    pub(crate) progress: RwSignal<Option<Progress>>,
    /// Sentences that wait to be read, the newest first.
    pub(crate) notices: RwSignal<Vec<Notice>>,
    next: StoredValue<u32>,
}

impl Store {
    /// A store that starts where the address says.
    pub(crate) fn new(address: &Address) -> Self {
        let (room, rooms) = (Room::of(address), States::new());
        let engine = address.get("engine").and_then(hash::engine);
        rooms.read(room, address);
        // A link may name a model; one on another host is fetched only when the user says so.
        let wished = address.get("model").map(|key| Source::of_key(key, 0)).unwrap_or(Source::First);
        let (source, awaited) = match wished {
            Source::Url(url) => (Source::First, Some(url)),
            source => (source, None),
        };
        Self {
            room: RwSignal::new(room),
            palette: RwSignal::new(hash::palette(address)),
            rooms,
            images: RwSignal::new_local(Vec::new()),
            selected: RwSignal::new(None),
            link: RwSignal::new_local(None),
            era: RwSignal::new(0),
            edition: RwSignal::new(0),
            engine: RwSignal::new(EngineState::Starting(engine.unwrap_or(EngineKind::Cpu))),
            why: RwSignal::new(String::new()),
            verdict: RwSignal::new(String::new()),
            wanted: RwSignal::new(engine),
            model: RwSignal::new(None),
            samples_done: RwSignal::new(false),
            offers: RwSignal::new(None),
            awaited: RwSignal::new(awaited),
            offered: RwSignal::new(String::new()),
            unchecked: RwSignal::new(true),
            weights: RwSignal::new(hash::fingerprint(address)),
            source: StoredValue::new_local(source),
            sent: RwSignal::new(HashSet::new()),
            embedded: RwSignal::new(HashMap::new()),
            failed: RwSignal::new(HashSet::new()),
            grid: RwSignal::new([0, 0]),
            patch: RwSignal::new(address.number("patch")),
            hover: RwSignal::new(None),
            neighbours: RwSignal::new(Vec::new()),
            stored: stored::State::new(),
            shown: RwSignal::new(HashMap::new()),
            sample: RwSignal::new(None),
            progress: RwSignal::new(None),
            notices: RwSignal::new(Vec::new()),
            next: StoredValue::new(1),
        }
    }

    /// A number never given before: for images, canvases and notices alike.
    pub(crate) fn number(self) -> u32 {
        let number = self.next.get_value();
        self.next.set_value(number + 1);
        number
    }

    /// Tells the user something; the same sentence is not shown twice, the newest stands first.
    pub(crate) fn tell(self, severity: Severity, text: impl Into<String>) {
        let (id, text) = (self.number(), text.into());
        self.notices.update(|notices| {
            notices.retain(|other| other.text != text);
            notices.insert(0, Notice { id, severity, text });
        });
        if severity == Severity::Done {
            set_timeout(move || self.unsay(id), READ);
        }
    }

    /// Takes a number that was typed into a field where it fits; else as [`refuse`](Self::refuse). Whether it was taken.
    pub(crate) fn typed<T>(self, event: &Event, signal: RwSignal<T>, fits: impl Fn(&T) -> bool, expected: &str) -> bool
    where
        T: Copy + FromStr + ToString + Send + Sync + 'static,
    {
        let value = event_target_value(event).parse().ok().filter(fits);
        match value {
            Some(value) => signal.set(value),
            None => self.refuse(event, &signal.get_untracked().to_string(), expected),
        }
        value.is_some()
    }

    /// What was typed into a field does not fit: it shows what stands again, and why is said.
    pub(crate) fn refuse(self, event: &Event, stands: &str, expected: &str) {
        event_target::<HtmlInputElement>(event).set_value(stands);
        self.tell(Severity::Warning, texts::stands(expected, stands));
    }

    /// Takes a notice away.
    pub(crate) fn unsay(self, id: u32) {
        // The page may be gone by then.
        let _ = self.notices.try_update(|notices| notices.retain(|notice| notice.id != id));
    }

    /// Whether an engine is still the one at work: what fails on one that was exchanged meanwhile is no failure.
    pub(crate) fn runs_on(self, link: &Link) -> bool {
        self.link.get_untracked().is_some_and(|now| now.same(link))
    }

    /// The image on show.
    pub(crate) fn picture(self) -> Option<Picture> {
        let selected = self.selected.get();
        self.images.with(|images| images.iter().find(|picture| Some(picture.id) == selected).cloned())
    }

    /// As [`Store::picture`], for event handlers.
    pub(crate) fn picture_untracked(self) -> Option<Picture> {
        untrack(|| self.picture())
    }

    /// There is no picture, and none is on its way.
    pub(crate) fn bare(self) -> bool {
        self.samples_done.get() && self.images.with(Vec::is_empty)
    }

    /// The chosen patch, within the grid.
    pub(crate) fn patch(self) -> u32 {
        let grid = self.grid.get();
        let count = (grid[0] * grid[1]) as u32;
        self.patch.get().filter(|&patch| patch < count).unwrap_or_else(|| grid::middle(grid))
    }

    /// Patch rows and columns of an image: until it is embedded those of the one on show.
    pub(crate) fn grid_in(self, image: ImageId) -> [usize; 2] {
        self.embedded.with(|embedded| embedded.get(&image).copied()).unwrap_or_else(|| self.grid.get())
    }

    /// Lays another grid below the chosen patch and the kept one, which stay where they are on the picture; a kept one whose
    /// own picture is embedded has that one's. What a link has just brought speaks of the grid that comes.
    pub(crate) fn set_grid(self, grid: [usize; 2]) {
        let before = self.grid.get_untracked();
        let moves = before != grid && before != [0, 0] && !self.unchecked.get_untracked();
        let moved = |patch: u32| if moves { grid::patch_in_grid(patch, before, grid) } else { patch };
        let pin = self.rooms.see.pin;
        batch(|| {
            signals::put(self.patch, self.patch.get_untracked().map(moved));
            let has_its_own = |(image, _)| self.embedded.with_untracked(|embedded| embedded.contains_key(&image));
            if !untrack(|| self.pin()).is_some_and(has_its_own) {
                signals::put(pin, pin.get_untracked().map(|(name, patch)| (name, moved(patch))));
            }
            signals::put(self.grid, grid);
        });
    }

    /// As [`Store::patch`], for event handlers.
    pub(crate) fn patch_untracked(self) -> u32 {
        untrack(|| self.patch())
    }

    /// The sample that a link names; says so where there is none.
    pub(crate) fn sample_named(self, name: &str) -> Option<&'static str> {
        let found = texts::SAMPLES.iter().map(|sample| sample.name).find(|sample| *sample == name);
        if found.is_none() {
            self.tell(Severity::Warning, texts::unknown_sample(name));
        }
        found
    }

    /// Shows a sample, now or as soon as it has come.
    pub(crate) fn wish_sample(self, sample: &str) {
        let Some(sample) = self.sample_named(sample) else { return };
        let known = self.images.with_untracked(|images| {
            images.iter().find(|picture| picture.sample == Some(sample)).map(|picture| picture.id)
        });
        match known {
            Some(id) => signals::put(self.selected, Some(id)),
            None => self.sample.set(Some(sample.to_owned())),
        }
    }

    /// The link to a room as it stands now.
    pub(crate) fn address(self, room: Room) -> Address {
        let mut address = Address::default();
        address.put("room", (room != Room::default()).then_some(room.key()));
        address.put("sample", self.picture().and_then(|picture| picture.sample));
        self.model.track();
        let awaited = self.awaited.get();
        let stands_in = awaited.is_some();
        address.put("model", awaited.or_else(|| self.source.get_value().key()));
        let fingerprint = self.model.with(|model| Some(model.as_ref()?.fingerprint.clone())).filter(|_| !stands_in);
        // Until its model is there the link keeps the weights that it came with.
        address.put("weights", fingerprint.or(self.weights.get()).filter(|digits| !digits.is_empty()));
        address.put("patch", self.patch.get());
        address.put("engine", self.wanted.get().map(|kind| hash::engine_name(Some(kind))));
        address.put("palette", (self.palette.get() == Palette::BlueYellow).then_some(hash::SAFE));
        self.rooms.write(room, &mut address);
        address
    }
}
