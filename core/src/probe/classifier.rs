//! A probe: classes learned from the frozen features of a few images, by k-NN and by a linear classifier, with an honest
//! estimate of how good they are.

use lab_protocol::{ProbeFeatures, ProbeReport};

use super::knn::{Labelled, classify, unit};
use super::linear::{Linear, Scaler, Settings, train};
use super::report::{best, report, stratified};
use crate::error::ProbeError;

/// Images a class needs: one to learn from while the other asks.
const NEEDED: usize = 2;
/// Folds of the cross-validation at most.
const FOLDS: usize = 5;

/// What a probe learns from.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `[n, dim]`.
    pub features: Vec<f32>,
    /// `[n]`, numbers of classes.
    pub labels: Vec<u32>,
    /// What each is called, for messages.
    pub names: Vec<String>,
    /// Numbers in a row.
    pub dim: usize,
}

/// How a probe is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choices {
    /// Which features.
    pub features: ProbeFeatures,
    /// Neighbours that vote.
    pub k: usize,
    /// Inverse strength of the linear classifier's penalty.
    pub c: f64,
    /// Scale each dimension to mean 0 and deviation 1 before the linear classifier.
    pub standardise: bool,
}

impl Default for Choices {
    fn default() -> Self {
        Self { features: ProbeFeatures::Cls, k: 5, c: 1.0, standardise: true }
    }
}

/// The model that made the features.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Its name.
    pub model: String,
    /// A short name for its weights.
    pub fingerprint: String,
    /// How pixels were prepared.
    pub preprocessing: String,
}

/// Two classifiers on the same features.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// How it was made.
    pub choices: Choices,
    /// By what model.
    pub origin: Origin,
    /// For the linear classifier.
    pub scaler: Scaler,
    /// The linear classifier.
    pub linear: Linear,
    /// The neighbours, of length 1.
    pub bank: Labelled,
}

/// How good a probe is, by images that it had not seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Reports {
    /// The k-NN classifier, each image asked of all others.
    pub knn: ProbeReport,
    /// The linear classifier, by cross-validation.
    pub linear: ProbeReport,
}

/// What is said of one image: probabilities `[classes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Shares of the neighbours' votes.
    pub knn: Vec<f64>,
    /// The linear classifier's.
    pub linear: Vec<f64>,
}

impl Answer {
    /// The linear classifier's choice.
    pub fn class(&self) -> usize {
        best(&self.linear)
    }
}

/// An image's features as a probe takes them.
pub fn features(cls: &[f32], mean: &[f32], which: ProbeFeatures) -> Vec<f32> {
    match which {
        ProbeFeatures::Cls => cls.to_vec(),
        ProbeFeatures::Mean => mean.to_vec(),
        ProbeFeatures::Both => [cls, mean].concat(),
    }
}

impl Examples {
    /// At least two classes, each with enough images, all of finite numbers.
    fn check(&self) -> Result<usize, ProbeError> {
        let count = |class: usize| self.labels.iter().filter(|&&label| label as usize == class).count();
        let counts: Vec<usize> = (0..self.classes.len()).map(count).collect();
        let used = counts.iter().filter(|&&count| count > 0).count();
        if used < 2 {
            let found = if used == 1 { "only one class" } else { "no class" };
            return Err(ProbeError::TooFewClasses { found: found.to_owned() });
        }
        if let Some(class) = counts.iter().position(|&count| count < NEEDED) {
            let (class, found) = (self.classes[class].clone(), counts[class]);
            return Err(ProbeError::TooFewImages { class, found, expected: NEEDED });
        }
        if let Some(at) = self.features.iter().position(|value| !value.is_finite()) {
            let image = self.names.get(at / self.dim).cloned().unwrap_or_else(|| "an image".to_owned());
            return Err(ProbeError::NotFinite { image });
        }
        Ok(counts.into_iter().min().unwrap_or(0))
    }

    fn row(&self, index: usize) -> &[f32] {
        &self.features[index * self.dim..][..self.dim]
    }

    /// Scaler and linear classifier learned from some of the rows.
    fn learn(&self, rows: &[usize], choices: &Choices, settings: &Settings, warm: Option<&Linear>) -> (Scaler, Linear) {
        let scaler = match choices.standardise {
            true => Scaler::fit(&self.features, self.dim, rows),
            false => Scaler::none(self.dim),
        };
        let scaled: Vec<f64> = rows.iter().flat_map(|&row| scaler.apply(self.row(row))).collect();
        let labels: Vec<u32> = rows.iter().map(|&row| self.labels[row]).collect();
        let linear = train(&scaled, &labels, self.dim, self.classes.len(), settings, warm);
        (scaler, linear)
    }
}

