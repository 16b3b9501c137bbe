//! Pictures drawn by the shaders of `shaders/views`, straight from the buffers that the model computed into.
//!
//! Knows textures, not canvases: a surface in the browser and a texture in a test are drawn on alike. Its twin on the
//! CPU is `lab_core::engine::paint`.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use lab_core::engine::{Colouring, Picture};
use lab_core::error::DeviceError;
use lab_core::kernels::share::share;
use lab_protocol::Palette;
use lab_shaders::{HEATMAP, IMAGE, MONTAGE, PIXELS, RGB, Shader, heatmap, image, montage, pixels, rgb};

/// Pipelines on the device and queue that burn computes with.
pub struct Renderer {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipelines: Vec<(Colouring, wgpu::TextureFormat, wgpu::RenderPipeline)>,
}

impl Renderer {
    /// A renderer beside burn: the same device and queue, or its tensors could not be read.
    pub fn new(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self { device, queue, pipelines: Vec::new() }
    }

    /// The device below.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Draws a picture over the whole of a texture of `size` pixels. `format` must not be an sRGB one: the shaders
    /// write sRGB bytes themselves.
    ///
    /// # Errors
    ///
    /// The device's, when a tensor cannot be read.
    pub fn draw(
        &mut self,
        picture: &Picture,
        target: &wgpu::TextureView,
        format: wgpu::TextureFormat,
        size: [u32; 2],
    ) -> Result<(), DeviceError> {
        let pixels = share(picture.pixels().clone())?;
        let values = picture.values().map(|values| share(values.clone())).transpose()?;
        let ranges = picture.ranges().map(|ranges| share(ranges.clone())).transpose()?;
        let params = self.upload(&params(picture, size));
        let pipeline = self.pipeline(picture.colouring, format);
        let buffers = values.iter().chain(&ranges).map(|values| values.binding());
        let buffers = buffers.chain([pixels.binding(), params.as_entire_binding()]);
        let entries: Vec<_> =
            (0..).zip(buffers).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let group = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("view"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("view") });
        {
            let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("view"),
                color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                    view: target,
                    depth_slice: None,
                    resolve_target: None,
                    ops: wgpu::Operations {
                        load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                        store: wgpu::StoreOp::Store,
                    },
                })],
                ..wgpu::RenderPassDescriptor::default()
            });
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.draw(0..3, 0..1);
        }
        self.queue.submit([encoder.finish()]);
        Ok(())
    }

    /// Draws a picture where nobody sees it, so that its pipeline is compiled before somebody waits for it.
    ///
    /// # Errors
    ///
    /// As [`draw`](Self::draw).
    pub fn rehearse(&mut self, picture: &Picture, format: wgpu::TextureFormat) -> Result<(), DeviceError> {
        const SIDE: u32 = 16;
        let texture = self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("rehearsal"),
            size: wgpu::Extent3d { width: SIDE, height: SIDE, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        self.draw(picture, &texture.create_view(&Default::default()), format, [SIDE; 2])
    }

    /// Hands a drawn frame to its surface.
    pub fn present(&self, frame: wgpu::SurfaceTexture) {
        self.queue.present(frame);
    }

    /// Waits until everything submitted so far is done: a picture counts as shown then.
    pub async fn finished(&self) {
        let signal = Arc::new(Mutex::new((false, None::<Waker>)));
        let other = Arc::clone(&signal);
        self.queue.on_submitted_work_done(move || {
            let mut state = other.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = true;
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        });
        std::future::poll_fn(|context| {
            let mut state = signal.lock().unwrap_or_else(PoisonError::into_inner);
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn upload(&self, words: &[u32]) -> wgpu::Buffer {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("view params"),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.queue.write_buffer(&buffer, 0, &bytes);
        buffer
    }

    fn pipeline(&mut self, colouring: Colouring, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
        let known = self.pipelines.iter().find(|(known, of, _)| *known == colouring && *of == format);
        if let Some((_, _, pipeline)) = known {
            return pipeline.clone();
        }
        let pipeline = build(&self.device, shader(colouring), format);
        self.pipelines.push((colouring, format, pipeline.clone()));
        pipeline
    }
}

fn shader(colouring: Colouring) -> &'static Shader {
    match colouring {
        Colouring::Image => &IMAGE,
        Colouring::Heatmap => &HEATMAP,
        Colouring::Rgb => &RGB,
        Colouring::Montage => &MONTAGE,
        Colouring::Pixels => &PIXELS,
    }
}

fn build(device: &wgpu::Device, shader: &'static Shader, format: wgpu::TextureFormat) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(shader.name),
        source: wgpu::ShaderSource::Wgsl(shader.source.into()),
    });
    // Written out, since a layout derived from the shader leaves out what one of its stages does not read.
    let entries: Vec<_> = (0..shader.bindings.len() as u32)
        .map(|binding| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::FRAGMENT,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: true },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        })
        .collect();
    let group = device
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(shader.name), entries: &entries });
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(shader.name),
        bind_group_layouts: &[Some(&group)],
        immediate_size: 0,
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(shader.name),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vertex"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("fragment"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            targets: &[Some(wgpu::ColorTargetState { format, blend: None, write_mask: wgpu::ColorWrites::ALL })],
        }),
        multiview_mask: None,
        cache: None,
    })
}

