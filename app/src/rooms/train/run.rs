//! Driving the run: one command after another, so that between two steps every other command gets its turn.
//!
//! The run belongs to one engine. When another one takes its place (the GPU's behind the CPU's, or a new one after a lost
//! device) the run goes over with it, from where it was last saved.

use std::cell::{Cell, RefCell};

use js_sys::{Array, Date, Uint8Array};
use lab_protocol::train::{Data, Place, Plan, Stages, Status, Switches, TrainCommand, TrainEvent, page_preset};
use lab_protocol::{Command, Event, ImageId};
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;

use super::keep::{self, save, unsaved};
use super::replace::reset;
use super::{DRAWN, Inside, Pace, Saved, State, cut, tab};
use crate::debug;
use crate::engine::{gone, is_loss};
use crate::link::Link;
use crate::pictures;
use crate::rooms::Room;
use crate::signals::{pause, put};
use crate::state::{Severity, Store};
use crate::texts::train as texts;

/// Steps between two looks.
const LOOK_EVERY: u64 = 10;
/// Milliseconds that a stage stays on show.
const STAGE: i32 = 1400;
/// Milliseconds of a calm step.
const CALM: i32 = 1000;
/// Milliseconds until it is asked again whether anything is under way.
pub(super) const TURN: i32 = 50;

thread_local! {
    /// The loop is under way.
    static PUMPING: Cell<bool> = const { Cell::new(false) };
    /// The engine that holds the run.
    static HOME: RefCell<Option<Link>> = const { RefCell::new(None) };
    /// Somebody already brings the run to the engine at work.
    static MOVING: Cell<bool> = const { Cell::new(false) };
    /// The next step of a run that goes is kept stage by stage.
    static INTO_NEXT: Cell<bool> = const { Cell::new(false) };
}

/// Watches the page from its begin: a new engine gets the run, a page that goes away saves it.
pub(crate) fn attend(store: Store) {
    let state = store.rooms.train;
    Effect::new(move || {
        if store.link.get().is_some() && state.status.with_untracked(Option::is_some) {
            settle(store);
        }
    });
    Effect::new(move || {
        // A link in the open page; while something else is under way it waits.
        let engine = store.link.get().is_some() && !MOVING.get();
        let idle = store.room.get() == Room::Train && !state.busy.get() && engine;
        let stands = state.status.with(Option::is_some) || state.refused.with(Option::is_some);
        if state.asked.get() && idle && stands {
            state.asked.set(false);
            if state.gives_way() {
                reset(store);
            }
        }
    });
    let save_now = move || {
        if let Some(link) = home(store).filter(|_| unsaved(state)) {
            spawn_local(async move {
                // What cannot be saved on the way out was told when it could not be saved before.
                drop(save(state, &link).await);
            });
        }
    };
    window_event_listener(ev::pagehide, move |_| {
        keep::leave_note(state);
        save_now(); // a page that is only put aside goes on with its worker
    });
    let hidden = Closure::<dyn FnMut()>::new(move || {
        if document().hidden() {
            save_now();
        }
    });
    // A hidden page trains on, until the browser freezes it; it may throw it away then without a word.
    drop(document().add_event_listener_with_callback("visibilitychange", hidden.as_ref().unchecked_ref()));
    hidden.forget(); // as long as the page
    debug::publish_train(state);
}

/// The room is opened: the run that the browser keeps, or a new one, so that there is something to see.
pub(super) fn arrive(store: Store) {
    let state = store.rooms.train;
    Effect::new(move || {
        let ready = store.link.get().is_some() && store.room.get() == Room::Train;
        if ready && state.status.with_untracked(Option::is_none) {
            settle(store);
        }
    });
}

/// An engine is about to be closed: what it holds of the run is saved, if it still answers.
pub(crate) async fn leave(store: Store, link: &Link) {
    let state = store.rooms.train;
    let holds = HOME.with_borrow(|home| home.as_ref().is_some_and(|home| home.same(link)));
    if holds && unsaved(state) {
        drop(save(state, link).await);
    }
}

