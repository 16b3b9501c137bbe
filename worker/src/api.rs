//! What JavaScript sees: `Engine.open()` and `engine.handle(text, attachments, post)`.
//!
//! `public/engine/worker.js` calls `handle` for one request at a time and hands over `post`, which carries a message
//! and its attachments back to the page.

use std::collections::BTreeMap;

use js_sys::{Array, Float32Array, Function, Uint8Array};
use lab_core::engine::{self, Picture, paint};
use lab_core::host::ReadAt;
use lab_protocol::{CanvasId, Command, Event, GONE, ModelSource, PROTOCOL, Slot};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, OffscreenCanvas};

use crate::canvas::Canvas;
use crate::host::{BlobFile, bytes_of, memory, now};
use crate::store::{open_stored, tell_room};
use crate::{files, rooms, wire};

/// Progress is told no more often than this, in milliseconds.
const PROGRESS_MILLIS: f64 = 50.0;
/// Side in pixels of a picture that nobody sees.
const REHEARSAL: u32 = 64;

/// A device, a model, images and canvases.
#[wasm_bindgen]
pub struct Engine {
    pub(crate) engine: engine::Engine,
    canvases: BTreeMap<CanvasId, Canvas>,
    #[cfg(feature = "gpu")]
    gpu: gpu::Gpu,
}

/// The way back to the page.
pub(crate) struct Reply {
    post: Function,
    id: Option<u32>,
}

impl Reply {
    /// Posts an event, with copies of `vectors` as its attachments.
    pub(crate) fn send(&self, event: Event, vectors: &[&[f32]]) -> Result<(), JsValue> {
        self.send_all(event, vectors, &[])
    }

    /// The same with copies of `bytes` behind them.
    fn send_all(&self, event: Event, vectors: &[&[f32]], bytes: &[Vec<u8>]) -> Result<(), JsValue> {
        let attachments: Array = Array::new();
        for vector in vectors {
            // A copy of its own, which can be transferred.
            attachments.push(&JsValue::from(Float32Array::from(*vector).buffer()));
        }
        for bytes in bytes {
            attachments.push(&JsValue::from(Uint8Array::from(bytes.as_slice()).buffer()));
        }
        let text = wire::write(self.id, event);
        let (text, attachments) = (JsValue::from_str(&text), JsValue::from(attachments));
        self.post.call2(&JsValue::NULL, &text, &attachments).map(|_| ())
    }

    /// Tells how far something long has come.
    pub(crate) fn progress(&self, task: &str, done: u64, total: u64, unit: &str) {
        let event = Event::Progress { task: task.to_owned(), done, total, unit: unit.to_owned() };
        // A page that is gone needs no progress; the answer itself will fail aloud.
        let _ = self.send(event, &[]);
    }

    /// Bytes of `task`, told now and then.
    pub(crate) fn bytes<'a>(&'a self, task: &'a str) -> impl FnMut(u64, u64, &str) + 'a {
        let mut last = f64::NEG_INFINITY;
        move |done, total, _| {
            let time = now();
            if time - last >= PROGRESS_MILLIS || done == total {
                last = time;
                self.progress(task, done, total, "bytes");
            }
        }
    }
}

#[wasm_bindgen]
impl Engine {
    /// Opens the device of this build: WebGPU, or the CPU.
    ///
    /// # Errors
    ///
    /// A sentence, when there is no GPU or it cannot be opened.
    pub async fn open() -> Result<Engine, JsValue> {
        #[cfg(feature = "gpu")]
        {
            let opened = gpu::open().await;
            let (open, gpu) = opened.map_err(|error| JsValue::from_str(&wire::sentence(&error)))?;
            let engine = engine::Engine::new(open, now).with_gauge(memory);
            tell_room(engine.room(Slot::Main));
            Ok(Self { engine, canvases: BTreeMap::new(), gpu })
        }
        #[cfg(not(feature = "gpu"))]
        {
            let open = lab_core::device::cpu();
            let engine = engine::Engine::new(open, now).with_gauge(memory);
            tell_room(engine.room(Slot::Main));
            Ok(Self { engine, canvases: BTreeMap::new() })
        }
    }

