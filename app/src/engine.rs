//! Which engine runs: the small CPU one at once, the GPU's when it has proved itself; model and images move along.

use std::cell::{Cell, RefCell};

use js_sys::{Date, Function, Promise, Reflect};
use lab_protocol::{Command, EngineInfo, EngineKind, Event, GONE, ModelInfo, PROTOCOL};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::debug;
use crate::link::{Aside, Link};
use crate::registry;
use crate::rooms::train;
use crate::state::{EngineState, Progress, Severity, Source, Store};
use crate::stored;
use crate::texts;

/// How the engine's sentence begins when its device is gone.
const GPU_LOST: &str = "The GPU was lost";
/// New engines after losses, before the CPU takes over for good.
const TRIES: usize = 3;
/// A loss counts for so long.
const FORGET_MILLIS: f64 = 300_000.0;

thread_local! {
    /// Counts starts; work of an earlier one is thrown away.
    static START: Cell<u32> = const { Cell::new(0) };
    /// The model that was chosen while no engine could load one.
    static WISH: RefCell<Option<Source>> = const { RefCell::new(None) };
    /// Counts models that took their place: an engine on its way may have loaded the one before.
    static CHOICES: Cell<u32> = const { Cell::new(0) };
    /// When devices were lost.
    static LOSSES: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

/// Starts the engine that the user wants, or the CPU's first and the GPU's behind it.
pub(crate) fn start(store: Store) {
    let start = START.get() + 1;
    START.set(start);
    let old = store.link.get_untracked();
    store.link.set(None);
    // After too many losses the CPU computes, whatever was wanted.
    let given_up = LOSSES.with_borrow(|losses| losses.len() > TRIES);
    let wanted = if given_up { Some(EngineKind::Cpu) } else { store.wanted.get_untracked() };
    let kind = wanted.unwrap_or(EngineKind::Cpu);
    store.engine.set(EngineState::Starting(kind));
    store.why.set(String::new());
    spawn_local(async move {
        if let Some(old) = old {
            train::leave(store, &old).await;
            old.close();
        }
        if let Err(sentence) = run(store, kind, start).await {
            if START.get() == start {
                rest(store, sentence);
            }
            return;
        }
        match wanted {
            Some(_) if given_up => store.why.set(texts::WHY_LOST.to_owned()),
            Some(_) => store.why.set(texts::WHY_WANTED.to_owned()),
            None => upgrade(store, start).await,
        }
    });
}

/// Opens an engine and lets it take over.
async fn run(store: Store, kind: EngineKind, start: u32) -> Result<(), String> {
    let opened = open(store, kind, start).await?;
    hand_over(store, opened, start).await
}

/// Tries the GPU while the CPU engine already works; says why where it stays with the CPU.
async fn upgrade(store: Store, start: u32) {
    let why = match gpu_in_sight().await {
        Err(why) => why,
        Ok(()) => {
            store.why.set(texts::WHY_GPU_COMES.to_owned());
            match open(store, EngineKind::Gpu, start).await {
                Err(sentence) => format!("{} {sentence}", texts::WHY_GPU_FAILED),
                Ok(Opened { link, info, .. }) if info.software => {
                    link.close();
                    texts::WHY_SOFTWARE.to_owned()
                }
                Ok(opened) => match hand_over(store, opened, start).await {
                    Err(sentence) => format!("{} {sentence}", texts::WHY_GPU_FAILED),
                    Ok(()) => texts::WHY_GPU.to_owned(),
                },
            }
        }
    };
    if START.get() == start {
        store.why.set(why);
        store.progress.set(None);
    }
}

/// An engine that has answered.
struct Opened {
    link: Link,
    info: EngineInfo,
    /// Of its self-check, in a sentence.
    verdict: String,
}

/// Opens an engine and greets it.
async fn open(store: Store, kind: EngineKind, start: u32) -> Result<Opened, String> {
    let link = Link::open(kind, move |aside| {
        if START.get() == start {
            hear(store, kind, aside);
        }
    })?;
    let answer = link.ask(Command::Start { protocol: PROTOCOL }, &[]).await;
    let (protocol, info, self_check) = match answer {
        Ok((Event::Ready { protocol, engine, self_check }, _)) => (protocol, engine, self_check),
        Ok(_) => return Err(closed(&link, texts::UNEXPECTED.to_owned())),
        Err(sentence) => return Err(closed(&link, sentence)),
    };
    if protocol != PROTOCOL {
        return Err(closed(&link, texts::other_protocol(protocol)));
    }
    if START.get() != start {
        return Err(closed(&link, texts::SUPERSEDED.to_owned()));
    }
    let replaced = self_check.replaced().into_iter().map(str::to_owned).collect::<Vec<_>>();
    if !replaced.is_empty() {
        store.tell(Severity::Warning, texts::replaced(&replaced));
    }
    Ok(Opened { link, info, verdict: texts::verdict(&self_check) })
}

/// Loads the model on a fresh engine, then puts it in the place of the one before.
async fn hand_over(store: Store, opened: Opened, start: u32) -> Result<(), String> {
    let Opened { link, info, verdict } = opened;
    // The model of a link that this browser keeps comes at once; meanwhile nothing else is shown.
    if let Some(kept) = stored::awaited(store, &link).await {
        store.source.set_value(kept);
        store.awaited.set(None);
    }
    // Nor is one that a link names and this page does not have.
    if let Err(sentence) = registry::check(store, &store.source.get_value()).await {
        store.tell(Severity::Warning, sentence);
        store.weights.set(None);
        store.source.set_value(Source::First);
    }
    if matches!(store.source.get_value(), Source::First)
        && let Some(first) = registry::first(store).await
    {
        store.source.set_value(first);
    }
    let model = loop {
        let choices = CHOICES.get();
        let model = match ask_for_model(store, &link, store.source.get_value()).await {
            Ok(model) => model,
            // The user's model may be too big for this engine; the built-in one still shows that all is well.
            Err(sentence) if info.kind == EngineKind::Cpu || store.wanted.get_untracked().is_some() => {
                store.tell(Severity::Error, sentence);
                stored::miss(store);
                store.source.set_value(Source::BuiltIn);
                ask_for_model(store, &link, Source::BuiltIn).await.map_err(|sentence| closed(&link, sentence))?
            }
            Err(sentence) => return Err(closed(&link, sentence)),
        };
        if START.get() == start
            && CHOICES.get() == choices
            && let Some(old) = store.link.get_untracked()
        {
            train::leave(store, &old).await;
        }
        if START.get() != start {
            return Err(closed(&link, texts::SUPERSEDED.to_owned()));
        }
        // The engine at work may have been given another one meanwhile, also while its run was saved.
        if CHOICES.get() == choices {
            break model;
        }
    };
    if let Some(old) = store.link.get_untracked() {
        old.close();
    }
    batch(|| {
        store.sent.set(Default::default());
        store.engine.set(EngineState::Running(info));
        store.verdict.set(verdict);
        store.link.set(Some(link));
        store.era.update(|era| *era += 1);
        show_model(store, model);
    });
    if let Some(source) = WISH.take() {
        load_model(store, source);
    }
    Ok(())
}

/// Loads another model on the engine at work, or on the one that comes; the old one stays where it fails.
pub(crate) fn load_model(store: Store, source: Source) {
    let Some(link) = store.link.get_untracked() else {
        match store.engine.get_untracked() {
            EngineState::Stopped(_) => store.tell(Severity::Error, texts::NO_ENGINE),
            EngineState::Starting(_) | EngineState::Running(_) => WISH.set(Some(source)),
        }
        return;
    };
    store.progress.set(Some(Progress {
        task: texts::OPENING_MODEL.to_owned(),
        done: 0,
        total: 0,
        unit: String::new(),
    }));
    spawn_local(async move {
        let answer = ask_for_model(store, &link, source.clone()).await;
        if !store.runs_on(&link) {
            // Another engine took over meanwhile, with the model of before; or one is about to.
            return load_model(store, source);
        }
        store.progress.set(None);
        match answer {
            Ok(model) => {
                CHOICES.set(CHOICES.get() + 1);
                batch(|| {
                    // Another one than the link asked for: nobody holds it against that link's weights.
                    if store.awaited.get_untracked().is_some_and(|key| source.key() != Some(key)) {
                        store.weights.set(None);
                    }
                    store.awaited.set(None);
                    store.source.set_value(source);
                    show_model(store, model);
                });
            }
            Err(sentence) => {
                let gone = sentence.contains(GONE);
                store.tell(Severity::Error, sentence);
                // A link's weights were those of the model that did not come.
                if store.awaited.with_untracked(Option::is_none) {
                    store.weights.set(None);
                }
                if gone {
                    return bring_back(store, &link).await;
                }
                // What shows the model at work shows it again: the menu stands on the one that was refused.
                store.model.update(|_| {});
                check_link(store);
            }
        }
    });
}

/// Loads the model of before once more, which the engine has let go of; where that one does not come again, the built-in
/// one. Meanwhile there is none.
async fn bring_back(store: Store, link: &Link) {
    store.model.set(None);
    let mut answer = ask_for_model(store, link, store.source.get_value()).await;
    if let Err(sentence) = &answer
        && store.runs_on(link)
    {
        store.tell(Severity::Error, sentence);
        CHOICES.set(CHOICES.get() + 1);
        store.source.set_value(Source::BuiltIn);
        answer = ask_for_model(store, link, Source::BuiltIn).await;
    }
    match answer {
        _ if !store.runs_on(link) => {}
        Ok(model) => batch(|| show_model(store, model)),
        Err(sentence) => stopped(store, sentence),
    }
}

async fn ask_for_model(store: Store, link: &Link, source: Source) -> Result<ModelInfo, String> {
    registry::check(store, &source).await?;
    let (source, files) = source.told();
    let files: Vec<JsValue> = files.into_iter().map(JsValue::from).collect();
    match link.ask(Command::LoadModel { source }, &files).await? {
        (Event::ModelLoaded { model }, _) => Ok(model),
        _ => Err(texts::UNEXPECTED.to_owned()),
    }
}

fn show_model(store: Store, mut model: ModelInfo) {
    model.name = registry::title(store, store.source.get_value(), &model.name);
    let side = model.img_size.checked_div(model.patch_size).unwrap_or(0);
    store.embedded.set(Default::default());
    store.set_grid([side, side]);
    store.failed.set(Default::default());
    store.neighbours.set(Vec::new());
    store.model.set(Some(model));
    store.progress.set(None);
    store.edition.update(|edition| *edition += 1);
    check_link(store);
}

/// Holds what a link asked for against the model at work: what is not there is dropped with a word.
pub(crate) fn check_link(store: Store) {
    let Some(model) = store.model.get_untracked() else { return };
    // The model that the link names may still be on its way, or wait for the user's word.
    if store.awaited.with_untracked(Option::is_some) {
        return;
    }
    // A link was made with certain weights: said once, when others come.
    if let Some(wished) = store.weights.get_untracked() {
        store.weights.set(None);
        if wished != model.fingerprint {
            store.tell(Severity::Warning, texts::other_weights(&wished));
        }
    }
    if !store.unchecked.get_untracked() {
        return;
    }
    // Of the picture that the link names, where it has one already.
    if let Some(image) = store.selected.get_untracked() {
        store.set_grid(untrack(|| store.grid_in(image)));
    }
    store.unchecked.set(false);
    let [rows, columns] = store.grid.get_untracked();
    if let Some(patch) = store.patch.get_untracked().filter(|&patch| patch as usize >= rows * columns) {
        store.patch.set(None);
        store.tell(Severity::Warning, texts::no_patch(patch, rows * columns));
    }
    for sentence in store.rooms.see.check(&model, rows * columns) {
        store.tell(Severity::Warning, sentence);
    }
}

fn hear(store: Store, kind: EngineKind, aside: Aside) {
    match aside {
        Aside::Event(event) => match *event {
            Event::Progress { task, done, total, .. } if task.starts_with(stored::TASK) => {
                stored::progress(store, &task, done, total);
            }
            Event::Progress { task, done, total, unit } => {
                let over = total > 0 && done >= total;
                store.progress.set((!over).then_some(Progress { task, done, total, unit }));
            }
            Event::Warning { message } => store.tell(Severity::Warning, message),
            Event::Replaced { kernels } => store.tell(Severity::Warning, texts::replaced(&kernels)),
            Event::Lost { message } => lost(store, kind, message),
            Event::Warmed => debug::tell_warm(kind),
            _ => {}
        },
        Aside::Lost(sentence) => lost(store, kind, sentence),
        Aside::Stopped(sentence) => {
            let at_work = match store.engine.get_untracked() {
                EngineState::Running(info) => info.kind == kind,
                _ => false,
            };
            if at_work {
                stopped(store, sentence);
            }
        }
    }
}

/// Whether a sentence of the engine's says that its device is gone.
pub(crate) fn is_loss(sentence: &str) -> bool {
    sentence.starts_with(GPU_LOST)
}

/// Whether an engine that said so is lost or replaced: another one is at work, or comes by itself.
pub(crate) fn gone(store: Store, link: &Link, sentence: &str) -> bool {
    !store.runs_on(link) || is_loss(sentence)
}

/// The device of an engine is gone: another engine is started, which gets model, images, canvases and the run; after a
/// few losses in short time it is the CPU's.
fn lost(store: Store, kind: EngineKind, sentence: String) {
    let at_work = matches!(store.engine.get_untracked(), EngineState::Running(info) if info.kind == kind);
    if !at_work || store.link.get_untracked().is_none() {
        return;
    }
    let now = Date::now();
    let count = LOSSES.with_borrow_mut(|losses| {
        losses.retain(|time| now - time < FORGET_MILLIS);
        losses.push(now);
        losses.len()
    });
    debug::count_losses(count);
    store.tell(Severity::Warning, texts::lost(&sentence, count, TRIES));
    // Nothing more is asked of it: it may never answer.
    if let Some(old) = store.link.get_untracked() {
        store.link.set(None);
        old.close();
    }
    start(store);
}

/// The engine at work has ended.
pub(crate) fn stopped(store: Store, sentence: String) {
    if let Some(link) = store.link.get_untracked() {
        link.close();
    }
    batch(|| {
        store.link.set(None);
        rest(store, sentence);
    });
}

/// No engine works any more: that is said, and nothing looks as if it went on.
fn rest(store: Store, sentence: String) {
    store.tell(Severity::Error, texts::stopped(&sentence, store.room.get_untracked().beside()));
    store.rooms.train.playing.set(false);
    store.progress.set(None);
    store.engine.set(EngineState::Stopped(sentence));
}

fn closed(link: &Link, sentence: String) -> String {
    link.close();
    sentence
}

/// Whether the browser offers a GPU that is worth the download of its engine; else why not.
async fn gpu_in_sight() -> Result<(), String> {
    let field = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).unwrap_or_default();
    let navigator = web_sys::window().map(|window| window.navigator());
    let gpu = navigator.as_ref().map(|navigator| field(navigator, "gpu")).unwrap_or_default();
    if !gpu.is_truthy() {
        return Err(texts::WHY_NO_WEBGPU.to_owned());
    }
    let request = field(&gpu, "requestAdapter").dyn_into::<Function>();
    let promise = request.and_then(|request| request.call0(&gpu)).and_then(JsCast::dyn_into::<Promise>);
    let adapter = match promise {
        Ok(promise) => JsFuture::from(promise).await.unwrap_or_default(),
        Err(_) => JsValue::NULL,
    };
    if !adapter.is_truthy() {
        return Err(texts::WHY_NO_ADAPTER.to_owned());
    }
    let info = field(&adapter, "info");
    let software = field(&info, "isFallbackAdapter").is_truthy()
        || field(&adapter, "isFallbackAdapter").is_truthy()
        || field(&info, "architecture").as_string().is_some_and(|name| name == "swiftshader");
    if software { Err(texts::WHY_SOFTWARE.to_owned()) } else { Ok(()) }
}
