//! What this crate asks of its host: to read a stretch of bytes.
//!
//! A checkpoint of 25 GB is never held whole, and in a browser every read is asynchronous
//! (a slice of a `Blob`, a range of an HTTP answer); so there is one door, [`ReadAt`],
//! and it returns a future. Natively the future is ready at once.
//! This crate knows no file system, thread or clock: `native-trainer` and the worker implement the door.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::error::HostError;

/// A future without `Send`: in a browser it waits on a JavaScript promise.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A file of known length that can be read at any place.
pub trait ReadAt {
    /// The file's name, with or without folders before it; used to find its role and in messages.
    fn name(&self) -> &str;

    /// Length in bytes.
    fn len(&self) -> u64;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// [`HostError`] when the range lies outside the file or the host cannot read.
    fn read_at<'a>(&'a self, offset: u64, len: usize) -> LocalFuture<'a, Result<Vec<u8>, HostError>>;
}

/// Where a range of a file ends.
fn end_of(file: &dyn ReadAt, offset: u64, len: usize) -> Result<u64, HostError> {
    let (len, size) = (len as u64, file.len());
    let end = offset.checked_add(len).filter(|&end| end <= size);
    end.ok_or_else(|| HostError::OutOfRange { name: file.name().to_owned(), offset, len, size })
}

/// Reads a range through `file` and holds the host to its word: the range is checked before, the length after.
///
/// # Errors
/// [`HostError::OutOfRange`] before asking the host, [`HostError::WrongLength`] after, or the host's own error.
pub async fn read_exact(file: &dyn ReadAt, offset: u64, len: usize) -> Result<Vec<u8>, HostError> {
    end_of(file, offset, len)?;
    if len == 0 {
        return Ok(Vec::new());
    }
    let bytes = file.read_at(offset, len).await?;
    if bytes.len() != len {
        return Err(HostError::WrongLength {
            name: file.name().to_owned(),
            offset,
            expected: len as u64,
            found: bytes.len() as u64,
        });
    }
    Ok(bytes)
}

/// A file of which only the beginning is here: enough for its header.
#[derive(Debug, Clone)]
pub struct Beginning {
    here: MemoryFile,
    len: u64,
}

impl Beginning {
    /// The first bytes of a file of `len` in all.
    pub fn new(name: impl Into<String>, bytes: Vec<u8>, len: u64) -> Self {
        Self { here: MemoryFile::new(name, bytes), len }
    }
}

impl ReadAt for Beginning {
    fn name(&self) -> &str {
        self.here.name()
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at<'a>(&'a self, offset: u64, len: usize) -> LocalFuture<'a, Result<Vec<u8>, HostError>> {
        self.here.read_at(offset, len)
    }
}

/// A file read in pieces, of which the last are held: where every read is a way to a server and back, the hundreds of small
/// tensors of a model come with their neighbours, and hardly a byte twice.
pub struct InPieces<F> {
    file: F,
    /// Pieces by their numbers, the one that was asked for last at the end.
    held: RefCell<VecDeque<(u64, Rc<[u8]>)>>,
}

/// Bytes of a piece of [`InPieces`].
pub const PIECE: u64 = 4 << 20;
/// Pieces that are held: more than a block of a ViT-L, whose tensors are not asked for in the order of the file.
const HELD: usize = 16;

impl<F: ReadAt> InPieces<F> {
    /// A file whose first bytes are here already; what is more or less than the first piece is of no use.
    pub fn new(file: F, beginning: Vec<u8>) -> Self {
        let fits = beginning.len() as u64 == PIECE.min(file.len());
        let held = fits.then(|| (0, Rc::from(beginning))).into_iter().collect();
        Self { file, held: RefCell::new(held) }
    }

    fn held(&self, number: u64) -> Option<Rc<[u8]>> {
        let mut held = self.held.borrow_mut();
        let place = held.iter().position(|(known, _)| *known == number)?;
        let piece = held.remove(place)?;
        held.push_back(piece.clone());
        Some(piece.1)
    }

