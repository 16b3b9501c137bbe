// heatmap: one value a patch in viridis, over the picture
//   values [rows * columns], drawn from `low` (dark) to `high` (bright); pixels [3, image_height, image_width]
#import canvas
#import picture
#import patches
#import viridis
struct Params {
    canvas_width: u32, canvas_height: u32,
    image_width: u32, image_height: u32,
    rescale: f32,
    mean_r: f32, mean_g: f32, mean_b: f32,
    std_r: f32, std_g: f32, std_b: f32,
    rows: u32, columns: u32, patch_size: u32,
    opacity: f32,
    low: f32, high: f32,
}
@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read> pixels: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;

@fragment
fn fragment(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let at = image_position(position.xy);
    let value = values[patch_index(at)];
    let range = params.high - params.low;
    // Phrased so that an empty range is dark.
    let t = select(0.0, clamp((value - params.low) / range, 0.0, 1.0), range > 0.0);
    // Far below anything that is drawn: no value, the picture alone.
    let opacity = select(params.opacity, 0.0, value < -1e30);
    return vec4<f32>(mix(picture(at), viridis(t), opacity), 1.0);
}
