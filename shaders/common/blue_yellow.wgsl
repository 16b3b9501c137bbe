// Two numbers from 0 to 1 as a colour, none of it by red against green: the first from dark to light, the second from
// blue to yellow. Corners by OKLab (Ottosson): lightness 0.36 and 0.86, a = -0.01; straight lines between them in sRGB.
fn blue_yellow(t: vec2<f32>) -> vec3<f32> {
    let dark = mix(vec3<f32>(22.0, 48.0, 144.0), vec3<f32>(70.0, 61.0, 12.0), t.y);
    let light = mix(vec3<f32>(186.0, 210.0, 250.0), vec3<f32>(245.0, 206.0, 58.0), t.y);
    return mix(dark, light, t.x) / 255.0;
}
