//! The loop: a frame when the engine is free, its answer, the next frame.

use lab_protocol::{Command, Event, VideoCommand, VideoEvent};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, HtmlImageElement};

use super::{Feed, Fit, Last, Spot, State, Wish};
use crate::grid::{middle, patch_in_grid};
use crate::link::{Link, words};
use crate::state::{Picture, Severity, Store};
use crate::texts::video as texts;

/// The pan's window in pixels; the model's own size is smaller.
const WINDOW: u32 = 448;
/// Frames of one sway of the pan.
const SWAY: f64 = 90.0;
/// Frames in which the thing's place is remembered.
const MOST: usize = 10_000;
/// Weight of the newest frame in the rate shown.
const SMOOTH: f64 = 0.15;

/// Keeps one loop running while the room is open.
pub(super) fn attend(store: Store) {
    let state = store.rooms.video;
    let ready = Memo::new(move |_| {
        let engine = store.link.with(Option::is_some) && store.model.with(Option::is_some);
        engine && state.side.get() > 0 && state.canvases.with(|canvases| canvases.iter().all(Option::is_some))
    });
    let wanted = Memo::new(move |_| {
        state.playing.get() || state.steps.get() > 0 || state.again[0].get() != state.again[1].get()
    });
    // What stands still is drawn again when what it shows, or where, is another.
    Effect::new(move || {
        state.feed.track();
        state.canvases.track();
        state.side.track();
        store.selected.track();
        store.edition.track();
        untrack(|| state.redraw());
    });
    Effect::new(move || {
        state.feed.track();
        state.canvases.track();
        store.edition.track();
        let round = state.round.get_value() + 1;
        state.round.set_value(round);
        if ready.get() && wanted.get() {
            spawn_local(run(store, round));
        }
    });
}

/// Follows what lies on a patch of the frame on show.
pub(super) async fn follow(store: Store, patch: u32) {
    begin(store, patch, Some((store.rooms.video.at.get_untracked(), patch))).await;
}

/// Follows what lies on a patch; a link says where that began only when somebody chose it.
async fn begin(store: Store, patch: u32, origin: Option<(u32, u32)>) {
    tell(store, VideoCommand::Follow { patch }, |state| {
        state.idle.set(false);
        state.origin.set(origin);
        state.track.set_value(Vec::new());
    })
    .await;
}

/// Follows nothing any more.
pub(super) async fn let_go(store: Store) {
    tell(store, VideoCommand::Release, |state| state.origin.set(None)).await;
}

/// Fits the colours to the next frame.
pub(super) async fn refit(store: Store) {
    tell(store, VideoCommand::Refit, |state| state.fitted.set(None)).await;
}

/// Has the engine do what the frame on show shall be drawn once more for; `then` notes that it did.
async fn tell(store: Store, command: VideoCommand, then: impl FnOnce(State)) {
    let state = store.rooms.video;
    match ask(store, command, &[]).await {
        Ok(_) => {
            then(state);
            state.redraw();
        }
        Err(sentence) => store.tell(Severity::Error, sentence),
    }
}

/// Grants what was asked for, now that a frame is there.
async fn grant(store: Store, [rows, columns]: [usize; 2]) {
    let state = store.rooms.video;
    let Some(wish) = state.wish.get_untracked() else { return };
    state.wish.set(None);
    match wish {
        Wish::Begin => begin(store, middle([rows, columns]), None).await,
        Wish::Follow(patch) if (patch as usize) < rows * columns => follow(store, patch).await,
        Wish::Follow(patch) => store.tell(Severity::Warning, crate::texts::no_patch(patch, rows * columns)),
        Wish::GoOn(patch, from) => {
            let patch = patch_in_grid(patch, from, [rows, columns]);
            tell(store, VideoCommand::Follow { patch }, |_| {}).await;
        }
        Wish::LetGo if state.last.with_untracked(|last| last.followed.is_some()) => let_go(store).await,
        Wish::LetGo => {}
    }
}

/// Asks the engine something of this room.
pub(super) async fn ask(store: Store, command: VideoCommand, attachments: &[JsValue]) -> Result<VideoEvent, String> {
    let link = store.link.get_untracked().ok_or(crate::texts::NO_ENGINE)?;
    match link.ask(Command::Video(command), attachments).await? {
        (Event::Video(event), _) => Ok(event),
        _ => Err(crate::texts::UNEXPECTED.to_owned()),
    }
}

