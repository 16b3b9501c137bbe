//! What shows a run while it goes on and afterwards: terminal, diary, TensorBoard, report.
//!
//! Each consumes the events of `lab_core::train::event` and knows nothing of the others, nor of the run.
//! Watching never ends a run: a watcher that fails, on a full disk say, is told of once and switched off.

mod curve;
mod dashboard;
pub(crate) mod jsonl;
mod looks;
#[cfg(test)]
mod made_up;
mod plain;
mod report;
mod stop;
mod story;
mod tensorboard;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use lab_core::train::event::Event;

pub(crate) use stop::{Asked, INTERRUPTED, Stop, Work};

use crate::text;

/// Someone who watches a run.
pub(crate) trait Watcher {
    /// What messages call it.
    fn name(&self) -> &'static str;

    /// Takes in an event. After an error it is not asked again.
    ///
    /// # Errors
    /// When it cannot go on, because a file cannot be written for instance.
    fn event(&mut self, event: &Event) -> Result<()>;

    /// The run is over, or the watcher failed: brings to an end what is under way.
    fn finish(&mut self);
}

/// Which watchers a run has besides its diary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Event files for TensorBoard.
    pub(crate) tensorboard: bool,
    /// `report.html`.
    pub(crate) report: bool,
    /// The dashboard, where there is a terminal; else lines.
    pub(crate) dashboard: bool,
}

/// All who watch a run.
pub(crate) struct Watchers {
    all: Vec<Box<dyn Watcher>>,
}

impl Watchers {
    /// Those that are wanted for the run in `folder`. `stop` is what the dashboard's keys ask.
    pub(crate) fn open(folder: &Path, wanted: Wanted, stop: &Stop) -> Self {
        // The diary comes first: the report reads it, once it has been cut to where the run goes on.
        let mut all: Vec<Box<dyn Watcher>> = vec![Box::new(jsonl::Jsonl::new(folder))];
        if wanted.tensorboard {
            all.push(Box::new(tensorboard::TensorBoard::new(folder)));
        }
        if wanted.report {
            all.push(Box::new(report::Report::new(folder)));
        }
        let mut trouble = None;
        let dashboard = if wanted.dashboard && dashboard::is_possible() {
            dashboard::Dashboard::open(folder, stop).map_err(|error| trouble = Some(error)).ok()
        } else {
            None
        };
        match dashboard {
            Some(dashboard) => all.push(Box::new(dashboard)),
            None => all.push(Box::new(plain::Plain::new())),
        }
        let mut watchers = Self { all };
        if let Some(error) = trouble {
            watchers.event(&Event::Warning { message: format!("no dashboard, lines instead: {error:#}") });
        }
        watchers
    }

    /// Tells everyone. Who fails is switched off, and the others hear of it as of a warning.
    pub(crate) fn event(&mut self, event: &Event) {
        let mut news = vec![event.clone()];
        while let Some(event) = news.pop() {
            let mut failed = Vec::new();
            self.all.retain_mut(|watcher| match watcher.event(&event) {
                Ok(()) => true,
                Err(error) => {
                    failed.push(format!("{} is switched off, the run goes on: {error:#}", watcher.name()));
                    watcher.finish();
                    false
                }
            });
            if self.all.is_empty() {
                failed.iter().for_each(|message| text::note(&format!("warning: {message}")));
            }
            news.extend(failed.into_iter().map(|message| Event::Warning { message }));
        }
    }

    /// Ends all.
    pub(crate) fn finish(mut self) {
        self.all.iter_mut().for_each(|watcher| watcher.finish());
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    type Heard = Rc<RefCell<Vec<String>>>;

    /// Fails from its `patience`th event on; writes down what it hears.
    struct Fake {
        patience: usize,
        heard: Heard,
    }

    impl Watcher for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn event(&mut self, event: &Event) -> Result<()> {
            anyhow::ensure!(self.patience > 0, "no space left");
            self.patience -= 1;
            self.heard.borrow_mut().push(match event {
                Event::Warning { message } => message.clone(),
                Event::Saved { step, .. } => format!("saved {step}"),
                _ => "other".to_owned(),
            });
            Ok(())
        }

        fn finish(&mut self) {
            self.heard.borrow_mut().push("finish".to_owned());
        }
    }

    fn saved(step: u64) -> Event {
        Event::Saved { step, path: "x".into(), seconds: 0.1 }
    }

    #[test]
    fn who_fails_is_told_of_once_and_switched_off() {
        let (weak, strong) = (Heard::default(), Heard::default());
        let fake = |patience, heard: &Heard| -> Box<dyn Watcher> { Box::new(Fake { patience, heard: heard.clone() }) };
        let mut watchers = Watchers { all: vec![fake(1, &weak), fake(usize::MAX, &strong)] };
        (0..4).for_each(|step| watchers.event(&saved(step)));
        watchers.finish();
        assert_eq!(*weak.borrow(), ["saved 0", "finish"]);
        let warning = "fake is switched off, the run goes on: no space left";
        assert_eq!(*strong.borrow(), ["saved 0", "saved 1", warning, "saved 2", "saved 3", "finish"]);
    }

    #[test]
    fn when_all_have_failed_the_run_still_goes_on() {
        let heard = Heard::default();
        let mut watchers = Watchers { all: vec![Box::new(Fake { patience: 0, heard: heard.clone() })] };
        (0..3).for_each(|step| watchers.event(&saved(step)));
        watchers.finish();
        assert_eq!(*heard.borrow(), ["finish"]);
    }

    #[test]
    fn a_run_folder_gets_what_is_wanted() {
        let folder = tempfile::tempdir().expect("a folder");
        for (wanted, expected) in [
            (Wanted { tensorboard: false, report: false, dashboard: false }, vec!["events.jsonl"]),
            (
                Wanted { tensorboard: true, report: true, dashboard: false },
                vec!["events.jsonl", "looks", "report.html", "tensorboard"],
            ),
        ] {
            let mut watchers = Watchers::open(folder.path(), wanted, &Stop::default());
            made_up::run(0, 20, 20).iter().for_each(|event| watchers.event(event));
            watchers.finish();
            let entries = std::fs::read_dir(folder.path()).expect("a folder");
            let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
            names.sort();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn a_folder_that_went_away_ends_no_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let gone = folder.path().join("gone");
        std::fs::write(&gone, b"a file, so that no folder can be made").expect("written");
        let wanted = Wanted { tensorboard: true, report: true, dashboard: false };
        let mut watchers = Watchers::open(&gone, wanted, &Stop::default());
        made_up::run(0, 20, 20).iter().for_each(|event| watchers.event(event));
        assert_eq!(watchers.all.len(), 1, "the lines are left");
        watchers.finish();
    }
}
