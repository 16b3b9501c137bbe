//! The room Probe: classes from a few pictures, a classifier on frozen features, and search among embeddings.
//!
//! - this page: the room's state, and how it learns
//! - [`classes`]: pictures into classes, by file, by drop, by camera
//! - [`links`]: classes in the address; [`project`]: in a file, with their pictures
//! - [`result`]: how good it is
//! - [`ask`]: new pictures; [`search`]: embeddings made elsewhere

mod ask;
mod classes;
mod links;
mod project;
mod result;
mod search;

use std::collections::HashSet;
use std::time::Duration;

use js_sys::Array;
use lab_protocol::{Command, Event, ImageId, ProbeClass, ProbeCommand, ProbeEvent, ProbeFeatures, ProbeReport};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsValue;
use web_sys::{Blob, HtmlVideoElement, Url};

use crate::engine::gone;
use crate::hash::Address;
use crate::link::Link;
use crate::signals::put;
use crate::state::{Picture, Severity, Store};
use crate::texts::probe as texts;
use crate::webcam::Camera;
use ask::Ask;
use classes::Classes;
pub(crate) use project::attend;
use result::Outcome;
use search::Search;

/// Whether there is something to see; an empty room stands in no navigation.
pub(crate) const FILLED: bool = true;
/// Images, model and engine stand beside it.
pub(crate) const BESIDE: bool = true;

/// Learning waits so long for more changes.
const PAUSE: Duration = Duration::from_millis(250);
/// The example: samples that are alike to people.
const EXAMPLE: [(&str, [&str; 2]); 3] =
    [("cat", ["ginger-cat", "grey-cat"]), ("fruit", ["apples", "lemons"]), ("sea", ["harbour", "reef"])];
/// Neighbours that vote unless the link says otherwise.
const K: usize = 3;

/// A picture in a class.
#[derive(Clone)]
pub(crate) struct Shot {
    /// Its name for the engine.
    pub(crate) id: ImageId,
    /// Its name for people.
    pub(crate) name: String,
    /// The sample it is, if it is one.
    pub(crate) sample: Option<&'static str>,
    /// Its thumbnail's address.
    pub(crate) url: String,
    /// Its bytes, for an engine that starts later.
    pub(crate) blob: Blob,
}

/// A class.
#[derive(Clone)]
pub(crate) struct Class {
    /// Unique.
    pub(crate) id: u32,
    /// Its name for people.
    pub(crate) name: String,
    /// Its pictures.
    pub(crate) shots: Vec<Shot>,
}