async fn run(store: Store, round: u32) {
    let state = store.rooms.video;
    let mut pan = Pan::default();
    let mut before = now();
    loop {
        // The browser paints between two frames, and a hidden tab costs nothing.
        next_paint().await;
        if state.round.try_get_value() != Some(round) {
            return;
        }
        let moves = state.playing.get_untracked() || state.steps.get_untracked() > 0;
        let [asked, granted] = state.again.map(|count| count.get_untracked());
        if !moves && asked == granted {
            return;
        }
        // The frames' number is the clock: a step moves on as far as a played frame does.
        let at = state.at.get_untracked().wrapping_add(u32::from(moves));
        let fail = move |sentence: String| {
            store.tell(Severity::Error, sentence);
            state.playing.set(false);
            state.steps.set(0);
            state.again[1].set(asked);
        };
        let over = store.picture_untracked().filter(|_| state.feed.get_untracked() == Feed::Pan);
        let shows = over.as_ref().map_or_else(Fit::default, |picture| Fit::of(picture, at));
        let Some(link) = store.link.get_untracked() else { return };
        match colours(store, &mut pan, &shows).await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(sentence) => {
                if store.runs_on(&link) {
                    fail(sentence);
                }
                return;
            }
        }
        let name = over.as_ref().map(|picture| picture.name.clone());
        let bitmap = match grab(store, &mut pan, over, at).await {
            Ok(Some(bitmap)) => bitmap,
            Ok(None) => continue,
            Err(error) => {
                fail(name.map_or_else(|| texts::no_frame(&words(&error)), |name| texts::no_pan(&name)));
                return;
            }
        };
        let [input, components, likeness] = state.canvases.get_untracked();
        let side = state.side.get_untracked();
        let command = VideoCommand::Frame { input, components, likeness, size: [side, side] };
        let links = state.links.get_value();
        match send(&link, command, &bitmap).await {
            // A link came meanwhile: what it wants is another frame.
            Ok(VideoEvent::Frame { .. }) if state.links.try_get_value() != Some(links) => {}
            Ok(VideoEvent::Frame { grid, millis, explained, followed }) => {
                let time = now();
                let rate = 1000.0 / (time - before).max(1.0);
                before = time;
                let count = state.last.with_untracked(|last| last.count) + 1;
                if let Some(thing) = followed.clone() {
                    note(store, Spot { count, grid, thing });
                }
                batch(|| {
                    if state.fitted.with_untracked(Option::is_none) {
                        state.fitted.set(Some(shows));
                    }
                    state.at.set(at);
                    state.again[1].set(asked);
                    state.steps.update(|steps| *steps = steps.saturating_sub(u32::from(moves)));
                    state.last.update(|last| {
                        let rate = if count < 3 { rate } else { last.rate + SMOOTH * (rate - last.rate) };
                        *last = Last { grid, millis, rate, explained, followed, count };
                    });
                });
                grant(store, grid).await;
            }
            Ok(VideoEvent::Following { .. }) => {}
            Err(sentence) => {
                if store.runs_on(&link) {
                    fail(sentence);
                }
                return;
            }
        }
    }
}

/// Has the colours fitted as they shall be, before the frame that comes; false while the picture for it is on its way.
async fn colours(store: Store, pan: &mut Pan, next: &Fit) -> Result<bool, String> {
    let state = store.rooms.video;
    let edition = store.edition.get_untracked();
    if state.edition.get_value() != edition {
        // Another engine or model: the same frame again.
        state.edition.set_value(edition);
        let before = state.fitted.get_untracked().filter(|fit| fit.picture.is_some());
        let followed = state.last.with_untracked(|last| Some((last.followed.as_ref()?.patch, last.grid)));
        batch(|| {
            if let Some((patch, grid)) = followed {
                state.wish.update(|wish| *wish = wish.or(Some(Wish::GoOn(patch, grid))));
            }
            state.colours.update(|wish| *wish = wish.take().or(before));
            state.fitted.set(None);
        });
    }
    let Some(wish) = state.colours.get_untracked().filter(|_| next.picture.is_some()) else { return Ok(true) };
    let named = |picture: &&Picture| match &wish {
        Fit { picture: Some(id), .. } => picture.id == *id,
        Fit { sample: Some(name), .. } => picture.sample == Some(name.as_str()),
        _ => Some(picture.id) == next.picture,
    };
    let Some(picture) = store.images.with_untracked(|images| images.iter().find(named).cloned()) else {
        if store.samples_done.get_untracked() {
            state.colours.set(None);
            store.tell(Severity::Warning, texts::NO_COLOURS);
        }
        return Ok(false);
    };
    let fit = Fit::of(&picture, wish.at);
    let fitted = state.fitted.get_untracked();
    if fitted.as_ref() == Some(&fit) {
        state.colours.set(None);
        return Ok(true);
    }
    let comes = fit == *next;
    if !comes {
        let drawn = async { bitmap(pan.draw(&picture, fit.at).await?.as_ref()).await };
        let bitmap = drawn.await.map_err(|_| texts::no_pan(&picture.name))?;
        ask(store, VideoCommand::Fit, &[bitmap]).await?;
    } else if fitted.is_some() {
        ask(store, VideoCommand::Refit, &[]).await?;
    }
    batch(|| {
        state.colours.set(None);
        state.fitted.set((!comes).then_some(fit));
    });
    Ok(true)
}

