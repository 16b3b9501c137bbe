// rgb: three values a patch as red, green and blue, or the first two of them without red against green
//   values [rows * columns, 3], each drawn from its own `low` to its own `high`; pixels [3, image_height, image_width]
#import canvas
#import picture
#import patches
#import blue_yellow
struct Params {
    canvas_width: u32, canvas_height: u32,
    image_width: u32, image_height: u32,
    rescale: f32,
    mean_r: f32, mean_g: f32, mean_b: f32,
    std_r: f32, std_g: f32, std_b: f32,
    rows: u32, columns: u32, patch_size: u32,
    opacity: f32,
    low_r: f32, low_g: f32, low_b: f32,
    high_r: f32, high_g: f32, high_b: f32,
    // 0: red, green, blue; 1: dark to light and blue to yellow, black where there is no value.
    palette: u32,
}
@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read> pixels: array<f32>;
@group(0) @binding(2) var<storage, read> params: Params;

@fragment
fn fragment(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let at = image_position(position.xy);
    let index = 3u * patch_index(at);
    let value = vec3<f32>(values[index], values[index + 1u], values[index + 2u]);
    let low = vec3<f32>(params.low_r, params.low_g, params.low_b);
    let range = vec3<f32>(params.high_r, params.high_g, params.high_b) - low;
    let t = clamp((value - low) / range, vec3<f32>(0.0), vec3<f32>(1.0));
    var colour = select(vec3<f32>(0.0), t, range > vec3<f32>(0.0));
    if (params.palette == 1u) {
        // Far below anything that is drawn: no value.
        colour = select(blue_yellow(colour.xy), vec3<f32>(0.0), value.x < -1e30);
    }
    return vec4<f32>(mix(picture(at), colour, params.opacity), 1.0);
}
