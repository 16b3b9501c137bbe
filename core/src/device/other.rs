//! Devices beside wgpu's and the CPU: CUDA, ROCm, and those of other machines. Each comes with a Cargo feature; every
//! kernel takes its reference path there, and burn's own library computes.

#[cfg(any(feature = "cuda", feature = "rocm", feature = "remote"))]
use burn::tensor::Device;

use super::OpenDevice;
use crate::error::DeviceError;

/// The device called `id`, where it is one of these: `cuda:N`, `rocm:N`, `ws://HOST:PORT` (or `…/N` for a server's N-th
/// device).
///
/// # Errors
///
/// [`DeviceError::Feature`] when this build lacks what it takes, [`DeviceError::Open`].
pub(super) fn open(id: &str) -> Option<Result<OpenDevice, DeviceError>> {
    let (kind, rest) = id.split_once(':').unwrap_or((id, "0"));
    let number = || {
        rest.parse::<usize>()
            .map_err(|_| DeviceError::Open { device: id.to_owned(), reason: format!("{rest} is no number") })
    };
    Some(match kind {
        "cuda" => number().and_then(|number| cuda(id, number)),
        "rocm" => number().and_then(|number| rocm(id, number)),
        "ws" => remote(id),
        _ => return None,
    })
}

/// The names of what there is of these on this machine, as far as this build and the drivers tell.
pub(super) fn list() -> Vec<(String, &'static str)> {
    #[allow(unused_mut, reason = "which kinds there are depends on features")]
    let mut found = Vec::new();
    #[cfg(feature = "cuda")]
    found.extend(numbered("cuda", "CUDA", || Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len()));
    #[cfg(feature = "rocm")]
    found.extend(numbered("rocm", "ROCm", || Device::enumerate(burn::tensor::DeviceType::Rocm).into_vec().len()));
    found
}

/// `kind:0` to the last; none where the library panics for want of a driver.
#[cfg(any(feature = "cuda", feature = "rocm"))]
fn numbered(kind: &str, backend: &'static str, count: impl FnOnce() -> usize) -> Vec<(String, &'static str)> {
    let count = std::panic::catch_unwind(std::panic::AssertUnwindSafe(count)).unwrap_or(0);
    (0..count).map(|number| (format!("{kind}:{number}"), backend)).collect()
}

/// Opens a device of a library that panics where there is none: a small sum is computed and read back.
#[cfg(any(feature = "cuda", feature = "rocm"))]
fn probed(id: &str, name: &str, device: impl FnOnce() -> Device) -> Result<OpenDevice, DeviceError> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let failed = |reason: &str| DeviceError::Open { device: id.to_owned(), reason: reason.to_owned() };
    let open = catch_unwind(AssertUnwindSafe(|| {
        let device = device();
        let sum = burn::tensor::Tensor::<1>::ones([4], &device).sum();
        pollster::block_on(super::readback(sum)).map(|_| device)
    }));
    let device = open.map_err(|_| failed("its library or driver was not found"))??;
    Ok(described(device, name.to_owned()))
}

/// What is known of such a device.
#[cfg(any(feature = "cuda", feature = "rocm", feature = "remote"))]
fn described(device: Device, name: String) -> OpenDevice {
    let f16 = device.supports_dtype(burn::tensor::DType::F16);
    let kind = lab_protocol::EngineKind::Gpu;
    let info = lab_protocol::EngineInfo { kind, device: name, software: false, f16, max_binding_bytes: 0 };
    OpenDevice { device, info }
}

#[cfg(feature = "cuda")]
fn cuda(id: &str, number: usize) -> Result<OpenDevice, DeviceError> {
    probed(id, &format!("CUDA device {number}"), || Device::cuda(number))
}

#[cfg(not(feature = "cuda"))]
fn cuda(id: &str, _number: usize) -> Result<OpenDevice, DeviceError> {
    lacks(id, "cuda")
}

#[cfg(feature = "rocm")]
fn rocm(id: &str, number: usize) -> Result<OpenDevice, DeviceError> {
    probed(id, &format!("ROCm device {number}"), || Device::rocm(number))
}

#[cfg(not(feature = "rocm"))]
fn rocm(id: &str, _number: usize) -> Result<OpenDevice, DeviceError> {
    lacks(id, "rocm")
}

/// A device of a machine on which `native-trainer serve` runs.
#[cfg(feature = "remote")]
fn remote(id: &str) -> Result<OpenDevice, DeviceError> {
    use burn::tensor::remote::RemoteHost;
    let failed = |reason: String| DeviceError::Open { device: id.to_owned(), reason };
    let address = id.strip_prefix("ws://").ok_or_else(|| failed("expected ws://HOST:PORT".to_owned()))?;
    let (host, number) = match address.split_once('/') {
        Some((host, number)) => (host, number.parse().map_err(|_| failed(format!("{number} is no number")))?),
        None => (address, 0usize),
    };
    let options = Device::remote_options(&RemoteHost::websocket(&format!("ws://{host}"))).device_index(number);
    let device = options.init().map_err(|error| failed(error.to_string()))?;
    Ok(described(device, format!("device {number} of {host}")))
}

#[cfg(not(feature = "remote"))]
fn remote(id: &str) -> Result<OpenDevice, DeviceError> {
    lacks(id, "remote")
}

/// Lends devices to other machines, until Ctrl-C or SIGTERM.
///
/// # Errors
///
/// [`DeviceError::Open`]: devices that burn's server does not host, or a port that it does not get.
#[cfg(feature = "remote")]
pub fn serve(devices: Vec<Device>, listener: std::net::TcpListener) -> Result<(), DeviceError> {
    use burn::tensor::server::{RemoteServer, WebSocketTransport};
    let served = RemoteServer::new(devices).serve(WebSocketTransport::from_listener(listener));
    served.map_err(|error| DeviceError::Open { device: "to be served".to_owned(), reason: error.to_string() })
}

#[cfg(not(all(feature = "cuda", feature = "rocm", feature = "remote")))]
fn lacks(id: &str, feature: &'static str) -> Result<OpenDevice, DeviceError> {
    Err(DeviceError::Feature { asked: id.to_owned(), feature })
}