    fn hold(&self, number: u64, bytes: &[u8]) {
        let mut held = self.held.borrow_mut();
        held.push_back((number, Rc::from(bytes)));
        if held.len() > HELD {
            held.pop_front();
        }
    }

    /// Pieces from `first` on, none of them held and none beyond `last`, in one read.
    async fn fetch(&self, first: u64, last: u64) -> Result<Vec<u8>, HostError> {
        let known = |number| self.held.borrow().iter().any(|(known, _)| *known == number);
        let end = (first + 1..=last).find(|&number| known(number)).unwrap_or(last + 1);
        let stop = (end * PIECE).min(self.file.len());
        let bytes = read_exact(&self.file, first * PIECE, (stop - first * PIECE) as usize).await?;
        let more = (end - first).saturating_sub(HELD as u64) as usize;
        for (number, piece) in (first..end).zip(bytes.chunks(PIECE as usize)).skip(more) {
            self.hold(number, piece);
        }
        Ok(bytes)
    }
}

impl<F: ReadAt> ReadAt for InPieces<F> {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at<'a>(&'a self, offset: u64, len: usize) -> LocalFuture<'a, Result<Vec<u8>, HostError>> {
        Box::pin(async move {
            let last = end_of(self, offset, len)?.saturating_sub(1) / PIECE;
            let mut found = Vec::with_capacity(len);
            while found.len() < len {
                let at = offset + found.len() as u64;
                let number = at / PIECE;
                let skip = (at % PIECE) as usize;
                let mut take = |bytes: &[u8]| {
                    let stop = bytes.len().min(skip + len - found.len());
                    found.extend_from_slice(&bytes[skip..stop]);
                };
                match self.held(number) {
                    Some(piece) => take(&piece),
                    None => take(&self.fetch(number, last).await?),
                }
            }
            Ok(found)
        })
    }
}

/// A file that is already in memory: built-in models, dropped files, tests.
#[derive(Debug, Clone)]
pub struct MemoryFile {
    name: String,
    bytes: std::borrow::Cow<'static, [u8]>,
}

impl MemoryFile {
    /// A file called `name` with the given bytes, owned or `include_bytes!`.
    pub fn new(name: impl Into<String>, bytes: impl Into<std::borrow::Cow<'static, [u8]>>) -> Self {
        Self { name: name.into(), bytes: bytes.into() }
    }
}

