//! Every way in which this crate can fail, one enum a boundary, gathered in [`Error`].
//!
//! The variants carry fields, not sentences, so that a caller can act on them;
//! the message says what was expected, what was found and what to do.
//! Data, weights and hosts never panic: whatever they hold ends in one of these.

mod format;
mod image;
mod probe;
mod train;

use thiserror::Error;

pub use format::FormatError;
pub use image::ImageError;
pub use probe::ProbeError;
pub use train::{ConfigError, TrainError};

/// Anything that can go wrong in this crate.
#[derive(Debug, Error)]
pub enum Error {
    /// The host could not hand over bytes.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A checkpoint or one of its tensors is broken or of a kind we do not read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// An image could not be decoded, or a preprocessing recipe not understood.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A checkpoint holds no model that we know, or a model was asked for what it cannot do.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device cannot be had, or failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The engine was asked for what it cannot do.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Classes, a probe or embeddings cannot be used.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A run cannot go on.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// A host (file system, browser) failed to read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostError {
    /// What a name or an address leads to is not what a model needs; `reason` says what to give instead.
    #[error("{name} is no model: {reason}")]
    NoModel {
        /// The file, folder or address as its host calls it.
        name: String,
        /// What is wrong, and what is wanted.
        reason: String,
    },
    /// The host's own read failed; `reason` is the host's text.
    #[error("cannot read {len} bytes at offset {offset}: {reason} ({name})")]
    Read {
        /// The file as its host calls it.
        name: String,
        /// First byte asked for.
        offset: u64,
        /// How many bytes were asked for.
        len: u64,
        /// What the host said.
        reason: String,
    },
    /// The range lies outside the file.
    #[error("{len} bytes at offset {offset} lie outside the file of {size} bytes; it may be cut short ({name})")]
    OutOfRange {
        /// The file as its host calls it.
        name: String,
        /// First byte asked for.
        offset: u64,
        /// How many bytes were asked for.
        len: u64,
        /// Length of the file in bytes.
        size: u64,
    },
    /// The host returned another number of bytes than asked.
    #[error("asked for {expected} bytes at offset {offset}, got {found}; the file changed while it was read ({name})")]
    WrongLength {
        /// The file as its host calls it.
        name: String,
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        expected: u64,
        /// Bytes received.
        found: u64,
    },
}

/// A checkpoint holds no model that we know, or not all of it.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ModelError {
    /// No family's names were found.
    #[error(
        "no model is recognised among {tensors} tensors ({}): expected the names of DINOv2, ViT, MAE, CLIP or SigLIP \
         (Hugging Face or original code); is this the right file?",
        sample.join(", ")
    )]
    UnknownLayout {
        /// How many tensors there are.
        tensors: usize,
        /// The first few names.
        sample: Vec<String>,
    },
    /// The tensors are not those of the model.
    #[error(
        "the checkpoint does not fit {family}: {} missing [{}], {} unknown [{}]; a whole, unmodified checkpoint is \
         needed{}",
        missing.len(), some(missing), unknown.len(), some(unknown), rest(missing, unknown)
    )]
    Tensors {
        /// The family it was taken for.
        family: &'static str,
        /// Needed and not there.
        missing: Vec<String>,
        /// There and not known.
        unknown: Vec<String>,
    },
    /// A tensor has another shape than the model needs.
    #[error("tensor {tensor} has the shape {found:?}, expected {expected}")]
    Shape {
        /// Its name in the checkpoint.
        tensor: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: Vec<usize>,
    },
    /// A field of `config.json` is wrong.
    #[error("config.json: {field} is {found}, expected {expected}")]
    Config {
        /// Its name.
        field: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// `config.json` is no JSON.
    #[error("config.json is not the JSON expected: {reason}; download it again, or mend it")]
    ConfigText {
        /// Where and why, with line and column.
        reason: String,
    },
    /// A tensor stored for comparison that holds what cannot be compared.
    #[error(
        "the stored {role} {tensor} holds {value:e} at index {index}; stored inputs and outputs must be finite floats of \
         32 bits, make the file anew"
    )]
    Stored {
        /// "input" or "output".
        role: &'static str,
        /// Its name in the file.
        tensor: String,
        /// Index in row-major order.
        index: usize,
        /// NaN or an infinity (or a number beyond f32).
        value: f64,
    },
    /// The weights do not tell, and there is no `config.json`.
    #[error("{field} of a model {embed_dim} wide cannot be told from the weights: put its config.json beside them")]
    NeedsConfig {
        /// The field that is missing.
        field: String,
        /// Width of a token.
        embed_dim: usize,
    },
    /// An image does not fit the model.
    #[error("images of {height} x {width} pixels hold no patch of {patch_size} x {patch_size}: use larger ones")]
    TooSmall {
        /// Pixels.
        height: usize,
        /// Pixels.
        width: usize,
        /// Pixels.
        patch_size: usize,
    },
    /// Pixels that are no images for the model, or of another length than their shape says.
    #[error(
        "{found} values came for pixels of the shape {shape:?} (images, channels, height, width), expected {expected}"
    )]
    Pixels {
        /// `[B, C, H, W]`.
        shape: [usize; 4],
        /// How many values came.
        found: usize,
        /// What of it is otherwise.
        expected: String,
    },
    /// What was asked for is not in this model or file.
    #[error("{what}: {found}; {advice}")]
    Absent {
        /// What was asked for.
        what: String,
        /// What there is.
        found: String,
        /// What to do.
        advice: String,
    },
}

