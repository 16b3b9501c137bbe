//! Images that could not be read: how many are tolerated, and the list of them.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::sinks::beside;

/// How many bad images a run bears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Budget {
    /// A share of all images, from 0 to 1.
    Share(f64),
    /// A number of images.
    Count(u64),
}

impl Budget {
    /// How many of `total` images may be bad.
    pub(crate) fn allows(self, total: u64) -> u64 {
        match self {
            Self::Share(share) => (share * total as f64 + 1e-9).floor() as u64,
            Self::Count(count) => count,
        }
    }
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a share such as 1% or 0.5%, or a whole number of images".to_owned();
        match text.trim().strip_suffix('%') {
            Some(percent) => match percent.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Share(percent / 100.0)),
                _ => Err(wrong()),
            },
            None => text.trim().parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl std::fmt::Display for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Share(share) => write!(f, "{}%", share * 100.0),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

/// The list of bad images, on disk as `FILE.bad.jsonl`; the file exists only when there is something in it.
#[derive(Debug)]
pub(crate) struct BadList {
    path: PathBuf,
    file: Option<File>,
    count: u64,
    allowed: u64,
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
            _ => Ok(Self { path, file: None, count: 0, allowed }),
        }
    }

    /// Adds an image and why it is bad.
    pub(crate) fn add(&mut self, path: &str, reason: &str) -> Result<()> {
        self.count += 1;
        let cannot = || format!("cannot write the list of bad images {}", self.path.display());
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(&self.path).with_context(cannot)?),
        };
        let mut line = serde_json::to_string(&Line { path, reason }).with_context(cannot)?;
        line.push('\n');
        file.write_all(line.as_bytes()).with_context(cannot)
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
    fn budgets_are_shares_or_numbers() {
        let check = |text: &str, total, expected| {
            assert_eq!(text.parse::<Budget>().expect(text).allows(total), expected, "{text} of {total}");
        };
        check("1%", 1000, 10);
        check("1%", 199, 1);
        check("1%", 99, 0);
        check("0.1 %", 1000, 1);
        check("100%", 7, 7);
        check("7%", 100, 7); // 0.07 * 100 is 7.000000000000001
        check("29%", 100, 29); // 0.29 * 100 is 28.999999999999996
        check("0", 1000, 0);
        check("20", 3, 20);
        for wrong in ["", "%", "-1", "-1%", "101%", "1.5", "nan%", "many"] {
            assert!(wrong.parse::<Budget>().is_err(), "{wrong}");
        }
    }

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
        let text = std::fs::read_to_string(folder.path().join("e.npy.bad.jsonl")).expect("the list");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["path"], "a \"b\".jpg");
        assert_eq!(lines[1]["reason"], "empty");
        let bad = BadList::new(&out, 1).expect("the old list goes");
        assert!(!bad.path().exists());
    }
}
