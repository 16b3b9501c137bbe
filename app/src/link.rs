//! The wire to an engine in its worker: a [`Command`] out, its answer back, progress and warnings on the way.
//!
//! It knows the envelope `{ text, attachments }` and nothing of what the commands mean.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use futures_channel::oneshot;
use js_sys::{Array, Object, Reflect};
use lab_protocol::{Command, EngineKind, Event, Message, Request};
use wasm_bindgen::prelude::*;
use web_sys::{
    Blob, BlobPropertyBag, ErrorEvent, ImageBitmap, MessageEvent, OffscreenCanvas, Url, Worker, WorkerOptions,
    WorkerType,
};

use crate::engine::is_loss;

/// An event that ends a request, with what JSON cannot carry.
pub(crate) type Answer = (Event, Array);

/// What the engine says between a request and its answer, and when it dies.
pub(crate) enum Aside {
    /// An [`Event::Progress`] or [`Event::Warning`].
    Event(Box<Event>),
    /// A request failed since the engine's device is gone. One sentence.
    Lost(String),
    /// The worker has ended; nothing more may be asked. One sentence.
    Stopped(String),
}

type Waiting = Rc<RefCell<HashMap<u32, oneshot::Sender<Result<Answer, String>>>>>;

/// One engine in one worker. Clones speak to the same worker; [`Link::close`] ends it for all.
#[derive(Clone)]
pub(crate) struct Link {
    inner: Rc<Inner>,
}

