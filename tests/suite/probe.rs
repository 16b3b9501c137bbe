//! Probes against what can be computed by hand or in double precision.

use burn::tensor::{Device, Tensor, TensorData};
use lab_core::probe::pca::{Pca, pca};
use lab_core::probe::similarity::similarity;
use lab_tests::{assert_close, cpu, gpu, random, values};

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
