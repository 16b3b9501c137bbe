//! The one door to the device: what there is, opening one, its limits, and bringing numbers home.

#[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
mod adapters;
pub mod exact_memory;
pub mod mode;
#[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
mod other;

use burn::tensor::{Device, Tensor};
use lab_protocol::{EngineInfo, EngineKind};

use crate::error::DeviceError;

/// A device that a run may choose.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceDescription {
    /// What to call it: `cpu`, `gpu:0` …
    pub id: String,
    /// What it is.
    pub info: EngineInfo,
    /// The graphics API, or `Flex`.
    pub backend: String,
    /// The device listed before that is the same card by another graphics API.
    pub same_as: Option<String>,
    /// Names and values of its limits, but for the largest binding, which [`EngineInfo`] tells; bytes are plain numbers.
    pub limits: Vec<(String, String)>,
}

/// A device, open.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// For tensors.
    pub device: Device,
    /// What it is.
    pub info: EngineInfo,
}

/// The CPU by burn's Flex: always there.
#[cfg(feature = "flex")]
pub fn cpu() -> OpenDevice {
    let simd = if cfg!(target_family = "wasm") { "WebAssembly SIMD" } else { "SIMD" };
    let info = EngineInfo {
        kind: EngineKind::Cpu,
        device: format!("CPU, burn Flex, {simd}"),
        software: false,
        f16: false,
        max_binding_bytes: 0,
    };
    OpenDevice { device: Device::flex(), info }
}

/// The largest tensor that one binding of the device holds, in bytes; 0 where there is no such limit.
pub fn max_binding_bytes(device: &Device) -> u64 {
    #[cfg(feature = "wgpu")]
    if mode::takes_wgsl(device) {
        return gpu::limits_of_open_device();
    }
    let _ = device;
    0
}

/// Bytes that the device has set aside for this process, as far as it tells.
pub fn reserved_bytes(device: &Device) -> Option<u64> {
    device.clone().inner().memory_pool_usage().map(|usage| usage.bytes_reserved)
}

/// A tensor on another device of the run; as it is where it is there already. Neither has autodiff.
///
/// From a GPU it waits for the GPU, which a browser forbids: a browser has one device, and no other to move to.
pub fn carried<const D: usize>(tensor: Tensor<D>, device: &Device) -> Tensor<D> {
    if tensor.device() == *device {
        return tensor;
    }
    #[expect(clippy::disallowed_methods, reason = "several devices are native")]
    tensor.to_device(device)
}

/// Holds [`max_binding_bytes`] to so many bytes, so that what happens on a small device is seen on any; 0 takes the
/// device's own again.
pub fn limit_binding(bytes: u64) {
    #[cfg(feature = "wgpu")]
    gpu::hold_binding_to(bytes);
    // Without a GPU there is no binding.
    #[cfg(not(feature = "wgpu"))]
    let _ = bytes;
}

/// A tensor's values, on the host. The only way home, and asynchronous: a blocking read panics in a browser.
///
/// # Errors
///
/// [`DeviceError::Readback`].
pub async fn readback<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, DeviceError> {
    let failed = |reason: String| DeviceError::Readback { reason };
    #[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
    let on_gpu = mode::takes_wgsl(&tensor.device());
    let data = tensor.into_data_async().await;
    #[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
    if let Some(reason) = on_gpu.then(gpu::went_wrong).flatten() {
        return Err(failed(reason));
    }
    let data = data.map_err(|error| failed(error.to_string()))?;
    let data = data.convert::<f32>();
    data.try_into_vec::<f32>().map_err(|error| failed(format!("{error:?}")))
}

#[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
pub use adapters::{list, open, open_with_setup};
#[cfg(feature = "wgpu")]
pub use gpu::{OpenGpu, open_gpu};
#[cfg(all(feature = "remote", not(target_family = "wasm")))]
pub use other::serve;

#[cfg(feature = "wgpu")]
mod gpu {
    use std::sync::atomic::{AtomicU64, Ordering};

    use burn::tensor::wgpu::{WgpuBackend, WgpuSetup, wgpu};
    use burn::tensor::{Device, DeviceKind};
    use lab_protocol::{EngineInfo, EngineKind};

    use super::OpenDevice;
    use crate::device::mode;
    use crate::error::DeviceError;

    static MAX_BINDING: AtomicU64 = AtomicU64::new(0);
    /// A lower limit that was asked for; 0 for none.
    static HELD_TO: AtomicU64 = AtomicU64::new(0);
    /// What a GPU complained of first since somebody asked.
    #[cfg(not(target_family = "wasm"))]
    static WENT_WRONG: std::sync::Mutex<Option<String>> = std::sync::Mutex::new(None);

