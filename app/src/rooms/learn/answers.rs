//! A teacher's answers: centred, sharpened, and how much they tell.
//!
//! Caron et al., arXiv 2104.14294: `P = softmax((g - c) / τ)`. Here the outputs g of an image are its cosines with all
//! images, so that the images themselves are the prototypes; c is the mean of g over the images.

/// What the teacher says of each image, and what that is worth.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Answers {
    /// A distribution an image.
    pub(crate) probs: Vec<Vec<f64>>,
    /// Mean entropy of one answer, in bits.
    pub(crate) each: f64,
    /// Entropy of the mean answer, in bits.
    pub(crate) mean: f64,
}

impl Answers {
    /// Centred where asked, then sharpened by a temperature.
    pub(crate) fn of(outputs: &[Vec<f64>], centred: bool, temperature: f64) -> Self {
        let count = outputs.len().max(1) as f64;
        let prototypes = outputs.first().map_or(0, Vec::len);
        let center = |at: usize| outputs.iter().map(|row| row[at]).sum::<f64>() / count;
        let center: Vec<f64> = (0..prototypes).map(|at| if centred { center(at) } else { 0.0 }).collect();
        let softmax = |row: &Vec<f64>| {
            let logits: Vec<f64> = row.iter().zip(&center).map(|(g, c)| (g - c) / temperature).collect();
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let exps: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
            let sum: f64 = exps.iter().sum();
            exps.iter().map(|exp| exp / sum).collect::<Vec<f64>>()
        };
        let probs: Vec<Vec<f64>> = outputs.iter().map(softmax).collect();
        let mean: Vec<f64> = (0..prototypes).map(|at| probs.iter().map(|row| row[at]).sum::<f64>() / count).collect();
        let each = probs.iter().map(|row| entropy(row)).sum::<f64>() / count;
        Self { each, mean: entropy(&mean), probs }
    }
}

/// In bits.
fn entropy(probs: &[f64]) -> f64 {
    probs.iter().filter(|p| **p > 0.0).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_cold_teacher_is_sure_and_a_hot_one_says_nothing() {
        let outputs = vec![vec![1.0, 0.2, 0.1], vec![0.2, 1.0, 0.3], vec![0.1, 0.3, 1.0]];
        let cold = Answers::of(&outputs, false, 0.01);
        assert!(cold.each < 1e-6 && (cold.mean - 3f64.log2()).abs() < 1e-6, "{cold:?}");
        let hot = Answers::of(&outputs, false, 1000.0);
        assert!((hot.each - 3f64.log2()).abs() < 1e-5 && (hot.mean - 3f64.log2()).abs() < 1e-5, "{hot:?}");
    }

    #[test]
    fn centring_takes_away_what_all_share() {
        // One prototype is liked by everybody a little more than anything else.
        let outputs = vec![vec![0.9, 1.0, 0.0], vec![0.0, 1.0, 0.0], vec![0.0, 1.0, 0.9]];
        let plain = Answers::of(&outputs, false, 0.01);
        assert!(plain.mean < 1e-3, "all answer the same: {plain:?}");
        let centred = Answers::of(&outputs, true, 0.01);
        assert!(centred.mean > 1.0, "{centred:?}");
    }

    #[test]
    fn nothing_is_no_panic() {
        assert_eq!(Answers::of(&[], true, 0.1), Answers::default());
    }
}
