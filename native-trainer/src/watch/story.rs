//! What a run did so far, gathered from its events: the one memory behind report and dashboard.
//!
//! It is bounded: curves are [`Curve`]s, lists keep their newest entries and count the rest.

use std::collections::VecDeque;

use lab_core::config::Pooling;
use lab_core::train::event::{Event, Health, Started, Step, Verdict};

use super::curve::Curve;

/// Entries that a list of incidents keeps.
const KEPT: usize = 40;

/// What a curve belongs to; a group is drawn together or side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// The objective and its terms.
    Loss,
    /// Norms of gradients.
    Norm,
    /// Learning rate and its like.
    Schedule,
    /// Figures of the teacher at a step.
    Teacher,
    /// Figures of a look.
    Health,
    /// Images a second, waiting.
    Speed,
}

/// A figure over the run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Where it belongs.
    pub(crate) group: Group,
    /// As the event calls it.
    pub(crate) name: String,
    /// Over steps.
    pub(crate) curve: Curve,
}

/// The newest of many, and how many there were.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Newest<T> {
    kept: VecDeque<T>,
    /// All that came.
    pub(crate) count: u64,
}

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new(), count: 0 }
    }
}

impl<T> Newest<T> {
    fn push(&mut self, entry: T) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(entry);
        self.count += 1;
    }

    /// Those that are kept, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.kept.iter()
    }
}

/// A checkpoint that is on disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saved {
    /// Steps made.
    pub(crate) step: u64,
    /// Where.
    pub(crate) path: String,
    /// Seconds that it took.
    pub(crate) seconds: f64,
    /// When, in seconds since 1970.
    pub(crate) time: f64,
}

/// A step that gave numbers that are not finite.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BadStep {
    /// Its number.
    pub(crate) step: u64,
    /// What was not finite.
    pub(crate) what: String,
    /// The replay file.
    pub(crate) replay: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Finished {
    /// Steps made.
    pub(crate) step: u64,
    /// Whether before its end.
    pub(crate) stopped: bool,
    /// Seconds of the last session.
    pub(crate) seconds: f64,
}

/// A run so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    /// How the current session began.
    pub(crate) started: Option<Started>,
    /// Steps at which later sessions went on.
    pub(crate) resumed: Vec<u64>,
    /// When the first session began, in seconds since 1970.
    pub(crate) begin: Option<f64>,
    /// When the last event came.
    pub(crate) now: f64,
    /// The last step.
    pub(crate) last: Option<Step>,
    /// The last look.
    pub(crate) health: Option<Health>,
    /// All curves, in the order in which they first came.
    pub(crate) series: Vec<Series>,
    /// The last checkpoint.
    pub(crate) saved: Option<Saved>,
    /// Checkpoints written.
    pub(crate) saves: u64,
    /// Images that could not be used: name and reason.
    pub(crate) bad_images: Newest<(String, String)>,
    /// Steps that gave numbers that are not finite.
    pub(crate) bad_steps: Newest<BadStep>,
    /// Warnings, each with the step at which it came.
    pub(crate) warnings: Newest<(u64, String)>,
    /// How it ended; nothing while it runs.
    pub(crate) finished: Option<Finished>,
    /// Mean seconds from step to step of late, and over how many; whatever lies between steps included.
    pace: (f64, u32),
    last_step_time: Option<f64>,
}

impl Story {
    /// Takes in an event that came at `now`, seconds since 1970.
    pub(crate) fn apply(&mut self, event: &Event, now: f64) {
        self.now = now;
        match event {
            Event::Started(started) => {
                if started.step > 0 && self.resumed.last() != Some(&started.step) {
                    self.resumed.push(started.step);
                }
                self.begin.get_or_insert(now);
                self.started = Some(started.clone());
                self.finished = None;
                (self.pace, self.last_step_time) = ((0.0, 0), None);
            }
            Event::Step(step) => self.step(step, now),
            Event::Health(health) => {
                for (name, value) in &health.figures {
                    self.push(Group::Health, name, health.step, *value);
                }
                self.health = Some(health.clone());
            }
            Event::Look(_) => {}
            Event::Saved { step, path, seconds } => {
                self.saves += 1;
                self.saved = Some(Saved { step: *step, path: path.clone(), seconds: *seconds, time: now });
            }
            Event::BadImage { name, reason } => self.bad_images.push((name.clone(), reason.clone())),
            Event::BadStep { step, what, replay } => {
                self.bad_steps.push(BadStep { step: *step, what: what.clone(), replay: replay.clone() });
            }
            Event::Warning { message } => self.warnings.push((self.steps(), message.clone())),
            Event::Finished { step, stopped, seconds } => {
                self.finished = Some(Finished { step: *step, stopped: *stopped, seconds: *seconds });
            }
        }
    }

    fn step(&mut self, step: &Step, now: f64) {
        if let Some(before) = self.last_step_time {
            // A plain mean at first, then one that forgets what lies more than some hundred steps back.
            let (mean, count) = self.pace;
            let count = (count + 1).min(100);
            self.pace = (mean + ((now - before).max(0.0) - mean) / f64::from(count), count);
        }
        self.last_step_time = Some(now);
        let at = step.step;
        self.push(Group::Loss, "loss", at, step.loss);
        let groups = [(Group::Loss, &step.losses), (Group::Norm, &step.norms), (Group::Teacher, &step.teacher)];
        for (group, figures) in groups {
            for (name, value) in figures {
                self.push(group, name, at, *value);
            }
        }
        self.push(Group::Schedule, "lr", at, step.lr);
        self.push(Group::Schedule, "weight_decay", at, step.weight_decay);
        // Zero says that there is no teacher.
        for (name, value) in [("momentum", step.momentum), ("teacher_temp", step.teacher_temp)] {
            if value != 0.0 {
                self.push(Group::Schedule, name, at, value);
            }
        }
        self.push(Group::Speed, "images_per_sec", at, step.images_per_sec);
        self.push(Group::Speed, "data_wait", at, step.data_wait);
        self.last = Some(step.clone());
    }

