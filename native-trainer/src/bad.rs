//! The list of images that could not be read, on disk.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::sinks::beside;

/// The list of bad images, on disk as `FILE.bad.jsonl`; the file exists only when there is something in it.
#[derive(Debug)]
pub(crate) struct BadList {
    path: PathBuf,
    file: Option<File>,
    count: u64,
    allowed: u64,
    /// The first entry, name and reason.
    first: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    reason: &'a str,
}

impl BadList {
    /// An empty list for the output `out`, which bears `allowed` entries. An older list is removed.
    pub(crate) fn new(out: &Path, allowed: u64) -> Result<Self> {
        let path = beside(out, ".bad.jsonl");
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove the old list {}", path.display()))
            }
            _ => Ok(Self { path, file: None, count: 0, allowed, first: None }),
        }
    }

    /// Adds an image and why it is bad.
    pub(crate) fn add(&mut self, path: &str, reason: &str) -> Result<()> {
        self.count += 1;
        self.first.get_or_insert_with(|| format!("{path}: {reason}"));
        let cannot = || format!("cannot write the list of bad images {}", self.path.display());
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(&self.path).with_context(cannot)?),
        };
        let mut line = serde_json::to_string(&Line { path, reason }).with_context(cannot)?;
        line.push('\n');
        file.write_all(line.as_bytes()).with_context(cannot)
    }

    /// The first one's name and reason.
    pub(crate) fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many there may be.
    pub(crate) fn allowed(&self) -> u64 {
        self.allowed
    }

    /// Whether there are more than there may be.
    pub(crate) fn exceeded(&self) -> bool {
        self.count > self.allowed
    }

    /// Where the list is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_written_as_it_grows() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("e.npy");
        let mut bad = BadList::new(&out, 1).expect("nothing there yet");
        assert!(!bad.path().exists());
        bad.add("a \"b\".jpg", "cut").expect("a line");
        assert!(!bad.exceeded());
        bad.add("c.jpg", "empty").expect("a line");
        assert!(bad.exceeded());
        assert_eq!(bad.first(), Some("a \"b\".jpg: cut"));
        let text = std::fs::read_to_string(folder.path().join("e.npy.bad.jsonl")).expect("the list");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["path"], "a \"b\".jpg");
        assert_eq!(lines[1]["reason"], "empty");
        drop(bad);
        let bad = BadList::new(&out, 1).expect("the old list goes");
        assert!(!bad.path().exists());
    }
}