    /// Carries out one request: `text` is a `Request` of `lab-protocol`, `post(text, attachments)` sends a `Message`.
    ///
    /// # Errors
    ///
    /// Only what `post` throws; everything else is answered with `failed`.
    pub async fn handle(&mut self, text: String, attachments: Array, post: Function) -> Result<(), JsValue> {
        lost::tell_by(&post);
        let request = match wire::parse(&text) {
            Ok(request) => request,
            Err(message) => {
                let reply = Reply { post, id: id_of(&text) };
                return reply.send(Event::Failed { message: wire::sentence(&message) }, &[]);
            }
        };
        let reply = Reply { post, id: Some(request.id) };
        if let Some(message) = lost::said() {
            return reply.send(Event::Failed { message }, &[]);
        }
        let answer = self.obey(request.command, &attachments, &reply).await;
        tell_room(self.engine.room(Slot::Main));
        let kernels = self.engine.take_replaced();
        if !kernels.is_empty() {
            Reply { id: None, post: reply.post.clone() }.send(Event::Replaced { kernels }, &[])?;
        }
        match answer {
            Ok(answer) => {
                let vectors: Vec<&[f32]> = answer.vectors.iter().map(Vec::as_slice).collect();
                reply.send_all(answer.event, &vectors, &answer.bytes)
            }
            Err(error) => {
                let error = lost::said().unwrap_or(error);
                reply.send(Event::Failed { message: wire::sentence(&error) }, &[])
            }
        }
    }
}

/// What comes while nobody waits.
#[wasm_bindgen]
impl Engine {
    /// Computes the next of what the rooms will ask first, and draws it where nobody sees it; whether there is more.
    /// `post` is told when all is done.
    ///
    /// # Errors
    ///
    /// Only what `post` throws: what fails here is told to whoever asks for it.
    pub async fn warm(&mut self, post: Function) -> Result<bool, JsValue> {
        if lost::said().is_some() {
            return Ok(false);
        }
        match self.engine.warm().await {
            Ok(Some(picture)) => self.rehearse(&picture).await,
            Ok(None) => return Ok(false),
            Err(_) => {}
        }
        let over = self.engine.is_warm();
        if over {
            Reply { post, id: None }.send(Event::Warmed, &[])?;
        }
        Ok(!over)
    }
}

/// The number of a request that could not be understood, so that its sender hears of it.
fn id_of(text: &str) -> Option<u32> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.get("id")?.as_u64()?.try_into().ok()
}

/// The event that ends a request, with its numbers.
pub(crate) struct Answer {
    pub(crate) event: Event,
    /// Sent along as `ArrayBuffer`s.
    pub(crate) vectors: Vec<Vec<f32>>,
    /// Sent along behind them, likewise.
    pub(crate) bytes: Vec<Vec<u8>>,
}

impl From<Event> for Answer {
    fn from(event: Event) -> Self {
        Self { event, vectors: Vec::new(), bytes: Vec::new() }
    }
}

/// An error as the page hears it.
pub(crate) fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The first attachment, as what it must be.
pub(crate) fn attachment<T: JsCast>(attachments: &Array, what: &str) -> Result<T, String> {
    attachments.get(0).dyn_into().map_err(|_| format!("the command needs {what} as its attachment; none came"))
}

/// The attached files.
pub(crate) fn picked(attachments: &Array) -> Result<Vec<Box<dyn ReadAt>>, String> {
    let file = |value: JsValue| -> Result<Box<dyn ReadAt>, String> {
        let blob = value.dyn_into::<Blob>().map_err(|_| "an attachment is no file".to_owned())?;
        Ok(Box::new(BlobFile::new(blob)))
    };
    attachments.iter().map(file).collect()
}

