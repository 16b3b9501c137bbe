//! Plots for the report: SVG paths that stretch with the page, and axis labels in HTML that do not.
//!
//! Our own, since the registry's `plotters` writes fixed colours and sizes: no dark mode, and letters that shrink on
//! a telephone. A line is the mean of neighbouring steps, the band behind it reaches from their least to their most.

use std::fmt::Write as _;

use super::super::curve::Bucket;
use super::super::story::number;
use super::page::escape;

/// Size of the drawing in its own units; the page stretches it.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 400.0;

/// One line of a plot.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Which of the page's colours, as a class.
    pub(super) colour: &'static str,
    /// The curve.
    pub(super) buckets: Vec<Bucket>,
}

/// How heights are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Evenly.
    Linear,
    /// By powers of ten; only for what is greater than 0.
    Log,
}

/// How an axis writes its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// As they are.
    Number,
    /// Close to 1, where more digits matter.
    Fine,
    /// A share, in per cent.
    Percent,
}

impl Unit {
    /// A number as people read it.
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Self::Number => number(value),
            Self::Fine => format!("{value:.5}"),
            Self::Percent => format!("{:.1} %", 100.0 * value),
        }
    }

    /// A tick: no more digits than it needs.
    fn tick(self, value: f64) -> String {
        let text = match self {
            Self::Number if value.abs() >= 10_000.0 && value.abs() < 1e6 => {
                return format!("{}k", trim(value / 1000.0));
            }
            Self::Number if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e6) => return exponent(value),
            Self::Number | Self::Fine => trim(value),
            Self::Percent => trim(value * 100.0),
        };
        if self == Self::Percent { text + " %" } else { text }
    }
}

/// `0.25`, `3`, `-1.5`: at most six places, none that says nothing.
fn trim(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `2e-4`
fn exponent(value: f64) -> String {
    let text = format!("{value:.2e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}e{power}", trim(digits.parse().unwrap_or(value)))
}

/// A plot.
#[derive(Debug)]
pub(super) struct Plot<'a> {
    /// For its parts' ids.
    pub(super) id: &'a str,
    /// What is drawn.
    pub(super) title: &'a str,
    /// The same in a sentence, for those who cannot see it.
    pub(super) says: &'a str,
    /// Its lines, the first on top.
    pub(super) lines: &'a [Line],
    /// Where the axis of steps ends.
    pub(super) steps: f64,
    /// Steps at which the run went on after a pause.
    pub(super) resumed: &'a [u64],
    /// How it writes its numbers.
    pub(super) unit: Unit,
}

/// From values to heights.
#[derive(Debug, Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    scale: Scale,
}

impl Axis {
    /// Holds the lines, and all but the rarest of what lies in their bands: a spike must not press the rest flat.
    fn of(lines: &[&Line], scale: Scale) -> Option<Self> {
        let usable = |value: &f64| scale == Scale::Linear || *value > 0.0;
        let buckets = || lines.iter().flat_map(|line| &line.buckets);
        let sorted = |pick: fn(&Bucket) -> f64| {
            let mut values: Vec<f64> = buckets().map(pick).filter(usable).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let (least, most) = (sorted(|bucket| bucket.min), sorted(|bucket| bucket.max));
        let means = sorted(Bucket::mean);
        let rare = |values: &[f64]| values.len() / 50;
        let mut low = least.get(rare(&least)).copied()?.min(*means.first()?);
        let mut high = most.get(most.len() - 1 - rare(&most)).copied()?.max(*means.last()?);
        if scale == Scale::Log {
            if high / low < 1.2 {
                (low, high) = (low / 1.5, high * 1.5);
            }
            let room = (high / low).powf(0.05);
            return Some(Self { low: low / room, high: high * room, scale });
        }
        // A line that hardly moves is level; its ticks would need more digits than there is room for.
        if high - low <= 2e-4 * high.abs().max(low.abs()) {
            let room = if high == 0.0 { 1.0 } else { high.abs() * 0.02 };
            (low, high) = (low - room, high + room);
        }
        let room = 0.05 * (high - low);
        // What is never negative needs no room below zero.
        let floor = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
        Some(Self { low: floor, high: high + room, scale })
    }

    /// 0 at the bottom, 1 at the top; may lie outside.
    fn share(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log if value <= 0.0 => -1.0,
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        }
    }

