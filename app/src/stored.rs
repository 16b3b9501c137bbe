//! Models kept in the browser, as the page sees them: what is kept, the download under way, whether the page works
//! without a network.
//!
//! The store itself lies in the worker. A download lives as long as its worker; when the engine changes on the way, the
//! next one goes on where it was cut.

use std::time::Duration;

use lab_protocol::{Command, Event, StorageCommand, StorageEvent, StoredModel};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::engine;
use crate::link::Link;
use crate::rooms::train;
use crate::signals::{pause, put};
use crate::state::{EngineState, Severity, Source, Store};
use crate::texts::storage as texts;

/// How the engine's word for a download begins.
pub(crate) const TASK: &str = "fetching ";
/// So long the browser may take to count what was written.
const COUNTED: Duration = Duration::from_secs(1);
/// Milliseconds until it is asked again whether an engine has come.
const WAIT: i32 = 100;
/// Where the browser remembers the hub's address.
const MIRROR: &str = "lab-mirror";

/// The store's state. Copies are the same state.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// What is kept, the one used last first.
    pub(crate) models: RwSignal<Vec<StoredModel>>,
    /// Bytes that this site takes, and may take.
    pub(crate) room: RwSignal<[u64; 2]>,
    /// Whether the browser promised to keep it when the disk runs full; nothing before it was asked.
    pub(crate) persisted: RwSignal<Option<bool>>,
    /// The download under way.
    pub(crate) fetching: RwSignal<Option<Fetching>>,
    /// Another hub than Hugging Face's own; empty for that.
    pub(crate) mirror: RwSignal<String>,
    /// The page works without a network from now on.
    pub(crate) offline: RwSignal<bool>,
    /// A newer version of the page waits.
    pub(crate) update: RwSignal<bool>,
    /// What the link asks for was looked for.
    granted: StoredValue<bool>,
}

/// A download under way.
#[derive(Clone, PartialEq)]
pub(crate) struct Fetching {
    /// What the user asked for.
    pub(crate) source: String,
    /// The file that comes.
    pub(crate) file: String,
    /// Bytes of it that are here.
    pub(crate) done: u64,
    /// All of its bytes; 0 when unknown.
    pub(crate) total: u64,
    /// When it began, in milliseconds, and with how many bytes: for its speed.
    began: Option<(f64, u64)>,
    /// Seconds that are left, by the speed so far.
    pub(crate) seconds: Option<f64>,
}

impl State {
    /// Nothing known yet.
    pub(crate) fn new() -> Self {
        Self {
            models: RwSignal::new(Vec::new()),
            room: RwSignal::new([0, 0]),
            persisted: RwSignal::new(None),
            fetching: RwSignal::new(None),
            mirror: RwSignal::new(storage().and_then(|kept| kept.get_item(MIRROR).ok().flatten()).unwrap_or_default()),
            offline: RwSignal::new(false),
            update: RwSignal::new(false),
            granted: StoredValue::new(false),
        }
    }
}

/// Where the browser keeps short notes of this page; nothing where it keeps none.
pub(crate) fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

fn now() -> f64 {
    web_sys::window().and_then(|window| window.performance()).map_or(0.0, |performance| performance.now())
}

/// Keeps the list fresh, loads what the link names, and listens for the service worker.
pub(crate) fn attend(store: Store) {
    Effect::new(move || {
        if store.link.with(Option::is_some) {
            look(store);
        }
    });
    // A run grows no more once it is kept.
    let run = Memo::new(move |_| store.rooms.train.saved.with(|saved| matches!(saved, train::Saved::Browser(_))));
    // What this site takes grows with each of these; the browser counts a moment later.
    Effect::new(move || {
        store.edition.track();
        store.room.track();
        store.stored.offline.track();
        run.track();
        set_timeout(move || spawn_local(refresh(store)), COUNTED);
    });
    spawn_local(async move {
        let known = storage_manager().map(|manager| manager.persisted());
        if let Some(Ok(promise)) = known
            && let Ok(answer) = JsFuture::from(promise).await
        {
            store.stored.persisted.set(answer.as_bool());
        }
    });
    let told = js_sys::Reflect::get(&window(), &"lab".into())
        .and_then(|lab| js_sys::Reflect::get(&lab, &"offline".into()))
        .unwrap_or_default();
    hear_worker(store, &told);
    let hear = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
        let detail = js_sys::Reflect::get(&event, &"detail".into()).unwrap_or_default();
        hear_worker(store, &detail);
    });
    drop(window().add_event_listener_with_callback("lab-offline", hear.as_ref().unchecked_ref()));
    // The page listens for as long as it lives.
    hear.forget();
}

