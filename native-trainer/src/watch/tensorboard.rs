//! Event files for TensorBoard: `tensorboard/events.out.tfevents.TIME.HOST`, a new one each session.
//!
//! A record is its length, the length's checksum, an `Event` message, and its checksum (CRC32C, masked as
//! `tensorflow/core/lib/io/record_writer.cc` does). The few messages are written by hand after `event.proto`,
//! `summary.proto` and `tensor.proto`: the registry's `tensorboard-rs` brings an `image` and a `protobuf` of 2020.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab_core::train::event::{Event, Step};

use super::looks::png;
use super::{Watcher, now};

/// Its folder in the folder of the run.
const FOLDER: &str = "tensorboard";
/// Longest that a record waits in memory.
const PAUSE: Duration = Duration::from_secs(2);

/// An event file under way.
pub(crate) struct TensorBoard {
    folder: PathBuf,
    file: Option<BufWriter<File>>,
    flushed: Instant,
    /// Steps made so far, for what has no step of its own.
    step: u64,
}

impl TensorBoard {
    /// For a run folder; the file is opened with the first event.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.join(FOLDER), file: None, flushed: Instant::now(), step: 0 }
    }

    fn record(&mut self, message: &Message) -> Result<()> {
        let cannot = || format!("cannot write into {}", self.folder.display());
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = none.insert(BufWriter::new(open(&self.folder, now()).with_context(cannot)?));
                let first = Message::new().double(WALL_TIME, now()).bytes(FILE_VERSION, b"brain.Event:2");
                write(file, &first.0).with_context(cannot)?;
                file
            }
        };
        write(file, &message.0).with_context(cannot)?;
        if self.flushed.elapsed() >= PAUSE {
            file.flush().with_context(cannot)?;
            self.flushed = Instant::now();
        }
        Ok(())
    }

    fn summary(&mut self, step: u64, summary: &Message) -> Result<()> {
        self.record(&at(step).bytes(SUMMARY, &summary.0))
    }

    fn text(&mut self, step: u64, tag: &str, markdown: &str) -> Result<()> {
        // A tensor of one string, with the plugin that shows it.
        let shape = Message::new().bytes(2, &Message::new().whole(1, 1).0);
        let tensor = Message::new().whole(1, 7).bytes(2, &shape.0).bytes(8, markdown.as_bytes());
        let metadata = Message::new().bytes(1, &Message::new().bytes(1, b"text").0);
        let value = Message::new().bytes(TAG, tag.as_bytes()).bytes(8, &tensor.0).bytes(9, &metadata.0);
        self.summary(step, &Message::new().bytes(VALUE, &value.0))
    }
}

impl Watcher for TensorBoard {
    fn name(&self) -> &'static str {
        FOLDER
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Started(started) => {
                self.step = started.step;
                // A session that starts: TensorBoard forgets what older files say from this step on.
                self.record(&at(started.step).bytes(SESSION_LOG, &Message::new().whole(1, 1).0))?;
                self.text(started.step, "config", &fenced(&started.config))
            }
            Event::Step(step) => {
                self.step = step.step + 1;
                self.summary(step.step, &step_summary(step))
            }
            Event::Health(health) => {
                let figures = health.figures.iter();
                let summary = figures
                    .fold(Message::new(), |summary, (name, value)| summary.scalar(&format!("health/{name}"), *value));
                self.summary(health.step, &summary)?;
                self.text(health.step, "health/verdict", &health.says)
            }
            Event::Look(look) => {
                for (row, pictures) in look.rows.iter().enumerate() {
                    for picture in pictures {
                        let image = Message::new()
                            .whole(1, u64::from(picture.height))
                            .whole(2, u64::from(picture.width))
                            .whole(3, 3) // red, green, blue
                            .bytes(4, &png(picture)?);
                        let tag = format!("look/{}/{row}", picture.title);
                        let value = Message::new().bytes(TAG, tag.as_bytes()).bytes(IMAGE, &image.0);
                        self.summary(look.step, &Message::new().bytes(VALUE, &value.0))?;
                    }
                }
                Ok(())
            }
            Event::BadStep { step, what, replay } => {
                self.text(*step, "bad_step", &format!("{what} is not finite; replay: {replay}"))
            }
            Event::Warning { message } => self.text(self.step, "warning", message),
            Event::BadImage { name, reason } => self.text(self.step, "bad_image", &format!("{name}: {reason}")),
            Event::Saved { .. } | Event::Finished { .. } => Ok(()),
        }
    }

    fn finish(&mut self) {
        if let Some(file) = &mut self.file {
            drop(file.flush()); // a full disk has been told of with an earlier record, or there was none to lose
        }
    }
}

