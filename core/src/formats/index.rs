//! The index of a model in shards, `model.safetensors.index.json` or `pytorch_model.bin.index.json`: which file holds each
//! tensor.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::checkpoint::{last_part, read_text};
use crate::error::FormatError;
use crate::host::ReadAt;

/// An index that was read.
#[derive(Debug, Clone)]
pub struct ShardIndex {
    name: String,
    weight_map: BTreeMap<String, String>,
    total_size: Option<u64>,
}

impl ShardIndex {
    /// Reads an index.
    ///
    /// # Errors
    /// [`FormatError::Json`] where it has no `weight_map`, or one that does not name a file for each tensor;
    /// [`FormatError::TextTooLong`], [`FormatError::NotText`], or what the host says.
    pub async fn read(file: &dyn ReadAt) -> Result<Self, FormatError> {
        #[derive(Deserialize)]
        struct Raw {
            weight_map: BTreeMap<String, String>,
            #[serde(default)]
            metadata: Value,
        }
        let name = file.name().to_owned();
        let Raw { weight_map, metadata } = serde_json::from_str(&read_text(file).await?)
            .map_err(|source| FormatError::Json { file: name.clone(), source })?;
        let total_size = metadata.get("total_size").and_then(Value::as_u64);
        Ok(Self { name, weight_map, total_size })
    }

    /// The index's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of all tensors, where it tells.
    pub fn total_size(&self) -> Option<u64> {
        self.total_size
    }

    /// Each tensor, and the file that holds it: its name without folders.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &str)> {
        self.weight_map.iter().map(|(tensor, shard)| (tensor.as_str(), last_part(shard)))
    }

    /// The file that should hold a tensor.
    pub fn shard_of(&self, tensor: &str) -> Option<&str> {
        self.weight_map.get(tensor).map(|shard| last_part(shard))
    }

    /// The files that it names, without folders.
    pub fn shards(&self) -> BTreeSet<&str> {
        self.tensors().map(|(_, shard)| shard).collect()
    }

    /// The files that it names, to be asked of the server that it came from: nothing but names of files beside it.
    ///
    /// # Errors
    /// [`FormatError::NotBeside`] where a name leads elsewhere.
    pub fn beside(&self) -> Result<BTreeSet<&str>, FormatError> {
        let names: BTreeSet<&str> = self.weight_map.values().map(String::as_str).collect();
        let elsewhere =
            |name: &&&str| name.contains(['/', '\\', '?', '#', ':']) || name.starts_with('.') || name.is_empty();
        match names.iter().find(elsewhere) {
            Some(&shard) => Err(FormatError::NotBeside { index: self.name.clone(), shard: shard.to_owned() }),
            None => Ok(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryFile;

    fn read(text: &str) -> Result<ShardIndex, FormatError> {
        let file = MemoryFile::new("model.safetensors.index.json", text.as_bytes().to_vec());
        pollster::block_on(ShardIndex::read(&file))
    }

    #[test]
    fn shards_are_named_once_and_sizes_told_where_they_are() {
        let index = read(
            r#"{"metadata": {"total_size": 12}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors"}}"#,
        );
        let index = index.unwrap();
        assert_eq!(index.beside().unwrap(), BTreeSet::from(["1.safetensors", "2.safetensors"]));
        assert_eq!(
            (index.total_size(), index.shard_of("c"), index.shard_of("d")),
            (Some(12), Some("1.safetensors"), None)
        );
        // Some tools write the size as a float: not one to trust.
        assert_eq!(read(r#"{"metadata": {"total_size": 1.2e1}, "weight_map": {}}"#).unwrap().total_size(), None);
        assert_eq!(read(r#"{"weight_map": {}}"#).unwrap().total_size(), None);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in ["../secret", "https://elsewhere", "a/b.safetensors", r"a\\b", "a?b", ".hidden", ""] {
            let index = read(&format!(r#"{{"weight_map": {{"a": "{name}"}}}}"#)).unwrap();
            let said = index.beside().unwrap_err().to_string();
            assert!(
                said.starts_with("model.safetensors.index.json names ") && said.ends_with("which is no file beside it"),
                "{said}"
            );
        }
        let index = read(r#"{"weight_map": {"a": "folder/1.safetensors"}}"#).unwrap();
        assert_eq!(index.shards(), BTreeSet::from(["1.safetensors"]), "a folder on a disk may be dropped as it is");
    }

    #[test]
    fn what_is_no_index_is_said() {
        for (text, why) in
            [("{}", "missing field `weight_map`"), (r#"{"weight_map": {"a": 1}}"#, "expected a string"), ("[", "EOF")]
        {
            let said = read(text).unwrap_err().to_string();
            assert!(
                said.starts_with("model.safetensors.index.json is not the JSON expected") && said.contains(why),
                "{said}"
            );
        }
    }
}
