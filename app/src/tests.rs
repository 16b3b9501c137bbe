//! Components mounted by themselves in a real document: what they draw, what they answer to a click or a key, how they
//! follow their signals. The page as a whole, with its engine, is tested from outside by `tests/e2e`.
//!
//! These and the unit tests of the other files run in a browser, where the page runs: `cargo xtask test`.

mod canvases;
mod exchanges;
mod stand_in;
mod train;

use std::collections::HashMap;

use js_sys::{Array, Function, Object, Reflect};
use lab_protocol::{EngineInfo, EngineKind, KernelCheck, ModelInfo, SelfCheck};
use leptos::mount::{UnmountHandle, mount_to};
use leptos::prelude::*;
use leptos::task::tick;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::{wasm_bindgen_test as test, wasm_bindgen_test_configure};
use web_sys::{Blob, Element, Event, HtmlElement, HtmlInputElement, KeyboardEvent};

use crate::engine::check_link;
use crate::hash::Address;
use crate::panels::{EnginePanel, Notices};
use crate::pictures;
use crate::rooms::mask::Controls;
use crate::rooms::{Navigation, Room};
use crate::state::{EngineState, Progress, Severity, Store};
use crate::texts;
use crate::views::picker::Picker;
use crate::widgets::bars::Bars;
use crate::widgets::curves::{Curve, Curves};
use crate::widgets::menu::Menu;
use crate::widgets::segments::Segments;
use stand_in::until;

wasm_bindgen_test_configure!(run_in_browser);

/// A component in a box of its own, gone at the end of its test.
struct Mounted<M: leptos::tachys::view::Mountable> {
    place: HtmlElement,
    _handle: UnmountHandle<M>,
}

impl<M: leptos::tachys::view::Mountable> Drop for Mounted<M> {
    fn drop(&mut self) {
        self.place.remove();
    }
}

impl<M: leptos::tachys::view::Mountable> Mounted<M> {
    /// Everything that a selector finds. Called by name, as below.
    fn all(&self, selector: &str) -> Vec<HtmlElement> {
        let find: Function = Reflect::get(&self.place, &"querySelectorAll".into()).unwrap().unchecked_into();
        let found = find.call1(&self.place, &selector.into()).unwrap();
        Array::from(&found).iter().map(JsCast::unchecked_into).collect()
    }

    /// The only one.
    fn one(&self, selector: &str) -> HtmlElement {
        let all = self.all(selector);
        assert_eq!(all.len(), 1, "{selector} in {}", self.place.inner_html());
        all.into_iter().next().unwrap()
    }

    fn text(&self) -> String {
        self.place.text_content().unwrap_or_default()
    }
}

/// Mounts a view into the document; only there do events bubble and sizes exist.
fn mounted<F, V>(view: F) -> Mounted<V::State>
where
    F: FnOnce() -> V + 'static,
    V: IntoView,
    V::State: leptos::tachys::view::Mountable,
{
    let place: HtmlElement = document().create_element("div").unwrap().unchecked_into();
    document().body().unwrap().append_child(&place).unwrap();
    let handle = mount_to(place.clone(), view);
    Mounted { place, _handle: handle }
}

fn attribute(element: &Element, name: &str) -> String {
    element.get_attribute(name).unwrap_or_else(|| panic!("no {name} on {}", element.outer_html()))
}

fn number(element: &Element, name: &str) -> f64 {
    attribute(element, name).parse().unwrap()
}

fn checked(element: &HtmlElement) -> bool {
    element.unchecked_ref::<web_sys::HtmlInputElement>().checked()
}

/// Presses a key on an element; whether the element took it. The event's constructor is called by name: a feature of
/// web-sys that only tests need would build leptos anew for them.
fn press(element: &HtmlElement, key: &str) -> bool {
    let options = Object::new();
    for (name, value) in [("key", key.into()), ("bubbles", true.into()), ("cancelable", true.into())] {
        Reflect::set(&options, &name.into(), &value).unwrap();
    }
    let class: Function = Reflect::get(&window(), &"KeyboardEvent".into()).unwrap().unchecked_into();
    let event = Reflect::construct(&class, &Array::of2(&"keydown".into(), &options)).unwrap();
    let event: KeyboardEvent = event.unchecked_into();
    element.dispatch_event(&event).unwrap();
    event.default_prevented()
}

/// Whose the signals of a test are, for as long as it runs.
pub(crate) fn owned() -> Owner {
    let owner = Owner::new();
    owner.set();
    owner
}

pub(crate) fn store(hash: &str) -> Store {
    Store::new(&Address::parse(hash))
}

