//! Pictures into classes: by file, by drop, from the picture on show, by holding a button before the camera.

use leptos::html::Video;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use web_sys::{DragEvent, Event, File, KeyboardEvent};

use super::project::Project;
use super::{Class, Shot, bring_back, close_camera, forget, open_camera, replace, shot};
use crate::focus::pass_on;
use crate::inputs::{listed, picked, readable};
use crate::signals::pause;
use crate::state::{Severity, Store};
use crate::texts::probe as texts;
use crate::webcam;
use crate::widgets::segments::Segments;

/// Between two pictures of the camera, in milliseconds.
const EVERY: i32 = 120;

/// All classes, the camera, and the settings.
#[component]
pub(super) fn Classes(store: Store) -> impl IntoView {
    let state = store.rooms.probe;
    let ids = move || state.classes.with(|classes| classes.iter().map(|class| class.id).collect::<Vec<_>>());
    let add = move |_| {
        state.classes.update(|classes| {
            let free = |name: &String| classes.iter().all(|class| class.name != *name);
            let name = (classes.len() + 1..).map(texts::class).find(free).unwrap_or_default();
            classes.push(Class { id: store.number(), name, shots: Vec::new() });
        });
    };
    let empty = move |_| {
        let class = |number| Class { id: store.number(), name: texts::class(number), shots: Vec::new() };
        replace(store, (1..=2).map(class).collect());
        state.trained.set(None);
    };
    view! {
        <section class="panel" aria-labelledby="classes-title" data-testid="classes">
            <h2 id="classes-title">{texts::CLASSES}</h2>
            <Camera store />
            <For each=ids key=|id| *id let(id)>
                <OneClass store id />
            </For>
            <div class="buttons">
                <button data-testid="add-class" on:click=add>{texts::ADD_CLASS}</button>
                <button data-testid="start-empty" on:click=empty>{texts::CLEAR}</button>
                <button on:click=move |_| super::example(store)>{texts::EXAMPLE}</button>
                <Show when=move || state.before.with(Option::is_some)>
                    <button data-testid="bring-back" on:click=move |_| bring_back(store)>{texts::BRING_BACK}</button>
                </Show>
                <Project store />
            </div>
            <Settings store />
        </section>
    }
}

/// What the camera sees, while it is on.
#[component]
fn Camera(store: Store) -> impl IntoView {
    let state = store.rooms.probe;
    let node = NodeRef::<Video>::new();
    Effect::new(move || {
        if let (Some(video), Some(stream)) = (node.get(), state.camera.stream()) {
            webcam::show(&stream, &video);
            state.video.set(Some(video));
        }
    });
    let on = move || state.camera.on();
    let switch = move |_| {
        if on() {
            close_camera(store);
        } else {
            spawn_local(async move {
                open_camera(store).await;
            });
        }
    };
    view! {
        <Show when=on>
            <video node_ref=node playsinline muted aria-label=texts::CAMERA_LABEL data-testid="probe-camera"></video>
        </Show>
        <div class="buttons">
            <button data-testid="camera" on:click=switch>
                {move || if on() { texts::CAMERA_OFF } else { texts::CAMERA_ON }}
            </button>
        </div>
    }
}

/// Takes images among files into a class; says so of anything else.
fn take(store: Store, id: u32, files: Vec<File>) {
    let mut shots = Vec::new();
    for file in files {
        let name = file.name();
        match readable(&file.type_()) {
            true => shots.push(shot(store, file.into(), name)),
            false => store.tell(Severity::Warning, crate::texts::no_image(&name)),
        }
    }
    put(store, id, shots);
}

fn put(store: Store, id: u32, shots: Vec<Shot>) {
    if shots.is_empty() {
        return;
    }
    store.rooms.probe.classes.update(|classes| {
        if let Some(class) = classes.iter_mut().find(|class| class.id == id) {
            class.shots.extend(shots);
        }
    });
}

/// Records into a class for as long as its button is held.
fn hold(store: Store, id: u32) {
    let state = store.rooms.probe;
    if state.holding.get_untracked() == Some(id) {
        return;
    }
    state.holding.set(Some(id));
    spawn_local(async move {
        if !open_camera(store).await {
            state.holding.set(None);
            return;
        }
        let mut number = 0;
        while state.holding.get_untracked() == Some(id) {
            let video = state.video.get_untracked();
            let taken = match &video {
                Some(video) => webcam::snapshot(video).await,
                None => None,
            };
            if let Some(blob) = taken {
                number += 1;
                put(store, id, vec![shot(store, blob, format!("camera {number}.jpg"))]);
            }
            pause(EVERY).await;
        }
    });
}

