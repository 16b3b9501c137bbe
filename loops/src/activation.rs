//! `activation(x + bias)`, what follows every linear layer, and its gradients.

use crate::math::{exp, sigmoid};
use crate::split::{Loop, total, vector_rows};

/// What follows `x Wᵀ + b`, element by element. The discriminants are those of `shaders/common/epilogue.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Activation {
    /// Nothing.
    Identity = 1,
    /// Exact GELU with erf, as `torch.nn.GELU()`.
    Gelu = 2,
    /// `x * sigmoid(1.702 x)`, CLIP's.
    QuickGelu = 3,
    /// The tanh approximation, SigLIP's (Hendrycks and Gimpel, arXiv 1606.08415).
    GeluTanh = 4,
}

impl Activation {
    /// The activation of a discriminant.
    pub fn from_code(code: u32) -> Option<Self> {
        [Self::Identity, Self::Gelu, Self::QuickGelu, Self::GeluTanh].into_iter().find(|&known| known as u32 == code)
    }
}

/// The normal distribution's cumulative function and its density without `1 / sqrt(2 pi)`.
///
/// erf by Abramowitz and Stegun 7.1.26, absolute error below 1.5e-7; the tail of negative x stays exact relative to 1.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let bell = exp(-z * z);
    let poly = (((1.061_405_4 * t - 1.453_152) * t + 1.421_413_8) * t - 0.284_496_74) * t + 0.254_829_6;
    let tail = 0.5 * poly * t * bell;
    (if x < 0.0 { tail } else { 1.0 - tail }, bell)
}

/// sqrt(2 / pi), and the cubic term of the tanh approximation.
const ROOT: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * normal(x).0
}

#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    /// 1 / sqrt(2 pi).
    const DENSITY: f32 = 0.398_942_3;
    let (cumulative, bell) = normal(x);
    cumulative + x * bell * DENSITY
}

#[inline(always)]
fn quick_gelu(x: f32) -> f32 {
    x * sigmoid(1.702 * x)
}

#[inline(always)]
fn quick_gelu_slope(x: f32) -> f32 {
    let s = sigmoid(1.702 * x);
    s + 1.702 * x * s * (1.0 - s)
}

// (1 + tanh(u)) / 2 is sigmoid(2 u).
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    x * sigmoid(2.0 * ROOT * (x + CUBIC * x * x * x))
}

#[inline(always)]
fn gelu_tanh_slope(x: f32) -> f32 {
    let s = sigmoid(2.0 * ROOT * (x + CUBIC * x * x * x));
    s + x * s * (1.0 - s) * 2.0 * ROOT * (1.0 + 3.0 * CUBIC * x * x)
}

/// `out = activation(x + bias)`: x and out `[rows, dim]`, bias `[dim]`.
pub fn forward(x: &[f32], bias: &[f32], activation: Activation, out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "activation: x and out");
    match activation {
        Activation::Identity => apply(x, bias, out, |x| x),
        Activation::Gelu => apply(x, bias, out, gelu),
        Activation::QuickGelu => apply(x, bias, out, quick_gelu),
        Activation::GeluTanh => apply(x, bias, out, gelu_tanh),
    }
}

/// The gradients of x `[rows, dim]` and of the bias `[dim]` from that of the output.
pub fn backward(x: &[f32], bias: &[f32], dy: &[f32], activation: Activation, dx: &mut [f32], dbias: &mut [f32]) {
    assert!(x.len() == dy.len() && x.len() == dx.len() && bias.len() == dbias.len(), "activation: gradients");
    match activation {
        Activation::Identity => slopes(x, bias, dy, dx, dbias, |_| 1.0),
        Activation::Gelu => slopes(x, bias, dy, dx, dbias, gelu_slope),
        Activation::QuickGelu => slopes(x, bias, dy, dx, dbias, quick_gelu_slope),
        Activation::GeluTanh => slopes(x, bias, dy, dx, dbias, gelu_tanh_slope),
    }
}

fn apply(x: &[f32], bias: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    vector_rows([out], [bias.len()], Apply { x, bias, f });
}

struct Apply<'a, F> {
    x: &'a [f32],
    bias: &'a [f32],
    f: F,
}

