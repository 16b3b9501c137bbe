//! The view shaders against their twin on the CPU: the same picture, pixel by pixel.

use burn::tensor::wgpu::wgpu;
use lab_core::device::{self, OpenDevice};
use lab_core::engine::{Engine, Picture, paint};
use lab_core::host::ReadAt;
use lab_protocol::{Foreground, ImageId, MaskView, ModelSource, Palette, PatchMask, Query, Slot, View};
use lab_tests::{Gpu, golden_file, gpu};
use lab_worker::render::Renderer;
use pollster::block_on;

/// Of 255: sRGB bytes are rounded once on either side, and a GPU divides a little differently.
const TOLERANCE: u8 = 2;
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;
/// Width and height; a row of pixels is a multiple of 256 bytes, as copies from textures need.
const SIZE: [u32; 2] = [128, 192];

/// An engine with a golden model and a photograph-like picture.
fn engine(gpu: &Gpu) -> Engine {
    let mut engine = Engine::new(OpenDevice { device: gpu.device.clone(), info: gpu.info.clone() }, || 0.0);
    let files: Vec<Box<dyn ReadAt>> =
        ["config.json", "model.safetensors"].map(|name| golden_file(&format!("models/dinov2-mlp/{name}"))).into();
    block_on(engine.load_model("", files, &mut |_, _, _| {})).expect("loads");
    let image = image::RgbImage::from_fn(50, 40, |x, y| {
        let wave = |a: u32, b: u32| (127.5 + 127.0 * ((a * x + b * y) as f32 / 9.0).sin()) as u8;
        image::Rgb([wave(1, 2), wave(3, 1), wave(0, 2)])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).expect("memory takes it");
    engine.add_image(ImageId(0), "waves.png", bytes.into_inner()).expect("decodes");
    engine
}

/// What the shader draws, red, green, blue and alpha.
fn draw(gpu: &Gpu, renderer: &mut Renderer, picture: &Picture) -> Vec<u8> {
    let (device, queue) = (&gpu.setup.device, &gpu.setup.queue);
    let extent = wgpu::Extent3d { width: SIZE[0], height: SIZE[1], depth_or_array_layers: 1 };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: extent,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: FORMAT,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    renderer.draw(picture, &view, FORMAT, SIZE).expect("draws");
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(4 * SIZE[0] * SIZE[1]),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(4 * SIZE[0]), rows_per_image: None };
    let target = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
    encoder.copy_texture_to_buffer(texture.as_image_copy(), target, extent);
    queue.submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |result| result.expect("maps"));
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the device goes on");
    buffer.get_mapped_range(..).expect("is mapped").to_vec()
}

#[test]
fn shaders_draw_what_their_twin_paints() {
    let gpu = gpu();
    let mut engine = engine(&gpu);
    let mut renderer = Renderer::new(gpu.setup.device.clone(), gpu.setup.queue.clone());
    let views = [
        View::Input,
        View::Attention { layer: 2, head: Some(0), query: Query::Patch { index: 5 } },
        View::Heads { layer: 1, query: Query::Cls, columns: 3 },
        View::Rollout { layer: 2, query: Query::Cls },
        View::Similarity { from: ImageId(0), patch: 9 },
        View::Pca,
        View::SharedPca { foreground: Some(Foreground { threshold: 0.5, below: false }) },
    ];
    let by = |palette| move |view| (palette, view);
    let safe = views.iter().filter(|view| matches!(view, View::Pca | View::SharedPca { .. })).cloned();
    let safe: Vec<_> = safe.map(by(Palette::BlueYellow)).collect();
    for (palette, view) in views.into_iter().map(by(Palette::Rgb)).chain(safe) {
        engine.set_palette(palette);
        let picture = block_on(engine.view(ImageId(0), &view)).expect("shows");
        let drawn = draw(&gpu, &mut renderer, &picture);
        let painted = block_on(paint::paint(&picture, SIZE[0], SIZE[1])).expect("paints");
        assert_eq!(drawn.len(), painted.len());
        let worst = drawn.iter().zip(&painted).enumerate().max_by_key(|(_, (a, b))| a.abs_diff(**b));
        let (at, (ours, theirs)) = worst.expect("pixels");
        assert!(
            ours.abs_diff(*theirs) <= TOLERANCE,
            "{view:?}: byte {at} is {ours} by the shader, {theirs} by its twin"
        );
        // Neither is a blank sheet.
        assert!(painted.iter().min() < Some(&100), "{view:?} has nothing dark");
        assert!(painted.chunks(4).any(|pixel| pixel[..3] != painted[..3]), "{view:?} is of one colour");
    }
}

#[test]
fn reconstructions_are_drawn_on_the_gpu_as_they_are_painted() {
    let gpu = gpu();
    let mut engine = engine(&gpu);
    let mut renderer = Renderer::new(gpu.setup.device.clone(), gpu.setup.queue.clone());
    block_on(engine.load_drawn(Slot::Mae, &ModelSource::UntrainedMae)).expect("loads").expect("needs no files");
    let hidden = PatchMask::new(&(0..64).map(|patch| patch % 3 != 0).collect::<Vec<_>>());
    for what in [MaskView::Original, MaskView::Seen, MaskView::Painted, MaskView::Predicted, MaskView::Loss] {
        let picture = block_on(engine.mask_view(ImageId(0), &hidden, what)).expect("shows");
        let drawn = draw(&gpu, &mut renderer, &picture);
        let painted = block_on(paint::paint(&picture, SIZE[0], SIZE[1])).expect("paints");
        let far = drawn.iter().zip(&painted).filter(|(a, b)| a.abs_diff(**b) > TOLERANCE).count();
        assert_eq!(far, 0, "{what:?}: bytes that differ");
    }
}

/// Patches have sharp edges where the picture below is not seen.
#[test]
fn colours_fill_their_patches_exactly() {
    let mut engine = Engine::new(device::cpu(), || 0.0);
    block_on(engine.load_built_in()).expect("loads");
    let slope = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([8 * x as u8, 8 * y as u8, 77]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    slope.write_to(&mut bytes, image::ImageFormat::Png).expect("memory takes it");
    engine.add_image(ImageId(0), "slope.png", bytes.into_inner()).expect("decodes");
    let picture = block_on(engine.view(ImageId(0), &View::Pca)).expect("shows");
    assert_eq!(picture.summary.grid, [16, 16]);
    let painted = block_on(paint::paint(&picture, 32, 32)).expect("paints");
    let pixel = |x: usize, y: usize| &painted[4 * (32 * y + x)..4 * (32 * y + x) + 3];
    for (y, x) in (0..32).flat_map(|y| (0..32).map(move |x| (y, x))) {
        assert_eq!(pixel(x, y), pixel(x / 2 * 2, y / 2 * 2), "two by two pixels a patch, at {x}, {y}");
    }
}
