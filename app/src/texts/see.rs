//! What the room See says.

use lab_protocol::{HeadSummary, Summary};

use super::{number, percent};
use crate::rooms::see::Map;

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "See";
/// What one does here, in a sentence.
pub(crate) const LEAD: &str = "See what a vision transformer makes of a picture. Choose a patch; everything follows.";

// The input.
pub(crate) const INPUT: &str = "Picture";
pub(crate) const INPUT_EXPLAIN: &str = "As the model receives it, cut into patches. Choose one.";

/// What the input picture is, for screen readers.
pub(crate) fn input_label(name: &str, patch: &str) -> String {
    format!("{name} as the model receives it. Arrow keys choose a patch; now {patch}")
}

/// Below the input picture.
pub(crate) fn input_caption([rows, columns]: [usize; 2], patch: &str) -> String {
    if rows == 0 { String::new() } else { format!("{rows} × {columns} patches. Chosen: {patch}.") }
}

/// The value of a patch, or its values on the principal components; one that is no number lies in what is left out.
pub(crate) fn reading(place: &str, values: &[f32], word: fn(f32) -> String) -> String {
    let values = match values {
        values if values.iter().any(|value| value.is_nan()) => "left out".to_owned(),
        [value] => word(*value),
        values => {
            let part = |(index, value): (usize, &f32)| format!("PC{} {}", index + 1, word(*value));
            values.iter().enumerate().map(part).collect::<Vec<_>>().join(", ")
        }
    };
    format!("At {place}: {values}")
}

/// Whose picture it is, where two models look.
pub(crate) fn by(name: &str, untrained: bool) -> String {
    if untrained { format!("{name}, {}", super::UNTRAINED) } else { name.to_owned() }
}

// Attention.
pub(crate) const CLS: &str = "the class token";
pub(crate) const ATTENTION: &str = "Attention";
pub(crate) const MAP: &str = "Show";
pub(crate) const MAP_ONE: &str = "One map";
pub(crate) const MAP_HEADS: &str = "All heads";
pub(crate) const MAP_ROLLOUT: &str = "Rollout";
pub(crate) const LAYER: &str = "Layer";
pub(crate) const HEAD: &str = "Head";
pub(crate) const MEAN: &str = "mean of all";
pub(crate) const QUERY: &str = "Query: who asks";
pub(crate) const QUERY_CLS: &str = "Class token";
pub(crate) const QUERY_PATCH: &str = "Chosen patch";

/// What each of the three maps is.
pub(crate) fn attention_explain(map: Map) -> &'static str {
    match map {
        Map::One => "Where one token looks when a block mixes the tokens.",
        Map::Heads => "Every head of the block, each by its own scale. Press one to choose it.",
        Map::Rollout => "How much of each patch reaches the token through all blocks below.",
    }
}

/// The patch that asks.
pub(crate) fn patch_asks(place: &str) -> String {
    format!("the patch in {place}")
}

/// What the attention view shows. Layer and head count from 0, as in code.
pub(crate) fn attention(map: Map, who: &str, layer: u32, head: Option<u32>) -> String {
    match (map, head) {
        (Map::One, Some(head)) => format!("Attention from {who}, layer {layer}, head {head}"),
        (Map::One, None) => format!("Attention from {who}, layer {layer}, mean of all heads"),
        (Map::Heads, _) => format!("Attention from {who}, layer {layer}, all heads"),
        (Map::Rollout, _) => format!("Attention rollout from {who}, layers {layer} to 0"),
    }
}

/// The attention view's numbers.
pub(crate) fn attention_caption(max: f32, peak: &str, on_patches: Option<f32>) -> String {
    let share = on_patches.map(|share| format!("{} falls on patches. ", percent(share))).unwrap_or_default();
    format!("{share}Peak {} at {peak}.", percent(max))
}

/// The numbers of all heads.
pub(crate) fn heads_caption(heads: &[HeadSummary]) -> String {
    let entropies = || heads.iter().map(|head| head.entropy);
    let (least, most) = (entropies().fold(f32::INFINITY, f32::min), entropies().fold(0.0, f32::max));
    format!("{} heads, entropy from {} to {} bits.", heads.len(), number(least), number(most))
}

/// A head's button.
pub(crate) fn head_label(head: usize, summary: &HeadSummary) -> String {
    format!(
        "Head {head}: {} on patches, peak {}, entropy {} bits",
        percent(summary.on_patches),
        percent(summary.max),
        number(summary.entropy)
    )
}

// Principal components.
pub(crate) const PCA: &str = "PCA";
pub(crate) const PCA_EXPLAIN: &str = "Patches of like colour have like tokens.";
pub(crate) const BASIS: &str = "Basis";
pub(crate) const BASIS_OWN: &str = "This picture";
pub(crate) const BASIS_SHARED: &str = "All pictures";
pub(crate) const PALETTE: &str = "Colours";
pub(crate) const PALETTE_RGB: &str = "Red, green, blue";
pub(crate) const PALETTE_SAFE: &str = "Blue to yellow";
pub(crate) const FOREGROUND: &str = "Foreground only";
pub(crate) const THRESHOLD: &str = "PC1 threshold";
pub(crate) const SIDE: &str = "Foreground lies";
pub(crate) const ABOVE: &str = "above";
pub(crate) const BELOW: &str = "below";
pub(crate) const REFIT: &str = "Fit again";
pub(crate) const FITTING: &str = "The basis is fitted as soon as every picture has been seen.";

