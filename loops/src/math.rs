//! Functions and sums that the compiler can vectorise.

/// `e^x` to a unit in the last place or so, without a branch; NaN stays NaN, below -87 it is next to nothing.
///
/// Range reduction by powers of two with ln 2 in two parts, then Cephes' polynomial (S. Moshier, expf.c).
#[inline(always)]
#[allow(clippy::excessive_precision, reason = "the coefficients as published")]
pub(crate) fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it leaves a rounded whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_375;
    let r = r + n * 2.121_944_4e-4;
    let mut p = 1.987_569_150e-4;
    p = p * r + 1.398_199_950_7e-3;
    p = p * r + 8.333_451_907_3e-3;
    p = p * r + 4.166_579_589_4e-2;
    p = p * r + 1.666_666_545_9e-1;
    p = p * r + 5.000_000_120_1e-1;
    let p = p * (r * r) + r + 1.0;
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Lanes of a sum: two registers of AVX2, one of AVX-512.
const LANES: usize = 16;

#[inline(always)]
fn fold(lanes: [f32; LANES], tail: f32) -> f32 {
    let mut width = LANES / 2;
    let mut lanes = lanes;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0] + tail
}

/// The sum of `f` over a slice.
#[inline(always)]
pub(crate) fn sum(a: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let blocks = a.chunks_exact(LANES);
    let tail = blocks.remainder().iter().map(|&a| f(a)).sum();
    for a in blocks {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane]);
        }
    }
    fold(lanes, tail)
}

/// The sum of `f` over two slices of one length.
#[inline(always)]
pub(crate) fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (xs, ys) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail = xs.remainder().iter().zip(ys.remainder()).map(|(&a, &b)| f(a, b)).sum();
    for (a, b) in xs.zip(ys) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    fold(lanes, tail)
}

/// The largest number of a slice; NaN is passed over (whoever uses it meets the NaN again).
#[inline(always)]
pub(crate) fn max(a: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let blocks = a.chunks_exact(LANES);
    let tail = blocks.remainder().iter().fold(f32::NEG_INFINITY, |a, &b| larger(a, b));
    for a in blocks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], a[lane]);
        }
    }
    lanes.into_iter().fold(tail, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_exp() {
        let mut worst = 0.0f64;
        for step in 0..200_000 {
            let x = -87.0 + step as f32 * (175.0 / 200_000.0);
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - expected).abs() / expected);
        }
        // A unit in the last place of f32 is 1.2e-7.
        assert!(worst < 2e-7, "{worst:e}");
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY) > 1e38);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn sums_of_any_length() {
        for count in [0_usize, 1, 15, 16, 17, 100] {
            let a: Vec<f32> = (0..count).map(|i| i as f32).collect();
            let total = (count * count.saturating_sub(1) / 2) as f32;
            assert_eq!(sum(&a, |a| a), total);
            assert_eq!(sum2(&a, &a, |a, b| a + b), 2.0 * total);
            assert_eq!(max(&a), if count == 0 { f32::NEG_INFINITY } else { count as f32 - 1.0 });
        }
    }
}
