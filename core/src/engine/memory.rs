//! What an engine may take of memory, and whether a model fits in: said before a weight of it is read, and before the
//! model in its place is given up.

use lab_protocol::{EngineKind, Memory, ModelInfo, Slot};

use super::{Engine, LARGE, Progress};
use crate::device;
use crate::error::{EngineError, Error, size};
use crate::formats::ModelFiles;
use crate::host::ReadAt;
use crate::models::fit::{Weighed, largest_that_fits};
use crate::models::{LoadOptions, load};

/// What the host knows of the process's memory: `taken`, `most` and `machine`; the device's own is ours to ask.
pub type Gauge = fn() -> Memory;

/// A model that fits, before a weight of it is read.
#[derive(Debug)]
pub struct Fitting {
    slot: Slot,
    files: ModelFiles,
    half: bool,
    /// A sentence where it may be too much all the same.
    pub advice: Option<String>,
}

impl Engine {
    /// Tells the engine by what to know the memory it may take; without, no model is too large.
    #[must_use]
    pub fn with_gauge(self, gauge: Gauge) -> Self {
        Self { gauge: Some(gauge), ..self }
    }

    /// The memory of this engine.
    pub fn memory(&self) -> Memory {
        let host = told_by(self.gauge);
        let gpu = match self.open.info.kind {
            EngineKind::Gpu => device::reserved_bytes(&self.open.device).unwrap_or(0),
            EngineKind::Cpu => 0,
        };
        Memory { gpu, piece: device::max_binding_bytes(&self.open.device), ..host }
    }

    /// Whether a model in files fits into a slot, by its headers alone.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the files; [`EngineError::Memory`], [`EngineError::Piece`].
    pub async fn weigh(&self, slot: Slot, files: Vec<Box<dyn ReadAt>>) -> Result<Fitting, Error> {
        let files = ModelFiles::from_files(files).await?;
        let room = self.room(slot);
        let weighed = Weighed::of_files(&files, |parameters| room.half(parameters))?;
        let advice = room.check(&weighed)?;
        Ok(Fitting { slot, files, half: weighed.half, advice })
    }

    /// Loads a model that fits into its slot and forgets the one before: at once, for there may be no room for both.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the weights; the slot is empty then.
    pub async fn load_fitting(
        &mut self,
        fitting: Fitting,
        name: &str,
        progress: &mut Progress<'_>,
    ) -> Result<ModelInfo, Error> {
        let Fitting { slot, files, half, .. } = fitting;
        // Its memory goes first.
        self.unload(slot);
        let mut model = load(files, &self.open.device, LoadOptions { half }, progress).await?;
        if !name.is_empty() {
            model.rename(name);
        }
        self.put(slot, model).await
    }

    /// The room for a model in a slot, where the one before it goes.
    pub fn room(&self, slot: Slot) -> Room {
        let piece = device::max_binding_bytes(&self.open.device);
        Room { kind: self.open.info.kind, f16: self.open.info.f16, piece, gauge: self.gauge, goes: self.bytes_of(slot) }
    }

    /// Bytes that go with the model in a slot, on the CPU where they are this process's.
    fn bytes_of(&self, slot: Slot) -> u64 {
        match slot {
            Slot::Main => self.model.as_ref().map_or(0, |model| model.info().bytes + self.images.bytes_seen(model)),
            Slot::Other => self.see.bytes(),
            Slot::Mae => self.mask.bytes(),
        }
    }
}

fn told_by(gauge: Option<Gauge>) -> Memory {
    gauge.map(|gauge| gauge()).unwrap_or_default()
}

/// The room for a model, apart from its engine: who fetches one asks before the weights come, while the engine computes.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    kind: EngineKind,
    f16: bool,
    piece: u64,
    gauge: Option<Gauge>,
    /// Bytes that become free.
    goes: u64,
}

impl Room {
    /// Why a model does not fit, by the headers of its files; `None` where it does, or where something else is wrong with it.
    pub async fn refuses(&self, files: Vec<Box<dyn ReadAt>>) -> Option<EngineError> {
        let files = ModelFiles::from_files(files).await.ok()?;
        let weighed = Weighed::of_files(&files, |parameters| self.half(parameters)).ok()?;
        self.check(&weighed).err()
    }

    /// Whether a model of so many parameters is held in 16 bits.
    fn half(&self, parameters: u64) -> bool {
        self.f16 && 4 * parameters > LARGE
    }

    /// Whether there is room for a model; a sentence where the machine may have too little.
    pub(super) fn check(&self, model: &Weighed) -> Result<Option<String>, EngineError> {
        let Memory { taken, most, machine, .. } = told_by(self.gauge);
        let (needs, piece) = (model.needs, self.piece);
        let left = most.saturating_sub(taken.saturating_sub(self.goes));
        let fits = |memory: u64| {
            let half = |parameters| self.half(parameters);
            let (preset, bytes) = largest_that_fits(model.family?, &model.config, memory, piece, half)?;
            Some((preset.name, bytes))
        };
        // On a GPU the weights lie elsewhere.
        let bound = most > 0 && self.kind == EngineKind::Cpu;
        if bound && needs.memory() > left {
            return Err(EngineError::Memory {
                needs: needs.memory(),
                weights: needs.weights,
                left,
                most,
                fits: fits(left),
                half: model.needs_half.memory(),
            });
        }
        if piece > 0 && needs.piece > piece {
            return Err(EngineError::Piece { needs: needs.piece, most: piece, fits: fits(u64::MAX) });
        }
        let doubtful = machine > 0 && needs.memory() > machine;
        Ok(doubtful.then(|| {
            let instead = fits(machine).map(|(name, bytes)| format!("; {name} takes {}", size(bytes)));
            format!(
                "This model takes {}, and the browser tells of {} in this machine: it may fail or be slow{}.",
                size(needs.memory()),
                size(machine),
                instead.unwrap_or_default()
            )
        }))
    }
}
