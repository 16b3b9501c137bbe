//! The stream from the server to the disk, hashed as it passes.
//!
//! A cut is no failure: the rest is asked for, first by itself a few times, later when the user asks again. What is here
//! already is hashed anew then, so that the hash is always of the bytes on the disk.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use js_sys::{Reflect, Uint8Array};
use lab_core::error::FormatError;
use lab_core::formats::ShardIndex;
use lab_core::formats::model_files::{CANONICAL, COMPANIONS};
use lab_core::host::{Beginning, MemoryFile};
use lab_protocol::storage::{StoredFile, StoredModel};
use sha2::{Digest, Sha256};
use wasm_bindgen::{JsCast, JsValue};

use super::address::{Address, hex, is_sha256};
use super::answer::{Answer, CHANGED, Next, decide, vouched};
use super::shelf::{self, megabytes};
use super::{net, weigh};
use crate::host::{scope, words};
use crate::opfs;

/// Bytes of weights that find room in any engine: so few are not worth a request a shard.
const LIGHT: u64 = 256 << 20;
/// Tries of the network without a byte of progress before giving up; each waits twice as long as the one before.
const TRIES: u32 = 4;
/// The first of those waits, in milliseconds.
const FIRST_WAIT: f64 = 500.0;
/// Bytes read at once when what is here is hashed anew.
const PIECE: usize = 4 << 20;
/// The record is written after so many bytes, so that a closed tab loses little of what is known.
const RECORD_EVERY: u64 = 64 << 20;

/// Told of progress (bytes here, bytes in all or 0, the file's name) and of what the user should know.
pub(super) trait Listener {
    fn progress(&self, done: u64, total: u64, name: &str);
    fn warning(&self, sentence: String);
}

/// What is shared between the download under way and who may stop it.
#[derive(Default)]
pub(super) struct Desk {
    busy: Cell<bool>,
    stopped: Cell<bool>,
    name: RefCell<String>,
}

impl Desk {
    /// Stops the download under way.
    pub(super) fn stop(&self) {
        if self.busy.get() {
            self.stopped.set(true);
            net::abort();
        }
    }

    /// Fetches what is missing of a model. Returns what is kept, and the bytes that came.
    pub(super) async fn fetch(
        &self,
        source: &str,
        mirror: &str,
        listener: &dyn Listener,
    ) -> Result<(StoredModel, u64), String> {
        if self.busy.get() {
            return Err(format!("{} is just being fetched: wait for it, or stop it first", self.name.borrow()));
        }
        let address = Address::parse(source, mirror, &scope().location().origin())?;
        self.busy.set(true);
        self.stopped.set(false);
        address.name.clone_into(&mut self.name.borrow_mut());
        let typed = source.split('#').next().unwrap_or_default().trim();
        let fetched = self.all(typed, &address, listener).await;
        self.busy.set(false);
        fetched
    }

    async fn all(
        &self,
        source: &str,
        address: &Address,
        listener: &dyn Listener,
    ) -> Result<(StoredModel, u64), String> {
        let key = address.key();
        let before = shelf::record(&key).await?;
        if let Some(whole) = before.as_ref().filter(|model| model.complete) {
            check_known(address, whole)?;
            return Ok((whole.clone(), 0));
        }
        // A download that goes on is held to what was promised when it began, unless something else is now.
        let wanted = address.sha256.clone().or(before.as_ref().and_then(|model| model.wanted.clone()));
        let mut model = StoredModel {
            wanted,
            key: key.clone(),
            name: address.name.clone(),
            source: source.to_owned(),
            folder: address.folder.clone(),
            stored: shelf::now(),
            used: shelf::now(),
            ..before.unwrap_or_default()
        };
        let mut fetch =
            Fetch { desk: self, address, model: &mut model, listener, listed: Vec::new(), received: 0, weighed: false };
        let result = fetch.everything().await;
        let received = fetch.received;
        match result {
            Ok(()) => {
                model.complete = true;
                shelf::keep(&model).await?;
                Ok((model, received))
            }
            Err(Failure::Refused(sentence)) => {
                shelf::delete(&key).await?;
                Err(sentence)
            }
            Err(Failure::Cut(sentence)) => {
                let kept = model.bytes();
                if kept == 0 {
                    shelf::delete(&key).await?;
                    return Err(sentence);
                }
                shelf::keep(&model).await?;
                Err(format!("{sentence}; {} are kept: fetch it again to go on from there", megabytes(kept)))
            }
        }
    }
}