#[test]
async fn segments_follow_their_signal_and_tell_of_a_choice() {
    let _owner = owned();
    let (value, heard) = (RwSignal::new(1), RwSignal::new(Vec::new()));
    let changed = Callback::new(move |chosen: i32| heard.update(|heard| heard.push(chosen)));
    let options = vec![(1, "one"), (2, "two"), (3, "three")];
    let it = mounted(move || view! { <Segments legend="How many" name="many" options value changed /> });
    let marks = move |it: &Mounted<_>| it.all("input").iter().map(checked).collect::<Vec<_>>();
    assert_eq!(it.one("legend").text_content().as_deref(), Some("How many"));
    assert_eq!(marks(&it), [true, false, false]);
    it.one("[data-testid=many-1]").click();
    tick().await;
    assert_eq!((value.get_untracked(), heard.get_untracked()), (2, vec![2]));
    // Set from elsewhere, as by a link: the button follows, and nobody is told of a choice.
    value.set(3);
    tick().await;
    assert_eq!(marks(&it), [false, false, true]);
    assert_eq!(heard.get_untracked(), [2]);
}

#[test]
async fn bars_rise_and_hang_from_zero() {
    let it = mounted(|| view! { <Bars values=vec![1.0, -0.5, 0.0] label="three".to_owned() /> });
    assert_eq!(attribute(&it.one("svg"), "aria-label"), "three");
    let zero = number(&it.one("line"), "y1");
    let bars = it.all("rect");
    let [top, height] = ["y", "height"].map(|name| bars.iter().map(|bar| number(bar, name)).collect::<Vec<_>>());
    assert_eq!((top[0], height[0]), (0.0, zero), "the largest fills its half");
    assert_eq!((top[1], height[1]), (zero, zero / 2.0), "a negative one hangs");
    assert!(height[2] > 0.0 && height[2] < 1.0, "zero is still seen: {}", height[2]);
    assert!(it.text().ends_with("1.00-1.00"), "what the height means: {}", it.text());
    // A scale of its own makes neighbours comparable; nothing at all is no error.
    let half = mounted(|| view! { <Bars values=vec![1.0] label=String::new() scale=2.0 /> });
    assert_eq!(2.0 * number(&half.one("rect"), "height"), number(&half.one("line"), "y1"));
    assert!(mounted(|| view! { <Bars values=Vec::new() label=String::new() /> }).all("rect").is_empty());
}

#[test]
async fn curves_say_that_nothing_was_measured_and_then_what_was() {
    let _owner = owned();
    let curves = RwSignal::new(vec![Curve { name: "student", points: Vec::new() }]);
    let it = mounted(move || {
        view! {
            <Curves
                title="Loss"
                hint="falls"
                unit="nats"
                curves=curves.into()
                of=Signal::derive(|| "run".to_owned())
                told=Callback::new(|_| ())
            />
        }
    });
    assert!(attribute(&it.one("svg"), "aria-label").contains("Loss, nats. student: nothing measured yet."));
    assert_eq!(attribute(&it.one("path"), "d"), "");
    let points = [vec![(1, 4.0), (5, 2.0)], vec![(1, 3.0), (5, 3.5)]];
    let before: Vec<_> =
        ["student", "teacher"].into_iter().zip(points).map(|(name, points)| Curve { name, points }).collect();
    curves.set(before.clone());
    tick().await;
    assert_eq!(
        it.all("path").iter().map(|path| path.get_attribute("class").unwrap()).collect::<Vec<_>>(),
        ["curve", "curve second"]
    );
    curves.set(vec![Curve { name: "student", points: vec![(1, 4.0)] }]);
    tick().await;
    let dot = it.one("path");
    assert!(attribute(&dot, "class").contains("dot") && attribute(&dot, "d").ends_with("h0"), "{}", dot.outer_html());
    curves.set(before);
    tick().await;
    let ticks = ["high", "low", "first", "last"].map(|end| it.one(&format!("[data-testid=tick-{end}]")));
    assert_eq!(ticks.map(|tick| tick.text_content().unwrap()), ["4.00", "2.00", "1", "5"]);
    let said = attribute(&it.one("svg"), "aria-label");
    assert!(said.contains("teacher: 3.00 at step 1, 3.50 at step 5; between 3.00 and 3.50."), "{said}");
    assert!(it.text().contains("student 2.00") && it.text().contains("teacher 3.50"), "{}", it.text());
}

