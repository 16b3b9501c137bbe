//! The room Train: a run inside the engine, a step a command, so that views get their turn between two steps.
//!
//! - `session`: begin, step, switches, looks
//! - `pictures`: what it learns from; `stages`: a step in slow motion; `saved`: a run as bytes, and back
//!
//! Streams, batches and steps are those of `native-trainer pretrain`: the same configuration on the same pictures gives
//! the same numbers.

mod pictures;
mod saved;
mod session;
mod stages;

use lab_protocol::train::{Data, Plan, Status, TrainCommand, TrainEvent};

use super::Engine;
use crate::config::Config;
use crate::error::{Error, TrainError};
use crate::host::ReadAt;
use pictures::Pictures;
use session::Session;

pub use saved::PICTURES;

/// The run, if there is one.
#[derive(Debug, Default)]
pub struct State {
    session: Option<Session>,
}

/// What the room is answered, with the bytes that travel beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What happened.
    pub event: TrainEvent,
    /// Its attachments, as [`TrainEvent`] documents them.
    pub bytes: Vec<Vec<u8>>,
}

impl From<TrainEvent> for Answer {
    fn from(event: TrainEvent) -> Self {
        Self { event, bytes: Vec::new() }
    }
}

impl Engine {
    /// Carries out what the room asks; a host that keeps runs takes `Save` and `Load` into its own hands, by
    /// [`saved_run`](Self::saved_run) and [`load_run`](Self::load_run).
    ///
    /// # Errors
    ///
    /// [`TrainError`], what a configuration says, or the device's.
    pub async fn train(&mut self, command: TrainCommand) -> Result<Answer, Error> {
        let clock = self.clock;
        match command {
            TrainCommand::Begin { plan } => self.begin_run(&plan).await,
            TrainCommand::Step { slowly } => self.session()?.step(slowly, clock).await,
            TrainCommand::Set { switches } => {
                let session = self.session()?;
                session.set(switches).await?;
                Ok(TrainEvent::Changed { status: session.status() }.into())
            }
            TrainCommand::Look => self.session()?.look().await,
            TrainCommand::Keep => {
                let session = self.session()?;
                session.keep().await?;
                Ok(TrainEvent::Changed { status: session.status() }.into())
            }
            TrainCommand::Back => {
                let session = self.session()?;
                session.back().await?;
                Ok(session.begun(None))
            }
            TrainCommand::Save { to } => {
                let (step, name, bytes) = self.saved_run().await?;
                let event = TrainEvent::Saved { step, bytes: bytes.len() as u64, to, name };
                Ok(Answer { event, bytes: std::iter::once(bytes).chain(self.own_pictures()).collect() })
            }
            TrainCommand::Load { .. } => Ok(TrainEvent::Closed.into()),
            TrainCommand::Export => {
                let (files, bytes) = self.session()?.export().await?;
                Ok(Answer { event: TrainEvent::Exported { files }, bytes })
            }
            TrainCommand::Close => {
                self.train = State::default();
                Ok(TrainEvent::Closed.into())
            }
        }
    }

    async fn begin_run(&mut self, plan: &Plan) -> Result<Answer, Error> {
        let config = Config::resolve(Some(&plan.preset), None, &plan.settings)?;
        let pictures = self.pictures(&plan.data, &config)?;
        self.check_heads(&config.head_dims(), true).await?;
        // The run before stays until the new one stands: it may be refused. At its begin a run is little more than its
        // weights, so that both have room.
        let session = Session::begin(config, plan.data.clone(), pictures, &self.open.device).await?;
        Ok(self.train.session.insert(session).begun(None))
    }

    /// The run as bytes: steps made, a name for the file, and the file.
    ///
    /// # Errors
    ///
    /// [`TrainError::NoRun`], or the device's.
    pub async fn saved_run(&mut self) -> Result<(u64, String, Vec<u8>), Error> {
        let session = self.session()?;
        let bytes = session.to_bytes().await?;
        let Status { method, step, .. } = session.status();
        // By the name that people know the method by, as all files of a run.
        let method = if method == "mae" { "mae" } else { "dino" };
        Ok((step, format!("{method}-step-{step}.safetensors"), bytes))
    }

    /// The run's own images as bytes, to be kept beside it; `None` for drawn ones.
    pub fn own_pictures(&self) -> Option<Vec<u8>> {
        self.train.session.as_ref().and_then(|session| session.pictures().to_bytes())
    }

    /// Goes on with a run: of this page, of another one, or of `native-trainer`. `files` are its `state.safetensors`,
    /// its own images where they were kept, and with an older native checkpoint `config.toml` and `manifest.toml`.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the files; the run before stays then.
    pub async fn load_run(&mut self, files: Vec<Box<dyn ReadAt>>, data: &Data) -> Result<Answer, Error> {
        let saved = saved::open(files).await?;
        let (data, pictures) = match (saved.pictures, saved.drawn) {
            (Some(pictures), _) => (Data::Own { images: Vec::new() }, pictures),
            (None, Some(images)) => {
                let data = Data::Drawn { images };
                (data.clone(), self.pictures(&data, &saved.config)?)
            }
            (None, None) => (data.clone(), self.pictures(data, &saved.config)?),
        };
        self.check_heads(&saved.begun.head_dims(), true).await?;
        let mut session = Session::begin(saved.begun, data, pictures, &self.open.device).await?;
        let note = session.resume(&saved.checkpoint, saved.config, saved.counters, saved.curves).await?;
        Ok(self.train.session.insert(session).begun(note))
    }

    fn session(&mut self) -> Result<&mut Session, TrainError> {
        self.train.session.as_mut().ok_or(TrainError::NoRun)
    }

    fn pictures(&mut self, data: &Data, config: &Config) -> Result<Pictures, Error> {
        match data {
            Data::Drawn { images } => Ok(Pictures::drawn(*images, config.train.seed)?),
            Data::Own { images } => {
                let mut own = Vec::with_capacity(images.len());
                for image in images {
                    own.push(pictures::shrink(&*self.images.decode(*image)?));
                }
                Ok(Pictures::own(own)?)
            }
        }
    }
}