/// The engine that holds the run, if it is the one at work.
fn home(store: Store) -> Option<Link> {
    let link = store.link.get_untracked()?;
    HOME.with_borrow(|home| home.as_ref().is_some_and(|home| home.same(&link))).then_some(link)
}

/// Brings the run to the engine at work: from the browser's keeping or the page's, or a new one.
fn settle(store: Store) {
    let state = store.rooms.train;
    let Some(link) = store.link.get_untracked().filter(|_| home(store).is_none()) else { return };
    if MOVING.replace(true) {
        return;
    }
    state.asked.set(false);
    state.busy.set(true);
    spawn_local(async move {
        let had = state.steps();
        if had.is_none() {
            put(state.elsewhere, !tab::take().await);
        }
        let found = restore(store, &link).await;
        MOVING.set(false);
        if store.runs_on(&link) {
            arrived(store, &link, had, found).await;
            state.busy.set(false);
        } else {
            state.busy.set(false);
            settle(store); // yet another engine came meanwhile
        }
    });
}

/// An engine has said whether it has the run that was kept, at step `had` as far as the page knew it.
async fn arrived(store: Store, link: &Link, had: Option<u64>, found: Result<bool, String>) {
    let state = store.rooms.train;
    match found {
        Ok(true) => {
            let step = state.steps().unwrap_or(0);
            if let Some(had) = had {
                let severity = if step == had { Severity::Done } else { Severity::Warning };
                store.tell(severity, texts::goes_on(step, had));
            } else if !state.named.get_untracked() {
                state.adopt();
            }
            if had.is_none() && state.gives_way() {
                begin(store, link).await;
            } else {
                if had.is_none() && step > 1 {
                    state.found.set(Some((step, keep::left(step))));
                }
                glance(store, link).await;
            }
        }
        Ok(false) => {
            begin(store, link).await;
        }
        Err(sentence) if is_loss(&sentence) => return,
        Err(sentence) => {
            store.tell(Severity::Warning, sentence);
            begin(store, link).await;
        }
    }
    if state.playing.get_untracked() {
        pump(store);
    }
}

/// Asks for the run that was kept; whether there was one.
pub(super) async fn restore(store: Store, link: &Link) -> Result<bool, String> {
    let state = store.rooms.train;
    let data = Data::Drawn { images: DRAWN };
    if !state.elsewhere.get_untracked() {
        let command = TrainCommand::Load { from: Place::Browser, data: data.clone() };
        let (event, bytes) = ask(link, command, &[]).await?;
        if take(store, link, event, &bytes) {
            let step = state.steps().unwrap_or(0);
            state.saved.set(Saved::Browser(step));
            return Ok(true);
        }
    }
    let Some(held) = state.held.get_value() else { return Ok(false) };
    let command = TrainCommand::Load { from: Place::Page, data };
    let (event, bytes) = ask(link, command, &held).await?;
    Ok(take(store, link, event, &bytes))
}

/// Begins a run by the room's choices, makes one step in slow motion and looks: there is something to see at once.
/// Whether one has begun.
pub(super) async fn begin(store: Store, link: &Link) -> bool {
    let state = store.rooms.train;
    // A reload finds this run then, not the one before.
    let kept = state.saved.get_untracked() != Saved::Never;
    let wanted = state.wanted.get_untracked();
    let begun = async {
        let plan = plan(store, link).await?;
        ask(link, TrainCommand::Begin { plan }, &[]).await
    };
    let (event, bytes) = match begun.await {
        Ok(begun) => begun,
        Err(sentence) => {
            if !gone(store, link, &sentence) {
                state.refused.set(Some(sentence.clone()));
            }
            complain(store, link, Err(sentence));
            return false;
        }
    };
    take(store, link, event, &bytes);
    state.adopt();
    put(state.wanted, wanted);
    state.saved.set(Saved::Never);
    state.found.set(None);
    let result = async {
        if state.is_dino() && wanted != Switches::default() {
            let (event, bytes) = ask(link, TrainCommand::Set { switches: wanted }, &[]).await?;
            take(store, link, event, &bytes);
        }
        if kept {
            save(state, link).await?;
        }
        one_step(store, link, true).await?;
        look(store, link).await?;
        if kept { save(state, link).await } else { Ok(()) }
    };
    complain(store, link, result.await);
    true
}

