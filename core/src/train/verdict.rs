//! Health in a word and the numbers that led to it: is the model learning, or do all images become one?
//!
//! DINO can collapse in two ways (arXiv 2104.14294, §5.3): one prototype takes everything, and the entropy of the
//! teacher falls to 0; or all prototypes become alike, the entropy rises to ln K, and nothing tells images apart. MAE
//! cannot collapse so, but its features can.

use super::event::Verdict;

/// Steps before which there is nothing to judge.
const YOUNG: u64 = 50;

/// What is looked at; what a method lacks is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Vitals {
    /// Steps made.
    pub step: u64,
    /// Of the teacher's class tokens, as a share of ln K.
    pub teacher_entropy: Option<f64>,
    /// Kullback-Leibler divergence of the student from the teacher, in nats.
    pub kl: Option<f64>,
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

/// The verdict, and the numbers that led to it.
pub fn verdict(vitals: &Vitals) -> (Verdict, String) {
    let &Vitals { step, teacher_entropy, kl, rankme, best_rankme, feature_std, loss, best_loss } = vitals;
    if !(loss.is_finite() && rankme.is_finite() && feature_std.is_finite()) {
        return (Verdict::Diverging, format!("the loss is {loss:.3}; lower optim.base_lr"));
    }
    if step < YOUNG {
        return (Verdict::Young, format!("{step} steps are made"));
    }
    if let Some(entropy) = teacher_entropy {
        if entropy < 0.05 {
            return (
                Verdict::Collapsing,
                format!("teacher entropy {entropy:.2} of ln K, one prototype takes all"),
            );
        }
        if let Some(kl) = kl.filter(|kl| entropy > 0.99 && *kl < 0.02) {
            return (
                Verdict::Collapsing,
                format!(
                    "teacher entropy {entropy:.2} of ln K and KL {kl:.3}, every image gets the same answer"
                ),
            );
        }
    }
    if feature_std < 0.1 || rankme < 2.0 {
        return (
            Verdict::Collapsing,
            format!("feature std {feature_std:.2}, RankMe {rankme:.1}, all images become one"),
        );
    }
    if rankme < 0.5 * best_rankme {
        return (Verdict::Watch, format!("RankMe fell to {rankme:.1} from {best_rankme:.1}"));
    }
    if loss > 1.25 * best_loss + 0.05 {
        return (Verdict::Watch, format!("the loss rose to {loss:.3} from {best_loss:.3}"));
    }
    (Verdict::Good, format!("feature std {feature_std:.2}, RankMe {rankme:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_illness_has_its_name() {
        let well = Vitals {
            step: 1000,
            teacher_entropy: Some(0.6),
            kl: Some(0.5),
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
        check(Vitals { teacher_entropy: Some(0.02), ..well }, Verdict::Collapsing, "teacher entropy 0.02 of ln K");
        check(Vitals { teacher_entropy: Some(1.0), kl: Some(0.0), ..well }, Verdict::Collapsing, "same answer");
        check(Vitals { feature_std: 0.01, ..well }, Verdict::Collapsing, "feature std");
        check(Vitals { rankme: 10.0, ..well }, Verdict::Watch, "RankMe");
        check(Vitals { loss: 9.0, ..well }, Verdict::Watch, "loss");
        check(Vitals { loss: f64::NAN, ..well }, Verdict::Diverging, "base_lr");
    }
}
