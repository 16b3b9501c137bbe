//! `report.html`: the run on one page that needs nothing but itself, rewritten while the run goes on.
//!
//! It keeps a [`Story`] and an [`Album`]; when a run goes on it gets both back from the diary and from `looks/`.

mod page;
mod plot;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lab_core::train::event::Event;

use super::looks::Album;
use super::story::Story;
use super::{Watcher, jsonl, now};
use crate::sinks::beside;

/// Its name in the folder of the run.
pub(crate) const FILE: &str = "report.html";
/// Time between two versions.
const PAUSE: Duration = Duration::from_secs(30);

/// The report under way.
pub(crate) struct Report {
    folder: PathBuf,
    story: Story,
    album: Album,
    written: Option<Instant>,
    /// Whether something happened since it was written.
    stale: bool,
}

impl Report {
    /// The report of a run folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.into(), story: Story::default(), album: Album::new(folder), written: None, stale: false }
    }

    /// Takes in an event that came at `now`.
    fn take(&mut self, event: &Event, now: f64) -> Result<()> {
        match event {
            Event::Started(started) if started.step > 0 => {
                // This session's first lines may stand in the diary already: they are at its end and change nothing.
                let (story, album) = (&mut self.story, &mut self.album);
                *story = Story::default();
                jsonl::read(&self.folder, started.step, |event, time| {
                    story.apply(event, time);
                    if let Event::Look(look) = event {
                        album.recall(look);
                    }
                })?;
                self.album.sweep()?;
            }
            Event::Started(_) => self.album.sweep()?,
            Event::Look(look) => self.album.add(look)?,
            _ => {}
        }
        self.story.apply(event, now);
        self.stale = true;
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let target = self.folder.join(FILE);
        let partial = beside(&target, ".partial");
        let name = self.folder.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
        let page = page::page(&name, &self.story, self.album.moments());
        std::fs::write(&partial, page).with_context(|| format!("cannot write {}", partial.display()))?;
        std::fs::rename(&partial, &target).with_context(|| format!("cannot rename {}", partial.display()))?;
        (self.written, self.stale) = (Some(Instant::now()), false);
        Ok(())
    }
}

