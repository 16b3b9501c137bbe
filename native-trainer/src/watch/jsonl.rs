//! `events.jsonl`: every event as a line of JSON, with the `time` in seconds since 1970. The run's diary: the report
//! is rebuilt from it, and any other program can read it while the run goes on.
//!
//! A line is written whole and at once. When a run goes on, what the diary says about steps that will be made again
//! is cut away, as is half a line that a power failure left.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lab_core::config::Method;
use lab_core::train::event::{Event, Health, Look, Started, Step, Thumbnail, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Watcher, now};

/// Its name in the folder of the run.
pub(crate) const FILE: &str = "events.jsonl";

/// The diary under way.
pub(crate) struct Jsonl {
    path: PathBuf,
    file: Option<File>,
    /// Lines from before the run said where it begins.
    early: Vec<u8>,
}

/// An event with its time.
#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    #[serde(flatten)]
    event: &'a Event,
}

/// As much of a line as tells whether it stays.
#[derive(Deserialize)]
struct Head {
    event: String,
    #[serde(default)]
    step: Option<u64>,
}

impl Jsonl {
    /// The diary of a run folder; the file is opened when the run begins.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { path: folder.join(FILE), file: None, early: Vec::new() }
    }
}

impl Watcher for Jsonl {
    fn name(&self) -> &'static str {
        FILE
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_vec(&Line { time: now(), event }).context("cannot write an event as JSON")?;
        line.push(b'\n');
        let cannot = || format!("cannot write {}", self.path.display());
        if let Event::Started(started) = event {
            let keep = kept(&self.path, started.step).with_context(cannot)?;
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path).with_context(cannot)?;
            file.set_len(keep).with_context(cannot)?;
            file.write_all(&std::mem::take(&mut self.early)).with_context(cannot)?;
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(&line).with_context(cannot),
            None => {
                self.early.extend(line);
                Ok(())
            }
        }
    }

    fn finish(&mut self) {
        if let Some(file) = &self.file {
            drop(file.sync_all()); // the lines are written; where the disk cannot sync there is nothing to be done
        }
    }
}

/// How many bytes of a diary stay when its run goes on at `step`: all before the first step that is made again, or
/// before a line that is not whole. A run that begins anew keeps nothing.
fn kept(path: &Path, step: u64) -> std::io::Result<u64> {
    let mut length = 0;
    if step == 0 {
        return Ok(length);
    }
    let mut stays = |line: &[u8]| match serde_json::from_slice::<Head>(line) {
        Ok(head) if head.event != "step" || head.step.is_some_and(|made| made < step) => {
            length += line.len() as u64;
            true
        }
        _ => false,
    };
    each_line(path, &mut stays)?;
    Ok(length)
}

/// Hands out whole lines, with their ends, until `each` wants no more. A file that is not there has none.
fn each_line(path: &Path, each: &mut dyn FnMut(&[u8]) -> bool) -> std::io::Result<()> {
    let mut reader = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => BufReader::with_capacity(1 << 16, file?),
    };
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") && each(&line) {
        line.clear();
    }
    Ok(())
}

/// Reads the diary of `folder` as a run that goes on at `step` finds it: event by event, with its time.
/// Pictures come without their pixels. Events of another version that cannot be understood are passed over.
///
/// # Errors
/// When there is a file that cannot be read; no file is an empty diary.
pub(crate) fn read(folder: &Path, step: u64, mut each: impl FnMut(&Event, f64)) -> Result<()> {
    let path = folder.join(FILE);
    each_line(&path, &mut |line| {
        let Ok(value) = serde_json::from_slice::<Value>(line) else { return false };
        let event = event(&value);
        if matches!(&event, Some(Event::Step(made)) if made.step >= step) {
            return false;
        }
        if let Some(event) = event {
            each(&event, float(&value["time"]));
        }
        true
    })
    .with_context(|| format!("cannot read {}", path.display()))
}

/// An event from its line. Numbers that are not finite are `null` in JSON and come back as NaN.
fn event(line: &Value) -> Option<Event> {
    let text = |key: &str| Some(line[key].as_str()?.to_owned());
    let whole = |key: &str| line[key].as_u64();
    let number = |key: &str| float(&line[key]);
    Some(match line["event"].as_str()? {
        "started" => Event::Started(Started {
            method: Method::deserialize(&line["method"]).ok()?,
            device: text("device")?,
            parameters: whole("parameters")?,
            images: whole("images")?,
            batch_size: usize::try_from(whole("batch_size")?).ok()?,
            step: whole("step")?,
            total_steps: whole("total_steps")?,
            epoch_length: whole("epoch_length")?,
            config: text("config")?,
        }),
        "step" => Event::Step(Step {
            step: whole("step")?,
            epoch: number("epoch"),
            loss: number("loss"),
            losses: figures(&line["losses"])?,
            norms: figures(&line["norms"])?,
            teacher: figures(&line["teacher"])?,
            lr: number("lr"),
            weight_decay: number("weight_decay"),
            momentum: number("momentum"),
            teacher_temp: number("teacher_temp"),
            images_per_sec: number("images_per_sec"),
            data_wait: number("data_wait"),
            seconds: number("seconds"),
        }),
        "health" => Event::Health(Health {
            step: whole("step")?,
            epoch: number("epoch"),
            figures: figures(&line["figures"])?,
            verdict: match line["verdict"].as_str()? {
                "young" => Verdict::Young,
                "good" => Verdict::Good,
                "watch" => Verdict::Watch,
                "collapsing" => Verdict::Collapsing,
                "diverging" => Verdict::Diverging,
                _ => return None,
            },
            says: text("says")?,
        }),
        "look" => {
            let rows = line["rows"].as_array()?.iter();
            Event::Look(Look {
                step: whole("step")?,
                epoch: number("epoch"),
                rows: rows.map(|row| row.as_array()?.iter().map(thumbnail).collect()).collect::<Option<_>>()?,
            })
        }
        "saved" => Event::Saved { step: whole("step")?, path: text("path")?, seconds: number("seconds") },
        "bad_image" => Event::BadImage { name: text("name")?, reason: text("reason")? },
        "bad_step" => Event::BadStep { step: whole("step")?, what: text("what")?, replay: text("replay")? },
        "warning" => Event::Warning { message: text("message")? },
        "finished" => {
            Event::Finished { step: whole("step")?, stopped: line["stopped"].as_bool()?, seconds: number("seconds") }
        }
        _ => return None,
    })
}

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// Pairs of name and value.
fn figures(value: &Value) -> Option<Vec<(String, f64)>> {
    value.as_array()?.iter().map(|pair| Some((pair[0].as_str()?.to_owned(), float(&pair[1])))).collect()
}

