use lab_core::kernels::sum_rows::sum_rows;
use lab_tests::random;

use super::on_both;

// f32 sums of numbers below one in another order: rounding stays below 1e-5 of the largest sum.
const TOLERANCE: f32 = 1e-5;

#[test]
fn values_of_every_awkward_size() {
    // One row, one column, a chunk that is not full, sums in two rounds, more rows than llvmpipe counts, more columns than a
    // dispatch has groups.
    for (rows, columns) in
        [(1, 1), (1, 300), (63, 65), (64, 64), (257, 3), (1031, 1000), (300_001, 2), (2, 65_535 * 64 + 3)]
    {
        on_both(&format!("{rows} x {columns}"), TOLERANCE, |device| {
            vec![sum_rows(random::<2>([rows, columns], 1, device))]
        });
    }
}

#[test]
fn what_is_not_contiguous_is_read_right() {
    on_both("a transpose", TOLERANCE, |device| vec![sum_rows(random::<2>([40, 70], 1, device).transpose())]);
}
