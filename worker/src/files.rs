//! A model's files on a server: ranges where the server gives them, whole files where it does not.

use js_sys::{Reflect, Uint8Array};
use lab_core::error::{FormatError, HostError};
use lab_core::formats::ShardIndex;
use lab_core::formats::model_files::{CANONICAL, COMPANIONS};
use lab_core::host::{InPieces, LocalFuture, MemoryFile, PIECE, ReadAt};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStreamDefaultReader, Request, RequestInit, Response, Url};

use crate::host::{scope, words};
use crate::store::answer::whole_in_memory;

/// Told while a file comes whole: bytes so far, bytes in all (0 when unknown), its name.
pub(crate) type Progress<'a> = dyn FnMut(u64, u64, &str) + 'a;

/// Told in a sentence what the user should know.
pub(crate) type Warn<'a> = dyn Fn(String) + 'a;

/// The files of the model in the folder at `url`.
///
/// # Errors
///
/// When the folder cannot be reached, or holds no weights.
pub(crate) async fn model_at(
    url: &str,
    progress: &mut Progress<'_>,
    warn: &Warn<'_>,
) -> Result<Vec<Box<dyn ReadAt>>, HostError> {
    let folder = Folder::of(url)?;
    let mut files: Vec<Box<dyn ReadAt>> = Vec::new();
    // What nearly every model has is asked for at once: a server may be far away.
    let beside = COMPANIONS.map(|name| (name, Asked::whole(&folder, name)));
    let mut weights = Some(Asked::beginning(&folder, CANONICAL[0]));
    for (name, asked) in beside {
        if let Some(text) = whole(asked, name, progress).await? {
            files.push(Box::new(text));
        }
    }
    for name in CANONICAL {
        if !name.ends_with(".json") {
            let asked = weights.take().unwrap_or_else(|| Asked::beginning(&folder, name));
            if let Some(file) = ranged(asked, name, progress, warn).await? {
                files.push(file);
                return Ok(files);
            }
            continue;
        }
        let Some(index) = whole(Asked::whole(&folder, name), name, progress).await? else { continue };
        let said = |error: FormatError| broken(&folder.path, error.to_string());
        let listed = ShardIndex::read(&index).await.map_err(said)?;
        for shard in listed.beside().map_err(said)? {
            let file = ranged(Asked::beginning(&folder, shard), shard, progress, warn).await?;
            files.push(
                file.ok_or_else(|| broken(&folder.file(shard), "the index names it, the server has none".to_owned()))?,
            );
        }
        files.push(Box::new(index));
        return Ok(files);
    }
    let found: Vec<&str> = files.iter().map(|file| file.name()).collect();
    let found = if found.is_empty() { "neither".to_owned() } else { format!("only {}", found.join(" and ")) };
    let weights = CANONICAL.join(", ");
    Err(broken(
        &folder.path,
        format!("found {found}; give the address of a folder that holds config.json and one of {weights}"),
    ))
}

/// A model's folder on a server.
struct Folder {
    /// Its address, with a slash at the end.
    path: String,
    /// What each of its files is asked for with: `?` and more, or nothing.
    query: String,
}

impl Folder {
    /// The folder at an address; that of a file of a model stands for the folder that it lies in.
    fn of(url: &str) -> Result<Self, HostError> {
        // A worker made from a blob has no folder of its own: what is relative is so to the site.
        let site = format!("{}/", scope().location().origin());
        let parsed = Url::new(url)
            .or_else(|_| Url::new_with_base(url, &site))
            .map_err(|_| broken(url, "this is no address; give the address of a folder".to_owned()))?;
        parsed.set_hash("");
        let query = parsed.search();
        parsed.set_search("");
        let href = parsed.href();
        let path = match href.rsplit_once('/') {
            Some((folder, last)) if CANONICAL.contains(&last) || COMPANIONS.contains(&last) => folder,
            _ => href.trim_end_matches('/'),
        };
        Ok(Self { path: format!("{path}/"), query })
    }

    /// The address of one of its files.
    fn file(&self, name: &str) -> String {
        format!("{}{name}{}", self.path, self.query)
    }
}

fn broken(name: &str, reason: String) -> HostError {
    HostError::NoModel { name: name.to_owned(), reason }
}

/// A request on its way.
struct Asked {
    url: String,
    answer: Result<JsFuture, String>,
}

impl Asked {
    /// Asks for a file in a folder.
    fn whole(folder: &Folder, name: &str) -> Self {
        Self::new(folder.file(name), None)
    }

    /// Asks for the first piece of a file in a folder.
    fn beginning(folder: &Folder, name: &str) -> Self {
        Self::new(folder.file(name), Some((0, PIECE - 1)))
    }

    /// Asks for a file, or for its bytes from a first to a last.
    fn new(url: String, range: Option<(u64, u64)>) -> Self {
        let answer = Request::new_with_str_and_init(&url, &RequestInit::new()).and_then(|request| {
            if let Some((first, last)) = range {
                request.headers().set("Range", &format!("bytes={first}-{last}"))?;
            }
            Ok(JsFuture::from(scope().fetch_with_request(&request)))
        });
        Self { url, answer: answer.map_err(|error| words(&error)) }
    }

    async fn answer(self) -> Result<Response, String> {
        let response = self.answer?.await.map_err(|error| {
            format!(
                "{}; the server does not answer, or does not let other pages read it (CORS), \
                 or this page's policy does not allow its address",
                words(&error)
            )
        })?;
        Ok(response.unchecked_into())
    }
}

