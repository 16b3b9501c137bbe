//! What the room See says.

use super::{number, percent, time};

/// The room's name in the navigation.
pub(crate) const ROOM: &str = "See";
/// What one does here, in a sentence.
pub(crate) const LEAD: &str = "See what a vision transformer makes of a picture. Choose a patch; everything follows.";

pub(crate) const CLS: &str = "the class token";
pub(crate) const ATTENTION: &str = "Attention";
pub(crate) const ATTENTION_EXPLAIN: &str = "Where one token looks when a block mixes the tokens.";
pub(crate) const PCA: &str = "PCA";
pub(crate) const PCA_EXPLAIN: &str = "Patches of like colour have like tokens.";
pub(crate) const PCA_LABEL: &str = "First three principal components of the patch tokens as red, green and blue";
pub(crate) const SIMILARITY: &str = "Similarity";
pub(crate) const SIMILARITY_EXPLAIN: &str = "How like the chosen patch every other patch is.";

/// What the attention view shows. Layer and head count from 0, as in code.
pub(crate) fn attention(who: &str, layer: u32, head: Option<u32>) -> String {
    match head {
        Some(head) => format!("Attention from {who}, layer {layer}, head {head}"),
        None => format!("Attention from {who}, layer {layer}, mean of all heads"),
    }
}

/// The attention view's numbers.
pub(crate) fn attention_caption(max: f32, peak: &str, on_patches: Option<f32>, millis: f64) -> String {
    let share = on_patches.map(|share| format!("{} falls on patches. ", percent(share))).unwrap_or_default();
    format!("{share}Peak {} at {peak}. {}", percent(max), time(millis))
}

/// The PCA view's numbers.
pub(crate) fn pca_caption(explained: Option<[f32; 3]>, millis: f64) -> String {
    let share =
        explained.map(|shares| format!("The three components hold {} of the variance. ", percent(shares.iter().sum())));
    format!("{}{}", share.unwrap_or_default(), time(millis))
}

/// What the similarity view shows.
pub(crate) fn similarity(patch: &str) -> String {
    format!("Cosine with the patch in {patch}")
}

/// The similarity view's numbers.
pub(crate) fn similarity_caption(min: f32, max: f32, millis: f64) -> String {
    format!("From {} to {}. {}", number(min), number(max), time(millis))
}

/// What the input picture is, for screen readers.
pub(crate) fn input_label(name: &str, patch: &str) -> String {
    format!("{name} as the model receives it. Arrow keys choose a patch; now {patch}")
}

/// Below the input picture.
pub(crate) fn input_caption([rows, columns]: [usize; 2], patch: &str) -> String {
    if rows == 0 { String::new() } else { format!("{rows} × {columns} patches. Chosen: {patch}.") }
}

// Attention controls.
pub(crate) const LAYER: &str = "Layer";
pub(crate) const HEAD: &str = "Head";
pub(crate) const MEAN: &str = "mean of all";
pub(crate) const QUERY: &str = "Who asks";
pub(crate) const QUERY_CLS: &str = "class token";
pub(crate) const QUERY_PATCH: &str = "chosen patch";
