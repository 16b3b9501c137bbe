//! A canvas that the engine draws on, and a layer above it on which patches are chosen.
//!
//! A canvas once given to a worker cannot be taken back: each engine gets canvases of its own.

use lab_protocol::{CanvasId, Command, Event, ImageId, View};
use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use web_sys::{HtmlCanvasElement, KeyboardEvent, PointerEvent, ResizeObserver};

use crate::grid::{patch_from_key, patch_from_pixel};
use crate::link::{Link, words};
use crate::state::{Severity, Shown, Store};
use crate::texts;

/// No picture is drawn larger than this, in device pixels.
const MAX_SIDE: f64 = 1024.0;

/// What belongs on a canvas: nothing before model and image are there.
#[derive(Clone, PartialEq)]
struct Wanted {
    edition: u32,
    image: ImageId,
    view: View,
    side: u32,
}

/// Tells of a frame's size for as long as the frame is there.
struct Watch {
    observer: ResizeObserver,
    _resized: Closure<dyn FnMut()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}

/// A view's picture. `view` says what to draw, `shown` is told what was drawn; `test` names it for tests.
#[component]
pub(crate) fn Surface(
    store: Store,
    #[prop(into)] view: Signal<View>,
    shown: RwSignal<Option<Shown>>,
    #[prop(into)] label: Signal<String>,
    test: &'static str,
    /// The patch to outline.
    #[prop(into)]
    mark: Signal<Option<u32>>,
    /// This one takes the keyboard.
    #[prop(optional)]
    keyboard: bool,
) -> impl IntoView {
    let side = RwSignal::new(0_u32);
    let frame = NodeRef::<Div>::new();
    let watch = StoredValue::new_local(None::<Watch>);
    frame.on_load(move |frame| {
        let element = frame.clone();
        let resized = Closure::<dyn FnMut()>::new(move || {
            let scale = web_sys::window().map_or(1.0, |window| window.device_pixel_ratio());
            let pixels = (element.get_bounding_client_rect().width() * scale).round().clamp(1.0, MAX_SIDE) as u32;
            let _ = side.try_set(pixels);
        });
        if let Ok(observer) = ResizeObserver::new(resized.as_ref().unchecked_ref()) {
            observer.observe(&frame);
            watch.set_value(Some(Watch { observer, _resized: resized }));
        }
    });
    let wanted = Memo::new(move |_| {
        let image = store.selected.get()?;
        let ready = store.model.with(Option::is_some) && store.sent.with(|sent| sent.contains(&image));
        let side = side.get();
        (ready && side > 0).then(|| Wanted { edition: store.edition.get(), image, view: view.get(), side })
    });
    view! {
        <div class="frame" node_ref=frame data-testid=test>
            <For each=move || [store.era.get()] key=|era| *era let(_era)>
                <Drawing store wanted shown label/>
            </For>
            <Picker store label mark keyboard/>
        </div>
    }
}

/// One canvas for one engine.
#[component]
fn Drawing(
    store: Store,
    wanted: Memo<Option<Wanted>>,
    shown: RwSignal<Option<Shown>>,
    label: Signal<String>,
) -> impl IntoView {
    let node = NodeRef::<Canvas>::new();
    let canvas = CanvasId(store.number());
    let link = store.link.get_untracked();
    let attached = RwSignal::new(false);
    if let Some(link) = link.clone() {
        node.on_load(move |element| match attach(&link, canvas, &element) {
            Ok(()) => attached.set(true),
            Err(error) => store.tell(Severity::Error, texts::no_canvas(&words(&error))),
        });
    }
    if let Some(link) = store.link.get_untracked() {
        let link = StoredValue::new_local(link);
        on_cleanup(move || {
            let Some(link) = link.try_get_value() else { return };
            spawn_local(async move {
                // A closed engine has forgotten its canvases anyway.
                drop(link.ask(Command::DetachCanvas { canvas }, &[]).await);
            });
        });
    }
    Effect::new(move || {
        let (Some(wanted), Some(link), true) = (wanted.get(), link.clone(), attached.get()) else {
            return;
        };
        spawn_local(async move {
            let Wanted { image, view, side, .. } = wanted;
            let command = Command::Show { canvas, image, view, size: [side, side] };
            match link.ask(command, &[]).await {
                Ok((Event::Shown { summary, millis, .. }, _)) => {
                    let _ = shown.try_set(Some(Shown { summary, millis }));
                }
                // A later command paints over this one.
                Ok(_) => {}
                Err(sentence) => {
                    if store.link.get_untracked().is_some_and(|now| now.same(&link)) {
                        store.tell(Severity::Error, sentence);
                    }
                }
            }
        });
    });
    view! { <canvas node_ref=node role="img" aria-label=move || label.get()></canvas> }
}