impl Engine {
    async fn obey(&mut self, command: Command, attachments: &Array, reply: &Reply) -> Result<Answer, String> {
        match command {
            Command::Start { protocol } => {
                reply.progress("checking kernels", 0, 0, "kernels");
                let self_check = self.engine.start(protocol).await.map_err(said)?;
                Ok(Event::Ready { protocol: PROTOCOL, engine: self.engine.info().clone(), self_check }.into())
            }
            Command::LoadModel { source } => self.load(Slot::Main, source, attachments, reply).await,
            Command::AddImage { image, name } => {
                let bytes = bytes_of(&attachment(attachments, "a Blob")?).await;
                let bytes = bytes.map_err(|error| format!("{name} cannot be read: {error}"))?;
                let [width, height] = self.engine.add_image(image, &name, bytes).map_err(said)?;
                Ok(Event::ImageAdded { image, width, height }.into())
            }
            Command::RemoveImage { image } => {
                self.engine.remove_image(image).map_err(said)?;
                Ok(Event::Done.into())
            }
            Command::Embed { image, patches } => {
                let embedded = self.engine.embed(image, patches).await.map_err(said)?;
                let mut vectors = vec![embedded.cls];
                if patches {
                    vectors.push(embedded.patches);
                }
                let (dim, grid, millis) = (embedded.dim, embedded.grid, embedded.millis);
                Ok(Answer { vectors, ..Event::Embedded { image, dim, grid, millis }.into() })
            }
            Command::AttachCanvas { canvas } => {
                let target = attachment::<OffscreenCanvas>(attachments, "an OffscreenCanvas")?;
                let target = self.adopt(target, reply)?;
                self.canvases.insert(canvas, target);
                Ok(Event::Done.into())
            }
            Command::DetachCanvas { canvas } => {
                self.canvases.remove(&canvas).ok_or_else(|| no_canvas(canvas))?;
                Ok(Event::Done.into())
            }
            Command::Show { canvas, image, view, size } => {
                rooms::see::show(self, Slot::Main, canvas, image, &view, size).await
            }
            Command::Nearest { image, count } => {
                let nearest = self.engine.nearest(image, count).await.map_err(said)?;
                Ok(Event::Neighbours { image, nearest }.into())
            }
            Command::Memory => Ok(Event::Memory { memory: self.engine.memory() }.into()),
            Command::SelfCheck => {
                let self_check = self.engine.self_check().await.map_err(said)?;
                Ok(Event::SelfChecked { self_check }.into())
            }
            Command::Parity { atol, rtol } => {
                let files = picked(attachments)?;
                let report = self.engine.parity(files, atol, rtol, &mut reply.bytes("reading weights")).await;
                Ok(Event::Parity { report: report.map_err(said)? }.into())
            }
            Command::SetKernels { kernels } => {
                self.engine.set_kernels(kernels);
                Ok(Event::Done.into())
            }
            Command::LimitBinding { bytes } => {
                self.engine.limit_binding(bytes);
                Ok(Event::Done.into())
            }
            Command::Storage(_) => {
                Err("the store is asked beside the engine, not through it: reload the page".to_owned())
            }
            Command::LoseDevice => {
                #[cfg(feature = "gpu")]
                self.gpu.renderer.device().destroy();
                #[cfg(not(feature = "gpu"))]
                lost::note("asked for; the CPU plays a GPU that is gone");
                Ok(Event::Done.into())
            }
            Command::See(command) => rooms::see::obey(self, command, attachments, reply).await,
            Command::Mask(command) => rooms::mask::obey(self, command, attachments, reply).await,
            Command::Train(command) => rooms::train::obey(self, command, attachments, reply).await,
            Command::Probe(command) => rooms::probe::obey(self, command, attachments).await,
            Command::Video(command) => rooms::video::obey(self, command, attachments).await,
        }
    }

    /// Loads a model into a slot.
    pub(crate) async fn load(
        &mut self,
        slot: Slot,
        source: ModelSource,
        attachments: &Array,
        reply: &Reply,
    ) -> Result<Answer, String> {
        let (name, files) = match source {
            ModelSource::Files => {
                let files = picked(attachments)?;
                (String::new(), files)
            }
            ModelSource::Url { url } => {
                let warn = |message: String| {
                    // Not worth failing for: the answer itself follows.
                    let _ = reply.send(Event::Warning { message }, &[]);
                };
                let files = files::model_at(&url, &mut reply.bytes("downloading"), &warn).await.map_err(said)?;
                (url, files)
            }
            ModelSource::Stored { key } => {
                let (kept, files) = open_stored(&key).await.map_err(said)?;
                (kept.name, files)
            }
            drawn => {
                let model = self.engine.load_drawn(slot, &drawn).await.map_err(said)?;
                let model = model.ok_or("this model needs files or an address")?;
                return Ok(Event::ModelLoaded { model }.into());
            }
        };
        // Told before weights are read: a machine that has too little may not come to say so later.
        let fitting = self.engine.weigh(slot, files).await.map_err(said)?;
        if let Some(message) = &fitting.advice {
            // Not worth failing for: the answer itself follows.
            let _ = reply.send(Event::Warning { message: message.clone() }, &[]);
        }
        let mut progress = reply.bytes("reading weights");
        let held = slot == Slot::Main && self.engine.model().is_some();
        let model = self.engine.load_fitting(fitting, &name, &mut progress).await.map_err(|error| match held {
            true => format!("{error}; {GONE}"),
            false => said(error),
        })?;
        Ok(Event::ModelLoaded { model }.into())
    }

