//! The room Learn: guided tours. A tour's text drives the real views; its formulas show the numbers on the screen.

mod answers;
mod formula;
mod scale;
mod stage;
mod teacher;

use leptos::prelude::*;

use crate::hash::Address;
use crate::rooms::{Room, States};
use crate::signals::put;
use crate::state::Store;
use crate::texts::learn::{self as texts, Step, TOURS};
use answers::Answers;
pub(crate) use formula::Equation;
use formula::Formula;
pub(crate) use scale::Measure;
use stage::Stage;
pub(crate) use stage::Views;

/// Whether there is something to see; an empty room stands in no navigation.
pub(crate) const FILLED: bool = true;
/// The tour has the whole width.
pub(crate) const BESIDE: bool = false;

/// The state of this room. Copies are the same state.
#[derive(Clone, Copy)]
pub(crate) struct State {
    /// Which tour, from 0.
    pub(crate) tour: RwSignal<usize>,
    /// Which step, from 0.
    pub(crate) step: RwSignal<usize>,
    /// The teacher's temperature in hundredths: a slider's own unit.
    temperature: RwSignal<u32>,
    /// The teacher's centre is subtracted.
    centred: RwSignal<bool>,
    /// What the teacher on the stage says.
    answers: RwSignal<Option<Answers>>,
    /// Somebody looks: elsewhere the rooms' state is not a tour's.
    open: RwSignal<bool>,
    /// What a link wants different from a step's own state.
    over: StoredValue<Address>,
    /// Counts links.
    links: RwSignal<u32>,
}

/// The teacher's temperature before somebody moves it, in hundredths: DINO's own last one.
const TEMPERATURE: u32 = 7;

impl State {
    /// A room as nobody has used it yet.
    pub(crate) fn new() -> Self {
        Self {
            tour: RwSignal::new(0),
            step: RwSignal::new(0),
            temperature: RwSignal::new(TEMPERATURE),
            centred: RwSignal::new(true),
            answers: RwSignal::new(None),
            open: RwSignal::new(false),
            over: StoredValue::new(Address::default()),
            links: RwSignal::new(0),
        }
    }

    /// Takes over what a link says; what it does not say keeps its default.
    pub(crate) fn read(self, address: &Address) {
        let known = TOURS.iter().position(|tour| Some(tour.id) == address.get("tour"));
        let tour = known.unwrap_or(0);
        put(self.tour, tour);
        // The step of a tour that is not there is none of another one.
        let step: usize =
            address.number("step").filter(|_| known.is_some() || address.get("tour").is_none()).unwrap_or(1);
        put(self.step, step.clamp(1, TOURS[tour].steps.len()) - 1);
        put(self.temperature, address.number("tau").filter(|tau| (1..=100).contains(tau)).unwrap_or(TEMPERATURE));
        put(self.centred, address.get("centre") != Some("no"));
        self.over.set_value(address.clone());
        self.links.update(|links| *links += 1);
    }

    /// Says in a link what differs from the defaults.
    pub(crate) fn write(self, rooms: States, address: &mut Address) {
        address.put("tour", Some(TOURS[self.tour.get()].id));
        address.put("step", Some(self.step.get() + 1));
        address.put("tau", Some(self.temperature.get()).filter(|tau| *tau != TEMPERATURE));
        address.put("centre", (!self.centred.get()).then_some("no"));
        if !self.open.get() {
            return;
        }
        // What the visitor has changed in the room that the step drives: a mask of their own, a ratio, a layer.
        let step = Address::parse(self.now().state);
        let [mut wanted, mut here] = [Address::default(), Address::default()];
        step.iter().filter(|(key, _)| !PAGE.contains(key)).for_each(|(key, value)| wanted.put(key, Some(value)));
        rooms.write(Room::of(&step), &mut here);
        here.beyond(&wanted).iter().for_each(|(key, value)| address.put(key, Some(value)));
    }

    /// The step that is read.
    fn now(self) -> &'static Step {
        &TOURS[self.tour.get()].steps[self.step.get()]
    }
}

/// Keys of a step's state that are the page's own.
const PAGE: [&str; 3] = ["room", "sample", "patch"];

