// Which patch a place in the picture belongs to; the last one where pixels are left over. Needs `params`.
fn patch_index(at: vec2<f32>) -> u32 {
    let side = f32(params.patch_size);
    let column = min(u32(max(at.x / side, 0.0)), params.columns - 1u);
    let row = min(u32(max(at.y / side, 0.0)), params.rows - 1u);
    return row * params.columns + column;
}