/// Looks, and says what is wrong if that fails; a run that was left at its very begin makes its first step before.
async fn glance(store: Store, link: &Link) {
    let result = async {
        if store.rooms.train.steps() == Some(0) {
            one_step(store, link, true).await?;
        }
        look(store, link).await
    };
    complain(store, link, result.await);
}

/// Says what an engine failed to do. From one that is gone the run goes over to the next.
fn complain(store: Store, link: &Link, result: Result<(), String>) {
    if let Err(sentence) = result
        && !gone(store, link, &sentence)
    {
        store.rooms.train.playing.set(false);
        store.tell(Severity::Error, sentence);
    }
}

/// What the room's choices come to.
async fn plan(store: Store, link: &Link) -> Result<Plan, String> {
    let state = store.rooms.train;
    let preset = page_preset(state.method.get_untracked().word());
    let settings = state.settings.get_untracked();
    let settings = settings.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    Ok(Plan { preset: preset.to_owned(), settings, data: data(store, link).await? })
}

/// What is trained on by the room's choice; the engine is given the images that it lacks.
pub(super) async fn data(store: Store, link: &Link) -> Result<Data, String> {
    Ok(match store.rooms.train.own.get_untracked() {
        true => Data::Own { images: send_images(store, link).await? },
        false => Data::Drawn { images: DRAWN },
    })
}

async fn send_images(store: Store, link: &Link) -> Result<Vec<ImageId>, String> {
    let all = store.images.get_untracked();
    for picture in &all {
        pictures::send(store, link, picture).await?;
    }
    Ok(all.iter().map(|picture| picture.id).collect())
}

/// Carries out what the user asks of the run, when nothing else is under way.
pub(super) fn command(store: Store, command: TrainCommand) {
    act(store, move |link| async move {
        let (event, bytes) = ask(&link, command, &[]).await?;
        let begun = matches!(event, TrainEvent::Begun { .. });
        take(store, &link, event, &bytes);
        if begun {
            look(store, &link).await?;
        }
        // One that goes saves itself soon.
        if store.rooms.train.playing.get_untracked() { Ok(()) } else { save(store.rooms.train, &link).await }
    });
}

/// Throws the switches.
pub(super) fn set(store: Store, switches: Switches) {
    command(store, TrainCommand::Set { switches });
}

/// Goes, or stops.
pub(super) fn play(store: Store, playing: bool) {
    let state = store.rooms.train;
    state.playing.set(playing);
    if playing {
        pump(store);
    } else if let Some(link) = home(store) {
        spawn_local(async move { drop(save(state, &link).await) });
    }
}

/// Looks into the next step: a run that goes makes it in slow motion on its way, another one makes it now.
pub(super) fn into_next(store: Store) {
    if store.rooms.train.playing.get_untracked() {
        INTO_NEXT.set(true);
    } else {
        step(store);
    }
}

/// Makes one step, in slow motion.
pub(super) fn step(store: Store) {
    let state = store.rooms.train;
    state.playing.set(false);
    act(store, move |link| async move {
        one_step(store, &link, true).await?;
        look(store, &link).await?;
        save(state, &link).await
    });
}

/// The run as a file, or the model as files: names and bytes.
pub(super) fn fetch(store: Store, command: TrainCommand, done: impl FnOnce(Vec<(String, JsValue)>) + 'static) {
    act(store, move |link| async move {
        let (event, bytes) = ask(&link, command, &[]).await?;
        let names = match event {
            TrainEvent::Saved { name, .. } => vec![name],
            TrainEvent::Exported { files } => files,
            _ => return Err(crate::texts::UNEXPECTED.to_owned()),
        };
        done(names.into_iter().zip(bytes.iter()).collect());
        Ok(())
    });
}

