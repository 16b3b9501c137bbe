//! What the suite shares: devices, goldens, comparison.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use burn::tensor::wgpu::WgpuSetup;
use burn::tensor::{DType, Device, Tensor, TensorData};
use lab_core::device::{self, OpenDevice, readback};
use lab_core::formats::{Checkpoint, ModelFiles};
use lab_core::host::{MemoryFile, ReadAt};
use lab_core::kernels::mode;
use lab_protocol::EngineInfo;

/// A GPU for the length of a test. One test uses it at a time: the switch between kernels and references is the
/// process's, and software Vulkan gains nothing from two.
pub struct Gpu {
    /// For tensors.
    pub device: Device,
    /// What it is.
    pub info: EngineInfo,
    /// Device and queue, for drawing.
    pub setup: WgpuSetup,
    _turn: MutexGuard<'static, ()>,
}

/// The first GPU, which on a machine without one is software Vulkan.
///
/// # Panics
///
/// With advice, when there is none: such a run would prove nothing.
pub fn gpu() -> Gpu {
    static TURN: Mutex<()> = Mutex::new(());
    static OPEN: OnceLock<(OpenDevice, WgpuSetup)> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (open, setup) = OPEN.get_or_init(|| {
        let (open, setup) = pollster::block_on(device::open_with_setup("gpu")).unwrap_or_else(|error| {
            panic!("{error}\nthe tests need a Vulkan driver, software will do: apt-get install mesa-vulkan-drivers")
        });
        eprintln!("GPU of the tests: {:?}", open.info);
        (open, setup.expect("a GPU has handles"))
    });
    mode::set_kernels(mode::Kernels::Wgsl);
    Gpu { device: open.device.clone(), info: open.info.clone(), setup: setup.clone(), _turn: turn }
}

/// [`gpu`], where it has 16-bit floats; an old software Vulkan has none, and then there is nothing to test.
pub fn gpu_with_f16() -> Option<Gpu> {
    let gpu = gpu();
    let has = gpu.device.supports_dtype(DType::F16);
    if !has {
        eprintln!("no f16 here");
    }
    has.then_some(gpu)
}

/// The CPU device.
pub fn cpu() -> Device {
    device::cpu().device
}

/// Numbers between -1 and 1 from a seed, the same on every device.
pub fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A tensor's values.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    pollster::block_on(readback(tensor)).expect("the device gives back what it computed")
}

/// Every element within `atol`, or within `rtol` of the expected one.
///
/// # Panics
///
/// Naming the worst element.
#[track_caller]
pub fn assert_close(what: &str, found: &[f32], expected: &[f32], atol: f32, rtol: f32) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let excess = |(a, b): (&f32, &f32)| {
        let excess = (a - b).abs() - (atol + rtol * b.abs());
        if excess.is_nan() { f32::INFINITY } else { excess }
    };
    let worst = found.iter().zip(expected).map(excess).enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((index, excess)) = worst {
        assert!(
            excess <= 0.0,
            "{what}: element {index} of {} is {}, expected {} (atol {atol}, rtol {rtol})",
            found.len(),
            found[index],
            expected[index]
        );
    }
}

/// A file below `tests/golden`.
pub fn golden_path(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(path)
}

/// A file below `tests/golden`, as a host hands it over.
pub fn golden_file(path: &str) -> Box<dyn ReadAt> {
    host_file(&golden_path(path))
}

/// A file in memory, under its own name.
pub fn host_file(path: &Path) -> Box<dyn ReadAt> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Box::new(MemoryFile::new(name, bytes))
}

/// The tensors of a file below `tests/golden`.
pub fn golden(path: &str) -> Checkpoint {
    pollster::block_on(Checkpoint::open(golden_file(path))).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Shape and values of a golden tensor.
pub fn golden_tensor(checkpoint: &Checkpoint, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = pollster::block_on(checkpoint.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let values = tensor.to_f32().unwrap_or_else(|error| panic!("{name}: {error}"));
    (tensor.shape, values)
}

/// The model in a folder below `tests/golden/models`: config, weights, index; `only` picks one file of weights.
pub fn golden_model(folder: &str, only: Option<&str>) -> ModelFiles {
    model_in(&golden_path(&format!("models/{folder}")), only)
}

/// The same of any folder.
pub fn model_in(path: &Path, only: Option<&str>) -> ModelFiles {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with("io") && (name.ends_with(".json") || only.is_none_or(|only| only == name)))
        .collect();
    names.sort();
    let files = names.iter().map(|name| host_file(&path.join(name))).collect();
    pollster::block_on(ModelFiles::from_files(files)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The photographs that the page brings.
pub const SAMPLES: [(&str, &[u8]); 6] = [
    ("apples.jpg", include_bytes!("../../public/samples/apples.jpg")),
    ("ginger-cat.jpg", include_bytes!("../../public/samples/ginger-cat.jpg")),
    ("grey-cat.jpg", include_bytes!("../../public/samples/grey-cat.jpg")),
    ("harbour.jpg", include_bytes!("../../public/samples/harbour.jpg")),
    ("lemons.jpg", include_bytes!("../../public/samples/lemons.jpg")),
    ("reef.jpg", include_bytes!("../../public/samples/reef.jpg")),
];
