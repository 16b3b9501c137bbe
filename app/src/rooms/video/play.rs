//! The loop: a frame when the engine is free, its answer, the next frame.

use js_sys::Array;
use lab_protocol::{Command, Event, VideoCommand, VideoEvent};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, HtmlImageElement};

use super::{Feed, Last};
use crate::link::{Link, words};
use crate::state::{Severity, Store};
use crate::texts::video as texts;

/// The pan's window in pixels; the model's own size is smaller.
const WINDOW: u32 = 448;
/// Frames of one sway of the pan.
const SWAY: f64 = 90.0;
/// Weight of the newest frame in the rate shown.
const SMOOTH: f64 = 0.15;

/// Keeps one loop running while the room is open.
pub(super) fn attend(store: Store) {
    let state = store.rooms.video;
    Effect::new(move || {
        let ready = store.link.with(Option::is_some) && store.model.with(Option::is_some) && state.side.get() > 0;
        let wanted = state.playing.get() || state.steps.get() > 0;
        state.feed.track();
        state.canvases.track();
        store.edition.track();
        let round = state.round.get_value() + 1;
        state.round.set_value(round);
        if ready && wanted && state.canvases.with(|canvases| canvases[0].is_some()) {
            spawn_local(run(store, round));
        }
    });
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
        let steps = state.steps.try_get_untracked().unwrap_or(0);
        let go = state.playing.try_get_untracked().unwrap_or(false) || steps > 0;
        if state.round.try_get_value() != Some(round) || !go {
            return;
        }
        let bitmap = match grab(store, &mut pan).await {
            Ok(Some(bitmap)) => bitmap,
            Ok(None) => continue,
            Err(error) => {
                store.tell(Severity::Error, texts::no_frame(&words(&error)));
                state.playing.set(false);
                return;
            }
        };
        let [input, components, likeness] = state.canvases.get_untracked();
        let side = state.side.get_untracked();
        let command = VideoCommand::Frame { input, components, likeness, size: [side, side] };
        let Some(link) = store.link.get_untracked() else { return };
        match send(&link, command, &bitmap).await {
            Ok(VideoEvent::Frame { grid, millis, explained, followed }) => {
                let time = now();
                let rate = 1000.0 / (time - before).max(1.0);
                before = time;
                let _ = state.last.try_update(|last| {
                    let rate = if last.count < 2 { rate } else { last.rate + SMOOTH * (rate - last.rate) };
                    *last = Last { grid, millis, rate, explained, followed, count: last.count + 1 };
                });
                if steps > 0 {
                    let _ = state.steps.try_set(steps - 1);
                }
            }
            Ok(VideoEvent::Following { .. }) => {}
            Err(sentence) => {
                // An engine that was exchanged meanwhile is no failure.
                if store.link.get_untracked().is_some_and(|now| now.same(&link)) {
                    store.tell(Severity::Error, sentence);
                    state.playing.set(false);
                }
                return;
            }
        }
    }
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
async fn grab(store: Store, pan: &mut Pan) -> Result<Option<JsValue>, JsValue> {
    let state = store.rooms.video;
    let source: Array = Array::new();
    match state.feed.get_untracked() {
        Feed::Pan => match pan.draw(store).await? {
            Some(canvas) => source.push(&canvas),
            None => return Ok(None),
        },
        Feed::Camera | Feed::Clip => {
            let Some(video) = state.video.get_untracked() else { return Ok(None) };
            // HAVE_CURRENT_DATA
            if video.ready_state() < 2 || video.video_width() == 0 {
                return Ok(None);
            }
            source.push(&video)
        }
    };
    // Through its name: web-sys has one function for each kind of source.
    let make = js_sys::Reflect::get(&window(), &"createImageBitmap".into())?.dyn_into::<js_sys::Function>()?;
    let promise = make.apply(&window(), &source)?.dyn_into::<js_sys::Promise>()?;
    JsFuture::from(promise).await.map(Some)
}

/// A window that sways over the picture on show.
#[derive(Default)]
struct Pan {
    image: Option<(String, HtmlImageElement)>,
    canvas: Option<HtmlCanvasElement>,
}

impl Pan {
    async fn draw(&mut self, store: Store) -> Result<Option<HtmlCanvasElement>, JsValue> {
        let Some(picture) = store.picture_untracked() else { return Ok(None) };
        if self.image.as_ref().is_none_or(|(url, _)| *url != picture.url) {
            let image = HtmlImageElement::new()?;
            image.set_src(&picture.url);
            JsFuture::from(image.decode()).await?;
            self.image = Some((picture.url, image));
        }
        let Some((_, image)) = &self.image else { return Ok(None) };
        if self.canvas.is_none() {
            let canvas: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
            canvas.set_width(WINDOW);
            canvas.set_height(WINDOW);
            self.canvas = Some(canvas);
        }
        let Some(canvas) = &self.canvas else { return Ok(None) };
        let context = canvas.get_context("2d")?.ok_or("no 2d context")?.dyn_into::<CanvasRenderingContext2d>()?;
        let (width, height) = (f64::from(image.natural_width()), f64::from(image.natural_height()));
        let side = 0.72 * width.min(height);
        // The frames' number is the clock: a step moves on as far as a played frame does.
        let at = f64::from(store.rooms.video.last.with_untracked(|last| last.count));
        let sway = |speed: f64| 0.5 + 0.5 * (speed * at * std::f64::consts::TAU / SWAY).sin();
        let (x, y) = ((width - side) * sway(1.0), (height - side) * sway(0.63));
        let window = f64::from(WINDOW);
        context.draw_image_with_html_image_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            image, x, y, side, side, 0.0, 0.0, window, window,
        )?;
        Ok(Some(canvas.clone()))
    }
}
