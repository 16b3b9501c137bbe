//! Views with canvases, on an engine that a worker stands in for.

use std::collections::HashSet;

use js_sys::{Array, Function, Reflect};
use lab_protocol::{CanvasId, Command, ImageId, ModelInfo, Query, Slot, Summary, View};
use leptos::prelude::*;
use leptos::task::tick;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test as test;
use web_sys::HtmlElement;

use super::stand_in::{BROKEN, COLOUR, StandIn, until};
use super::{Mounted, attribute, mounted, owned, store};
use crate::state::{EngineState, Severity, Shown, Store};
use crate::views::Paint;
use crate::views::heads::Heads;
use crate::views::reading::reading;
use crate::views::surface::Surface;

const FIRST: ImageId = ImageId(11);
const SECOND: ImageId = ImageId(12);
/// Of the element, in CSS pixels.
const SIDE: u32 = 96;

/// A surface in a box of its own.
struct Fixture {
    /// Whose the signals are.
    _owner: Owner,
    store: Store,
    engine: StandIn,
    paint: RwSignal<Option<Paint>>,
    shown: RwSignal<Option<Shown>>,
}

impl Fixture {
    /// An engine, and nothing else yet.
    fn new() -> Self {
        let (_owner, store, engine) = (owned(), store(""), StandIn::open());
        store.link.set(Some(engine.link.clone()));
        Self { _owner, store, engine, paint: RwSignal::new(None), shown: RwSignal::new(None) }
    }

    fn mount(&self) -> Mounted<impl leptos::tachys::view::Mountable + use<>> {
        let Self { store, paint, shown, .. } = *self;
        mounted(move || {
            view! {
                <div class="box" style=format!("width: {SIDE}px")>
                    <Surface store paint shown label="what is seen" test="view-tested" />
                </div>
            }
        })
    }

    /// Model, images and what to draw.
    fn ready(&self) {
        self.store.model.set(Some(ModelInfo::default()));
        self.store.sent.set(HashSet::from([FIRST, SECOND, BROKEN.0]));
        self.store.selected.set(Some(FIRST));
        self.paint.set(Some(Paint::main(View::Pca)));
    }
}

/// What a `show` asks for; `None` where it is another command.
fn show(command: &Command) -> Option<(CanvasId, ImageId, View, [u32; 2])> {
    match command.clone() {
        Command::Show { canvas, image, view, size } => Some((canvas, image, view, size)),
        _ => None,
    }
}

/// The pictures among what was asked.
fn shows(asked: Vec<Command>) -> Vec<(CanvasId, ImageId, View, [u32; 2])> {
    asked.iter().filter_map(show).collect()
}

fn busy<M: leptos::tachys::view::Mountable>(it: &Mounted<M>) -> bool {
    attribute(&it.one("[data-testid=view-tested]"), "aria-busy") == "true"
}

/// What a canvas presents near its corner. Methods are called by name, as in `tests`.
fn colour(canvas: &HtmlElement) -> [f64; 3] {
    let call = |object: &JsValue, name: &str, arguments: &[JsValue]| {
        let method: Function = Reflect::get(object, &name.into()).unwrap().unchecked_into();
        Reflect::apply(&method, object, &arguments.iter().collect::<Array>()).unwrap()
    };
    let copy: JsValue = document().create_element("canvas").unwrap().into();
    let context = call(&copy, "getContext", &["2d".into()]);
    call(&context, "drawImage", &[canvas.into(), 0.into(), 0.into()]);
    let data = call(&context, "getImageData", &[5, 5, 1, 1].map(JsValue::from));
    let data = Reflect::get(&data, &"data".into()).unwrap();
    [0, 1, 2].map(|channel| Reflect::get_u32(&data, channel).unwrap().as_f64().unwrap())
}