/// The parameters as the picture's shader reads them.
fn params(picture: &Picture, [canvas_width, canvas_height]: [u32; 2]) -> Vec<u32> {
    let [image_width, image_height] = picture.image_size().map(|side| side as u32);
    let [mean_r, mean_g, mean_b] = picture.recipe.mean;
    let [std_r, std_g, std_b] = picture.recipe.std;
    let rescale = picture.recipe.rescale;
    let [rows, columns] = picture.summary.grid.map(|count| count as u32);
    let patch_size = picture.patch_size as u32;
    let opacity = picture.opacity;
    let [low_r, low_g, low_b] = picture.low;
    let [high_r, high_g, high_b] = picture.high;
    match picture.colouring {
        Colouring::Pixels => pixels::Params {
            canvas_width,
            canvas_height,
            image_width,
            image_height,
            rescale,
            mean_r,
            mean_g,
            mean_b,
            std_r,
            std_g,
            std_b,
        }
        .words(),
        Colouring::Montage => montage::Params {
            canvas_width,
            canvas_height,
            image_width,
            image_height,
            rescale,
            mean_r,
            mean_g,
            mean_b,
            std_r,
            std_g,
            std_b,
            rows,
            columns,
            patch_size,
            opacity,
            maps: (picture.host_ranges.len() / 2) as u32,
            tile_rows: picture.tiles[0] as u32,
            tile_columns: picture.tiles[1] as u32,
        }
        .words(),
        Colouring::Image => image::Params {
            canvas_width,
            canvas_height,
            image_width,
            image_height,
            rescale,
            mean_r,
            mean_g,
            mean_b,
            std_r,
            std_g,
            std_b,
        }
        .words(),
        Colouring::Heatmap => heatmap::Params {
            canvas_width,
            canvas_height,
            image_width,
            image_height,
            rescale,
            mean_r,
            mean_g,
            mean_b,
            std_r,
            std_g,
            std_b,
            rows,
            columns,
            patch_size,
            opacity,
            low: low_r,
            high: high_r,
        }
        .words(),
        Colouring::Rgb => rgb::Params {
            canvas_width,
            canvas_height,
            image_width,
            image_height,
            rescale,
            mean_r,
            mean_g,
            mean_b,
            std_r,
            std_g,
            std_b,
            rows,
            columns,
            patch_size,
            opacity,
            low_r,
            low_g,
            low_b,
            high_r,
            high_g,
            high_b,
            palette: match picture.palette {
                Palette::Rgb => 0,
                Palette::BlueYellow => 1,
            },
        }
        .words(),
    }
}