/// Something the user asked for; buttons rest meanwhile.
pub(super) fn act<F: Future<Output = Result<(), String>> + 'static>(
    store: Store,
    work: impl FnOnce(Link) -> F + 'static,
) {
    let state = store.rooms.train;
    // Where no run could be begun, the engine at work may be asked to begin one.
    let none = state.status.with_untracked(Option::is_none);
    let Some(link) = home(store).or_else(|| store.link.get_untracked().filter(|_| none)) else {
        store.tell(Severity::Error, crate::texts::NO_ENGINE);
        return;
    };
    if state.busy.get_untracked() {
        return;
    }
    state.busy.set(true);
    spawn_local(async move {
        let result = work(link.clone()).await;
        state.busy.set(false);
        complain(store, &link, result);
    });
}

/// Steps as long as the run shall go.
fn pump(store: Store) {
    if PUMPING.replace(true) {
        return;
    }
    let state = store.rooms.train;
    spawn_local(async move {
        while state.playing.get_untracked() {
            let Some(link) = home(store) else { break };
            let start = Date::now();
            let slowly = INTO_NEXT.take() || state.pace.get_untracked() == Pace::Slow;
            let result = async {
                one_step(store, &link, slowly).await?;
                let step = state.steps().unwrap_or(0);
                if slowly || step.is_multiple_of(LOOK_EVERY) {
                    look(store, &link).await?;
                }
                if keep::due() {
                    save(state, &link).await?;
                }
                Ok(())
            };
            let result = result.await;
            let failed = result.is_err();
            if failed && home(store).is_none() {
                break; // the engine was replaced; the run goes on there
            }
            complain(store, &link, result);
            if failed {
                break;
            }
            rest(state, start).await;
            let over = |status: &Status| status.step >= status.total_steps;
            if state.status.with_untracked(|status| status.as_ref().is_some_and(over)) {
                state.playing.set(false);
                drop(save(state, &link).await);
            }
        }
        PUMPING.set(false);
    });
}

/// Waits as the pace wants it; slow motion walks through the stages.
async fn rest(state: State, start: f64) {
    match state.pace.get_untracked() {
        // No timer: those of a tab in the background are slowed down, answers of a worker are not.
        Pace::Full => {}
        Pace::Calm => pause((CALM - (Date::now() - start) as i32).max(0)).await,
        Pace::Slow => {
            let stages =
                state.inside.with_untracked(|inside| inside.as_ref().map_or(0, |inside| count(&inside.stages)));
            for stage in 0..stages {
                state.stage.set(stage);
                let until = Date::now() + f64::from(STAGE);
                while Date::now() < until {
                    if !state.playing.get_untracked() || state.pace.get_untracked() != Pace::Slow {
                        return;
                    }
                    pause(100).await;
                }
            }
        }
    }
}

/// How many stages a step has.
pub(super) fn count(stages: &Stages) -> usize {
    match stages {
        Stages::Dino(_) => texts::DINO_STAGES.len(),
        Stages::Mae(_) => texts::MAE_STAGES.len(),
    }
}

async fn one_step(store: Store, link: &Link, slowly: bool) -> Result<(), String> {
    let (event, bytes) = ask(link, TrainCommand::Step { slowly }, &[]).await?;
    take(store, link, event, &bytes);
    Ok(())
}

pub(super) async fn look(store: Store, link: &Link) -> Result<(), String> {
    let (event, bytes) = ask(link, TrainCommand::Look, &[]).await?;
    take(store, link, event, &bytes);
    Ok(())
}

/// Asks the engine's training session.
pub(super) async fn ask(
    link: &Link,
    command: TrainCommand,
    attachments: &[JsValue],
) -> Result<(TrainEvent, Array), String> {
    match link.ask(Command::Train(command), attachments).await? {
        (Event::Train(event), bytes) => Ok((event, bytes)),
        _ => Err(crate::texts::UNEXPECTED.to_owned()),
    }
}

