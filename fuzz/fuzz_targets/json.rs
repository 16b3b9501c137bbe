//! The JSON beside a model: a recipe that is accepted can be planned, an index cannot confuse its shards.
#![no_main]

use lab_core::host::MemoryFile;
use lab_core::image::{Preprocess, Rgb8};

#[path = "../read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(recipe) = Preprocess::from_json(text)
    {
        for (width, height) in [(1, 1), (640, 480), (1, 65_535), (65_535, 1)] {
            if let Ok(plan) = recipe.plan(width, height) {
                assert!(plan.output.iter().all(|&side| side > 0));
            }
        }
        let small = recipe.plan(3, 2).is_ok_and(|plan| plan.output[0] * plan.output[1] < 1 << 16);
        if small {
            let image = Rgb8::new(3, 2, vec![128; 18]).expect("3 x 2");
            recipe.apply(&image).expect("a plan that was made");
        }
    }
    let index = MemoryFile::new("model.safetensors.index.json", bytes.to_vec());
    let shard = MemoryFile::new("model-00001-of-00001.safetensors", b"\x02\0\0\0\0\0\0\0{}".to_vec());
    read::folder(vec![Box::new(index), Box::new(shard)]);
});
