//! The room Train: steps on the engine, and the run that the browser keeps.

use js_sys::Array;
use lab_core::engine::train;
use lab_protocol::Event;
use lab_protocol::train::{Data, Place, TrainCommand, TrainEvent};

use crate::api::{Answer, Engine, Reply, picked, said};
use crate::kept;

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
            kept::begun();
            Ok(answer(begun))
        }
        TrainCommand::Close => {
            kept::clear().await;
            Ok(answer(engine.engine.train(TrainCommand::Close).await.map_err(said)?))
        }
        command => {
            let begins = matches!(command, TrainCommand::Begin { .. });
            let done = engine.engine.train(command).await.map_err(said)?;
            if begins {
                kept::begun();
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
    kept::save(&bytes, || engine.engine.own_pictures()).await?;
    let event = TrainEvent::Saved { step, bytes: bytes.len() as u64, to: Place::Browser, name };
    Ok(Event::Train(event).into())
}

/// The newest run that is whole; nothing where there is none.
async fn load(engine: &mut Engine, data: &Data) -> Result<Answer, String> {
    let mut last = None;
    for save in kept::found().await {
        let begun = match kept::files(save).await {
            Ok(files) => engine.engine.load_run(files, data).await.map_err(said),
            Err(sentence) => Err(sentence),
        };
        match begun {
            Ok(begun) => {
                kept::taken(save);
                return Ok(answer(begun));
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(format!("the run that this browser keeps cannot go on: {error}")),
        None => Ok(Event::Train(TrainEvent::Closed).into()),
    }
}