fn thumbnail(value: &Value) -> Option<Thumbnail> {
    let side = |key: &str| u32::try_from(value[key].as_u64()?).ok();
    Some(Thumbnail {
        title: value["title"].as_str()?.to_owned(),
        width: side("width")?,
        height: side("height")?,
        rgb: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::*;

    fn tell(folder: &Path, events: &[Event]) {
        let mut diary = Jsonl::new(folder);
        for event in events {
            diary.event(event).expect("written");
        }
        diary.finish();
    }

    fn told(folder: &Path, step: u64) -> Vec<Event> {
        let mut events = Vec::new();
        read(folder, step, |event, time| {
            assert!(time > 1.7e9, "{time} is no time of ours");
            events.push(event.clone());
        })
        .expect("readable");
        events
    }

    fn steps(events: &[Event]) -> Vec<u64> {
        events.iter().filter_map(|event| if let Event::Step(step) = event { Some(step.step) } else { None }).collect()
    }

    /// Pictures come back without pixels.
    fn without_pixels(mut events: Vec<Event>) -> Vec<Event> {
        for event in &mut events {
            if let Event::Look(look) = event {
                look.rows.iter_mut().flatten().for_each(|picture| picture.rgb.clear());
            }
        }
        events
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut events = made_up::run(0, 40, 40);
        events.insert(5, Event::BadImage { name: "a\n\"b\".jpg".into(), reason: "torn".into() });
        events.insert(6, Event::BadStep { step: 2, what: "ibot".into(), replay: "bad-2.safetensors".into() });
        events.insert(7, Event::Warning { message: "the disk is nearly full".into() });
        tell(folder.path(), &events);
        assert_eq!(told(folder.path(), u64::MAX), without_pixels(events));
        let text = std::fs::read_to_string(folder.path().join(FILE)).expect("text");
        let first: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        assert_eq!((&first["event"], first["time"].is_f64()), (&Value::from("started"), true));
    }

    #[test]
    fn numbers_that_are_not_finite_come_back_as_such() {
        let folder = tempfile::tempdir().expect("a folder");
        let bad = Step { loss: f64::NAN, losses: vec![("mae".into(), f64::INFINITY)], ..made_up::step(3, 10) };
        tell(folder.path(), &[Event::Started(made_up::started(0, 10)), Event::Step(bad)]);
        let events = told(folder.path(), u64::MAX);
        let Some(Event::Step(step)) = events.last() else { panic!("no step in {events:?}") };
        assert!(step.loss.is_nan() && step.losses[0].1.is_nan() && step.lr.is_finite());
    }

    #[test]
    fn a_run_that_goes_on_forgets_what_it_makes_again() {
        let folder = tempfile::tempdir().expect("a folder");
        tell(folder.path(), &made_up::run(0, 30, 40));
        // A power failure in the middle of a line.
        let mut file = OpenOptions::new().append(true).open(folder.path().join(FILE)).expect("there");
        file.write_all(b"{\"time\":1.0,\"event\":\"st").expect("written");
        assert_eq!(steps(&told(folder.path(), 20)), (0..20).collect::<Vec<_>>(), "reading alone cuts, too");
        tell(folder.path(), &made_up::run(20, 40, 40));
        let events = told(folder.path(), u64::MAX);
        assert_eq!(steps(&events), (0..40).collect::<Vec<_>>());
        let starts = events.iter().filter(|event| matches!(event, Event::Started(_))).count();
        assert_eq!(starts, 2);
    }

    #[test]
    fn half_a_line_is_cut_even_if_no_step_is_made_again() {
        let folder = tempfile::tempdir().expect("a folder");
        tell(folder.path(), &made_up::run(0, 10, 40));
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).expect("there");
        std::fs::write(&path, [&whole[..], b"{\"ti"].concat()).expect("written");
        assert_eq!(kept(&path, 10).expect("readable"), whole.len() as u64);
    }

    #[test]
    fn a_new_run_begins_a_new_diary_and_early_warnings_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        tell(folder.path(), &made_up::run(0, 30, 40));
        let warning = Event::Warning { message: "early".into() };
        tell(folder.path(), &[warning.clone(), Event::Started(made_up::started(0, 40))]);
        assert_eq!(told(folder.path(), u64::MAX), [warning, Event::Started(made_up::started(0, 40))]);
    }

    #[test]
    fn no_diary_is_an_empty_one() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(told(folder.path(), u64::MAX), []);
        assert!(Jsonl::new(&folder.path().join("gone")).event(&Event::Started(made_up::started(0, 1))).is_err());
    }
}
