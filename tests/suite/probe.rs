//! Probes against what can be computed by hand or in double precision.

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use lab_core::probe::classifier::{Choices, Examples, Origin, Probe};
use lab_core::probe::colours::Colours;
use lab_core::probe::linear::{Scaler, Settings, train};
use lab_core::probe::pca::{Pca, pca};
use lab_core::probe::rollout::through_block;
use lab_core::probe::similarity::{cosines, unit_rows};
use lab_protocol::Foreground;
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
    let directions = unit_rows(all);
    let found = values(cosines(directions.clone(), directions.narrow(0, 0, 1)));
    assert_close("cosines", &found, &[1.0, std::f32::consts::FRAC_1_SQRT_2, 0.0, -1.0, 0.0], 1e-6, 1e-6);
}

#[test]
fn similarity_by_hand() {
    check_similarity(&cpu());
    check_similarity(&gpu().device);
}

/// Row `query` of the rollout through blocks of attention `[heads, N, N]`, the last block last.
fn rollout(blocks: &[Tensor<3>], query: usize, chunk: usize) -> Vec<f32> {
    let tokens = blocks[0].dims()[1];
    let one = (0..tokens).map(|token| f32::from(u8::from(token == query))).collect::<Vec<_>>();
    let row = Tensor::from_data(TensorData::new(one, [1, tokens]), &blocks[0].device());
    let down = |row, block: &Tensor<3>| {
        through_block(row, chunk, |queries| block.clone().narrow(1, queries.start, queries.len()))
    };
    values(blocks.iter().rev().fold(row, down))
}

#[test]
fn rollout_by_hand() {
    let block = |rows: [f32; 4]| tokens(&rows, 2, &cpu()).reshape([1, 2, 2]);
    // Half of each and half of the identity: [[1, 0], [1/8, 7/8]], then [[3/4, 1/4], [0, 1]].
    let blocks = [block([1.0, 0.0, 0.25, 0.75]), block([0.5, 0.5, 0.0, 1.0])];
    assert_close("row 0", &rollout(&blocks, 0, 2), &[0.781_25, 0.218_75], 1e-6, 0.0);
    assert_close("row 1", &rollout(&blocks, 1, 2), &[0.125, 0.875], 1e-6, 0.0);
}

/// The published code in double precision: heads averaged, identity added, rows normalised, matrices multiplied.
fn rollout_as_published(blocks: &[Vec<f32>], heads: usize, n: usize) -> Vec<f64> {
    let mut result: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
    for block in blocks {
        let mut a = vec![0.0f64; n * n];
        for (at, a) in a.iter_mut().enumerate() {
            let sum: f64 = (0..heads).map(|head| f64::from(block[head * n * n + at])).sum();
            *a = sum / heads as f64 + f64::from(u8::from(at / n == at % n));
        }
        for row in a.chunks_exact_mut(n) {
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|a| *a /= sum);
        }
        let cell = |at: usize| (0..n).map(|k| a[at / n * n + k] * result[k * n + at % n]).sum();
        result = (0..n * n).map(cell).collect();
    }
    result
}