#[test]
async fn a_surface_waits_for_what_it_needs_then_asks_once_and_presents_the_answer() {
    let it = Fixture::new();
    let page = it.mount();
    let attached = it.engine.hears(1).await;
    let [Command::AttachCanvas { canvas }] = attached[..] else { panic!("asked {attached:?}") };
    assert!(busy(&page), "it waits for a model and an image");
    it.ready();
    let side = (f64::from(SIDE) * window().device_pixel_ratio()).round() as u32;
    assert_eq!(shows(it.engine.hears(1).await), [(canvas, FIRST, View::Pca, [side, side])]);
    assert!(!busy(&page));
    let summary = it.shown.get_untracked().unwrap().summary;
    assert_eq!((summary.grid, summary.peak), ([2, 2], 3));
    assert_eq!(it.store.shown.get_untracked()["view-tested"].summary, summary);
    let element = page.one("canvas");
    assert_eq!((attribute(&element, "role"), attribute(&element, "aria-label")), ("img".into(), "what is seen".into()));
    until(|| colour(&element) == COLOUR).await;
    // No numbers outlive the last picture.
    it.store.samples_done.set(true);
    tick().await;
    assert!(it.shown.get_untracked().is_none() && it.store.shown.with_untracked(|all| all.is_empty()));
    assert_eq!(attribute(&element, "aria-hidden"), "true");
}

#[test]
async fn the_line_under_a_map_follows_the_pointer_and_else_the_chosen_patch() {
    let it = Fixture::new();
    let Fixture { store, shown, .. } = it;
    let line = reading(store, Slot::Main, shown, crate::texts::number);
    assert_eq!(line.get_untracked(), None, "nothing was drawn yet");
    let summary = Summary { grid: [2, 2], ..Summary::default() };
    let values = vec![0.1, 0.2, 0.3, f32::NAN];
    shown.set(Some(Shown { summary: summary.clone(), values: values.clone(), millis: 1.0 }));
    store.set_grid([2, 2]);
    store.patch.set(Some(1));
    assert_eq!(line.get_untracked().as_deref(), Some("At row 1, column 2: 0.20"));
    store.hover.set(Some([0.2, 0.9]));
    assert_eq!(line.get_untracked().as_deref(), Some("At row 2, column 1: 0.30"));
    store.hover.set(Some([0.9, 0.9]));
    assert_eq!(line.get_untracked().as_deref(), Some("At row 2, column 2: left out"));
    // Three planes are three components.
    store.hover.set(Some([0.2, 0.2]));
    let values = [values, vec![0.5; 4], vec![0.6; 4]].concat();
    shown.set(Some(Shown { summary, values, millis: 1.0 }));
    assert_eq!(line.get_untracked().as_deref(), Some("At row 1, column 1: PC1 0.10, PC2 0.50, PC3 0.60"));
}

#[test]
async fn a_surface_draws_anew_for_another_view_image_model_or_size_and_for_nothing_else() {
    let it = Fixture::new();
    let page = it.mount();
    it.ready();
    let asked = async |least| {
        let asked = shows(it.engine.hears(least).await);
        asked.into_iter().map(|(_, image, view, _)| (image, view)).collect::<Vec<_>>()
    };
    // The canvas comes first.
    assert_eq!(asked(2).await, [(FIRST, View::Pca)]);
    it.paint.set(Some(Paint::main(View::Pca)));
    it.store.sent.update(|sent| sent.extend([ImageId(14)]));
    assert_eq!(asked(0).await, [], "nothing has changed");
    batch(|| {
        it.store.selected.set(Some(SECOND));
        it.paint.set(Some(Paint::main(View::Input)));
    });
    assert_eq!(asked(1).await, [(SECOND, View::Input)], "two changes at once are one picture");
    it.store.edition.update(|edition| *edition += 1);
    assert_eq!(asked(1).await, [(SECOND, View::Input)], "another model");
    page.one(".box").style().set_property("width", "120px").unwrap();
    assert_eq!(asked(1).await, [(SECOND, View::Input)], "another size");
    it.store.selected.set(Some(ImageId(99)));
    assert_eq!((asked(0).await, busy(&page)), (Vec::new(), true), "an image that the engine does not hold yet");
    it.store.engine.set(EngineState::Stopped("It ran out of memory.".to_owned()));
    tick().await;
    assert!(!busy(&page), "no engine will ever draw it");
}