    /// Distance from the top of the drawing; what lies outside is cut just beyond its edge.
    fn y(&self, value: f64) -> i32 {
        (HEIGHT * (1.0 - self.share(value))).clamp(-20.0, HEIGHT + 20.0).round() as i32
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => nice(self.low, self.high, 4),
            Scale::Log => {
                let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
                let decades = last - first;
                let digits: &[f64] = match self.high / self.low {
                    ratio if ratio < 12.0 => &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
                    ratio if ratio < 150.0 => &[1.0, 2.0, 5.0],
                    ratio if ratio < 2e3 => &[1.0, 3.0],
                    _ => &[1.0],
                };
                let every = usize::try_from(decades / 8).unwrap_or(0) + 1;
                let tick = |power: i32| digits.iter().map(move |digit| digit * 10_f64.powi(power));
                let inside = |tick: &f64| (self.low..=self.high).contains(tick);
                (first..=last).step_by(every).flat_map(tick).filter(inside).collect()
            }
        }
    }
}

/// About `count` round numbers between two others: steps of 1, 2 or 5 times a power of ten.
fn nice(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return Vec::new();
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    // What rounding may have moved just beyond an end still counts.
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|turn| turn as f64 * step).collect()
}

impl Plot<'_> {
    /// Whether powers of ten can show it.
    pub(super) fn fits_log(&self) -> bool {
        !self.lines_on(Scale::Log).is_empty()
    }

    /// The lines that a scale can show: what is not always above 0 has no place among powers of ten.
    fn lines_on(&self, scale: Scale) -> Vec<&Line> {
        let fits = |line: &&Line| scale == Scale::Linear || line.buckets.iter().all(|bucket| bucket.mean() > 0.0);
        self.lines.iter().filter(|line| !line.buckets.is_empty()).filter(fits).collect()
    }

    /// The drawing with its axes, or nothing where there is nothing to draw.
    pub(super) fn html(&self, scale: Scale) -> Option<String> {
        let lines = self.lines_on(scale);
        let axis = Axis::of(&lines, scale)?;
        let steps = self.steps.max(1.0);
        let x = |step: f64| (WIDTH * step / steps).round() as i32;
        let mut out = String::from("<div class=\"plot\"><div class=\"y\" aria-hidden=\"true\">");
        let ticks = axis.ticks();
        for tick in &ticks {
            let top = 100.0 * (1.0 - axis.share(*tick));
            let _ = write!(out, "<span style=\"top:{top:.1}%\">{}</span>", self.unit.tick(*tick));
        }
        let name = if scale == Scale::Log { format!("{}-log", self.id) } else { self.id.to_owned() };
        let _ = write!(
            out,
            "</div><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-labelledby=\"{name}-t {name}-d\"><title id=\"{name}-t\">{}</title><desc id=\"{name}-d\">{}</desc>",
            escape(self.title),
            escape(self.says)
        );
        let grid: String = ticks.iter().map(|tick| format!("M0 {}H{WIDTH}", axis.y(*tick))).collect();
        let _ = write!(out, "<path class=\"grid\" d=\"{grid}\"/>");
        if !self.resumed.is_empty() {
            let marks: String = self.resumed.iter().map(|step| format!("M{} 0V{HEIGHT}", x(*step as f64))).collect();
            let _ = write!(out, "<path class=\"mark\" d=\"{marks}\"/>");
        }
        for line in &lines {
            let band = band(&line.buckets, &axis, &x);
            if !band.is_empty() {
                let _ = write!(out, "<path class=\"band {}\" d=\"{band}\"/>", line.colour);
            }
        }
        for line in lines.iter().rev() {
            let path = path(line.buckets.iter().map(|bucket| (x(bucket.x()), axis.y(bucket.mean()))));
            let dot = if line.buckets.len() == 1 { " dot" } else { "" };
            let _ = write!(out, "<path class=\"line {}{dot}\" d=\"{path}\"/>", line.colour);
        }
        out += "</svg><div class=\"x\" aria-hidden=\"true\">";
        // There are no halves of steps.
        for tick in nice(0.0, steps, 5).into_iter().filter(|tick| tick.fract() == 0.0) {
            let _ = write!(out, "<span style=\"left:{:.1}%\">{}</span>", 100.0 * tick / steps, Unit::Number.tick(tick));
        }
        out += "</div></div>";
        Some(out)
    }
}

/// Points joined by lines, each as its distance from the one before. A single point becomes a dot.
fn path(points: impl Iterator<Item = (i32, i32)>) -> String {
    let mut text = String::new();
    let mut last: Option<(i32, i32)> = None;
    let mut count = 0;
    for (x, y) in points {
        match last {
            None => _ = write!(text, "M{x} {y}"),
            // A minus needs no space before it.
            Some((before, above)) if y < above => _ = write!(text, "l{}{}", x - before, y - above),
            Some((before, above)) => _ = write!(text, "l{} {}", x - before, y - above),
        }
        last = Some((x, y));
        count += 1;
    }
    if count == 1 {
        text += "h0"; // with round ends, a line of no length is a dot
    }
    text
}

