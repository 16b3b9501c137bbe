//! The models that lie beside the page: `weights/manifest.json`, written when the page is built, names each folder of
//! `public/weights`. A folder put there is enough for the page to offer it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen_futures::JsFuture;

use crate::fetch::fetch;
use crate::offers::{Offer, parse};
use crate::signals::pause;
use crate::state::{Source, Store};
use crate::texts::{see as texts, storage};

/// So often it is asked whether the manifest has come, in milliseconds: it comes long before an engine.
const ASK: i32 = 20;
/// Milliseconds that the manifest may take: the first model waits for it.
const PATIENCE: u32 = 10_000;

/// Reads the manifest; a page without one offers what it can draw from a seed.
pub(crate) fn read(store: Store) {
    spawn_local(async move {
        let offers = manifest().await.map(|text| parse(&text)).unwrap_or_default();
        store.offers.set(Some(offers));
    });
}

/// What lies beside the page, once that is known.
async fn offers(store: Store) -> Vec<Offer> {
    loop {
        match store.offers.get_untracked() {
            Some(offers) => return offers,
            None => pause(ASK).await,
        }
    }
}

/// The model that a visitor meets who asks for none, which is trained; nothing where none lies beside the page.
pub(crate) async fn first(store: Store) -> Option<Source> {
    offers(store).await.into_iter().find(|offer| offer.first).map(|offer| Source::Beside(offer.id))
}

/// Whether a model that shall lie beside the page does, or a sentence: no server is asked for what is not there. Where the
/// manifest did not come it is.
pub(crate) async fn check(store: Store, source: &Source) -> Result<(), String> {
    let Source::Beside(id) = source else { return Ok(()) };
    let offers = offers(store).await;
    match offers.is_empty() || offers.iter().any(|offer| offer.id == *id) {
        true => Ok(()),
        false => Err(crate::texts::no_offer(id, offers.iter().map(|offer| &*offer.id))),
    }
}

async fn manifest() -> Option<String> {
    let response = fetch("weights/manifest.json", PATIENCE).await.ok()?;
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}

/// What people call a model: beside the page by its title, not by the long address that the engine was told.
pub(crate) fn title(store: Store, source: Source, told: &str) -> String {
    match source {
        Source::Beside(id) => {
            let offers = store.offers.get_untracked().unwrap_or_default();
            offers.into_iter().find(|offer| offer.id == id).map_or(id, |offer| offer.title)
        }
        Source::Run(name, _) => name,
        Source::Twin(_) => match store.model.get_untracked() {
            Some(model) => texts::twin(&model.name),
            None => told.to_owned(),
        },
        _ => storage::named(told),
    }
}

/// Where a folder of weights lies, as the engine's worker must be told.
pub(crate) fn address(id: &str) -> String {
    let base = web_sys::window().and_then(|window| window.document()).and_then(|document| document.base_uri().ok());
    let base = base.flatten().unwrap_or_default();
    let base = base.split(['#', '?']).next().unwrap_or_default();
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/weights/{id}/")
}
