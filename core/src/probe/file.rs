//! A probe as a file: safetensors with what it is in the metadata, written by the page and by `native-trainer probe`,
//! read by both.

use std::collections::BTreeMap;

use lab_protocol::ProbeFeatures;
use serde::{Deserialize, Serialize};

use super::classifier::{Choices, Origin, Probe};
use super::knn::Labelled;
use super::linear::{Linear, Scaler};
use crate::error::{Error, ProbeError};
use crate::formats::Checkpoint;
use crate::formats::safetensors::{Piece, write};
use crate::host::ReadAt;

/// What the metadata calls the format, and its version.
const FORMAT: &str = "lab-probe";
const VERSION: u32 = 1;

/// The metadata's one entry, as JSON.
#[derive(Serialize, Deserialize)]
struct About {
    format: String,
    version: u32,
    classes: Vec<String>,
    features: ProbeFeatures,
    k: usize,
    c: f64,
    standardise: bool,
    model: String,
    fingerprint: String,
    preprocessing: String,
}

/// The bytes of a probe's file.
pub fn to_bytes(probe: &Probe) -> Vec<u8> {
    let about = About {
        format: FORMAT.to_owned(),
        version: VERSION,
        classes: probe.classes.clone(),
        features: probe.choices.features,
        k: probe.choices.k,
        c: probe.choices.c,
        standardise: probe.choices.standardise,
        model: probe.origin.model.clone(),
        fingerprint: probe.origin.fingerprint.clone(),
        preprocessing: probe.origin.preprocessing.clone(),
    };
    let (classes, dim, n) = (probe.classes.len(), probe.bank.dim, probe.bank.labels.len());
    // Plain data: nothing in it can fail to be written.
    let text = serde_json::to_string(&about).unwrap_or_default();
    let metadata = BTreeMap::from([("probe".to_owned(), text)]);
    let f64s = |name, shape: &[usize], values: &[f64]| Piece::f64(name, shape, values);
    write(
        &metadata,
        &[
            f64s("linear.weight", &[classes, dim], &probe.linear.weight),
            f64s("linear.bias", &[classes], &probe.linear.bias),
            f64s("scaler.mean", &[dim], &probe.scaler.mean),
            f64s("scaler.std", &[dim], &probe.scaler.std),
            Piece::i64("knn.labels", &[n], &probe.bank.labels.iter().map(|&l| i64::from(l)).collect::<Vec<_>>()),
            Piece::f32("knn.features", &[n, dim], &probe.bank.features),
        ],
    )
}

/// Reads a probe's file.
///
/// # Errors
///
/// [`ProbeError::File`] for what is no probe or does not fit itself; the format's own.
pub async fn read(file: Box<dyn ReadAt>) -> Result<Probe, Error> {
    let name = file.name().to_owned();
    let wrong = |reason: String| Error::from(ProbeError::File { file: name.clone(), reason });
    let checkpoint = Checkpoint::open(file).await?;
    let text = checkpoint.metadata().get("probe").ok_or_else(|| wrong("it says nothing of one".to_owned()))?;
    let about: About = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if about.format != FORMAT || about.version != VERSION {
        let reason = format!("it is {} of version {}, this program reads {VERSION}", about.format, about.version);
        return Err(wrong(reason));
    }
    let classes = about.classes.len();
    let dim = checkpoint.entry("scaler.mean").map_or(0, |entry| entry.rows());
    let n = checkpoint.entry("knn.features").map_or(0, |entry| entry.rows());
    for (tensor, shape) in [
        ("linear.weight", vec![classes, dim]),
        ("linear.bias", vec![classes]),
        ("scaler.mean", vec![dim]),
        ("scaler.std", vec![dim]),
        ("knn.features", vec![n, dim]),
        ("knn.labels", vec![n]),
    ] {
        let found = checkpoint.entry(tensor).map(|entry| entry.shape.clone());
        if found.as_ref() != Some(&shape) || shape.contains(&0) {
            let found = found.map_or("is missing".to_owned(), |found| format!("has the shape {found:?}"));
            return Err(wrong(format!("{tensor} {found}, expected the shape {shape:?}")));
        }
    }
    let doubles = async |tensor: &str| checkpoint.read(tensor).await?.to_f64();
    let labels = checkpoint.read("knn.labels").await?.to_i64()?;
    let labels: Option<Vec<u32>> =
        labels.into_iter().map(|label| u32::try_from(label).ok().filter(|&label| (label as usize) < classes)).collect();
    let labels = labels.ok_or_else(|| wrong(format!("a label lies outside its {classes} classes")))?;
    let features = checkpoint.read("knn.features").await?.to_f32()?;
    let std = doubles("scaler.std").await?;
    if std.iter().any(|&std| std <= 0.0) || about.k == 0 {
        return Err(wrong("a deviation or the number of neighbours is not above 0".to_owned()));
    }
    Ok(Probe {
        classes: about.classes,
        choices: Choices { features: about.features, k: about.k, c: about.c, standardise: about.standardise },
        origin: Origin { model: about.model, fingerprint: about.fingerprint, preprocessing: about.preprocessing },
        scaler: Scaler { mean: doubles("scaler.mean").await?, std },
        linear: Linear {
            weight: doubles("linear.weight").await?,
            bias: doubles("linear.bias").await?,
            ..Linear::default()
        },
        bank: Labelled { features, labels, dim },
    })
}

#[cfg(test)]
mod tests {
    use super::super::classifier::tests::examples;
    use super::*;
    use crate::host::MemoryFile;
    use crate::host::tests::ready;

    fn open(bytes: Vec<u8>) -> Result<Probe, Error> {
        ready(read(Box::new(MemoryFile::new("p.safetensors", bytes))))
    }

    #[test]
    fn a_probe_survives_its_file() {
        let origin =
            Origin { model: "tiny \"1\"".to_owned(), fingerprint: "00ff".to_owned(), preprocessing: "p".to_owned() };
        let choices = Choices { k: 3, features: ProbeFeatures::Both, ..Choices::default() };
        let (probe, _) = Probe::learn(&examples(4, 3, 6, 0.2), choices, origin).unwrap();
        let again = open(to_bytes(&probe)).expect("our own file");
        assert_eq!(again.linear.weight, probe.linear.weight);
        assert_eq!((&again.bank, &again.scaler, &again.origin), (&probe.bank, &probe.scaler, &probe.origin));
        assert_eq!((again.choices, &again.classes), (probe.choices, &probe.classes));
        assert_eq!(again.ask(&[0.5; 6]), probe.ask(&[0.5; 6]));
    }

    #[test]
    fn what_is_no_probe_is_said() {
        let (probe, _) = Probe::learn(&examples(2, 2, 3, 0.2), Choices::default(), Origin::default()).unwrap();
        let whole = to_bytes(&probe);
        for end in [0, 4, 20, whole.len() - 1] {
            assert!(open(whole[..end].to_vec()).is_err(), "{end}");
        }
        let none = write(&BTreeMap::new(), &[Piece::f32("x", &[1], &[1.0])]);
        assert!(open(none).unwrap_err().to_string().contains("no probe"));
        let mut outside = probe.clone();
        outside.bank.labels[1] = 9;
        assert!(open(to_bytes(&outside)).unwrap_err().to_string().contains("outside its 2 classes"));
        let mut flat = probe;
        flat.scaler.std[0] = 0.0;
        assert!(open(to_bytes(&flat)).unwrap_err().to_string().contains("not above 0"));
    }
}
