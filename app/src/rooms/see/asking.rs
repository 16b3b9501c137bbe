//! Who asks: layer, head, query and patch as each model has them.

use lab_protocol::{ImageId, ModelInfo, Query, Slot};
use leptos::prelude::*;

use crate::grid::patch_in_grid;
use crate::state::Store;

impl Store {
    /// The model in a slot.
    pub(crate) fn model_in(self, slot: Slot) -> Option<ModelInfo> {
        match slot {
            Slot::Other => self.rooms.see.other.get(),
            Slot::Main | Slot::Mae => self.model.get(),
        }
    }

    /// Patch rows and columns as a model sees them.
    pub(crate) fn grid_of(self, slot: Slot) -> Signal<[usize; 2]> {
        match slot {
            Slot::Other => Signal::derive(move || {
                let side = |model: ModelInfo| model.img_size.checked_div(model.patch_size).unwrap_or(0);
                [self.rooms.see.other.get().map_or(0, side); 2]
            }),
            Slot::Main | Slot::Mae => self.grid.into(),
        }
    }

    /// The chosen patch in a model's own grid.
    pub(crate) fn patch_in(self, slot: Slot) -> u32 {
        match slot {
            Slot::Other => patch_in_grid(self.patch(), self.grid.get(), self.grid_of(slot).get()),
            Slot::Main | Slot::Mae => self.patch(),
        }
    }

    /// The block on show, within a model's blocks.
    pub(crate) fn layer_of(self, model: &ModelInfo) -> u32 {
        let last = model.depth.saturating_sub(1) as u32;
        self.rooms.see.layer.get().map_or(last, |layer| layer.min(last))
    }

    /// The head on show, where a model has it.
    pub(crate) fn head_of(self, model: &ModelInfo) -> Option<u32> {
        self.rooms.see.head.get().filter(|&head| head < model.num_heads as u32)
    }

    /// Who asks in the attention view.
    pub(crate) fn query_in(self, slot: Slot) -> Query {
        match self.rooms.see.by_patch.get() {
            true => Query::Patch { index: self.patch_in(slot) },
            false => Query::Cls,
        }
    }

    /// The pinned patch, where its image is here, whether or not the image has it.
    pub(crate) fn pin(self) -> Option<(ImageId, u32)> {
        let (name, patch) = self.rooms.see.pin.get()?;
        let id =
            self.images.with(|images| images.iter().find(|picture| picture.name == name).map(|picture| picture.id));
        id.map(|id| (id, patch))
    }

    /// The pinned patch, where its image is here and has it: a link's may be one of a model that is still on its way.
    pub(crate) fn pinned(self) -> Option<(ImageId, u32)> {
        self.pin().filter(|&(image, patch)| {
            let [rows, columns] = self.grid_in(image);
            (patch as usize) < rows * columns
        })
    }

    /// Whose patch every similarity is with, in a model's own grid: the pinned one, else the chosen one.
    pub(crate) fn asking(self, slot: Slot) -> Option<(ImageId, u32)> {
        let (image, patch) = match self.pinned() {
            Some(pinned) => pinned,
            None => (self.selected.get()?, self.patch()),
        };
        let main = self.grid_in(image);
        let own = if slot == Slot::Main { main } else { self.grid_of(slot).get() };
        Some((image, if main == own { patch } else { patch_in_grid(patch, main, own) }))
    }

    /// Keeps asking for the chosen patch when another image is shown.
    pub(crate) fn pin_here(self) {
        let pin = self.rooms.see.pin;
        if pin.with_untracked(Option::is_none)
            && let Some(picture) = self.picture_untracked()
        {
            pin.set(Some((picture.name, self.patch_untracked())));
        }
    }

    /// An image's name for people.
    pub(crate) fn name_of(self, image: ImageId) -> Option<String> {
        self.images.with(|images| images.iter().find(|picture| picture.id == image).map(|picture| picture.name.clone()))
    }
}
