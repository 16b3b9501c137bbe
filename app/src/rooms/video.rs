//! The room Video: a camera, a clip, or a slow pan over the picture on show; frame by frame through the engine.
//!
//! A frame is taken when the engine is free, so it is always the newest and none waits: [`play`]. [`screens`] shows what
//! comes back.

mod play;
mod screens;

use lab_protocol::{CanvasId, ImageId};
use leptos::html::Video as VideoElement;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlVideoElement, Url};

use crate::hash::Address;
use crate::inputs::picked;
use crate::signals::put;
use crate::state::{Picture, Severity, Store};
use crate::texts::video as texts;
use crate::views::Palettes;
use crate::webcam::Camera;
use crate::widgets::menu::Menu;
use crate::{download, webcam};
use screens::Screens;

/// Whether there is something to see; an empty room stands in no navigation.
pub(crate) const FILLED: bool = true;
/// Images, model and engine stand beside it.
pub(crate) const BESIDE: bool = true;

/// Where frames come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Feed {
    /// A window that moves over the picture on show: something to see before any click.
    #[default]
    Pan,
    /// The camera.
    Camera,
    /// A file.
    Clip,
}

/// What the last frame said.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Last {
    /// Patch rows and columns.
    pub(crate) grid: [usize; 2],
    /// From pixels to pictures, in milliseconds.
    pub(crate) millis: f64,
    /// Frames a second, smoothed.
    pub(crate) rate: f64,
    /// Share of the variance that the basis holds.
    pub(crate) explained: f32,
    /// Where the thing is.
    pub(crate) followed: Option<lab_protocol::Followed>,
    /// Frames so far.
    pub(crate) count: u32,
}

/// Where the thing was in one frame.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spot {
    /// Frames so far.
    count: u32,
    /// Patch rows and columns.
    grid: [usize; 2],
    /// What the engine says.
    thing: lab_protocol::Followed,
}

/// What is wanted of following, until a frame is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// What lies in the middle, so that something is followed before the first click.
    Begin,
    /// What lies on a patch.
    Follow(u32),
    /// What the engine before followed: the patch, and patch rows and columns there.
    GoOn(u32, [usize; 2]),
    /// Nothing.
    LetGo,
}

/// A frame that the colours are fitted to.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Fit {
    /// The picture that the pan went over; none for the camera and for clips.
    picture: Option<ImageId>,
    /// Its word in a link, where it is a sample.
    sample: Option<String>,
    /// The frame's number.
    at: u32,
}

impl Fit {
    /// A frame of the pan over a picture.
    fn of(picture: &Picture, at: u32) -> Self {
        Self { picture: Some(picture.id), sample: picture.sample.map(str::to_owned), at }
    }
}

/// The state of this room. Copies are the same state.
#[derive(Clone, Copy)]
pub(crate) struct State {
    feed: RwSignal<Feed>,
    playing: RwSignal<bool>,
    last: RwSignal<Last>,
    /// The patch that the keyboard is on.
    cursor: RwSignal<u32>,
    camera: Camera,
    clip: RwSignal<Option<(String, String)>>,
    video: RwSignal<Option<HtmlVideoElement>, LocalStorage>,
    /// Canvases of the engine at work: input, components, likeness.
    canvases: RwSignal<[Option<CanvasId>; 3]>,
    /// Side of the canvases in device pixels.
    side: RwSignal<u32>,
    /// Frames that a press on the button still wants.
    steps: RwSignal<u32>,
    /// The pan's place: the number of the frame on show.
    at: RwSignal<u32>,
    /// Counts wishes for the frame on show once more, and those that were granted.
    again: [RwSignal<u32>; 2],
    /// What a link, or an exchange of engines, wants of following.
    wish: RwSignal<Option<Wish>>,
    /// The visitor wants nothing followed.
    idle: RwSignal<bool>,
    /// The frame and the patch where following began by a click or a link.
    origin: RwSignal<Option<(u32, u32)>>,
    /// What the colours are fitted to; nothing until the next frame.
    fitted: RwSignal<Option<Fit>>,
    /// What they shall be fitted to, as a link says.
    colours: RwSignal<Option<Fit>>,
    /// The store's edition that they were fitted in: another engine or model knows nothing of them.
    edition: StoredValue<u32>,
    /// Where the thing was, a line a frame, the oldest first.
    track: StoredValue<Vec<Spot>>,
    /// Counts loops; an older one ends.
    round: StoredValue<u32>,
    /// Counts links that were taken over.
    links: StoredValue<u32>,
}

