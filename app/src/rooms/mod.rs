//! The rooms of the lab: what each is called, which stand in the navigation, and the one that is open.
//!
//! A room is a file here (its [`State`](see::State), its address keys, its component), one in `texts` and one in
//! `styles`. What all rooms share, images, model and engine, lies in the [`Store`].

pub(crate) mod learn;
pub(crate) mod mask;
pub(crate) mod probe;
pub(crate) mod see;
pub(crate) mod sense;
pub(crate) mod train;
pub(crate) mod video;

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::HtmlElement;

use crate::hash::Address;
use crate::state::Store;
use crate::texts;

/// A room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Room {
    /// Views of an image; where one starts.
    #[default]
    See,
    /// Hidden patches and a masked autoencoder.
    Mask,
    /// Classes from a few images.
    Probe,
    /// A run in the page.
    Train,
    /// Guided tours.
    Learn,
    /// Webcam and clips.
    Video,
}

/// All rooms, in the order of the navigation.
pub(crate) const ALL: [Room; 6] = [Room::See, Room::Mask, Room::Probe, Room::Train, Room::Video, Room::Learn];

impl Room {
    /// The room that a link names; See where it names none that we have.
    pub(crate) fn of(address: &Address) -> Self {
        let asked = address.get("room").unwrap_or_default();
        ALL.into_iter().find(|room| room.key() == asked).unwrap_or_default()
    }

    /// Its word in a link.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::See => "see",
            Self::Mask => "mask",
            Self::Probe => "probe",
            Self::Train => "train",
            Self::Learn => "learn",
            Self::Video => "video",
        }
    }

    /// Its name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::See => texts::see::ROOM,
            Self::Mask => texts::mask::ROOM,
            Self::Probe => texts::probe::ROOM,
            Self::Train => texts::train::ROOM,
            Self::Learn => texts::learn::ROOM,
            Self::Video => texts::video::ROOM,
        }
    }

    /// Whether it stands in the navigation.
    pub(crate) fn filled(self) -> bool {
        match self {
            Self::See => see::FILLED,
            Self::Mask => mask::FILLED,
            Self::Probe => probe::FILLED,
            Self::Train => train::FILLED,
            Self::Learn => learn::FILLED,
            Self::Video => video::FILLED,
        }
    }

    /// Whether a network of its own learns in it, beside the model of all rooms.
    pub(crate) fn learns(self) -> bool {
        self == Self::Train
    }

    /// Whether images, model and engine stand beside it.
    pub(crate) fn beside(self) -> bool {
        match self {
            Self::See => see::BESIDE,
            Self::Mask => mask::BESIDE,
            Self::Probe => probe::BESIDE,
            Self::Train => train::BESIDE,
            Self::Learn => learn::BESIDE,
            Self::Video => video::BESIDE,
        }
    }
}

/// The state of every room; it stays while another one is open.
#[derive(Clone, Copy)]
pub(crate) struct States {
    /// Of the room See.
    pub(crate) see: see::State,
    /// Of the room Mask.
    pub(crate) mask: mask::State,
    /// Of the room Probe.
    pub(crate) probe: probe::State,
    /// Of the room Train.
    pub(crate) train: train::State,
    /// Of the room Learn.
    pub(crate) learn: learn::State,
    /// Of the room Video.
    pub(crate) video: video::State,
}

impl States {
    /// Rooms as nobody has used them yet.
    pub(crate) fn new() -> Self {
        Self {
            see: see::State::new(),
            mask: mask::State::new(),
            probe: probe::State::new(),
            train: train::State::new(),
            learn: learn::State::new(),
            video: video::State::new(),
        }
    }

    /// Hands a link to the room it leads to.
    pub(crate) fn read(self, room: Room, address: &Address) {
        match room {
            Room::See => self.see.read(address),
            Room::Mask => self.mask.read(address),
            Room::Probe => self.probe.read(address),
            Room::Train => self.train.read(address),
            Room::Learn => self.learn.read(address),
            Room::Video => self.video.read(address),
        }
    }

    /// What is in a room and in no link.
    pub(crate) fn missing(self, room: Room) -> Vec<&'static str> {
        match room {
            Room::See => self.see.missing(),
            Room::Probe => self.probe.missing(),
            Room::Train => self.train.status.with(|status| status.iter().map(|_| texts::MISSING_RUN).collect()),
            Room::Video => self.video.missing(),
            Room::Mask | Room::Learn => Vec::new(),
        }
    }

    /// Lets a room write down its state.
    pub(crate) fn write(self, room: Room, address: &mut Address) {
        match room {
            Room::See => self.see.write(address),
            Room::Mask => self.mask.write(address),
            Room::Probe => self.probe.write(address),
            Room::Train => self.train.write(address),
            Room::Learn => self.learn.write(self, address),
            Room::Video => self.video.write(address),
        }
    }
}

/// Opens another room, as a link to it would: the way back leads here, and the keyboard is there.
pub(crate) fn go(store: Store, room: Room) {
    // A page without a history, as in some frames, only loses the way back.
    let history = window().history();
    drop(history.and_then(|history| history.push_state_with_url(&JsValue::NULL, "", None)));
    store.room.set(room);
    focus();
}

/// Moves the focus to the room that is open.
pub(crate) fn focus() {
    if let Some(room) = document().get_element_by_id("room") {
        drop(room.unchecked_into::<HtmlElement>().focus());
    }
}

/// Links to the rooms, each with the state in which it was left.
#[component]
pub(crate) fn Navigation(store: Store) -> impl IntoView {
    // A run that goes on while another room is open.
    let runs = Memo::new(move |_| !store.room.get().learns() && store.rooms.train.playing.get());
    let entry = move |room: Room| {
        let sign = move || {
            let shown = room.learns() && runs.get();
            let say = texts::train::RUNS;
            shown.then(|| view! { <span class="runs" role="img" aria-label=say title=say data-testid="runs"></span> })
        };
        view! {
            <li>
                <a
                    href=move || format!("#{}", store.address(room).format())
                    aria-current=move || (store.room.get() == room).then_some("page")
                    data-testid=format!("room-{}", room.key())
                >
                    {room.title()} {sign}
                </a>
            </li>
        }
    };
    view! {
        <nav aria-label=texts::ROOMS>
            <ul>{ALL.into_iter().filter(|room| room.filled()).map(entry).collect_view()}</ul>
        </nav>
    }
}

/// The room that is open.
#[component]
pub(crate) fn Open(store: Store) -> impl IntoView {
    let room = Memo::new(move |_| store.room.get());
    move || match room.get() {
        Room::See => view! { <see::See store /> }.into_any(),
        Room::Mask => view! { <mask::Mask store /> }.into_any(),
        Room::Probe => view! { <probe::Probe store /> }.into_any(),
        Room::Train => view! { <train::Train store /> }.into_any(),
        Room::Learn => view! { <learn::Learn store /> }.into_any(),
        Room::Video => view! { <video::Video store /> }.into_any(),
    }
}