/// Takes an answer over into the room's state; false where there is no run.
pub(super) fn take(store: Store, link: &Link, event: TrainEvent, bytes: &Array) -> bool {
    let state = store.rooms.train;
    let bytes = bytes.get(0).dyn_into::<js_sys::ArrayBuffer>().ok().map(|buffer| Uint8Array::new(&buffer));
    let bytes = bytes.unwrap_or_else(|| Uint8Array::new_with_length(0));
    // The choice of the switches follows the run, unless a link asks for others.
    let wanted = state.wanted.get_untracked();
    let follows = state.status.with_untracked(|status| status.as_ref().is_some_and(|now| now.switches == wanted));
    let stands = |status: Status| {
        if follows {
            put(state.wanted, status.switches);
        }
        state.status.set(Some(status));
    };
    batch(|| match event {
        TrainEvent::Begun { status, curves, note } => {
            HOME.with_borrow_mut(|home| *home = Some(link.clone()));
            keep::begun();
            state.refused.set(None);
            state.report.set(None);
            state.curves.set(curves);
            // What lies inside a step that the run has not made is no longer its own.
            if state.inside.with_untracked(|inside| inside.as_ref().is_some_and(|it| it.number() > status.step)) {
                state.inside.set(None);
            }
            stands(status);
            if let Some(note) = note {
                store.tell(Severity::Warning, note);
            }
            true
        }
        TrainEvent::Stepped { report, refused, stages, status } => {
            if let Some(what) = refused {
                store.tell(Severity::Warning, texts::refused(&what, status.step));
            }
            if let Some(report) = report {
                state.curves.update(|curves| note(curves, &report));
                if let Some(stages) = stages {
                    let thumbnails = match &*stages {
                        Stages::Dino(dino) => &dino.crops,
                        Stages::Mae(mae) => &mae.pictures,
                    };
                    let pictures = cut(thumbnails, &bytes, &mut 0);
                    let (report, student_temp) = (report.clone(), status.student_temp);
                    state.inside.set(Some(Inside { stages: *stages, pictures, report, student_temp }));
                }
                state.report.set(Some(report));
            }
            stands(status);
            true
        }
        TrainEvent::Looked { look, status } => {
            let mut offset = 0;
            let rows = look.rows.iter().map(|row| cut(row, &bytes, &mut offset)).collect();
            let figures: Vec<(&str, f64)> = look.figures.iter().map(|f| (f.name.as_str(), f.value)).collect();
            state.curves.update(|curves| curves.add(look.step.saturating_sub(1), figures));
            state.look.set(Some((look, rows)));
            stands(status);
            true
        }
        TrainEvent::Changed { status } => {
            stands(status);
            true
        }
        TrainEvent::Saved { .. } | TrainEvent::Exported { .. } => true,
        TrainEvent::Closed => false,
    })
}

/// The page's own curves grow as the engine's do.
fn note(curves: &mut lab_protocol::train::Curves, report: &lab_protocol::train::StepReport) {
    let norm = report.norms.iter().map(|norm| norm.value * norm.value).sum::<f64>().sqrt();
    let figures = report.losses.iter().chain(&report.teacher).map(|figure| (figure.name.as_str(), figure.value));
    curves.add(report.step, figures.chain([("loss", report.loss), ("grad_norm", norm)]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::worker_of;
    use crate::tests;
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_an_engine_fails_to_do_when_another_is_at_work_stops_no_run() {
        let _owner = tests::owned();
        let store = tests::store("#room=train");
        let link = || {
            let (worker, url) = worker_of("", "silent").unwrap();
            Link::to(worker, url, |_| {})
        };
        let (old, new) = (link(), link());
        store.link.set(Some(new.clone()));
        let playing = store.rooms.train.playing;
        playing.set(true);
        complain(store, &old, Err("The engine was closed.".to_owned()));
        assert!(playing.get_untracked() && store.notices.get_untracked().is_empty());
        complain(store, &new, Err("The loss is not finite.".to_owned()));
        assert!(!playing.get_untracked() && store.notices.get_untracked().len() == 1);
        old.close();
        new.close();
    }
}