/// Classes as a link holds them: names, and the samples in each.
type Described = Vec<(String, Vec<&'static str>)>;

/// What was learned.
#[derive(Clone)]
pub(crate) struct Trained {
    /// Names of the classes.
    pub(crate) names: Vec<String>,
    /// The pictures in the order of the reports; empty for a probe from a file.
    pub(crate) shots: Vec<Shot>,
    /// Nothing for a probe from a file.
    pub(crate) reports: Option<Reports>,
}

/// How good it is.
#[derive(Clone)]
pub(crate) struct Reports {
    /// By the votes of the nearest.
    pub(crate) knn: ProbeReport,
    /// By the linear classifier.
    pub(crate) linear: ProbeReport,
    /// To compute features, and to learn, in milliseconds.
    pub(crate) millis: [f64; 2],
}

/// Files that an engine was given: the next one gets them too.
#[derive(Debug, Clone, Default)]
struct Given {
    files: Vec<JsValue>,
    /// The store's edition in which they were last given.
    edition: u32,
}

impl Given {
    /// Whether there is an engine at work that does not hold them, for this model.
    fn is_due(&self, store: Store) -> bool {
        self.edition != store.edition.get_untracked() && store.link.with_untracked(Option::is_some)
    }
}

/// The state of this room. Copies are the same state.
#[derive(Clone, Copy)]
pub(crate) struct State {
    classes: RwSignal<Vec<Class>, LocalStorage>,
    features: RwSignal<ProbeFeatures>,
    k: RwSignal<usize>,
    c: RwSignal<f64>,
    standardise: RwSignal<bool>,
    /// Show the linear classifier, not the neighbours.
    linear: RwSignal<bool>,
    trained: RwSignal<Option<Trained>, LocalStorage>,
    learning: RwSignal<bool>,
    camera: Camera,
    video: RwSignal<Option<HtmlVideoElement>, LocalStorage>,
    /// The class that records.
    holding: RwSignal<Option<u32>>,
    asked: RwSignal<Vec<ask::Asked>, LocalStorage>,
    live: RwSignal<bool>,
    found: RwSignal<search::Found>,
    /// The probe's file, where it was opened and not learned.
    opened: StoredValue<Given, LocalStorage>,
    /// The files that are searched.
    searched: StoredValue<Given, LocalStorage>,
    /// The example was offered once.
    begun: RwSignal<bool>,
    /// Classes that a link asks for, until their pictures have come.
    asked_for: RwSignal<Option<Described>>,
    /// Something is to be learned, or is being learned.
    due: StoredValue<bool>,
    /// Classes with pictures of the visitor's own that gave way to others, until more do.
    before: RwSignal<Option<Vec<Class>>, LocalStorage>,
    /// The visitor's own pictures that the last project file holds.
    kept: StoredValue<Vec<ImageId>, LocalStorage>,
    /// Counts wishes to learn; an older one gives way.
    wish: StoredValue<u32>,
    /// Pictures that the engine of an era holds.
    sent: StoredValue<(u32, HashSet<ImageId>)>,
    /// Pictures that were removed before the engine held them: some may be on their way.
    removed: StoredValue<HashSet<ImageId>>,
}

impl State {
    /// A room as nobody has used it yet.
    pub(crate) fn new() -> Self {
        Self {
            classes: RwSignal::new_local(Vec::new()),
            features: RwSignal::new(ProbeFeatures::Cls),
            k: RwSignal::new(K),
            c: RwSignal::new(1.0),
            standardise: RwSignal::new(true),
            linear: RwSignal::new(true),
            trained: RwSignal::new_local(None),
            learning: RwSignal::new(false),
            camera: Camera::new(),
            video: RwSignal::new_local(None),
            holding: RwSignal::new(None),
            asked: RwSignal::new_local(Vec::new()),
            live: RwSignal::new(false),
            found: RwSignal::new(search::Found::default()),
            opened: StoredValue::new_local(Given::default()),
            searched: StoredValue::new_local(Given::default()),
            begun: RwSignal::new(false),
            asked_for: RwSignal::new(None),
            due: StoredValue::new(false),
            before: RwSignal::new_local(None),
            kept: StoredValue::new_local(Vec::new()),
            wish: StoredValue::new(0),
            sent: StoredValue::new((0, HashSet::new())),
            removed: StoredValue::new(HashSet::new()),
        }
    }

    /// Takes over what a link says; what it does not say keeps its default.
    pub(crate) fn read(self, address: &Address) {
        let features = match address.get("features") {
            Some("mean") => ProbeFeatures::Mean,
            Some("both") => ProbeFeatures::Both,
            _ => ProbeFeatures::Cls,
        };
        put(self.features, features);
        put(self.k, address.number("k").filter(|k| (1..=1000).contains(k)).unwrap_or(K));
        put(self.c, address.number("c").filter(|c: &f64| c.is_finite() && *c > 0.0).unwrap_or(1.0));
        put(self.standardise, address.get("scale") != Some("raw"));
        put(self.linear, address.get("by") != Some("knn"));
        // A link without classes leaves those that are here: they may hold pictures that no link can bring back.
        let here = self.classes.with_untracked(|classes| describe(classes));
        put(self.asked_for, links::read(address).filter(|asked| !self.begun.get_untracked() || *asked != here));
    }

    /// Says in a link what differs from the defaults.
    pub(crate) fn write(self, address: &mut Address) {
        let features = match self.features.get() {
            ProbeFeatures::Cls => None,
            ProbeFeatures::Mean => Some("mean"),
            ProbeFeatures::Both => Some("both"),
        };
        address.put("features", features);
        address.put("k", Some(self.k.get()).filter(|&k| k != K));
        address.put("c", Some(self.c.get()).filter(|&c| c != 1.0));
        address.put("scale", (!self.standardise.get()).then_some("raw"));
        address.put("by", (!self.linear.get()).then_some("knn"));
        match (self.asked_for.get(), self.begun.get()) {
            (Some(asked), _) => links::write(&asked, address),
            (None, true) => links::write(&self.classes.with(|classes| describe(classes)), address),
            (None, false) => {}
        }
    }

    /// What of it no link holds.
    pub(crate) fn missing(self) -> Vec<&'static str> {
        let own = self.classes.with(|classes| has_own(classes));
        let opened = self.trained.with(|trained| trained.as_ref().is_some_and(|trained| trained.reports.is_none()));
        let asked = self.asked.with(|asked| !asked.is_empty());
        let all = [(own, texts::MISSING_CLASSES), (opened, texts::MISSING_PROBE), (asked, texts::MISSING_ASKED)];
        all.into_iter().filter(|(missing, _)| *missing).map(|(_, words)| words).collect()
    }
}

