//! Which of the files in a folder are the model's config, its preprocessing and its weights.
//!
//! The rules are those of Hugging Face's loader: `model.safetensors`, then its index, then `pytorch_model.bin`,
//! then its index. A folder without these names must hold exactly one file of weights; an `io.safetensors` beside it
//! holds what the model was asked and said, for the comparison, and is none.

use super::checkpoint::{Checkpoint, last_part, read_text};
use crate::error::FormatError;
use crate::host::ReadAt;

/// The canonical names in the order of preference; those that end in `.json` are indices of shards.
pub const CANONICAL: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// Small files beside the weights that belong to them; a model may lack them.
pub const COMPANIONS: [&str; 2] = ["config.json", "preprocessor_config.json"];
/// Stored inputs and outputs, see [`crate::parity`].
const IO: &str = "io.safetensors";
const WEIGHTS: [&str; 5] = [".safetensors", ".pth", ".pt", ".bin", ".ckpt"];

/// A model's files by their role.
#[derive(Debug)]
pub struct ModelFiles {
    /// Text of `config.json`, where there is one.
    pub config: Option<String>,
    /// Text of `preprocessor_config.json`, where there is one.
    pub preprocessor_config: Option<String>,
    /// The weights.
    pub checkpoint: Checkpoint,
    /// Names of the files that were given and not used.
    pub unused: Vec<String>,
}

impl ModelFiles {
    /// Sorts `files` by role and opens the weights. Only the last part of each name counts.
    ///
    /// # Errors
    /// [`FormatError::NoCheckpoint`] or [`FormatError::SeveralCheckpoints`] with the names found,
    /// [`FormatError::LoneShard`], [`FormatError::DuplicateFile`], or whatever is wrong with the files themselves.
    pub async fn from_files(mut files: Vec<Box<dyn ReadAt>>) -> Result<Self, FormatError> {
        // The order in which a host lists files must not matter.
        files.sort_by(|a, b| last_part(a.name()).cmp(last_part(b.name())));
        let names: Vec<String> = files.iter().map(|file| file.name().to_owned()).collect();
        for known in CANONICAL.iter().chain(&COMPANIONS) {
            if files.iter().filter(|file| last_part(file.name()) == *known).count() > 1 {
                return Err(FormatError::DuplicateFile { name: (*known).to_owned() });
            }
        }
        let config = take(&mut files, "config.json");
        let preprocessor_config = take(&mut files, "preprocessor_config.json");

        let canonical = CANONICAL.iter().find_map(|name| take(&mut files, name));
        let (checkpoint, used) = match canonical {
            Some(index) if index.name().ends_with(".json") => {
                let weights = take_weights(&mut files);
                let checkpoint = Checkpoint::open_sharded(index.as_ref(), weights).await?;
                (checkpoint, Some(index.name().to_owned()))
            }
            Some(file) => (Checkpoint::open(file).await?, None),
            None => {
                let mut weights = take_weights(&mut files);
                if weights.len() > 1 {
                    weights.retain(|file| last_part(file.name()) != IO);
                }
                if let Some(error) = weights.iter().find_map(|file| lone_shard(file.name())) {
                    return Err(error);
                }
                match (weights.pop(), weights.is_empty()) {
                    (Some(only), true) => (Checkpoint::open(only).await?, None),
                    (None, _) => return Err(FormatError::NoCheckpoint { found: names }),
                    (Some(last), false) => {
                        weights.push(last);
                        let found = weights.iter().map(|file| file.name().to_owned()).collect();
                        return Err(FormatError::SeveralCheckpoints { found });
                    }
                }
            }
        };

        let roles = [&config, &preprocessor_config];
        let taken = |name: &String| {
            checkpoint.file_names().any(|file| file == name)
                || used.as_ref() == Some(name)
                || roles.iter().any(|file| file.as_ref().is_some_and(|file| file.name() == name))
        };
        let unused = names.into_iter().filter(|name| !taken(name)).collect();
        Ok(Self {
            config: text(config.as_deref()).await?,
            preprocessor_config: text(preprocessor_config.as_deref()).await?,
            checkpoint,
            unused,
        })
    }
}

async fn text(file: Option<&dyn ReadAt>) -> Result<Option<String>, FormatError> {
    match file {
        Some(file) => Ok(Some(read_text(file).await?)),
        None => Ok(None),
    }
}

fn take(files: &mut Vec<Box<dyn ReadAt>>, name: &str) -> Option<Box<dyn ReadAt>> {
    let place = files.iter().position(|file| last_part(file.name()) == name)?;
    Some(files.remove(place))
}

/// What to say of `model-00001-of-00002.safetensors` without an index; `None` of a file that is no shard of several.
fn lone_shard(file: &str) -> Option<FormatError> {
    let (stem, ending) = last_part(file).rsplit_once('.')?;
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (_, number) = rest.rsplit_once('-')?;
    let (number, count): (u32, u32) = (number.parse().ok()?, count.parse().ok()?);
    let index = if ending == "safetensors" { CANONICAL[1] } else { CANONICAL[3] };
    (count > 1).then(|| FormatError::LoneShard { file: file.to_owned(), number, count, index })
}

fn take_weights(files: &mut Vec<Box<dyn ReadAt>>) -> Vec<Box<dyn ReadAt>> {
    let is_weights = |file: &dyn ReadAt| WEIGHTS.iter().any(|ending| file.name().ends_with(ending));
    let (weights, rest) = std::mem::take(files).into_iter().partition(|file| is_weights(file.as_ref()));
    *files = rest;
    weights
}
