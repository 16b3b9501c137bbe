//! `native-trainer eval`: what a probe says of images, and how often it is right where their classes are known.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use lab_core::models;
use lab_core::probe::classifier::Answer;
use lab_core::probe::file;
use lab_core::probe::report::{best, report};
use lab_protocol::ProbeReport;
use serde::Serialize;

use super::probe::describe;
use crate::cli::EvalArgs;
use crate::features::Computer;
use crate::inputs::Inputs;
use crate::{engine, host, recipe, sinks, text};

/// What is said of one image.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    class: &'a str,
    confidence: f64,
    knn_class: &'a str,
    knn_confidence: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<&'a str>,
}

/// Everything, for a JSON file.
#[derive(Serialize)]
struct Told<'a> {
    model: String,
    probe: String,
    classes: &'a [String],
    predictions: Vec<Line<'a>>,
    bad: &'a [(String, String)],
    #[serde(skip_serializing_if = "Option::is_none")]
    knn: Option<ProbeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linear: Option<ProbeReport>,
}

/// Runs the command.
pub(crate) fn run(arguments: &EvalArgs) -> Result<ExitCode> {
    if let Some(out) = &arguments.out {
        if !["csv", "json"].iter().any(|ending| out.extension().is_some_and(|found| found == *ending)) {
            bail!("--out must end in .csv or .json; found {}", out.display());
        }
        sinks::check(out, arguments.force)?;
    }
    let probe = pollster::block_on(file::read(host::open_file(&arguments.probe)?))?;
    let inputs = Inputs::list(&arguments.inputs)?;
    let truths = match arguments.labels {
        Some(_) => truths(&inputs, &probe.classes)?,
        None => vec![None; inputs.len()],
    };
    let files = host::open_model(&arguments.model)?;
    let about = pollster::block_on(models::inspect(&files))
        .with_context(|| format!("cannot make a model of {}", arguments.model.display()))?;
    let device = engine::open(&arguments.engine)?;
    let model = engine::load(files, &device, false)?;
    let recipe = recipe::choose(model.preprocess(), about.info.img_size as u32, None, arguments.preprocess);
    if probe.origin.fingerprint != model.info().fingerprint {
        text::note(&format!(
            "warning: the probe was made with other weights ({}, {}) than these ({}): its answers may mean nothing",
            probe.origin.model,
            probe.origin.fingerprint,
            model.info().fingerprint
        ));
    }
    if probe.origin.preprocessing != recipe.to_string() {
        text::note(&format!(
            "warning: the probe's images were prepared otherwise ({}) than these ({recipe})",
            probe.origin.preprocessing
        ));
    }
    let computer = Computer { model: &model, about: &about, device: &device.info, recipe: &recipe };
    let found = computer.all(&inputs, probe.choices.features, arguments.bad_budget, "asking")?;
    let answers: Result<Vec<Answer>, _> = found.values.chunks_exact(found.dim).map(|row| probe.ask(row)).collect();
    let answers = answers?;

    let predictions: Vec<Line<'_>> = found
        .images
        .iter()
        .zip(&answers)
        .map(|(&image, answer)| {
            let (linear, knn) = (answer.class(), best(&answer.knn));
            Line {
                path: inputs.name(image),
                class: &probe.classes[linear],
                confidence: answer.linear[linear],
                knn_class: &probe.classes[knn],
                knn_confidence: answer.knn[knn],
                truth: truths[image].map(|class| probe.classes[class].as_str()),
            }
        })
        .collect();
    let mut reports = None;
    if arguments.labels.is_some() {
        let (mut labels, mut knn, mut linear) = (Vec::new(), Vec::new(), Vec::new());
        for (&image, answer) in found.images.iter().zip(&answers) {
            let Some(class) = truths[image] else { continue };
            labels.push(class as u32);
            knn.extend_from_slice(&answer.knn);
            linear.extend_from_slice(&answer.linear);
        }
        if labels.is_empty() {
            bail!("--labels folder: none of the images that lie in class folders could be read");
        }
        let on = |scores: &[f64]| report(&labels, scores, &probe.classes, "held-out images", 1);
        reports = Some((on(&knn), on(&linear)));
    }

    let words = reports.as_ref().map(|(knn, linear)| {
        describe(&format!("k-NN, k = {}", probe.choices.k), knn, false) + &describe("linear", linear, true)
    });
    let (knn, linear) = reports.unzip();
    let told = Told {
        model: model.info().name.clone(),
        probe: arguments.probe.to_string_lossy().into_owned(),
        classes: &probe.classes,
        predictions,
        bad: &found.bad,
        knn,
        linear,
    };
    match &arguments.out {
        Some(out) => {
            sinks::save(out, file_text(out, &told)?.as_bytes(), arguments.force)?;
            let count = text::plural(told.predictions.len() as u64, "image");
            text::print(&format!("{}: {count} asked\n", text::shown(out.display())))?;
        }
        None => text::print(&csv_text(&told.predictions)?)?,
    }
    if let Some(words) = words {
        // Beside predictions on standard output a report would be in the way of programs.
        if arguments.out.is_some() { text::print(&words)? } else { text::aside(words.trim_end()) }
    }
    Ok(ExitCode::SUCCESS)
}

/// The class of each image by the folder that it lies in, as the probe numbers it; told before anything is computed.
fn truths(inputs: &Inputs, classes: &[String]) -> Result<Vec<Option<usize>>> {
    inputs.tell_unlabelled("", " of the report");
    let truth = |image: usize| {
        let Some(label) = inputs.label(image) else { return Ok(None) };
        let name = &inputs.classes()[label as usize];
        let known = classes.iter().position(|class| class == name).with_context(|| {
            format!(
                "{} lies in the folder {}, the probe knows only {}",
                text::shown(inputs.name(image)),
                text::shown(name),
                text::few(classes, 8)
            )
        })?;
        Ok(Some(known))
    };
    let truths = (0..inputs.len()).map(truth).collect::<Result<Vec<_>>>()?;
    if truths.iter().all(Option::is_none) {
        bail!("--labels folder: no image lies in a class folder below the inputs");
    }
    Ok(truths)
}

fn csv_text(lines: &[Line<'_>]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let with_truth = lines.iter().any(|line| line.truth.is_some());
    let mut head = vec!["path", "class", "confidence", "knn_class", "knn_confidence"];
    head.extend(with_truth.then_some("truth"));
    writer.write_record(head)?;
    for line in lines {
        let (confidence, votes) = (line.confidence.to_string(), line.knn_confidence.to_string());
        let mut row = vec![line.path, line.class, &confidence, line.knn_class, &votes];
        row.extend(with_truth.then_some(line.truth.unwrap_or_default()));
        writer.write_record(row)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// What a file of this name holds.
fn file_text(out: &Path, told: &Told<'_>) -> Result<String> {
    match out.extension().is_some_and(|ending| ending == "json") {
        true => Ok(serde_json::to_string_pretty(told)? + "\n"),
        false => csv_text(&told.predictions),
    }
}
