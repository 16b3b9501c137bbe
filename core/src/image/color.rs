//! Numbers as colours, the same on every device: viridis for one, readable in grey and by the colour-blind; blue to
//! yellow and dark to light for two, which rests on no red against green.

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

/// The colours of the four corners, as in `shaders/common/blue_yellow.wgsl`: dark and light, each from blue to yellow.
const CORNERS: [[[f32; 3]; 2]; 2] =
    [[[22.0, 48.0, 144.0], [70.0, 61.0, 12.0]], [[186.0, 210.0, 250.0], [245.0, 206.0, 58.0]]];

/// Two numbers from 0 to 1 as a colour: the first from dark to light, the second from blue to yellow.
pub fn blue_yellow([lightness, yellow]: [f32; 2]) -> [f32; 3] {
    let mix = |a: f32, b: f32, t: f32| a * (1.0 - t) + b * t;
    let [dark, light] = CORNERS.map(|[blue, gold]| [0, 1, 2].map(|c| mix(blue[c], gold[c], yellow)));
    [0, 1, 2].map(|c| mix(dark[c], light[c], lightness) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(srgb: [f32; 3]) -> [f32; 3] {
        srgb.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) })
    }

    /// Ottosson, "A perceptual color space for image processing", 2020; from linear sRGB.
    fn oklab([r, g, b]: [f32; 3]) -> [f32; 3] {
        let l = (0.412_221_47 * r + 0.536_332_55 * g + 0.051_445_995 * b).max(0.0).cbrt();
        let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).max(0.0).cbrt();
        let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).max(0.0).cbrt();
        [
            0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
            1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
            0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
        ]
    }

    /// As a deuteranope sees it (Machado, Oliveira and Fernandes 2009, severity 1), linear sRGB.
    fn without_green([r, g, b]: [f32; 3]) -> [f32; 3] {
        [
            0.367_322 * r + 0.860_646 * g - 0.227_968 * b,
            0.280_085 * r + 0.672_501 * g + 0.047_413 * b,
            -0.011_820 * r + 0.042_940 * g + 0.968_881 * b,
        ]
    }

    /// As a protanope sees it, likewise.
    fn without_red([r, g, b]: [f32; 3]) -> [f32; 3] {
        [
            0.152_286 * r + 1.052_583 * g - 0.204_868 * b,
            0.114_503 * r + 0.786_281 * g + 0.099_216 * b,
            -0.003_882 * r - 0.048_116 * g + 1.051_998 * b,
        ]
    }

    fn apart(a: [f32; 3], b: [f32; 3]) -> f32 {
        [0, 1, 2].map(|c| (a[c] - b[c]).powi(2)).iter().sum::<f32>().sqrt()
    }

    /// The smallest share of the distance of two colours that is left to a kind of sight.
    fn left(colours: &[[f32; 3]], sight: fn([f32; 3]) -> [f32; 3]) -> f32 {
        let normal: Vec<_> = colours.iter().map(|&colour| oklab(linear(colour))).collect();
        let seen: Vec<_> = colours.iter().map(|&colour| oklab(sight(linear(colour)))).collect();
        let pairs = (0..colours.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        pairs.map(|(a, b)| apart(seen[a], seen[b]) / apart(normal[a], normal[b])).fold(f32::INFINITY, f32::min)
    }

    #[test]
    fn two_numbers_are_told_apart_without_red_or_green() {
        let steps = || (0..5).map(|step| step as f32 / 4.0);
        let safe: Vec<_> = steps().flat_map(|x| steps().map(move |y| blue_yellow([x, y]))).collect();
        let rgb: Vec<_> = steps().flat_map(|x| steps().map(move |y| [x, y, 0.5])).collect();
        for sight in [without_green, without_red] {
            let (ours, plain) = (left(&safe, sight), left(&rgb, sight));
            assert!(ours > 0.9 && plain < 0.1, "{ours} is left of ours, {plain} of red and green");
        }
        // The first number is the lightness, whatever the second.
        for y in steps() {
            let lightness = |x: f32| oklab(linear(blue_yellow([x, y])))[0];
            assert!((lightness(0.0) - 0.36).abs() < 0.03 && (lightness(1.0) - 0.86).abs() < 0.02, "{y}");
            assert!(lightness(0.25) < lightness(0.5) && lightness(0.5) < lightness(0.75));
        }
    }
}
