//! What wgpu finds on this machine, by the names that `--device` takes.

use burn::tensor::DeviceKind;
use burn::tensor::wgpu::{WgpuBackend, WgpuSetup, wgpu};
use lab_protocol::{EngineInfo, EngineKind};

use super::gpu::{describe, matrix_units, open_gpu};
use super::{DeviceDescription, OpenDevice, cpu, other};
use crate::error::DeviceError;

/// How burn is asked for an adapter.
#[derive(Debug, Clone, PartialEq)]
struct Door {
    /// Its kind, and its place among those of its kind and graphics API.
    kind: DeviceKind,
    api: WgpuBackend,
    /// The door before it to the same card, by another API: on Windows both Vulkan and DX12 find one.
    same_as: Option<usize>,
}

/// How burn is asked for these adapters, with the place of each. Those that it cannot be asked for are left out: a second
/// one in software by the same API, and what is of no known kind.
fn doors(adapters: &[wgpu::AdapterInfo]) -> Vec<(usize, Door)> {
    let mut doors: Vec<(usize, Door)> = Vec::with_capacity(adapters.len());
    for (place, info) in adapters.iter().enumerate() {
        let alike = |other: &&wgpu::AdapterInfo| (other.backend, other.device_type) == (info.backend, info.device_type);
        let number = adapters[..place].iter().filter(alike).count();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(number),
            wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(number),
            wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(number),
            wgpu::DeviceType::Cpu if number == 0 => DeviceKind::Cpu,
            wgpu::DeviceType::Cpu | wgpu::DeviceType::Other => continue,
        };
        let api = match info.backend {
            wgpu::Backend::Vulkan => WgpuBackend::Vulkan,
            wgpu::Backend::Metal => WgpuBackend::Metal,
            wgpu::Backend::Dx12 => WgpuBackend::Dx12,
            _ => continue,
        };
        // Cards of one make are told apart by their order, which the APIs share.
        let card = |info: &wgpu::AdapterInfo| (info.vendor, info.device, info.device_type);
        let same: Vec<usize> = (0..doors.len()).filter(|&door| card(&adapters[doors[door].0]) == card(info)).collect();
        let (twins, others): (Vec<usize>, Vec<usize>) = same.into_iter().partition(|&door| doors[door].1.api == api);
        let same_as = others.get(twins.len()).copied();
        doors.push((place, Door { kind, api, same_as }));
    }
    doors
}

/// The adapters that burn can be asked for, in the drivers' order.
fn adapters() -> Vec<(wgpu::Adapter, Door)> {
    // OpenGL is left out: it computes nothing here, and its loader complains where there is no screen.
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(descriptor);
    let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let infos: Vec<_> = found.iter().map(wgpu::Adapter::get_info).collect();
    let mut found: Vec<_> = found.into_iter().map(Some).collect();
    doors(&infos).into_iter().filter_map(|(place, door)| Some((found[place].take()?, door))).collect()
}

/// The one that computes best by its kind: a card, what the processor brings along, a share of another machine's, software.
fn best(doors: &[Door]) -> Option<usize> {
    let rank = |door: &Door| match door.kind {
        DeviceKind::DiscreteGpu(_) => 0,
        DeviceKind::IntegratedGpu(_) => 1,
        DeviceKind::VirtualGpu(_) => 2,
        _ => 3,
    };
    (0..doors.len()).min_by_key(|&index| rank(&doors[index]))
}

/// Every device of this machine: GPUs in the drivers' order, then the CPU. Nothing is opened.
pub fn list() -> Vec<DeviceDescription> {
    let name = |index: usize| format!("gpu:{index}");
    let mut all: Vec<_> = adapters()
        .iter()
        .enumerate()
        .map(|(index, (adapter, door))| {
            let (info, limits) = (adapter.get_info(), adapter.limits());
            DeviceDescription {
                id: name(index),
                info: describe(&info, &limits, adapter.features()),
                backend: info.backend.to_string(),
                same_as: door.same_as.map(name),
                limits: vec![
                    ("matrix units".to_owned(), if matrix_units(adapter) { "f16" } else { "none" }.to_owned()),
                    ("max buffer".to_owned(), limits.max_buffer_size.to_string()),
                    ("workgroup memory".to_owned(), limits.max_compute_workgroup_storage_size.to_string()),
                    ("workgroup size".to_owned(), limits.max_compute_invocations_per_workgroup.to_string()),
                    ("workgroups".to_owned(), limits.max_compute_workgroups_per_dimension.to_string()),
                ],
            }
        })
        .collect();
    all.extend(other::list().into_iter().map(|(id, backend)| DeviceDescription {
        info: EngineInfo {
            kind: EngineKind::Gpu,
            device: format!("{backend} device"),
            software: false,
            f16: false,
            max_binding_bytes: 0,
        },
        id,
        backend: backend.to_owned(),
        same_as: None,
        limits: Vec::new(),
    }));
    all.push(DeviceDescription {
        id: "cpu".to_owned(),
        info: cpu().info,
        backend: "Flex".to_owned(),
        same_as: None,
        limits: Vec::new(),
    });
    all
}