impl Watcher for Report {
    fn name(&self) -> &'static str {
        FILE
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        self.take(event, now())?;
        let due = self.written.is_none_or(|written| written.elapsed() >= PAUSE);
        if due || matches!(event, Event::Started(_) | Event::Finished { .. }) { self.write() } else { Ok(()) }
    }

    fn finish(&mut self) {
        if self.stale {
            // After a failure that was told of this fails again, or it does not and the page is as new as can be.
            drop(self.write());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use lab_core::train::event::{Step, Verdict};

    use super::super::made_up;
    use super::*;

    fn text(folder: &Path) -> String {
        std::fs::read_to_string(folder.join(FILE)).expect("a report")
    }

    /// Checks that tags are closed in order, as far as a page of ours needs.
    fn check_tags(page: &str) {
        let mut open = Vec::new();
        for tag in page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()) {
            let name: String = tag.chars().take_while(|c| !c.is_whitespace()).collect();
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "closed in the wrong order");
            } else if !tag.ends_with('/') && !["!doctype", "meta", "img", "input"].contains(&name.as_str()) {
                open.push(name);
            }
        }
        assert_eq!(open, [""; 0]);
    }

    #[test]
    fn a_report_stands_on_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut report = Report::new(folder.path());
        let mut events = made_up::run(0, 400, 400);
        let warning = "a <script>alert(1)</script> \"name\" & more";
        events.insert(9, Event::Warning { message: warning.into() });
        events.insert(10, Event::BadImage { name: "<img src=x>.jpg".into(), reason: "torn".into() });
        events.insert(11, Event::BadStep { step: 3, what: "ibot".into(), replay: "bad-3.safetensors".into() });
        events.iter().for_each(|event| report.event(event).expect("written"));
        report.finish();
        let page = text(folder.path());
        check_tags(&page);
        for expected in [
            "<h1>DINOv2 pretraining</h1>",
            "Learning</b>",
            "of 384 directions",
            "step 400 of 400",
            "finished after 5:28",
            "<h3>Loss</h3>",
            "<h3>Norms of the gradients</h3>",
            "<h3>Learning rate</h3>",
            "<h3>Weight decay</h3>",
            "<h3>Teacher momentum</h3>",
            "<h3>Teacher temperature</h3>",
            "<h3>Teacher entropy</h3>",
            "<h3>RankMe</h3>",
            "<h3>Feature deviation</h3>",
            "<h3>k-NN accuracy</h3>",
            "<h3>Images a second</h3>",
            "<h3>Waiting for images</h3>",
            "1 warning</h3>",
            "&lt;script&gt;alert(1)&lt;/script&gt; &quot;name&quot; &amp; more",
            "&lt;img src=x&gt;.jpg: torn",
            "ibot was not finite",
            "<i>base_lr =</i> 0.004",
            "&lt;b&gt;&amp;amp; no markup",
        ] {
            assert!(page.contains(expected), "{expected} is missing");
        }
        assert!(!page.contains("<script") && !page.contains("http"), "it asks nothing of anyone");
        assert_eq!(page.matches("<h3>Teacher entropy</h3>").count(), 1, "steps and looks tell the same figure");
        // Three images that stand still, and their attention at eight moments.
        assert_eq!(page.matches("data:image/png;base64,").count(), 3 + 3 * 8);
    }

    #[test]
    fn a_million_steps_stay_small() {
        let mut report = Report::new(Path::new("nowhere"));
        report.take(&Event::Started(made_up::started(0, 1_000_000)), 0.0).expect("taken");
        for step in 0..1_000_000 {
            report.take(&Event::Step(made_up::step(step, 1_000_000)), step as f64).expect("taken");
            if step % 5000 == 0 {
                report.take(&Event::Health(made_up::health(step, 1_000_000)), step as f64).expect("taken");
            }
        }
        let page = page::page("run", &report.story, &[]);
        check_tags(&page);
        assert!(page.len() < 200_000, "{} bytes", page.len());
        assert!(page.contains("step 1000000 of 1000000"));
    }

    #[test]
    fn a_masked_autoencoder_has_no_teacher() {
        let mut report = Report::new(Path::new("nowhere"));
        let started =
            lab_core::train::event::Started { method: lab_core::config::Method::Mae, ..made_up::started(0, 50) };
        report.take(&Event::Started(started), 0.0).expect("taken");
        for step in 0..50 {
            let losses = vec![("mae".to_owned(), 0.9)];
            let step = Step { losses, teacher: vec![], momentum: 0.0, teacher_temp: 0.0, ..made_up::step(step, 50) };
            report.take(&Event::Step(step), 0.0).expect("taken");
        }
        let page = page::page("run", &report.story, &[]);
        check_tags(&page);
        assert!(page.contains("<h1>MAE pretraining</h1>") && page.contains("No look at the model was made yet."));
        assert!(!page.contains("Teacher") && page.matches("class=\"line c0\"").count() == 2, "one loss, two scales");
    }

    #[test]
    fn a_report_goes_on_where_its_run_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut diary = jsonl::Jsonl::new(folder.path());
        let mut first = Report::new(folder.path());
        for event in made_up::run(0, 300, 400) {
            diary.event(&event).expect("written");
            first.event(&event).expect("written");
        }
        first.finish();
        // It was stopped at 300; the last checkpoint was of step 200.
        let mut second = Report::new(folder.path());
        for event in made_up::run(200, 400, 400) {
            diary.event(&event).expect("written");
            second.event(&event).expect("written");
        }
        let mut whole = Report::new(Path::new("nowhere"));
        for event in made_up::run(0, 400, 400).iter().filter(|event| !matches!(event, Event::Look(_))) {
            whole.take(event, 0.0).expect("taken");
        }
        assert_eq!(second.story.series, whole.story.series, "as if it had never been stopped");
        assert_eq!(second.story.resumed, [200]);
        let moments = second.album.moments();
        assert_eq!((moments.len(), moments[0].step, moments[7].step), (8, 0, 380));
        assert!(moments.windows(2).all(|pair| pair[0].step < pair[1].step));
        assert!(text(folder.path()).contains("class=\"mark\""));
    }

    #[test]
    fn versions_are_far_between_but_the_last_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut report = Report::new(folder.path());
        let events = made_up::run(0, 50, 60);
        events.iter().for_each(|event| report.event(event).expect("written"));
        assert!(text(folder.path()).contains("step 0 of 60"), "written at once, then not for a while");
        report.finish();
        assert!(text(folder.path()).contains("step 50 of 60"));
        assert!(!folder.path().join("report.html.partial").exists());
        let time = std::fs::metadata(folder.path().join(FILE)).and_then(|meta| meta.modified()).expect("a time");
        assert!(time > UNIX_EPOCH);
    }

    /// Writes reports to look at: `cargo nextest run --run-ignored all reports_to_look_at`.
    #[test]
    #[ignore = "for people: writes into the folder that LAB_REPORTS names"]
    fn reports_to_look_at() {
        let folder = PathBuf::from(std::env::var_os("LAB_REPORTS").expect("LAB_REPORTS names a folder"));
        for (name, total, to) in [("done", 39_000, 39_000), ("going", 39_000, 11_321), ("young", 39_000, 3)] {
            let folder = folder.join(name);
            std::fs::create_dir_all(&folder).expect("a folder");
            let mut report = Report::new(&folder);
            let mut board = super::super::tensorboard::TensorBoard::new(&folder);
            let begin = now() - 0.82 * to as f64;
            for event in made_up::run(0, to, total) {
                let time = begin + 0.82 * report.story.steps() as f64;
                report.take(&event, time).expect("taken");
                board.event(&event).expect("written");
                if name == "going" && report.story.steps() == 9000 && report.story.resumed.is_empty() {
                    report.story.resumed.push(9000);
                    let mut bad = made_up::health(9000, total);
                    (bad.verdict, bad.says) = (Verdict::Watch, "RankMe fell from 172 to 96 in five epochs.".into());
                    report.take(&Event::Health(bad), time).expect("taken");
                    let message = "tensorboard is switched off, the run goes on: No space left on device (os error 28)";
                    report.take(&Event::Warning { message: message.into() }, time).expect("taken");
                    let reason = "not an image that can be decoded: JPEG ends early";
                    let name = "/data/imagenet/train/n01440764/n01440764_10026.JPEG";
                    report.take(&Event::BadImage { name: name.into(), reason: reason.into() }, time).expect("taken");
                    let replay = "runs/a/bad-step-8999.safetensors".into();
                    report.take(&Event::BadStep { step: 8999, what: "ibot".into(), replay }, time).expect("taken");
                }
            }
            report.write().expect("written");
            board.finish();
        }
    }
}
