//! The engine behind the page: commands in, answers and pictures out. It knows no canvas, no file and no clock; its
//! host hands it bytes and draws its [`Picture`]s.
//!
//! - [`Engine`]: one device, at most one model, the images given to it, and what the model saw in the last few of them
//! - [`Picture`]: numbers on the device and how to colour them
//! - [`memory`]: what it may take, and whether a model fits; `warm`: what will be asked first, computed ahead
//! - [`paint`]: a picture's pixels, computed on the CPU: the twin of `shaders/views`
//! - `views` and `see`, [`mask`], [`train`], [`probe`], [`video`]: what each room asks; a room's state is a struct of its own

mod images;
pub mod mask;
pub mod memory;
pub mod paint;
mod picture;
pub mod probe;
mod see;
pub mod train;
pub mod video;
mod views;
mod warm;

use lab_protocol::{EngineInfo, ImageId, Kernels, ModelInfo, PROTOCOL, Palette, ParityReport, SelfCheck, Slot};

use crate::device::{self, OpenDevice, readback};
use crate::error::{EngineError, Error};
use crate::formats::{Checkpoint, ModelFiles};
use crate::host::ReadAt;
use crate::kernels::mode;
use crate::kernels::self_check::{self, Extent};
use crate::models::model::tiny_config;
use crate::models::{LoadOptions, Model, load};
use crate::parity;
use crate::probe::neighbours::nearest;
use images::Images;
pub use picture::{Colouring, NO_VALUE, Picture};

/// Milliseconds since some moment; a browser's worker and a native host tell the time in different ways.
pub type Clock = fn() -> f64;

/// Told while weights come: done, all there is (0 when unknown), and the tensor's name.
pub type Progress<'a> = dyn FnMut(u64, u64, &str) + 'a;

/// Weights beyond this many bytes in f32 are stored in 16 bits where the device computes with them.
const LARGE: u64 = 2 << 30;

/// The seed of the built-in model: anyone's is the same.
const BUILT_IN_SEED: u64 = 7;

/// One device and what is on it.
pub struct Engine {
    open: OpenDevice,
    clock: Clock,
    gauge: Option<memory::Gauge>,
    model: Option<Model>,
    images: Images,
    see: see::State,
    mask: mask::State,
    train: train::State,
    probe: probe::State,
    video: video::State,
    palette: Palette,
    warm: warm::State,
    /// Kernels found wrong since the start, to be told.
    replaced: Vec<String>,
}

/// An image's embedding, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// Width D.
    pub dim: usize,
    /// Patch rows and columns.
    pub grid: [usize; 2],
    /// From pixels to embedding.
    pub millis: f64,
    /// The class embedding `[D]`: the pooled output, else the class token, else the mean of the patches.
    pub cls: Vec<f32>,
    /// The patch tokens `[N, D]`; empty unless asked for.
    pub patches: Vec<f32>,
}

impl Engine {
    /// An engine on an open device.
    pub fn new(open: OpenDevice, clock: Clock) -> Self {
        Self {
            open,
            clock,
            gauge: None,
            model: None,
            images: Images::default(),
            see: see::State::default(),
            mask: mask::State::default(),
            train: train::State::default(),
            probe: probe::State::default(),
            video: video::State::default(),
            palette: Palette::default(),
            warm: warm::State::default(),
            replaced: Vec::new(),
        }
    }

    /// What computes.
    pub fn info(&self) -> &EngineInfo {
        &self.open.info
    }

    /// What time it is, by the host's clock, in milliseconds.
    pub fn now(&self) -> f64 {
        (self.clock)()
    }

    /// Greets a page: its protocol must be ours; then each kernel is compared with its twin.
    ///
    /// # Errors
    ///
    /// [`EngineError::Protocol`], or the device's.
    pub async fn start(&self, protocol: u32) -> Result<SelfCheck, Error> {
        if protocol != PROTOCOL {
            return Err(EngineError::Protocol { page: protocol, engine: PROTOCOL }.into());
        }
        Ok(self_check::run(&self.open.device, Extent::Start).await?)
    }

