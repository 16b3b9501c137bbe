//! Ending a run from outside: the first wish lets the step (or the batch) end and what there is be saved, the second
//! says to wait, the third ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context as _, Result};

use crate::text;

/// What is to be stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Work {
    /// A run of `pretrain`, which saves itself and can go on.
    #[default]
    Training,
    /// A file of embeddings, whose rows so far are kept.
    Embedding,
}

/// What a wish to stop led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The run stops after this step, or this batch.
    Stopping,
    /// It is being saved already.
    Saving,
    /// Enough: end without saving.
    Abort,
}

impl Asked {
    /// What it means for who asked.
    pub(crate) fn says(self, work: Work) -> &'static str {
        match (work, self) {
            (Work::Training, Self::Stopping) => "Stopping after this step; the run is saved and can go on.",
            (Work::Training, Self::Saving) => "Saving, please wait. Once more ends at once without saving.",
            (Work::Training, Self::Abort) => "Ended at once; the last checkpoint stands.",
            (Work::Embedding, Self::Stopping) => "Stopping after this batch; what is embedded so far is kept.",
            (Work::Embedding, Self::Saving) => {
                "Ending the file, please wait. Once more ends at once and leaves it broken."
            }
            (Work::Embedding, Self::Abort) => "Ended at once; the partial file is broken.",
        }
    }
}

/// The wish to stop, shared by signals, keys and the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    work: Work,
    wanted: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
    /// Someone shows it on the whole screen, so that lines would only disturb.
    shown: Arc<AtomicBool>,
}

/// Exit status of a program that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

impl Stop {
    /// Nobody has asked yet.
    pub(crate) fn of(work: Work) -> Self {
        Self { work, ..Self::default() }
    }

    /// What the run looks at between two steps.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.wanted.clone()
    }

    /// Asks once more.
    pub(crate) fn ask(&self) -> Asked {
        self.wanted.store(true, Ordering::SeqCst);
        match self.asked.fetch_add(1, Ordering::SeqCst) {
            0 => Asked::Stopping,
            1 => Asked::Saving,
            _ => Asked::Abort,
        }
    }

    /// What the last wish led to; nothing before the first.
    pub(crate) fn asked(&self) -> Option<Asked> {
        match self.asked.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(Asked::Stopping),
            2 => Some(Asked::Saving),
            _ => Some(Asked::Abort),
        }
    }

    /// Whether someone shows on the whole screen what was asked.
    pub(crate) fn set_shown(&self, shown: bool) {
        self.shown.store(shown, Ordering::SeqCst);
    }

    /// Asks, tells, and ends the program if it must.
    pub(crate) fn ask_aloud(&self) {
        let asked = self.ask();
        if asked == Asked::Abort {
            super::dashboard::leave_screen();
            text::note(asked.says(self.work));
            std::process::exit(INTERRUPTED.into());
        }
        if !self.shown.load(Ordering::SeqCst) {
            text::note(asked.says(self.work));
        }
    }

    /// Takes Ctrl-C, and on Unix SIGTERM and SIGHUP, as wishes to stop. Once a program.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(crate) fn on_signals(&self) -> Result<()> {
        let stop = self.clone();
        ctrlc::set_handler(move || stop.ask_aloud()).context("cannot listen to signals")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_wish_ends_it() {
        let stop = Stop::default();
        let flag = stop.flag();
        assert_eq!((stop.asked(), flag.load(Ordering::SeqCst)), (None, false));
        for expected in [Asked::Stopping, Asked::Saving, Asked::Abort, Asked::Abort] {
            assert_eq!(stop.clone().ask(), expected, "clones are one wish");
            assert_eq!(stop.asked(), Some(expected));
            assert!(flag.load(Ordering::SeqCst));
        }
    }

    #[cfg(unix)]
    #[test]
    fn signals_are_wishes() {
        use std::time::{Duration, Instant};
        let stop = Stop::default();
        stop.on_signals().expect("the first to ask");
        for (signal, expected) in [("-TERM", Asked::Stopping), ("-INT", Asked::Saving)] {
            let pid = std::process::id().to_string();
            let sent = std::process::Command::new("kill").args([signal, &pid]).status().expect("kill is there");
            assert!(sent.success());
            let patience = Instant::now() + Duration::from_secs(10);
            while stop.asked() != Some(expected) {
                assert!(Instant::now() < patience, "{signal} did not come through");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
