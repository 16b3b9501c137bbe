//! Opens the device that the command line names, and loads a model onto it with its progress shown.

use anyhow::{Context as _, Result, anyhow};
use lab_core::device::{OpenDevice, mode};
use lab_core::formats::ModelFiles;
use lab_core::kernels::self_check::{self, Extent};
use lab_core::models::{self, LoadOptions, Model};
use lab_protocol::{EngineInfo, EngineKind, SelfCheck};

use crate::cli::{EngineArgs, Kernels};
use crate::progress::{Progress, Unit};
use crate::text;

/// Opens the device, chooses the kernels, and checks each against its twin: a wrong one is named and replaced.
///
/// # Errors
/// When there is no such device; the message lists those that there are.
pub(crate) fn open(arguments: &EngineArgs) -> Result<OpenDevice> {
    mode::set_kernels(match arguments.kernels {
        Kernels::Wgsl => mode::Kernels::Wgsl,
        Kernels::Reference => mode::Kernels::Reference,
    });
    let open = pollster::block_on(lab_core::device::open(&arguments.device))?;
    text::note(&format!("computing on {}", describe(&open.info)));
    if open.info.kind == EngineKind::Gpu && arguments.kernels == Kernels::Wgsl {
        let check = pollster::block_on(self_check::run(&open.device, Extent::Start))
            .with_context(|| format!("cannot compute on {}", describe(&open.info)))?;
        tell(&check);
    }
    Ok(open)
}

/// Checks attention at the head dims that a model or a run needs, which [`open`] leaves out.
///
/// # Errors
/// When the device gives nothing back.
pub(crate) fn check_heads(open: &OpenDevice, head_dims: &[usize], gradients: bool) -> Result<()> {
    let found = pollster::block_on(self_check::heads(&open.device, head_dims, gradients))
        .with_context(|| format!("cannot compute on {}", describe(&open.info)))?;
    tell(&found);
    Ok(())
}

/// Names the kernels that were found wrong.
fn tell(check: &SelfCheck) {
    let wrong = check.replaced();
    if !wrong.is_empty() {
        let wrong = wrong.join(", ");
        text::note(&format!("warning: wrong on this device, replaced by tensor operations: {wrong}"));
    }
}

/// Opens several devices by their names, each as [`open`] does.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_all(ids: &[String], arguments: &EngineArgs) -> Result<Vec<OpenDevice>> {
    let open_one = |id: &String| open(&EngineArgs { device: id.clone(), kernels: arguments.kernels });
    ids.iter().map(open_one).collect()
}

/// A device in a few words.
pub(crate) fn describe(info: &EngineInfo) -> String {
    let kind = match info.kind {
        EngineKind::Gpu if info.software => "software GPU",
        EngineKind::Gpu => "GPU",
        EngineKind::Cpu => "CPU",
    };
    format!("{} ({kind})", info.device)
}

/// Loads a model; `half` keeps its weights as 16-bit floats.
pub(crate) fn load(files: ModelFiles, device: &OpenDevice, half: bool) -> Result<Model> {
    if half && !device.info.f16 {
        return Err(anyhow!(
            "--half needs a device with 16-bit floats, {} has none; leave it out",
            describe(&device.info)
        ));
    }
    let mut progress = Progress::new("loading", Unit::Bytes, 0);
    let model = pollster::block_on(models::load(
        files,
        &device.device,
        LoadOptions { half },
        &mut |done, total, _tensor: &str| progress.set(done, total),
    ));
    progress.finish();
    let model = model.context("cannot load the model")?;
    check_heads(device, &model.head_dims(), false)?;
    Ok(model)
}