impl<F: Fn(f32) -> f32 + Sync> Loop<1> for Apply<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run(&self, start: usize, [out]: [&mut [f32]; 1]) {
        let dim = self.bias.len();
        let x = &self.x[start * dim..][..out.len()];
        for (out, x) in out.chunks_exact_mut(dim).zip(x.chunks_exact(dim)) {
            for ((out, &x), &bias) in out.iter_mut().zip(x).zip(self.bias) {
                *out = (self.f)(x + bias);
            }
        }
    }
}

fn slopes(x: &[f32], bias: &[f32], dy: &[f32], dx: &mut [f32], dbias: &mut [f32], slope: impl Fn(f32) -> f32 + Sync) {
    let sums = vector_rows([dx], [bias.len()], Slopes { x, bias, dy, slope });
    total(sums, dbias);
}

struct Slopes<'a, F> {
    x: &'a [f32],
    bias: &'a [f32],
    dy: &'a [f32],
    slope: F,
}

impl<F: Fn(f32) -> f32 + Sync> Loop<1> for Slopes<'_, F> {
    /// The bias's share of these rows.
    type Output = Vec<f32>;

    #[inline(always)]
    fn run(&self, start: usize, [dx]: [&mut [f32]; 1]) -> Vec<f32> {
        let dim = self.bias.len();
        let range = start * dim..start * dim + dx.len();
        let (x, dy) = (&self.x[range.clone()], &self.dy[range]);
        let mut sum = vec![0.0; dim];
        for ((dx, x), dy) in dx.chunks_exact_mut(dim).zip(x.chunks_exact(dim)).zip(dy.chunks_exact(dim)) {
            for ((((dx, &x), &dy), &bias), sum) in dx.iter_mut().zip(x).zip(dy).zip(self.bias).zip(&mut sum) {
                let gradient = dy * (self.slope)(x + bias);
                *dx = gradient;
                *sum += gradient;
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 4] = [Activation::Identity, Activation::Gelu, Activation::QuickGelu, Activation::GeluTanh];

    #[test]
    fn values_by_their_formulas() {
        // In doubles by Python's math.erf, math.exp and math.tanh.
        let x = [-3.0, -1.0, -0.25, 0.0, 0.5, 2.0];
        let expected = [
            x,
            [-0.004_049_694, -0.158_655_25, -0.100_323_42, 0.0, 0.345_731_23, 1.954_499_7],
            [-0.018_071_31, -0.154_204_23, -0.098_800_35, 0.0, 0.350_388_44, 1.935_658_6],
            [-0.003_637_392, -0.158_808_01, -0.100_324_65, 0.0, 0.345_714, 1.954_597_7],
        ];
        for (activation, expected) in ALL.into_iter().zip(expected) {
            let mut out = [0.0; 6];
            forward(&x, &[0.0; 6], activation, &mut out);
            for (found, expected) in out.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{activation:?}: {out:?}");
            }
        }
    }

    #[test]
    fn slopes_are_differences() {
        let x: Vec<f32> = (0..90).map(|i| i as f32 * 0.1 - 4.5).collect();
        let bias = [0.3, -0.2, 0.0];
        let dy: Vec<f32> = (0..90).map(|i| (i % 7) as f32 - 3.0).collect();
        for activation in ALL {
            let (mut dx, mut dbias) = (vec![0.0; 90], vec![0.0; 3]);
            backward(&x, &bias, &dy, activation, &mut dx, &mut dbias);
            let at = |shift: f32| {
                let mut out = vec![0.0; 90];
                let moved: Vec<f32> = x.iter().map(|x| x + shift).collect();
                forward(&moved, &bias, activation, &mut out);
                out
            };
            let (above, below) = (at(1e-2), at(-1e-2));
            for i in 0..90 {
                let expected = dy[i] * (above[i] - below[i]) / 2e-2;
                assert!((dx[i] - expected).abs() < 3e-4, "{activation:?} at {}: {} {expected}", x[i], dx[i]);
            }
            for (column, sum) in dbias.iter().enumerate() {
                let expected: f32 = dx.iter().skip(column).step_by(3).sum();
                assert!((sum - expected).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn nan_stays_and_codes_lead_back() {
        let mut out = [0.0];
        for activation in ALL {
            forward(&[f32::NAN], &[0.0], activation, &mut out);
            assert!(out[0].is_nan(), "{activation:?}");
            assert_eq!(Activation::from_code(activation as u32), Some(activation));
        }
        assert_eq!(Activation::from_code(9), None);
    }
}