#[test]
async fn notices_wait_until_they_are_sent_away() {
    let _owner = owned();
    let store = store("");
    let it = mounted(move || view! { <Notices store /> });
    assert!(it.all("p").is_empty());
    store.tell(Severity::Warning, "The disk is nearly full.");
    store.tell(Severity::Error, "The disk is full.");
    store.tell(Severity::Warning, "The disk is nearly full.");
    tick().await;
    assert_eq!(it.all("p").len(), 2, "the same sentence is not shown twice: {}", it.text());
    assert!(it.one("p.error").text_content().unwrap().starts_with("The disk is full."));
    it.one("p.error button").click();
    tick().await;
    assert!(it.all("p.error").is_empty() && it.all("p").len() == 1, "{}", it.text());
    // The keyboard is on the next one's button.
    until(|| document().active_element().as_ref() == Some(it.one("p button").as_ref())).await;
    // What was done interrupts nobody; three are sent away together.
    store.tell(Severity::Done, "The model is kept.");
    store.tell(Severity::Error, "The network is gone.");
    tick().await;
    let said =
        |role: &str| it.all(&format!("[role={role}] p")).iter().map(|p| p.text_content().unwrap()).collect::<String>();
    assert_eq!(
        (said("alert"), said("status")),
        ("The network is gone.×The disk is nearly full.×".into(), "The model is kept.×".into())
    );
    it.one("[data-testid=dismiss-all]").click();
    tick().await;
    assert!(it.all("p").is_empty() && it.all(".all").is_empty(), "{}", it.text());
    store.progress.set(Some(Progress { task: "reading".into(), done: 3, total: 12, unit: "tensors".into() }));
    tick().await;
    let bar = it.one("progress");
    assert_eq!((number(&bar, "max"), number(&bar, "value")), (12.0, 3.0));
    store.progress.set(None);
    tick().await;
    assert!(it.all("progress").is_empty());
}

#[test]
async fn a_menu_closes_by_escape_by_a_press_elsewhere_and_not_by_one_inside() {
    let _owner = owned();
    let it = mounted(|| view! { <Menu><button>"PNG"</button></Menu> <p>"elsewhere"</p> });
    let open = |it: &Mounted<_>| it.one("details").has_attribute("open");
    let point = |element: &HtmlElement| {
        let options = Object::new();
        Reflect::set(&options, &"bubbles".into(), &true.into()).unwrap();
        let class: Function = Reflect::get(&window(), &"PointerEvent".into()).unwrap().unchecked_into();
        let event = Reflect::construct(&class, &Array::of2(&"pointerdown".into(), &options)).unwrap();
        element.dispatch_event(event.unchecked_ref()).unwrap();
    };
    it.one("summary").click();
    point(&it.one("button"));
    assert!(open(&it), "a press inside");
    press(&it.one("button"), "Escape");
    assert!(!open(&it), "Escape");
    it.one("summary").click();
    point(&it.one("p"));
    assert!(!open(&it), "a press elsewhere");
}

#[test]
async fn the_picker_obeys_arrows_and_stops_at_the_border() {
    let _owner = owned();
    let store = store("#patch=5");
    store.grid.set([3, 4]);
    let mark = Signal::derive(move || Some(store.patch()));
    let it = mounted(move || view! { <Picker store label="patches" mark grid=store.grid keyboard=true /> });
    let layer = it.one("[data-testid=patch-grid]");
    assert_eq!((attribute(&layer, "tabindex"), attribute(&layer, "aria-label")), ("0".into(), "patches".into()));
    let patch = |key: &str| (press(&layer, key), store.patch_untracked());
    assert_eq!(patch("ArrowRight"), (true, 6));
    assert_eq!(patch("ArrowDown"), (true, 10));
    assert_eq!(patch("ArrowDown").1, 10, "there is no row below");
    assert_eq!(patch("a"), (false, 10), "other keys are left to others");
    tick().await;
    let style = attribute(&it.one(".mark"), "style");
    assert!(style.contains("left: 50%") && style.contains("width: 25%"), "{style}");
}

#[test]
async fn another_grid_leaves_the_chosen_patch_and_the_kept_one_where_they_are_on_the_picture() {
    let _owner = owned();
    let store = store("#patch=200&from=reef&from-patch=200");
    let said = move || untrack(|| store.address(Room::See)).format();
    store.set_grid([16, 16]);
    store.set_grid([8, 8]);
    assert_eq!(said(), "patch=200&from=reef&from-patch=200", "a link's own, until it was checked");
    store.set_grid([16, 16]);
    store.unchecked.set(false);
    store.set_grid([8, 8]);
    assert_eq!(said(), "patch=52&from=reef&from-patch=52");
    assert_eq!(store.patch_untracked(), 52);
}

