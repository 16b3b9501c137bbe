//! The same image given twice, by whatever way: a folder named twice, a file beside its folder, a shard by two paths; or
//! held out and learned from.
//!
//! An image is known by its file's folder as the system knows it (links and `..` resolved) and the file's name; in a
//! shard or an archive also by its place there; a drawing by seed and number. A copy, or a link of another name, is another image.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Inputs, Item, Place};
use crate::text;

/// A path as the system knows it, and a place in what lies there.
type Identity = (PathBuf, u64);

impl Inputs {
    /// Leaves out every image but the first of those that are the same; says how many those were. Where the first has no
    /// class, it gets that of the next that has one: a class folder given by itself says no class, its parent does.
    pub(crate) fn leave_out_repeats(&mut self) -> u64 {
        let identities = self.identities();
        let (mut places, before) = (HashMap::<Identity, usize>::new(), self.items.len());
        let mut kept: Vec<Item> = Vec::with_capacity(before);
        for (item, identity) in std::mem::take(&mut self.items).into_iter().zip(identities) {
            match places.entry(identity) {
                Entry::Occupied(place) => {
                    let first = &mut kept[*place.get()];
                    first.class = first.class.or(item.class);
                }
                Entry::Vacant(place) => {
                    place.insert(kept.len());
                    kept.push(item);
                }
            }
        }
        self.items = kept;
        (before - self.items.len()) as u64
    }

    /// Says so where images that are held out from `data` are not.
    pub(crate) fn tell_shared(&self, data: &Self) {
        let shared = self.shared_with(data);
        if !shared.is_empty() {
            let drawn = shared.iter().any(|item| matches!(item.place, Place::Drawn { .. }));
            text::note(&format!(
                "warning: {} of the {} of --val are among DATA too, where k-NN finds them in themselves; hold out others{}",
                shared.len(),
                text::plural(self.len() as u64, "image"),
                if drawn { " (drawn pictures by another seed: --val drawn:600:1)" } else { "" }
            ));
        }
    }

    /// Those of these images that are among `others` too.
    fn shared_with(&self, others: &Self) -> Vec<&Item> {
        let there: HashSet<Identity> = others.identities().into_iter().collect();
        let here = self.items.iter().zip(self.identities());
        here.filter(|(_, identity)| there.contains(identity)).map(|(item, _)| item).collect()
    }

    /// What each image is, in their order.
    fn identities(&self) -> Vec<Identity> {
        let mut folders = Folders::default();
        let shards: Vec<PathBuf> = self.shards.iter().map(|path| folders.real(path)).collect();
        let archives: Vec<PathBuf> = self.archives.iter().map(|(path, _)| folders.real(path)).collect();
        let mut identity = |item: &Item| match &item.place {
            Place::File(path) => (folders.real(path), 0),
            Place::Member { shard, offset, .. } => (shards[*shard as usize].clone(), *offset),
            Place::Entry { archive, entry } => (archives[*archive as usize].clone(), *entry as u64),
            Place::Drawn { seed, index } => (PathBuf::from(format!("drawn:{seed}")), *index),
            // No offset: a member that is no file is not the shard's first.
            Place::Bad(_) => (folders.real(Path::new(&item.name)), u64::MAX),
        };
        self.items.iter().map(&mut identity).collect()
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
    use super::super::tests::shard;
    use super::*;

    #[test]
    fn the_first_of_the_same_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("b")).expect("a folder");
        for file in ["a.jpg", "b/1.jpg", "b/a.jpg"] {
            std::fs::write(root.join(file), "the same bytes are another image").expect("a file");
        }
        shard(&root.join("s.tar"), &[("0.jpg", b"abc"), ("1.jpg", b"abc")]);
        std::fs::write(root.join("list.txt"), "b/1.jpg\nb/../a.jpg\n").expect("a list");

        let whole = Inputs::list(&[root.to_owned()]).expect("images");
        let given = ["", "b/1.jpg", "b/..", "s.tar", "b/../s.tar", "list.txt"].map(|name| root.join(name));
        let mut inputs = Inputs::list(&given).expect("images");
        assert_eq!((whole.len(), inputs.len()), (5, 5 + 1 + 5 + 2 + 2 + 2));
        assert_eq!(inputs.leave_out_repeats(), 12);
        assert_eq!(inputs.names().collect::<Vec<_>>(), whole.names().collect::<Vec<_>>());
        let mut drawn = Inputs::list(&["drawn:3".into(), "drawn:3".into(), "drawn:3:1".into()]).expect("a choice");
        assert_eq!((drawn.leave_out_repeats(), drawn.len()), (3, 6));
        let mut more = Inputs::list(&["drawn:3".into(), "drawn:5:0".into()]).expect("a choice");
        assert_eq!((more.leave_out_repeats(), more.len()), (3, 5), "the first three of the five");
        // Of a folder by itself nothing says that it is a class.
        let mut labelled = Inputs::list(&[root.join("b"), root.to_owned()]).expect("images");
        assert_eq!((labelled.label(0), labelled.leave_out_repeats()), (None, 2));
        assert_eq!(labelled.label(0).map(|class| labelled.classes()[class as usize].as_str()), Some("b"));
    }

    #[test]
    fn what_is_held_out_is_looked_for_among_the_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("val")).expect("folders");
        for file in ["a.jpg", "val/1.jpg", "val/2.jpg"] {
            std::fs::write(root.join(file), file).expect("a file");
        }
        let (one, two) = (root.join("s-000.tar"), root.join("s-001.tar"));
        shard(&one, &[("1.jpg", b"one"), ("2.jpg", b"two")]);
        shard(&two, &[("1.jpg", b"one"), ("2.jpg", b"two")]);
        let shared = |held_out: &[PathBuf], data: &[PathBuf]| {
            Inputs::list(held_out).expect("images").shared_with(&Inputs::list(data).expect("images")).len()
        };
        assert_eq!(shared(&[root.join("val")], &[root.to_owned()]), 2, "a folder within the other");
        assert_eq!(shared(&[root.join("a.jpg")], &[root.join("val")]), 0);
        assert_eq!(shared(std::slice::from_ref(&one), &[one.clone(), two.clone()]), 2);
        assert_eq!(shared(&[one], &[two]), 0, "another shard, whatever it holds");
        assert_eq!(shared(&["drawn:60".into()], &["drawn:20:0".into()]), 20);
        assert_eq!(shared(&["drawn:60:1".into()], &["drawn:20".into()]), 0);
    }
}
