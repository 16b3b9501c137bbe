//! Which images there are: files, folders to the bottom, and tar shards, in one fixed order.
//!
//! Everything is listed before anything is decoded, so that progress has a total and an output its size.
//! Of a shard only the headers are read, by seeking from one to the next; its images are later read in place,
//! by any thread, and never unpacked to disk. An image in a shard is called `shard.tar#name.jpg`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use lab_core::image::Limits;

use crate::host::DiskFile;
use crate::text;

/// Endings that make a file in a folder or a shard an image; the bytes decide what it is.
const IMAGES: [&str; 9] = ["jpg", "jpeg", "jpe", "png", "webp", "gif", "tif", "tiff", "bmp"];
/// Endings of shards that are refused, because they cannot be read in place.
const COMPRESSED: [&str; 6] = [".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2", ".zip"];

/// All images of a run.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    items: Vec<Item>,
    shards: Vec<PathBuf>,
    /// Files in folders and shards that are no images.
    pub(crate) others: u64,
}

/// One image.
#[derive(Debug)]
struct Item {
    name: String,
    place: Place,
}

/// Where its bytes are.
#[derive(Debug)]
enum Place {
    File(PathBuf),
    Member {
        shard: u32,
        offset: u64,
        len: u64,
    },
    /// Nowhere; the reason was found while listing.
    Bad(String),
}

impl Inputs {
    /// Lists `paths` in their order, folders in the order of names.
    ///
    /// # Errors
    /// When an input is not there, is of a kind that is not read, or when there is no image at all.
    pub(crate) fn list(paths: &[PathBuf]) -> Result<Self> {
        let mut inputs = Self::default();
        for path in paths {
            let meta = std::fs::metadata(path).with_context(|| format!("cannot read input {}", path.display()))?;
            if meta.is_dir() {
                inputs.folder(path, &mut Vec::new());
            } else if let Some(ending) = COMPRESSED.iter().find(|ending| lower(path).ends_with(*ending)) {
                bail!(
                    "cannot read input {}: {ending} files are not read in place; unpack it, or make it a plain .tar",
                    path.display()
                );
            } else if ending(&lower(path)) == "tar" {
                inputs.shard(path);
            } else {
                inputs.items.push(Item { name: name(path), place: Place::File(path.clone()) });
            }
        }
        if inputs.items.is_empty() {
            let given: Vec<String> = paths.iter().map(|path| name(path)).collect();
            bail!(
                "no image in {}; expected {} files, folders of them, or .tar shards; found {}",
                text::few(&given, 3),
                IMAGES.join(", "),
                text::plural(inputs.others, "other file")
            );
        }
        Ok(inputs)
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// What an image is called.
    pub(crate) fn name(&self, index: usize) -> &str {
        &self.items[index].name
    }

    /// All names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(|item| item.name.as_str())
    }

