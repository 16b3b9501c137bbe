//! What a link or the room's choices ask for, held against the run that stands: a link to MAE shall not show a DINO run
//! in silence, and no run is lost because somebody followed a link.

use lab_protocol::train::{Data, Switches};
use leptos::prelude::*;

use super::settings::same_settings;
use super::{Method, State, replace};
use crate::signals::put;
use crate::state::Store;
use crate::texts::train as texts;

/// Steps of a run that has hardly begun: it gives way at once, any other waits for a word.
pub(super) const YOUNG: u64 = 10;

/// In what the choices differ from the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Difference {
    /// DINO or MAE.
    pub(crate) method: bool,
    /// Drawn shapes or the user's images.
    pub(crate) data: bool,
    /// The settings over the preset.
    pub(crate) settings: bool,
    /// The switches of the collapse sandbox.
    pub(crate) switches: bool,
}

impl State {
    /// In what the choices differ from the run that stands; `None` where they are the run's, or there is none.
    pub(super) fn difference(self) -> Option<Difference> {
        let asked = self.settings.get();
        let found = self.status.with(|status| {
            let status = status.as_ref()?;
            let method = self.method.get() != Method::of(status);
            let switched = status.switches != Switches::default();
            Some(Difference {
                method,
                data: self.own.get() != matches!(status.data, Data::Own { .. }),
                // Another method has another preset: its keys need no comparison.
                settings: !method && !same_settings(&status.settings, &asked, &status.config, switched),
                switches: !method && Method::of(status) == Method::Dino && self.wanted.get() != status.switches,
            })
        })?;
        (found != Difference::default()).then_some(found)
    }

    /// Whether what stands here gives way at once to what the choices ask for: a run that has hardly begun, or none that
    /// could begin.
    pub(super) fn gives_way(self) -> bool {
        match self.steps() {
            Some(step) => step <= YOUNG && untrack(|| self.difference().is_some()),
            None => self.refused.with_untracked(Option::is_some),
        }
    }

    /// The run that stands is what is wanted: the choices become its own.
    pub(super) fn adopt(self) {
        self.status.with_untracked(|status| {
            let Some(status) = status else { return };
            put(self.method, Method::of(status));
            put(self.own, matches!(status.data, Data::Own { .. }));
            put(self.wanted, status.switches);
            put(self.settings, status.settings.join("\n"));
        });
        put(self.named, true);
        put(self.refused, None);
    }

    /// The user has chosen. What is asked of a run that stands is no link's any more; a run that could not begin stays it.
    pub(super) fn chosen(self) {
        put(self.named, true);
        if self.status.with_untracked(Option::is_some) {
            put(self.linked, false);
        }
    }
}

/// Where the choices ask for another run: what is asked, what stands here, and a choice.
#[component]
pub(super) fn Other(store: Store) -> impl IntoView {
    let state = store.rooms.train;
    let difference = Memo::new(move |_| state.difference());
    let sentence = move || {
        let asked = texts::asked(state.method.get(), state.own.get(), difference.get()?, state.linked.get());
        state.status.with(|status| status.as_ref().map(|status| texts::other(&asked, status)))
    };
    let why = move || state.refused.get().map(|why| texts::no_run(&why));
    view! {
        <Show when=move || difference.get().is_some()>
            <div class="other" role="status" data-testid="other">
                <p>{sentence} " " {why}</p>
                <div class="buttons">
                    <button
                        class="strong"
                        data-testid="begin-other"
                        disabled=move || state.busy.get()
                        on:click=move |_| replace::reset(store)
                    >
                        {move || if state.linked.get() { texts::BEGIN_LINKED } else { texts::BEGIN_CHOSEN }}
                    </button>
                    <button data-testid="go-on" on:click=move |_| state.adopt()>{texts::GO_ON}</button>
                </div>
            </div>
        </Show>
    }
}