struct Inner {
    worker: Worker,
    waiting: Waiting,
    next: Cell<u32>,
    ended: Rc<RefCell<Option<String>>>,
    // The worker calls these; they live as long as it does.
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Link {
    /// Starts the worker of an engine; `aside` hears what is no answer.
    pub(crate) fn open(kind: EngineKind, aside: impl Fn(Aside) + 'static) -> Result<Self, String> {
        let (worker, url) = spawn(kind).map_err(|error| format!("The browser refused a worker: {}.", words(&error)))?;
        Ok(Self::to(worker, url, aside))
    }

    /// Speaks to a worker that was made of the blob at `url`.
    pub(crate) fn to(worker: Worker, url: String, aside: impl Fn(Aside) + 'static) -> Self {
        let waiting = Waiting::default();
        let ended = Rc::new(RefCell::new(None::<String>));
        let aside = Rc::new(aside);
        let stop = {
            let (waiting, ended, worker, aside) =
                (Rc::clone(&waiting), Rc::clone(&ended), worker.clone(), Rc::clone(&aside));
            Rc::new(move |sentence: String| {
                if ended.borrow().is_none() {
                    *ended.borrow_mut() = Some(sentence.clone());
                    worker.terminate();
                    let senders = std::mem::take(&mut *waiting.borrow_mut());
                    for sender in senders.into_values() {
                        drop(sender.send(Err(sentence.clone())));
                    }
                    aside(Aside::Stopped(sentence));
                }
            })
        };
        let on_message = {
            let (waiting, stop) = (Rc::clone(&waiting), Rc::clone(&stop));
            Closure::new(move |event: MessageEvent| {
                drop(Url::revoke_object_url(&url));
                match unpack(&event.data()) {
                    Ok((message, attachments)) => hear(message, attachments, &waiting, &*aside, &*stop),
                    Err(error) => stop(error),
                }
            })
        };
        let on_error = Closure::new(move |event: ErrorEvent| {
            event.prevent_default();
            stop(format!("The engine's worker did not start: {}.", event.message()));
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        let inner = Inner { worker, waiting, next: Cell::new(1), ended, _on_message: on_message, _on_error: on_error };
        Self { inner: Rc::new(inner) }
    }

    /// Sends a command and waits for its answer; [`Event::Failed`] comes back as an error.
    pub(crate) async fn ask(&self, command: Command, attachments: &[JsValue]) -> Result<Answer, String> {
        if let Some(sentence) = self.inner.ended.borrow().clone() {
            return Err(sentence);
        }
        let id = self.inner.next.replace(self.inner.next.get() + 1);
        let (sender, receiver) = oneshot::channel();
        self.inner.waiting.borrow_mut().insert(id, sender);
        if let Err(error) = self.post(&Request { id, command }, attachments) {
            self.inner.waiting.borrow_mut().remove(&id);
            return Err(format!("The engine could not be reached: {}.", words(&error)));
        }
        receiver.await.unwrap_or_else(|_| Err("The engine was closed.".to_owned()))
    }

    /// Whether both speak to the same worker.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }

    /// Ends the worker and frees its memory; whatever still waits is told so.
    pub(crate) fn close(&self) {
        self.inner.ended.borrow_mut().get_or_insert_with(|| "The engine was closed.".to_owned());
        self.inner.worker.terminate();
        self.inner.waiting.borrow_mut().clear();
    }

    fn post(&self, request: &Request, attachments: &[JsValue]) -> Result<(), JsValue> {
        let text = serde_json::to_string(request).map_err(|error| JsValue::from_str(&error.to_string()))?;
        let (list, transfer) = (Array::new(), Array::new());
        for item in attachments {
            list.push(item);
            if item.has_type::<OffscreenCanvas>() || item.has_type::<ImageBitmap>() {
                transfer.push(item);
            }
        }
        let envelope = Object::new();
        Reflect::set(&envelope, &"text".into(), &text.into())?;
        Reflect::set(&envelope, &"attachments".into(), &list)?;
        self.inner.worker.post_message_with_transfer(&envelope, &transfer)
    }
}

/// A worker out of a `blob:` module, so that the page's Content-Security-Policy holds inside it as well.
fn spawn(kind: EngineKind) -> Result<(Worker, String), JsValue> {
    let window = web_sys::window().ok_or("there is no window")?;
    let base = window.document().and_then(|document| document.base_uri().ok().flatten()).unwrap_or_default();
    let entry = Url::new_with_base("engine/worker.js", &base)?.href();
    let kind = match kind {
        EngineKind::Cpu => "cpu",
        EngineKind::Gpu => "gpu",
    };
    worker_of(&format!("import {{ serve }} from {entry:?}; serve({kind:?});"), &format!("lab-{kind}"))
}

/// A worker that runs a module, and the address of the blob that holds it.
pub(crate) fn worker_of(source: &str, name: &str) -> Result<(Worker, String), JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type("text/javascript");
    let blob = Blob::new_with_str_sequence_and_options(&Array::of1(&source.into()), &options)?;
    let url = Url::create_object_url_with_blob(&blob)?;
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    options.set_name(name);
    Ok((Worker::new_with_options(&url, &options)?, url))
}

fn unpack(data: &JsValue) -> Result<(Message, Array), String> {
    let field = |name: &str| Reflect::get(data, &name.into()).unwrap_or_default();
    let text = field("text").as_string().unwrap_or_default();
    let message = serde_json::from_str(&text).map_err(|error| {
        format!("The engine said something that this page does not understand ({error}): reload without the cache.")
    })?;
    Ok((message, field("attachments").dyn_into().unwrap_or_default()))
}

fn hear(message: Message, attachments: Array, waiting: &Waiting, aside: &dyn Fn(Aside), stop: &dyn Fn(String)) {
    match (message.reply_to, message.event) {
        (_, event @ (Event::Progress { .. } | Event::Warning { .. })) => {
            aside(Aside::Event(Box::new(event)));
        }
        (None, Event::Failed { message }) => stop(message),
        (None, event) => aside(Aside::Event(Box::new(event))),
        (Some(id), event) => {
            let sender = waiting.borrow_mut().remove(&id);
            if let Some(sender) = sender {
                let answer = match event {
                    Event::Failed { message } => Err(message),
                    event => Ok((event, attachments)),
                };
                let lost = answer.as_ref().err().filter(|sentence| is_loss(sentence)).cloned();
                drop(sender.send(answer));
                if let Some(sentence) = lost {
                    aside(Aside::Lost(sentence));
                }
            }
        }
    }
}

/// What a JavaScript error says.
pub(crate) fn words(error: &JsValue) -> String {
    let message = Reflect::get(error, &"message".into()).ok().and_then(|message| message.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| "unknown error".to_owned())
}
