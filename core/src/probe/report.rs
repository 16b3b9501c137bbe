//! How good a classifier is: accuracy with its interval, precision, recall and F1 of each class, confusions, margins.

use lab_protocol::{ClassReport, ProbeReport, SampleReport};

/// A report on `truth [n]` and the classes' scores `[n, classes]`, each row of which sums to 1.
///
/// A class's precision where it was never named, and its recall where it has no example, count as 0, as scikit-learn's
/// `zero_division=0`.
pub fn report(truth: &[u32], scores: &[f64], names: &[String], validation: &str, folds: usize) -> ProbeReport {
    let classes = names.len();
    assert!(scores.len() == truth.len() * classes, "report: {} scores of {classes} classes", scores.len());
    let mut confusion = vec![vec![0u32; classes]; classes];
    let mut samples = Vec::with_capacity(truth.len());
    for (scores, &truth) in scores.chunks_exact(classes).zip(truth) {
        let predicted = best(scores);
        let other = scores.iter().enumerate().filter(|(class, _)| *class != truth as usize);
        let other = other.map(|(_, score)| *score).fold(0.0, f64::max);
        confusion[truth as usize][predicted] += 1;
        samples.push(SampleReport {
            truth,
            predicted: predicted as u32,
            confidence: scores[predicted] as f32,
            margin: (scores[truth as usize] - other) as f32,
        });
    }
    let right: u32 = (0..classes).map(|class| confusion[class][class]).sum();
    let each = names.iter().enumerate().map(|(class, name)| {
        let hit = f64::from(confusion[class][class]);
        let named: u32 = confusion.iter().map(|row| row[class]).sum();
        let support: u32 = confusion[class].iter().sum();
        let share = |of: u32| if of > 0 { hit / f64::from(of) } else { 0.0 };
        let (precision, recall) = (share(named), share(support));
        let f1 = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
        ClassReport { name: name.clone(), support, precision, recall, f1 }
    });
    let [low, high] = wilson(right as usize, truth.len());
    ProbeReport {
        validation: validation.to_owned(),
        folds,
        accuracy: f64::from(right) / truth.len().max(1) as f64,
        low,
        high,
        classes: each.collect(),
        confusion,
        samples,
    }
}

/// The class of the largest score; the first of equals.
pub fn best(scores: &[f64]) -> usize {
    (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a))).unwrap_or(0)
}

/// Wilson's interval of 95% for a share of `right` among `n` (Wilson 1927): honest also for few, and for all right.
pub fn wilson(right: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    const Z: f64 = 1.959_963_984_540_054; // the normal distribution's 97.5%
    let (n, share) = (n as f64, right as f64 / n as f64);
    let scale = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

/// Which fold each sample belongs to, such that every fold has its share of every class: the members of a class go to
/// the folds in turn, going on where the class before ended.
pub fn stratified(labels: &[u32], folds: usize) -> Vec<usize> {
    let classes = labels.iter().max().map_or(0, |&most| most + 1);
    let mut fold_of = vec![0; labels.len()];
    let mut turn = 0;
    for class in 0..classes {
        for (index, _) in labels.iter().enumerate().filter(|(_, label)| **label == class) {
            fold_of[index] = turn % folds.max(1);
            turn += 1;
        }
    }
    fold_of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_by_hand() {
        let names = ["cat".to_owned(), "dog".to_owned()];
        let scores = [0.9, 0.1, 0.4, 0.6, 0.2, 0.8, 0.3, 0.7];
        let found = report(&[0, 0, 1, 1], &scores, &names, "k-fold", 2);
        assert_eq!(found.confusion, [[1, 1], [0, 2]]);
        assert_eq!(found.accuracy, 0.75);
        assert_eq!((found.classes[0].precision, found.classes[0].recall), (1.0, 0.5));
        assert!((found.classes[1].precision - 2.0 / 3.0).abs() < 1e-12 && found.classes[1].recall == 1.0);
        assert!((found.classes[0].f1 - 2.0 / 3.0).abs() < 1e-12 && (found.classes[1].f1 - 0.8).abs() < 1e-12);
        assert!((found.samples[1].margin - -0.2).abs() < 1e-6 && found.samples[1].predicted == 1);
    }

    #[test]
    fn intervals_are_wilsons() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20.
        let check = |right, n, expected: [f64; 2]| {
            let found = wilson(right, n);
            assert!((found[0] - expected[0]).abs() < 5e-5 && (found[1] - expected[1]).abs() < 5e-5, "{found:?}");
        };
        check(81, 263, [0.2553, 0.3662]);
        check(15, 148, [0.0624, 0.1605]);
        check(0, 20, [0.0, 0.1611]);
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn folds_share_every_class() {
        let labels = [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2];
        let folds = stratified(&labels, 3);
        for class in 0..3u32 {
            let of = |fold| (0..labels.len()).filter(|&i| labels[i] == class && folds[i] == fold).count();
            let counts = [of(0), of(1), of(2)];
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{class}: {counts:?}");
        }
        assert!(stratified(&[], 3).is_empty());
    }
}