    /// An image's bytes, as they are in the file; or why there are none.
    pub(crate) fn read(&self, index: usize, limits: &Limits) -> Result<Vec<u8>, String> {
        let read = |path: &Path, offset: u64, len: Option<u64>| {
            let file = DiskFile::open(path).map_err(|error| format!("cannot open: {error}"))?;
            let len = len.unwrap_or_else(|| lab_core::host::ReadAt::len(&file));
            if len > limits.max_bytes {
                return Err(format!(
                    "the file has {}; the limit is {}",
                    text::bytes(len),
                    text::bytes(limits.max_bytes)
                ));
            }
            if len == 0 {
                return Err("the file is empty".to_owned());
            }
            file.read(offset, len as usize).map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    "cannot read: the file ends early, the download may be cut".to_owned()
                }
                _ => format!("cannot read: {error}"),
            })
        };
        match &self.items[index].place {
            Place::File(path) => read(path, 0, None),
            &Place::Member { shard, offset, len } => read(&self.shards[shard as usize], offset, Some(len)),
            Place::Bad(reason) => Err(reason.clone()),
        }
    }

    fn bad(&mut self, path: &Path, reason: String) {
        self.items.push(Item { name: name(path), place: Place::Bad(reason) });
    }

    /// Adds a folder's images and shards, and those of the folders in it. `above` are the folders on the way here,
    /// so that a link to one of them is not followed forever.
    fn folder(&mut self, folder: &Path, above: &mut Vec<PathBuf>) {
        let listed = std::fs::canonicalize(folder).and_then(|real| {
            let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
            Ok((real, entries))
        });
        let (real, entries) = match listed {
            Ok(listed) => listed,
            Err(error) => return self.bad(folder, format!("cannot list the folder: {error}")),
        };
        if above.contains(&real) {
            return;
        }
        above.push(real);
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let lower = lower(&path);
            if is_hidden(&lower) {
                continue;
            } else if path.is_dir() {
                self.folder(&path, above);
            } else if ending(&lower) == "tar" {
                self.shard(&path);
            } else if IMAGES.contains(&ending(&lower)) {
                self.items.push(Item { name: name(&path), place: Place::File(path) });
            } else {
                self.others += 1;
            }
        }
        above.pop();
    }

    /// Adds a shard's images. A shard that breaks in the middle gives those before, and one bad image for the rest.
    fn shard(&mut self, path: &Path) {
        if let Err(error) = self.members(path) {
            self.bad(path, format!("the shard cannot be read further: {error}"));
        }
    }

    fn members(&mut self, path: &Path) -> Result<()> {
        let mut file = File::open(path)?;
        let mut start = [0; 512];
        // A tar ends with zero blocks; an empty one may be no more than that.
        if file.read(&mut start)? < start.len() {
            bail!("the file is shorter than a tar header");
        }
        if &start[257..262] != b"ustar" && start.iter().any(|&byte| byte != 0) && old_header(&start).is_err() {
            bail!("it is no tar archive");
        }
        let shard = u32::try_from(self.shards.len())?;
        self.shards.push(path.to_owned());
        std::io::Seek::rewind(&mut file)?;
        let mut archive = tar::Archive::new(file);
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            if entry.header().entry_type().is_dir() {
                continue;
            }
            let member = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let member = member.trim_start_matches("./");
            let lower = member.to_lowercase();
            if is_hidden(&lower) {
                continue;
            }
            if !IMAGES.contains(&ending(&lower)) {
                self.others += 1;
                continue;
            }
            let place = if entry.header().entry_type().is_file() {
                Place::Member { shard, offset: entry.raw_file_position(), len: entry.size() }
            } else {
                Place::Bad(format!("the member is a {:?}, expected a file", entry.header().entry_type()))
            };
            self.items.push(Item { name: format!("{}#{member}", name(path)), place });
        }
        Ok(())
    }
}

