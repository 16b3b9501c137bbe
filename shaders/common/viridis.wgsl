// viridis: dark violet to yellow, equally bright steps for every kind of sight (van der Walt and Smith, matplotlib).
// Eight stops, straight lines between them in sRGB.
fn viridis_stop(index: u32) -> vec3<f32> {
    var stops = array<vec3<f32>, 8>(
        vec3<f32>(68.0, 1.0, 84.0),
        vec3<f32>(70.0, 50.0, 126.0),
        vec3<f32>(54.0, 92.0, 141.0),
        vec3<f32>(39.0, 127.0, 142.0),
        vec3<f32>(31.0, 161.0, 135.0),
        vec3<f32>(74.0, 193.0, 109.0),
        vec3<f32>(160.0, 218.0, 57.0),
        vec3<f32>(253.0, 231.0, 37.0),
    );
    return stops[min(index, 7u)] / 255.0;
}

fn viridis(t: f32) -> vec3<f32> {
    let place = clamp(t, 0.0, 1.0) * 7.0;
    let index = min(u32(place), 6u);
    return mix(viridis_stop(index), viridis_stop(index + 1u), place - f32(index));
}
