// montage: many maps of one picture side by side, each in viridis from its own least to its own largest value
//   values [maps, rows * columns], ranges [maps, 2]; pixels [3, image_height, image_width]; black beyond the last map
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
    maps: u32, tile_rows: u32, tile_columns: u32,
}
@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read> ranges: array<f32>;
@group(0) @binding(2) var<storage, read> pixels: array<f32>;
@group(0) @binding(3) var<storage, read> params: Params;

@fragment
fn fragment(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let canvas = vec2<f32>(f32(params.canvas_width), f32(params.canvas_height));
    let place = position.xy / canvas * vec2<f32>(f32(params.tile_columns), f32(params.tile_rows));
    let map = u32(place.y) * params.tile_columns + u32(place.x);
    // Indices stay inside also where the answer is not used.
    let known = min(map, params.maps - 1u);
    let at = fract(place) * vec2<f32>(f32(params.image_width), f32(params.image_height));
    let value = values[known * params.rows * params.columns + patch_index(at)];
    let low = ranges[2u * known];
    let range = ranges[2u * known + 1u] - low;
    let t = select(0.0, clamp((value - low) / range, 0.0, 1.0), range > 0.0);
    let colour = mix(picture(at), viridis(t), params.opacity);
    return vec4<f32>(select(vec3<f32>(0.0), colour, map < params.maps), 1.0);
}
