//! Lines for where there is no terminal: the first step, then one every few seconds, and what matters at once.

use std::time::Duration;

use anyhow::Result;
use lab_core::train::event::{Event, Started, Step};

use super::story::{Story, number, short, verdict_word};
use super::{Watcher, now};
use crate::progress::duration;
use crate::text;

/// Seconds between two lines about steps.
const PAUSE: f64 = 5.0;
/// Bad images that are told one by one.
const BAD_IMAGES: u64 = 5;

/// Lines on standard error.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    story: Story,
    last_line: Option<f64>,
}

impl Plain {
    /// Nothing said yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// What is to be said about an event that came at `now`, seconds since 1970.
    fn line(&mut self, event: &Event, now: f64) -> Option<String> {
        self.story.apply(event, now);
        match event {
            Event::Started(started) => {
                self.last_line = None;
                Some(begin(started))
            }
            Event::Step(step) => {
                if self.last_line.is_some_and(|last| now - last < PAUSE) {
                    return None;
                }
                self.last_line = Some(now);
                Some(step_line(step, &self.story))
            }
            Event::Health(health) => {
                Some(format!("health at step {}: {}: {}", health.step, verdict_word(health.verdict), health.says))
            }
            Event::Look(_) => None,
            Event::Saved { step, path, seconds } => Some(format!("saved step {step} in {seconds:.1} s: {path}")),
            Event::BadImage { name, reason } => match self.story.bad_images.count {
                count if count < BAD_IMAGES => Some(format!("cannot use {name}: {reason}")),
                BAD_IMAGES => Some(format!("cannot use {name}: {reason}; more of these are only counted")),
                _ => None,
            },
            Event::BadStep { step, what, replay } => {
                Some(format!("step {step} is left out: {what} is not finite; replay: {replay}"))
            }
            Event::Warning { message } => Some(format!("warning: {message}")),
            Event::Finished { .. } => end(&self.story),
        }
    }
}

impl Watcher for Plain {
    fn name(&self) -> &'static str {
        "the terminal's lines"
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        if let Some(line) = self.line(event, now()) {
            text::note(&line);
        }
        Ok(())
    }

    fn finish(&mut self) {}
}

fn begin(started: &Started) -> String {
    let Started { method, device, parameters, images, batch_size, step, total_steps, epoch_length, .. } = started;
    let epochs = *total_steps as f64 / (*epoch_length).max(1) as f64;
    let mut line = format!(
        "{} on {device}: {} parameters, {}, {batch_size} a step, {total_steps} steps ({epochs:.1} epochs)",
        method.title(),
        text::count(*parameters),
        text::plural(*images, "image")
    );
    if *step > 0 {
        line += &format!("; goes on at step {step}");
    }
    line
}

fn step_line(step: &Step, story: &Story) -> String {
    let terms: Vec<_> = step.losses.iter().map(|(name, value)| format!("{} {}", word(name), number(*value))).collect();
    // A single term is the loss itself.
    let terms = if terms.len() > 1 { format!(" ({})", terms.join(" ")) } else { String::new() };
    let mut line = format!(
        "step {}/{}  epoch {:.1}  loss {}{terms}  lr {:.1e}  {:.0} images/s  data wait {:.0}%",
        step.step,
        story.total_steps(),
        step.epoch,
        number(step.loss),
        step.lr,
        step.images_per_sec,
        100.0 * step.data_wait
    );
    if let Some(left) = story.seconds_left() {
        line += &format!("  {} left", people(left));
    }
    line
}

/// The last words about a run; nothing while it goes on.
pub(super) fn end(story: &Story) -> Option<String> {
    let finished = story.finished?;
    let how = if finished.stopped { "stopped" } else { "finished" };
    let mut line = format!("{how} at step {} after {}", finished.step, people(finished.seconds));
    for (count, word) in [(story.bad_images.count, "bad image"), (story.bad_steps.count, "bad step")] {
        if count > 0 {
            line += &format!(", {}", text::plural(count, word));
        }
    }
    if let Some(health) = &story.health {
        // The last look may be a while ago.
        let when = if health.step == finished.step { String::new() } else { format!("at step {} ", health.step) };
        line += &format!("; {when}{}: {}", verdict_word(health.verdict), health.says);
    }
    Some(line)
}

