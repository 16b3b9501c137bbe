//! The room Probe: classes made of a few images, what classifiers on frozen features make of them, and search among
//! embeddings made elsewhere.

use serde::{Deserialize, Serialize};

use crate::ImageId;

/// What the page can ask in the room Probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "probe")]
pub enum ProbeCommand {
    /// Forget the probe. Answer: [`ProbeEvent::Cleared`].
    Clear,
    /// Learn classes from images. Answer: [`ProbeEvent::Trained`].
    Train {
        /// The classes, each with its images.
        classes: Vec<ProbeClass>,
        /// What is taken of an image.
        features: ProbeFeatures,
        /// Neighbours that vote.
        k: usize,
        /// Inverse strength of the linear classifier's penalty.
        c: f64,
        /// Scale each dimension to mean 0 and deviation 1 for the linear classifier.
        standardise: bool,
    },
    /// What the probe says of images. Answer: [`ProbeEvent::Predicted`].
    Predict {
        /// Which.
        images: Vec<ImageId>,
    },
    /// The probe as a file. Answer: [`ProbeEvent::Exported`].
    Export,
    /// Take a probe from a file. Attachments: one `File`. Answer: [`ProbeEvent::Imported`].
    Import,
    /// Take embeddings that `native-trainer embed` wrote. Attachments: its `File`s. Answer: [`ProbeEvent::Searchable`].
    OpenEmbeddings,
    /// Forget the embeddings. Answer: [`ProbeEvent::Cleared`].
    CloseEmbeddings,
    /// Which embeddings are most like an image, or a patch of it. Answer: [`ProbeEvent::Hits`].
    Search {
        /// Which image.
        image: ImageId,
        /// A patch of it; the whole image where none is named.
        patch: Option<u32>,
        /// How many at most.
        count: usize,
    },
}

/// A class as the page made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeClass {
    /// Its name.
    pub name: String,
    /// Its images.
    pub images: Vec<ImageId>,
}

/// What a probe takes of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeFeatures {
    /// The class embedding.
    #[default]
    Cls,
    /// The mean of the patch tokens.
    Mean,
    /// Both, one behind the other.
    Both,
}

/// What the engine says in the room Probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "probe")]
pub enum ProbeEvent {
    /// There is nothing any more.
    Cleared,
    /// The classes are learned.
    Trained {
        /// By the votes of the nearest.
        knn: Box<ProbeReport>,
        /// By the linear classifier.
        linear: Box<ProbeReport>,
        /// To compute the images' features that were not known yet, in milliseconds.
        features_millis: f64,
        /// To learn and to test, in milliseconds.
        learn_millis: f64,
    },
    /// What the probe says.
    Predicted {
        /// An image each, in the order asked.
        images: Vec<Prediction>,
    },
    /// The probe is a file. Attachments: one `ArrayBuffer`.
    Exported {
        /// Its length.
        bytes: u64,
    },
    /// A probe came from a file.
    Imported {
        /// Its classes.
        classes: Vec<String>,
        /// What it takes of an image.
        features: ProbeFeatures,
        /// Images it was made of.
        images: usize,
        /// The model it was made with.
        model: String,
        /// Whether these are the weights on the engine now.
        same_weights: bool,
    },
    /// Embeddings can be searched.
    Searchable {
        /// Images.
        images: usize,
        /// Patches of each; 0 where an image is one row.
        patches: usize,
        /// Numbers in a row.
        dim: usize,
        /// The model that made them, by its own word.
        model: String,
        /// Whether the model on the engine gives rows of this width.
        fits: bool,
    },
    /// The most alike.
    Hits {
        /// Most alike first.
        hits: Vec<SearchHit>,
        /// To compare them all, in milliseconds.
        millis: f64,
    },
}

/// One image's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Which.
    pub image: ImageId,
    /// Shares of the neighbours' votes, a class each.
    pub knn: Vec<f32>,
    /// The linear classifier's probabilities, a class each.
    pub linear: Vec<f32>,
}

/// One image that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    /// Its name.
    pub name: String,
    /// The patch that is most alike, where rows are patches.
    pub patch: Option<u32>,
    /// Its cosine.
    pub cosine: f32,
}

/// How good a classifier is, by images that it had not seen.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbeReport {
    /// How the images were kept apart: "leave one out", "5-fold cross-validation", "held-out images".
    pub validation: String,
    /// In how many parts.
    pub folds: usize,
    /// Share of the images whose class was found.
    pub accuracy: f64,
    /// Lower end of its 95% interval (Wilson).
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Each class.
    pub classes: Vec<ClassReport>,
    /// Images of the class (row) that were taken for the class (column).
    pub confusion: Vec<Vec<u32>>,
    /// Each image, class by class in the order given.
    pub samples: Vec<SampleReport>,
}

/// How well one class is found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Its images.
    pub support: u32,
    /// Share of what was taken for it that is it.
    pub precision: f64,
    /// Share of its images that were found.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// What was made of one image.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SampleReport {
    /// Its class.
    pub truth: u32,
    /// What it was taken for.
    pub predicted: u32,
    /// The probability of that.
    pub confidence: f32,
    /// The probability of its class less that of the strongest other: negative where it was mistaken.
    pub margin: f32,
}