/// Remembers where the thing was.
fn note(store: Store, spot: Spot) {
    store.rooms.video.track.update_value(|track| {
        if track.len() == MOST {
            track.remove(0);
        }
        track.push(spot);
    });
}

async fn send(link: &Link, command: VideoCommand, bitmap: &JsValue) -> Result<VideoEvent, String> {
    match link.ask(Command::Video(command), std::slice::from_ref(bitmap)).await? {
        (Event::Video(event), _) => Ok(event),
        _ => Err(crate::texts::UNEXPECTED.to_owned()),
    }
}

fn now() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}

async fn next_paint() {
    let wait = js_sys::Promise::new(&mut |resolve, _| drop(window().request_animation_frame(&resolve)));
    drop(JsFuture::from(wait).await);
}

/// The newest frame; nothing while the source has none yet.
async fn grab(store: Store, pan: &mut Pan, over: Option<Picture>, at: u32) -> Result<Option<JsValue>, JsValue> {
    let state = store.rooms.video;
    let source: JsValue = match state.feed.get_untracked() {
        Feed::Pan => match over {
            Some(picture) => pan.draw(&picture, at).await?.into(),
            None => return Ok(None),
        },
        Feed::Camera | Feed::Clip => {
            let Some(video) = state.video.get_untracked() else { return Ok(None) };
            // HAVE_CURRENT_DATA
            if video.ready_state() < 2 || video.video_width() == 0 {
                return Ok(None);
            }
            video.into()
        }
    };
    bitmap(&source).await.map(Some)
}

/// What a canvas or a video shows, for the engine.
async fn bitmap(source: &JsValue) -> Result<JsValue, JsValue> {
    // Through its name: web-sys has one function for each kind of source.
    let make = js_sys::Reflect::get(&window(), &"createImageBitmap".into())?.dyn_into::<js_sys::Function>()?;
    JsFuture::from(make.call1(&window(), source)?.dyn_into::<js_sys::Promise>()?).await
}

/// A window that sways over a picture.
#[derive(Default)]
struct Pan {
    image: Option<(String, HtmlImageElement)>,
    canvas: Option<HtmlCanvasElement>,
}

impl Pan {
    async fn draw(&mut self, picture: &Picture, at: u32) -> Result<HtmlCanvasElement, JsValue> {
        let image = match &self.image {
            Some((url, image)) if *url == picture.url => image.clone(),
            _ => {
                let image = HtmlImageElement::new()?;
                image.set_src(&picture.url);
                JsFuture::from(image.decode()).await?;
                self.image = Some((picture.url.clone(), image.clone()));
                image
            }
        };
        let canvas = match &self.canvas {
            Some(canvas) => canvas.clone(),
            None => {
                let canvas: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
                canvas.set_width(WINDOW);
                canvas.set_height(WINDOW);
                self.canvas.insert(canvas).clone()
            }
        };
        let context = canvas.get_context("2d")?.ok_or("no 2d context")?.dyn_into::<CanvasRenderingContext2d>()?;
        let (width, height) = (f64::from(image.natural_width()), f64::from(image.natural_height()));
        let side = 0.72 * width.min(height);
        let sway = |speed: f64| 0.5 + 0.5 * (speed * f64::from(at) * std::f64::consts::TAU / SWAY).sin();
        let (x, y) = ((width - side) * sway(1.0), (height - side) * sway(0.63));
        let window = f64::from(WINDOW);
        context.draw_image_with_html_image_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            &image, x, y, side, side, 0.0, 0.0, window, window,
        )?;
        Ok(canvas)
    }
}
