// pixels: the picture pixel by pixel, nothing between them: what the model received, and what it painted
//   pixels [3, image_height, image_width], normalised
#import canvas
#import picture
struct Params {
    canvas_width: u32, canvas_height: u32,
    image_width: u32, image_height: u32,
    rescale: f32,
    mean_r: f32, mean_g: f32, mean_b: f32,
    std_r: f32, std_g: f32, std_b: f32,
}
@group(0) @binding(0) var<storage, read> pixels: array<f32>;
@group(0) @binding(1) var<storage, read> params: Params;

@fragment
fn fragment(@builtin(position) position: vec4<f32>) -> @location(0) vec4<f32> {
    let at = image_position(position.xy);
    return vec4<f32>(picture_pixel(i32(at.x), i32(at.y)), 1.0);
}
