//! Dynamic loss scaling: 16-bit gradients that would vanish are kept above the smallest number, those that overflow
//! cost a step and halve the scale.
//!
//! Micikevicius et al., arXiv 1710.03740, §3.2; the constants are those of `torch.amp.GradScaler`.

use burn::tensor::{DType, Device};

use crate::config::{Config, Precision};
use crate::error::TrainError;

/// The factor on the loss, a power of two, so that dividing by it again changes no bit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossScale {
    /// The factor now.
    pub scale: f64,
    /// Steps since it changed last.
    pub good: u64,
}

/// The first scale.
const INITIAL: f64 = 65_536.0;
/// Good steps after which the scale doubles.
const GROWTH_INTERVAL: u64 = 2000;
/// Beyond it a scaled loss nears the end of 32 bits.
const MOST: f64 = 16_777_216.0;

impl LossScale {
    /// The scale that a run begins with; `None` for a run in 32 bits.
    ///
    /// # Errors
    ///
    /// [`TrainError::Precision`] where the device has no 16-bit floats.
    pub(super) fn begin(config: &Config, device: &Device) -> Result<Option<Self>, TrainError> {
        if config.train.precision == Precision::F32 {
            return Ok(None);
        }
        if !device.supports_dtype(DType::F16) {
            return Err(TrainError::Precision);
        }
        Ok(Some(Self { scale: INITIAL, good: 0 }))
    }

    /// After a step whose gradients were finite.
    pub(super) fn grow(&mut self) {
        self.good += 1;
        if self.good == GROWTH_INTERVAL {
            *self = Self { scale: (2.0 * self.scale).min(MOST), good: 0 };
        }
    }

    /// After gradients that overflowed.
    pub(super) fn shrink(&mut self) {
        *self = Self { scale: (0.5 * self.scale).max(1.0), good: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_slowly_and_shrinks_at_once() {
        let mut scale = LossScale { scale: INITIAL, good: 0 };
        (1..GROWTH_INTERVAL).for_each(|_| scale.grow());
        assert_eq!(scale, LossScale { scale: INITIAL, good: GROWTH_INTERVAL - 1 });
        scale.grow();
        assert_eq!(scale, LossScale { scale: 2.0 * INITIAL, good: 0 });
        scale.shrink();
        assert_eq!(scale, LossScale { scale: INITIAL, good: 0 });
        (0..40).for_each(|_| scale.shrink());
        assert_eq!(scale.scale, 1.0);
    }
}
