//! What computes and with which model: devices, kernels, models, and how well they agree with their references.

use serde::{Deserialize, Serialize};

/// Stands in the sentence about a model that could not be loaded where the main model before it has already been let go of.
pub const GONE: &str = "the model before it had already made room";

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum ModelSource {
    /// The model that ships with the page.
    BuiltIn,
    /// A masked autoencoder for images of 32 pixels that has learned nothing.
    UntrainedMae,
    /// The main model's architecture with weights drawn at random.
    Twin {
        /// The same seed gives the same weights.
        seed: u32,
    },
    /// Files or a folder of the user's: `config.json`, weights, perhaps `preprocessor_config.json`.
    Files,
    /// A folder on a server that holds `config.json` and `model.safetensors` (or shards with an index).
    Url {
        /// Absolute, or relative to the page.
        url: String,
    },
    /// A model in the store.
    Stored {
        /// Its key.
        key: String,
    },
}

/// Places for models in an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// The model that all rooms share.
    #[default]
    Main,
    /// A second one, compared with it.
    Other,
    /// The room Mask's own, at work where the main one has no decoder.
    Mae,
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

/// Memory of an engine, in bytes; 0 where nobody tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// What the engine holds in its own memory now: weights and pictures on the CPU engine, little on a GPU's.
    pub taken: u64,
    /// All that it may ever hold there: a browser's WebAssembly is 32 bits wide.
    pub most: u64,
    /// What it has set aside on the GPU; how much there is no browser tells.
    pub gpu: u64,
    /// The largest tensor that the GPU takes in one piece.
    pub piece: u64,
    /// About what the machine has.
    pub machine: u64,
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
    /// MAE's decoder, where there is one.
    pub decoder: Option<DecoderInfo>,
    /// A short name for its weights, sixteen hexadecimal digits: the same bytes have the same; empty where they were
    /// not read, or drawn.
    pub fingerprint: String,
}

/// What a masked autoencoder's decoder is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DecoderInfo {
    /// Width of a token.
    pub embed_dim: usize,
    /// Number of blocks.
    pub depth: usize,
    /// Patch rows and columns that it paints.
    pub grid: [usize; 2],
    /// Its target is each patch normalised by its own mean and deviation.
    pub norm_pix: bool,
}

/// Stored outputs against ours.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ParityReport {
    /// A row a tensor.
    pub tensors: Vec<TensorParity>,
    /// Stored tensors that were no input and that nothing was compared with: names that the comparison does not compute.
    pub not_compared: Vec<String>,
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
    /// Largest relative error of all elements, `|ours - stored| / max(|stored|, atol)`: what is nearer to 0 than `atol` is
    /// taken relative to `atol`.
    pub max_rel: f64,
    /// Every element is within `atol` or within `rtol`.
    pub passed: bool,
}