/// Sets the real rooms as a step wants them, and a link that came with it.
fn arrange(store: Store, step: &Step, over: &Address) {
    let address = Address::parse(step.state);
    let room = Room::of(&address);
    let address = address.under(over);
    batch(|| {
        store.rooms.read(room, &address);
        put(store.patch, address.number("patch"));
        if let Some(sample) = address.name("sample") {
            store.wish_sample(sample);
        }
    });
}

/// The room.
#[component]
pub(crate) fn Learn(store: Store) -> impl IntoView {
    let state = store.rooms.learn;
    let now = Memo::new(move |_| (state.tour.get(), state.step.get()));
    state.open.set(true);
    on_cleanup(move || {
        let _ = state.open.try_set(false);
    });
    Effect::new(move || {
        now.track();
        state.links.track();
        let over = state.over.try_update_value(std::mem::take).unwrap_or_default();
        untrack(|| arrange(store, state.now(), &over));
    });
    let go = move |tour: usize, step: usize| {
        batch(|| {
            state.tour.set(tour);
            state.step.set(step);
        });
    };
    let tab = move |(at, tour): (usize, &'static texts::Tour)| {
        view! {
            <li>
                <button
                    aria-current=move || (state.tour.get() == at).then_some("true")
                    data-testid=format!("tour-{}", tour.id)
                    on:click=move |_| go(at, 0)
                >
                    <span class="number" aria-hidden="true">{at + 1}</span>
                    {tour.title}
                </button>
            </li>
        }
    };
    view! {
        <p class="lead">{texts::LEAD}</p>
        <div class="learn">
            <nav aria-label=texts::TOURS_LABEL class="tours">
                <ol>{TOURS.iter().enumerate().map(tab).collect_view()}</ol>
            </nav>
            <article class="step" aria-live="polite">{move || now_reading(store, now.get())}</article>
            <div class="show">
                <Stage store stage=Signal::derive(move || state.now().stage) />
            </div>
            <div class="ways">{move || ways(now.get(), go)}</div>
        </div>
    }
}

/// Text and formula, and what the model at work has learned.
fn now_reading(store: Store, (tour, at): (usize, usize)) -> impl IntoView {
    let (tour_text, step) = (&TOURS[tour], &TOURS[tour].steps[at]);
    let paragraphs = step.text.iter().map(|text| view! { <p>{*text}</p> }).collect_view();
    let links = step.links.iter().map(|(href, label)| view! { <a href=*href>{*label}</a> }).collect_view();
    let untrained = move || {
        let model = store.model.get().filter(|model| model.untrained && !step.learned.is_empty())?;
        let words = texts::untrained(&model.name, step.learned);
        Some(view! { <p class="untrained" data-testid="tour-untrained">{words}</p> })
    };
    view! {
        <p class="where">{tour_text.title} ", " {texts::step(at + 1, tour_text.steps.len())}</p>
        <h2>{step.title}</h2>
        {paragraphs}
        {untrained}
        {step.formula.map(|of| view! { <Formula store of /> })}
        <p class="links">
            <a href=format!("#{}", step.state) data-testid="open-room">{texts::OPEN_THERE}</a>
            {links}
        </p>
    }
}

/// The way back and the way on.
fn ways((tour, at): (usize, usize), go: impl Fn(usize, usize) + Copy + Send + Sync + 'static) -> impl IntoView {
    let count = TOURS[tour].steps.len();
    let (last, last_tour) = (at + 1 == count, tour + 1 == TOURS.len());
    let on = move |_| match (last, last_tour) {
        (false, _) => go(tour, at + 1),
        (true, false) => go(tour + 1, 0),
        (true, true) => go(0, 0),
    };
    let back = move |_| {
        if at > 0 {
            go(tour, at - 1)
        }
    };
    let next = match (last, last_tour) {
        (false, _) => texts::NEXT.to_owned(),
        (true, false) => texts::next_tour(TOURS[tour + 1].title),
        (true, true) => texts::AGAIN.to_owned(),
    };
    let dots = (0..count)
        .map(|dot| {
            view! {
                <button
                    class="dot"
                    aria-label=texts::step(dot + 1, count)
                    aria-current=(dot == at).then_some("step")
                    on:click=move |_| go(tour, dot)
                ></button>
            }
        })
        .collect_view();
    view! {
        <button on:click=back disabled={at == 0}>{texts::BACK}</button>
        <div class="dots">{dots}</div>
        <button class="strong" on:click=on data-testid="next">{next}</button>
    }
}
