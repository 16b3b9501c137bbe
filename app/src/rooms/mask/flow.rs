//! From the room's state to the engine and back: an autoencoder, a mask, a reconstruction; the newest wish wins.

use lab_protocol::{Command, Event, MaskCommand, MaskEvent, PatchMask, Slot};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::Outcome;
use crate::link::Link;
use crate::registry;
use crate::rooms::see::load_into;
use crate::state::{Severity, Source, Store};
use crate::texts::mask as texts;

/// A command that waits, with the models that it is meant for; a later one takes its place. `busy` while one is under way.
#[derive(Clone, Copy)]
struct Desk {
    waiting: StoredValue<Option<(Link, [u32; 2], MaskCommand)>, LocalStorage>,
    busy: StoredValue<bool>,
}

/// Watches the store.
pub(crate) fn attend(store: Store) {
    let state = store.rooms.mask;
    let desk = || Desk { waiting: StoredValue::new_local(None), busy: StoredValue::new(false) };
    let (samples, results) = (desk(), desk());
    // An autoencoder of the room's own, where the main model cannot paint.
    let wish = Memo::new(move |_| {
        let main = store.model.get()?;
        let offers = store.offers.get()?;
        if !state.open.get() || main.decoder.is_some() {
            return None;
        }
        let trained = || offers.iter().find(|offer| offer.decoder).map(|offer| offer.id.clone());
        let key = state.choice.get().or_else(trained).unwrap_or_else(|| "untrained-mae".to_owned());
        Some((store.era.get(), key))
    });
    Effect::new(move || {
        let wish = wish.get();
        state.own.set(None);
        if let (Some((_, key)), Some(link)) = (wish, store.link.get_untracked()) {
            spawn_local(load(store, link, key));
        }
    });
    // A mask, when there is none by hand that fits.
    let grid = Memo::new(move |_| store.painter().map(|(_, decoder)| decoder.grid));
    Effect::new(move || {
        let Some([rows, columns]) = grid.get() else { return };
        state.edition.track();
        store.edition.track();
        let (by_hand, waits) = (state.by_hand.get(), store.unchecked.get());
        let flags = by_hand.as_ref().and_then(|mask| usable(mask, rows * columns));
        if by_hand.is_some() && flags.is_none() && !waits {
            state.by_hand.set(None);
            store.tell(Severity::Warning, texts::no_mask(rows * columns));
        }
        if let Some(flags) = flags {
            if state.hidden.with_untracked(|hidden| hidden.as_ref() != Some(&flags)) {
                state.hidden.set(Some(flags));
            }
            return;
        }
        let ratio = state.percent.get() as f32 / 100.0;
        let command = MaskCommand::Sample { kind: state.kind.get(), ratio, seed: state.seed.get() };
        ask(store, samples, command);
    });
    // What comes of it.
    Effect::new(move || {
        state.edition.track();
        store.edition.track();
        let Some([rows, columns]) = grid.get() else { return };
        let hidden = state.hidden.get().filter(|hidden| hidden.len() == rows * columns);
        let image = store.selected.get();
        if image.is_none() {
            state.result.set(None);
        }
        let image = image.filter(|image| store.sent.with(|sent| sent.contains(image)));
        if let (Some(hidden), Some(image)) = (hidden, image) {
            ask(store, results, MaskCommand::Reconstruct { image, hidden: PatchMask::new(&hidden) });
        }
    });
}

/// A mask's patches, where it fits a grid of so many and shows some: an encoder must see something.
fn usable(mask: &PatchMask, patches: usize) -> Option<Vec<bool>> {
    mask.flags(patches).filter(|flags| flags.iter().any(|hidden| !hidden))
}

async fn load(store: Store, link: Link, key: String) {
    let state = store.rooms.mask;
    let source = Source::of_key(&key, 0);
    let answer = load_into(store, &link, Slot::Mae, source.clone()).await;
    if !store.runs_on(&link) {
        return;
    }
    match answer {
        Ok(mut model) => {
            model.name = registry::title(store, source, &model.name);
            batch(|| {
                state.edition.update(|edition| *edition += 1);
                state.own.set(Some(model));
            });
        }
        Err(sentence) => {
            store.tell(Severity::Error, sentence);
            // The one that needs no file still shows how it works.
            if key != "untrained-mae" {
                state.choice.set(Some("untrained-mae".to_owned()));
            }
        }
    }
}

fn ask(store: Store, desk: Desk, command: MaskCommand) {
    let Some(link) = store.link.get_untracked() else { return };
    let models = move || [store.edition, store.rooms.mask.edition].map(|edition| edition.get_untracked());
    desk.waiting.set_value(Some((link, models(), command)));
    if desk.busy.get_value() {
        return;
    }
    desk.busy.set_value(true);
    spawn_local(async move {
        while let Some((link, asked, command)) = desk.waiting.try_update_value(Option::take).flatten() {
            let answer = link.ask(Command::Mask(command), &[]).await;
            // Another engine, or another model, is asked anew.
            if store.runs_on(&link) && asked == models() {
                hear(store, answer.map(|(event, _)| event));
            }
        }
        desk.busy.set_value(false);
    });
}

fn hear(store: Store, answer: Result<Event, String>) {
    let state = store.rooms.mask;
    match answer {
        Ok(Event::Mask(MaskEvent::Sampled { grid: [rows, columns], hidden })) => {
            // A mask that was painted meanwhile stays.
            let painted =
                state.by_hand.with_untracked(|mask| mask.as_ref().and_then(|mask| usable(mask, rows * columns)));
            if painted.is_none() {
                state.hidden.set(hidden.flags(rows * columns));
            }
        }
        // The last picture may have been removed meanwhile.
        Ok(Event::Mask(_)) if store.selected.with_untracked(Option::is_none) => {}
        Ok(Event::Mask(MaskEvent::Reconstructed { grid, losses, loss, norm_pix, millis })) => {
            state.result.set(Some(Outcome { grid, losses, loss, norm_pix, millis }));
        }
        Ok(_) => {}
        Err(sentence) => store.tell(Severity::Error, sentence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests;
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_drawn_mask_that_comes_late_leaves_what_was_painted() {
        let _owner = tests::owned();
        let store = tests::store("");
        let state = store.rooms.mask;
        let [drawn, painted, all] = [[true, false, true, false], [false, false, true, false], [true; 4]];
        let sampled = || {
            let event = MaskEvent::Sampled { grid: [2, 2], hidden: PatchMask::new(&drawn) };
            hear(store, Ok(Event::Mask(event)));
            state.hidden.get_untracked()
        };
        state.hidden.set(Some(painted.to_vec()));
        state.by_hand.set(Some(PatchMask::new(&painted)));
        assert_eq!(sampled(), Some(painted.to_vec()));
        // One that hides everything is of no use to an encoder.
        state.by_hand.set(Some(PatchMask::new(&all)));
        assert_eq!(sampled(), Some(drawn.to_vec()));
        state.by_hand.set(None);
        assert_eq!(sampled(), Some(drawn.to_vec()));
    }
}