impl State {
    /// A room as nobody has used it yet.
    pub(crate) fn new() -> Self {
        Self {
            feed: RwSignal::new(Feed::Pan),
            playing: RwSignal::new(true),
            last: RwSignal::new(Last::default()),
            cursor: RwSignal::new(0),
            camera: Camera::new(),
            clip: RwSignal::new(None),
            video: RwSignal::new_local(None),
            canvases: RwSignal::new([None; 3]),
            side: RwSignal::new(0),
            steps: RwSignal::new(0),
            at: RwSignal::new(0),
            again: [RwSignal::new(0), RwSignal::new(0)],
            wish: RwSignal::new(None),
            idle: RwSignal::new(false),
            origin: RwSignal::new(None),
            fitted: RwSignal::new(None),
            colours: RwSignal::new(None),
            edition: StoredValue::new(0),
            track: StoredValue::new(Vec::new()),
            round: StoredValue::new(0),
            links: StoredValue::new(0),
        }
    }

    /// Takes over what a link says; what it does not say keeps its default. A link switches no camera on.
    pub(crate) fn read(self, address: &Address) {
        self.links.update_value(|links| *links = links.wrapping_add(1));
        let (at, playing) = (address.number("at").unwrap_or(0), address.get("play") != Some("no"));
        put(self.playing, playing);
        put(self.at, at);
        // No link holds what a camera or a clip shows, nor what is followed there.
        let nothing = address.get("follow") == Some(NOTHING);
        put(self.idle, nothing);
        let unsaid = if playing && !nothing { Wish::Begin } else { Wish::LetGo };
        let unsaid = (self.feed.get_untracked() == Feed::Pan).then_some(unsaid);
        put(self.wish, address.number("follow").map(Wish::Follow).or(unsaid));
        let sample = address.get("colours-of").or(address.get("sample")).map(str::to_owned);
        let at = address.number("colours").unwrap_or(first(at, playing));
        put(self.colours, Some(Fit { picture: None, sample, at }));
        self.redraw();
    }

    /// Says in a link what differs from the defaults.
    pub(crate) fn write(self, address: &mut Address) {
        let playing = self.playing.get();
        address.put("play", (!playing).then_some("no"));
        // Only the pan is the same for everybody. While it moves a link says where following began: an address that
        // changed with every frame would be too much for browsers.
        let (at, patch) = match (self.feed.get(), playing) {
            (Feed::Pan, true) => self.origin.get().unzip(),
            (Feed::Pan, false) => {
                let thing = self.last.with(|last| last.followed.as_ref().map(|thing| thing.patch));
                (Some(self.at.get()), thing)
            }
            (Feed::Camera | Feed::Clip, _) => (None, None),
        };
        address.put("at", at.filter(|at| *at > 0));
        let followed = match self.wish.get() {
            None | Some(Wish::Begin) => patch,
            Some(Wish::GoOn(last, _)) => patch.or((!playing).then_some(last)),
            Some(Wish::Follow(patch)) => Some(patch),
            Some(Wish::LetGo) => None,
        };
        address.put("follow", followed);
        if playing && self.idle.get() && self.feed.get() == Feed::Pan {
            address.put("follow", Some(NOTHING));
        }
        let fit = self.colours.get().or(self.fitted.get()).filter(|_| self.feed.get() == Feed::Pan);
        if let Some(Fit { sample: Some(sample), at: fit, .. }) = fit {
            address.put("colours", Some(fit).filter(|fit| *fit != first(at.unwrap_or(0), playing)));
            let here = address.get("sample") == Some(&sample);
            address.put("colours-of", Some(sample).filter(|_| !here));
        }
    }