#[test]
fn rollout_is_the_published_product_whatever_is_held_at_a_time() {
    let (heads, n) = (3, 7);
    for device in [cpu(), gpu().device.clone()] {
        let blocks: Vec<Tensor<3>> =
            (0..4).map(|seed| softmax(random([heads, n, n], 11 + seed, &device) * 3.0, 2)).collect();
        let host: Vec<Vec<f32>> = blocks.iter().map(|block| values(block.clone())).collect();
        let expected = rollout_as_published(&host, heads, n);
        for (query, chunk) in [(0, 7), (3, 2), (6, 1), (2, 100)] {
            let row: Vec<f32> = expected[query * n..][..n].iter().map(|&share| share as f32).collect();
            let found = rollout(&blocks, query, chunk);
            assert_close(&format!("query {query}, chunk {chunk}"), &found, &row, 1e-5, 1e-5);
            assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}

/// Two kinds of tokens far apart: 12 of the ground, near -4 on the first axis, and 12 of a thing, near +4, that differ
/// among themselves along the second axis.
fn ground_and_thing(device: &Device) -> Tensor<2> {
    let row = |first: f32, second: f32, third: f32| [first, second, third, 0.0, 0.0];
    let ground = (0..12).flat_map(|i| row(-4.0, 0.01 * i as f32, if i % 2 == 0 { 0.3 } else { -0.3 }));
    let thing = (0..12).flat_map(|i| row(4.0, i as f32 / 6.0 - 1.0, 0.1 * (i % 3) as f32));
    tokens(&ground.chain(thing).collect::<Vec<_>>(), 5, device)
}

#[test]
fn a_shared_basis_stays_and_tells_thing_from_ground() {
    for device in [cpu(), gpu().device.clone()] {
        let all = ground_and_thing(&device);
        let mut colours = pollster::block_on(Colours::fit(all.clone(), 2)).expect("fits");
        assert!(colours.explained()[0] > 0.9, "{:?}", colours.explained());
        let paint = |colours: &mut Colours, tokens: Tensor<2>, foreground| {
            pollster::block_on(colours.paint(tokens, foreground)).expect("paints")
        };
        // A token has the same colour in every picture, and the range of the colours is the same.
        let whole = paint(&mut colours, all.clone(), None);
        let half = paint(&mut colours, all.clone().narrow(0, 12, 12), None);
        assert_close("half", &values(half.values), &values(whole.values.clone())[36..], 1e-5, 1e-5);
        assert_eq!((half.scale.low, half.scale.high), (whole.scale.low, whole.scale.high));
        let first: Vec<f32> = values(whole.values).iter().copied().step_by(3).collect();
        let thing_is_high = first[12] > first[0];

        let foreground = |below| Some(Foreground { threshold: 0.5, below });
        let thing = paint(&mut colours, all.clone(), foreground(!thing_is_high));
        assert_eq!(thing.foreground, Some(0.5));
        let found = values(thing.values);
        for (place, patch) in found.chunks_exact(3).enumerate() {
            let dark = (0..3).all(|c| patch[c] < thing.scale.low[c]);
            assert_eq!(dark, place < 12, "patch {place}: {patch:?}, drawn from {:?}", thing.scale.low);
        }
        // Within the thing the second axis is what differs most.
        assert!(thing.scale.explained[0] > 0.9, "{:?}", thing.scale.explained);
        let along: Vec<f32> = found[36..].iter().copied().step_by(3).collect();
        assert!(along.windows(2).all(|pair| (pair[1] - pair[0]).signum() == (along[1] - along[0]).signum()));
        // Nothing above the highest: all is ground, and nothing breaks.
        let nothing = paint(&mut colours, all.clone(), Some(Foreground { threshold: 1.0, below: false }));
        assert_eq!(nothing.foreground, Some(0.0));
    }
}

#[test]
fn what_stands_within_the_pictures_is_above_the_threshold() {
    // Two pictures of six by six patches; the thing fills most of them, so that the third moment alone would make it dark.
    let is_thing = |place: usize| {
        let [row, column] = [place % 36 / 6, place % 6];
        (1..5).contains(&row) && (1..5).contains(&column) || row == 5 && (1..5).contains(&column)
    };
    for sign in [1.0, -1.0] {
        let rows = (0..72).flat_map(|place| {
            let first = sign * if is_thing(place) { 4.0 } else { -4.0 };
            [first, 0.1 * (place % 5) as f32, 0.1 * (place % 7) as f32, 0.0, 0.0]
        });
        let all = tokens(&rows.collect::<Vec<_>>(), 5, &cpu());
        let mut colours = pollster::block_on(Colours::fit(all.clone(), 2)).expect("fits");
        let foreground = Some(Foreground { threshold: 0.5, below: false });
        let painted = pollster::block_on(colours.paint(all.clone(), foreground)).expect("paints");
        let found = values(painted.values);
        for (place, patch) in found.chunks_exact(3).enumerate() {
            let dark = (0..3).all(|c| patch[c] < painted.scale.low[c]);
            assert_eq!(dark, !is_thing(place), "sign {sign}, patch {place}");
        }
        // The range turns with the component: the colours of the whole are drawn between its ends.
        let whole = pollster::block_on(colours.paint(all, None)).expect("paints");
        let first: Vec<f32> = values(whole.values).iter().copied().step_by(3).collect();
        let ends = |pick: fn(f32, f32) -> f32| first.iter().copied().reduce(pick).expect("some");
        assert_close("ends", &[ends(f32::min), ends(f32::max)], &[whole.scale.low[0], whole.scale.high[0]], 1e-5, 1e-5);
    }
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
        row.iter_mut().skip(*label as usize).step_by(classes as usize).for_each(|x| *x += 0.3);
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