/// Seconds for people.
pub(super) fn people(seconds: f64) -> String {
    duration(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
}

/// A term's name in a line, without spaces.
fn word(name: &str) -> String {
    short(name).replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::*;

    #[test]
    fn a_line_says_where_the_run_is() {
        let mut plain = Plain::new();
        let line = plain.line(&Event::Started(made_up::started(1200, 39_000)), 0.0).expect("a line");
        assert_eq!(
            line,
            "DINOv2 on NVIDIA H200 (wgpu, Vulkan): 48.9 M parameters, 129395 images, 256 a step, 39000 steps (77.2 epochs); goes on at step 1200"
        );
        let step = |number: u64| {
            let losses = [("dino_local", 5.9), ("dino_global", 0.8), ("ibot", 2.1), ("koleo", -0.2)];
            Event::Step(Step {
                epoch: 3.11,
                loss: 7.4231,
                losses: losses.map(|(name, value)| (name.to_owned(), value)).into(),
                lr: 2.1e-4,
                images_per_sec: 312.4,
                data_wait: 0.031,
                ..made_up::step(number, 39_000)
            })
        };
        let terms = "loss 7.423 (local 5.900 global 0.800 ibot 2.100 koleo -0.200)";
        let rest = "lr 2.1e-4  312 images/s  data wait 3%";
        let first = format!("step 1200/39000  epoch 3.1  {terms}  {rest}");
        assert_eq!(plain.line(&step(1200), 10.0), Some(first));
        // Six seconds a step, and 37798 to go.
        let next = format!("step 1201/39000  epoch 3.1  {terms}  {rest}  62:59:48 left");
        assert_eq!(plain.line(&step(1201), 16.0), Some(next));
    }

    #[test]
    fn lines_about_steps_are_far_between_and_what_matters_comes_at_once() {
        let mut plain = Plain::new();
        let count = |plain: &mut Plain, event: &Event, now: f64| usize::from(plain.line(event, now).is_some());
        assert_eq!(count(&mut plain, &Event::Started(made_up::started(0, 1000)), 0.0), 1);
        let steps: usize =
            (0..1000).map(|step| count(&mut plain, &Event::Step(made_up::step(step, 1000)), step as f64 * 0.1)).sum();
        assert_eq!(steps, 20, "a hundred seconds, one line in five");
        for event in [
            Event::Health(made_up::health(1000, 1000)),
            Event::Saved { step: 1000, path: "x".into(), seconds: 0.5 },
            Event::BadStep { step: 1000, what: "ibot".into(), replay: "x".into() },
            Event::Warning { message: "x".into() },
            Event::Finished { step: 1000, stopped: true, seconds: 100.0 },
        ] {
            assert_eq!(count(&mut plain, &event, 99.95), 1, "{event:?}");
        }
        assert_eq!(count(&mut plain, &Event::Look(made_up::look(0, 1, 1)), 99.95), 0);
        let bad = Event::BadImage { name: "a.jpg".into(), reason: "torn".into() };
        assert_eq!((0..50).map(|_| count(&mut plain, &bad, 100.0)).sum::<usize>(), 5);
    }

    #[test]
    fn the_last_words_sum_up() {
        let mut plain = Plain::new();
        plain.line(&Event::BadImage { name: "a.jpg".into(), reason: "torn".into() }, 0.0);
        let line = plain.line(&Event::Finished { step: 70, stopped: true, seconds: 245.0 }, 0.0);
        assert_eq!(line.as_deref(), Some("stopped at step 70 after 4:05, 1 bad image"));
        let mut plain = Plain::new();
        let health = made_up::health(60, 1000);
        let said = format!("{}: {}", verdict_word(health.verdict), health.says);
        plain.line(&Event::Health(health), 0.0);
        let mut ends = |step| plain.line(&Event::Finished { step, stopped: true, seconds: 245.0 }, 0.0);
        assert_eq!(ends(70), Some(format!("stopped at step 70 after 4:05; at step 60 {said}")));
        assert_eq!(ends(60), Some(format!("stopped at step 60 after 4:05; {said}")));
    }

    #[test]
    fn a_single_term_is_not_told_twice() {
        let step = Step { losses: vec![("mae".into(), 0.6)], loss: 0.6, ..made_up::step(0, 10) };
        assert!(step_line(&step, &Story::default()).contains("loss 0.600  lr"));
    }
}
