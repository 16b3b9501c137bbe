//! The batch of a step that was refused, to be looked at: crops as the model got them, and the images they came from.

use std::path::Path;

use anyhow::{Context as _, Result};
use lab_core::data::multi_crop::Batch;
use safetensors::tensor::{Dtype, TensorView};

/// Writes `part.N.global` and `part.N.local`; the metadata says step, reason and images.
pub(crate) fn write(path: &Path, batches: &[Batch], images: &[&str], what: &str, step: u64) -> Result<()> {
    let cannot = || format!("cannot write the replay file {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(cannot)?;
    }
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors = Vec::new();
    for (index, batch) in batches.iter().map(Batch::cut).enumerate() {
        for (name, values, number, size) in [
            ("global", &batch.global, batch.global_number, batch.global_size),
            ("local", &batch.local, batch.local_number, batch.local_size),
        ] {
            if !values.is_empty() {
                let shape = vec![number * batch.images, 3, size, size];
                tensors.push((format!("part.{index}.{name}"), shape, bytes(values)));
            }
        }
    }
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, shape, bytes)| TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name.as_str(), view)))
        .collect();
    let about = [
        ("step".to_owned(), step.to_string()),
        ("not_finite".to_owned(), what.to_owned()),
        ("images".to_owned(), serde_json::to_string(images)?),
    ];
    safetensors::serialize_to_file(views.with_context(cannot)?, Some(about.into()), path).with_context(cannot)
}
