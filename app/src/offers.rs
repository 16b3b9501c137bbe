//! What the manifest of `weights/` offers.

use serde_json::Value;

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
    /// It is what a visitor meets who asks for no model.
    pub(crate) first: bool,
}

/// Offers of a manifest; entries that are none are left out.
pub(crate) fn parse(text: &str) -> Vec<Offer> {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let models = value.get("models").and_then(Value::as_array).cloned().unwrap_or_default();
    let offer = |value: &Value| {
        let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = word("id");
        let plain = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let title = if word("title").is_empty() { id.clone() } else { word("title") };
        let is = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or(false);
        let (decoder, first) = (is("decoder"), is("first"));
        plain.then(|| Offer { id, title, licence: word("licence"), note: word("note"), decoder, first })
    };
    models.iter().filter_map(offer).collect()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_manifest_is_read_and_nonsense_left_out() {
        let text = r#"{"models": [{"id": "tiny-mae", "title": "Tiny MAE", "licence": "MIT", "decoder": true},
            {"id": "../etc"}, {"id": "bare", "first": true}, 7]}"#;
        let offers = parse(text);
        assert_eq!(offers.iter().map(|offer| offer.title.as_str()).collect::<Vec<_>>(), ["Tiny MAE", "bare"]);
        assert_eq!(
            offers.iter().map(|offer| (offer.decoder, offer.first)).collect::<Vec<_>>(),
            [(true, false), (false, true)]
        );
        assert_eq!((parse("").len(), parse("{}").len(), parse("[]").len()), (0, 0, 0));
    }
}