/// Whether an answer means that there is no such file: said so, or a page that explains it.
fn is_missing(response: &Response) -> bool {
    let kind = response.headers().get("Content-Type").ok().flatten().unwrap_or_default();
    matches!(response.status(), 404 | 410) || (response.ok() && kind.starts_with("text/html"))
}

fn check(response: &Response) -> Result<(), String> {
    match response.ok() {
        true => Ok(()),
        false => Err(format!("the server answers {} {}", response.status(), response.status_text())),
    }
}

/// A file in one piece; `None` when the server has none of that name.
async fn whole(asked: Asked, name: &str, progress: &mut Progress<'_>) -> Result<Option<MemoryFile>, HostError> {
    let url = asked.url.clone();
    let response = asked.answer().await.map_err(|reason| broken(&url, reason))?;
    if is_missing(&response) {
        return Ok(None);
    }
    let bytes = body(&response, name, progress).await.map_err(|reason| broken(&url, reason))?;
    Ok(Some(MemoryFile::new(name, bytes)))
}

/// A file to be read by ranges, or in one piece where the server knows no ranges; of a large one that is said before.
async fn ranged(
    asked: Asked,
    name: &str,
    progress: &mut Progress<'_>,
    warn: &Warn<'_>,
) -> Result<Option<Box<dyn ReadAt>>, HostError> {
    let url = asked.url.clone();
    let failed = |reason| broken(&url, reason);
    let response = asked.answer().await.map_err(failed)?;
    if is_missing(&response) {
        return Ok(None);
    }
    if response.status() == 206 {
        if let Some(len) = length(&url, &response).await.map_err(failed)? {
            let beginning = body(&response, name, progress).await.map_err(failed)?;
            let file = UrlFile { name: name.to_owned(), url, len };
            return Ok(Some(Box::new(InPieces::new(file, beginning))));
        }
        // Ranges, but the length is hidden from other pages: all of it, then.
        let response = Asked::new(url.clone(), None).answer().await.map_err(failed)?;
        let bytes = body(&response, name, progress).await.map_err(failed)?;
        return Ok(Some(Box::new(MemoryFile::new(name, bytes))));
    }
    if let Some(sentence) = whole_in_memory(name, content_length(&response).filter(|_| response.ok())) {
        warn(sentence);
    }
    let bytes = body(&response, name, progress).await.map_err(failed)?;
    Ok(Some(Box::new(MemoryFile::new(name, bytes))))
}

/// The length behind the slash of `Content-Range: bytes 0-99/1234`; where that header is hidden, what `HEAD` says.
async fn length(url: &str, response: &Response) -> Result<Option<u64>, String> {
    let range = response.headers().get("Content-Range").ok().flatten();
    if let Some(total) = range.and_then(|range| range.rsplit('/').next()?.parse().ok()) {
        return Ok(Some(total));
    }
    let init = RequestInit::new();
    init.set_method("HEAD");
    let request = Request::new_with_str_and_init(url, &init).map_err(|error| words(&error))?;
    let response = JsFuture::from(scope().fetch_with_request(&request)).await.map_err(|error| words(&error))?;
    let headers = response.unchecked_into::<Response>().headers();
    // The length of a compressed body is not the file's.
    let encoded = headers.get("Content-Encoding").ok().flatten().is_some();
    let length = headers.get("Content-Length").ok().flatten().and_then(|length| length.parse().ok());
    Ok(length.filter(|_| !encoded))
}

/// What an answer tells of its body's length, as it travels.
fn content_length(response: &Response) -> Option<u64> {
    response.headers().get("Content-Length").ok().flatten()?.parse().ok()
}

/// The body of an answer, piece by piece, so that progress can be told.
async fn body(response: &Response, name: &str, progress: &mut Progress<'_>) -> Result<Vec<u8>, String> {
    check(response)?;
    let total = content_length(response);
    let Some(stream) = response.body() else { return Ok(Vec::new()) };
    let reader: ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let piece = JsFuture::from(reader.read()).await.map_err(|error| words(&error))?;
        let field = |name: &str| Reflect::get(&piece, &JsValue::from_str(name)).map_err(|error| words(&error));
        if field("done")?.is_truthy() {
            return Ok(bytes);
        }
        let piece: Uint8Array = field("value")?.unchecked_into();
        let start = bytes.len();
        bytes.resize(start + piece.length() as usize, 0);
        piece.copy_to(&mut bytes[start..]);
        // A compressed body unpacks to more than its header says.
        let so_far = bytes.len() as u64;
        progress(so_far, total.filter(|&total| so_far <= total).unwrap_or(0), name);
    }
}

/// A file on a server that gives ranges.
struct UrlFile {
    name: String,
    url: String,
    len: u64,
}

impl ReadAt for UrlFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at<'a>(&'a self, offset: u64, len: usize) -> LocalFuture<'a, Result<Vec<u8>, HostError>> {
        Box::pin(async move {
            let failed = |reason: String| HostError::Read { name: self.url.clone(), offset, len: len as u64, reason };
            let last = offset + len as u64 - 1;
            let response = Asked::new(self.url.clone(), Some((offset, last))).answer().await.map_err(failed)?;
            if response.ok() && response.status() != 206 {
                return Err(failed("the server gave a range before and now does not".to_owned()));
            }
            body(&response, &self.name, &mut |_, _, _| {}).await.map_err(failed)
        })
    }
}
