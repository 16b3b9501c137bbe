//! Every way in which this crate can fail, one enum a boundary, gathered in [`Error`].
//!
//! The variants carry fields, not sentences, so that a caller can act on them;
//! the message says what was expected, what was found and what to do.
//! Data, weights and hosts never panic: whatever they hold ends in one of these.

use thiserror::Error;

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
}

/// A host (file system, browser) failed to read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostError {
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

/// Why a checkpoint, or a tensor of it, was refused.
#[derive(Debug, Error)]
pub enum FormatError {
    /// Reading failed below the format.
    #[error(transparent)]
    Host(#[from] HostError),

    // --- the set of files -------------------------------------------------------------------
    /// No weights among the files.
    #[error(
        "no checkpoint among {found:?}; expected model.safetensors, model.safetensors.index.json with its shards, or a .pth, .pt or .bin file"
    )]
    NoCheckpoint {
        /// Names of the files that were given.
        found: Vec<String>,
    },
    /// More than one checkpoint, and no rule says which one is meant.
    #[error("found several checkpoints, {found:?}; give exactly one, or name it model.safetensors")]
    SeveralCheckpoints {
        /// Names of the candidates.
        found: Vec<String>,
    },
    /// Two files carry the same name.
    #[error("two files are called {name}; give one model at a time")]
    DuplicateFile {
        /// The name.
        name: String,
    },
    /// The index names a shard that was not given.
    #[error("{index} names the shard {shard}, which is missing; found {found:?}")]
    MissingShard {
        /// Name of the index file.
        index: String,
        /// Name of the absent shard.
        shard: String,
        /// Weight files that were given.
        found: Vec<String>,
    },
    /// The index says a tensor is in a shard; the shard does not hold it.
    #[error("{index} places the tensor {tensor} in {shard}, which does not hold it; download both again")]
    NotInShard {
        /// Name of the index file.
        index: String,
        /// The tensor.
        tensor: String,
        /// The shard named for it.
        shard: String,
    },
    /// A shard holds a tensor which the index does not list there.
    #[error("{shard} holds the tensor {tensor}, which {index} does not place there; download both again")]
    NotInIndex {
        /// Name of the index file.
        index: String,
        /// The tensor.
        tensor: String,
        /// The shard that holds it.
        shard: String,
    },
    /// A JSON file that cannot be read.
    #[error("{file} is not the JSON expected: {source}")]
    Json {
        /// Name of the file.
        file: String,
        /// Where and why, with line and column.
        source: serde_json::Error,
    },
    /// A text file (config, index) that is too long to be one.
    #[error("{file} has {len} bytes, more than the {limit} that such a file may have")]
    TextTooLong {
        /// Name of the file.
        file: String,
        /// Its length in bytes.
        len: u64,
        /// Longest length accepted, in bytes.
        limit: u64,
    },
    /// A text file that is not UTF-8.
    #[error("{file} is not UTF-8 text: bad byte at {at}")]
    NotText {
        /// Name of the file.
        file: String,
        /// Offset of the first bad byte.
        at: usize,
    },
    /// The first bytes belong to no format we read.
    #[error(
        "{file} starts with {head:02x?}: neither safetensors nor a PyTorch file; a web page saved under this name also looks like that"
    )]
    UnknownFormat {
        /// Name of the file.
        file: String,
        /// Its first bytes, at most 8.
        head: Vec<u8>,
    },

    // --- safetensors ------------------------------------------------------------------------
    /// The header claims a length beyond the file or beyond the limit.
    #[error("the header of {file} claims {len} bytes; the file leaves room for {available}, and {limit} is the limit")]
    HeaderTooLong {
        /// Name of the file.
        file: String,
        /// Length that the first eight bytes state.
        len: u64,
        /// Bytes that follow these eight in the file.
        available: u64,
        /// Longest header accepted.
        limit: u64,
    },
    /// Two tensors of one name.
    #[error("the tensor name {tensor} occurs twice ({file})")]
    DuplicateTensor {
        /// Name of the file.
        file: String,
        /// The name that occurs twice.
        tensor: String,
    },
    /// Element type that we do not read.
    #[error("the tensor {tensor} has the element type {dtype}; supported are {supported} ({file})")]
    UnknownDtype {
        /// Name of the file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its element type as the file spells it.
        dtype: String,
        /// The types that are read.
        supported: &'static str,
    },
    /// Shape times element size is not the number of bytes.
    #[error(
        "the tensor {tensor} of shape {shape:?} and type {dtype} needs {expected:?} bytes, the header gives it {found} ({file})"
    )]
    SizeMismatch {
        /// Name of the file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Its element type.
        dtype: &'static str,
        /// Bytes needed; `None` where the product overflows 64 bits.
        expected: Option<u64>,
        /// Bytes given.
        found: u64,
    },
    /// The data of two tensors overlap.
    #[error("the data of {first} and {second} overlap ({file})")]
    Overlap {
        /// Name of the file.
        file: String,
        /// Tensor whose data start first.
        first: String,
        /// Tensor whose data start inside the first.
        second: String,
    },
    /// Bytes that belong to no tensor, or a tensor that ends before it starts.
    #[error("the data of {tensor} are placed at {begin}..{end}, expected to start at {expected} ({file})")]
    BadOffsets {
        /// Name of the file.
        file: String,
        /// The tensor.
        tensor: String,
        /// First byte, counted from the end of the header.
        begin: u64,
        /// One past the last byte.
        end: u64,
        /// Where the data had to start.
        expected: u64,
    },
    /// The file is shorter than its header says.
    #[error("{file} has {found} bytes, its header describes {expected}; the download was cut, fetch it again")]
    Truncated {
        /// Name of the file.
        file: String,
        /// Bytes needed.
        expected: u64,
        /// Bytes present.
        found: u64,
    },
    /// The file is longer than its header says.
    #[error("{file} has {found} bytes, its header describes only {expected}; fetch it again")]
    TrailingBytes {
        /// Name of the file.
        file: String,
        /// Bytes described.
        expected: u64,
        /// Bytes present.
        found: u64,
    },

    // --- PyTorch files ----------------------------------------------------------------------
    /// The zip archive around a `.pth` is broken.
    #[error("{file} is a broken zip archive: {what}, at offset {offset}; the download may be cut, fetch it again")]
    BrokenArchive {
        /// Name of the file.
        file: String,
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the start of the file.
        offset: u64,
    },
    /// An entry of the archive is missing.
    #[error("{file} has no entry {entry}; it is not a file that torch.save wrote, or it was cut")]
    MissingEntry {
        /// Name of the file.
        file: String,
        /// Name of the entry.
        entry: String,
    },
    /// An entry is compressed or encrypted; PyTorch stores its entries.
    #[error(
        "the entry {entry} is compressed (method {method}) or encrypted; PyTorch stores entries plainly, save it again with torch.save ({file})"
    )]
    CompressedEntry {
        /// Name of the file.
        file: String,
        /// Name of the entry.
        entry: String,
        /// The zip compression method.
        method: u16,
    },
    /// A kind of PyTorch file that is recognised, and not read.
    #[error("{file} is {kind}; load it in PyTorch and write its state_dict() with torch.save or safetensors")]
    UnsupportedPth {
        /// Name of the file.
        file: String,
        /// What it is.
        kind: &'static str,
    },
    /// The pickle stream breaks its own rules.
    #[error("the pickle of {file} is broken at byte {at}: {what}")]
    BrokenPickle {
        /// Name of the file.
        file: String,
        /// Offset in the pickle stream.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// An opcode that PyTorch does not write.
    #[error(
        "the pickle of {file} uses the opcode 0x{opcode:02x} at byte {at}, which no checkpoint needs; it is not read"
    )]
    UnknownOpcode {
        /// Name of the file.
        file: String,
        /// Offset in the pickle stream.
        at: usize,
        /// The opcode.
        opcode: u8,
    },
    /// A limit against hostile pickles.
    #[error("the pickle of {file} exceeds the limit of {limit} {what}")]
    PickleLimit {
        /// Name of the file.
        file: String,
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A tensor that is built in a way we do not read (sparse, quantised, …).
    #[error(
        "the tensor {tensor} is built by {function}, which is not supported; save it as a plain dense tensor ({file})"
    )]
    UnsupportedTensor {
        /// Name of the file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The Python function named in the pickle. It was not called.
        function: String,
    },
    /// A tensor reaches beyond its storage.
    #[error("the tensor {tensor} of shape {shape:?} reaches beyond its storage of {storage} elements ({file})")]
    BeyondStorage {
        /// Name of the file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<u64>,
        /// Elements in the storage.
        storage: u64,
    },
    /// A file without a tensor in any place that we look at.
    #[error(
        "{file} holds no tensor in nested dictionaries or lists; it holds objects of {classes:?}; save model.state_dict() instead of the model"
    )]
    NoTensors {
        /// Name of the file.
        file: String,
        /// Classes that the pickle names. None was loaded.
        classes: Vec<String>,
    },

    // --- one tensor -------------------------------------------------------------------------
    /// No tensor of that name.
    #[error("no tensor {tensor} in the checkpoint")]
    NoSuchTensor {
        /// The name asked for.
        tensor: String,
    },
    /// Rows outside the tensor.
    #[error("rows {start}..{end} asked of the tensor {tensor}, which has {rows}")]
    NoSuchRows {
        /// The tensor.
        tensor: String,
        /// First row asked for.
        start: usize,
        /// One past the last row asked for.
        end: usize,
        /// Rows that it has.
        rows: usize,
    },
    /// More bytes than this machine can address at once.
    #[error("the tensor {tensor} has {bytes} bytes, more than can be held at once here; read it in rows")]
    TooLarge {
        /// The tensor.
        tensor: String,
        /// Its bytes.
        bytes: u64,
    },
    /// Another element type than the reader needs.
    #[error("the tensor {tensor} has elements of type {found}, expected {expected}")]
    WrongDtype {
        /// The tensor.
        tensor: String,
        /// What was needed.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A weight that is no number.
    #[error(
        "the tensor {tensor} holds {value} at index {index}; weights must be finite, the checkpoint is damaged or its training diverged"
    )]
    NonFinite {
        /// The tensor.
        tensor: String,
        /// Index in row-major order.
        index: usize,
        /// NaN or an infinity (or a number beyond f32).
        value: f64,
    },
    /// A number beyond the range of f16.
    #[error(
        "the tensor {tensor} holds {value} at index {index}, beyond the range of f16 (65504); load this model in f32"
    )]
    F16Range {
        /// The tensor.
        tensor: String,
        /// Index in row-major order.
        index: usize,
        /// The number.
        value: f64,
    },
}

