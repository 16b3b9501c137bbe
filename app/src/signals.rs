//! What leptos' signals leave to be wished for.

use leptos::prelude::*;

/// Sets a signal whose value differs, so that nothing is drawn twice.
pub(crate) fn put<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|now| *now != value) {
        signal.set(value);
    }
}