/// Names, and the samples among the pictures.
fn describe(classes: &[Class]) -> Described {
    let samples = |class: &Class| class.shots.iter().filter_map(|shot| shot.sample).collect();
    classes.iter().map(|class| (class.name.clone(), samples(class))).collect()
}

/// Whether there are pictures of the visitor's own.
fn has_own(classes: &[Class]) -> bool {
    classes.iter().flat_map(|class| &class.shots).any(|shot| shot.sample.is_none())
}

/// The room.
#[component]
pub(crate) fn Probe(store: Store) -> impl IntoView {
    let state = store.rooms.probe;
    Effect::new(move || {
        // What a link asks for, or an example before the first click, once the pictures have come.
        let (asked, begun) = (state.asked_for.get(), state.begun.get());
        if !store.samples_done.get() || (begun && asked.is_none()) {
            return;
        }
        batch(|| {
            state.begun.set(true);
            state.asked_for.set(None);
            match asked {
                Some(_) if state.classes.with_untracked(|classes| has_own(classes)) => {
                    store.tell(Severity::Warning, texts::OWN_STAY);
                }
                Some(asked) => fill(store, asked),
                None if state.classes.with_untracked(Vec::is_empty) => example(store),
                None => {}
            }
        });
    });
    Effect::new(move || {
        state.classes.track();
        state.features.track();
        state.k.track();
        state.c.track();
        state.standardise.track();
        store.edition.track();
        wish(store);
    });
    Effect::new(move || {
        // Another engine, or another model, knows nothing of what was opened.
        store.edition.track();
        spawn_local(async move {
            result::again(store).await;
            search::again(store).await;
        });
    });
    on_cleanup(move || {
        let _ = state.live.try_set(false);
        let _ = state.holding.try_set(None);
        close_camera(store);
    });
    view! {
        <p class="lead">{texts::LEAD}</p>
        <div class="probe">
            <Classes store />
            <div>
                <Outcome store />
                <Ask store />
                <Search store />
            </div>
        </div>
    }
}

/// Fills the classes with the example.
fn example(store: Store) {
    fill(store, EXAMPLE.map(|(name, samples)| (name.to_owned(), samples.to_vec())).to_vec());
}

/// Fills the classes with samples.
fn fill(store: Store, described: Described) {
    let pictures = store.images.get_untracked();
    let classes = described.into_iter().map(|(name, samples)| {
        let shots = samples.into_iter().filter_map(|sample| {
            Some(shown(store, pictures.iter().find(|picture| picture.sample == Some(sample))?.clone()))
        });
        Class { id: store.number(), name, shots: shots.collect() }
    });
    replace(store, classes.collect());
}

/// Puts classes in the place of those that are here. Pictures of the visitor's own can be brought back until the next time.
fn replace(store: Store, classes: Vec<Class>) {
    let state = store.rooms.probe;
    let old = state.classes.get_untracked();
    let stays: HashSet<ImageId> = classes.iter().flat_map(|class| &class.shots).map(|shot| shot.id).collect();
    let kept = has_own(&old);
    let gone = if kept { state.before.get_untracked().unwrap_or_default() } else { old.clone() };
    let held: HashSet<ImageId> =
        old.iter().filter(|_| kept).flat_map(|class| &class.shots).map(|shot| shot.id).chain(stays).collect();
    gone.iter()
        .flat_map(|class| &class.shots)
        .filter(|shot| !held.contains(&shot.id))
        .for_each(|shot| forget(store, shot));
    batch(|| {
        if kept {
            state.before.set(Some(old));
        }
        state.classes.set(classes);
    });
}

