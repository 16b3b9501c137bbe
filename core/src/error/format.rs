//! What can be wrong with a checkpoint file.

use thiserror::Error;

use super::HostError;

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
    /// Shards without the index that says what each holds.
    #[error(
        "{file} is shard {number} of {count} of a model, and {index} did not come with it; give the folder that holds all \
         of them, or that index"
    )]
    LoneShard {
        /// Name of the shard.
        file: String,
        /// Its number, as its name has it.
        number: u32,
        /// How many there are.
        count: u32,
        /// Name of the index that is missing.
        index: &'static str,
    },
    /// What Git keeps in place of a large file.
    #[error(
        "{file} is not the file itself but a pointer of Git LFS to it; run `git lfs pull` in its repository, or download \
         the file itself"
    )]
    LfsPointer {
        /// Name of the file.
        file: String,
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
    /// The index of a model on a server names something that is no file beside it.
    #[error("{index} names {shard:?}, which is no file beside it")]
    NotBeside {
        /// Name of the index file.
        index: String,
        /// What it names.
        shard: String,
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
        "the tensor {tensor} of shape {shape:?} and type {dtype} needs {}, the header gives it {found} ({file})",
        needed(*expected)
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
    #[error("{file} has {found} bytes, expected {expected}; the download was cut, fetch it again")]
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
        "the tensor {tensor} holds {value:e} at index {index}; weights must be finite floats of 32 bits, the \
         checkpoint is damaged or its training diverged"
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

/// Bytes that a tensor needs, for a message.
fn needed(bytes: Option<u64>) -> String {
    match bytes {
        Some(bytes) => format!("{bytes} bytes"),
        None => "more bytes than 64 bits can count".to_owned(),
    }
}
