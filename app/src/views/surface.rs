//! A canvas that the engine draws on, with whatever lies above it.
//!
//! A canvas once given to a worker cannot be taken back: each engine gets canvases of its own.

use js_sys::Float32Array;
use lab_protocol::{CanvasId, Command, Event, ImageId};
use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use web_sys::HtmlCanvasElement;

use crate::link::{Link, words};
use crate::state::{EngineState, Severity, Shown, Store};
use crate::texts;
use crate::views::paint::Paint;
use crate::widgets::width;

/// No picture is drawn larger than this, in device pixels.
const MAX_SIDE: f64 = 1024.0;

/// The element that shows a picture, for those who save it.
pub(crate) type CanvasSlot = RwSignal<Option<HtmlCanvasElement>, LocalStorage>;

/// What belongs on a canvas: nothing before model and image are there.
#[derive(Clone, PartialEq)]
struct Wanted {
    editions: [u32; 3],
    image: ImageId,
    paint: Paint,
    size: [u32; 2],
}

/// A picture. `paint` says what to draw, nothing while it cannot be drawn; `shown` is told what was drawn; `test` names
/// it for tests; the children lie above it.
#[component]
pub(crate) fn Surface(
    store: Store,
    #[prop(into)] paint: Signal<Option<Paint>>,
    shown: RwSignal<Option<Shown>>,
    #[prop(into)] label: Signal<String>,
    test: &'static str,
    /// Of another image than the one on show.
    #[prop(optional, into)]
    image: Option<Signal<Option<ImageId>>>,
    /// Rows and columns of squares that the picture is made of.
    #[prop(optional, into)]
    shape: Option<Signal<[u32; 2]>>,
    /// Told the canvas.
    #[prop(optional)]
    canvas: Option<CanvasSlot>,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let side = RwSignal::new(0_u32);
    let frame = NodeRef::<Div>::new();
    width::attend(frame, move |width| {
        let _ = side.try_set(width::device_pixels(width, MAX_SIDE));
    });
    let shape = move || shape.map_or([1, 1], |shape| shape.get()).map(|count| count.max(1));
    let wanted = Memo::new(move |_| {
        let image = image.map_or_else(|| store.selected.get(), |image| image.get())?;
        let paint = paint.get()?;
        // One that the engine refuses never gets there.
        let there = |image: ImageId| store.sent.with(|sent| sent.contains(&image));
        let ready = store.model.with(Option::is_some) && there(image) && paint.from().is_none_or(there);
        let (side, [rows, columns]) = (side.get(), shape());
        let editions = [store.edition.get(), store.rooms.see.edition.get(), store.rooms.mask.edition.get()];
        let size = [side, (side * rows / columns).max(1)];
        (ready && side > 0).then_some(())?;
        Some(Wanted { editions, image, paint, size })
    });
    let drawn = RwSignal::new(None::<Wanted>);
    // Numbers do not outlive the last picture.
    Effect::new(move || {
        if store.bare() {
            shown.set(None);
            store.shown.update(|all| drop(all.remove(test)));
        }
    });
    // Also while it waits for what it needs; without a picture, or an engine that might come, it waits for nothing.
    let hopeless = move || store.bare() || matches!(store.engine.get(), EngineState::Stopped(_));
    let busy = move || (!hopeless() && wanted.with(|wanted| wanted.is_none() || *wanted != drawn.get())).to_string();
    let ratio = move || {
        let [rows, columns] = shape();
        format!("{columns} / {rows}")
    };
    view! {
        <div class="frame" node_ref=frame data-testid=test aria-busy=busy style:aspect-ratio=ratio>
            <For each=move || [store.era.get()] key=|era| *era let(_era)>
                <Drawing store wanted drawn shown label canvas test />
            </For>
            {children.map(|children| children())}
            <Bare store />
        </div>
    }
}

/// What to do where there is no picture to show.
#[component]
pub(crate) fn Bare(store: Store) -> impl IntoView {
    view! {
        <Show when=move || store.bare()>
            <p class="empty">{texts::NO_PICTURE}</p>
        </Show>
    }
}

/// One canvas for one engine.
#[component]
fn Drawing(
    store: Store,
    wanted: Memo<Option<Wanted>>,
    drawn: RwSignal<Option<Wanted>>,
    shown: RwSignal<Option<Shown>>,
    label: Signal<String>,
    canvas: Option<CanvasSlot>,
    test: &'static str,
) -> impl IntoView {
    let node = NodeRef::<Canvas>::new();
    let id = CanvasId(store.number());
    let link = store.link.get_untracked();
    let attached = RwSignal::new(false);
    if let Some(link) = link.clone() {
        let there = StoredValue::new_local(link.clone());
        node.on_load(move |element| match attach(&link, id, &element) {
            Ok(()) => {
                attached.set(true);
                if let Some(canvas) = canvas {
                    canvas.set(Some(element.clone()));
                }
            }
            Err(error) => store.tell(Severity::Error, texts::no_canvas(&words(&error))),
        });
        on_cleanup(move || {
            let Some(link) = there.try_get_value() else { return };
            spawn_local(async move {
                // A closed engine has forgotten its canvases anyway.
                drop(link.ask(Command::DetachCanvas { canvas: id }, &[]).await);
            });
        });
    }
    Effect::new(move || {
        let (Some(asked), Some(link), true) = (wanted.get(), link.clone(), attached.get()) else {
            return;
        };
        spawn_local(async move {
            let Wanted { image, paint, size, .. } = asked.clone();
            match link.ask(paint.command(id, image, size), &[]).await {
                // The last picture may have been removed meanwhile.
                Ok((Event::Shown { .. }, _)) if untrack(|| store.bare()) => {}
                Ok((Event::Shown { summary, millis, .. }, vectors)) => {
                    let _ = drawn.try_set(Some(asked));
                    let values = vectors.get(0);
                    // Not every picture has values.
                    let values = if values.is_undefined() { Vec::new() } else { Float32Array::new(&values).to_vec() };
                    let now = Shown { summary, values, millis };
                    store.shown.update(|all| drop(all.insert(test, now.clone())));
                    let _ = shown.try_set(Some(now));
                }
                // A later command paints over this one.
                Ok(_) => {}
                Err(sentence) => {
                    // What another model was asked for on its way out is no failure.
                    let still = wanted.try_get_untracked().is_some_and(|wanted| wanted.as_ref() == Some(&asked));
                    let _ = drawn.try_set(Some(asked));
                    if still && store.runs_on(&link) {
                        store.tell(Severity::Error, sentence);
                    }
                }
            }
        });
    });
    let hidden = move || store.bare().then_some("true");
    view! { <canvas node_ref=node role="img" aria-label=move || label.get() aria-hidden=hidden></canvas> }
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
