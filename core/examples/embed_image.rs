//! The shortest honest program: a model from a Hugging Face folder, an image, its embedding in PyTorch's numbers.
//!
//! ```sh
//! cargo run --package lab-core --example embed_image -- tests/golden/models/dinov2-mlp public/samples/reef.jpg
//! ```
#![allow(clippy::disallowed_methods, reason = "an example is a host: it reads files where the core may not")]

use std::error::Error;
use std::path::Path;

use lab_core::device;
use lab_core::formats::ModelFiles;
use lab_core::host::{MemoryFile, ReadAt};
use lab_core::image::{Limits, decode};
use lab_core::models::{self, LoadOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, image] = arguments.as_slice() else { return Err("usage: embed_image MODEL_FOLDER IMAGE".into()) };
    let embedding = pollster::block_on(embed(Path::new(folder), Path::new(image)))?;
    println!("{} numbers, the first of them: {:?}", embedding.len(), &embedding[..embedding.len().min(4)]);
    Ok(())
}

async fn embed(folder: &Path, image: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    // The core knows no disk: its host hands it bytes.
    let mut files: Vec<Box<dyn ReadAt>> = Vec::new();
    for name in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        let path = folder.join(name);
        if path.exists() {
            files.push(Box::new(MemoryFile::new(name, std::fs::read(path)?)));
        }
    }
    let files = ModelFiles::from_files(files).await?;
    let cpu = device::cpu().device;
    let model = models::load(files, &cpu, LoadOptions::default(), &mut |_, _, _: &str| {}).await?;

    let picture = decode(&std::fs::read(image)?, &Limits::default())?;
    let prepared = model.preprocess().prepare(&picture)?;
    let shape = [1, 3, prepared.height() as usize, prepared.width() as usize];
    let pixels = model.preprocess().normalise(&prepared);
    Ok(model.embed(pixels, shape, false).await?.cls)
}