#[test]
async fn each_picture_has_a_patch_grid_of_its_own() {
    let _owner = owned();
    let store = store("#patch=5");
    store.unchecked.set(false);
    pictures::attend(store);
    let [wide, tall] = ["wide", "tall"].map(|name| pictures::add(store, Blob::new().unwrap(), name.to_owned(), None));
    store.embedded.set(HashMap::from([(wide, [2, 4]), (tall, [4, 2])]));
    let show = async |picture| {
        store.selected.set(Some(picture));
        tick().await;
        (store.grid.get_untracked(), store.patch_untracked())
    };
    assert_eq!(show(wide).await, ([2, 4], 5));
    store.pin_here();
    // The chosen patch stays where it is on the picture, the kept one on its own.
    assert_eq!(show(tall).await, ([4, 2], 6));
    assert_eq!(untrack(|| store.pinned()), Some((wide, 5)));
}

#[test]
async fn what_a_field_cannot_take_is_said_and_the_field_shows_what_stands() {
    let _owner = owned();
    let store = store("#room=mask&seed=7");
    let it = mounted(move || view! { <Controls store /> });
    let field = it.one("[data-testid=seed]").unchecked_into::<HtmlInputElement>();
    let seed = store.rooms.mask.seed;
    let mut told = Vec::new();
    for (typed, stands) in [("-3", 7), ("1.5", 7), ("", 7), ("4294967296", 7), ("012", 12)] {
        field.set_value(typed);
        field.dispatch_event(&Event::new("change").unwrap()).unwrap();
        tick().await;
        assert_eq!((seed.get_untracked(), field.value()), (stands, stands.to_string()), "{typed}");
        told.push(store.notices.get_untracked().len());
        store.notices.set(Vec::new());
    }
    assert_eq!(told, [1, 1, 1, 1, 0]);
}

#[test]
async fn a_link_keeps_its_model_until_another_one_is_chosen_and_nothing_is_held_against_its_weights() {
    let _owner = owned();
    let store = store("#model=https://example.org/model/&weights=0123&patch=9");
    let said = move || untrack(|| store.address(Room::See)).format();
    let asked = "model=https://example.org/model/&weights=0123&patch=9";
    assert_eq!(said(), asked);
    // Another one stands in for it.
    store.model.set(Some(ModelInfo { fingerprint: "4567".into(), ..ModelInfo::default() }));
    store.set_grid([2, 2]);
    check_link(store);
    assert_eq!(said(), asked);
    assert!(store.notices.with_untracked(Vec::is_empty));
    store.awaited.set(None);
    check_link(store);
    assert_eq!(said(), "weights=4567");
    let told =
        store.notices.with_untracked(|all| all.iter().map(|notice| notice.text.clone()).collect::<Vec<_>>().join(" "));
    assert!(told.contains("fingerprint 0123") && told.contains("patch 9"), "{told}");
}

#[test]
async fn the_engine_panel_tells_the_verdict_of_the_self_check_also_where_the_engine_was_chosen() {
    let _owner = owned();
    let store = store("#engine=gpu");
    let kernel = |passed| KernelCheck { name: "softmax".into(), max_error: 0.0, tolerance: 1.0, passed };
    let verdict = |kernels| texts::verdict(&SelfCheck { kernels });
    let it = mounted(move || view! { <EnginePanel store /> });
    store.why.set(texts::WHY_WANTED.to_owned());
    store.verdict.set(verdict(vec![kernel(true), kernel(false)]));
    let line = it.one("[data-testid=self-check]");
    assert_eq!(line.text_content().as_deref(), Some(""), "no engine runs yet");
    let (kind, device) = (EngineKind::Gpu, "card".to_owned());
    let info = EngineInfo { kind, device, software: false, f16: false, max_binding_bytes: 0 };
    store.engine.set(EngineState::Running(info));
    tick().await;
    assert!(line.text_content().unwrap().contains("1 of 2 kernels gave wrong numbers"), "{}", it.text());
    assert!(verdict(vec![kernel(true)]).contains("each of the 1 kernels") && verdict(Vec::new()).is_empty());
}

#[test]
async fn the_navigation_marks_the_open_room_and_its_links_hold_what_the_rooms_hold() {
    let _owner = owned();
    let store = store("#room=mask&patch=7");
    let it = mounted(move || view! { <Navigation store /> });
    let current = |it: &Mounted<_>| attribute(&it.one("[aria-current=page]"), "data-testid");
    assert_eq!(current(&it), "room-mask");
    assert!(attribute(&it.one("[data-testid=room-see]"), "href").contains("patch=7"));
    store.room.set(Room::Video);
    store.patch.set(Some(9));
    tick().await;
    assert_eq!(current(&it), "room-video");
    assert!(attribute(&it.one("[data-testid=room-see]"), "href").contains("patch=9"));
}
