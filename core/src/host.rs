//! What this crate asks of its host: to read a stretch of bytes.
//!
//! A checkpoint of 25 GB is never held whole, and in a browser every read is asynchronous
//! (a slice of a `Blob`, a range of an HTTP answer); so there is one door, [`ReadAt`],
//! and it returns a future. Natively the future is ready at once.
//! This crate knows no file system, thread or clock: `native-trainer` and the worker implement the door.

use std::future::Future;
use std::pin::Pin;

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

/// Reads a range through `file` and holds the host to its word: the range is checked before, the length after.
///
/// # Errors
/// [`HostError::OutOfRange`] before asking the host, [`HostError::WrongLength`] after, or the host's own error.
pub async fn read_exact(file: &dyn ReadAt, offset: u64, len: usize) -> Result<Vec<u8>, HostError> {
    let size = file.len();
    if offset.checked_add(len as u64).is_none_or(|end| end > size) {
        return Err(HostError::OutOfRange { name: file.name().to_owned(), offset, len: len as u64, size });
    }
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
        let range = usize::try_from(offset)
            .ok()
            .and_then(|start| start.checked_add(len).map(|end| start..end))
            .and_then(|range| self.bytes.get(range));
        let answer = range.map(<[u8]>::to_vec).ok_or_else(|| HostError::OutOfRange {
            name: self.name.clone(),
            offset,
            len: len as u64,
            size: self.len(),
        });
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
}
