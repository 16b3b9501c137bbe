//! What leptos' signals leave to be wished for.

use std::time::Duration;

use js_sys::Promise;
use leptos::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// Sets a signal whose value differs, so that nothing is drawn twice.
pub(crate) fn put<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|now| *now != value) {
        signal.set(value);
    }
}

/// The turns in which something is laid out piece by piece: as a whole a page would keep the browser from its work for
/// longer than a twentieth of a second.
#[derive(Clone, Copy)]
pub(crate) struct Turns(RwSignal<u8>);

impl Turns {
    /// Counts to `last`, each number in a task of its own.
    pub(crate) fn to(last: u8) -> Self {
        let turn = RwSignal::new(0);
        for next in 1..=last {
            set_timeout(
                move || {
                    // What is laid out may be gone by then.
                    let _ = turn.try_set(next);
                },
                Duration::ZERO,
            );
        }
        Self(turn)
    }

    /// Whether a turn has come.
    pub(crate) fn from(self, least: u8) -> impl Fn() -> bool + Copy + Send + Sync + 'static {
        move || self.0.get() >= least
    }
}

/// Does something in a task of its own, for as long as what is laid out now stands.
pub(crate) fn later(work: impl FnOnce() + 'static) {
    let owner = Owner::current();
    set_timeout(
        move || match owner {
            Some(owner) => owner.with(work),
            None => work(),
        },
        Duration::ZERO,
    );
}

/// Waits, so that whatever else there is to do has its turn.
pub(crate) async fn pause(millis: i32) {
    let wait = Promise::new(&mut |resolve, _| {
        drop(window().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, millis));
    });
    drop(JsFuture::from(wait).await);
}
