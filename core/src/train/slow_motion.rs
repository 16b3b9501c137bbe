//! One step in slow motion: the tensors that it passes, kept on the way. Switched off, it keeps nothing and costs nothing.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::device::readback;
use crate::error::DeviceError;

/// Tensors of a step by their names: `teacher.logits`, `center`, `teacher.probs`, `student.global`, `student.local`,
/// `center.moved`, `mae.latent`, `mae.logits`, `mae.patch_loss`, `moved.student`, `moved.teacher`, `length.student`,
/// `length.teacher`, `apart`.
#[derive(Debug, Default)]
pub struct SlowMotion {
    on: bool,
    tensors: BTreeMap<&'static str, (Vec<usize>, Tensor<1>)>,
}

impl SlowMotion {
    /// One that keeps nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// One that keeps what passes.
    pub fn on() -> Self {
        Self { on: true, ..Self::default() }
    }

    /// Whether it keeps anything.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Keeps a tensor, without its graph.
    pub(super) fn keep<const D: usize>(&mut self, name: &'static str, tensor: &Tensor<D>) {
        if self.on {
            let tensor = tensor.clone();
            let tensor = if tensor.is_autodiff() { tensor.inner() } else { tensor };
            let (shape, count) = (tensor.dims().to_vec(), tensor.shape().num_elements());
            self.tensors.insert(name, (shape, tensor.reshape([count])));
        }
    }

    /// Shape and numbers of a tensor that was kept.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn read(&self, name: &str) -> Result<Option<(Vec<usize>, Vec<f32>)>, DeviceError> {
        match self.tensors.get(name) {
            Some((shape, values)) => Ok(Some((shape.clone(), readback(values.clone()).await?))),
            None => Ok(None),
        }
    }

    /// A tensor of a single number; 0 where it was not kept.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn number(&self, name: &str) -> Result<f64, DeviceError> {
        Ok(self.read(name).await?.and_then(|(_, values)| values.first().copied()).map_or(0.0, f64::from))
    }
}
