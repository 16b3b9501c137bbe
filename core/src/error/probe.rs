//! What can be wrong with classes, probes and embeddings.

use thiserror::Error;

/// A probe cannot be made, read or used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// One class, or none.
    #[error("{found} with images, at least two are needed: give images to another class")]
    TooFewClasses {
        /// How many there are, in words.
        found: String,
    },
    /// A class that cannot be told from the others.
    #[error("the class {class} has {found}, at least {expected} are needed: add images or remove the class")]
    TooFewImages {
        /// Its name.
        class: String,
        /// How many it has.
        found: usize,
        /// How many it needs.
        expected: usize,
    },
    /// Features that are no numbers.
    #[error("the features of {image} are not finite, so nothing can be learned from them: is the model sound?")]
    NotFinite {
        /// The image.
        image: String,
    },
    /// Made for another model.
    #[error("these {what} have {expected} numbers each, this model gives {found}: load the model that made them")]
    Width {
        /// "embeddings" or "probe's features".
        what: &'static str,
        /// Numbers expected.
        expected: usize,
        /// Numbers found.
        found: usize,
    },
    /// Nothing was trained.
    #[error("there is no probe yet: train one, or open one from a file")]
    None,
    /// No embeddings were opened.
    #[error("no embeddings are open: open a file that `native-trainer embed` wrote")]
    NoEmbeddings,
    /// A file that is no probe.
    #[error("{file} is no probe: {reason}; expected a .safetensors that the lab or `native-trainer probe` wrote")]
    File {
        /// Its name.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A file that holds no embeddings.
    #[error("{file} cannot be searched: {reason}")]
    Embeddings {
        /// Its name.
        file: String,
        /// Why not.
        reason: String,
    },
    /// Nothing to follow.
    #[error("nothing is followed: click a thing in the picture first")]
    NothingFollowed,
}