/// Why an image, or a recipe for preparing images, was refused.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The first bytes belong to no format we read.
    #[error("not an image we read: it starts with {head:02x?}; supported are JPEG, PNG, WebP, GIF, TIFF and BMP")]
    UnknownFormat {
        /// The first bytes, at most 8.
        head: Vec<u8>,
    },
    /// The file ends before the image does.
    #[error("the {format} file ends early: {bytes} bytes, and {missing}")]
    Truncated {
        /// The format.
        format: &'static str,
        /// Bytes present.
        bytes: usize,
        /// What was still expected.
        missing: String,
    },
    /// The decoder found the data broken.
    #[error("the {format} data are broken: {reason}")]
    Corrupt {
        /// The format.
        format: &'static str,
        /// The decoder's finding.
        reason: String,
    },
    /// A feature of the format that the decoder lacks.
    #[error("this {format} file uses a feature that is not read: {feature}")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// The feature.
        feature: String,
    },
    /// More pixels than allowed.
    #[error("the image has {width} x {height} pixels; the limit is {max_pixels}")]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit on width times height.
        max_pixels: u64,
    },
    /// More bytes, encoded or decoded, than allowed.
    #[error("the image needs {bytes} bytes; the limit is {max_bytes}")]
    TooManyBytes {
        /// Bytes needed.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// Width or height is zero, or the pixels do not fill them.
    #[error(
        "an image of {width} x {height} pixels needs {expected} bytes of RGB, and at least one pixel; found {found}"
    )]
    BadSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes needed.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// `preprocessor_config.json` is not JSON.
    #[error("preprocessor_config.json is not JSON: {source}")]
    Json {
        /// Where and why, with line and column.
        #[from]
        source: serde_json::Error,
    },
    /// An image processor that we do not know.
    #[error("preprocessor_config.json names the image processor {found:?}; supported are {supported}")]
    UnknownProcessor {
        /// Its name, if any.
        found: Option<String>,
        /// The names supported.
        supported: &'static str,
    },
    /// A resampling filter other than bilinear and bicubic.
    #[error("preprocessor_config.json asks for resample = {found}; supported are 2 (bilinear) and 3 (bicubic)")]
    UnknownResample {
        /// The value found, as JSON.
        found: String,
    },
    /// A field of a kind or value that does not fit.
    #[error("preprocessor_config.json: {field} is {found}, expected {expected}")]
    BadField {
        /// The field.
        field: &'static str,
        /// What fits.
        expected: &'static str,
        /// The value found, as JSON.
        found: String,
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
         needed",
        missing.len(), some(missing), unknown.len(), some(unknown)
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
    /// Pixels of another length than their shape says.
    #[error("{found} values for pixels of the shape {shape:?}")]
    Pixels {
        /// `[B, C, H, W]`.
        shape: [usize; 4],
        /// How many values came.
        found: usize,
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

/// The first names of a list, for a message.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > 8 { format!("{shown}, …") } else { shown }
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
    /// A comparison without stored outputs.
    #[error("no io.safetensors among the files ({}): add the file that holds inputs and PyTorch's outputs", found.join(", "))]
    NoOutputs {
        /// Names of the files given.
        found: Vec<String>,
    },
}
