//! Health in a word and the numbers that led to it: is the model learning, or do all images become one?
//!
//! DINO can collapse in two ways (arXiv 2104.14294, §5.3): one prototype takes everything and the entropy of the
//! teacher falls to 0, or it stays anywhere and every image gets the same answer all the same. The second is seen in
//! what the answer tells of the image: the entropy of the mean answer less the mean entropy. MAE cannot collapse so, but
//! its features can.

use std::collections::VecDeque;

use super::event::{Step, Verdict};

/// Steps before which there is nothing to judge.
const YOUNG: u64 = 50;
/// Steps over which the loss is averaged.
const WINDOW: usize = 50;
/// Entropy of a teacher that puts everything on one prototype, as a share of ln K. Where that is another one from image
/// to image its answer still tells something: a run that has learned loses its centring so.
const SURE: f64 = 0.02;

/// What is looked at; what a method lacks is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Vitals {
    /// Steps made.
    pub step: u64,
    /// Steps of the warm-up.
    pub warmup: u64,
    /// Of the teacher's class tokens, as a share of ln K.
    pub teacher_entropy: Option<f64>,
    /// What the teacher's answer tells of the image, as a share of the most that a batch can show.
    pub information: Option<f64>,
    /// Of held-out features ([`crate::probe::health::rankme`]).
    pub rankme: f64,
    /// The best so far.
    pub best_rankme: f64,
    /// Of held-out features ([`crate::probe::health::feature_std`]).
    pub feature_std: f64,
    /// Mean of the last losses.
    pub loss: f64,
    /// The lowest such mean so far.
    pub best_loss: f64,
}

/// How a run went so far, for its verdict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Course {
    losses: VecDeque<f64>,
    best_loss: Option<f64>,
    best_rankme: f64,
    teacher: Vec<(String, f64)>,
}

impl Course {
    /// Remembers a step for the next verdict.
    pub fn note(&mut self, step: &Step) {
        self.stepped(step.loss);
        self.teacher.clone_from(&step.teacher);
    }

    /// Remembers a step's loss.
    pub fn stepped(&mut self, loss: f64) {
        self.losses.push_back(loss);
        if self.losses.len() > WINDOW {
            self.losses.pop_front();
        }
    }

    /// Remembers a look at features of this RankMe: what later ones are held to. A run that goes on is told of all that
    /// were, in their order between the steps.
    pub fn looked(&mut self, rankme: f64) {
        if let Some(loss) = self.loss() {
            self.best_loss = Some(self.best_loss.map_or(loss, |best| best.min(loss)));
        }
        self.best_rankme = self.best_rankme.max(rankme);
    }

    /// The mean of the last losses; nothing before the first.
    fn loss(&self) -> Option<f64> {
        (!self.losses.is_empty()).then(|| self.losses.iter().sum::<f64>() / self.losses.len() as f64)
    }

    /// The teacher's figures at the last step.
    pub fn teacher(&self) -> &[(String, f64)] {
        &self.teacher
    }

    /// The verdict on held-out features of this rank and spread, after so many steps.
    pub fn judge(&mut self, step: u64, warmup: u64, rankme: f64, feature_std: f64) -> (Verdict, String) {
        self.looked(rankme);
        let loss = self.loss().unwrap_or(0.0);
        let figure = |name: &str| self.teacher.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        verdict(&Vitals {
            step,
            warmup,
            teacher_entropy: figure("teacher_entropy"),
            information: figure("information"),
            rankme,
            best_rankme: self.best_rankme,
            feature_std,
            loss,
            best_loss: self.best_loss.unwrap_or(f64::INFINITY),
        })
    }
}

