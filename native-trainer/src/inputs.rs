//! Which images there are: files, folders to the bottom, lists of files, tar shards and zip archives, in one fixed
//! order; and of what class they are, where that is said.
//!
//! Everything is listed before anything is decoded, so that progress has a total and an output its size.
//! Of a shard only the headers are read, by seeking from one to the next, of a zip archive only its directory; their
//! images are later read in place, by any thread, and never unpacked to disk. An image in a shard is called
//! `shard.tar#name.jpg`.
//!
//! `drawn:N` (or `drawn:N:SEED`) is no file: N pictures that the program draws, those of the page's room Train.
//!
//! A class is the name of the folder that an image lies in below the input (also inside a zip archive), what stands
//! behind a tab in a list, or the `.cls` beside an image in a WebDataset shard.

mod archive;
mod classes;
mod repeats;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use lab_core::data::drawn::{Drawn, KINDS};
use lab_core::image::Limits;

use crate::host::{DiskFile, NO_FILE, open_regular};
use crate::text::{self, shown};
use archive::Archive;
use classes::Classes;

/// Endings that make a file in a folder or a shard an image; the bytes decide what it is.
const IMAGES: [&str; 9] = ["jpg", "jpeg", "jpe", "png", "webp", "gif", "tif", "tiff", "bmp"];
/// Endings of shards that are refused, because they cannot be read in place.
const COMPRESSED: [&str; 5] = [".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2"];
/// Longest `.cls` of a shard that is read, in bytes.
const MAX_CLASS: u64 = 1024;
/// Most drawn pictures of one input: each has a name in memory.
const MAX_DRAWN: u64 = 100_000_000;

/// All images of a run.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    items: Vec<Item>,
    shards: Vec<PathBuf>,
    archives: Vec<(PathBuf, Archive)>,
    classes: Classes,
    /// What could not be read to its end, and why: how many images are missing nobody knows.
    broken: Vec<String>,
    /// Files in folders and shards that are no images.
    pub(crate) others: u64,
}

/// One image.
#[derive(Debug)]
struct Item {
    name: String,
    class: Option<u32>,
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
    Entry {
        archive: u32,
        entry: usize,
    },
    /// Drawn when it is read.
    Drawn {
        seed: u64,
        index: u64,
    },
    /// Nowhere; the reason was found while listing.
    Bad(String),
}

