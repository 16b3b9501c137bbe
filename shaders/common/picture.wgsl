// The normalised picture back as colours, interpolated between its pixels. Needs `pixels` and `params`.
fn picture_pixel(x: i32, y: i32) -> vec3<f32> {
    let column = u32(clamp(x, 0, i32(params.image_width) - 1));
    let row = u32(clamp(y, 0, i32(params.image_height) - 1));
    let plane = params.image_width * params.image_height;
    let index = row * params.image_width + column;
    let value = vec3<f32>(pixels[index], pixels[plane + index], pixels[2u * plane + index]);
    let deviation = vec3<f32>(params.std_r, params.std_g, params.std_b);
    let mean = vec3<f32>(params.mean_r, params.mean_g, params.mean_b);
    // From what the recipe made of a byte to the byte, from the byte to 0..1.
    return clamp((value * deviation + mean) / (params.rescale * 255.0), vec3<f32>(0.0), vec3<f32>(1.0));
}

fn picture(at: vec2<f32>) -> vec3<f32> {
    let place = at - vec2<f32>(0.5);
    let corner = floor(place);
    let part = place - corner;
    let x = i32(corner.x);
    let y = i32(corner.y);
    let above = mix(picture_pixel(x, y), picture_pixel(x + 1, y), part.x);
    let below = mix(picture_pixel(x, y + 1), picture_pixel(x + 1, y + 1), part.x);
    return mix(above, below, part.y);
}