/// How many names of a list a message shows.
const SHOWN: usize = 8;

/// The first names of a list, for a message.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown}, …") } else { shown }
}

/// Who tells the names that a message leaves out, where it leaves any out.
fn rest(missing: &[String], unknown: &[String]) -> &'static str {
    match missing.len().max(unknown.len()) {
        0..=SHOWN => "",
        _ => "; `native-trainer inspect MODEL --json` lists them all",
    }
}

/// The device cannot be had, or failed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum DeviceError {
    /// No such device.
    #[error("no device is called {asked}; this machine has {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// This build cannot reach it.
    #[error(
        "{asked} needs a build with the feature {feature}: cargo build -p native-trainer --release --features {feature}"
    )]
    Feature {
        /// What was asked for.
        asked: String,
        /// The Cargo feature.
        feature: &'static str,
    },
    /// It is there but could not be opened.
    #[error("the device {device} could not be opened: {reason}; update the graphics driver, or use the cpu")]
    Open {
        /// Which.
        device: String,
        /// What the driver said.
        reason: String,
    },
    /// Results could not be read back: the device was lost, or ran out of memory.
    #[error("reading results back failed: {reason}; the device may be out of memory: use a smaller batch or model")]
    Readback {
        /// What the driver said.
        reason: String,
    },
    /// A tensor's memory could not be lent to drawing.
    #[error("a tensor could not be drawn from: {reason}; use the CPU engine, and tell us")]
    Share {
        /// What the driver said.
        reason: String,
    },
}

