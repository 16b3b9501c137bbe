//! The models that lie beside the page: `weights/manifest.json`, written when the page is built, names each folder of
//! `public/weights`. A folder put there is enough for the page to offer it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use serde_json::Value;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Response;

use crate::state::Store;

/// A model beside the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Its folder.
    pub(crate) id: String,
    /// Its name for people.
    pub(crate) title: String,
    /// Who may use it for what.
    pub(crate) licence: String,
    /// How it was trained, in a sentence.
    pub(crate) note: String,
    /// It can reconstruct.
    pub(crate) decoder: bool,
}

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

/// Offers of a manifest; entries that are none are left out.
fn parse(text: &str) -> Vec<Offer> {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let models = value.get("models").and_then(Value::as_array).cloned().unwrap_or_default();
    let offer = |value: &Value| {
        let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = word("id");
        let plain = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let title = if word("title").is_empty() { id.clone() } else { word("title") };
        let decoder = value.get("decoder").and_then(Value::as_bool).unwrap_or(false);
        plain.then(|| Offer { id, title, licence: word("licence"), note: word("note"), decoder })
    };
    models.iter().filter_map(offer).collect()
}

/// Where a folder of weights lies, as the engine's worker must be told.
pub(crate) fn address(id: &str) -> String {
    let base = web_sys::window().and_then(|window| window.document()).and_then(|document| document.base_uri().ok());
    let base = base.flatten().unwrap_or_default();
    let base = base.split(['#', '?']).next().unwrap_or_default();
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/weights/{id}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_and_nonsense_left_out() {
        let text = r#"{"models": [{"id": "tiny-mae", "title": "Tiny MAE", "licence": "MIT", "decoder": true},
            {"id": "../etc"}, {"id": "bare"}, 7]}"#;
        let offers = parse(text);
        assert_eq!(offers.iter().map(|offer| offer.title.as_str()).collect::<Vec<_>>(), ["Tiny MAE", "bare"]);
        assert!(offers[0].decoder && !offers[1].decoder);
        assert_eq!((parse("").len(), parse("{}").len(), parse("[]").len()), (0, 0, 0));
    }
}