/// How the service worker stands; it may have spoken before this page listened.
fn hear_worker(store: Store, word: &JsValue) {
    match word.as_string().as_deref() {
        Some("ready") => store.stored.offline.set(true),
        Some("update") => store.stored.update.set(true),
        _ => {}
    }
}

/// Lets the newer version of the page take over.
pub(crate) fn take_update() {
    let lab = js_sys::Reflect::get(&window(), &"lab".into()).unwrap_or_default();
    let update = js_sys::Reflect::get(&lab, &"update".into()).unwrap_or_default();
    if let Ok(update) = update.dyn_into::<js_sys::Function>() {
        drop(update.call0(&lab));
    }
}

/// Remembers another hub.
pub(crate) fn set_mirror(store: Store, mirror: String) {
    if let Some(kept) = storage() {
        // A browser that keeps nothing asks again next time.
        drop(kept.set_item(MIRROR, &mirror));
    }
    store.stored.mirror.set(mirror);
}

/// A link in the open page names a model elsewhere.
pub(crate) fn wish(store: Store, source: String) {
    store.awaited.set(Some(source));
    store.stored.granted.set_value(false);
    look(store);
}

/// The model that the link names, where a fresh engine finds it among those kept.
pub(crate) async fn awaited(store: Store, link: &Link) -> Option<Source> {
    (store.awaited.with_untracked(Option::is_some) && !store.stored.granted.get_value()).then_some(())?;
    let answer = link.ask(Command::Storage(StorageCommand::List), &[]).await;
    if let Ok((Event::Storage(event), _)) = answer {
        list(store, Ok(event));
    }
    kept(store, &store.awaited.get_untracked()?).map(|model| source(&model))
}

/// A kept model that the link names could not be opened, which was told: the address goes on naming it.
pub(crate) fn miss(store: Store) {
    if let Source::Stored { source, .. } = store.source.get_value()
        && store.unchecked.get_untracked()
    {
        store.awaited.set(Some(source));
        store.stored.granted.set_value(true);
    }
}

/// Reads the list anew, and looks there for what the link names; without an engine the next one does.
fn look(store: Store) {
    spawn_local(async move {
        refresh(store).await;
        if store.link.with_untracked(Option::is_some) {
            grant_wish(store);
        }
    });
}

/// A whole model that is kept, by what it was fetched by.
pub(crate) fn kept(store: Store, source: &str) -> Option<StoredModel> {
    store.stored.models.with_untracked(|models| {
        models.iter().find(|model| model.complete && (model.source == source || model.folder == source)).cloned()
    })
}

/// The model that the link names: loaded when it is kept, offered when it is not.
fn grant_wish(store: Store) {
    let Some(source) = store.awaited.get_untracked() else { return };
    if store.stored.granted.get_value() {
        return;
    }
    store.stored.granted.set_value(true);
    match kept(store, &source) {
        Some(model) => {
            // By the name that it is kept under: it may be asked for by its folder.
            store.awaited.set(Some(model.source.clone()));
            load(store, &model);
        }
        None => {
            store.tell(Severity::Warning, crate::texts::link_asks(&source));
            store.offered.set(source);
        }
    }
}

/// The step of the training run that the browser keeps beside the models.
pub(crate) fn run(store: Store) -> Option<u64> {
    match store.rooms.train.saved.get() {
        train::Saved::Browser(step) => Some(step),
        train::Saved::Never | train::Saved::Page(..) => None,
    }
}

/// Loads a model that is kept.
pub(crate) fn load(store: Store, model: &StoredModel) {
    engine::load_model(store, source(model));
}

/// Where a model that is kept comes from.
pub(crate) fn source(model: &StoredModel) -> Source {
    Source::Stored { key: model.key.clone(), source: model.source.clone() }
}

/// Asks the store, through whatever engine is at work.
async fn ask(store: Store, command: StorageCommand, bytes: &[JsValue]) -> Result<StorageEvent, String> {
    let link = store.link.get_untracked().ok_or(crate::texts::NO_ENGINE)?;
    match link.ask(Command::Storage(command), bytes).await? {
        (Event::Storage(event), _) => Ok(event),
        _ => Err(crate::texts::UNEXPECTED.to_owned()),
    }
}

fn list(store: Store, answer: Result<StorageEvent, String>) {
    match answer {
        Ok(StorageEvent::Listed { models, usage, quota }) => batch(|| {
            put(store.stored.models, models);
            put(store.stored.room, [usage, quota]);
        }),
        Ok(_) => store.tell(Severity::Error, crate::texts::UNEXPECTED),
        Err(sentence) => store.tell(Severity::Error, sentence),
    }
}