impl Inputs {
    /// Lists `paths` in their order, folders in the order of names.
    ///
    /// # Errors
    /// When an input is not there, is of a kind that is not read, when a shard, an archive or a folder cannot be read to its
    /// end (a budget of bad images is for images that can be counted), or when there is no image at all.
    pub(crate) fn list(paths: &[PathBuf]) -> Result<Self> {
        let mut inputs = Self::default();
        for path in paths {
            if let Some(spec) = path.to_str().and_then(|path| path.strip_prefix("drawn:")) {
                inputs.drawn(spec)?;
                continue;
            }
            let cannot = || format!("cannot read input {}", shown(path.display()));
            let meta = std::fs::metadata(path).with_context(cannot)?;
            if meta.is_dir() {
                inputs.folder(path, &mut Vec::new());
            } else if !meta.is_file() {
                bail!("{}: {NO_FILE} or a folder", cannot());
            } else if let Some(ending) = COMPRESSED.iter().find(|ending| lower(path).ends_with(*ending)) {
                bail!("{}: {ending} files are not read in place; unpack it, or make it a plain .tar", cannot());
            } else if ending(&lower(path)) == "txt" {
                inputs.listed(path)?;
            } else {
                inputs.file(path.clone(), None);
            }
        }
        if !inputs.broken.is_empty() {
            bail!(
                "{}; nobody can tell how many images are missing: make or download it anew, or give a folder of what could \
                 be unpacked",
                text::few(&inputs.broken, 3)
            );
        }
        let moves = inputs.classes.settle();
        inputs.items.iter_mut().filter_map(|item| item.class.as_mut()).for_each(|c| *c = moves[*c as usize]);
        if inputs.items.is_empty() {
            let given: Vec<String> = paths.iter().map(|path| name(path)).collect();
            bail!(
                "no image in {}; expected {} files, folders of them, .tar shards, .zip archives or a .txt list; found {}",
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

    /// Says how many images have no class, where there are such, to a user who gave them for their classes. `of` says
    /// which inputs, `what` what they are left out of.
    pub(crate) fn tell_unlabelled(&self, of: &str, what: &str) {
        let mut without = self.items.iter().filter(|item| item.class.is_none());
        let Some(first) = without.next() else { return };
        let (count, name) = (1 + without.count() as u64, &first.name);
        text::note(&match count {
            1 => format!("1 image{of} lies in no class folder and is left out{what}: {name}"),
            _ => format!("{count} images{of} lie in no class folder and are left out{what}, the first is {name}"),
        });
    }

    /// An image's class, a number below that of [`Self::classes`]; none where nothing says it.
    pub(crate) fn label(&self, index: usize) -> Option<u32> {
        self.items[index].class
    }

    /// Names of the classes, by number; some may have no image.
    pub(crate) fn classes(&self) -> &[String] {
        self.classes.names()
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
            &Place::Entry { archive, entry } => self.archives[archive as usize].1.read(entry, limits),
            &Place::Drawn { seed, index } => png(Drawn::new(seed).image(index)),
            Place::Bad(reason) => Err(reason.clone()),
        }
    }

    /// Adds drawn pictures: `N`, or `N:SEED`.
    fn drawn(&mut self, spec: &str) -> Result<()> {
        let (count, seed) = spec.split_once(':').unwrap_or((spec, "0"));
        let (Ok(count), Ok(seed)) = (count.parse::<u64>(), seed.parse::<u64>()) else {
            bail!("drawn:{spec} is no choice of drawn pictures; expected drawn:N or drawn:N:SEED, such as drawn:512")
        };
        if count > MAX_DRAWN {
            bail!("drawn:{spec} asks for too many pictures; expected at most drawn:{MAX_DRAWN}");
        }
        let drawn = Drawn::new(seed);
        for index in 0..count {
            let class = Some(self.classes.number(KINDS[drawn.kind(index)]));
            self.items.push(Item { name: format!("drawn:{spec}#{index}"), class, place: Place::Drawn { seed, index } });
        }
        Ok(())
    }

    /// Adds a file: a shard, an archive, or, by whatever name, an image.
    fn file(&mut self, path: PathBuf, class: Option<u32>) {
        match ending(&lower(&path)) {
            // A pipe or a device is a bad image by any name: reading it says why.
            "tar" | "zip" if path.exists() && !path.is_file() => {
                self.items.push(Item { name: name(&path), class, place: Place::File(path) });
            }
            "tar" => self.shard(&path),
            "zip" => self.archive(&path),
            _ => self.items.push(Item { name: name(&path), class, place: Place::File(path) }),
        }
    }

    /// Adds what a list names, a file a line, from the list's own folder on; behind a tab may stand a class.
    fn listed(&mut self, list: &Path) -> Result<()> {
        let text =
            std::fs::read_to_string(list).with_context(|| format!("cannot read the list {}", shown(list.display())))?;
        let folder = list.parent().unwrap_or(Path::new(""));
        for line in text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty()) {
            let (path, class) = line.split_once('\t').unwrap_or((line, ""));
            let class = match class.trim() {
                "" => None,
                class => Some(self.classes.number(class)),
            };
            self.file(folder.join(path), class);
        }
        Ok(())
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
            Err(error) => return self.broken.push(format!("cannot list the folder {}: {error}", folder.display())),
        };
        if above.contains(&real) {
            return;
        }
        above.push(real);
        let class = match folder.file_name() {
            Some(class) if above.len() > 1 => Some(class.to_string_lossy().into_owned()),
            _ => None,
        };
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let lower = lower(&path);
            if is_hidden(&lower) {
                continue;
            } else if path.is_dir() {
                self.folder(&path, above);
            } else if ["tar", "zip"].contains(&ending(&lower)) {
                self.file(path, None);
            } else if IMAGES.contains(&ending(&lower)) {
                let class = class.as_deref().map(|class| self.classes.number(class));
                self.file(path, class);
            } else {
                self.others += 1;
            }
        }
        above.pop();
    }

    /// Adds a shard's images.
    fn shard(&mut self, path: &Path) {
        let (first, mut said) = (self.items.len(), BTreeMap::new());
        let result = self.members(path, &mut said);
        // A class may stand before or behind its image.
        let prefix = name(path).len() + 1;
        for item in &mut self.items[first..] {
            item.class = said.get(key(&item.name[prefix..])).copied();
        }
        if let Err(error) = result {
            let images = text::plural((self.items.len() - first) as u64, "image");
            self.broken.push(format!("the shard {} cannot be read further than {images}: {error}", path.display()));
        }
    }

    /// Adds an archive's images.
    fn archive(&mut self, path: &Path) {
        if let Err(error) = self.entries(path) {
            self.broken.push(format!("the archive {} cannot be read: {error}", path.display()));
        }
    }

    fn entries(&mut self, path: &Path) -> Result<()> {
        let opened = Archive::open(path)?;
        let archive = u32::try_from(self.archives.len())?;
        let mut found = Vec::new();
        for entry in 0..opened.len() {
            let Some(member) = opened.name(entry)? else { continue };
            let lower = member.to_lowercase();
            if is_hidden(&lower) || lower.starts_with("__macosx/") {
                continue;
            } else if IMAGES.contains(&ending(&lower)) {
                found.push((member, entry));
            } else {
                self.others += 1;
            }
        }
        // In the order of names, as a folder: an archive keeps that in which it was packed.
        found.sort();
        for (member, entry) in found {
            let folder = member.rsplit(['/', '\\']).nth(1).filter(|folder| !matches!(*folder, "" | "."));
            let class = folder.map(|folder| self.classes.number(folder));
            let name = format!("{}#{member}", name(path));
            self.items.push(Item { name, class, place: Place::Entry { archive, entry } });
        }
        let hidden = opened.hidden()?;
        if hidden > 0 {
            text::note(&format!(
                "warning: {} of {} cannot be read, since later ones have the same names: pack it anew with a name for each",
                text::plural(hidden, "file"),
                path.display()
            ));
        }
        self.archives.push((path.to_owned(), opened));
        Ok(())
    }

    /// Adds a shard's images, and to `said` what its `.cls` members say.
    fn members(&mut self, path: &Path, said: &mut BTreeMap<String, u32>) -> Result<()> {
        let mut file = open_regular(path)?;
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
        let length = file.metadata()?.len();
        std::io::Seek::rewind(&mut file)?;
        let mut archive = tar::Archive::new(file);
        for entry in archive.entries_with_seek()? {
            let mut entry = entry?;
            if entry.header().entry_type().is_dir() {
                continue;
            }
            let member = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let member = member.trim_start_matches("./");
            let end = entry.raw_file_position().saturating_add(entry.size());
            if end > length && entry.header().entry_type().is_file() {
                bail!("it ends {} before the end of {member}; it was cut", text::bytes(end - length));
            }
            let lower = member.to_lowercase();
            if is_hidden(&lower) {
                continue;
            }
            match ending(&lower) {
                "cls" => {
                    let mut class = String::new();
                    if entry.by_ref().take(MAX_CLASS).read_to_string(&mut class).is_ok() && !class.trim().is_empty() {
                        said.insert(key(member).to_owned(), self.classes.number(class.trim()));
                    }
                    continue;
                }
                "json" => continue, // what WebDataset tells of an image
                image if IMAGES.contains(&image) => {}
                _ => {
                    self.others += 1;
                    continue;
                }
            }
            let place = if entry.header().entry_type().is_file() {
                Place::Member { shard, offset: entry.raw_file_position(), len: entry.size() }
            } else {
                Place::Bad(format!("the member is a {:?}, expected a file", entry.header().entry_type()))
            };
            self.items.push(Item { name: format!("{}#{member}", name(path)), class: None, place });
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

/// A drawn picture as the bytes of a file, without loss.
fn png(picture: lab_core::image::Rgb8) -> Result<Vec<u8>, String> {
    let (width, height) = (picture.width(), picture.height());
    let picture = image::RgbImage::from_raw(width, height, picture.into_data()).ok_or("a picture without pixels")?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).map_err(|error| error.to_string())?;
    Ok(bytes.into_inner())
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

/// What the members of one sample of a WebDataset shard share: the path up to the first dot of its last part.
fn key(member: &str) -> &str {
    let file = member.rfind('/').map_or(0, |slash| slash + 1);
    member[file..].find('.').map_or(member, |dot| &member[..file + dot])
}

/// Thumbnails, AppleDouble files and the like: their last part starts with a dot.
fn is_hidden(path: &str) -> bool {
    path.rsplit(['/', '\\']).next().is_some_and(|file| file.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn names(inputs: &Inputs) -> Vec<&str> {
        inputs.names().collect()
    }

    pub(super) fn shard(path: &Path, members: &[(&str, &[u8])]) {
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
        // With the system's own separators.
        let below = |file: &str| root.join(file.split('/').collect::<PathBuf>());
        assert_eq!(names(&inputs), expected.map(|file| below(file).to_string_lossy().into_owned()));
        assert_eq!(inputs.others, 1);
        assert_eq!(inputs.read(1, &Limits::default()).expect("bytes"), b"b/1.jpeg");
    }

    #[test]
    fn drawn_pictures_are_drawn_when_they_are_read() {
        let inputs = Inputs::list(&["drawn:20:3".into()]).expect("a choice");
        assert_eq!((inputs.len(), inputs.name(7)), (20, "drawn:20:3#7"));
        let picture = lab_core::image::decode(&inputs.read(7, &Limits::default()).expect("bytes"), &Limits::default());
        assert_eq!(picture.expect("a picture"), Drawn::new(3).image(7));
        let class = inputs.label(7).expect("a class") as usize;
        assert_eq!(inputs.classes()[class], KINDS[Drawn::new(3).kind(7)]);
        for wrong in ["drawn:", "drawn:many", "drawn:2:x"] {
            let error = Inputs::list(&[wrong.into()]).expect_err(wrong).to_string();
            assert!(error.contains("drawn:N"), "{error}");
        }
        let error = Inputs::list(&["drawn:1000000000000".into()]).expect_err("all memory").to_string();
        assert!(error.contains("expected at most drawn:100000000"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_never_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::write(root.join("a.jpg"), "an image").expect("a file");
        let pipes = ["b.jpg", "c.tar", "d.zip", "e.txt"].map(|name| root.join(name));
        let made = std::process::Command::new("mkfifo").args(&pipes).status().expect("mkfifo is there");
        assert!(made.success());
        let inputs = Inputs::list(&[root.to_owned()]).expect("images");
        assert_eq!((inputs.len(), inputs.others), (4, 1));
        let limits = Limits::default();
        assert_eq!(inputs.read(0, &limits).expect("bytes"), b"an image");
        for bad in 1..4 {
            assert_eq!(inputs.read(bad, &limits).expect_err("a pipe"), format!("cannot open: {NO_FILE}"));
        }
        for special in pipes.into_iter().chain(["/dev/zero".into()]) {
            let error = Inputs::list(std::slice::from_ref(&special)).expect_err("no file").to_string();
            let expected = format!("cannot read input {}: {NO_FILE} or a folder", special.display());
            assert_eq!(error, expected);
        }
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

    /// Names of the classes, and the class of each image.
    fn labels(inputs: &Inputs) -> (Vec<&str>, Vec<Option<u32>>) {
        (inputs.classes().iter().map(String::as_str).collect(), (0..inputs.len()).map(|i| inputs.label(i)).collect())
    }

    #[test]
    fn folders_are_classes() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        for file in ["train/dog/1.jpg", "train/cat/2.jpg", "train/dog/more/3.jpg", "top.jpg"] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            std::fs::write(path, file).expect("a file");
        }
        let inputs = Inputs::list(&[root.to_owned(), root.join("train/dog/1.jpg")]).expect("images");
        // top.jpg, cat/2, dog/1, dog/more/3, and a file by itself
        assert_eq!(labels(&inputs), (vec!["cat", "dog", "more"], vec![None, Some(0), Some(1), Some(2), None]));
    }

    #[test]
    fn the_class_of_a_sample_stands_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.tar");
        let members: [(&str, &[u8]); 9] = [
            ("a/1.jpg", b"x"),
            ("a/1.cls", b"3\n"),
            ("b/1.cls", b"0"),
            ("b/1.json", b"{}"),
            ("b/1.left.jpg", b"x"),
            ("b/1.right.jpg", b"x"),
            ("c.jpg", b"x"),
            ("d.cls", b" "),
            ("d.jpg", b"x"),
        ];
        shard(&path, &members);
        let inputs = Inputs::list(std::slice::from_ref(&path)).expect("images");
        // The numbers are themselves: 1 and 2 exist, without an image.
        assert_eq!(labels(&inputs), (vec!["0", "1", "2", "3"], vec![Some(3), Some(0), Some(0), None, None]));
        assert_eq!(inputs.others, 0);
    }

    #[test]
    fn lists_name_files_from_their_own_folder_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("in")).expect("a folder");
        std::fs::write(root.join("in/a b.jpg"), "one").expect("a file");
        shard(&root.join("in/s.tar"), &[("0.jpg", b"two"), ("0.cls", b"owl")]);
        let absolute = root.join("in/a b.jpg");
        let text = format!("\u{feff}in/a b.jpg\tdog\r\n\r\nin/absent.jpg\tcat\nin/s.tar\n{}\t\n", absolute.display());
        let list = root.join("list.txt");
        std::fs::write(&list, text).expect("a file");
        let inputs = Inputs::list(std::slice::from_ref(&list)).expect("images");
        let expected = ["in/a b.jpg", "in/absent.jpg", "in/s.tar#0.jpg", "in/a b.jpg"];
        assert_eq!(names(&inputs), expected.map(|name| root.join(name).to_string_lossy().into_owned()));
        assert_eq!(labels(&inputs), (vec!["cat", "dog", "owl"], vec![Some(1), Some(0), Some(2), None]));
        let limits = Limits::default();
        assert_eq!(inputs.read(0, &limits).expect("bytes"), b"one");
        assert!(inputs.read(1, &limits).expect_err("no file").contains("cannot open"));
        assert_eq!(inputs.read(2, &limits).expect("bytes"), b"two");

        std::fs::write(&list, [0xff, 0xfe]).expect("a file");
        let error = format!("{:#}", Inputs::list(&[list]).expect_err("not UTF-8"));
        assert!(error.contains("cannot read the list"), "{error}");
    }

    /// Members stored (at even places) and deflated (at odd ones).
    fn archive(path: &Path, members: &[(&str, &[u8])]) {
        use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};
        let mut writer = ZipWriter::new(File::create(path).expect("a file"));
        for (place, (name, bytes)) in members.iter().enumerate() {
            let method = [CompressionMethod::Stored, CompressionMethod::Deflated][place % 2];
            let options = SimpleFileOptions::default().compression_method(method);
            writer.start_file(*name, options).expect("a member");
            std::io::Write::write_all(&mut writer, bytes).expect("its bytes");
        }
        writer.finish().expect("the end");
    }

    #[test]
    fn archives_are_read_in_place_by_many_threads() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("photos.ZIP");
        let long: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect(); // more than one read
        let members: [(&str, &[u8]); 8] = [
            ("photos/owl/2.jpg", &long),
            ("photos/owl/1.jpg", &long[7..]),
            ("photos/dog/3.png", b"three"),
            ("photos/readme.md", b"no picture"),
            ("__MACOSX/photos/owl/._2.jpg", b"x"),
            ("photos/dog/._3.png", b"x"),
            ("top.jpg", b""),
            ("photos/zebra.jpg", b"z"),
        ];
        archive(&path, &members);
        let inputs = Inputs::list(std::slice::from_ref(&path)).expect("images");
        let expected = ["photos/dog/3.png", "photos/owl/1.jpg", "photos/owl/2.jpg", "photos/zebra.jpg", "top.jpg"];
        assert_eq!(names(&inputs), expected.map(|name| format!("{}#{name}", path.display())));
        assert_eq!(inputs.others, 1);
        let classes = vec![Some(0), Some(1), Some(1), Some(2), None];
        assert_eq!(labels(&inputs), (vec!["dog", "owl", "photos"], classes));
        let limits = Limits::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        assert_eq!(inputs.read(0, &limits).expect("bytes"), b"three");
                        assert!(inputs.read(1, &limits).expect("bytes") == long[7..]);
                        assert!(inputs.read(2, &limits).expect("bytes") == long);
                    }
                });
            }
        });
        assert!(inputs.read(4, &limits).expect_err("no bytes").contains("empty"));
        let error = inputs.read(1, &Limits { max_bytes: 1000, ..limits }).expect_err("too long");
        assert!(error.contains("limit"), "{error}");
    }

    #[test]
    fn entries_of_one_name_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.zip");
        archive(&path, &[("1.jpg", b"one"), ("2.jpg", b"two"), ("3.jpg", b"three"), ("4.jpg", b"four")]);
        assert_eq!(Archive::open(&path).expect("an archive").hidden().expect("a directory"), 0);
        // The writer refuses a name that it has: here two get that of another.
        let mut bytes = std::fs::read(&path).expect("the archive");
        for at in 0..bytes.len() - 5 {
            if [b"2.jpg", b"4.jpg"].iter().any(|name| bytes[at..].starts_with(*name)) {
                bytes[at] -= 1;
            }
        }
        std::fs::write(&path, bytes).expect("a file");
        let opened = Archive::open(&path).expect("an archive");
        assert_eq!((opened.len(), opened.hidden().expect("a directory")), (2, 2));
    }

    #[test]
    fn a_broken_archive_ends_it_and_a_broken_member_is_a_bad_image() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.zip");
        archive(&path, &[("1.jpg", &[1; 600]), ("2.jpg", &[2; 600])]);
        let whole = std::fs::read(&path).expect("the archive");
        let limits = Limits::default();
        // A byte of the first, stored member is damaged: its checksum no longer holds.
        let mut damaged = whole.clone();
        damaged[100] ^= 0xff;
        std::fs::write(&path, damaged).expect("a file");
        let inputs = Inputs::list(std::slice::from_ref(&path)).expect("images");
        assert!(inputs.read(0, &limits).expect_err("damaged").contains("cannot read"));
        assert_eq!(inputs.read(1, &limits).expect("whole"), [2; 600]);
        // The end, where the directory is, was cut off.
        std::fs::write(&path, &whole[..whole.len() - 30]).expect("a file");
        let error = Inputs::list(std::slice::from_ref(&path)).expect_err("cut").to_string();
        assert!(error.contains("a.zip cannot be read") && error.contains("anew"), "{error}");
    }

    #[test]
    fn a_broken_shard_ends_it_and_says_how_far_it_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.tar");
        shard(&path, &[("1.jpg", &[1; 600]), ("2.jpg", &[2; 600])]);
        let whole = std::fs::read(&path).expect("the shard");
        // The second header is damaged: its checksum no longer holds.
        let mut damaged = whole.clone();
        damaged[512 + 1024 + 5] ^= 0xff;
        std::fs::write(&path, damaged).expect("a file");
        let why = || Inputs::list(std::slice::from_ref(&path)).expect_err("broken").to_string();
        assert!(why().contains("s.tar cannot be read further than 1 image"), "{}", why());
        // The last member is cut.
        std::fs::write(&path, &whole[..512 + 1024 + 512 + 100]).expect("a file");
        assert!(why().contains("before the end of 2.jpg"), "{}", why());
        // Not a tar at all.
        std::fs::write(&path, [b'x'; 2000]).expect("a file");
        assert!(why().contains("no tar archive"), "{}", why());
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