/// From the least to the most of each bucket; nothing where that can hardly be seen.
fn band(buckets: &[Bucket], axis: &Axis, x: &impl Fn(f64) -> i32) -> String {
    let wide = |bucket: &Bucket| axis.y(bucket.min) - axis.y(bucket.max) > 3;
    if !buckets.iter().any(wide) {
        return String::new();
    }
    let above = buckets.iter().map(|bucket| (x(bucket.x()), axis.y(bucket.max)));
    let below = buckets.iter().rev().map(|bucket| (x(bucket.x()), axis.y(bucket.min)));
    path(above.chain(below)) + "z"
}

#[cfg(test)]
mod tests {
    use super::super::super::curve::Curve;
    use super::*;

    fn line(values: impl IntoIterator<Item = f64>) -> Line {
        let mut curve = Curve::default();
        values.into_iter().enumerate().for_each(|(step, value)| curve.push(step as f64, value));
        Line { colour: "c0", buckets: curve.thinned(200) }
    }

    fn plot(lines: &[Line]) -> Plot<'_> {
        Plot { id: "a", title: "A & B", says: "it <falls>", lines, steps: 99.0, resumed: &[50], unit: Unit::Number }
    }

    #[test]
    fn ticks_are_round() {
        let ticks = |low, high| nice(low, high, 4).iter().map(|tick| Unit::Number.tick(*tick)).collect::<Vec<_>>();
        assert_eq!(ticks(0.0, 1.0), ["0", "0.5", "1"]);
        assert_eq!(ticks(0.013, 0.17), ["0.05", "0.1", "0.15"]);
        assert_eq!(ticks(-1.2, 3.1), ["0", "2"]);
        assert_eq!(ticks(0.0, 39_000.0), ["0", "10k", "20k", "30k"]);
        assert_eq!(ticks(0.0, 2e-4), ["0", "5e-5", "1e-4", "1.5e-4", "2e-4"]);
        assert_eq!(ticks(1.0, 1.0), [""; 0]);
        assert_eq!(Unit::Percent.tick(0.25), "25 %");
        assert_eq!(Unit::Percent.write(0.6412), "64.1 %");
    }

    #[test]
    fn a_log_axis_has_ticks_of_powers() {
        let axis = Axis::of(&[&line([1e-5, 1e-1])], Scale::Log).expect("values");
        assert_eq!(axis.ticks().len(), 5);
        let axis = Axis::of(&[&line([1.1, 1.2])], Scale::Log).expect("values");
        assert!(axis.ticks().len() >= 2, "{axis:?}");
        assert!(!plot(&[line([-1.0, 0.0])]).fits_log(), "nothing is greater than 0");
        let both = [line([1.0, 2.0]), line([0.5, -0.1])];
        let html = plot(&both).html(Scale::Log).expect("one of them");
        assert_eq!(html.matches("class=\"line").count(), 1);
    }

    #[test]
    fn a_spike_leaves_the_rest_its_room() {
        let values = (0..200_000).map(|step| if step == 77_777 { 1e6 } else { 5.0 + (step % 7) as f64 * 0.1 });
        let axis = Axis::of(&[&line(values)], Scale::Linear).expect("values");
        // One bucket's mean of a thousand still shows it; the million itself is beyond the edge.
        assert!(axis.high < 1e4, "{axis:?}");
    }

    #[test]
    fn a_drawing_says_what_it_is_and_stays_within_its_edges() {
        let lines = [line((0..100).map(|step| 1.0 / f64::from(step + 1)))];
        let html = plot(&lines).html(Scale::Linear).expect("a drawing");
        assert!(html.contains("<title id=\"a-t\">A &amp; B</title><desc id=\"a-d\">it &lt;falls&gt;</desc>"));
        assert!(html.contains("class=\"mark\"") && html.contains("class=\"line c0\" d=\"M0 "));
        let flat = [line([3.0; 50])];
        assert!(plot(&flat).html(Scale::Linear).is_some_and(|html| html.contains("M0 200l")), "in the middle");
        assert!(plot(&[]).html(Scale::Linear).is_none());
        let dot = [line([3.0])];
        assert!(
            plot(&dot)
                .html(Scale::Log)
                .is_some_and(|html| html.contains("class=\"line c0 dot\"") && html.contains("h0\"/>"))
        );
    }
}