    /// Keeps what the driver complains of (no memory left, above all) until the next reading back, whose numbers it would
    /// spoil. CubeCL's own listener panics in a thread of its own, once for every launch that follows.
    #[cfg(not(target_family = "wasm"))]
    fn listen(device: &wgpu::Device) {
        device.on_uncaptured_error(std::sync::Arc::new(|error| {
            let mut first = WENT_WRONG.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            first.get_or_insert_with(|| error.to_string());
        }));
    }

    /// What a GPU complained of since this was asked last.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn went_wrong() -> Option<String> {
        WENT_WRONG.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// What the open devices allow. Kept for the process, as the switch of the kernels is.
    pub(super) fn limits_of_open_device() -> u64 {
        let (device, held) = (MAX_BINDING.load(Ordering::Relaxed), HELD_TO.load(Ordering::Relaxed));
        if held > 0 && (device == 0 || held < device) { held } else { device }
    }

    /// See [`super::limit_binding`].
    pub(super) fn hold_binding_to(bytes: u64) {
        HELD_TO.store(bytes, Ordering::Relaxed);
    }

    /// A GPU, open, with the handles that drawing shares.
    pub struct OpenGpu {
        /// For tensors.
        pub open: OpenDevice,
        /// Instance, adapter, device and queue.
        pub setup: WgpuSetup,
    }

    /// Opens the GPU of a kind by a graphics API; in a browser, the one that the browser offers.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Open`] when there is none, or the driver refuses.
    pub async fn open_gpu(kind: DeviceKind, api: WgpuBackend) -> Result<OpenGpu, DeviceError> {
        let failed = |error: burn::tensor::wgpu::WgpuInitError| DeviceError::Open {
            device: "GPU".to_owned(),
            reason: error.to_string(),
        };
        let options = Device::wgpu_options().device_kind(kind).graphics_api(api);
        let (device, setup) = options.init_with_setup_async().await.map_err(failed)?;
        #[cfg(not(target_family = "wasm"))]
        listen(&setup.device);
        let info = describe(&setup.adapter.get_info(), &setup.device.limits(), setup.device.features());
        // Of several devices, what all of them bear.
        let before = MAX_BINDING.load(Ordering::Relaxed);
        let others = before > 0;
        mode::set_software_adapter(info.software || others && mode::software_adapter());
        // No browser has them.
        #[cfg(not(target_family = "wasm"))]
        mode::set_matrix_units(matrix_units(&setup.adapter) && (!others || mode::matrix_units()));
        let least = if others { before.min(info.max_binding_bytes) } else { info.max_binding_bytes };
        MAX_BINDING.store(least, Ordering::Relaxed);
        Ok(OpenGpu { open: OpenDevice { device, info }, setup })
    }

    /// Whether an adapter multiplies 16x16 matrices of 16-bit floats into sums of 32 bits, by subgroups of 32 invocations:
    /// what `native/matmul_cooperative.wgsl` is written for. NVIDIA's do.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn matrix_units(adapter: &wgpu::Adapter) -> bool {
        use wgpu::{CooperativeScalarType, Features};
        let needed = Features::EXPERIMENTAL_COOPERATIVE_MATRIX | Features::SHADER_F16 | Features::SUBGROUP;
        let info = adapter.get_info();
        adapter.features().contains(needed)
            && [info.subgroup_min_size, info.subgroup_max_size] == [32, 32]
            && adapter.cooperative_matrix_properties().iter().any(|found| {
                [found.m_size, found.n_size, found.k_size] == [16; 3]
                    && found.ab_type == CooperativeScalarType::F16
                    && found.cr_type == CooperativeScalarType::F32
            })
    }

    pub(super) fn describe(adapter: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> EngineInfo {
        let name = adapter.name.to_lowercase();
        // Browsers hide what the adapter is, but SwiftShader's name shows through.
        let imitates = ["swiftshader", "llvmpipe", "lavapipe", "software", "basic render"];
        let told = [name, adapter.driver.to_lowercase(), adapter.driver_info.to_lowercase()];
        let software = adapter.device_type == wgpu::DeviceType::Cpu
            || told.iter().any(|text| imitates.iter().any(|word| text.contains(word)));
        EngineInfo {
            kind: EngineKind::Gpu,
            device: match adapter.name.is_empty() {
                true => "WebGPU adapter (the browser does not tell its name)".to_owned(),
                false => adapter.name.clone(),
            },
            software,
            f16: features.contains(wgpu::Features::SHADER_F16),
            max_binding_bytes: limits.max_storage_buffer_binding_size,
        }
    }
}
