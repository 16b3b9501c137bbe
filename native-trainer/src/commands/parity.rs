//! `native-trainer parity`: our outputs against those that PyTorch stored.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use lab_protocol::ParityReport;
use serde::Serialize;

use crate::cli::ParityArgs;
use crate::{engine, host, text};

#[derive(Serialize)]
struct Json<'a> {
    model: &'a str,
    device: &'a str,
    passed: bool,
    #[serde(flatten)]
    report: &'a ParityReport,
}

/// Runs the command.
pub(crate) fn run(arguments: &ParityArgs) -> Result<ExitCode> {
    let files = host::open_model(&arguments.model)?;
    let io = host::open_checkpoint(&arguments.io)?;
    let device = engine::open(&arguments.engine)?;
    let model = engine::load(files, &device, arguments.half)?;
    let report = pollster::block_on(lab_core::parity::run(&model, &io, arguments.atol, arguments.rtol))
        .with_context(|| format!("cannot compare with {}", arguments.io.display()))?;
    let passed = report.passed();
    if arguments.json {
        let model = arguments.model.to_string_lossy();
        let json = Json { model: &model, device: &device.info.device, passed, report: &report };
        text::print(&format!("{}\n", serde_json::to_string_pretty(&json)?))?;
    } else {
        text::print(&table(&report))?;
        text::note(&verdict(&report));
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(report: &ParityReport) -> String {
    let mut rows = vec![["tensor", "shape", "max abs", "max rel", ""].map(String::from).to_vec()];
    for tensor in &report.tensors {
        rows.push(vec![
            tensor.name.clone(),
            format!("{:?}", tensor.shape),
            format!("{:.2e}", tensor.max_abs),
            format!("{:.2e}", tensor.max_rel),
            if tensor.passed { "ok" } else { "FAILED" }.to_owned(),
        ]);
    }
    let mut table = text::columns(&rows, &[2, 3]);
    if !report.not_compared.is_empty() {
        let count = text::plural(report.not_compared.len() as u64, "stored tensor");
        let names = text::few(&report.not_compared, 4);
        table += &format!("{count} not compared, since nothing of the name is computed: {names}\n");
    }
    table
}

fn verdict(report: &ParityReport) -> String {
    let failed = report.tensors.iter().filter(|tensor| !tensor.passed).count();
    let allowed = format!("atol {:e} or rtol {:e}", report.atol, report.rtol);
    match (report.tensors.len(), failed) {
        (0, _) => "FAILED: the file holds no output of this model that could be compared".to_owned(),
        (all, 0) => format!("equal: {} within {allowed}", text::plural(all as u64, "tensor")),
        (all, failed) => format!("FAILED: {failed} of {} beyond {allowed}", text::plural(all as u64, "tensor")),
    }
}

#[cfg(test)]
mod tests {
    use lab_protocol::TensorParity;

    use super::*;

    #[test]
    fn the_table_marks_what_failed() {
        let tensor = |name: &str, passed| TensorParity {
            name: name.to_owned(),
            shape: vec![2, 17, 64],
            max_abs: 0.25,
            max_rel: 3e-6,
            passed,
        };
        let tensors = vec![tensor("a", true), tensor("loss", false)];
        let report = ParityReport { tensors, not_compared: vec!["image_embeds".to_owned()], atol: 1e-4, rtol: 1e-4 };
        let table = table(&report);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "a       [2, 17, 64]  2.50e-1  3.00e-6  ok");
        assert!(lines[2].ends_with("FAILED"));
        assert!(
            lines[3].starts_with("1 stored tensor not compared") && lines[3].ends_with(": image_embeds"),
            "{table}"
        );
        assert_eq!(verdict(&report), "FAILED: 1 of 2 tensors beyond atol 1e-4 or rtol 1e-4");
        assert!(verdict(&ParityReport::default()).contains("no output"));
    }
}