    fn push(&mut self, group: Group, name: &str, step: u64, value: f64) {
        let known = self.series.iter().position(|series| series.group == group && series.name == name);
        let at = known.unwrap_or_else(|| {
            self.series.push(Series { group, name: name.to_owned(), curve: Curve::default() });
            self.series.len() - 1
        });
        self.series[at].curve.push(step as f64, value);
    }

    /// A curve by its name.
    pub(crate) fn curve(&self, group: Group, name: &str) -> Option<&Curve> {
        self.series.iter().find(|series| series.group == group && series.name == name).map(|series| &series.curve)
    }

    /// The curves of a group, in the order in which they came.
    pub(crate) fn group(&self, group: Group) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(move |series| series.group == group)
    }

    /// A figure that either steps or looks tell; steps tell more often.
    pub(crate) fn figure(&self, name: &str) -> Option<&Curve> {
        self.curve(Group::Teacher, name).or_else(|| self.curve(Group::Health, name))
    }

    /// The k-NN accuracy that the method is judged by.
    pub(crate) fn judged(&self) -> &'static str {
        self.started.as_ref().map_or(Pooling::Cls, |started| started.method.judged_by()).knn_figure()
    }

    /// Steps made.
    pub(crate) fn steps(&self) -> u64 {
        let made = self.last.as_ref().map_or(0, |step| step.step + 1);
        made.max(self.started.as_ref().map_or(0, |started| started.step))
    }

    /// Steps of the whole run.
    pub(crate) fn total_steps(&self) -> u64 {
        self.started.as_ref().map_or(0, |started| started.total_steps)
    }

    /// Share of the run that is made, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        (self.steps() as f64 / self.total_steps().max(1) as f64).clamp(0.0, 1.0)
    }

    /// Seconds to the end at the pace of late; nothing before two steps of this session.
    pub(crate) fn seconds_left(&self) -> Option<f64> {
        let (pace, count) = self.pace;
        (count > 0).then(|| pace * self.total_steps().saturating_sub(self.steps()) as f64)
    }

    /// Epochs made, and epochs of the whole run.
    pub(crate) fn epochs(&self) -> (f64, f64) {
        let length = self.started.as_ref().map_or(1, |started| started.epoch_length).max(1) as f64;
        let made = self.last.as_ref().map_or(self.steps() as f64 / length, |step| step.epoch);
        (made, self.total_steps() as f64 / length)
    }

    /// Health in a word; young before the first look.
    pub(crate) fn verdict(&self) -> Verdict {
        self.health.as_ref().map_or(Verdict::Young, |health| health.verdict)
    }
}

/// A verdict as people read it.
pub(crate) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Young => "too early to tell",
        Verdict::Good => "learning",
        Verdict::Watch => "watch it",
        Verdict::Collapsing => "collapsing",
        Verdict::Diverging => "diverging",
    }
}

/// A figure's name for people: `dino_local` is `local`, `ibot_head` is `ibot head`.
pub(crate) fn short(name: &str) -> String {
    match name {
        "dino_local" | "dino_global" => name[5..].to_owned(),
        "rankme" => "RankMe".to_owned(),
        "teacher_entropy" => "entropy".to_owned(),
        "knn_cls" => "k-NN cls".to_owned(),
        "knn_mean" => "k-NN mean".to_owned(),
        "knn_pixels" => "k-NN pixels".to_owned(),
        "kl" => "KL".to_owned(),
        _ => name.replace('_', " "),
    }
}

/// A number for people, in at most four digits or as a power of ten.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return format!("{value}");
    }
    let text = match size {
        _ if !(1e-3..1e6).contains(&size) => format!("{value:.1e}"),
        _ if size >= 1000.0 => format!("{value:.0}"),
        _ if size >= 100.0 => format!("{value:.1}"),
        _ if size >= 10.0 => format!("{value:.2}"),
        _ if size >= 0.1 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    };
    text.replace(".0e", "e")
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (7.4231, "7.423"),
            (-0.25, "-0.250"),
            (312.44, "312.4"),
            (2.1e-4, "2.1e-4"),
            (2e-4, "2e-4"),
            (0.0412, "0.0412"),
            (123_456.0, "123456"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn a_story_counts_and_looks_ahead() {
        let mut story = Story::default();
        assert_eq!((story.steps(), story.share(), story.seconds_left()), (0, 0.0, None));
        story.apply(&Event::Started(made_up::started(0, 100)), 1000.0);
        for step in 0..50 {
            story.apply(&Event::Step(made_up::step(step, 100)), 1010.0 + 2.0 * step as f64);
        }
        assert_eq!((story.steps(), story.share()), (50, 0.5));
        assert_eq!(story.seconds_left(), Some(100.0), "two seconds a step, fifty to go; the first wait is no step");
        assert_eq!(story.curve(Group::Loss, "loss").map(|curve| curve.thinned(1000).len()), Some(50));
        assert!(story.figure("teacher_entropy").is_some() && story.figure("nothing").is_none());
    }

    #[test]
    fn lists_keep_the_newest_and_count_all() {
        let mut story = Story::default();
        for number in 0..100 {
            story.apply(&Event::BadImage { name: format!("{number}.jpg"), reason: "torn".into() }, 0.0);
        }
        assert_eq!(story.bad_images.count, 100);
        assert_eq!(story.bad_images.iter().count(), KEPT);
        assert_eq!(story.bad_images.iter().next_back().map(|(name, _)| name.as_str()), Some("99.jpg"));
    }
}
