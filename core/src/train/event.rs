//! What a run tells those who watch: plain data, consumed by the host's sinks (terminal, JSONL, TensorBoard, report).

use serde::Serialize;

use crate::config::Method;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins or goes on.
    Started(Started),
    /// An optimiser step was made.
    Step(Step),
    /// A look at the model: health figures and a verdict.
    Health(Health),
    /// Pictures of the held-out images.
    Look(Look),
    /// A checkpoint is safe on disk.
    Saved {
        /// Steps made so far.
        step: u64,
        /// Where it is.
        path: String,
        /// Seconds that it took.
        seconds: f64,
    },
    /// An image could not be used.
    BadImage {
        /// What the source calls it.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A step gave numbers that are not finite; nothing was updated.
    BadStep {
        /// The step.
        step: u64,
        /// The first loss or gradient that was not finite.
        what: String,
        /// The replay file.
        replay: String,
    },
    /// Something to know; the run goes on.
    Warning {
        /// In a sentence.
        message: String,
    },
    /// The run ended.
    Finished {
        /// Steps made.
        step: u64,
        /// Whether it was stopped before its end.
        stopped: bool,
        /// Seconds of this session.
        seconds: f64,
    },
}

/// A run at its begin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Started {
    /// How the model learns.
    pub method: Method,
    /// What computes.
    pub device: String,
    /// Parameters of the student (encoder with decoder or heads).
    pub parameters: u64,
    /// Images that the source has.
    pub images: u64,
    /// Images of a step.
    pub batch_size: usize,
    /// Steps made before; more than 0 when a run goes on.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps of an epoch.
    pub epoch_length: u64,
    /// The resolved configuration, TOML.
    pub config: String,
}

/// One optimiser step. `losses` and `norms` keep the method's order; a sink shows whatever is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Its number, from 0.
    pub step: u64,
    /// Epochs made, with a fraction.
    pub epoch: f64,
    /// The objective.
    pub loss: f64,
    /// Its terms as they enter it: `dino_local`, `dino_global`, `ibot`, `koleo`; `mae`.
    pub losses: Vec<(String, f64)>,
    /// Norms of the gradients before clipping: `backbone`, `dino_head`, `ibot_head`, `decoder`.
    pub norms: Vec<(String, f64)>,
    /// Figures of the teacher at this step: `teacher_entropy` (share of ln K), `information` (what its answer tells of
    /// the image, as a share of the most that a batch can show; 0 is collapse), `center_norm`, `kl` (nats).
    pub teacher: Vec<(String, f64)>,
    /// Learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Share of the old teacher kept; 0 without one.
    pub momentum: f64,
    /// Temperature of the teacher; 0 without one.
    pub teacher_temp: f64,
    /// Images a second over this step, waiting included.
    pub images_per_sec: f64,
    /// Share of the step's time that the device waited for images.
    pub data_wait: f64,
    /// Seconds of the step.
    pub seconds: f64,
}

/// How well the features are, without labels; and with them, where there are some.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// Steps made.
    pub step: u64,
    /// Epochs made.
    pub epoch: f64,
    /// Figures: `rankme`, `feature_std`, `teacher_entropy`, `center_norm`, `kl`, `knn_top1`, …
    pub figures: Vec<(String, f64)>,
    /// In a word.
    pub verdict: Verdict,
    /// In a sentence, with the numbers that led to it.
    pub says: String,
}

/// Health in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Too early to tell.
    Young,
    /// Learning.
    Good,
    /// Something to watch.
    Watch,
    /// All images become one.
    Collapsing,
    /// Numbers that are not finite.
    Diverging,
}

/// Pictures of the same held-out images at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Look {
    /// Steps made.
    pub step: u64,
    /// Epochs made.
    pub epoch: f64,
    /// One row an image.
    pub rows: Vec<Vec<Thumbnail>>,
}

/// A small picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Thumbnail {
    /// What it shows: `image`, `seen`, `reconstruction`, `attention` …
    pub title: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// `[height, width, 3]`.
    #[serde(skip)]
    pub rgb: Vec<u8>,
}
