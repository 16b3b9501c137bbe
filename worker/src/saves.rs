//! Which files a run kept in the browser lies in.
//!
//! Saves are counted: `state-7-3.safetensors` is the seventh, and what it learns from are the pictures that came with the
//! third, `images-3.safetensors`; `state-8-0.safetensors` needs none. The browser's own times are not asked: in a private
//! window they say nothing.

/// A save, by the names of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Save {
    /// Counts saves, from 1.
    pub number: u64,
    /// The save that its pictures came with; 0 where it has none of its own.
    pub pictures: u64,
}

impl Save {
    /// The name of its state.
    pub fn state(self) -> String {
        format!("state-{}-{}.safetensors", self.number, self.pictures)
    }

    /// The name of its pictures' file, where it has some.
    pub fn images(self) -> Option<String> {
        (self.pictures > 0).then(|| images(self.pictures))
    }

    fn parse(name: &str) -> Option<Self> {
        let (number, pictures) = name.strip_prefix("state-")?.strip_suffix(".safetensors")?.split_once('-')?;
        Some(Self { number: number.parse().ok()?, pictures: pictures.parse().ok()? })
    }
}

/// The name of the pictures that came with a save.
pub fn images(number: u64) -> String {
    format!("images-{number}.safetensors")
}

/// The saves among a folder's files, the newest first.
pub fn newest_first(names: &[String]) -> Vec<Save> {
    let mut saves: Vec<Save> = names.iter().filter_map(|name| Save::parse(name)).collect();
    saves.sort_unstable_by(|a, b| b.cmp(a));
    saves
}

/// The number of the next save: none of the folder's files has it.
pub fn next(names: &[String]) -> u64 {
    let pictures =
        names.iter().filter_map(|name| name.strip_prefix("images-")?.strip_suffix(".safetensors")?.parse().ok());
    let states = newest_first(names).into_iter().map(|save| save.number);
    1 + states.chain(pictures).max().unwrap_or(0)
}

/// Files that may go before the next save is written: all but those of a save that is `whole`, and the pictures `in_use`.
pub fn spare(names: &[String], whole: Option<Save>, in_use: Option<u64>) -> Vec<&str> {
    let kept = [whole.map(Save::state), whole.and_then(Save::images), in_use.map(images)];
    names.iter().map(String::as_str).filter(|name| !kept.iter().flatten().any(|kept| kept == name)).collect()
}
