//! A tensor's own buffer, for drawing it without a copy.

use burn::backend::wgpu::{CubeBackend, CubeTensor, into_contiguous};
use burn::tensor::Tensor;
use burn::tensor::wgpu::wgpu;

use super::launch::resource;
use crate::error::DeviceError;

/// A stretch of GPU memory that holds a contiguous f32 tensor, and keeps it there.
pub struct SharedBuffer {
    buffer: wgpu::Buffer,
    offset: u64,
    size: u64,
    _tensor: CubeTensor,
}

impl SharedBuffer {
    /// For a bind group.
    pub fn binding(&self) -> wgpu::BindingResource<'_> {
        // WebGPU counts bindings in words of four bytes.
        let size = std::num::NonZeroU64::new(self.size.next_multiple_of(4));
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.buffer, offset: self.offset, size })
    }
}

/// The buffer of a tensor on the wgpu device. What computes it is sent to the queue first, so that whatever the caller
/// submits to the same queue comes after.
///
/// # Errors
///
/// [`DeviceError::Share`] when the tensor lies elsewhere or its computation failed.
pub fn share<const D: usize>(tensor: Tensor<D>) -> Result<SharedBuffer, DeviceError> {
    let failed = |reason: String| DeviceError::Share { reason };
    let device = tensor.device();
    let tensor = tensor.try_into_primitive::<CubeBackend>().map_err(|error| failed(format!("{error:?}")))?;
    let tensor = into_contiguous(tensor);
    let (buffer, offset, size) = resource(&tensor).map_err(failed)?;
    device.flush().map_err(|error| failed(error.to_string()))?;
    Ok(SharedBuffer { buffer, offset, size, _tensor: tensor })
}
