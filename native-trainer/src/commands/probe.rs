//! `native-trainer probe`: from class folders to a classifier on frozen features, with an honest estimate.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use lab_core::models;
use lab_core::probe::classifier::{Choices, Examples, Origin, Probe};
use lab_core::probe::file;
use lab_core::probe::report::report;
use lab_protocol::ProbeReport;
use serde::Serialize;

use crate::cli::ProbeArgs;
use crate::features::Computer;
use crate::inputs::Inputs;
use crate::{engine, host, recipe, sinks, text};

/// What the command tells.
#[derive(Serialize)]
struct Told<'a> {
    probe: String,
    images: usize,
    bad: usize,
    features: &'static str,
    knn: &'a ProbeReport,
    linear: &'a ProbeReport,
}

/// Runs the command.
pub(crate) fn run(arguments: &ProbeArgs) -> Result<ExitCode> {
    let out = &arguments.out;
    if out.extension().is_none_or(|ending| ending != "safetensors") {
        bail!("--out must end in .safetensors; found {}", out.display());
    }
    sinks::check(out, arguments.force)?;
    let inputs = list(&arguments.data, "")?;
    let held_out = match arguments.val.is_empty() {
        true => None,
        false => Some(list(&arguments.val, " of --val")?),
    };
    check_classes(&inputs, held_out.as_ref())?;
    inputs.tell_unlabelled("", "");
    if let Some(held_out) = &held_out {
        held_out.tell_unlabelled(" of --val", "");
        held_out.tell_shared(&inputs);
    }
    let files = host::open_model(&arguments.model)?;
    let about = pollster::block_on(models::inspect(&files))
        .with_context(|| format!("cannot make a model of {}", arguments.model.display()))?;
    let device = engine::open(&arguments.engine)?;
    let model = engine::load(files, &device, false)?;
    let recipe = recipe::choose(model.preprocess(), about.info.img_size as u32, None, arguments.preprocess);
    text::note(&format!("images: {recipe}"));
    let computer = Computer { model: &model, about: &about, device: &device.info, recipe: &recipe };
    let which = arguments.features.into();

    let found = computer.all(&inputs, which, arguments.bad_budget, "learning from")?;
    let mut examples = Examples { classes: inputs.classes().to_vec(), dim: found.dim, ..Examples::default() };
    for (&image, row) in found.images.iter().zip(found.values.chunks_exact(found.dim)) {
        // An image outside any class folder teaches nothing.
        let Some(label) = inputs.label(image) else { continue };
        examples.labels.push(label);
        examples.names.push(inputs.name(image).to_owned());
        examples.features.extend_from_slice(row);
    }
    if examples.labels.is_empty() {
        bail!("no image of a class could be read in DATA");
    }
    drop_empty(&mut examples);
    let choices =
        Choices { features: which, k: arguments.k as usize, c: arguments.c, standardise: !arguments.no_standardise };
    let origin = Origin {
        model: model.info().name.clone(),
        fingerprint: model.info().fingerprint.clone(),
        preprocessing: recipe.to_string(),
    };
    let (probe, mut reports) = Probe::learn(&examples, choices, origin)?;
    if let Some(held_out) = &held_out {
        let found = computer.all(held_out, which, arguments.bad_budget, "testing on")?;
        let (mut truth, mut knn, mut linear) = (Vec::new(), Vec::new(), Vec::new());
        for (&image, row) in found.images.iter().zip(found.values.chunks_exact(found.dim)) {
            let Some(label) = held_out.label(image) else { continue };
            let name = &held_out.classes()[label as usize];
            let Some(class) = probe.classes.iter().position(|class| class == name) else {
                bail!("no image of the class {} could be read in DATA, and --val asks for it", text::shown(name));
            };
            let answer = probe.ask(row)?;
            truth.push(class as u32);
            knn.extend(answer.knn);
            linear.extend(answer.linear);
        }
        if truth.is_empty() {
            bail!("no image of a class could be read in --val");
        }
        let on = |scores: &[f64]| report(&truth, scores, &probe.classes, "held-out images", 1);
        (reports.knn, reports.linear) = (on(&knn), on(&linear));
    }
    sinks::save(out, &file::to_bytes(&probe), arguments.force)?;
    let told = Told {
        probe: out.to_string_lossy().into_owned(),
        images: examples.labels.len(),
        bad: found.bad.len(),
        features: arguments.features.name(),
        knn: &reports.knn,
        linear: &reports.linear,
    };
    if arguments.json {
        text::print(&(serde_json::to_string_pretty(&told)? + "\n"))?;
    } else {
        let mut words = format!(
            "{}: {} classes of {}\n",
            text::shown(&told.probe),
            probe.classes.len(),
            text::plural(told.images as u64, "image")
        );
        words += &describe(&format!("k-NN, k = {}", choices.k), &reports.knn, false);
        words += &describe(&format!("linear, C = {}", choices.c), &reports.linear, true);
        text::print(&words)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists images, each once: one that is there twice would be its own nearest neighbour.
fn list(paths: &[PathBuf], of: &str) -> Result<Inputs> {
    let mut inputs = Inputs::list(paths)?;
    let repeats = inputs.leave_out_repeats();
    if repeats > 0 {
        text::note(&format!("{}{of} given twice, left out the second time", text::plural(repeats, "image")));
    }
    Ok(inputs)
}

/// That there are classes, and that those of the test are taught: said before anything is computed.
fn check_classes(inputs: &Inputs, held_out: Option<&Inputs>) -> Result<()> {
    let taught = classes_of(inputs);
    if taught.is_empty() {
        bail!("no image has a class: put the images of each class into a folder of its own below DATA");
    }
    let Some(held_out) = held_out else { return Ok(()) };
    let asked = classes_of(held_out);
    if asked.is_empty() {
        bail!("no image of --val has a class: put the images of each class into a folder of its own");
    }
    let unknown: Vec<String> = asked.difference(&taught).map(|&name| name.to_owned()).collect();
    if !unknown.is_empty() {
        let taught: Vec<String> = taught.iter().map(|&name| name.to_owned()).collect();
        bail!(
            "--val has classes that DATA does not teach: {}; DATA has {}: give the same names to both",
            text::few(&unknown, 4),
            text::few(&taught, 4)
        );
    }
    Ok(())
}

/// The names of the classes that an image has.
fn classes_of(inputs: &Inputs) -> BTreeSet<&str> {
    let used: BTreeSet<u32> = (0..inputs.len()).filter_map(|image| inputs.label(image)).collect();
    used.into_iter().map(|class| inputs.classes()[class as usize].as_str()).collect()
}

/// Classes that `.cls` numbers leave empty are left out.
fn drop_empty(examples: &mut Examples) {
    let used: Vec<bool> = (0..examples.classes.len()).map(|class| examples.labels.contains(&(class as u32))).collect();
    let place = |class: u32| used[..class as usize].iter().filter(|used| **used).count() as u32;
    examples.labels.iter_mut().for_each(|label| *label = place(*label));
    let mut at = 0;
    examples.classes.retain(|_| {
        at += 1;
        used[at - 1]
    });
}

/// A report in lines; `full` adds each class and what was mistaken for what.
pub(super) fn describe(name: &str, report: &ProbeReport, full: bool) -> String {
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let n: u32 = report.classes.iter().map(|class| class.support).sum();
    let mut words = format!(
        "{name}: accuracy {} (95% interval {} to {}, {}, {n} asked)\n",
        percent(report.accuracy),
        percent(report.low),
        percent(report.high),
        report.validation
    );
    if full {
        let mut rows =
            vec![["  class", "images", "precision", "recall", "F1", "most taken for"].map(str::to_owned).to_vec()];
        for (index, class) in report.classes.iter().enumerate() {
            let wrong = (0..report.classes.len()).filter(|&other| other != index);
            let most = wrong.max_by_key(|&other| report.confusion[index][other]);
            let most = most.filter(|&other| report.confusion[index][other] > 0);
            let mut mistaken = String::new();
            if let Some(other) = most {
                // Writing into a text cannot fail.
                let _ = write!(mistaken, "{} ({})", report.classes[other].name, report.confusion[index][other]);
            }
            rows.push(vec![
                format!("  {}", class.name),
                class.support.to_string(),
                percent(class.precision),
                percent(class.recall),
                percent(class.f1),
                mistaken,
            ]);
        }
        words += &text::columns(&rows, &[1, 2, 3, 4]);
    }
    words
}