/// Puts the classes that gave way last in their place again.
fn bring_back(store: Store) {
    let state = store.rooms.probe;
    if let Some(before) = state.before.get_untracked() {
        state.before.set(None);
        replace(store, before);
    }
}

/// A picture of this room, with a number and a thumbnail of its own.
fn shot(store: Store, blob: Blob, name: String) -> Shot {
    let url = Url::create_object_url_with_blob(&blob).unwrap_or_default();
    Shot { id: ImageId(store.number()), name, sample: None, url, blob }
}

/// One of the page's pictures, taken into this room.
fn shown(store: Store, picture: Picture) -> Shot {
    Shot { sample: picture.sample, ..shot(store, picture.blob, picture.name) }
}

/// Forgets a picture here and in the engine.
fn forget(store: Store, shot: &Shot) {
    drop(Url::revoke_object_url(&shot.url));
    let known = store.rooms.probe.sent.try_update_value(|(_, sent)| sent.remove(&shot.id)).unwrap_or(false);
    if !known {
        store.rooms.probe.removed.update_value(|removed| {
            removed.insert(shot.id);
        });
    } else if let Some(link) = store.link.get_untracked() {
        let image = shot.id;
        spawn_local(async move { drop(link.ask(Command::RemoveImage { image }, &[]).await) });
    }
}

/// Hands pictures to the engine that it does not hold yet.
async fn send(store: Store, link: &Link, shots: &[Shot]) -> Result<(), String> {
    let state = store.rooms.probe;
    let era = store.era.get_untracked();
    if state.sent.with_value(|(of, _)| *of != era) {
        state.sent.set_value((era, HashSet::new()));
    }
    for shot in shots {
        let removed = || state.removed.with_value(|removed| removed.contains(&shot.id));
        if removed() || state.sent.with_value(|(_, sent)| sent.contains(&shot.id)) {
            continue;
        }
        let command = Command::AddImage { image: shot.id, name: shot.name.clone() };
        link.ask(command, &[shot.blob.clone().into()]).await?;
        if removed() {
            link.ask(Command::RemoveImage { image: shot.id }, &[]).await?;
            continue;
        }
        state.sent.update_value(|(of, sent)| {
            // Another engine may have come meanwhile, which holds none of them.
            if *of == era {
                sent.insert(shot.id);
            }
        });
    }
    Ok(())
}

/// Asks the engine at work something of this room.
async fn ask_probe(
    store: Store,
    command: ProbeCommand,
    attachments: &[JsValue],
) -> Result<(ProbeEvent, Array), String> {
    let link = store.link.get_untracked().ok_or(crate::texts::NO_ENGINE)?;
    ask_of(&link, command, attachments).await
}

/// Asks an engine something of this room.
async fn ask_of(link: &Link, command: ProbeCommand, attachments: &[JsValue]) -> Result<(ProbeEvent, Array), String> {
    match link.ask(Command::Probe(command), attachments).await? {
        (Event::Probe(event), back) => Ok((event, back)),
        _ => Err(crate::texts::UNEXPECTED.to_owned()),
    }
}

/// Learns a little later, when nothing has changed meanwhile.
fn wish(store: Store) {
    let state = store.rooms.probe;
    let wish = state.wish.get_value() + 1;
    state.wish.set_value(wish);
    state.due.set_value(true);
    set_timeout(
        move || {
            spawn_local(async move {
                if state.wish.get_value() == wish {
                    learn(store, wish).await;
                }
                if state.wish.get_value() == wish {
                    state.due.set_value(false);
                }
            });
        },
        PAUSE,
    );
}

/// Enough to learn from: two classes, and two pictures in each that has any.
fn enough(classes: &[Class]) -> bool {
    let used: Vec<usize> = classes.iter().map(|class| class.shots.len()).filter(|&count| count > 0).collect();
    used.len() >= 2 && used.iter().all(|&count| count >= 2)
}

