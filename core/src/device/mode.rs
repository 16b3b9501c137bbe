//! Which kernels are in use: the one switch between kernels (WGSL, or the CPU's loops) and references.
//!
//! The state is the process's: a page has one device, a native run compares whole runs. A kernel that fails its
//! self-check is switched off alone ([`replace`]); [`set_kernels`] switches all.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use burn::tensor::Device;
pub use lab_protocol::Kernels;

/// The kernels that have a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kernel {
    /// Batched matrix product.
    Matmul,
    /// The same on matrix units, operands rounded to 16 bits; on few devices.
    MatmulCooperative,
    /// Matrix product with bias and epilogue.
    Linear,
    /// Sums over rows, which gradients are made of.
    SumRows,
    /// Bias and activation where a gradient is wanted.
    BiasActivation,
    /// Bias and SwiGLU's gate where a gradient is wanted.
    SiluGate,
    /// Layer normalisation.
    LayerNorm,
    /// A factor for each of a token's numbers.
    LayerScale,
    /// Softmax attention and its probabilities.
    Attention,
    /// Patch embedding.
    PatchEmbed,
    /// Gather and scatter of tokens.
    GatherTokens,
    /// Resize, crop and normalise.
    Preprocess,
    /// The optimiser's step, and sums of squares.
    AdamW,
    /// The teacher's moving average.
    Ema,
    /// Crops with their changes of colour.
    Augment,
}

impl Kernel {
    /// All of them, in the order of the self-check.
    pub const ALL: [Self; 15] = [
        Self::Matmul,
        Self::MatmulCooperative,
        Self::Linear,
        Self::SumRows,
        Self::BiasActivation,
        Self::SiluGate,
        Self::LayerNorm,
        Self::LayerScale,
        Self::Attention,
        Self::PatchEmbed,
        Self::GatherTokens,
        Self::Preprocess,
        Self::AdamW,
        Self::Ema,
        Self::Augment,
    ];

    /// Its name, as its file is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Matmul => "matmul",
            Self::MatmulCooperative => "matmul_cooperative",
            Self::Linear => "linear",
            Self::SumRows => "sum_rows",
            Self::BiasActivation => "bias_activation",
            Self::SiluGate => "silu_gate",
            Self::LayerNorm => "layer_norm",
            Self::LayerScale => "layer_scale",
            Self::Attention => "attention",
            Self::PatchEmbed => "patch_embed",
            Self::GatherTokens => "gather_tokens",
            Self::Preprocess => "preprocess",
            Self::AdamW => "adamw",
            Self::Ema => "ema",
            Self::Augment => "augment",
        }
    }

    /// Whether the CPU has loops for it (`loops/`); for the others it takes the reference.
    fn has_loops(self) -> bool {
        matches!(
            self,
            Self::BiasActivation
                | Self::SiluGate
                | Self::LayerNorm
                | Self::Attention
                | Self::GatherTokens
                | Self::AdamW
                | Self::Ema
        )
    }
}

static REFERENCE: AtomicBool = AtomicBool::new(false);
static REPLACED: AtomicU32 = AtomicU32::new(0);
static SOFTWARE: AtomicBool = AtomicBool::new(false);
static MATRIX_UNITS: AtomicBool = AtomicBool::new(false);

/// Chooses WGSL or reference for every kernel.
pub fn set_kernels(kernels: Kernels) {
    REFERENCE.store(kernels == Kernels::Reference, Ordering::Relaxed);
}

/// What [`set_kernels`] chose last.
pub fn kernels() -> Kernels {
    if REFERENCE.load(Ordering::Relaxed) { Kernels::Reference } else { Kernels::Wgsl }
}

