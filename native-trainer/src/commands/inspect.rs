//! `native-trainer inspect`: what a checkpoint is, from its headers alone.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use lab_core::formats::Dtype;
use lab_core::models::names::Misshapen;
use lab_core::models::{self, ModelReport};
use lab_protocol::ModelInfo;
use serde::Serialize;

use crate::cli::InspectArgs;
use crate::{host, text};

/// What the command tells.
#[derive(Serialize)]
struct Report {
    path: String,
    #[serde(flatten)]
    info: ModelInfo,
    layout: &'static str,
    flops_per_image: u64,
    weight_bytes_f32: u64,
    weight_bytes_f16: u64,
    activation_bytes_per_image: u64,
    /// Released models with an encoder of these sizes.
    sizes_of: Vec<String>,
    licence: Option<String>,
    files: Vec<String>,
    unused_files: Vec<String>,
    /// Bytes by type of number.
    stored: BTreeMap<String, u64>,
    ignored_tensors: Vec<String>,
    unknown_tensors: Vec<String>,
    missing_tensors: Vec<String>,
    /// Tensors of another shape than the model needs: names, what is expected and what is there.
    wrong_shape_tensors: BTreeMap<String, String>,
    /// Needed tensors whose type of number no weight can have, with that type.
    wrong_dtype_tensors: BTreeMap<String, &'static str>,
}

/// Runs the command. The exit status is 1 when tensors are missing, unknown, of a wrong shape or of a wrong type: such a
/// model does not load.
pub(crate) fn run(arguments: &InspectArgs) -> Result<ExitCode> {
    let files = host::open_model(&arguments.model)?;
    let found = pollster::block_on(models::inspect(&files))
        .with_context(|| format!("cannot make a model of {}", arguments.model.display()))?;
    let names = files.checkpoint.file_names().map(str::to_owned).collect();
    let report = report(arguments.model.to_string_lossy().into_owned(), found, names, files.unused);
    let text = if arguments.json { serde_json::to_string_pretty(&report)? + "\n" } else { describe(&report) };
    text::print(&text)?;
    let loads = report.missing_tensors.is_empty()
        && report.unknown_tensors.is_empty()
        && report.wrong_shape_tensors.is_empty()
        && report.wrong_dtype_tensors.is_empty();
    Ok(if loads { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(path: String, found: ModelReport, files: Vec<String>, unused_files: Vec<String>) -> Report {
    Report {
        path,
        layout: found.layout,
        flops_per_image: found.flops_per_image,
        weight_bytes_f32: found.info.parameters * 4,
        weight_bytes_f16: found.info.parameters * 2,
        activation_bytes_per_image: found.activation_bytes_per_image,
        sizes_of: found.released,
        licence: found.licence,
        files,
        unused_files,
        stored: found.stored,
        ignored_tensors: found.ignored,
        unknown_tensors: found.unknown,
        missing_tensors: found.missing,
        wrong_shape_tensors: found
            .misshapen
            .into_iter()
            .map(|Misshapen { tensor, expected, found }| (tensor, format!("{found:?}, expected {expected}")))
            .collect(),
        wrong_dtype_tensors: found.wrong_dtype,
        info: found.info,
    }
}

/// Sizes tell which released model it may be; whose weights they are only the place they come from does.
fn licence(report: &Report) -> String {
    match (&report.licence, &report.sizes_of[..]) {
        (Some(licence), released) => {
            format!("sizes of {}; {licence}: see where yours come from", text::few(released, 3))
        }
        (None, _) => "not told by its sizes, which no released model has that we know; ask where you got it".to_owned(),
    }
}

fn describe(report: &Report) -> String {
    let info = &report.info;
    let side = info.img_size / info.patch_size.max(1);
    let tokens = side * side + usize::from(info.has_cls) + info.num_registers;
    let special = match (info.has_cls, info.num_registers) {
        (true, 0) => "class token".to_owned(),
        (true, registers) => format!("class token, {registers} registers"),
        (false, 0) => "no class token".to_owned(),
        (false, registers) => format!("no class token, {registers} registers"),
    };
    let stored: Vec<String> =
        report.stored.iter().map(|(dtype, bytes)| format!("{} of {dtype}", text::bytes(*bytes))).collect();
    let (with_decoder, without_decoder) = match info.decoder {
        Some(_) => (", the decoder's among them", ", by the encoder alone, as `embed` takes it"),
        None => ("", ""),
    };
    let mut facts = vec![
        ("family", info.family.clone()),
        ("layout", report.layout.to_owned()),
        ("width", format!("{}, {} blocks, {} heads", info.embed_dim, info.depth, info.num_heads)),
        (
            "image",
            format!("{0} x {0}, patches of {1} x {1}: {2} tokens ({special})", info.img_size, info.patch_size, tokens),
        ),
        ("parameters", format!("{} ({}){with_decoder}", text::count(info.parameters), info.parameters)),
        ("stored as", stored.join(", ")),
        ("compute", format!("{} an image{without_decoder}", text::flops(report.flops_per_image))),
        (
            "memory",
            format!(
                "weights {} in f32, {} in f16; activations {} an image",
                text::bytes(report.weight_bytes_f32),
                text::bytes(report.weight_bytes_f16),
                text::bytes(report.activation_bytes_per_image)
            ),
        ),
        ("preprocessing", info.preprocessing.clone()),
        ("licence", licence(report)),
    ];
    for (name, list) in [
        ("unused files", &report.unused_files),
        ("ignored tensors", &report.ignored_tensors),
        ("UNKNOWN tensors", &report.unknown_tensors),
        ("MISSING tensors", &report.missing_tensors),
    ] {
        if !list.is_empty() {
            facts.push((name, format!("{}: {}", list.len(), text::few(list, 8))));
        }
    }
    if !report.wrong_shape_tensors.is_empty() {
        let list: Vec<_> = report.wrong_shape_tensors.iter().map(|(name, shape)| format!("{name} {shape}")).collect();
        facts.push(("WRONG shape", format!("{}: {}", list.len(), text::few(&list, 4))));
    }
    if let Some((name, dtype)) = report.wrong_dtype_tensors.first_key_value() {
        let others = match report.wrong_dtype_tensors.len() - 1 {
            0 => String::new(),
            more => format!(" (and {} more like it)", text::plural(more as u64, "tensor")),
        };
        facts.push((
            "WRONG type",
            format!("the tensor {name} has elements of type {dtype}{others}, expected {}", Dtype::FLOATS),
        ));
    }
    let rows: Vec<Vec<String>> = facts.into_iter().map(|(name, value)| vec!["  ".to_owned() + name, value]).collect();
    format!("{}\n{}", report.path, text::columns(&rows, &[]))
}
