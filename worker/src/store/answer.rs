//! What a server's answer to "the rest of this file, please" means. Plain data in, a decision out, so that it is tested
//! without a server.

use crate::store::address::is_sha256;

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// 200, 206, 404 …
    pub status: u16,
    /// `Content-Range`, where it may be seen.
    pub content_range: Option<String>,
    /// `Content-Length`, where it may be seen and the body is not compressed.
    pub content_length: Option<u64>,
    /// `ETag`.
    pub etag: Option<String>,
    /// `X-Linked-ETag`: the hub's name for the SHA-256 of a large file.
    pub linked_etag: Option<String>,
    /// The body is a web page.
    pub html: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The body goes behind what is here.
    Append {
        /// Bytes of the whole.
        total: Option<u64>,
    },
    /// The body is the whole file: begin anew.
    Whole {
        /// Bytes of the whole.
        total: Option<u64>,
        /// Why what was here is given up; empty where nothing was.
        why: &'static str,
    },
    /// What is here is all there is.
    Finished,
    /// What is here belongs to another version: throw it away and ask again.
    Anew,
    /// There is no such file.
    Missing,
    /// Ask again a little later.
    Later,
    /// The server refuses.
    Refused,
}

/// The server knows no ranges.
pub const NO_RANGES: &str = "the server cannot give the rest of a file, so it comes anew as a whole";
/// The file is another one than before.
pub const CHANGED: &str = "the file on the server has changed, so it comes anew as a whole";

/// Decides. `have` bytes are here, of a file whose mark was `etag` and whose length was `total`.
pub fn decide(answer: &Answer, have: u64, etag: Option<&str>, total: Option<u64>) -> Next {
    let same_mark = match (etag, answer.etag.as_deref()) {
        (Some(before), Some(now)) => before == now,
        _ => true,
    };
    match answer.status {
        _ if answer.html => Next::Missing,
        206 => {
            let said = answer.content_range.as_deref().and_then(range);
            let here = said.is_none_or(|(first, _)| first == have);
            let now = said.and_then(|(_, total)| total);
            let same_length = total.is_none() || now.is_none() || total == now;
            match same_mark && same_length && here {
                true => Next::Append { total: now.or(total).or(answer.content_length.map(|rest| have + rest)) },
                false => Next::Anew,
            }
        }
        200 => {
            let why = match have {
                0 => "",
                _ if same_mark => NO_RANGES,
                _ => CHANGED,
            };
            Next::Whole { total: answer.content_length, why }
        }
        404 | 410 => Next::Missing,
        416 => {
            let whole = answer.content_range.as_deref().and_then(|text| text.strip_prefix("bytes */")?.parse().ok());
            match same_mark && have > 0 && whole.or(total) == Some(have) {
                true => Next::Finished,
                false => Next::Anew,
            }
        }
        408 | 425 | 429 | 500..=599 => Next::Later,
        _ => Next::Refused,
    }
}

/// First byte and whole length of `bytes 10-99/1000`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (bytes, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = bytes.split_once('-')?;
    Some((first.trim().parse().ok()?, total.trim().parse().ok()))
}

/// Bytes of a file that is worth a word before it comes into memory whole: a worker has 4 GB, and gives none back.
const HEAVY: u64 = 256 << 20;

/// What to say of a file of `length` bytes that comes into memory whole, before it does; nothing of a small one, and
/// nothing where the length is not told.
pub fn whole_in_memory(name: &str, length: Option<u64>) -> Option<String> {
    let megabytes = length.filter(|&bytes| bytes >= HEAVY)? / 1_000_000;
    Some(format!(
        "The server gives no ranges, so all {megabytes} MB of {name} come into memory before they are read. If that is too \
         much, keep the model in the browser first, or give its files from the disk."
    ))
}

/// The SHA-256 that a hub's mark names: `"<64 digits>"`, perhaps marked weak.
pub fn vouched(linked_etag: Option<&str>) -> Option<String> {
    let digits = linked_etag?.trim().trim_start_matches("W/").trim_matches('"');
    is_sha256(digits).then(|| digits.to_ascii_lowercase())
}
