//! Canvases that the page gave away: a WebGPU surface where a GPU draws, plain pixels elsewhere.

use lab_core::engine::{Picture, paint};
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{ImageData, OffscreenCanvas, OffscreenCanvasRenderingContext2d};

use crate::host::words;
#[cfg(feature = "gpu")]
use crate::render::Renderer;

/// Longest side in pixels: what every WebGPU device can draw on.
const MAX_SIDE: u32 = 8192;

/// Where pictures appear.
pub(crate) enum Canvas {
    /// Pixels computed on the CPU.
    Plain {
        /// For its size.
        canvas: OffscreenCanvas,
        /// For its pixels.
        context: OffscreenCanvasRenderingContext2d,
    },
    /// A surface of the device that computes.
    #[cfg(feature = "gpu")]
    Gpu(Surface),
}

impl Canvas {
    /// A canvas for pixels from the CPU.
    ///
    /// # Errors
    ///
    /// The browser's, when the canvas already serves something else.
    pub(crate) fn plain(canvas: OffscreenCanvas) -> Result<Self, String> {
        let context = canvas.get_context("2d").map_err(|error| words(&error))?;
        let context = context.ok_or("the canvas gives no 2d context: it is in use for something else")?;
        Ok(Self::Plain { canvas, context: context.unchecked_into() })
    }

    /// The format of what the GPU draws on it.
    #[cfg(feature = "gpu")]
    pub(crate) fn format(&self) -> Option<wgpu::TextureFormat> {
        match self {
            Self::Plain { .. } => None,
            Self::Gpu(surface) => Some(surface.format),
        }
    }

    /// Draws a picture over the whole canvas, which takes the given size in pixels.
    ///
    /// # Errors
    ///
    /// The browser's or the device's.
    pub(crate) async fn draw(
        &mut self,
        picture: &Picture,
        size: [u32; 2],
        #[cfg(feature = "gpu")] renderer: &mut Renderer,
    ) -> Result<(), String> {
        let [width, height] = size;
        if !size.iter().all(|side| (1..=MAX_SIDE).contains(side)) {
            return Err(format!(
                "a canvas of {width} x {height} pixels cannot be drawn on; from 1 to {MAX_SIDE} a side"
            ));
        }
        match self {
            Self::Plain { canvas, context } => {
                let bytes = paint::paint(picture, width, height).await.map_err(|error| error.to_string())?;
                if [canvas.width(), canvas.height()] != size {
                    canvas.set_width(width);
                    canvas.set_height(height);
                }
                let data = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&bytes), width, height);
                let data = data.map_err(|error| words(&error))?;
                context.put_image_data(&data, 0.0, 0.0).map_err(|error| words(&error))
            }
            #[cfg(feature = "gpu")]
            Self::Gpu(surface) => surface.draw(picture, size, renderer),
        }
    }
}

/// A surface and its configuration.
#[cfg(feature = "gpu")]
pub(crate) struct Surface {
    surface: wgpu::Surface<'static>,
    format: wgpu::TextureFormat,
    size: [u32; 2],
}

#[cfg(feature = "gpu")]
impl Surface {
    /// A surface of a canvas, on the device that burn computes with.
    ///
    /// # Errors
    ///
    /// The browser's, when the canvas gives no WebGPU context.
    pub(crate) fn new(
        canvas: OffscreenCanvas,
        instance: &wgpu::Instance,
        adapter: &wgpu::Adapter,
    ) -> Result<Self, String> {
        let surface = instance.create_surface(wgpu::SurfaceTarget::OffscreenCanvas(canvas));
        let surface = surface.map_err(|error| error.to_string())?;
        let formats = surface.get_capabilities(adapter).formats;
        // The shaders write sRGB bytes themselves.
        let format = formats.iter().copied().find(|format| !format.is_srgb());
        let format = format.ok_or_else(|| format!("no format that we draw in among {formats:?}"))?;
        Ok(Self { surface, format, size: [0, 0] })
    }

    fn configure(&mut self, device: &wgpu::Device, size: [u32; 2]) {
        self.surface.configure(
            device,
            &wgpu::SurfaceConfiguration {
                usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
                format: self.format,
                color_space: wgpu::SurfaceColorSpace::Auto,
                width: size[0],
                height: size[1],
                present_mode: wgpu::PresentMode::Fifo,
                desired_maximum_frame_latency: 2,
                alpha_mode: wgpu::CompositeAlphaMode::Opaque,
                view_formats: Vec::new(),
            },
        );
        self.size = size;
    }

    fn draw(&mut self, picture: &Picture, size: [u32; 2], renderer: &mut Renderer) -> Result<(), String> {
        if self.size != size {
            self.configure(renderer.device(), size);
        }
        let frame = match self.surface.get_current_texture() {
            wgpu::CurrentSurfaceTexture::Success(frame) | wgpu::CurrentSurfaceTexture::Suboptimal(frame) => frame,
            other => {
                // Once more with a fresh configuration: the surface may be out of date.
                self.configure(renderer.device(), size);
                match self.surface.get_current_texture() {
                    wgpu::CurrentSurfaceTexture::Success(frame) => frame,
                    _ => return Err(format!("the canvas gives no texture to draw on ({other:?}); reload the page")),
                }
            }
        };
        let view = frame.texture.create_view(&wgpu::TextureViewDescriptor::default());
        renderer.draw(picture, &view, self.format, size).map_err(|error| error.to_string())?;
        renderer.present(frame);
        Ok(())
    }
}