/// Why there is no model.
enum Failure {
    /// Nothing of it may be kept.
    Refused(String),
    /// What has come stays.
    Cut(String),
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self::Cut(sentence)
    }
}

/// One file as the hub lists it.
struct Listed {
    name: String,
    bytes: u64,
    sha256: Option<String>,
}

struct Fetch<'a> {
    desk: &'a Desk,
    address: &'a Address,
    model: &'a mut StoredModel,
    listener: &'a dyn Listener,
    listed: Vec<Listed>,
    received: u64,
    /// Whether the model finds room has been asked.
    weighed: bool,
}

/// A request's answer, and its body.
struct Heard {
    answer: Answer,
    said: String,
    reader: JsValue,
}

impl Fetch<'_> {
    async fn everything(&mut self) -> Result<(), Failure> {
        let promised = self.model.wanted.clone();
        self.ask_hub().await;
        for name in COMPANIONS {
            self.file(name, None).await?;
        }
        let chosen = self.address.weights.clone();
        if let Some(name) = &chosen {
            let found = self.file(name, promised.as_deref()).await?;
            return if found { Ok(()) } else { Err(self.refused(format!("there is no {name}"))) };
        }
        for name in CANONICAL {
            if !name.ends_with(".json") {
                if self.file(name, promised.as_deref()).await? {
                    return Ok(());
                }
                continue;
            }
            if !self.file(name, None).await? {
                continue;
            }
            if promised.is_some() {
                return Err(self.refused(
                    "the weights lie in several files, for which one #sha256= cannot speak: leave it out".to_owned(),
                ));
            }
            let (shards, bytes) = self.shards(name).await?;
            self.weigh_shards(&shards, bytes).await?;
            for shard in shards {
                if !self.file(&shard, None).await? {
                    return Err(self.refused(format!("{name} names {shard}, the server has none")));
                }
            }
            return Ok(());
        }
        Err(self.refused(format!("there is none of {}; is the address that of a model?", CANONICAL.join(", "))))
    }

    fn refused(&self, reason: String) -> Failure {
        Failure::Refused(self.told(&reason))
    }

    /// A reason with whose it is.
    fn told(&self, reason: &str) -> String {
        format!("{}: {reason} ({})", self.address.name, self.address.folder)
    }

    /// What the hub says of its files; a hub that says nothing is asked file by file.
    async fn ask_hub(&mut self) {
        let Some(tree) = &self.address.tree else { return };
        let Ok(heard) = ask(tree, 0, None).await else { return };
        if heard.answer.status != 200 {
            net::cancel(&heard.reader).await;
            return;
        }
        let Ok(text) = body(&heard.reader).await else { return };
        let Ok(serde_json::Value::Array(items)) = serde_json::from_slice(&text) else { return };
        self.listed = items
            .iter()
            .filter_map(|item| {
                let lfs = item.get("lfs");
                let digits = lfs.and_then(|lfs| lfs.get("oid")).and_then(|oid| oid.as_str());
                Some(Listed {
                    name: item.get("path")?.as_str()?.to_owned(),
                    bytes: item.get("size")?.as_u64()?,
                    sha256: digits.filter(|digits| is_sha256(digits)).map(str::to_ascii_lowercase),
                })
            })
            .collect();
    }

    /// The shards that an index names, and their bytes where it tells them.
    async fn shards(&self, index: &str) -> Result<(BTreeSet<String>, Option<u64>), Failure> {
        let folder = shelf::folder(&self.model.key, false).await.map_err(|error| words(&error))?;
        let handle = opfs::writer(&folder, index).await.map_err(|error| words(&error))?;
        let mut bytes = vec![0; opfs::size(&handle).map_err(|error| words(&error))? as usize];
        let read = opfs::read(&handle, &mut bytes, 0.0);
        opfs::close(&handle).map_err(|error| words(&error))?;
        read.map_err(|error| words(&error))?;
        let said = |error: FormatError| self.refused(error.to_string());
        let listed = ShardIndex::read(&MemoryFile::new(index, bytes)).await.map_err(said)?;
        let names = listed.beside().map_err(said)?;
        Ok((names.into_iter().map(str::to_owned).collect(), listed.total_size()))
    }

    /// Weighs a model in one file, once its header has come; then the disk is asked, which can be helped by deleting.
    async fn weigh_beginning(&mut self, handle: &JsValue, place: usize, have: u64) -> Result<(), Failure> {
        let StoredFile { name, total, .. } = &self.model.files[place];
        let Some(total) = total.filter(|_| weigh::has_header(name)) else { return Ok(()) };
        let Some(header) = weigh::header_on_disk(handle, have).map_err(|error| words(&error))? else { return Ok(()) };
        let header = Beginning::new(name, header, total);
        self.find_room(vec![header]).await?;
        self.room_for(Some(total), have).await
    }

    /// Weighs a model in shards by their headers, which are asked for alone where there may be many bytes behind them. What
    /// does not answer is left to the download.
    async fn weigh_shards(&mut self, shards: &BTreeSet<String>, bytes: Option<u64>) -> Result<(), Failure> {
        // None of them is the model alone.
        self.weighed = true;
        if bytes.is_some_and(|bytes| bytes <= LIGHT) {
            return Ok(());
        }
        let mut headers = Vec::new();
        for name in shards.iter().filter(|name| weigh::has_header(name)) {
            let Ok(heard) = ask(&format!("{}{name}", self.address.folder), 0, None).await else { return Ok(()) };
            let (200, Some(total)) = (heard.answer.status, heard.answer.content_length) else {
                net::cancel(&heard.reader).await;
                return Ok(());
            };
            let Ok(Some(header)) = weigh::header_of(&heard.reader).await else { return Ok(()) };
            headers.push(Beginning::new(name, header, total));
        }
        self.find_room(headers).await
    }

    async fn find_room(&mut self, headers: Vec<Beginning>) -> Result<(), Failure> {
        self.weighed = true;
        match weigh::refusal(&self.model.key, headers).await.map_err(|error| words(&error))? {
            Some(sentence) => {
                Err(Failure::Refused(format!("{}: {sentence}. Its weights were not fetched", self.model.name)))
            }
            None => Ok(()),
        }
    }

    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.model.files.iter().position(|file| file.name == name) {
            return place;
        }
        self.model.files.push(StoredFile { name: name.to_owned(), ..StoredFile::default() });
        self.model.files.len() - 1
    }

    /// Fetches one file, or what is missing of it. `false` when the server has none of that name.
    async fn file(&mut self, name: &str, wanted: Option<&str>) -> Result<bool, Failure> {
        if !self.listed.is_empty() && !self.listed.iter().any(|file| file.name == name) {
            return Ok(false);
        }
        let place = self.place(name);
        if !self.model.files[place].sha256.is_empty() {
            return Ok(true);
        }
        let folder = shelf::folder(&self.model.key, true).await.map_err(|error| words(&error))?;
        let handle = self.hold(&folder, name).await?;
        let result = self.stream(&handle, place, name, wanted).await;
        // Also after a failure what has come must reach the disk.
        let flushed = opfs::flush(&handle);
        opfs::close(&handle).map_err(|error| words(&error))?;
        let found = result?;
        flushed.map_err(|error| words(&error))?;
        if found {
            self.keep_record().await?;
        } else {
            self.model.files.remove(place);
            opfs::remove(&folder, name).await.map_err(|error| words(&error))?;
        }
        Ok(found)
    }

    async fn hold(&self, folder: &JsValue, name: &str) -> Result<JsValue, Failure> {
        opfs::writer(folder, name).await.map_err(|error| {
            Failure::Cut(match opfs::kind(&error).as_str() {
                "NoModificationAllowedError" => {
                    format!("{name} is just being fetched in another tab: wait for that one")
                }
                _ => format!("{name} cannot be kept: {}", words(&error)),
            })
        })
    }

    /// The loop over cuts.
    async fn stream(
        &mut self,
        handle: &JsValue,
        place: usize,
        name: &str,
        wanted: Option<&str>,
    ) -> Result<bool, Failure> {
        let url = format!("{}{name}", self.address.folder);
        let listed = self.listed.iter().find(|file| file.name == name);
        let mut promised = wanted.map(|digits| (digits.to_owned(), "address"));
        if promised.is_none() {
            promised = listed.and_then(|file| file.sha256.clone()).map(|digits| (digits, "hub"));
        }
        let expected = listed.map(|file| file.bytes);
        let mut have = opfs::size(handle).map_err(|error| words(&error))? as u64;
        let mut hasher = Sha256::new();
        let known = &self.model.files[place];
        if have > 0 && known.etag.is_none() && known.total.is_none() && promised.is_none() {
            // Nothing tells which version this is the beginning of.
            (have, hasher) = self.begin_anew(handle, place)?;
        }
        if have > 0 {
            rehash(handle, have, &mut hasher)?;
        }
        self.model.files[place].bytes = have;
        let (mut tries, mut why) = (0, String::new());
        loop {
            if self.desk.stopped.get() {
                return Err(Failure::Cut(format!("{} was stopped", self.model.name)));
            }
            if tries > TRIES {
                return Err(Failure::Cut(format!("{name} of {} did not come: {why}", self.model.name)));
            }
            if tries > 0 {
                net::sleep(FIRST_WAIT * f64::from(1u32 << (tries - 1))).await;
            }
            tries += 1;
            let known = self.model.files[place].clone();
            let heard = match ask(&url, have, known.etag.as_deref()).await {
                Ok(heard) => heard,
                Err(error) => {
                    why = error;
                    continue;
                }
            };
            let mut total = expected.or(known.total);
            match decide(&heard.answer, have, known.etag.as_deref(), total) {
                Next::Missing if have == 0 => {
                    net::cancel(&heard.reader).await;
                    return Ok(false);
                }
                // An answer that says nothing against the bytes that are here: they stay.
                Next::Missing => {
                    net::cancel(&heard.reader).await;
                    return Err(Failure::Cut(self.told(&format!("{name} is no longer there"))));
                }
                Next::Refused => {
                    net::cancel(&heard.reader).await;
                    let advice = match heard.answer.status {
                        401 | 403 => "the model may ask for an account or a consent: fetch it there and drop its files",
                        _ => "check the address",
                    };
                    let sentence = self.told(&format!("the server answers {} to {name}: {advice}", heard.said));
                    return Err(Failure::Cut(sentence));
                }
                Next::Later => {
                    net::cancel(&heard.reader).await;
                    why = format!("the server answers {}", heard.said);
                    continue;
                }
                Next::Anew => {
                    net::cancel(&heard.reader).await;
                    self.listener.warning(format!("{name}: {CHANGED}"));
                    (have, hasher) = self.begin_anew(handle, place)?;
                    tries = 0;
                    continue;
                }
                Next::Finished => net::cancel(&heard.reader).await,
                next => {
                    if let Next::Whole { why, .. } = next
                        && have > 0
                    {
                        self.listener.warning(format!("{name}: {why}"));
                        (have, hasher) = self.begin_anew(handle, place)?;
                    }
                    if let Next::Append { total: told } | Next::Whole { total: told, .. } = next {
                        total = expected.or(told);
                    }
                    let file = &mut self.model.files[place];
                    (file.total, file.etag) = (total, heard.answer.etag.clone());
                    if let (None, Some(digits)) = (&promised, vouched(heard.answer.linked_etag.as_deref())) {
                        promised = Some((digits, "hub"));
                    }
                    // A header is small, and tells whether there is more to ask for than the disk.
                    if self.weighed || !weigh::has_header(name) {
                        self.room_for(total, have).await?;
                    }
                    // So that a page that closes in the middle remembers which version this is.
                    self.keep_record().await?;
                    let start = have;
                    let cut = self.pieces(handle, place, name, &heard.reader, &mut have, &mut hasher).await?;
                    if have > start {
                        tries = 0;
                    }
                    let missing = total.is_some_and(|total| have < total);
                    if missing || cut.is_some() {
                        why = cut.unwrap_or_else(|| "the connection ended early".to_owned());
                        if have > start {
                            tries = 1;
                        }
                        continue;
                    }
                }
            }
            let found = hex(&hasher.finalize());
            return self.verdict(place, name, have, total, promised, found);
        }
    }

    /// Bytes to the disk and into the hash, until the body ends. Returns why it was cut, where it was.
    async fn pieces(
        &mut self,
        handle: &JsValue,
        place: usize,
        name: &str,
        reader: &JsValue,
        have: &mut u64,
        hasher: &mut Sha256,
    ) -> Result<Option<String>, Failure> {
        let mut recorded = *have;
        let mut bytes = Vec::new();
        // Told at the start as well, so that the bar knows the whole.
        self.tell(place, *have);
        loop {
            let piece = match net::next(reader).await {
                Ok(piece) if piece.is_undefined() => return Ok(None),
                Ok(piece) => piece.unchecked_into::<Uint8Array>(),
                Err(error) => return Ok(Some(words(&error))),
            };
            if let Err(error) = opfs::write(handle, &piece, *have as f64) {
                net::cancel(reader).await;
                // Half a piece may have been written.
                drop(opfs::truncate(handle, *have as f64));
                return Err(self.full(name, &error).await);
            }
            bytes.resize(piece.length() as usize, 0);
            piece.copy_to(&mut bytes);
            hasher.update(&bytes);
            *have += bytes.len() as u64;
            self.received += bytes.len() as u64;
            self.model.files[place].bytes = *have;
            self.tell(place, *have);
            if !self.weighed
                && let Err(failure) = self.weigh_beginning(handle, place, *have).await
            {
                net::leave(reader).await;
                return Err(failure);
            }
            if *have - recorded >= RECORD_EVERY {
                recorded = *have;
                drop(opfs::flush(handle));
                self.keep_record().await?;
            }
        }
    }

    fn tell(&self, place: usize, have: u64) {
        let file = &self.model.files[place];
        self.listener.progress(have, file.total.unwrap_or(0), &file.name);
    }

    fn begin_anew(&mut self, handle: &JsValue, place: usize) -> Result<(u64, Sha256), Failure> {
        opfs::truncate(handle, 0.0).map_err(|error| words(&error))?;
        let file = &mut self.model.files[place];
        (file.bytes, file.total, file.etag) = (0, None, None);
        Ok((0, Sha256::new()))
    }

    /// Whether the file fits, as far as the browser tells.
    async fn room_for(&self, total: Option<u64>, have: u64) -> Result<(), Failure> {
        let (usage, quota) = opfs::estimate().await;
        let missing = total.unwrap_or(0).saturating_sub(have);
        if quota > 0 && usage.saturating_add(missing) > quota {
            let sentence = format!(
                "{} needs {} more, this site may keep {} and takes {} already",
                self.model.name,
                megabytes(missing),
                megabytes(quota),
                megabytes(usage)
            );
            return Err(Failure::Cut(format!("{sentence}; {}", shelf::what_to_delete(&self.model.key).await)));
        }
        Ok(())
    }

    /// Writes the model's record; on a full disk it says what to delete.
    async fn keep_record(&self) -> Result<(), Failure> {
        match shelf::keep(self.model).await {
            Err(sentence) if sentence.ends_with(shelf::FULL) => {
                Err(Failure::Cut(format!("{sentence}; {}", shelf::what_to_delete(&self.model.key).await)))
            }
            written => Ok(written?),
        }
    }

    async fn full(&self, name: &str, error: &JsValue) -> Failure {
        let sentence = match opfs::kind(error).as_str() {
            "QuotaExceededError" => format!("{name} does not fit: {}", shelf::FULL),
            _ => format!("{name} cannot be written: {}", words(error)),
        };
        Failure::Cut(format!("{sentence}; {}", shelf::what_to_delete(&self.model.key).await))
    }

    /// Holds length and hash to what was promised.
    fn verdict(
        &mut self,
        place: usize,
        name: &str,
        have: u64,
        total: Option<u64>,
        promised: Option<(String, &str)>,
        found: String,
    ) -> Result<bool, Failure> {
        if let Some(total) = total.filter(|&total| total != have) {
            return Err(self.refused(format!("{name} has {have} bytes, {total} were promised; nothing was kept")));
        }
        if let Some((expected, who)) = promised.as_ref().filter(|(expected, _)| *expected != found) {
            let who = if *who == "hub" { "the hub" } else { "the address" };
            return Err(self.refused(format!(
                "{name} is not what it should be: its SHA-256 is {found}, {who} says {expected}; nothing was kept. \
                 Try again, and if it stays so, do not trust that server"
            )));
        }
        let file = &mut self.model.files[place];
        (file.bytes, file.total, file.sha256) = (have, Some(have), found);
        promised.map_or("", |(_, who)| who).clone_into(&mut file.vouched);
        Ok(true)
    }
}

