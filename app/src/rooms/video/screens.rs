//! What the engine drew of a frame, and what is followed, above it.

use lab_protocol::{CanvasId, Command, Followed};
use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde_json::json;
use wasm_bindgen::prelude::*;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, KeyboardEvent, PointerEvent};

use super::{Feed, Last, Spot, canvas, play};
use crate::grid::{patch_from_key, patch_from_pixel, place};
use crate::link::{Link, words};
use crate::signals::put;
use crate::state::{Severity, Store};
use crate::texts::video as texts;
use crate::views::surface::Bare;
use crate::widgets::legend::Legend;
use crate::widgets::width;
use crate::{csv, download};

/// No picture is drawn larger than this, in device pixels.
const MAX_SIDE: f64 = 512.0;
/// What marks the thing: its region, and its middle.
const REGION: &str = "rgba(255, 255, 255, 0.28)";
const FRAME: [&str; 2] = ["#000000", "#ffffff"];

/// Input, components and likeness.
#[component]
pub(super) fn Screens(store: Store) -> impl IntoView {
    let state = store.rooms.video;
    let node = NodeRef::<Div>::new();
    width::attend(node, move |width| put(state.side, width::device_pixels(width, MAX_SIDE)));
    let speed = move || {
        // One frame after another by hand has no rate.
        let playing = state.playing.get();
        let words = |last: &Last| texts::speed(playing.then_some(last.rate), last.millis, last.explained);
        state.last.with(|last| (last.count > 0).then(|| words(last)))
    };
    let thing = Memo::new(move |_| {
        state.last.with(|last| {
            last.followed.as_ref().map(|thing| {
                texts::followed(&place(thing.patch, last.grid), thing.score, thing.region.len(), thing.lost)
            })
        })
    });
    let follows = move || thing.with(Option::is_some);
    view! {
        <div class="screens">
            <figure class="view">
                <h2>{texts::INPUT}</h2>
                <p class="explain">{texts::INPUT_EXPLAIN}</p>
                <div class="frame" node_ref=node data-testid="video-input">
                    <Screen store index=0 label=texts::INPUT />
                    <Overlay store />
                    <Pointer store />
                    <NoPicture store />
                </div>
                <figcaption>
                    <span class="numbers" data-testid="video-speed">{speed}</span>
                </figcaption>
            </figure>
            <figure class="view">
                <h2>{texts::COMPONENTS}</h2>
                <p class="explain">{texts::COMPONENTS_EXPLAIN}</p>
                <div class="frame" data-testid="video-components">
                    <Screen store index=1 label=texts::COMPONENTS />
                    <NoPicture store />
                </div>
            </figure>
            <figure class="view">
                <h2>{texts::LIKENESS}</h2>
                <p class="explain">{texts::LIKENESS_EXPLAIN}</p>
                <div class="frame" data-testid="video-likeness">
                    <Screen store index=2 label=texts::LIKENESS />
                    <Show when=move || !follows()>
                        <p class="empty">{texts::NOTHING}</p>
                    </Show>
                    <NoPicture store />
                </div>
                <Legend range=Signal::derive(|| Some([0.0, 1.0])) />
                <figcaption>
                    <span class="numbers" data-testid="video-thing">{move || thing.get()}</span>
                </figcaption>
            </figure>
        </div>
    }
}

/// What to do where the pan has no picture.
#[component]
fn NoPicture(store: Store) -> impl IntoView {
    view! {
        <Show when=move || store.rooms.video.feed.get() == Feed::Pan>
            <Bare store />
        </Show>
    }
}

/// One of the three canvases; a new one for each engine.
#[component]
fn Screen(store: Store, index: usize, label: &'static str) -> impl IntoView {
    view! {
        <For each=move || [store.era.get()] key=|era| *era let(_era)>
            <Drawn store index label />
        </For>
    }
}

#[component]
fn Drawn(store: Store, index: usize, label: &'static str) -> impl IntoView {
    let state = store.rooms.video;
    let node = NodeRef::<Canvas>::new();
    let id = CanvasId(store.number());
    if let Some(link) = store.link.get_untracked() {
        let there = StoredValue::new_local(link.clone());
        node.on_load(move |element| match attach(&link, id, &element) {
            Ok(()) => state.canvases.update(|canvases| canvases[index] = Some(id)),
            Err(error) => store.tell(Severity::Error, crate::texts::no_canvas(&words(&error))),
        });
        on_cleanup(move || {
            let _ = state.canvases.try_update(|canvases| {
                if canvases[index] == Some(id) {
                    canvases[index] = None;
                }
            });
            if let Some(link) = there.try_get_value() {
                spawn_local(async move { drop(link.ask(Command::DetachCanvas { canvas: id }, &[]).await) });
            }
        });
    }
    view! { <canvas node_ref=node role="img" aria-label=label></canvas> }
}

fn attach(link: &Link, canvas: CanvasId, element: &HtmlCanvasElement) -> Result<(), JsValue> {
    let offscreen = element.transfer_control_to_offscreen()?;
    let link = link.clone();
    spawn_local(async move {
        // Commands are carried out in order; a canvas that was refused fails at its first frame.
        drop(link.ask(Command::AttachCanvas { canvas }, &[offscreen.into()]).await);
    });
    Ok(())
}

