//! Values that change with the step: learning rate, weight decay, momentum, temperature.
//!
//! DINOv2's `CosineScheduler` (`utils/utils.py`): a linear warm-up that includes both its ends, then half a cosine, then
//! the final value. MAE's own (`util/lr_sched.py`) is the same with a warm-up that excludes its end.

use crate::config::{Config, Method};

/// A value for each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    start: f64,
    base: f64,
    end: f64,
    warmup: u64,
    total: u64,
    /// Whether the last step of the warm-up has the full value.
    closed: bool,
    /// Steps at the begin whose value is 0.
    frozen: u64,
}

impl Schedule {
    /// From `start` to `base` in `warmup` steps, then by a cosine to `end` at step `total`.
    pub fn cosine(start: f64, base: f64, end: f64, warmup: u64, total: u64) -> Self {
        Self { start, base, end, warmup, total, closed: true, frozen: 0 }
    }

    /// The value of a step, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.frozen {
            return 0.0;
        }
        if step < self.warmup {
            let last = if self.closed { self.warmup.saturating_sub(1).max(1) } else { self.warmup };
            return self.start + (self.base - self.start) * step as f64 / last as f64;
        }
        if step >= self.total {
            return self.end;
        }
        let share = (step - self.warmup) as f64 / (self.total - self.warmup) as f64;
        self.end + 0.5 * (self.base - self.end) * (1.0 + (std::f64::consts::PI * share).cos())
    }
}

/// All schedules of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedules {
    /// Learning rate.
    pub lr: Schedule,
    /// Of the prototypes, which keep still at first.
    pub last_layer_lr: Schedule,
    /// Weight decay.
    pub weight_decay: Schedule,
    /// Share of the old teacher kept.
    pub momentum: Schedule,
    /// The teacher's temperature.
    pub teacher_temp: Schedule,
    /// Steps of the run.
    pub total: u64,
    /// Steps of an epoch.
    pub epoch_length: u64,
}

impl Schedules {
    /// The schedules of a configuration over `images` images.
    pub fn new(config: &Config, images: u64) -> Self {
        let train = &config.train;
        let epoch_length = match train.epoch_length {
            0 => (images / train.batch_size as u64).max(1),
            steps => steps,
        };
        let steps = |epochs: f64| (epochs * epoch_length as f64) as u64;
        let total = steps(train.epochs).max(1);
        let (optim, teacher) = (&config.optim, &config.teacher);
        let warmup = steps(optim.warmup_epochs).min(total);
        let mut lr = Schedule::cosine(0.0, config.lr(), optim.min_lr, warmup, total);
        lr.closed = config.method == Method::Dinov2;
        let last_layer_lr = Schedule { frozen: steps(optim.freeze_last_layer_epochs), ..lr };
        let temp_warmup = steps(teacher.warmup_teacher_temp_epochs).min(total);
        let temp = teacher.teacher_temp;
        Self {
            lr,
            last_layer_lr,
            weight_decay: Schedule::cosine(0.0, optim.weight_decay, optim.weight_decay_end, 0, total),
            momentum: Schedule::cosine(0.0, teacher.momentum_teacher, teacher.final_momentum_teacher, 0, total),
            teacher_temp: Schedule::cosine(teacher.warmup_teacher_temp, temp, temp, temp_warmup, temp_warmup),
            total,
            epoch_length,
        }
    }

    /// Steps until the full learning rate.
    pub fn warmup(&self) -> u64 {
        self.lr.warmup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn the_warm_up_includes_its_ends_and_the_cosine_ends_at_its_end() {
        // numpy: concatenate(linspace(0, 1, 5), 0.1 + 0.45 * (1 + cos(pi * arange(10) / 10)))
        let schedule = Schedule::cosine(0.0, 1.0, 0.1, 5, 15);
        let expected = [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 0.977_975_432_332_819_2];
        for (step, &expected) in expected.iter().enumerate() {
            close(schedule.at(step as u64), expected);
        }
        close(schedule.at(10), 0.55);
        close(schedule.at(15), 0.1);
        close(schedule.at(1000), 0.1);
    }

    #[test]
    fn mae_reaches_the_full_rate_after_the_warm_up() {
        let settings = ["method=mae", "optim.warmup_epochs=2", "train.epochs=10", "train.epoch_length=10"];
        let settings = settings.map(ToOwned::to_owned);
        let config = Config::resolve(Some("tiny-mae"), None, &settings).expect("known");
        let schedules = Schedules::new(&config, 1000);
        // util/lr_sched.py: lr * epoch / warmup_epochs, epoch = step / steps of an epoch.
        close(schedules.lr.at(19), config.lr() * 1.9 / 2.0);
        close(schedules.lr.at(20), config.lr());
        close(schedules.lr.at(60), config.lr() * 0.5);
    }

    #[test]
    fn dinov2_values_of_the_published_run() {
        // vitg14.yaml: 625 000 steps, warm-up 100 000, lr 2e-4 * sqrt(3072 / 1024).
        let config = Config::resolve(Some("webdino-1b"), None, &[]).expect("known");
        let schedules = Schedules::new(&config, 2_000_000_000);
        assert_eq!(schedules.total, 625_000);
        close(schedules.lr.at(0), 0.0);
        close(schedules.lr.at(99_999), 2e-4 * 3f64.sqrt());
        close(schedules.last_layer_lr.at(1249), 0.0);
        close(schedules.last_layer_lr.at(1250), schedules.lr.at(1250));
        close(schedules.teacher_temp.at(0), 0.04);
        close(schedules.teacher_temp.at(37_499), 0.07);
        close(schedules.teacher_temp.at(600_000), 0.07);
        close(schedules.momentum.at(0), 0.994);
        close(schedules.momentum.at(625_000), 1.0);
        close(schedules.weight_decay.at(625_000), 0.2);
    }
}
