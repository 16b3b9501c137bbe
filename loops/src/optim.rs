//! The optimiser's step, the teacher's moving average, sums of squares: one pass over memory each.

use crate::math::sum;
use crate::split::rows;

/// The factors of a step of AdamW, as `shaders/kernels/adamw.wgsl` takes them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// The gradient is first multiplied by it.
    pub grad_scale: f32,
    /// `1 - lr * weight_decay`.
    pub decay: f32,
    /// `1 - beta1`.
    pub one_minus_beta1: f32,
    /// `beta2`.
    pub beta2: f32,
    /// `1 - beta2`.
    pub one_minus_beta2: f32,
    /// `lr / (1 - beta1^t)`.
    pub step_size: f32,
    /// `sqrt(1 - beta2^t)`.
    pub root_correction: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
}

impl AdamW {
    /// Parameter and both moments after the step, from those before it and the gradient; all of one length.
    pub fn step(&self, [param, grad, m, v]: [&[f32]; 4], [new_param, new_m, new_v]: [&mut [f32]; 3]) {
        let count = new_param.len();
        assert!([param, grad, m, v].iter().all(|slice| slice.len() == count), "adamw: lengths");
        rows([new_param, new_m, new_v], [1; 3], |start, [new_param, new_m, new_v]| {
            let range = start..start + new_param.len();
            let before = param[range.clone()].iter().zip(&grad[range.clone()]).zip(&m[range.clone()]).zip(&v[range]);
            let after = new_param.iter_mut().zip(new_m).zip(new_v);
            for ((((&param, &grad), &m), &v), ((new_param, new_m), new_v)) in before.zip(after) {
                let gradient = grad * self.grad_scale;
                let first = m + (gradient - m) * self.one_minus_beta1;
                let second = v * self.beta2 + gradient * gradient * self.one_minus_beta2;
                let denominator = second.sqrt() / self.root_correction + self.eps;
                *new_param = param * self.decay - self.step_size * (first / denominator);
                *new_m = first;
                *new_v = second;
            }
        });
    }
}

/// `teacher * momentum + student * rest`, the shares in that order.
pub fn ema(teacher: &[f32], student: &[f32], [momentum, rest]: [f32; 2], out: &mut [f32]) {
    assert!(teacher.len() == out.len() && student.len() == out.len(), "ema: lengths");
    rows([out], [1], |start, [out]| {
        let range = start..start + out.len();
        for ((out, &teacher), &student) in out.iter_mut().zip(&teacher[range.clone()]).zip(&student[range]) {
            *out = teacher * momentum + student * rest;
        }
    });
}

/// The sum of all squares, in the same order every time.
pub fn sum_of_squares(x: &[f32]) -> f32 {
    /// Numbers summed in f32 before the sums are added in f64.
    const PART: usize = 1 << 12;
    let parts = x.chunks(PART).map(|part| f64::from(sum(part, |x| x * x)));
    parts.sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_by_hand() {
        // torch.optim.AdamW: lr 0.1, betas 0.9 and 0.999, weight decay 0.5, the first step.
        let step = AdamW {
            grad_scale: 1.0,
            decay: 1.0 - 0.1 * 0.5,
            one_minus_beta1: 0.1,
            beta2: 0.999,
            one_minus_beta2: 0.001,
            step_size: 0.1 / 0.1,
            root_correction: 0.001_f32.sqrt(),
            eps: 1e-8,
        };
        let (mut param, mut m, mut v) = (vec![0.0; 3], vec![0.0; 3], vec![0.0; 3]);
        step.step([&[1.0, -2.0, 0.5], &[4.0, -0.1, 0.0], &[0.0; 3], &[0.0; 3]], [&mut param, &mut m, &mut v]);
        // A first step moves by the learning rate against the gradient's sign.
        let expected = [0.95 - 0.1, -1.9 + 0.1, 0.475];
        assert!(param.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{param:?}");
        assert!((m[0] - 0.4).abs() < 1e-7 && (v[0] - 0.016).abs() < 1e-8);
    }

    #[test]
    fn averages_and_squares() {
        let mut out = [0.0; 2];
        ema(&[1.0, 2.0], &[3.0, 6.0], [0.75, 0.25], &mut out);
        assert_eq!(out, [1.5, 3.0]);
        assert_eq!(sum_of_squares(&[3.0; 100_000]), 900_000.0);
        assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
    }
}