    /// What of it no link holds.
    pub(crate) fn missing(self) -> Vec<&'static str> {
        let colours = self.fitted.get().is_some_and(|fit| fit.sample.is_none());
        let began = self.origin.get().is_some_and(|(at, _)| !self.playing.get() && at != self.at.get());
        let seen = match self.feed.get() {
            Feed::Pan => [(colours, texts::MISSING_COLOURS), (began, texts::MISSING_WAY)],
            Feed::Camera => [(true, texts::MISSING_CAMERA), (false, "")],
            Feed::Clip => [(true, texts::MISSING_CLIP), (false, "")],
        };
        seen.into_iter().filter(|(missing, _)| *missing).map(|(_, words)| words).collect()
    }

    /// Draws the frame on show once more, where nothing moves.
    pub(crate) fn redraw(self) {
        self.again[0].update(|count| *count = count.wrapping_add(1));
    }
}

/// In a link: nothing is followed.
const NOTHING: &str = "no";

/// Takes frames from elsewhere: what was followed, or was about to be, is not there.
fn turn_to(store: Store, feed: Feed) {
    let state = store.rooms.video;
    if feed != Feed::Camera {
        state.camera.close();
    }
    // Another clip is another source.
    if feed == state.feed.get_untracked() && feed != Feed::Clip {
        return;
    }
    state.feed.set(feed);
    state.wish.set(None);
    if store.link.with_untracked(Option::is_some) {
        spawn_local(play::let_go(store));
    }
}

/// The first frame that a link shows: a pan that plays has moved on by then.
fn first(at: u32, playing: bool) -> u32 {
    at.wrapping_add(u32::from(playing))
}

/// The room.
#[component]
pub(crate) fn Video(store: Store) -> impl IntoView {
    let state = store.rooms.video;
    let still = window().match_media("(prefers-reduced-motion: reduce)").ok().flatten();
    if still.is_some_and(|query| query.matches()) && state.last.with_untracked(|last| last.count == 0) {
        // Whoever asked for calm sees one frame and plays by hand.
        state.playing.set(false);
    }
    play::attend(store);
    on_cleanup(move || {
        state.round.update_value(|round| *round += 1);
        if state.feed.try_get_untracked() == Some(Feed::Camera) {
            turn_to(store, Feed::Pan);
        }
        state.camera.close();
        let _ = state.video.try_set(None);
    });
    view! {
        <div class="video">
            <p class="lead">{texts::LEAD}</p>
            <Controls store />
            <Source store />
            <Screens store />
        </div>
    }
}

/// The element that plays camera and clip; what is seen is what the engine draws.
#[component]
fn Source(store: Store) -> impl IntoView {
    let state = store.rooms.video;
    let node = NodeRef::<VideoElement>::new();
    Effect::new(move || {
        let Some(video) = node.get() else { return };
        match (state.camera.stream(), state.clip.get()) {
            (Some(stream), _) => webcam::show(&stream, &video),
            (None, Some((_, url))) => {
                video.set_src_object(None);
                video.set_muted(true);
                video.set_loop(true);
                video.set_preload("auto");
                video.set_src(&url);
                // Where nothing moves it waits for its first step.
                if state.playing.get_untracked() {
                    webcam::start(&video);
                }
            }
            (None, None) => video.set_src_object(None),
        }
        state.video.set(Some(video));
    });
    let failed = move |_| {
        let name = state.clip.get_untracked().filter(|_| state.feed.get_untracked() == Feed::Clip);
        if let Some((name, _)) = name {
            store.tell(Severity::Error, texts::no_clip(&name));
            turn_to(store, Feed::Pan);
        }
    };
    view! {
        <video class="source" node_ref=node playsinline muted aria-hidden="true" tabindex="-1" on:error=failed></video>
    }
}

