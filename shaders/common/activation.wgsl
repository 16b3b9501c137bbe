// erf by Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7.
fn erf(x: f32) -> f32 {
    let z = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return sign(x) * (1.0 - tail * exp(-z * z));
}

// Exact (erf) GELU, as torch.nn.GELU().
fn gelu(x: f32) -> f32 {
    return 0.5 * x * (1.0 + erf(x * 0.70710678));
}

// The tanh approximation, as SigLIP uses it; the argument is clamped since some drivers' tanh overflows.
fn gelu_tanh(x: f32) -> f32 {
    return 0.5 * x * (1.0 + tanh(clamp(0.7978845608 * (x + 0.044715 * x * x * x), -15.0, 15.0)));
}

fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

// CLIP's approximation.
fn quick_gelu(x: f32) -> f32 {
    return x * sigmoid(1.702 * x);
}

fn silu(x: f32) -> f32 {
    return x * sigmoid(x);
}