fn attach(link: &Link, canvas: CanvasId, element: &HtmlCanvasElement) -> Result<(), JsValue> {
    let offscreen = element.transfer_control_to_offscreen()?;
    let link = link.clone();
    spawn_local(async move {
        // Commands are carried out in order; a canvas that was refused fails at its first picture.
        drop(link.ask(Command::AttachCanvas { canvas }, &[offscreen.into()]).await);
    });
    Ok(())
}

/// Chooses a patch by pointer or arrow keys, and outlines it.
#[component]
fn Picker(store: Store, label: Signal<String>, mark: Signal<Option<u32>>, keyboard: bool) -> impl IntoView {
    let layer = NodeRef::<Div>::new();
    let choose = move |patch: u32| {
        if store.patch.get_untracked() != Some(patch) {
            store.patch.set(Some(patch));
        }
    };
    let point = move |event: &PointerEvent| {
        let bounds = layer.get_untracked()?.get_bounding_client_rect();
        let at = [f64::from(event.client_x()) - bounds.left(), f64::from(event.client_y()) - bounds.top()];
        patch_from_pixel(at, [bounds.width(), bounds.height()], store.grid.get_untracked())
    };
    let press = move |event: PointerEvent| {
        if event.button() == 0
            && let Some(patch) = point(&event)
        {
            choose(patch);
        }
    };
    let drag = move |event: PointerEvent| {
        if event.buttons() & 1 == 1
            && let Some(patch) = point(&event)
        {
            choose(patch);
        }
    };
    let key = move |event: KeyboardEvent| {
        let now = store.patch_untracked();
        if let Some(patch) = patch_from_key(&event.key(), now, store.grid.get_untracked()) {
            event.prevent_default();
            choose(patch);
        }
    };
    let cell = move |axis: usize| {
        let grid = store.grid.get();
        (mark.get(), grid[1].max(1) as f64, grid[0].max(1) as f64, axis)
    };
    let left = move || {
        let (patch, columns, _, _) = cell(0);
        format!("{}%", f64::from(patch.unwrap_or(0)) % columns / columns * 100.0)
    };
    let top = move || {
        let (patch, columns, rows, _) = cell(1);
        format!("{}%", (f64::from(patch.unwrap_or(0)) / columns).floor() / rows * 100.0)
    };
    let width = move || format!("{}%", 100.0 / store.grid.get()[1].max(1) as f64);
    let height = move || format!("{}%", 100.0 / store.grid.get()[0].max(1) as f64);
    let tile = move || format!("{} {}", width(), height());
    view! {
        <div
            class="picker"
            class:lines=keyboard
            node_ref=layer
            style:background-size=tile
            data-testid=keyboard.then_some("patch-grid")
            tabindex=keyboard.then_some("0")
            role=keyboard.then_some("application")
            aria-hidden=(!keyboard).then_some("true")
            aria-roledescription=keyboard.then_some(texts::PICKER_ROLE)
            aria-label=move || keyboard.then(|| label.get())
            on:pointerdown=press
            on:pointermove=drag
            on:keydown=key
        >
            <Show when=move || mark.get().is_some()>
                <span class="mark" style:left=left style:top=top style:width=width style:height=height></span>
            </Show>
        </div>
    }
}