/// Whether the first block of a file without magic is a header of the oldest kind: its checksum tells.
fn old_header(block: &[u8; 512]) -> Result<()> {
    let field = std::str::from_utf8(&block[148..156])?.trim_matches(['\0', ' ']);
    let stated = u32::from_str_radix(field, 8)?;
    let sum = |range: std::ops::Range<usize>| block[range].iter().map(|&byte| u32::from(byte)).sum::<u32>();
    if stated == sum(0..148) + 8 * 32 + sum(156..512) { Ok(()) } else { bail!("wrong checksum") }
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn lower(path: &Path) -> String {
    path.to_string_lossy().to_lowercase()
}

/// The part behind the last dot of the last part of a path.
fn ending(path: &str) -> &str {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// Thumbnails, AppleDouble files and the like: their last part starts with a dot.
fn is_hidden(path: &str) -> bool {
    path.rsplit(['/', '\\']).next().is_some_and(|file| file.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inputs: &Inputs) -> Vec<&str> {
        inputs.names().collect()
    }

    fn shard(path: &Path, members: &[(&str, &[u8])]) {
        let mut builder = tar::Builder::new(File::create(path).expect("a file"));
        for (name, bytes) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).expect("a member");
        }
        builder.finish().expect("the end");
    }

    #[test]
    fn folders_are_walked_in_the_order_of_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("b/c")).expect("folders");
        for file in ["z.PNG", "a.jpg", "b/2.webp", "b/1.jpeg", "b/c/x.tif", "b/notes.txt", ".hidden.jpg", "b.bmp"] {
            std::fs::write(root.join(file), file).expect("a file");
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(root, root.join("b/loop")).expect("a link");
        let inputs = Inputs::list(&[root.to_owned()]).expect("images");
        let expected = ["a.jpg", "b/1.jpeg", "b/2.webp", "b/c/x.tif", "b.bmp", "z.PNG"];
        assert_eq!(names(&inputs), expected.map(|file| root.join(file).to_string_lossy().into_owned()));
        assert_eq!(inputs.others, 1);
        assert_eq!(inputs.read(1, &Limits::default()).expect("bytes"), b"b/1.jpeg");
    }

    #[test]
    fn shards_are_read_in_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s-000.tar");
        let long = format!("{}/7.jpg", "deep".repeat(40)); // longer than the 100 bytes of a tar header
        shard(&path, &[("./3.jpg", b"three"), ("3.cls", b"1"), (&long, b"seven"), ("._3.jpg", b"x"), ("9.png", b"")]);
        let inputs = Inputs::list(std::slice::from_ref(&path)).expect("images");
        let prefix = path.to_string_lossy();
        assert_eq!(names(&inputs), [format!("{prefix}#3.jpg"), format!("{prefix}#{long}"), format!("{prefix}#9.png")]);
        let limits = Limits::default();
        assert_eq!(inputs.read(0, &limits).expect("bytes"), b"three");
        assert_eq!(inputs.read(1, &limits).expect("bytes"), b"seven");
        assert!(inputs.read(2, &limits).expect_err("no bytes").contains("empty"));
        assert!(inputs.read(0, &Limits { max_bytes: 4, ..limits }).expect_err("too long").contains("limit"));
    }

    #[test]
    fn a_broken_shard_keeps_what_came_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.tar");
        shard(&path, &[("1.jpg", &[1; 600]), ("2.jpg", &[2; 600])]);
        let whole = std::fs::read(&path).expect("the shard");
        // The second header is damaged: its checksum no longer holds.
        let mut damaged = whole.clone();
        damaged[512 + 1024 + 5] ^= 0xff;
        std::fs::write(&path, damaged).expect("a file");
        let inputs = Inputs::list(std::slice::from_ref(&path)).expect("images");
        assert_eq!(inputs.len(), 2);
        assert!(inputs.read(0, &Limits::default()).is_ok());
        assert!(inputs.read(1, &Limits::default()).expect_err("broken").contains("the shard cannot be read further"));
        // The last member is cut.
        std::fs::write(&path, &whole[..512 + 1024 + 512 + 100]).expect("a file");
        let inputs = Inputs::list(std::slice::from_ref(&path)).expect("images");
        assert!(inputs.read(1, &Limits::default()).expect_err("cut").contains("ends early"));
        // Not a tar at all.
        std::fs::write(&path, [b'x'; 2000]).expect("a file");
        let inputs = Inputs::list(std::slice::from_ref(&path)).expect("one bad image");
        assert!(inputs.read(0, &Limits::default()).expect_err("no tar").contains("no tar archive"));
    }

    #[test]
    fn what_is_not_there_or_not_read_is_said_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |path: PathBuf, expected: &str| {
            let error = format!("{:#}", Inputs::list(std::slice::from_ref(&path)).expect_err(expected));
            assert!(error.contains(expected), "{error}");
        };
        check(folder.path().join("absent.jpg"), "cannot read input");
        check(folder.path().to_owned(), "no image in");
        let packed = folder.path().join("a.tar.gz");
        std::fs::write(&packed, "x").expect("a file");
        check(packed, "not read in place");
    }
}
