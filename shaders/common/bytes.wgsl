fn unpack_rgb(packed: u32) -> vec3<f32> {
    return vec3<f32>(f32(packed & 255u), f32((packed >> 8u) & 255u), f32((packed >> 16u) & 255u));
}

// Rounds half up and clamps, as Pillow does between its two passes.
fn round_bytes(rgb: vec3<f32>) -> vec3<f32> {
    return clamp(floor(rgb + 0.5), vec3<f32>(0.0), vec3<f32>(255.0));
}

fn pack_rgb(rgb: vec3<f32>) -> u32 {
    let bytes = vec3<u32>(round_bytes(rgb));
    return bytes.x | (bytes.y << 8u) | (bytes.z << 16u);
}
