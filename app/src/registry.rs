//! The models that lie beside the page: `weights/manifest.json`, written when the page is built, names each folder of
//! `public/weights`. A folder put there is enough for the page to offer it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use crate::offers::parse;
use crate::state::Store;

/// Reads the manifest; a page without one offers what it can draw from a seed.
pub(crate) fn read(store: Store) {
    spawn_local(async move {
        let offers = fetch().await.map(|text| parse(&text)).unwrap_or_default();
        store.offers.set(Some(offers));
    });
}

async fn fetch() -> Option<String> {
    let window = web_sys::window()?;
    let response: Response =
        JsFuture::from(window.fetch_with_str("weights/manifest.json")).await.ok()?.dyn_into().ok()?;
    response.ok().then_some(())?;
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}

/// Where a folder of weights lies, as the engine's worker must be told.
pub(crate) fn address(id: &str) -> String {
    let base = web_sys::window().and_then(|window| window.document()).and_then(|document| document.base_uri().ok());
    let base = base.flatten().unwrap_or_default();
    let base = base.split(['#', '?']).next().unwrap_or_default();
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/weights/{id}/")
}
