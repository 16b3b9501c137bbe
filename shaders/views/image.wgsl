// image: the picture as the model receives it, stretched over the canvas
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
    return vec4<f32>(picture(image_position(position.xy)), 1.0);
}
