//! How far a run is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::text;

/// Time between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// The progress of one task.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    task: &'static str,
    unit: Unit,
    total: u64,
    done: u64,
    start: Instant,
    last_line: Instant,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Images, with their rate.
    Images,
    /// Bytes, with their rate.
    Bytes,
}

impl Progress {
    /// Begins at zero of `total`.
    pub(crate) fn new(task: &'static str, unit: Unit, total: u64) -> Self {
        let template = match unit {
            Unit::Images => {
                "{prefix} [{bar:30}] {human_pos}/{human_len} images  {images_per_sec}  {eta_precise} left  {msg}"
            }
            Unit::Bytes => {
                "{prefix} [{bar:30}] {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left"
            }
        };
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .with_key("images_per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{:.1}/s", state.per_sec());
                })
                .progress_chars("=> ");
            let bar = ProgressBar::new(total).with_style(style).with_prefix(task);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        let now = Instant::now();
        Self { bar, task, unit, total, done: 0, start: now, last_line: now }
    }

    /// Moves to `done` of `total`; `total` may become known late.
    pub(crate) fn set(&mut self, done: u64, total: u64) {
        (self.done, self.total) = (done, total);
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
            }
            None if self.last_line.elapsed() >= PAUSE => {
                self.last_line = Instant::now();
                text::note(&self.line());
            }
            None => {}
        }
    }

    /// A word behind the bar.
    pub(crate) fn message(&self, message: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(message);
        }
    }

    /// Prints a line without disturbing the bar.
    pub(crate) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| text::note(line)),
            None => text::note(line),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self) -> String {
        let seconds = self.start.elapsed().as_secs_f64();
        let rate = self.done as f64 / seconds.max(1e-9);
        let left = if self.done == 0 { 0.0 } else { self.total.saturating_sub(self.done) as f64 / rate };
        let left = duration(Duration::from_secs_f64(left.min(1e9)));
        match self.unit {
            Unit::Images => format!("{}: {}/{} images, {rate:.1}/s, {left} left", self.task, self.done, self.total),
            Unit::Bytes => {
                let [done, total, rate] = [self.done, self.total, rate as u64].map(text::bytes);
                format!("{}: {done} of {total}, {rate}/s, {left} left", self.task)
            }
        }
    }
}

/// A duration for people: `3.2 s`, `4:05`, `1:02:03`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) => format!("{:.1} s", duration.as_secs_f64()),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (seconds, expected) in [(0.26, "0.3 s"), (59.94, "59.9 s"), (245.0, "4:05"), (3723.0, "1:02:03")] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), expected);
        }
    }
}
