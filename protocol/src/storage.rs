//! Models kept in the browser: fetched once, checked, and loaded from then on without the network.

use serde::{Deserialize, Serialize};

/// How the source of a model begins that was made in this browser and lies on no server; its key follows.
pub const MADE: &str = "kept:";

/// What the page can ask of the store. It works beside the engine: a download does not hold up a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum StorageCommand {
    /// Fetch a model, or go on with a download that was cut. Answer: [`StorageEvent::Fetched`].
    Fetch {
        /// The address of a folder or of a file of weights, or a repository's name: `facebook/dinov2-small`, perhaps
        /// with a revision, `facebook/dinov2-small@main`. Behind `#sha256=` may stand the hash of the weights.
        source: String,
        /// The hub's address where it is another than Hugging Face's own; empty for that.
        mirror: String,
    },
    /// Keep a model that was made here, such as the encoder of a run. Attachments: an `ArrayBuffer` a file. The same bytes
    /// under the same name are the same model, kept once. Answer: [`StorageEvent::Fetched`].
    Keep {
        /// Its name for people; where another model has it, a number is put behind it.
        name: String,
        /// The names of its files.
        files: Vec<String>,
    },
    /// Stop the download under way; what has come is kept. Answer: [`StorageEvent::Listed`].
    Cancel,
    /// What is kept. Answer: [`StorageEvent::Listed`].
    List,
    /// Throw a model away. Answer: [`StorageEvent::Listed`].
    Delete {
        /// Its key.
        key: String,
    },
}

/// What the store answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "said")]
pub enum StorageEvent {
    /// The model is here, whole and checked.
    Fetched {
        /// What is kept.
        model: StoredModel,
        /// Bytes that came over the network just now; 0 when all was here already.
        received: u64,
    },
    /// Everything that is kept.
    Listed {
        /// Whole and half models, the one used last first.
        models: Vec<StoredModel>,
        /// Bytes that this site takes, by the browser's estimate.
        usage: u64,
        /// Bytes that this site may take; 0 when unknown.
        quota: u64,
    },
}

/// A model in the store, whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoredModel {
    /// Its name in the store: the first digits of its address's hash, or of its files' where it was made here.
    pub key: String,
    /// Its name for people: a repository, or the end of an address.
    pub name: String,
    /// What the user asked for: a repository or an address. It fetches the same again. [`MADE`] and the key where it was
    /// made here.
    pub source: String,
    /// The folder it came from, absolute; as `source` where it was made here.
    pub folder: String,
    /// Its files.
    pub files: Vec<StoredFile>,
    /// The SHA-256 that the user promised for the weights, where one was given: also of what comes later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// Every file is here and checked.
    pub complete: bool,
    /// When it was fetched, in milliseconds since 1970.
    pub stored: u64,
    /// When it was last loaded.
    pub used: u64,
}

impl StoredModel {
    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The file with most bytes: its hash names the model.
    pub fn weights(&self) -> Option<&StoredFile> {
        self.files.iter().max_by_key(|file| file.bytes)
    }
}

/// A file in the store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its name in the folder.
    pub name: String,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Bytes of the whole, where the server told.
    pub total: Option<u64>,
    /// SHA-256 of the whole, in hexadecimal digits; empty until all has come.
    pub sha256: String,
    /// The server's mark of this version.
    pub etag: Option<String>,
    /// Who vouched for the hash: the hub, or the address. Empty where nobody did.
    pub vouched: String,
}
