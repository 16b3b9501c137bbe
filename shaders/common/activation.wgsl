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

// Which activation; the numbers are those of lab-loops' `Activation`.
const IDENTITY: u32 = 1u;
const GELU: u32 = 2u;
const QUICK_GELU: u32 = 3u;
const GELU_TANH: u32 = 4u;

fn activate(x: f32, activation: u32) -> f32 {
    switch activation {
        case GELU: { return gelu(x); }
        case QUICK_GELU: { return quick_gelu(x); }
        case GELU_TANH: { return gelu_tanh(x); }
        default: { return x; }
    }
}

// The derivative of `activate`.
fn slope(x: f32, activation: u32) -> f32 {
    switch activation {
        case GELU: { return 0.5 * (1.0 + erf(x * 0.70710678)) + x * 0.3989422804 * exp(-0.5 * x * x); }
        case QUICK_GELU: {
            let s = sigmoid(1.702 * x);
            return s + 1.702 * x * s * (1.0 - s);
        }
        case GELU_TANH: {
            // (1 + tanh(u)) / 2 is sigmoid(2 u).
            let s = sigmoid(clamp(1.5957691216 * (x + 0.044715 * x * x * x), -30.0, 30.0));
            return s + x * s * (1.0 - s) * 1.5957691216 * (1.0 + 0.134145 * x * x);
        }
        default: { return 1.0; }
    }
}
