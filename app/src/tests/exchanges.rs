//! What comes late, or after something else has come.

use lab_protocol::{Command, ModelInfo, SeeCommand, Slot, StoredModel};
use leptos::prelude::*;
use leptos::task::tick;
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::stand_in::StandIn;
use super::{mounted, owned, store};
use crate::panels::StoredPanel;
use crate::rooms::see;
use crate::{engine, texts};

#[test]
async fn an_engine_that_stops_is_told_and_nothing_seems_to_go_on() {
    let _owner = owned();
    for (hash, beside) in [("#room=train", true), ("#room=learn", false)] {
        let store = store(hash);
        store.rooms.train.playing.set(true);
        engine::stopped(store, "It ran out of memory.".to_owned());
        let told = store.notices.get_untracked().into_iter().map(|notice| notice.text).collect::<Vec<_>>();
        assert_eq!(told, [texts::stopped("It ran out of memory.", beside)]);
        assert!(!store.rooms.train.playing.get_untracked());
    }
}

#[test]
async fn a_model_that_comes_again_is_not_asked_about_unasked() {
    let _owner = owned();
    let store = store("");
    let model = StoredModel {
        key: "0123456789abcdef".to_owned(),
        name: "a-model".to_owned(),
        source: "someone/a-model".to_owned(),
        complete: true,
        ..StoredModel::default()
    };
    store.stored.models.set(vec![model.clone()]);
    let it = mounted(move || view! { <StoredPanel store /> });
    let buttons = |it: &super::Mounted<_>| it.all("[data-testid=kept-a-model] button").into_iter();
    let named = |it: &super::Mounted<_>| buttons(it).map(|button| button.text_content().unwrap()).collect::<Vec<_>>();
    let before = named(&it);
    buttons(&it).last().unwrap().click();
    tick().await;
    it.one("[data-testid=delete-sure]").click();
    store.stored.models.set(Vec::new());
    tick().await;
    assert!(it.all("[data-testid=kept-a-model]").is_empty());
    store.stored.models.set(vec![model]);
    tick().await;
    assert_eq!(named(&it), before);
}

#[test]
async fn a_second_model_that_is_wanted_no_more_is_forgotten_by_the_engine() {
    let _owner = owned();
    let (store, engine) = (store(""), StandIn::open());
    store.link.set(Some(engine.link.clone()));
    see::attend(store);
    store.model.set(Some(ModelInfo::default()));
    let compare = store.rooms.see.compare;
    let of_slots = |asked: Vec<Command>| {
        let loads = |command| match command {
            Command::See(SeeCommand::Load { slot: Slot::Other, .. }) => Some(true),
            Command::See(SeeCommand::Unload { slot: Slot::Other }) => Some(false),
            _ => None,
        };
        asked.into_iter().filter_map(loads).collect::<Vec<_>>()
    };
    assert_eq!(of_slots(engine.hears(0).await), [false; 0], "there was none");
    // This engine loads none: the wish is dropped, and whatever the slot held let go.
    compare.set(Some("untrained-mae".to_owned()));
    assert_eq!(of_slots(engine.hears(2).await), [true, false]);
    assert_eq!(compare.get_untracked(), None);
}