impl ReadAt for MemoryFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at<'a>(&'a self, offset: u64, len: usize) -> LocalFuture<'a, Result<Vec<u8>, HostError>> {
        // Within a file in memory, so within `usize`.
        let answer = end_of(self, offset, len).map(|end| self.bytes[offset as usize..end as usize].to_vec());
        Box::pin(std::future::ready(answer))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs a future that needs no waiting, as all futures over [`MemoryFile`] are.
    pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(value) => value,
            std::task::Poll::Pending => panic!("a future over memory had to wait"),
        }
    }

    #[test]
    fn memory_file_reads_and_refuses() {
        let file = MemoryFile::new("a.bin", vec![1, 2, 3, 4]);
        assert_eq!(ready(read_exact(&file, 1, 2)), Ok(vec![2, 3]));
        assert_eq!(ready(read_exact(&file, 4, 0)), Ok(vec![]));
        for (offset, len) in [(3, 2), (5, 0), (u64::MAX, 1), (0, 5)] {
            let size = 4;
            let expected = HostError::OutOfRange { name: "a.bin".into(), offset, len: len as u64, size };
            assert_eq!(ready(read_exact(&file, offset, len)), Err(expected.clone()), "{offset} {len}");
        }
        assert!(ready(file.read_at(u64::MAX, 1)).is_err());
    }

    #[test]
    fn a_host_that_breaks_its_word_is_named() {
        struct Short;
        impl ReadAt for Short {
            fn name(&self) -> &str {
                "short.bin"
            }
            fn len(&self) -> u64 {
                10
            }
            fn read_at<'a>(&'a self, _: u64, _: usize) -> LocalFuture<'a, Result<Vec<u8>, HostError>> {
                Box::pin(std::future::ready(Ok(vec![0; 3])))
            }
        }
        let error = ready(read_exact(&Short, 0, 8)).expect_err("three of eight bytes");
        assert_eq!(error, HostError::WrongLength { name: "short.bin".into(), offset: 0, expected: 8, found: 3 });
    }

    /// A file of which every read is noted.
    struct Noted {
        file: MemoryFile,
        reads: Rc<RefCell<Vec<(u64, usize)>>>,
    }

    impl ReadAt for Noted {
        fn name(&self) -> &str {
            self.file.name()
        }

        fn len(&self) -> u64 {
            self.file.len()
        }

        fn read_at<'a>(&'a self, offset: u64, len: usize) -> LocalFuture<'a, Result<Vec<u8>, HostError>> {
            self.reads.borrow_mut().push((offset, len));
            self.file.read_at(offset, len)
        }
    }

    #[test]
    fn pieces_are_read_once_and_give_what_lies_there() {
        let piece = PIECE as usize;
        let bytes: Vec<u8> = (0..3 * piece + 100).map(|at| (at % 251) as u8).collect();
        let reads = Rc::new(RefCell::new(Vec::new()));
        let noted = || Noted { file: MemoryFile::new("f", bytes.clone()), reads: reads.clone() };
        let file = InPieces::new(noted(), bytes[..piece].to_vec());
        let check = |offset: usize, len: usize, expected: &[(u64, usize)]| {
            let found = ready(file.read_at(offset as u64, len)).expect("within the file");
            assert!(found == bytes[offset..offset + len], "{len} bytes from {offset}");
            assert_eq!(std::mem::take(&mut *reads.borrow_mut()), expected, "{len} bytes from {offset}");
        };
        check(8, 1000, &[]);
        // Across an edge, into what is not held: its whole piece comes, and then is there.
        check(piece - 3, 6, &[(PIECE, piece)]);
        check(2 * piece - 10, 10, &[]);
        // The rest in one read, and the last piece is shorter.
        check(2 * piece - 1, piece + 101, &[(2 * PIECE, piece + 100)]);
        check(3 * piece + 99, 1, &[]);
        check(0, bytes.len(), &[]);
        assert!(ready(file.read_at(3 * PIECE, 101)).is_err());
        // A beginning that is cut is none; a small file is one piece.
        let file = InPieces::new(noted(), bytes[..piece - 1].to_vec());
        assert_eq!(ready(file.read_at(5, 2)).expect("within"), bytes[5..7]);
        assert_eq!(std::mem::take(&mut *reads.borrow_mut()), [(0, piece)]);
        let small = Noted { file: MemoryFile::new("small", bytes[..50].to_vec()), reads: reads.clone() };
        let small = InPieces::new(small, Vec::new());
        assert_eq!(ready(small.read_at(40, 10)).expect("within"), bytes[40..50]);
        assert_eq!(ready(small.read_at(0, 50)).expect("within"), bytes[..50]);
        assert_eq!(*reads.borrow(), [(0, 50)]);
    }

    #[test]
    fn pieces_that_nobody_asked_for_lately_are_let_go() {
        let bytes = vec![7; (HELD + 2) * PIECE as usize];
        let reads = Rc::new(RefCell::new(Vec::new()));
        let file = InPieces::new(Noted { file: MemoryFile::new("f", bytes), reads: reads.clone() }, Vec::new());
        for number in 0..=HELD as u64 {
            ready(file.read_at(number * PIECE, 4)).expect("within");
            // The first is asked for again and again.
            ready(file.read_at(8, 4)).expect("within");
        }
        assert_eq!(reads.borrow().len(), HELD + 1);
        ready(file.read_at(8, 4)).expect("within");
        assert_eq!(reads.borrow().len(), HELD + 1, "the first is held");
        ready(file.read_at(PIECE, 4)).expect("within");
        assert_eq!(reads.borrow().len(), HELD + 2, "the second is not");
    }
}