    /// Takes a canvas: as a surface of the GPU, or for pixels where there is none.
    fn adopt(&self, canvas: OffscreenCanvas, reply: &Reply) -> Result<Canvas, String> {
        #[cfg(feature = "gpu")]
        match self.gpu.adopt(canvas.clone()) {
            Ok(surface) => return Ok(Canvas::Gpu(surface)),
            Err(error) => {
                let message = format!("This canvas cannot be drawn on by the GPU ({error}); the CPU paints it.");
                // Not worth failing for: the answer itself follows.
                let _ = reply.send(Event::Warning { message }, &[]);
            }
        }
        let _ = reply;
        Canvas::plain(canvas)
    }

    /// Draws a picture on a canvas that the page gave.
    pub(crate) async fn draw(&mut self, canvas: CanvasId, picture: &Picture, size: [u32; 2]) -> Result<(), String> {
        let target = self.canvases.get_mut(&canvas).ok_or_else(|| no_canvas(canvas))?;
        #[cfg(feature = "gpu")]
        {
            target.draw(picture, size, &mut self.gpu.renderer).await?;
            self.gpu.renderer.finished().await;
            Ok(())
        }
        #[cfg(not(feature = "gpu"))]
        target.draw(picture, size).await
    }

    /// Draws a picture where nobody sees it.
    async fn rehearse(&mut self, picture: &Picture) {
        #[cfg(feature = "gpu")]
        if let Some(format) = self.canvases.values().find_map(Canvas::format) {
            // Whatever is wrong is told when somebody wants to see it.
            let _ = self.gpu.renderer.rehearse(picture, format);
            return self.gpu.renderer.finished().await;
        }
        let _ = paint::paint(picture, REHEARSAL, REHEARSAL).await;
    }

    /// Whether the page gave this canvas; a sentence where it did not.
    pub(crate) fn has_canvas(&self, canvas: CanvasId) -> Result<(), String> {
        if self.canvases.contains_key(&canvas) { Ok(()) } else { Err(no_canvas(canvas)) }
    }
}

fn no_canvas(canvas: CanvasId) -> String {
    format!("there is no canvas {}: attach it first", canvas.0)
}

/// Why the device was lost, if it was.
mod lost {
    use std::cell::RefCell;

    use js_sys::Function;
    use lab_protocol::Event;

    use super::Reply;

    thread_local! {
        static LOST: RefCell<Option<String>> = const { RefCell::new(None) };
        static POST: RefCell<Option<Function>> = const { RefCell::new(None) };
    }

    /// The way to the page, for a loss that nobody asked about.
    pub(super) fn tell_by(post: &Function) {
        POST.with_borrow_mut(|way| {
            way.get_or_insert_with(|| post.clone());
        });
    }

    /// Remembers it, and tells the page at once.
    pub(super) fn note(reason: &str) {
        if said().is_some() {
            return;
        }
        let message = format!("The GPU was lost ({reason}). Start the engine anew, or use the CPU engine.");
        LOST.set(Some(message.clone()));
        if let Some(post) = POST.with_borrow(Clone::clone) {
            // A page that is gone needs no word.
            let _ = Reply { post, id: None }.send(Event::Lost { message }, &[]);
        }
    }

    /// What to tell.
    pub(super) fn said() -> Option<String> {
        LOST.with_borrow(Clone::clone)
    }
}

#[cfg(feature = "gpu")]
mod gpu {
    use lab_core::device::{OpenDevice, open_gpu};
    use web_sys::OffscreenCanvas;

    use crate::canvas::Surface;
    use crate::render::Renderer;

    /// What drawing shares with computing.
    pub(super) struct Gpu {
        pub(super) renderer: Renderer,
        instance: wgpu::Instance,
        adapter: wgpu::Adapter,
    }

    /// The GPU that the browser offers.
    pub(super) async fn open() -> Result<(OpenDevice, Gpu), String> {
        let gpu = open_gpu(Default::default(), Default::default()).await.map_err(|error| error.to_string())?;
        let setup = gpu.setup;
        setup.device.set_device_lost_callback(|reason, message| {
            super::lost::note(&format!("{reason:?}: {message}"));
        });
        let renderer = Renderer::new(setup.device, setup.queue);
        Ok((gpu.open, Gpu { renderer, instance: setup.instance, adapter: setup.adapter }))
    }

    impl Gpu {
        pub(super) fn adopt(&self, canvas: OffscreenCanvas) -> Result<Surface, String> {
            Surface::new(canvas, &self.instance, &self.adapter)
        }
    }
}
