//! The room Train: steps on the engine, and runs kept in the browser's own file system.
//!
//! A run lies in two files by turns, so that a save that is cut short leaves the one before whole.

use std::cell::Cell;

use js_sys::Array;
use lab_core::engine::train;
use lab_core::host::ReadAt;
use lab_protocol::Event;
use lab_protocol::train::{Data, Place, TrainCommand, TrainEvent};

use crate::api::{Answer, Engine, Reply, picked, said};
use crate::host::BlobFile;
use crate::kept::Folder;

/// Where runs lie.
const FOLDER: &str = "train";
/// The two files, by turns.
const SLOTS: [&str; 2] = ["state-a.safetensors", "state-b.safetensors"];
/// The user's own pictures.
const PICTURES: &str = "images.safetensors";

thread_local! {
    /// Whether the pictures of this run lie beside it already.
    static PICTURES_KEPT: Cell<bool> = const { Cell::new(false) };
}

/// Carries out what the room asks.
pub(crate) async fn obey(
    engine: &mut Engine,
    command: TrainCommand,
    attachments: &Array,
    _reply: &Reply,
) -> Result<Answer, String> {
    match command {
        TrainCommand::Save { to: Place::Browser } => save(engine).await,
        TrainCommand::Load { from: Place::Browser, data } => load(engine, &data).await,
        TrainCommand::Load { from: Place::Page, data } => {
            let begun = engine.engine.load_run(picked(attachments)?, &data).await.map_err(said)?;
            PICTURES_KEPT.set(false);
            Ok(answer(begun))
        }
        TrainCommand::Close => {
            if let Ok(folder) = Folder::open(FOLDER).await {
                for name in SLOTS.iter().chain([&PICTURES]) {
                    folder.remove(name).await;
                }
            }
            Ok(answer(engine.engine.train(TrainCommand::Close).await.map_err(said)?))
        }
        command => {
            let begins = matches!(command, TrainCommand::Begin { .. });
            let done = engine.engine.train(command).await.map_err(said)?;
            if begins {
                PICTURES_KEPT.set(false);
            }
            Ok(answer(done))
        }
    }
}

fn answer(answer: train::Answer) -> Answer {
    Answer { event: Event::Train(answer.event), vectors: Vec::new(), bytes: answer.bytes }
}

async fn save(engine: &mut Engine) -> Result<Answer, String> {
    let (step, name, bytes) = engine.engine.saved_run().await.map_err(said)?;
    let folder = Folder::open(FOLDER).await?;
    if !PICTURES_KEPT.get() {
        match engine.engine.own_pictures() {
            Some(pictures) => folder.write(PICTURES, &pictures).await?,
            None => folder.remove(PICTURES).await,
        }
        PICTURES_KEPT.set(true);
    }
    let newest = folder.newest_first(&SLOTS).await;
    let slot = SLOTS.into_iter().find(|slot| newest.first().is_none_or(|newest| newest.name != *slot));
    folder.write(slot.unwrap_or(SLOTS[0]), &bytes).await?;
    let event = TrainEvent::Saved { step, bytes: bytes.len() as u64, to: Place::Browser, name };
    Ok(Event::Train(event).into())
}

/// The newest run that is whole; nothing where there is none.
async fn load(engine: &mut Engine, data: &Data) -> Result<Answer, String> {
    // A browser that keeps nothing has nothing.
    let Ok(folder) = Folder::open(FOLDER).await else { return Ok(Event::Train(TrainEvent::Closed).into()) };
    let mut last = None;
    for found in folder.newest_first(&SLOTS).await {
        let mut files: Vec<Box<dyn ReadAt>> = vec![Box::new(BlobFile::new(found.blob))];
        for pictures in folder.newest_first(&[PICTURES]).await {
            files.push(Box::new(BlobFile::new(pictures.blob)));
        }
        match engine.engine.load_run(files, data).await {
            Ok(found) => {
                PICTURES_KEPT.set(true);
                return Ok(answer(found));
            }
            Err(error) => last = Some(said(error)),
        }
    }
    match last {
        Some(error) => Err(format!("the run that this browser keeps cannot go on: {error}")),
        None => Ok(Event::Train(TrainEvent::Closed).into()),
    }
}
