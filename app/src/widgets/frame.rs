//! Where the points of a chart lie: x by its logarithm, y between round levels.

/// A line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Its name in the legend.
    pub(crate) name: &'static str,
    /// Points from left to right.
    pub(crate) points: Vec<[f64; 2]>,
}

/// What the axes say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axes {
    /// Below.
    pub(crate) x: &'static str,
    /// Beside.
    pub(crate) y: &'static str,
    /// Marks on the logarithmic x axis, and what stands there.
    pub(crate) ticks: Vec<(f64, &'static str)>,
}

/// Of the drawing, until its place is known.
pub(crate) const WIDTH: f64 = 640.0;
/// Left, top, right, bottom.
pub(crate) const MARGIN: [f64; 4] = [54.0, 16.0, 18.0, 50.0];

/// From numbers to places in the picture: x by its logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    x: [f64; 2],
    /// From the lowest level to the highest.
    pub(crate) y: [f64; 2],
    /// Width and height of the drawing.
    pub(crate) size: [f64; 2],
}

impl Frame {
    /// A frame of a width in which every point and every mark has its place.
    pub(crate) fn around(axes: &Axes, series: &[Series], width: f64) -> Self {
        let fold = |values: &mut dyn Iterator<Item = f64>| {
            values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| [low.min(value), high.max(value)])
        };
        let x = fold(&mut axes.ticks.iter().map(|(value, _)| value.ln()));
        let [low, high] = fold(&mut series.iter().flat_map(|series| series.points.iter().map(|point| point[1])));
        let step = step(high - low);
        let size = [width, (0.6 * width).clamp(260.0, 440.0)];
        Self { x, y: [(low / step).floor() * step, (high / step).ceil() * step], size }
    }

    /// Where a point lies.
    pub(crate) fn place(self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [left, top, right, bottom] = MARGIN;
        let share = |value: f64, [low, high]: [f64; 2]| if high > low { (value - low) / (high - low) } else { 0.5 };
        [
            left + 12.0 + share(x.ln(), self.x) * (self.size[0] - left - right - 24.0),
            self.size[1] - bottom - share(y, self.y) * (self.size[1] - top - bottom),
        ]
    }

    /// Round values of the y axis.
    pub(crate) fn levels(self) -> Vec<f64> {
        let step = step(self.y[1] - self.y[0]);
        let count = ((self.y[1] - self.y[0]) / step).round() as usize;
        (0..=count).map(|at| self.y[0] + at as f64 * step).collect()
    }
}

/// A round distance of which some four to eight fit into a range.
fn step(range: f64) -> f64 {
    let range = if range > 0.0 { range } else { 1.0 };
    let power = 10f64.powf((range / 5.0).log10().floor());
    let fits = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| range / (step * power) <= 7.0);
    fits.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn levels_are_round_and_hold_every_point() {
        let axes = Axes { x: "x", y: "y", ticks: vec![(1.0, "1"), (7.0, "7")] };
        let series = vec![Series { name: "a", points: vec![[1.0, 49.01], [7.0, 53.87]] }];
        let frame = Frame::around(&axes, &series, WIDTH);
        assert_eq!(frame.y, [49.0, 54.0]);
        assert_eq!(frame.levels(), [49.0, 50.0, 51.0, 52.0, 53.0, 54.0]);
        let ([x0, y0], [x1, y1]) = (frame.place([1.0, 49.0]), frame.place([7.0, 54.0]));
        assert!(x0 < x1 && y0 > y1 && x1 < WIDTH && y1 >= MARGIN[1]);
        // The middle of the axis is the geometric mean.
        let [middle, _] = frame.place([7f64.sqrt(), 50.0]);
        assert!((middle - (x0 + x1) / 2.0).abs() < 1e-9);
        assert_eq!((step(0.0), step(35.0), step(0.06)), (0.2, 5.0, 0.01));
    }
}