/// Opens a device by its name: `cpu`, `gpu:N` as [`list`] counts, `gpu` for the best of them (a card before what the
/// processor brings along), or `auto`: that where it is not software, else the CPU. With their features also `cuda:N`,
/// `rocm:N`, `ws://HOST:PORT`.
///
/// # Errors
///
/// [`DeviceError::Unknown`], [`DeviceError::Feature`], [`DeviceError::Open`].
pub async fn open(id: &str) -> Result<OpenDevice, DeviceError> {
    Ok(open_with_setup(id).await?.0)
}

/// The same, with the handles that drawing shares where it is a GPU.
///
/// # Errors
///
/// As [`open`].
pub async fn open_with_setup(id: &str) -> Result<(OpenDevice, Option<WgpuSetup>), DeviceError> {
    if id == "cpu" {
        return Ok((cpu(), None));
    }
    if let Some(open) = other::open(id) {
        return Ok((open?, None));
    }
    let (adapters, doors): (Vec<_>, Vec<_>) = adapters().into_iter().unzip();
    let index = match id {
        "gpu" => best(&doors),
        "auto" => match best(&doors).filter(|&index| doors[index].kind != DeviceKind::Cpu) {
            Some(index) => Some(index),
            None => return Ok((cpu(), None)),
        },
        _ => id.strip_prefix("gpu:").and_then(|index| index.parse().ok()),
    };
    match index.and_then(|index: usize| Some((adapters.get(index)?.get_info(), doors.into_iter().nth(index)?))) {
        // Mesa's 22.3 and 25.0 end the process at the first pipeline (decision 25).
        Some((info, _)) if cfg!(feature = "vulkan") && info.name.contains("llvmpipe") => Err(DeviceError::Open {
            device: id.to_owned(),
            reason: "llvmpipe crashes on what this build's feature vulkan compiles; take a build without it".to_owned(),
        }),
        Some((_, door)) => {
            let gpu = open_gpu(door.kind, door.api).await?;
            Ok((gpu.open, Some(gpu.setup)))
        }
        None => Err(DeviceError::Unknown {
            asked: id.to_owned(),
            known: list().into_iter().map(|device| device.id).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card, what the processor brings, and software; by Vulkan, and all again by DX12, in another order.
    fn windows() -> Vec<wgpu::AdapterInfo> {
        use wgpu::{Backend, DeviceType};
        let adapter = |kind, api, device| wgpu::AdapterInfo { device, ..wgpu::AdapterInfo::new(kind, api) };
        let (card, chip, software) = (DeviceType::DiscreteGpu, DeviceType::IntegratedGpu, DeviceType::Cpu);
        vec![
            adapter(chip, Backend::Vulkan, 7),
            adapter(card, Backend::Vulkan, 1),
            adapter(card, Backend::Vulkan, 1),
            adapter(software, Backend::Vulkan, 8),
            adapter(software, Backend::Vulkan, 9),
            adapter(card, Backend::Dx12, 1),
            adapter(card, Backend::Dx12, 1),
            adapter(chip, Backend::Dx12, 7),
            adapter(software, Backend::Dx12, 10),
            adapter(DeviceType::Other, Backend::Gl, 1),
        ]
    }

    #[test]
    fn each_adapter_is_counted_within_its_kind_and_graphics_api() {
        use DeviceKind::{Cpu, DiscreteGpu, IntegratedGpu};
        use WgpuBackend::{Dx12, Vulkan};
        let expected = [
            (0, IntegratedGpu(0), Vulkan, None),
            (1, DiscreteGpu(0), Vulkan, None),
            (2, DiscreteGpu(1), Vulkan, None),
            (3, Cpu, Vulkan, None),
            (5, DiscreteGpu(0), Dx12, Some(1)),
            (6, DiscreteGpu(1), Dx12, Some(2)),
            (7, IntegratedGpu(0), Dx12, Some(0)),
            (8, Cpu, Dx12, None),
        ];
        let expected = expected.map(|(place, kind, api, same_as)| (place, Door { kind, api, same_as }));
        assert_eq!(doors(&windows()), expected);
    }

    #[test]
    fn a_card_is_better_than_what_the_processor_brings_and_that_than_software() {
        let doors: Vec<Door> = doors(&windows()).into_iter().map(|(_, door)| door).collect();
        assert_eq!(best(&doors), Some(1));
        assert_eq!(best(&doors[3..4]), Some(0));
        assert_eq!(best(&[doors[3].clone(), doors[0].clone()]), Some(1));
        assert_eq!(best(&[]), None);
    }
}