/// Reads the list anew.
pub(crate) async fn refresh(store: Store) {
    let answer = ask(store, StorageCommand::List, &[]).await;
    if answer.is_ok() {
        list(store, answer);
    }
}

/// Fetches a model, or the rest of it, and hands it on: to [`load`], or to the room that wants it.
pub(crate) fn fetch(store: Store, source: String, take: fn(Store, &StoredModel)) {
    if store.stored.fetching.with_untracked(Option::is_some) {
        store.tell(Severity::Warning, texts::BUSY);
        return;
    }
    let file = String::new();
    store.stored.fetching.set(Some(Fetching {
        source: source.clone(),
        file,
        done: 0,
        total: 0,
        began: None,
        seconds: None,
    }));
    spawn_local(async move {
        let answer = loop {
            let Some(link) = store.link.get_untracked() else {
                // The engine was exchanged, or lost, on the way: the next one goes on.
                if matches!(store.engine.get_untracked(), EngineState::Starting(_)) {
                    pause(WAIT).await;
                    if store.stored.fetching.with_untracked(Option::is_none) {
                        return;
                    }
                    continue;
                }
                break Err(crate::texts::NO_ENGINE.to_owned());
            };
            let mirror = store.stored.mirror.get_untracked();
            let answer = ask(store, StorageCommand::Fetch { source: source.clone(), mirror }, &[]).await;
            if answer.is_ok() || store.runs_on(&link) {
                break answer;
            }
        };
        store.stored.fetching.set(None);
        arrive(store, answer, take).await;
    });
}

/// Keeps a model that was made here: the names of its files, and their bytes.
pub(crate) fn keep(store: Store, name: String, files: Vec<(String, JsValue)>) {
    spawn_local(async move {
        let (files, bytes): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let answer = ask(store, StorageCommand::Keep { name, files }, &bytes).await;
        arrive(store, answer, |store, model| store.tell(Severity::Done, texts::made(&model.name))).await;
    });
}

/// A model has come into the store, or has not.
async fn arrive(store: Store, answer: Result<StorageEvent, String>, take: fn(Store, &StoredModel)) {
    match answer {
        Ok(StorageEvent::Fetched { model, .. }) => {
            take(store, &model);
            persist(store).await;
        }
        Ok(_) => store.tell(Severity::Error, crate::texts::UNEXPECTED),
        Err(sentence) => store.tell(Severity::Error, sentence),
    }
    refresh(store).await;
}

/// The bar of a download.
pub(crate) fn progress(store: Store, task: &str, done: u64, total: u64) {
    let file = task.trim_start_matches(TASK).to_owned();
    let time = now();
    store.stored.fetching.update(|fetching| {
        let Some(fetching) = fetching else { return };
        if fetching.file != file {
            (fetching.file, fetching.began) = (file, None);
        }
        let (start, first) = *fetching.began.get_or_insert((time, done));
        let speed = (done.saturating_sub(first)) as f64 / ((time - start) / 1000.0).max(1e-3);
        // Before a second has passed a speed is only a guess.
        fetching.seconds =
            (time - start > 1000.0 && speed > 0.0 && total > 0).then(|| total.saturating_sub(done) as f64 / speed);
        (fetching.done, fetching.total) = (done, total);
    });
}

/// Stops the download; what has come stays.
pub(crate) fn cancel(store: Store) {
    if store.link.with_untracked(Option::is_none) {
        store.stored.fetching.set(None);
        return;
    }
    spawn_local(async move { list(store, ask(store, StorageCommand::Cancel, &[]).await) });
}

/// Throws a model away.
pub(crate) fn delete(store: Store, key: String) {
    spawn_local(async move { list(store, ask(store, StorageCommand::Delete { key }, &[]).await) });
}

fn storage_manager() -> Option<web_sys::StorageManager> {
    let navigator = web_sys::window()?.navigator();
    let manager = js_sys::Reflect::get(&navigator, &"storage".into()).ok()?;
    manager.is_truthy().then(|| manager.unchecked_into())
}

/// The same when the visitor wants it, who hears how it ended.
pub(crate) async fn ask_to_keep(store: Store) {
    persist(store).await;
    match store.stored.persisted.get_untracked() {
        Some(true) => store.tell(Severity::Done, texts::PERSISTED),
        _ => store.tell(Severity::Warning, texts::REFUSED),
    }
}

/// Asks the browser to keep what is here also when the disk runs full.
pub(crate) async fn persist(store: Store) {
    if let Some(Ok(promise)) = storage_manager().map(|manager| manager.persist())
        && let Ok(granted) = JsFuture::from(promise).await
    {
        store.stored.persisted.set(granted.as_bool());
    }
}
