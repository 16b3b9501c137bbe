//! Ending a run from outside: the first wish lets the step end and the run be saved, the second says to wait, the
//! third ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context as _, Result};

use crate::text;

/// What a wish to stop led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The run stops after this step.
    Stopping,
    /// It is being saved already.
    Saving,
    /// Enough: end without saving.
    Abort,
}

impl Asked {
    /// What it means for who asked.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Stopping => "Stopping after this step; the run is saved and can go on.",
            Self::Saving => "Saving, please wait. Once more ends at once without saving.",
            Self::Abort => "Ended at once; the last checkpoint stands.",
        }
    }
}

/// The wish to stop, shared by signals, keys and the run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    wanted: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
    /// Someone shows it on the whole screen, so that lines would only disturb.
    shown: Arc<AtomicBool>,
}

/// Exit status of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

impl Stop {
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
            text::note(asked.says());
            std::process::exit(INTERRUPTED);
        }
        if !self.shown.load(Ordering::SeqCst) {
            text::note(asked.says());
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
