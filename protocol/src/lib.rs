//! What the page and the engine say to each other.
//!
//! Plain data: no tensor, no DOM, no GPU. The page (`lab-app`) sends a [`Request`], the engine in its worker
//! (`lab-worker`) answers with [`Message`]s; `native-trainer` shares the report types. A message travels through
//! `postMessage` as `{ text, attachments }`: `text` is the JSON of these types, `attachments` holds what JSON cannot
//! (`File`, `Blob`, `OffscreenCanvas`, `ArrayBuffer`), in the order each command or event documents.

use serde::{Deserialize, Serialize};

/// Raised whenever a type of this crate changes. Page and worker compare it first: Trunk hashes the page's files, but
/// a browser may still hold an older worker in its cache.
pub const PROTOCOL: u32 = 1;

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
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum ModelSource {
    /// The model that ships with the page.
    BuiltIn,
    /// Files or a folder of the user's: `config.json`, weights, perhaps `preprocessor_config.json`.
    Files,
    /// A folder on a server that holds `config.json` and `model.safetensors` (or shards with an index).
    Url {
        /// Absolute, or relative to the page.
        url: String,
    },
}

/// Who computes matrix products and their like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernels {
    /// The hand-written WGSL kernels, where the device runs them.
    #[default]
    Wgsl,
    /// Their twins in tensor operations.
    Reference,
}

/// What can be drawn of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "show")]
pub enum View {
    /// The image as the model receives it: resized and cropped.
    Input,
    /// Attention probabilities from one query token to all patches.
    Attention {
        /// Block, from 0.
        layer: u32,
        /// Head, from 0; `None` is the mean of all heads.
        head: Option<u32>,
        /// Who asks.
        query: Query,
    },
    /// The first three principal components of the patch tokens as red, green and blue.
    Pca,
    /// Cosine of every patch of this image with one patch.
    Similarity {
        /// The image of the patch that was clicked; may be another image.
        from: ImageId,
        /// The patch, row by row.
        patch: u32,
    },
}

/// A query token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "token")]
pub enum Query {
    /// The class token (the first patch in models that have none).
    Cls,
    /// A patch, row by row.
    Patch {
        /// Its number, from 0.
        index: u32,
    },
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
    /// The view is on its canvas.
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

/// Numbers behind a picture, for its caption and for screen readers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Patch rows and columns.
    pub grid: [usize; 2],
    /// Smallest value drawn.
    pub min: f32,
    /// Largest value drawn.
    pub max: f32,
    /// The patch with the largest value, row by row.
    pub peak: u32,
    /// For PCA: the share of the variance that each of the three components holds.
    pub explained: Option<[f32; 3]>,
    /// For attention: the share of the probability that falls on patches (the rest is on class and register tokens).
    pub on_patches: Option<f32>,
}

/// Which engine computes, and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// `gpu` (WebGPU) or `cpu` (wasm SIMD, or native Flex).
    pub kind: EngineKind,
    /// The adapter's name, or a word about the CPU.
    pub device: String,
    /// The adapter only imitates a GPU on the CPU (SwiftShader, llvmpipe).
    pub software: bool,
    /// The device computes with 16-bit floats.
    pub f16: bool,
    /// The largest tensor that one binding holds, in bytes; 0 where there is no such limit.
    pub max_binding_bytes: u64,
}

/// The two kinds of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Hand-written WGSL on WebGPU (natively: Vulkan, Metal, DX12).
    Gpu,
    /// burn's Flex on the CPU.
    Cpu,
}

/// How each kernel compares with its twin on small random data.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SelfCheck {
    /// A row a kernel; empty on an engine that runs no WGSL.
    pub kernels: Vec<KernelCheck>,
}

impl SelfCheck {
    /// Names of the kernels that were found wrong and replaced by their twins.
    pub fn replaced(&self) -> Vec<&str> {
        self.kernels.iter().filter(|kernel| !kernel.passed).map(|kernel| kernel.name.as_str()).collect()
    }
}

/// One kernel's comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KernelCheck {
    /// The kernel's name, as in `shaders/kernels`.
    pub name: String,
    /// Largest absolute difference to the twin.
    pub max_error: f32,
    /// What was allowed.
    pub tolerance: f32,
    /// Whether the kernel is in use.
    pub passed: bool,
}

/// What a model is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Folder, file or address it came from.
    pub name: String,
    /// "DINOv2", "Web-DINO", "MAE", "CLIP" …
    pub family: String,
    /// Width of a token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Heads of each block.
    pub num_heads: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Side of the image in pixels that the model receives.
    pub img_size: usize,
    /// Register tokens.
    pub num_registers: usize,
    /// Whether there is a class token.
    pub has_cls: bool,
    /// Number of parameters.
    pub parameters: u64,
    /// Bytes of weights on the device.
    pub bytes: u64,
    /// Weights drawn at random: views show architecture, not learning.
    pub untrained: bool,
    /// How pixels are prepared, as one sentence.
    pub preprocessing: String,
}

/// Stored outputs against ours.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ParityReport {
    /// A row a tensor.
    pub tensors: Vec<TensorParity>,
    /// Largest absolute error allowed.
    pub atol: f64,
    /// Largest relative error allowed.
    pub rtol: f64,
}

impl ParityReport {
    /// Whether every tensor is within `atol` or within `rtol`, element by element, and there was one at all.
    pub fn passed(&self) -> bool {
        !self.tensors.is_empty() && self.tensors.iter().all(|tensor| tensor.passed)
    }
}

/// One tensor's errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorParity {
    /// Its name in `io.safetensors`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Largest absolute error.
    pub max_abs: f64,
    /// Largest relative error among the elements outside `atol`; 0 when all lie within it.
    pub max_rel: f64,
    /// Every element is within `atol` or within `rtol`.
    pub passed: bool,
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
    fn an_empty_report_is_no_success() {
        assert!(!ParityReport::default().passed());
    }
}