/// The figures of a step.
fn step_summary(step: &Step) -> Message {
    let mut summary = Message::new().scalar("loss/total", step.loss);
    for (group, figures) in [("loss", &step.losses), ("norm", &step.norms), ("teacher", &step.teacher)] {
        for (name, value) in figures {
            summary = summary.scalar(&format!("{group}/{name}"), *value);
        }
    }
    for (tag, value) in [("optim/lr", step.lr), ("optim/weight_decay", step.weight_decay)] {
        summary = summary.scalar(tag, value);
    }
    for (tag, value) in [("teacher/momentum", step.momentum), ("teacher/temperature", step.teacher_temp)] {
        if value != 0.0 {
            summary = summary.scalar(tag, value);
        }
    }
    summary
        .scalar("speed/images_per_sec", step.images_per_sec)
        .scalar("speed/data_wait", step.data_wait)
        .scalar("speed/step_seconds", step.seconds)
        .scalar("progress/epoch", step.epoch)
}

/// Lines as a block of code in Markdown: TensorBoard takes four spaces for one.
fn fenced(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// Creates a file that no session before has written.
fn open(folder: &Path, time: f64) -> std::io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let host = host();
    // Two sessions within a second; readers go by the order of names.
    for seconds in time as u64.. {
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.{host}"));
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            file => return file,
        }
    }
    unreachable!("seconds do not end")
}

/// The machine's name as far as it can stand in a file's.
fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME"))
        .or_else(|_| std::env::var("COMPUTERNAME"));
    let name: String = told.unwrap_or_default().trim().chars().take(64).collect();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    if name.is_empty() { "localhost".to_owned() } else { name.chars().map(plain).collect() }
}

/// Writes a record.
fn write(out: &mut impl std::io::Write, data: &[u8]) -> std::io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_crc(&length).to_le_bytes())?;
    out.write_all(data)?;
    out.write_all(&masked_crc(data).to_le_bytes())
}

/// A checksum of bytes that hold checksums themselves: turned, with a constant added.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

// event.proto
const WALL_TIME: u32 = 1;
const STEP: u32 = 2;
const FILE_VERSION: u32 = 3;
const SUMMARY: u32 = 5;
const SESSION_LOG: u32 = 7;
// summary.proto
const VALUE: u32 = 1;
const TAG: u32 = 1;
const SIMPLE_VALUE: u32 = 2;
const IMAGE: u32 = 4;

/// A protobuf message under way.
#[derive(Default)]
struct Message(Vec<u8>);

/// An event at a step, now.
fn at(step: u64) -> Message {
    Message::new().double(WALL_TIME, now()).whole(STEP, step)
}

impl Message {
    fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    fn whole(mut self, field: u32, value: u64) -> Self {
        self.key(field, 0);
        self.varint(value);
        self
    }

    fn double(mut self, field: u32, value: f64) -> Self {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    fn float(mut self, field: u32, value: f32) -> Self {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A summary with one scalar more.
    fn scalar(self, tag: &str, value: f64) -> Self {
        let scalar = Self::new().bytes(TAG, tag.as_bytes()).float(SIMPLE_VALUE, value as f32);
        self.bytes(VALUE, &scalar.0)
    }
}

#[cfg(test)]
mod tests;