/// Source, pause, step, basis, file.
#[component]
fn Controls(store: Store) -> impl IntoView {
    let state = store.rooms.video;
    let pan = move |_| turn_to(store, Feed::Pan);
    let camera = move |_| {
        spawn_local(async move {
            match state.camera.open().await {
                Ok(true) => turn_to(store, Feed::Camera),
                Ok(false) => {}
                Err(sentence) => store.tell(Severity::Error, sentence),
            }
        });
    };
    let open = move |event: Event| {
        let Some(file) = picked(&event).into_iter().next() else { return };
        let Ok(url) = Url::create_object_url_with_blob(&file) else { return };
        if let Some((_, old)) = state.clip.get_untracked() {
            drop(Url::revoke_object_url(&old));
        }
        batch(|| {
            state.clip.set(Some((file.name(), url)));
            turn_to(store, Feed::Clip);
        });
    };
    let toggle = move |_| {
        let playing = !state.playing.get_untracked();
        state.playing.set(playing);
        if let Some(video) = state.video.get_untracked() {
            match playing {
                true => webcam::start(&video),
                false => drop(video.pause()),
            }
        }
    };
    let step = move |_| {
        // A clip moves on by a frame's length; a camera has moved on by itself.
        if let (Feed::Clip, Some(video)) = (state.feed.get_untracked(), state.video.get_untracked()) {
            video.set_current_time(video.current_time() + 1.0 / 25.0);
        }
        state.steps.update(|steps| *steps += 1);
    };
    let refit = move |_| spawn_local(play::refit(store));
    let release = move |_| {
        state.idle.set(true);
        spawn_local(play::let_go(store));
    };
    let untracked = move || state.last.with(|last| last.followed.is_none());
    let pressed = move |feed: Feed| (state.feed.get() == feed).to_string();
    let track = move |test: &'static str, ending: &'static str, csv: bool| {
        let save = move |_| screens::save_track(store, csv);
        view! {
            <button data-testid=test title=texts::SAVE_TRACK prop:disabled=untracked on:click=save>{ending}</button>
        }
    };
    view! {
        <div class="controls">
            <div class="set" role="group" aria-label=texts::SOURCE>
                <button aria-pressed=move || pressed(Feed::Pan) data-testid="feed-pan" on:click=pan>{texts::PAN}</button>
                <button aria-pressed=move || pressed(Feed::Camera) data-testid="feed-camera" on:click=camera>
                    {texts::CAMERA}
                </button>
                <label class="button">
                    <input type="file" accept="video/*" data-testid="feed-clip" on:change=open />
                    {texts::CLIP}
                </label>
            </div>
            <div class="set" role="group" aria-label=texts::MOVING>
                <button class="strong" data-testid="video-play" on:click=toggle>
                    {move || if state.playing.get() { texts::PAUSE } else { texts::PLAY }}
                </button>
                <button data-testid="video-step" prop:disabled=move || state.playing.get() on:click=step>
                    {texts::STEP}
                </button>
            </div>
            <div class="set" role="group" aria-label=texts::FOLLOWING>
                <button data-testid="video-release" prop:disabled=untracked on:click=release>{texts::RELEASE}</button>
                <button data-testid="video-refit" on:click=refit>{texts::REFIT}</button>
            </div>
            <Palettes store />
            <Menu>
                <button
                    data-testid="video-save"
                    title=texts::SAVE
                    on:click=move |_| download::told(store, screens::save())
                >
                    "PNG"
                </button>
                {track("video-csv", "CSV", true)}
                {track("video-json", "JSON", false)}
            </Menu>
        </div>
    }
}

/// A canvas of the page by its name for tests.
fn canvas(test: &str) -> Option<web_sys::HtmlCanvasElement> {
    let found = document().query_selector(&format!("[data-testid=\"{test}\"] canvas")).ok()??;
    found.dyn_into().ok()
}