/// One class.
#[component]
fn OneClass(store: Store, id: u32) -> impl IntoView {
    let state = store.rooms.probe;
    let over = RwSignal::new(false);
    let of = move |classes: &[Class]| classes.iter().find(|class| class.id == id).cloned();
    let class = move || state.classes.with(|classes| of(classes));
    let name = move || class().map(|class| class.name).unwrap_or_default();
    let shots = move || class().map(|class| class.shots).unwrap_or_default();
    let rename = move |event: Event| {
        let new = event_target_value(&event).trim().to_owned();
        let other = |class: &Class| class.id != id && class.name == new;
        if new.is_empty() || state.classes.with_untracked(|classes| classes.iter().any(other)) {
            return store.refuse(&event, &untrack(name), texts::NAME_EXPECTED);
        }
        state.classes.update(|classes| {
            classes.iter_mut().filter(|class| class.id == id).for_each(|class| class.name.clone_from(&new));
        });
    };
    let pick = move |event: Event| {
        take(store, id, picked(&event));
    };
    let dropped = move |event: DragEvent| {
        event.prevent_default();
        // The page would take it as well.
        event.stop_propagation();
        over.set(false);
        take(store, id, listed(event.data_transfer().and_then(|data| data.files())));
    };
    let remove_class = move |event| {
        pass_on(&event);
        let mut classes = state.classes.get_untracked();
        classes.retain(|class| class.id != id);
        replace(store, classes);
    };
    let remove = move |event, image: lab_protocol::ImageId| {
        pass_on(&event);
        state.classes.update(|classes| {
            if let Some(class) = classes.iter_mut().find(|class| class.id == id) {
                class.shots.iter().filter(|shot| shot.id == image).for_each(|shot| forget(store, shot));
                class.shots.retain(|shot| shot.id != image);
            }
        });
    };
    let shown = move |_| {
        if let Some(picture) = store.picture_untracked() {
            put(store, id, vec![super::shown(store, picture)]);
        }
    };
    let recording = move || state.holding.get() == Some(id);
    let press = move |event: KeyboardEvent| {
        if matches!(event.key().as_str(), " " | "Enter") {
            event.prevent_default();
            if !event.repeat() {
                hold(store, id);
            }
        }
    };
    let let_go = move || state.holding.set(None);
    view! {
        <div
            class="class"
            class:over=move || over.get()
            role="group"
            aria-label=name
            data-testid=format!("class-{id}")
            on:dragover=move |event: DragEvent| {
                event.prevent_default();
                over.set(true);
            }
            on:dragleave=move |_| over.set(false)
            on:drop=dropped
        >
            <div class="class-head">
                <input type="text" aria-label=texts::NAME data-testid="class-name" prop:value=name on:change=rename />
                <span class="hint">{move || texts::count(shots().len())}</span>
                <button aria-label=move || texts::remove_class(&name()) title=texts::REMOVE_CLASS on:click=remove_class>
                    "×"
                </button>
            </div>
            <ul class="strip">
                <For each=shots key=|shot| shot.id let(shot)>
                    <li>
                        <img src=shot.url.clone() alt=shot.name.clone() />
                        <button
                            class="remove"
                            aria-label=crate::texts::remove(&shot.name)
                            on:click=move |event| remove(event, shot.id)
                        >
                            "×"
                        </button>
                    </li>
                </For>
            </ul>
            <div class="buttons">
                <label class="button">
                    <input type="file" accept=crate::texts::FORMATS multiple data-testid="class-files" on:change=pick />
                    {texts::ADD}
                </label>
                <button on:click=shown>{texts::ADD_SHOWN}</button>
                <button
                    class="hold"
                    class:recording=recording
                    aria-pressed=move || recording().to_string()
                    data-testid="hold"
                    on:pointerdown=move |event| {
                        if let Some(target) = event.target() {
                            // The button keeps the pointer also when it slips off.
                            drop(target.unchecked_into::<web_sys::Element>().set_pointer_capture(event.pointer_id()));
                        }
                        hold(store, id);
                    }
                    on:pointerup=move |_| let_go()
                    on:pointercancel=move |_| let_go()
                    on:keydown=press
                    on:keyup=move |_| let_go()
                    on:blur=move |_| let_go()
                >
                    {move || if recording() { texts::HOLDING } else { texts::HOLD }}
                </button>
            </div>
        </div>
    }
}

/// Features, neighbours, penalty.
#[component]
fn Settings(store: Store) -> impl IntoView {
    use lab_protocol::ProbeFeatures::{Both, Cls, Mean};
    let state = store.rooms.probe;
    let options = [Cls, Mean, Both].map(|which| (which, texts::features(which))).to_vec();
    let set_k = move |event| {
        store.typed(&event, state.k, |k| (1..=1000).contains(k), texts::K_EXPECTED);
    };
    let set_c = move |event| {
        store.typed(&event, state.c, |c| c.is_finite() && *c > 0.0, texts::C_EXPECTED);
    };
    view! {
        <details>
            <summary>{texts::SETTINGS}</summary>
            <div class="fields">
                <Segments
                    legend=texts::FEATURES
                    name="probe-features"
                    options
                    value=state.features
                />
                <label>
                    {texts::K}
                    <input type="number" min="1" max="1000" data-testid="probe-k" prop:value=move || state.k.get().to_string() on:change=set_k />
                </label>
                <label>
                    {texts::C}
                    <input type="number" min="0.0001" step="any" data-testid="probe-c" prop:value=move || state.c.get().to_string() on:change=set_c />
                </label>
                <label class="check">
                    <input
                        type="checkbox"
                        prop:checked=move || state.standardise.get()
                        on:change=move |event| state.standardise.set(event_target_checked(&event))
                    />
                    {texts::STANDARDISE}
                </label>
            </div>
        </details>
    }
}