/// The verdict, and the numbers that led to it.
pub fn verdict(vitals: &Vitals) -> (Verdict, String) {
    let &Vitals { step, warmup, teacher_entropy, information, rankme, best_rankme, feature_std, loss, best_loss } =
        vitals;
    if !loss.is_finite() {
        return (Verdict::Diverging, format!("the loss is {loss:.3}; lower optim.base_lr"));
    }
    if !(rankme.is_finite() && feature_std.is_finite()) {
        let says = format!("the features are not finite (feature std {feature_std:.2}, RankMe {rankme:.1})");
        return (Verdict::Diverging, says);
    }
    if step < YOUNG {
        let made = if step == 1 { "1 step is made".to_owned() } else { format!("{step} steps are made") };
        return (Verdict::Young, made);
    }
    if let Some(says) = collapse(vitals) {
        // A new head tells little apart; the warm-up is there for that.
        return (if step < warmup { Verdict::Watch } else { Verdict::Collapsing }, says);
    }
    if let Some(entropy) = teacher_entropy.filter(|entropy| *entropy < SURE) {
        let told = information.unwrap_or_default();
        return (
            Verdict::Watch,
            format!(
                "teacher entropy {entropy:.2} of ln K: it is sure of every image; its answer tells {told:.2} of what it could"
            ),
        );
    }
    if rankme < 0.5 * best_rankme {
        return (Verdict::Watch, format!("RankMe fell to {rankme:.1} from {best_rankme:.1}"));
    }
    // A teacher that becomes less sure makes the loss of a healthy run rise: its answer and RankMe tell more.
    if teacher_entropy.is_none() && loss > 1.25 * best_loss + 0.05 {
        return (Verdict::Watch, format!("the loss rose to {loss:.3} from {best_loss:.3}"));
    }
    (Verdict::Good, format!("feature std {feature_std:.2}, RankMe {rankme:.1}"))
}

/// Why all images have become one, if they have.
fn collapse(vitals: &Vitals) -> Option<String> {
    let &Vitals { teacher_entropy, information, rankme, feature_std, .. } = vitals;
    let entropy = teacher_entropy.unwrap_or_default();
    if let Some(information) = information.filter(|information| *information < 0.05) {
        if entropy < SURE {
            return Some(format!("teacher entropy {entropy:.2} of ln K, one prototype takes all"));
        }
        return Some(format!(
            "teacher entropy {entropy:.2} of ln K, and its answer tells {information:.3} of what it could: every image \
             gets the same"
        ));
    }
    (feature_std < 0.1 || rankme < 1.5)
        .then(|| format!("feature std {feature_std:.2}, RankMe {rankme:.1}, all images become one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_that_is_told_again_is_judged_alike() {
        let mut course = Course::default();
        let steps = |course: &mut Course, loss: f64| (0..WINDOW).for_each(|_| course.stepped(loss));
        steps(&mut course, 0.4);
        assert_eq!(course.judge(60, 10, 30.0, 0.7).0, Verdict::Good);
        steps(&mut course, 0.7);
        let mut again = Course::default();
        steps(&mut again, 0.4);
        again.looked(30.0);
        steps(&mut again, 0.7);
        let (found, says) = course.judge(120, 10, 30.0, 0.7);
        assert!(found == Verdict::Watch && says.contains("the loss rose to 0.700 from 0.400"), "{says}");
        assert_eq!(again.judge(120, 10, 30.0, 0.7), (found, says));
    }

    #[test]
    fn each_illness_has_its_name() {
        let well = Vitals {
            step: 1000,
            warmup: 100,
            teacher_entropy: Some(0.6),
            information: Some(0.4),
            rankme: 40.0,
            best_rankme: 45.0,
            feature_std: 0.8,
            loss: 6.0,
            best_loss: 5.9,
        };
        let check = |vitals: Vitals, expected: Verdict, word: &str| {
            let (found, says) = verdict(&vitals);
            assert_eq!(found, expected, "{says}");
            assert!(says.contains(word), "{says}");
        };
        check(well, Verdict::Good, "RankMe 40.0");
        check(Vitals { step: 3, ..well }, Verdict::Young, "3 steps");
        let sure = Vitals { teacher_entropy: Some(0.01), ..well };
        check(sure, Verdict::Watch, "sure of every image; its answer tells 0.40");
        check(Vitals { information: Some(0.0), ..sure }, Verdict::Collapsing, "one prototype takes all");
        check(
            Vitals { teacher_entropy: Some(1.0), information: Some(0.0), ..well },
            Verdict::Collapsing,
            "gets the same",
        );
        check(Vitals { information: Some(0.0), warmup: 2000, ..well }, Verdict::Watch, "every image");
        check(Vitals { feature_std: 0.01, ..well }, Verdict::Collapsing, "feature std");
        check(Vitals { rankme: 10.0, ..well }, Verdict::Watch, "RankMe");
        check(Vitals { loss: 9.0, ..well }, Verdict::Good, "RankMe");
        check(Vitals { loss: 9.0, teacher_entropy: None, information: None, ..well }, Verdict::Watch, "loss rose");
        check(Vitals { loss: f64::NAN, ..well }, Verdict::Diverging, "base_lr");
        check(Vitals { rankme: f64::NAN, ..well }, Verdict::Diverging, "RankMe NaN");
    }
}