/// What a basis rests on.
pub(crate) fn fitted(images: u32) -> String {
    format!("One basis for all, fitted on {images} pictures: the same thing keeps its colour.")
}

/// How many components are colours, and which.
fn colours(safe: bool) -> [&'static str; 2] {
    if safe { ["two", "dark to light and blue to yellow"] } else { ["three", "red, green and blue"] }
}

/// What the PCA view shows.
pub(crate) fn pca_label(shared: bool, foreground: bool, safe: bool) -> String {
    let [count, how] = colours(safe);
    let what = match (shared, foreground) {
        (false, _) => "the patch tokens",
        (true, false) => "all pictures' patch tokens",
        (true, true) => "the foreground of all pictures",
    };
    format!("First {count} principal components of {what} as {how}")
}

/// The PCA view's numbers.
pub(crate) fn pca_caption(summary: &Summary, safe: bool) -> String {
    let [count, _] = colours(safe);
    let share = |shares: [f32; 3]| {
        let sum = shares.iter().take(if safe { 2 } else { 3 }).sum();
        format!("The {count} components hold {} of the variance. ", percent(sum))
    };
    let share = summary.explained.map(share).unwrap_or_default();
    let part = |part: f32| format!("{} of this picture is foreground.", percent(part));
    format!("{share}{}", summary.foreground.map(part).unwrap_or_default())
}

// Similarity.
pub(crate) const SIMILARITY: &str = "Similarity";
pub(crate) const SIMILARITY_EXPLAIN: &str = "How like the chosen patch every other patch is.";
pub(crate) const PIN: &str = "Keep this patch";
pub(crate) const PIN_HINT: &str = "and look for it in other pictures";
pub(crate) const UNPIN: &str = "Let go";
pub(crate) const STRIP: &str = "The same patch in other pictures";
pub(crate) const STRIP_EXPLAIN: &str =
    "The nearest pictures first, your own among them: where each is most like the chosen patch. Press one to go there.";

/// What the similarity view shows.
pub(crate) fn similarity(patch: &str, image: Option<&str>) -> String {
    match image {
        Some(image) => format!("Cosine with the patch in {patch} of {image}"),
        None => format!("Cosine with the patch in {patch}"),
    }
}

/// The similarity view's numbers.
pub(crate) fn similarity_caption(min: f32, max: f32) -> String {
    format!("From {} to {}.", number(min), number(max))
}

/// The patch that is kept.
pub(crate) fn pinned(image: &str, patch: &str) -> String {
    format!("Asking for {patch} of {image} everywhere.")
}

/// A small map in the strip.
pub(crate) fn strip_label(name: &str, best: Option<f32>) -> String {
    match best {
        Some(best) => format!("Cosine with the chosen patch in {name}, at most {}", number(best)),
        None => format!("Cosine with the chosen patch in {name}"),
    }
}

/// What pressing a small map does.
pub(crate) const GO_TO: &str = "Show this picture";

/// The best cosine of a picture.
pub(crate) fn best(cosine: f32) -> String {
    format!("best {}", number(cosine))
}

// Comparison.
pub(crate) const COMPARE: &str = "Compare";
pub(crate) const COMPARE_EXPLAIN: &str = "A second model looks at the same picture, side by side with the first: same layer, same head, same patch, linked \
     cursors.";
pub(crate) const TO_PAIRS: &str = "Go to both, side by side";
pub(crate) const COMPARE_WITH: &str = "Second model";
pub(crate) const COMPARE_NONE: &str = "none";
/// What the random network beside a model is called.
pub(crate) fn twin(name: &str) -> String {
    format!("random twin of {name}")
}

pub(crate) const COMPARE_TWIN: &str = "random weights, same architecture";
pub(crate) const COMPARE_FILES: &str = "your own files";
pub(crate) const COMPARE_ADDRESS: &str = "Or a Hugging Face repository, or the address of a folder";
pub(crate) const LINK_FILES: &str = "This link was made with a second model from somebody's files, which no link can \
                                     hold: choose it under Compare if you have it.";

/// A model that is kept in the browser.
pub(crate) fn kept(name: &str) -> String {
    format!("{name} (kept)")
}

/// A link that asks for a second model on another host.
pub(crate) fn link_asks(url: &str) -> String {
    format!(
        "This link asks for a second model at {url}. Nothing was fetched: press “Fetch and keep” under Compare if you \
         want it."
    )
}

// Links.
pub(crate) const MISSING_FILES: &str = "the second model from your files";
pub(crate) const MISSING_MADE: &str = "the second network, which only this browser keeps";
pub(crate) const MISSING_PIN: &str = "the patch kept from your own picture";

/// A layer that is not there.
pub(crate) fn no_layer(layer: u32, depth: usize) -> String {
    format!("This link asks for layer {layer}; this model's go from 0 to {}. The last one is shown.", depth.max(1) - 1)
}

/// A head that is not there.
pub(crate) fn no_head(head: u32, heads: usize) -> String {
    format!("This link asks for head {head}; this model's go from 0 to {}. Their mean is shown.", heads.max(1) - 1)
}

/// What both models take.
pub(crate) fn memory(bytes: u64) -> String {
    format!("Both models take {:.1} MB.", bytes as f64 / 1e6)
}
