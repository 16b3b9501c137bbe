//! The room Probe: classes made of a few images, and search among embeddings.

use lab_protocol::{ImageId, Prediction, ProbeClass, ProbeCommand, ProbeEvent, ProbeFeatures, SearchHit};

use super::Engine;
use crate::device::readback;
use crate::error::{EngineError, Error, ProbeError};
use crate::host::ReadAt;
use crate::probe::classifier::{Choices, Examples, Origin, Probe, features};
use crate::probe::file;
use crate::probe::search::Embeddings;

/// What was learned, and what is searched.
#[derive(Debug, Default)]
pub struct State {
    probe: Option<Probe>,
    embeddings: Option<Embeddings>,
}

impl State {
    /// The model goes, and with it what was learned; embeddings stay.
    pub(super) fn forget(&mut self) {
        self.probe = None;
    }
}

impl Engine {
    /// Carries out what the room asks; `files` are what came with it. Bytes go back beside the event.
    ///
    /// # Errors
    ///
    /// [`ProbeError`], [`EngineError`], or what decoding, a file's format or the device says.
    pub async fn probe(
        &mut self,
        command: ProbeCommand,
        files: Vec<Box<dyn ReadAt>>,
    ) -> Result<(ProbeEvent, Vec<u8>), Error> {
        let event = match command {
            ProbeCommand::Clear => {
                self.probe.probe = None;
                ProbeEvent::Cleared
            }
            ProbeCommand::Train { classes, features, k, c, standardise } => {
                let choices = Choices { features, k: k.max(1), c: if c > 0.0 { c } else { 1.0 }, standardise };
                self.train_probe(classes, choices).await?
            }
            ProbeCommand::Predict { images } => {
                let mut found = Vec::with_capacity(images.len());
                for image in images {
                    found.push(self.predict(image).await?);
                }
                ProbeEvent::Predicted { images: found }
            }
            ProbeCommand::Export => {
                let bytes = file::to_bytes(self.probe.probe.as_ref().ok_or(ProbeError::None)?);
                return Ok((ProbeEvent::Exported { bytes: bytes.len() as u64 }, bytes));
            }
            ProbeCommand::Import => {
                let Some(one) = files.into_iter().next() else {
                    return Err(
                        ProbeError::File { file: "nothing".to_owned(), reason: "no file came".to_owned() }.into()
                    );
                };
                self.import_probe(one).await?
            }
            ProbeCommand::OpenEmbeddings => {
                let all = Embeddings::open(files).await?;
                let model = all.about.get("model").cloned().unwrap_or_default();
                let width = self.model.as_ref().map(|model| model.info().embed_dim);
                let event = ProbeEvent::Searchable {
                    images: all.images(),
                    patches: all.patches,
                    dim: all.dim,
                    model,
                    fits: width == Some(all.dim),
                };
                self.probe.embeddings = Some(all);
                event
            }
            ProbeCommand::CloseEmbeddings => {
                self.probe.embeddings = None;
                ProbeEvent::Cleared
            }
            ProbeCommand::Search { image, patch, count } => self.search(image, patch, count).await?,
        };
        Ok((event, Vec::new()))
    }

    /// An image's class embedding and the mean of its patches.
    async fn both(&mut self, image: ImageId) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let (clock, model) = (self.clock, self.model.as_ref().ok_or(EngineError::NoModel)?);
        let embedding = self.images.embedding(image, model, clock).await?;
        Ok((embedding.cls.clone(), embedding.mean.clone()))
    }

    async fn train_probe(&mut self, classes: Vec<ProbeClass>, choices: Choices) -> Result<ProbeEvent, Error> {
        let info = self.model.as_ref().ok_or(EngineError::NoModel)?.info();
        let origin = Origin {
            model: info.name.clone(),
            fingerprint: info.fingerprint.clone(),
            preprocessing: info.preprocessing.clone(),
        };
        let start = self.now();
        let mut examples = Examples::default();
        for (label, class) in classes.into_iter().enumerate() {
            for image in class.images {
                let (cls, mean) = self.both(image).await?;
                let row = features(&cls, &mean, choices.features);
                examples.dim = row.len();
                examples.features.extend(row);
                examples.labels.push(label as u32);
                examples.names.push(format!("image {} of {}", examples.labels.len(), class.name));
            }
            examples.classes.push(class.name);
        }
        let middle = self.now();
        let (probe, reports) = Probe::learn(&examples, choices, origin)?;
        self.probe.probe = Some(probe);
        Ok(ProbeEvent::Trained {
            knn: Box::new(reports.knn),
            linear: Box::new(reports.linear),
            features_millis: middle - start,
            learn_millis: self.now() - middle,
        })
    }

    async fn predict(&mut self, image: ImageId) -> Result<Prediction, Error> {
        let which = self.probe.probe.as_ref().ok_or(ProbeError::None)?.choices.features;
        let (cls, mean) = self.both(image).await?;
        let probe = self.probe.probe.as_ref().ok_or(ProbeError::None)?;
        let answer = probe.ask(&features(&cls, &mean, which))?;
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        Ok(Prediction { image, knn: narrow(answer.knn), linear: narrow(answer.linear) })
    }

    async fn import_probe(&mut self, one: Box<dyn ReadAt>) -> Result<ProbeEvent, Error> {
        let probe = file::read(one).await?;
        let info = self.model.as_ref().ok_or(EngineError::NoModel)?.info();
        let wide = if probe.choices.features == ProbeFeatures::Both { 2 } else { 1 } * info.embed_dim;
        if probe.bank.dim != wide {
            let (expected, found) = (probe.bank.dim, wide);
            return Err(ProbeError::Width { what: "probe's features", expected, found }.into());
        }
        let event = ProbeEvent::Imported {
            classes: probe.classes.clone(),
            features: probe.choices.features,
            images: probe.bank.labels.len(),
            model: probe.origin.model.clone(),
            // What is drawn from a seed has no fingerprint; its name says which it is.
            same_weights: probe.origin.fingerprint == info.fingerprint
                && (!info.fingerprint.is_empty() || probe.origin.model == info.name),
        };
        self.probe.probe = Some(probe);
        Ok(event)
    }

    async fn search(&mut self, image: ImageId, patch: Option<u32>, count: usize) -> Result<ProbeEvent, Error> {
        let all = self.probe.embeddings.as_ref().ok_or(ProbeError::NoEmbeddings)?;
        let by_mean = all.about.get("what").is_some_and(|what| what == "mean");
        let query = match patch {
            Some(patch) => {
                let model = self.model.as_ref().ok_or(EngineError::NoModel)?;
                let tokens = self.images.tokens(image, model).await?.output.patches.clone(); // [1, N, D]
                let [_, n, _] = tokens.dims();
                let (what, asked, index) = ("patch", patch, patch as usize);
                if index >= n {
                    return Err(EngineError::Range { what, asked, count: n }.into());
                }
                readback(tokens.narrow(1, index, 1)).await?
            }
            None => {
                let (cls, mean) = self.both(image).await?;
                if by_mean { mean } else { cls }
            }
        };
        let start = self.now();
        let all = self.probe.embeddings.as_ref().ok_or(ProbeError::NoEmbeddings)?;
        let hits = all.nearest(&query, count)?;
        let millis = self.now() - start;
        let hits =
            hits.into_iter().map(|hit| SearchHit { name: all.name(hit.image), patch: hit.patch, cosine: hit.cosine });
        Ok(ProbeEvent::Hits { hits: hits.collect(), millis })
    }
}