/// What belongs to the thing, drawn by the page itself.
#[component]
fn Overlay(store: Store) -> impl IntoView {
    let state = store.rooms.video;
    let node = NodeRef::<Canvas>::new();
    Effect::new(move || {
        let (Some(element), side) = (node.get(), state.side.get()) else { return };
        state.last.with(|last| {
            element.set_width(side);
            element.set_height(side);
            let context = element.get_context("2d").ok().flatten();
            let Some(context) = context.and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok()) else {
                return;
            };
            let [rows, columns] = last.grid.map(|count| count.max(1) as f64);
            let cell = [f64::from(side) / columns, f64::from(side) / rows];
            let corner = |patch: u32| {
                let (row, column) = (f64::from(patch) / columns, f64::from(patch) % columns);
                [column.floor() * cell[0], row.floor() * cell[1]]
            };
            let Some(thing) = last.followed.as_ref().filter(|thing| !thing.lost) else { return };
            context.set_fill_style_str(REGION);
            for &patch in &thing.region {
                let [x, y] = corner(patch);
                context.fill_rect(x, y, cell[0], cell[1]);
            }
            let [x, y] = corner(thing.patch);
            for (style, width) in FRAME.into_iter().zip([4.0, 2.0]) {
                context.set_stroke_style_str(style);
                context.set_line_width(width);
                context.stroke_rect(x - cell[0], y - cell[1], 3.0 * cell[0], 3.0 * cell[1]);
            }
        });
    });
    view! { <canvas class="overlay" node_ref=node aria-hidden="true"></canvas> }
}

/// Chooses what is followed, by pointer or keyboard.
#[component]
fn Pointer(store: Store) -> impl IntoView {
    let state = store.rooms.video;
    let layer = NodeRef::<Div>::new();
    let grid = move || state.last.with(|last| last.grid);
    let follow = move |patch: u32| {
        state.cursor.set(patch);
        spawn_local(play::follow(store, patch));
    };
    let press = move |event: PointerEvent| {
        let Some(layer) = layer.get_untracked() else { return };
        let bounds = layer.get_bounding_client_rect();
        let at = [f64::from(event.client_x()) - bounds.left(), f64::from(event.client_y()) - bounds.top()];
        let grid = state.last.with_untracked(|last| last.grid);
        if let Some(patch) = patch_from_pixel(at, [bounds.width(), bounds.height()], grid) {
            follow(patch);
        }
    };
    let key = move |event: KeyboardEvent| {
        let now = state.cursor.get_untracked();
        let grid = state.last.with_untracked(|last| last.grid);
        match event.key().as_str() {
            "Enter" | " " => {
                event.prevent_default();
                follow(now);
            }
            key => {
                if let Some(patch) = patch_from_key(key, now, grid) {
                    event.prevent_default();
                    state.cursor.set(patch);
                }
            }
        }
    };
    let focused = RwSignal::new(false);
    let aimed = move || focused.get() && grid()[0] > 0;
    let percent = move |value: usize, of: usize| format!("{:.3}%", 100.0 * value as f64 / of.max(1) as f64);
    let spot = move || {
        let [rows, columns] = grid();
        let cursor = state.cursor.get() as usize;
        ([cursor / columns.max(1), cursor % columns.max(1)], rows, columns)
    };
    view! {
        <div
            class="picker"
            node_ref=layer
            tabindex="0"
            role="application"
            aria-roledescription=texts::ROLE
            aria-label=move || texts::picker(&place(state.cursor.get(), grid()))
            data-testid="video-picker"
            on:pointerdown=press
            on:keydown=key
            on:focus=move |_| focused.set(true)
            on:blur=move |_| focused.set(false)
        >
            <Show when=aimed>
                <span
                    class="mark"
                    style:left=move || percent(spot().0[1], spot().2)
                    style:top=move || percent(spot().0[0], spot().1)
                    style:width=move || percent(1, spot().2)
                    style:height=move || percent(1, spot().1)
                ></span>
            </Show>
        </div>
    }
}

/// The three pictures side by side as one PNG.
pub(super) fn save() -> Result<(), JsValue> {
    let pictures: Vec<HtmlCanvasElement> =
        ["video-input", "video-components", "video-likeness"].into_iter().filter_map(canvas).collect();
    let side = pictures.first().map_or(0, HtmlCanvasElement::width);
    let whole: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
    whole.set_width(side * pictures.len() as u32);
    whole.set_height(side);
    let context = whole.get_context("2d")?.ok_or("no 2d context")?.dyn_into::<CanvasRenderingContext2d>()?;
    for (at, picture) in pictures.iter().enumerate() {
        context.draw_image_with_html_canvas_element(picture, f64::from(side) * at as f64, 0.0)?;
    }
    download::png("frame.png", &whole)
}

/// Where the thing was in every frame, as CSV or JSON; rows and columns count from 1.
pub(super) fn save_track(store: Store, as_csv: bool) {
    let state = store.rooms.video;
    let place = |Spot { count, grid: [_, columns], thing }: Spot| {
        let columns = (columns as u32).max(1);
        ([count, thing.patch / columns + 1, thing.patch % columns + 1], thing)
    };
    let spots = state.track.get_value().into_iter().map(place);
    if as_csv {
        let line = |(place, Followed { score, region, lost, .. }): ([u32; 3], Followed)| {
            let place = place.into_iter().map(|number| number.to_string());
            place.chain([score.to_string(), region.len().to_string(), lost.to_string()]).collect()
        };
        let lines: Vec<Vec<String>> = spots.map(line).collect();
        let text = csv::table(&texts::TRACK.map(str::to_owned), &lines);
        return download::told(store, download::text("followed.csv", "text/csv", &text));
    }
    let object = |([frame, row, column], Followed { score, region, lost, .. }): ([u32; 3], Followed)| {
        json!({
            "frame": frame, "row": row, "column": column, "likeness": score, "patches": region, "out of sight": lost,
        })
    };
    let object = json!({
        "image": store.picture_untracked().map(|picture| picture.name),
        "model": download::model(store),
        "grid": state.last.with_untracked(|last| last.grid),
        "frames": spots.map(object).collect::<Vec<_>>(),
    });
    download::json(store, "followed.json", object);
}