impl Probe {
    /// Learns from examples, and says how good it is.
    ///
    /// # Errors
    ///
    /// [`ProbeError`] for too few classes or images, and for features that are no numbers.
    pub fn learn(examples: &Examples, choices: Choices, origin: Origin) -> Result<(Self, Reports), ProbeError> {
        let smallest = examples.check()?;
        let (n, classes) = (examples.labels.len(), examples.classes.len());
        let settings = Settings { c: choices.c, ..Settings::default() };
        let all: Vec<usize> = (0..n).collect();
        let (scaler, linear) = examples.learn(&all, &choices, &settings, None);
        let bank = Labelled {
            features: unit(&examples.features, examples.dim),
            labels: examples.labels.clone(),
            dim: examples.dim,
        };

        let votes: Vec<f64> =
            all.iter().flat_map(|&row| classify(&bank, examples.row(row), choices.k, classes, Some(row))).collect();
        let knn = report(&examples.labels, &votes, &examples.classes, "leave one out", n);

        let folds = smallest.clamp(2, FOLDS);
        let fold_of = stratified(&examples.labels, folds);
        let mut chances = vec![0.0; n * classes];
        for fold in 0..folds {
            let learned: Vec<usize> = all.iter().copied().filter(|&row| fold_of[row] != fold).collect();
            // One minimum, whatever the start: beginning at the whole's only saves time.
            let (scaler, linear) = examples.learn(&learned, &choices, &settings, Some(&linear));
            for row in all.iter().copied().filter(|&row| fold_of[row] == fold) {
                let found = linear.probabilities(&scaler.apply(examples.row(row)));
                chances[row * classes..][..classes].copy_from_slice(&found);
            }
        }
        let validation = format!("{folds}-fold cross-validation");
        let by_linear = report(&examples.labels, &chances, &examples.classes, &validation, folds);
        let probe = Self { classes: examples.classes.clone(), choices, origin, scaler, linear, bank };
        Ok((probe, Reports { knn, linear: by_linear }))
    }

    /// What it says of one image's features.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Width`] when they are of another width.
    pub fn ask(&self, features: &[f32]) -> Result<Answer, ProbeError> {
        if features.len() != self.bank.dim {
            return Err(ProbeError::Width { what: "probe's features", expected: self.bank.dim, found: features.len() });
        }
        Ok(Answer {
            knn: classify(&self.bank, features, self.choices.k, self.classes.len(), None),
            linear: self.linear.probabilities(&self.scaler.apply(features)),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Classes around corners of a cube, with noise.
    pub(crate) fn examples(each: usize, classes: usize, dim: usize, noise: f64) -> Examples {
        let mut stream = Rng::new(5).stream("examples", 0);
        let mut examples = Examples { dim, ..Examples::default() };
        for class in 0..classes {
            examples.classes.push(format!("class {class}"));
            for number in 0..each {
                examples.labels.push(class as u32);
                examples.names.push(format!("{class}/{number}.png"));
                let corner = |at: usize| if at % classes == class { 1.0 } else { 0.0 };
                examples.features.extend((0..dim).map(|at| (corner(at) + noise * stream.normal()) as f32));
            }
        }
        examples
    }

    #[test]
    fn what_is_apart_is_told_apart_and_what_is_noise_is_not() {
        let (probe, reports) = Probe::learn(&examples(10, 3, 24, 0.3), Choices::default(), Origin::default()).unwrap();
        assert!(reports.knn.accuracy > 0.95 && reports.linear.accuracy > 0.95, "{reports:?}");
        assert_eq!((reports.linear.folds, reports.knn.folds), (5, 30));
        let answer = probe.ask(&examples(1, 3, 24, 0.0).features[24..48]).unwrap();
        assert_eq!(answer.class(), 1);
        assert!(answer.knn[1] > 0.9 && (answer.linear.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        // Nothing to learn: the estimate must not be that of the examples it learned by heart.
        let (_, reports) = Probe::learn(&examples(12, 3, 24, 300.0), Choices::default(), Origin::default()).unwrap();
        assert!(reports.linear.accuracy < 0.65 && reports.knn.accuracy < 0.65, "{reports:?}");
    }

    #[test]
    fn what_cannot_be_learned_is_said() {
        let learn = |examples: &Examples| {
            Probe::learn(examples, Choices::default(), Origin::default()).unwrap_err().to_string()
        };
        assert!(learn(&Examples { dim: 4, ..Examples::default() }).contains("at least two"));
        let mut lonely = examples(3, 2, 4, 0.1);
        lonely.labels = vec![0, 0, 0, 0, 0, 1];
        assert!(learn(&lonely).contains("class 1"), "{}", learn(&lonely));
        let mut broken = examples(3, 2, 4, 0.1);
        broken.features[9] = f32::NAN;
        assert!(learn(&broken).contains("0/2.png"), "{}", learn(&broken));
        let (probe, _) = Probe::learn(&examples(3, 2, 4, 0.1), Choices::default(), Origin::default()).unwrap();
        assert!(probe.ask(&[0.0; 5]).unwrap_err().to_string().contains('5'));
    }
}