/// The engine was asked for what it cannot do.
#[derive(Debug, Error)]
pub enum EngineError {
    /// Page and engine are of different versions.
    #[error(
        "the page speaks protocol {page}, the engine {engine}: one of them is old; reload the page without its cache"
    )]
    Protocol {
        /// The page's.
        page: u32,
        /// Ours.
        engine: u32,
    },
    /// Nothing computes tokens yet.
    #[error("no model is loaded: load one first")]
    NoModel,
    /// No image of that number.
    #[error("there is no image {image}: add it first")]
    NoImage {
        /// The number asked for.
        image: u32,
    },
    /// A file that is no image we read.
    #[error("{name}: {source}")]
    Image {
        /// What the page calls it.
        name: String,
        /// Why not.
        source: ImageError,
    },
    /// A layer, head or patch beyond the last.
    #[error("there is no {what} {asked}: {count} are there, counted from 0")]
    Range {
        /// "layer", "head" or "patch".
        what: &'static str,
        /// The number asked for.
        asked: u32,
        /// How many there are.
        count: usize,
    },
    /// There is no second model.
    #[error("no second model is loaded: load one into the slot {slot} first")]
    EmptySlot {
        /// Which slot.
        slot: &'static str,
    },
    /// A slot that does not do what was asked.
    #[error("the slot {slot} only reconstructs: ask main or other for views")]
    NoViews {
        /// Which slot.
        slot: &'static str,
    },
    /// A basis of no images.
    #[error("a basis for colours needs at least one image")]
    NothingToFit,
    /// No decoder to reconstruct with.
    #[error(
        "{found} has no decoder: load an MAE checkpoint with its decoder (ViTMAEForPreTraining), or the built-in \
         untrained one"
    )]
    NoDecoder {
        /// What is loaded.
        found: String,
    },
    /// A mask for another grid.
    #[error("the mask {digits} does not fit {rows} x {columns} patches: draw one for this model")]
    Mask {
        /// As it came.
        digits: String,
        /// Of the model's grid.
        rows: usize,
        /// Of the model's grid.
        columns: usize,
    },
    /// An encoder that sees nothing has nothing to say.
    #[error("every patch is hidden: show at least one")]
    AllHidden,
    /// A decoder only paints the grid it was trained on.
    #[error(
        "the decoder paints images of {expected} x {expected} pixels, these have {width} x {height}: change the size in preprocessor_config.json"
    )]
    DecoderSize {
        /// Side in pixels.
        expected: usize,
        /// Found.
        width: usize,
        /// Found.
        height: usize,
    },
    /// A model that takes more memory than there is.
    #[error(
        "this model needs {} ({} of them its weights), and of {} that this engine may take {} are free: {}{}, or \
         native-trainer, which has the whole machine",
        size(*needs), size(*weights), size(*most), size(*left), instead(fits), elsewhere(*half)
    )]
    Memory {
        /// Bytes that it takes at most, once loaded and while it loads.
        needs: u64,
        /// Bytes of its weights.
        weights: u64,
        /// Bytes that are free, or will be when the model before it is gone.
        left: u64,
        /// Bytes that the engine may take in all.
        most: u64,
        /// The largest released model of its family that fits, and the bytes that it needs.
        fits: Option<(String, u64)>,
        /// Bytes of its weights on a GPU that computes with 16 bits.
        half: u64,
    },
    /// A model that computes with larger tensors than the GPU takes in one piece.
    #[error(
        "this model computes with {} in one piece, and this GPU takes {} at most: {}the CPU engine, or native-trainer",
        size(*needs), size(*most), instead(fits)
    )]
    Piece {
        /// Bytes of its largest tensor.
        needs: u64,
        /// Bytes that a binding of the GPU holds.
        most: u64,
        /// The largest released model of its family that fits, and the bytes that it needs.
        fits: Option<(String, u64)>,
    },
    /// A comparison without stored outputs.
    #[error("no io.safetensors among the files ({}): add the file that holds inputs and PyTorch's outputs", found.join(", "))]
    NoOutputs {
        /// Names of the files given.
        found: Vec<String>,
    },
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
        _ => format!("{:.0} MB", (bytes as f64 / 1e6).ceil()),
    }
}

/// What to take in place of a model that does not fit.
fn instead(fits: &Option<(String, u64)>) -> String {
    match fits {
        Some((name, bytes)) => format!("take {name} ({}), the largest of its kind that fits, ", size(*bytes)),
        None => "take a smaller model, ".to_owned(),
    }
}

/// Where a model too large for the CPU engine may have room.
fn elsewhere(half: u64) -> String {
    format!("the GPU engine, where it takes {} if the GPU computes with 16 bits", size(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_left_out_are_told_elsewhere() {
        let names = |count: usize| (0..count).map(|index| format!("t{index}")).collect::<Vec<_>>();
        let said = |missing: usize, unknown: usize| {
            ModelError::Tensors { family: "ViT", missing: names(missing), unknown: names(unknown) }.to_string()
        };
        assert!(said(8, 0).ends_with("t7], 0 unknown []; a whole, unmodified checkpoint is needed"), "{}", said(8, 0));
        for (missing, unknown) in [(9, 0), (1, 30)] {
            let text = said(missing, unknown);
            assert!(text.contains("t7, …]") && text.ends_with("inspect MODEL --json` lists them all"), "{text}");
        }
    }
}
