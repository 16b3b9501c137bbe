use lab_core::kernels::ema::ema;
use lab_tests::{cpu, gpu, random, values};

use super::on_both;

// Two products and a sum.
const TOLERANCE: f32 = 1e-6;

#[test]
fn values_of_every_awkward_size() {
    for size in [1, 63, 65, 1001, 65_535 * 64 + 77] {
        on_both(&format!("[{size}]"), TOLERANCE, |device| {
            vec![ema(random::<1>([size], 1, device), random([size], 2, device), 0.992)]
        });
    }
}

#[test]
fn any_rank_and_any_strides() {
    on_both("a transpose", TOLERANCE, |device| {
        vec![ema(random::<2>([5, 40], 1, device).transpose(), random([40, 5], 2, device), 0.5).flatten(0, 1)]
    });
}

#[test]
fn a_momentum_of_one_changes_nothing() {
    let gpu = gpu();
    for device in [cpu(), gpu.device.clone()] {
        let teacher = random::<1>([33], 1, &device);
        assert_eq!(values(ema(teacher.clone(), random([33], 2, &device), 1.0)), values(teacher));
    }
}
