//! What goes wrong before and while a model learns.

use thiserror::Error;

/// A configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ConfigError {
    /// No such key.
    #[error("{place}: there is no key {key}; did you mean {neighbour}?")]
    UnknownKey {
        /// The key, dotted.
        key: String,
        /// The preset, file or setting that holds it.
        place: String,
        /// The known key nearest to it.
        neighbour: String,
    },
    /// No such preset.
    #[error("there is no preset {name}; did you mean {neighbour}? Known: {}", known.join(", "))]
    UnknownPreset {
        /// The name given.
        name: String,
        /// The nearest known.
        neighbour: &'static str,
        /// All names.
        known: Vec<&'static str>,
    },
    /// A text that is no TOML, or a setting without an equals sign.
    #[error("{place}: {reason}")]
    Syntax {
        /// The file or setting.
        place: String,
        /// What the parser said.
        reason: String,
    },
    /// A value that the key does not take: of another kind, a word that it does not know, an array of another length.
    #[error("{place}: {key} is {found}, expected {expected}")]
    Kind {
        /// The key, dotted.
        key: String,
        /// The preset, file or setting that holds it.
        place: String,
        /// What the key takes.
        expected: String,
        /// The value.
        found: String,
    },
    /// A value that cannot be, or contradicts another.
    #[error("{key} is {found}, expected {expected}")]
    Contradiction {
        /// The key, dotted.
        key: String,
        /// The value.
        found: String,
        /// What would do.
        expected: String,
    },
}

/// A run cannot go on.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum TrainError {
    /// Too many steps in a row gave numbers that are not finite.
    #[error(
        "{count} steps in a row gave numbers that are not finite (last: {what} at step {step}); nothing was updated by \
         them, and the state that they stand at was not saved: look at the replay files, or begin anew with a lower \
         optim.base_lr"
    )]
    NotFinite {
        /// How many.
        count: u64,
        /// The loss or gradient that was first not finite.
        what: String,
        /// The last of the steps.
        step: u64,
    },
    /// A batch that the devices cannot share.
    #[error(
        "{images} images a part of a batch cannot be shared by {devices} devices, expected a multiple of {devices} with at \
         least {least} each: change train.batch_size or train.accumulate"
    )]
    Shares {
        /// `train.batch_size` over `train.accumulate`.
        images: usize,
        /// All devices of the run.
        devices: usize,
        /// Images that each needs.
        least: usize,
    },
    /// The device has no 16-bit floats.
    #[error("train.precision is f16, expected f32 on this device, which has no 16-bit floats")]
    Precision,
    /// A checkpoint does not fit the run.
    #[error("the checkpoint does not fit this run: {what} is {found}, expected {expected}; {advice}")]
    Checkpoint {
        /// What differs.
        what: String,
        /// What the run needs.
        expected: String,
        /// What the checkpoint has.
        found: String,
        /// What to do.
        advice: String,
    },
    /// Nothing is trained yet.
    #[error("there is no run: begin one first")]
    NoRun,
    /// The last step is made.
    #[error("the run has made all of its {total} steps: begin another, with a larger train.epochs for a longer one")]
    Done {
        /// Steps of the run.
        total: u64,
    },
    /// No moment was kept.
    #[error("no moment of this run was kept: keep one before going back to it")]
    NotKept,
    /// Too few images to tell apart.
    #[error("{found} images are too few to learn from: choose at least {least}, or drawn pictures")]
    Images {
        /// Images that there are.
        found: u64,
        /// The fewest that do.
        least: u64,
    },
    /// More memory than a page may take.
    #[error(
        "this run would take {needs} MiB, a page has {most}: lower train.batch_size, model.embed_dim or model.depth, or \
         train it with native-trainer"
    )]
    TooLarge {
        /// MiB.
        needs: u64,
        /// MiB.
        most: u64,
    },
    /// Fewer images than a batch.
    #[error("{found} usable images are fewer than a batch of {batch}: add images or lower train.batch_size")]
    TooFewImages {
        /// Images that there are.
        found: u64,
        /// `train.batch_size`.
        batch: u64,
    },
}
