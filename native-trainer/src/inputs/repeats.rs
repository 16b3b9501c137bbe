//! The same image given twice, by whatever way: a folder named twice, a file beside its folder, a shard by two paths.
//!
//! An image is known by its file's folder as the system knows it (links and `..` resolved) and the file's name; in a
//! shard or an archive also by its place there. A copy, or a link of another name, is another image.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Inputs, Place};

impl Inputs {
    /// Leaves out every image but the first of those that are the same; says how many those were.
    pub(crate) fn leave_out_repeats(&mut self) -> u64 {
        let mut folders = Folders::default();
        let shards: Vec<PathBuf> = self.shards.iter().map(|path| folders.real(path)).collect();
        let archives: Vec<PathBuf> = self.archives.iter().map(|(path, _)| folders.real(path)).collect();
        let (mut seen, before) = (HashSet::new(), self.items.len());
        self.items.retain(|item| {
            seen.insert(match &item.place {
                Place::File(path) => (folders.real(path), 0),
                Place::Member { shard, offset, .. } => (shards[*shard as usize].clone(), *offset),
                Place::Entry { archive, entry } => (archives[*archive as usize].clone(), *entry as u64),
                Place::Drawn { .. } => (PathBuf::from(&item.name), 0),
                // No offset: a shard that cannot be read further is not its first member.
                Place::Bad(_) => (folders.real(Path::new(&item.name)), u64::MAX),
            })
        });
        (before - self.items.len()) as u64
    }
}

/// Folders by the names they were given, as the system knows them.
#[derive(Default)]
struct Folders(HashMap<PathBuf, PathBuf>);

impl Folders {
    fn real(&mut self, path: &Path) -> PathBuf {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !self.0.contains_key(folder) {
            // What cannot be resolved is known by the name that it was given.
            let real = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
            self.0.insert(folder.to_owned(), real);
        }
        self.0[folder].join(path.file_name().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_same_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("b")).expect("a folder");
        for file in ["a.jpg", "b/1.jpg", "b/a.jpg"] {
            std::fs::write(root.join(file), "the same bytes are another image").expect("a file");
        }
        let mut builder = tar::Builder::new(std::fs::File::create(root.join("s.tar")).expect("a file"));
        for name in ["0.jpg", "1.jpg"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(3);
            builder.append_data(&mut header, name, &b"abc"[..]).expect("a member");
        }
        builder.finish().expect("the end");
        std::fs::write(root.join("list.txt"), "b/1.jpg\nb/../a.jpg\n").expect("a list");

        let whole = Inputs::list(&[root.to_owned()]).expect("images");
        let given = ["", "b/1.jpg", "b/..", "s.tar", "b/../s.tar", "list.txt"].map(|name| root.join(name));
        let mut inputs = Inputs::list(&given).expect("images");
        assert_eq!((whole.len(), inputs.len()), (5, 5 + 1 + 5 + 2 + 2 + 2));
        assert_eq!(inputs.leave_out_repeats(), 12);
        assert_eq!(inputs.names().collect::<Vec<_>>(), whole.names().collect::<Vec<_>>());
        let mut drawn = Inputs::list(&["drawn:3".into(), "drawn:3".into(), "drawn:3:1".into()]).expect("a choice");
        assert_eq!((drawn.leave_out_repeats(), drawn.len()), (3, 6));
    }
}
