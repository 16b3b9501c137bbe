//! What the page and the engine say to each other.
//!
//! Plain data: no tensor, no DOM, no GPU. The page (`lab-app`) sends a [`Request`], the engine in its worker
//! (`lab-worker`) answers with [`Message`]s; `native-trainer` shares the report types. A message travels through
//! `postMessage` as `{ text, attachments }`: `text` is the JSON of these types, `attachments` holds what JSON cannot
//! (`File`, `Blob`, `OffscreenCanvas`, `ArrayBuffer`), in the order each command or event documents.
//!
//! - this page: what all rooms share, and one nested variant a room
//! - [`engine`]: devices, kernels, models; [`view`]: what can be drawn
//! - [`see`], [`mask`], [`train`], [`probe`], [`video`]: a room each
//! - [`storage`]: models kept in the browser

pub mod engine;
pub mod mask;
pub mod probe;
pub mod see;
pub mod storage;
pub mod train;
pub mod video;
pub mod view;

use serde::{Deserialize, Serialize};

pub use engine::*;
pub use mask::*;
pub use probe::*;
pub use see::*;
pub use storage::*;
pub use train::*;
pub use video::*;
pub use view::*;

/// Raised whenever a type of this crate changes. Page and worker compare it first: Trunk hashes the page's files, but
/// a browser may still hold an older worker in its cache.
pub const PROTOCOL: u32 = 7;

/// A command with the number that its answers repeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the page, unique within the life of a worker.
    pub id: u32,
    /// What to do.
    pub command: Command,
}

/// An event, and which request it belongs to. A request is answered by any number of [`Event::Progress`] and
/// [`Event::Warning`], then by exactly one other event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The request's number; `None` where the engine speaks of its own accord.
    pub reply_to: Option<u32>,
    /// What happened.
    pub event: Event,
}

/// The page's name for an image it gave to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageId(pub u32);

/// The page's name for a canvas it gave to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CanvasId(pub u32);

/// Everything the page can ask of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Command {
    /// The first command: open the device, check each kernel against its twin. Answer: [`Event::Ready`].
    Start {
        /// The page's [`PROTOCOL`].
        protocol: u32,
    },
    /// Load a model and forget the one before; embeddings are forgotten, images and canvases stay.
    /// Attachments: for [`ModelSource::Files`] the `File`s. Answer: [`Event::ModelLoaded`].
    LoadModel {
        /// Where it comes from.
        source: ModelSource,
    },
    /// Decode an image. Attachments: one `Blob`. Answer: [`Event::ImageAdded`].
    AddImage {
        /// Its name from now on.
        image: ImageId,
        /// What to call it in messages.
        name: String,
    },
    /// Forget an image. Answer: [`Event::Done`].
    RemoveImage {
        /// Which.
        image: ImageId,
    },
    /// Compute an image's tokens. Answer: [`Event::Embedded`].
    Embed {
        /// Which.
        image: ImageId,
        /// Also send the patch tokens home (they always stay on the device for the views).
        patches: bool,
    },
    /// Give a canvas to the engine. Attachments: one `OffscreenCanvas`. Answer: [`Event::Done`].
    AttachCanvas {
        /// Its name from now on.
        canvas: CanvasId,
    },
    /// Forget a canvas. Answer: [`Event::Done`].
    DetachCanvas {
        /// Which.
        canvas: CanvasId,
    },
    /// Draw a view of an image on a canvas (embeds the image first when needed). Answer: [`Event::Shown`].
    Show {
        /// Where.
        canvas: CanvasId,
        /// Of which image.
        image: ImageId,
        /// What.
        view: View,
        /// Width and height of the canvas in device pixels.
        size: [u32; 2],
    },
    /// Which embedded images lie nearest by the cosine of their class embeddings. Answer: [`Event::Neighbours`].
    Nearest {
        /// To which image.
        image: ImageId,
        /// How many at most.
        count: usize,
    },
    /// How much memory the engine takes, and how much it may. Answer: [`Event::Memory`].
    Memory,
    /// Compare each kernel with its twin. Answer: [`Event::SelfChecked`].
    SelfCheck,
    /// Run the inputs stored in an `io.safetensors` and compare with the outputs stored beside them.
    /// Attachments: the `File`s of a model and `io.safetensors`. Answer: [`Event::Parity`].
    Parity {
        /// Largest absolute error allowed.
        atol: f64,
        /// Largest relative error allowed.
        rtol: f64,
    },
    /// Use the WGSL kernels or their twins in tensor operations. Answer: [`Event::Done`].
    SetKernels {
        /// Which.
        kernels: Kernels,
    },
    /// Hold every binding of the GPU to so many bytes from now on, so that large tensors are split as on a small device;
    /// 0 takes the device's own limit again. For tests. Answer: [`Event::Done`].
    LimitBinding {
        /// Bytes.
        bytes: u64,
    },
    /// The store of models is asked, beside the engine and without waiting for it; answer: [`Event::Storage`].
    Storage(StorageCommand),
    /// For tests of what the page does then: the device is lost. Answer: [`Event::Done`]; [`Event::Lost`] follows, and
    /// every later command fails.
    LoseDevice,
    /// The room See asks; answer: [`Event::See`], where the command names no other.
    See(SeeCommand),
    /// The room Mask asks; answer: [`Event::Mask`], where the command names no other.
    Mask(MaskCommand),
    /// The room Train asks; answer: [`Event::Train`].
    Train(TrainCommand),
    /// The room Probe asks; answer: [`Event::Probe`].
    Probe(ProbeCommand),
    /// The room Video asks; answer: [`Event::Video`].
    Video(VideoCommand),
}