/// A whole model against the hash in an address.
fn check_known(address: &Address, model: &StoredModel) -> Result<(), String> {
    let Some(expected) = &address.sha256 else { return Ok(()) };
    let found = model.weights().map(|file| file.sha256.as_str()).unwrap_or_default();
    match found == expected {
        true => Ok(()),
        false => Err(format!(
            "{} is kept with the SHA-256 {found}, the address says {expected}: delete it and fetch it again",
            model.name
        )),
    }
}

fn rehash(handle: &JsValue, have: u64, hasher: &mut Sha256) -> Result<(), Failure> {
    let mut bytes = vec![0; PIECE.min(have as usize)];
    let mut at = 0;
    while at < have {
        let len = bytes.len().min((have - at) as usize);
        let read = opfs::read(handle, &mut bytes[..len], at as f64).map_err(|error| words(&error))? as usize;
        if read == 0 {
            return Err(Failure::Cut("a file in the store became shorter while it was read".to_owned()));
        }
        hasher.update(&bytes[..read]);
        at += read as u64;
    }
    Ok(())
}

async fn ask(url: &str, from: u64, etag: Option<&str>) -> Result<Heard, String> {
    let response = net::request(url, from as f64, etag.unwrap_or_default()).await.map_err(|error| {
        format!(
            "{}; there is no network, or the server does not let other pages read it (CORS), or this page's policy \
             does not allow its address",
            words(&error)
        )
    })?;
    let field = |name: &str| Reflect::get(&response, &name.into()).unwrap_or_default();
    let text = |name: &str| field(name).as_string();
    let status = field("status").as_f64().unwrap_or(0.0) as u16;
    let answer = Answer {
        status,
        content_range: text("contentRange"),
        content_length: text("contentLength").and_then(|length| length.parse().ok()),
        etag: text("etag"),
        linked_etag: text("linkedEtag"),
        html: status < 400 && text("type").is_some_and(|kind| kind.starts_with("text/html")),
    };
    let said = format!("{status} {}", text("statusText").unwrap_or_default()).trim().to_owned();
    Ok(Heard { answer, said, reader: field("reader") })
}

async fn body(reader: &JsValue) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    loop {
        let piece = net::next(reader).await.map_err(|error| words(&error))?;
        if piece.is_undefined() {
            return Ok(bytes);
        }
        bytes.extend(piece.unchecked_into::<Uint8Array>().to_vec());
    }
}
