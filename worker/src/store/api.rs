//! What JavaScript sees of the store: `new Store()` and `store.handle(text, attachments, post)`, beside the engine and
//! never waiting for it.

use std::cell::Cell;

use js_sys::{Array, Function};
use lab_protocol::storage::{StorageCommand, StorageEvent};
use lab_protocol::{Command, Event};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::download::{Desk, Listener};
use super::{keep, shelf};
use crate::host::now;
use crate::wire;

/// Progress is told no more often than this, in milliseconds.
const PROGRESS_MILLIS: f64 = 100.0;

/// Models kept in the browser.
#[wasm_bindgen]
#[derive(Default)]
pub struct Store {
    desk: Desk,
}

struct Reply {
    post: Function,
    id: u32,
    last: Cell<f64>,
}

impl Reply {
    fn send(&self, event: Event) -> Result<(), JsValue> {
        let text = wire::write(Some(self.id), event);
        self.post.call2(&JsValue::NULL, &text.into(), &Array::new()).map(|_| ())
    }
}

impl Listener for Reply {
    fn progress(&self, done: u64, total: u64, name: &str) {
        let time = now();
        if time - self.last.get() >= PROGRESS_MILLIS || done == total {
            self.last.set(time);
            let task = format!("fetching {name}");
            // A page that is gone needs no progress.
            let _ = self.send(Event::Progress { task, done, total, unit: "bytes".to_owned() });
        }
    }

    fn warning(&self, sentence: String) {
        let _ = self.send(Event::Warning { message: wire::sentence(&sentence) });
    }
}

#[wasm_bindgen]
impl Store {
    /// A store; all of them share the site's one file system.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Carries out a `storage` command of `lab-protocol`, with its attachments.
    ///
    /// # Errors
    ///
    /// Only what `post` throws; everything else is answered with `failed`.
    pub async fn handle(&self, text: String, attachments: Array, post: Function) -> Result<(), JsValue> {
        let request = wire::parse(&text).map_err(|error| JsValue::from_str(&error))?;
        let reply = Reply { post, id: request.id, last: Cell::new(f64::NEG_INFINITY) };
        let Command::Storage(command) = request.command else {
            return reply.send(Event::Failed { message: "This is no command of the store.".to_owned() });
        };
        match self.obey(command, &attachments, &reply).await {
            Ok(event) => reply.send(Event::Storage(event)),
            Err(sentence) => reply.send(Event::Failed { message: wire::sentence(&sentence) }),
        }
    }
}

impl Store {
    async fn obey(&self, command: StorageCommand, attachments: &Array, reply: &Reply) -> Result<StorageEvent, String> {
        match command {
            StorageCommand::Fetch { source, mirror } => {
                let (model, received) = self.desk.fetch(&source, &mirror, reply).await?;
                Ok(StorageEvent::Fetched { model, received })
            }
            StorageCommand::Keep { name, files } => {
                Ok(StorageEvent::Fetched { model: keep::keep(&name, &files, attachments).await?, received: 0 })
            }
            StorageCommand::Cancel => {
                self.desk.stop();
                shelf::list().await
            }
            StorageCommand::List => shelf::list().await,
            StorageCommand::Delete { key } => {
                shelf::delete(&key).await?;
                shelf::list().await
            }
        }
    }
}