/// Switches one kernel to its reference (`true`) or back.
pub fn replace(kernel: Kernel, by_reference: bool) {
    let bit = 1 << kernel as u32;
    if by_reference {
        REPLACED.fetch_or(bit, Ordering::Relaxed);
    } else {
        REPLACED.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Tells the doors that the adapter is software: barriers are dear there, so products take the plain kernel.
pub fn set_software_adapter(software: bool) {
    SOFTWARE.store(software, Ordering::Relaxed);
}

/// What [`set_software_adapter`] said last.
pub fn software_adapter() -> bool {
    SOFTWARE.load(Ordering::Relaxed)
}

/// Tells the doors that the adapter has matrix units (NVIDIA: tensor cores) that our shader reaches.
pub fn set_matrix_units(there: bool) {
    MATRIX_UNITS.store(there, Ordering::Relaxed);
}

/// What [`set_matrix_units`] said last.
pub fn matrix_units() -> bool {
    MATRIX_UNITS.load(Ordering::Relaxed)
}

/// Whether products of 16-bit floats run on a device's matrix units by our shader.
pub fn has_matrix_units(device: &Device) -> bool {
    matrix_units() && runs(Kernel::Matmul, device) && runs(Kernel::MatmulCooperative, device)
}

/// Whether one kernel was switched to its reference.
pub fn is_replaced(kernel: Kernel) -> bool {
    REPLACED.load(Ordering::Relaxed) & (1 << kernel as u32) != 0
}

/// Whether a kernel runs on a device: the device takes WGSL, or is the CPU which has loops for it, and nobody switched
/// the kernel off.
pub fn runs(kernel: Kernel, device: &Device) -> bool {
    (takes_wgsl(device) || kernel.has_loops() && takes_loops(device))
        && !REFERENCE.load(Ordering::Relaxed)
        && !is_replaced(kernel)
}

/// What a thread does in 16 bits.
#[derive(Debug, Clone, Copy)]
struct Half {
    /// Its products multiply them.
    computes: bool,
    /// Its operations keep them for the backward pass.
    keeps: bool,
}

thread_local! {
    static HALF: Cell<Half> = const { Cell::new(Half { computes: false, keeps: false }) };
}

/// Gives a thread back the precision that it had before.
#[derive(Debug)]
pub struct PrecisionGuard {
    before: Half,
}

impl PrecisionGuard {
    fn set(change: impl FnOnce(Half) -> Half) -> Self {
        HALF.with(|half| Self { before: half.replace(change(half.get())) })
    }
}

impl Drop for PrecisionGuard {
    fn drop(&mut self) {
        HALF.with(|half| half.set(self.before));
    }
}

/// Turns half precision on (`on`) or leaves it as it is: products multiply 16-bit floats, on matrix units or by burn's own
/// library, and operations keep 16-bit floats for the backward pass.
#[must_use = "the precision is as before when the guard is dropped"]
pub fn half_precision(on: bool) -> PrecisionGuard {
    PrecisionGuard::set(|half| Half { computes: half.computes || on, keeps: half.keeps || on })
}

/// Has operations keep 32-bit floats for the backward pass, whatever the precision: where that follows at once, copies in 16
/// bits would take their time and free nothing.
#[must_use = "the precision is as before when the guard is dropped"]
pub fn keeping_32_bits() -> PrecisionGuard {
    PrecisionGuard::set(|half| Half { keeps: false, ..half })
}

/// Whether this thread computes in half precision now.
pub fn precision_is_half() -> bool {
    HALF.with(Cell::get).computes
}

/// Whether operations of this thread keep 16-bit floats for the backward pass now.
pub fn keeps_half() -> bool {
    HALF.with(Cell::get).keeps
}

/// Whether a device takes WGSL at all: burn's wgpu runtime does, the CPU and the runtimes with compilers of their own
/// do not. With the features `vulkan` and `metal` wgpu has such a compiler, which refuses WGSL text.
#[cfg(feature = "wgpu")]
pub fn takes_wgsl(device: &Device) -> bool {
    use burn::backend::DispatchDevice;
    if cfg!(any(feature = "vulkan", feature = "metal")) {
        return false;
    }
    match device.clone().inner().as_dispatch() {
        DispatchDevice::Cube(device) => matches!(device, cubecl::Device::Wgpu(_)),
        #[allow(unreachable_patterns, reason = "which other backends exist depends on features")]
        _ => false,
    }
}

/// Whether a device is burn's Flex, whose tensors are slices.
#[cfg(feature = "flex")]
fn takes_loops(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), burn::backend::DispatchDevice::Flex(_))
}

/// Whether a device is burn's Flex: not in this build.
#[cfg(not(feature = "flex"))]
fn takes_loops(_device: &Device) -> bool {
    false
}

/// Whether a device takes WGSL at all: none of this build's does.
#[cfg(not(feature = "wgpu"))]
pub fn takes_wgsl(_device: &Device) -> bool {
    false
}