/// Everything the engine can say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// The device is open.
    Ready {
        /// The engine's [`PROTOCOL`].
        protocol: u32,
        /// What computes.
        engine: EngineInfo,
        /// How the kernels did.
        self_check: SelfCheck,
    },
    /// Something long moves on.
    Progress {
        /// What is being done, as a short phrase: "reading weights".
        task: String,
        /// Done so far.
        done: u64,
        /// All there is to do; 0 when unknown.
        total: u64,
        /// What is counted: "bytes", "tensors", "kernels".
        unit: String,
    },
    /// The model is on the device.
    ModelLoaded {
        /// What it is.
        model: ModelInfo,
    },
    /// The image is decoded.
    ImageAdded {
        /// Which.
        image: ImageId,
        /// Width in pixels, after EXIF orientation.
        width: u32,
        /// Height in pixels, after EXIF orientation.
        height: u32,
    },
    /// The image's tokens are on the device. Attachments: `ArrayBuffer` of `f32` with the class embedding `[D]`
    /// (the mean of the patches in models without a class token), then, if asked for, one with the patches `[N, D]`.
    Embedded {
        /// Which.
        image: ImageId,
        /// Width of an embedding.
        dim: usize,
        /// Patch rows and columns.
        grid: [usize; 2],
        /// From pixels to embedding, in milliseconds.
        millis: f64,
    },
    /// The view is on its canvas. Attachments: of a model's view one `ArrayBuffer`, its values as 32-bit floats, plane by
    /// plane and row by row.
    Shown {
        /// Where.
        canvas: CanvasId,
        /// From command to presented picture, in milliseconds; the embedding, when it was needed, is counted apart.
        millis: f64,
        /// What the picture shows, in numbers.
        summary: Summary,
    },
    /// Images by falling cosine, the asked one left out.
    Neighbours {
        /// To which image.
        image: ImageId,
        /// Image and cosine.
        nearest: Vec<(ImageId, f32)>,
    },
    /// The engine's memory.
    Memory {
        /// As far as anybody tells.
        memory: Memory,
    },
    /// Of the engine's own accord: what the rooms will ask first of this model has been computed once, so that nothing
    /// has to be compiled at a first click.
    Warmed,
    /// Of the engine's own accord: its device is gone, nothing more can be computed.
    Lost {
        /// Why, and what to do.
        message: String,
    },
    /// Of the engine's own accord: kernels that a model needs otherwise than the start did were found wrong, and replaced by
    /// their twins.
    Replaced {
        /// Their names, as in [`KernelCheck`](crate::KernelCheck).
        kernels: Vec<String>,
    },
    /// Each kernel was compared with its twin.
    SelfChecked {
        /// How they did.
        self_check: SelfCheck,
    },
    /// The stored outputs were compared with ours.
    Parity {
        /// A row a tensor.
        report: ParityReport,
    },
    /// The store of models is answered.
    Storage(StorageEvent),
    /// The room See is answered.
    See(SeeEvent),
    /// The room Mask is answered.
    Mask(MaskEvent),
    /// The room Train is answered.
    Train(TrainEvent),
    /// The room Probe is answered.
    Probe(ProbeEvent),
    /// The room Video is answered.
    Video(VideoEvent),
    /// Nothing more to tell.
    Done,
    /// Something is not as it should be, yet the work goes on.
    Warning {
        /// One sentence.
        message: String,
    },
    /// The request could not be carried out.
    Failed {
        /// What failed, what was expected, what was found, what to do.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_wire() {
        let request = Request {
            id: 7,
            command: Command::Show {
                canvas: CanvasId(1),
                image: ImageId(2),
                view: View::Attention { layer: 3, head: None, query: Query::Patch { index: 40 } },
                size: [512, 512],
            },
        };
        let text = serde_json::to_string(&request).expect("plain data");
        assert_eq!(serde_json::from_str::<Request>(&text).expect("our own words"), request);
    }

    #[test]
    fn a_room_has_its_own_words() {
        let text = r#"{"id":1,"command":{"do":"train","train":"close"}}"#;
        let request = Request { id: 1, command: Command::Train(TrainCommand::Close) };
        assert_eq!(serde_json::to_string(&request).expect("plain data"), text);
        assert_eq!(serde_json::from_str::<Request>(text).expect("our own words"), request);
    }

    #[test]
    fn an_empty_report_is_no_success() {
        assert!(!ParityReport::default().passed());
    }
}
