//! What leptos' signals leave to be wished for.

use std::time::Duration;

use leptos::prelude::*;

/// Sets a signal whose value differs, so that nothing is drawn twice.
pub(crate) fn put<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|now| *now != value) {
        signal.set(value);
    }
}

/// Counts to `last`, each number in a task of its own, for what is laid out piece by piece: as a whole a page would keep the
/// browser from its work for longer than a twentieth of a second.
pub(crate) fn in_turns(last: u8) -> RwSignal<u8> {
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
    turn
}