async fn learn(store: Store, wish: u32) {
    let state = store.rooms.probe;
    let mut classes = state.classes.get_untracked();
    let link = store.link.get_untracked().filter(|_| store.model.with_untracked(Option::is_some));
    let Some(link) = link.filter(|_| enough(&classes)) else {
        // What was being learned is not wanted any more.
        state.learning.set(false);
        // A probe from a file stays until there are pictures.
        if classes.iter().any(|class| !class.shots.is_empty()) {
            state.trained.set(None);
        }
        return;
    };
    classes.retain(|class| !class.shots.is_empty());
    let shots: Vec<Shot> = classes.iter().flat_map(|class| class.shots.clone()).collect();
    let names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
    state.learning.set(true);
    let answer = async {
        send(store, &link, &shots).await?;
        let command = ProbeCommand::Train {
            classes: classes
                .iter()
                .map(|class| ProbeClass {
                    name: class.name.clone(),
                    images: class.shots.iter().map(|shot| shot.id).collect(),
                })
                .collect(),
            features: state.features.get_untracked(),
            k: state.k.get_untracked(),
            c: state.c.get_untracked(),
            standardise: state.standardise.get_untracked(),
        };
        ask_of(&link, command, &[]).await
    }
    .await;
    if state.wish.get_value() != wish {
        return; // a newer wish answers
    }
    state.learning.set(false);
    match answer {
        Ok((ProbeEvent::Trained { knn, linear, features_millis, learn_millis }, _)) => {
            let reports = Reports { knn: *knn, linear: *linear, millis: [features_millis, learn_millis] };
            state.trained.set(Some(Trained { names, shots, reports: Some(reports) }));
            ask::again(store).await;
        }
        Ok(_) => store.tell(Severity::Error, crate::texts::UNEXPECTED),
        // Another engine is at work, or comes: it learns by a wish of its own.
        Err(sentence) if gone(store, &link, &sentence) => {}
        Err(sentence) => {
            state.trained.set(None);
            store.tell(Severity::Error, sentence);
        }
    }
}

/// Switches the camera on, or says why not.
async fn open_camera(store: Store) -> bool {
    store.rooms.probe.camera.open().await.unwrap_or_else(|sentence| {
        store.tell(Severity::Error, sentence);
        false
    })
}

fn close_camera(store: Store) {
    let state = store.rooms.probe;
    state.camera.close();
    let _ = state.video.try_set(None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests;
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn pictures_of_ones_own_give_way_and_come_back() {
        let _owner = tests::owned();
        let store = tests::store("#room=probe");
        let state = store.rooms.probe;
        let class = |shots| vec![Class { id: store.number(), name: "one".to_owned(), shots }];
        let mine = || shot(store, Blob::new().unwrap(), "mine.jpg".to_owned());
        let sample = || Shot { sample: Some("reef"), ..mine() };
        let names =
            || state.classes.with_untracked(|all| all.iter().map(|class| class.shots.len()).collect::<Vec<_>>());
        let kept = || state.before.with_untracked(Option::is_some);
        state.classes.set(class(vec![sample()]));
        replace(store, class(vec![mine(), mine()]));
        assert!(!kept(), "samples come again by themselves");
        replace(store, class(Vec::new()));
        assert_eq!((names(), kept()), (vec![0], true));
        // What is put in their place takes nothing from them, also when it gives way itself.
        replace(store, class(vec![sample()]));
        assert!(kept());
        bring_back(store);
        assert_eq!((names(), kept()), (vec![2], false));
        // A class alone: the other one's pictures are in both.
        let both = [state.classes.get_untracked(), class(vec![mine()])].concat();
        state.classes.set(both.clone());
        replace(store, both[..1].to_vec());
        bring_back(store);
        assert_eq!(names(), [2, 1]);
        let gone =
            state.removed.with_value(|removed| both.iter().flat_map(|it| &it.shots).any(|it| removed.contains(&it.id)));
        assert!(!gone, "a picture that stays was taken from the engine");
    }
}