#[test]
async fn a_picture_that_fails_is_told_and_no_longer_waited_for() {
    let it = Fixture::new();
    let page = it.mount();
    it.ready();
    it.store.selected.set(Some(BROKEN.0));
    it.engine.hears(2).await;
    let notices = it.store.notices.get_untracked();
    assert_eq!(
        notices.iter().map(|notice| (notice.severity, &*notice.text)).collect::<Vec<_>>(),
        [(Severity::Error, BROKEN.1)]
    );
    assert!(!busy(&page) && it.shown.get_untracked().is_none());
}

#[test]
async fn a_picture_waits_also_for_the_image_whose_patch_it_looks_for() {
    let it = Fixture::new();
    let page = it.mount();
    it.ready();
    it.engine.hears(2).await;
    let coming = ImageId(14);
    it.paint.set(Some(Paint::main(View::Similarity { from: coming, patch: 0 })));
    assert!(it.engine.hears(0).await.is_empty() && busy(&page), "the engine does not hold it yet");
    it.store.sent.update(|sent| sent.extend([coming]));
    assert_eq!(shows(it.engine.hears(1).await).len(), 1);
    assert!(!busy(&page));
}

#[test]
async fn what_failed_and_is_wanted_no_more_is_not_told() {
    let it = Fixture::new();
    let page = it.mount();
    it.ready();
    it.engine.hears(2).await;
    it.store.selected.set(Some(BROKEN.0));
    // The question has gone out; before its answer another model has come.
    tick().await;
    it.store.selected.set(Some(FIRST));
    assert_eq!(shows(it.engine.hears(2).await).len(), 2);
    assert!(it.store.notices.get_untracked().is_empty() && !busy(&page));
}

#[test]
async fn another_engine_gets_a_canvas_of_its_own_and_the_old_one_is_told_to_forget() {
    let it = Fixture::new();
    let page = it.mount();
    it.ready();
    let asked = it.engine.hears(2).await;
    let Command::AttachCanvas { canvas: old } = asked[0] else { panic!("asked {asked:?}") };
    let (before, other) = (page.one("canvas"), StandIn::open());
    batch(|| {
        it.store.link.set(Some(other.link.clone()));
        it.store.era.update(|era| *era += 1);
        it.store.edition.update(|edition| *edition += 1);
    });
    let asked = other.hears(2).await;
    let (Command::AttachCanvas { canvas }, Some(drawn)) = (&asked[0], show(&asked[1])) else {
        panic!("asked {asked:?}")
    };
    assert_eq!((asked.len(), drawn.0), (2, *canvas));
    assert_eq!(it.engine.hears(1).await, [Command::DetachCanvas { canvas: old }]);
    assert!(*canvas != old && page.one("canvas") != before && !busy(&page));
    drop(page);
    assert_eq!(other.hears(1).await, [Command::DetachCanvas { canvas: *canvas }], "a surface that is gone");
}

#[test]
async fn a_button_lies_above_each_head_that_was_drawn_and_chooses_it() {
    let it = Fixture::new();
    let Fixture { store, paint, shown, .. } = it;
    let page = mounted(move || {
        view! {
            <Surface store paint shown label="heads" test="view-tested">
                <Heads store shown />
            </Surface>
        }
    });
    it.ready();
    paint.set(Some(Paint::main(View::Heads { layer: 0, query: Query::Cls, columns: 3 })));
    assert!(page.all("button").is_empty(), "nothing was drawn yet");
    it.engine.hears(2).await;
    let labels = page.all("button").iter().map(|button| attribute(button, "aria-label")).collect::<Vec<_>>();
    assert_eq!((labels.len(), page.all(".hole").len()), (3, 0), "{labels:?}");
    assert!(labels[2].starts_with("Head 2: 25") && labels[2].contains("entropy 2"), "{labels:?}");
    page.one("[data-testid=head-2]").click();
    tick().await;
    let pressed = page.all("button").iter().map(|button| attribute(button, "aria-pressed")).collect::<Vec<_>>();
    assert_eq!(pressed, ["false", "false", "true"]);
    assert_eq!(store.rooms.see.head.get_untracked(), Some(2));
}
