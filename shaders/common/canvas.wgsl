// One triangle that covers the canvas, and the way from its pixels to the picture's pixels and patches.
// Needs `params` with canvas_width, canvas_height, image_width, image_height.
@vertex
fn vertex(@builtin(vertex_index) index: u32) -> @builtin(position) vec4<f32> {
    let corner = vec2<f32>(f32(index & 1u), f32(index >> 1u));
    return vec4<f32>(corner * 4.0 - vec2<f32>(1.0), 0.0, 1.0);
}

// Canvas pixels (centres at halves) to picture pixels (centres at halves too).
fn image_position(position: vec2<f32>) -> vec2<f32> {
    let canvas = vec2<f32>(f32(params.canvas_width), f32(params.canvas_height));
    return position / canvas * vec2<f32>(f32(params.image_width), f32(params.image_height));
}
