//! Probes against what can be computed by hand or in double precision.

use burn::tensor::{Device, Tensor, TensorData};
use lab_core::probe::classifier::{Choices, Examples, Origin, Probe};
use lab_core::probe::linear::{Scaler, Settings, train};
use lab_core::probe::pca::{Pca, pca};
use lab_core::probe::similarity::similarity;
use lab_tests::{assert_close, cpu, golden, gpu, random, values};

fn tokens(values: &[f32], dim: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len() / dim, dim]), device)
}

/// Points on three axes at right angles, with spreads 4, 2 and 1, away from the origin; one outlier a component, so
/// that the signs are certain.
fn three_axes(device: &Device) -> Tensor<2> {
    let axes = [[0.6, 0.8, 0.0, 0.0], [-0.8, 0.6, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let spreads = [4.0f32, 2.0, 1.0];
    let mut rows = Vec::new();
    for (axis, spread) in axes.iter().zip(spreads) {
        for step in [3.0, -1.0, -1.0, -1.0] {
            rows.extend(axis.iter().map(|a| 5.0 + a * spread * step));
        }
    }
    tokens(&rows, 4, device)
}

fn check_three_axes(device: &Device) {
    let Pca { scores, explained, basis } = pca(three_axes(device));
    // Squares along the axes: 12 * spread²; the axes are orthogonal and each group is centred.
    assert_close("explained", &values(explained), &[16.0 / 21.0, 4.0 / 21.0, 1.0 / 21.0], 1e-5, 1e-5);
    let found = values(scores);
    assert_close("the outliers lie on their axes", &found[..3], &[12.0, 0.0, 0.0], 1e-4, 0.0);
    assert_close("the outliers lie on their axes", &found[12..15], &[0.0, 6.0, 0.0], 1e-4, 0.0);
    assert_close("the outliers lie on their axes", &found[24..27], &[0.0, 0.0, 3.0], 1e-4, 0.0);
    // The basis gives the same colours again, and new ones to new tokens.
    let again = values(basis.apply(three_axes(device)));
    assert_close("the basis on its own tokens", &again, &found, 1e-4, 0.0);
    let new = values(basis.apply(tokens(&[5.6, 5.8, 5.0, 9.0], 4, device)));
    assert_close("the basis on another token", &new, &[1.0, 0.0, 0.0], 1e-4, 0.0);
}

#[test]
fn components_of_three_axes_are_found_on_the_cpu() {
    check_three_axes(&cpu());
}

#[test]
fn components_of_three_axes_are_found_on_the_gpu() {
    check_three_axes(&gpu().device);
}

#[test]
fn the_gpu_sees_the_colours_that_the_cpu_sees() {
    let gpu = gpu();
    // Spread unevenly, so that the components are apart.
    let spread = |device: &Device| {
        let scale: Vec<f32> = (0..32).map(|i| 4.0 * 0.75f32.powi(i)).collect();
        random::<2>([49, 32], 3, device) * tokens(&scale, 32, device)
    };
    let (ours, theirs) = (pca(spread(&gpu.device)), pca(spread(&cpu())));
    assert_close("explained", &values(ours.explained), &values(theirs.explained), 1e-4, 1e-3);
    assert_close("scores", &values(ours.scores), &values(theirs.scores), 2e-2, 1e-2);
}

#[test]
fn tokens_that_are_all_alike_have_no_components() {
    let found = pca(tokens(&[1.0, 2.0, 3.0, 1.0, 2.0, 3.0], 3, &cpu()));
    assert!(values(found.scores).iter().all(|score| score.abs() < 1e-6));
    assert!(values(found.explained).iter().all(|share| share.is_finite()));
    let one = pca(tokens(&[1.0, 2.0], 2, &cpu()));
    assert_eq!(values(one.scores), [0.0, 0.0, 0.0]);
}

fn check_similarity(device: &Device) {
    let all = tokens(&[1.0, 0.0, 3.0, 3.0, 0.0, 2.0, -4.0, 0.0, 0.0, 0.0], 2, device);
    let found = values(similarity(all.clone(), all.narrow(0, 0, 1)));
    assert_close("cosines", &found, &[1.0, std::f32::consts::FRAC_1_SQRT_2, 0.0, -1.0, 0.0], 1e-6, 1e-6);
}

#[test]
fn similarity_by_hand() {
    check_similarity(&cpu());
    check_similarity(&gpu().device);
}

/// scikit-learn's LogisticRegression, its solver run to the end: weights, intercepts and probabilities.
#[test]
fn the_linear_probe_equals_scikit_learns() {
    let file = golden("probe/logistic.safetensors");
    for case in ["three", "two", "wide", "plain"] {
        let read = |name: &str| pollster::block_on(file.read(&format!("{case}.{name}"))).expect("a tensor");
        let doubles = |name: &str| read(name).to_f64().expect("64 bits");
        let features = read("features");
        let (dim, values) = (features.shape[1], features.to_f32().expect("32 bits"));
        let labels: Vec<u32> = read("labels").to_i64().expect("whole").iter().map(|&label| label as u32).collect();
        let classes = 1 + *labels.iter().max().expect("some") as usize;
        let rows: Vec<usize> = (0..labels.len()).collect();
        let standardised = read("standardised").to_i64().expect("a truth")[0] == 1;
        let scaler = if standardised { Scaler::fit(&values, dim, &rows) } else { Scaler::none(dim) };
        let scaled: Vec<Vec<f64>> = values.chunks_exact(dim).map(|row| scaler.apply(row)).collect();
        let settings = Settings { c: doubles("c")[0], tolerance: 1e-10, ..Settings::default() };
        let found = train(&scaled.concat(), &labels, dim, classes, &settings, None);
        let probabilities: Vec<f64> = scaled.iter().flat_map(|row| found.probabilities(row)).collect();
        let (mut weight, mut bias) = (found.weight, found.bias);
        if classes == 2 {
            weight = (0..dim).map(|at| weight[dim + at] - weight[at]).collect();
            bias = vec![bias[1] - bias[0]];
        } else {
            // Only differences of intercepts mean anything; scikit-learn's have whatever mean its way led to.
            let shift =
                doubles("intercept").iter().sum::<f64>() / classes as f64 - bias.iter().sum::<f64>() / classes as f64;
            bias.iter_mut().for_each(|bias| *bias += shift);
        }
        for (what, ours, theirs) in [
            ("weights", weight, doubles("coef")),
            ("intercepts", bias, doubles("intercept")),
            ("probabilities", probabilities, doubles("proba")),
        ] {
            assert_eq!(ours.len(), theirs.len(), "{case}: {what}");
            let error = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(error < 1e-5, "{case}: {what} differ by {error}");
        }
        assert!(found.iterations < 200, "{case}: {} iterations", found.iterations);
    }
}

/// 200 images of 1024 numbers, what a page does at once: to learn and to cross-validate in under a second.
#[test]
fn two_hundred_images_are_learned_in_a_moment() {
    let (n, dim, classes) = (200, 1024, 5);
    let mut values = values(random::<2>([n, dim], 11, &cpu()));
    let labels: Vec<u32> = (0..n as u32).map(|row| row % classes).collect();
    for (row, label) in values.chunks_exact_mut(dim).zip(&labels) {
        row.iter_mut().skip(*label as usize).step_by(classes as usize).for_each(|x| *x += 0.15);
    }
    let examples = Examples {
        classes: (0..classes).map(|class| class.to_string()).collect(),
        names: labels.iter().map(u32::to_string).collect(),
        features: values,
        labels,
        dim,
    };
    let start = std::time::Instant::now();
    let (_, reports) = Probe::learn(&examples, Choices::default(), Origin::default()).expect("enough images");
    let took = start.elapsed();
    eprintln!("learned and validated in {took:?}; accuracy {:.3}", reports.linear.accuracy);
    assert!(reports.linear.accuracy > 0.9, "{}", reports.linear.accuracy);
    // This build is hardly optimised and the machine may be busy.
    assert!(took.as_secs() < 20, "{took:?}");
}
