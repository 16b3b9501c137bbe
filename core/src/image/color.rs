//! Numbers as colours, the same on every device: viridis, readable in grey and by the colour-blind.

/// viridis' eight stops, as in `shaders/common/viridis.wgsl`.
const VIRIDIS: [[f32; 3]; 8] = [
    [68.0, 1.0, 84.0],
    [70.0, 50.0, 126.0],
    [54.0, 92.0, 141.0],
    [39.0, 127.0, 142.0],
    [31.0, 161.0, 135.0],
    [74.0, 193.0, 109.0],
    [160.0, 218.0, 57.0],
    [253.0, 231.0, 37.0],
];

/// viridis at `t` from 0 to 1, each channel from 0 to 1.
pub fn viridis(t: f32) -> [f32; 3] {
    let place = t.clamp(0.0, 1.0) * 7.0;
    let index = (place as usize).min(6);
    let share = place - index as f32;
    [0, 1, 2].map(|c| (VIRIDIS[index][c] * (1.0 - share) + VIRIDIS[index + 1][c] * share) / 255.0)
}
