//! `native-trainer devices`: what could compute here, and whether it computes right.

use std::process::ExitCode;

use anyhow::Result;
use lab_core::device::DeviceDescription;
use lab_core::kernels::self_check::{self, Extent};
use lab_protocol::{EngineInfo, EngineKind, KernelCheck};
use serde::Serialize;

use crate::cli::DevicesArgs;
use crate::{memory, text};

/// Limits that are counts of bytes.
const IN_BYTES: [&str; 2] = ["max buffer", "workgroup memory"];

/// A device and what its check found.
#[derive(Serialize)]
struct Row {
    id: String,
    #[serde(flatten)]
    info: EngineInfo,
    backend: String,
    /// The device before it that is the same card by another graphics API.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_as: Option<String>,
    /// `None` where nothing tells.
    memory_bytes: Option<u64>,
    limits: Vec<Limit>,
    /// `None` where it was not asked for.
    #[serde(flatten)]
    check: Option<Check>,
}

#[derive(Serialize)]
struct Limit {
    name: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Check {
    /// The kernels' comparison with their twins; empty where no WGSL runs.
    Kernels(Vec<KernelCheck>),
    /// The device did not open, or gives nothing back.
    Failed(String),
}

/// Runs the command. The exit status is 1 when a device fails; a kernel that is replaced is no failure.
pub(crate) fn run(arguments: &DevicesArgs) -> Result<ExitCode> {
    let rows: Vec<Row> = lab_core::device::list().into_iter().map(|device| row(device, arguments.no_check)).collect();
    let failed = rows.iter().any(|row| matches!(row.check, Some(Check::Failed(_))));
    let text = if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&rows)?)
    } else {
        rows.iter().map(describe).collect::<Vec<_>>().join("\n")
    };
    text::print(&text)?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn row(device: DeviceDescription, no_check: bool) -> Row {
    let check = if no_check {
        None
    } else {
        Some(match pollster::block_on(lab_core::device::open(&device.id)) {
            Ok(open) => match pollster::block_on(self_check::run(&open.device, Extent::Whole)) {
                Ok(check) => Check::Kernels(check.kernels),
                Err(error) => Check::Failed(error.to_string()),
            },
            Err(error) => Check::Failed(error.to_string()),
        })
    };
    let memory_bytes = memory(&device.info);
    let limits = device.limits.into_iter().map(|(name, value)| Limit { name, value }).collect();
    let DeviceDescription { id, info, backend, same_as, .. } = device;
    Row { id, info, backend, same_as, memory_bytes, limits, check }
}

/// Bytes that it computes in: the machine's own for the CPU and for a GPU in software; of others wgpu tells nothing.
fn memory(info: &EngineInfo) -> Option<u64> {
    let of_the_machine = info.kind == EngineKind::Cpu || info.software;
    of_the_machine.then(memory::total)
}

/// The value of a limit, for people.
fn value(limit: &Limit) -> String {
    let in_bytes = IN_BYTES.contains(&limit.name.as_str());
    match limit.value.parse() {
        Ok(bytes) if in_bytes => text::bytes(bytes),
        _ => limit.value.clone(),
    }
}

fn describe(row: &Row) -> String {
    let kind = match row.info.kind {
        EngineKind::Gpu if row.info.software => "GPU in software: slow, for tests",
        EngineKind::Gpu => "GPU",
        EngineKind::Cpu => "CPU",
    };
    let mut facts = vec![
        ("kind", kind.to_owned()),
        (
            "backend",
            match &row.same_as {
                Some(other) => format!("{}, the same card as {other}", row.backend),
                None => row.backend.clone(),
            },
        ),
        ("f16", if row.info.f16 { "yes" } else { "no" }.to_owned()),
        ("memory", row.memory_bytes.map_or("not known: wgpu does not tell it".to_owned(), text::bytes)),
    ];
    if row.info.max_binding_bytes > 0 {
        facts.push(("largest binding", text::bytes(row.info.max_binding_bytes)));
    }
    facts.extend(row.limits.iter().map(|limit| (limit.name.as_str(), value(limit))));
    match &row.check {
        None => {}
        Some(Check::Failed(error)) => facts.push(("FAILED", error.clone())),
        Some(Check::Kernels(kernels)) if kernels.is_empty() => {
            // Flex takes our own loops for some kernels; no other device without WGSL does.
            let what = match row.info.kind {
                EngineKind::Cpu => "loops and tensor operations; no WGSL, so nothing is compared at the start",
                EngineKind::Gpu => "tensor operations; no WGSL, so nothing is compared at the start",
            };
            facts.push(("kernels", what.to_owned()));
        }
        Some(Check::Kernels(kernels)) => facts.extend(kernels.iter().map(|kernel| {
            let width = kernels.iter().map(|kernel| kernel.name.len()).max().unwrap_or(0);
            let verdict = if kernel.passed { "ok" } else { "WRONG, replaced by tensor operations" };
            let errors = format!("max error {:.1e}, allowed {:.1e}", kernel.max_error, kernel.tolerance);
            ("kernel", format!("{:width$}  {verdict} ({errors})", kernel.name))
        })),
    }
    let rows: Vec<Vec<String>> = facts.into_iter().map(|(name, value)| vec!["  ".to_owned() + name, value]).collect();
    format!("{}: {}\n{}", row.id, row.info.device, text::columns(&rows, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_their_units() {
        let told = |name: &str, number: &str| value(&Limit { name: name.to_owned(), value: number.to_owned() });
        assert_eq!(told("max buffer", "2147483647"), "2.0 GiB");
        assert_eq!(told("workgroup memory", "32768"), "32.0 KiB");
        assert_eq!(told("workgroup size", "1024"), "1024");
        assert_eq!(told("matrix units", "f16"), "f16");
    }
}