    /// Compares each kernel with its twin, attention at every head dim; a wrong one is replaced by it.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn self_check(&self) -> Result<SelfCheck, Error> {
        Ok(self_check::run(&self.open.device, Extent::Whole).await?)
    }

    /// What the start left out: attention at the head dims of a model or of a run that comes.
    async fn check_heads(&mut self, dims: &[usize], gradients: bool) -> Result<(), Error> {
        let found = self_check::heads(&self.open.device, dims, gradients).await?;
        self.replaced.extend(found.replaced().into_iter().map(str::to_owned));
        Ok(())
    }

    /// Kernels that were found wrong since the start, and replaced by their twins; each is named once.
    pub fn take_replaced(&mut self) -> Vec<String> {
        std::mem::take(&mut self.replaced)
    }

    /// Loads a model from files and forgets the one before. Where the files hold no model, or one that does not fit, the
    /// old one stays.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the files; as [`weigh`](Self::weigh).
    pub async fn load_model(
        &mut self,
        name: &str,
        files: Vec<Box<dyn ReadAt>>,
        progress: &mut Progress<'_>,
    ) -> Result<ModelInfo, Error> {
        self.load_into(Slot::Main, name, files, progress).await
    }

    /// Loads the model that ships with the program: DINOv2's architecture, small, and untrained.
    ///
    /// # Errors
    ///
    /// The device's.
    pub async fn load_built_in(&mut self) -> Result<ModelInfo, Error> {
        self.forget_model();
        let model = Model::untrained(tiny_config(), BUILT_IN_SEED, &self.open.device).await?;
        self.put(Slot::Main, model).await
    }

    fn forget_model(&mut self) {
        self.model = None;
        // What was learned from its features goes with it.
        self.probe.forget();
        self.video = video::State::default();
        self.images.forget_embeddings();
        self.see.forget_main();
        self.mask.forget_result();
        self.warm = warm::State::default();
    }

    /// The model, if one is loaded.
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// Takes an encoded image; width and height in pixels, after EXIF orientation.
    ///
    /// # Errors
    ///
    /// [`EngineError::Image`] when it cannot be decoded.
    pub fn add_image(&mut self, image: ImageId, name: &str, bytes: Vec<u8>) -> Result<[u32; 2], Error> {
        let size = self.images.add(image, name, bytes)?;
        self.see.take_image(&self.images, image);
        self.mask.forget_result();
        Ok(size)
    }

    /// Forgets an image.
    ///
    /// # Errors
    ///
    /// [`EngineError::NoImage`].
    pub fn remove_image(&mut self, image: ImageId) -> Result<(), Error> {
        self.images.remove(image)?;
        self.see.remove_image(image);
        self.mask.forget_result();
        Ok(())
    }

    /// Computes an image's tokens, unless they are known.
    ///
    /// # Errors
    ///
    /// [`EngineError::NoModel`], [`EngineError::NoImage`], or what decoding or the device says.
    pub async fn embed(&mut self, image: ImageId, patches: bool) -> Result<Embedded, Error> {
        let (clock, model) = (self.clock, self.model.as_ref().ok_or(EngineError::NoModel)?);
        let embedding = self.images.embedding(image, model, clock).await?.clone();
        let patches = match patches {
            true => readback(self.images.tokens(image, model).await?.output.patches.clone()).await?,
            false => Vec::new(),
        };
        let dim = embedding.cls.len();
        Ok(Embedded { dim, grid: embedding.grid, millis: embedding.millis, cls: embedding.cls, patches })
    }

    /// Which embedded images lie nearest to one, by the cosine of their class embeddings; that one is left out.
    ///
    /// # Errors
    ///
    /// As [`embed`](Self::embed).
    pub async fn nearest(&mut self, image: ImageId, count: usize) -> Result<Vec<(ImageId, f32)>, Error> {
        let (clock, model) = (self.clock, self.model.as_ref().ok_or(EngineError::NoModel)?);
        let query = self.images.embedding(image, model, clock).await?.cls.clone();
        let others = self.images.embeddings().filter(|(other, _)| *other != image);
        Ok(nearest(&query, others, count))
    }

    /// Runs the inputs of an `io.safetensors` through the model in the files beside it and compares what is stored
    /// there. The model on show stays.
    ///
    /// # Errors
    ///
    /// [`EngineError::NoOutputs`] without such a file; whatever is wrong with the files.
    pub async fn parity(
        &mut self,
        mut files: Vec<Box<dyn ReadAt>>,
        atol: f64,
        rtol: f64,
        progress: &mut Progress<'_>,
    ) -> Result<ParityReport, Error> {
        let is_io = |file: &dyn ReadAt| file.name().rsplit(['/', '\\']).next() == Some("io.safetensors");
        let Some(place) = files.iter().position(|file| is_io(file.as_ref())) else {
            let found = files.iter().map(|file| file.name().to_owned()).collect();
            return Err(EngineError::NoOutputs { found }.into());
        };
        let io = Checkpoint::open(files.swap_remove(place)).await?;
        let files = ModelFiles::from_files(files).await?;
        let model = load(files, &self.open.device, LoadOptions::default(), progress).await?;
        self.check_heads(&model.head_dims(), false).await?;
        parity::run(&model, &io, atol, rtol).await
    }

    /// Holds every binding of the GPU to so many bytes when a model is loaded, as on a device that allows no more; 0 takes
    /// the device's own limit again.
    pub fn limit_binding(&self, bytes: u64) {
        device::limit_binding(bytes);
    }

    /// Uses the WGSL kernels or their twins from now on. Tokens are computed anew, so that the two can be compared.
    pub fn set_kernels(&mut self, kernels: Kernels) {
        mode::set_kernels(kernels);
        self.images.forget_embeddings();
        self.see.forget_tokens();
        self.mask.forget_result();
    }
}
