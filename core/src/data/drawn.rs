//! Pictures that the program draws: a shape on a texture, for those who have no images at hand.
//!
//! A picture is a function of seed and number, drawn with sums, products, quotients and square roots alone, which every
//! machine rounds alike: a run in a browser and a run on a workstation learn from the same bytes. What shape it shows is
//! known, so that features can be asked whether they know it too; training never sees that.

use crate::image::Rgb8;
use crate::rng::{Rng, Stream};

/// Side of a picture in pixels: half as much again as a crop of the page's presets.
pub const SIDE: u32 = 48;

/// What a picture shows.
pub const KINDS: [&str; 8] = ["disc", "ring", "square", "frame", "triangle", "cross", "stripes", "checks"];

/// Points a side of the lattice from which a texture is interpolated.
const LATTICE: usize = 7;

/// The pictures of a seed, without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    rng: Rng,
}

impl Drawn {
    /// The pictures of a seed.
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed) }
    }

    /// What picture `index` shows, a place in [`KINDS`].
    pub fn kind(self, index: u64) -> usize {
        self.rng.stream("drawn kind", index).below(KINDS.len())
    }

    /// Picture `index`.
    pub fn image(self, index: u64) -> Rgb8 {
        let kind = self.kind(index);
        let mut stream = self.rng.stream("drawn", index);
        let scene = Scene::draw(kind, &mut stream);
        let side = SIDE as usize;
        let mut data = Vec::with_capacity(3 * side * side);
        for y in 0..side {
            for x in 0..side {
                let at = |offset: f64, place: usize| (place as f64 + offset) / side as f64;
                // Four samples a pixel soften the edges.
                let mut sum = [0.0; 3];
                for (dx, dy) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                    let colour = scene.colour(at(dx, x), at(dy, y));
                    for (sum, channel) in sum.iter_mut().zip(colour) {
                        *sum += 0.25 * channel;
                    }
                }
                let grain = 0.03 * (stream.uniform() - 0.5);
                data.extend(sum.map(|channel| ((channel + grain) * 255.0 + 0.5).clamp(0.0, 255.0) as u8));
            }
        }
        Rgb8::new(SIDE, SIDE, data).unwrap_or_else(|error| unreachable!("three bytes a pixel: {error}"))
    }
}

/// Everything about a picture but its grain; places are shares of the side.
struct Scene {
    kind: usize,
    ground: [[f64; 3]; 2],
    lattice: Vec<f64>,
    ink: [[f64; 3]; 2],
    middle: [f64; 2],
    /// The shape's own first axis, of length one.
    axis: [f64; 2],
    radius: f64,
}

impl Scene {
    fn draw(kind: usize, stream: &mut Stream) -> Self {
        let mut colour = |low: f64, high: f64| [0; 3].map(|_| stream.between(low, high));
        // A dark ground takes bright ink, a bright one dark ink.
        let dark = colour(0.0, 1.0)[0] < 0.5;
        let (ground, ink) = match dark {
            true => ([colour(0.0, 0.45), colour(0.0, 0.45)], [colour(0.5, 1.0), colour(0.5, 1.0)]),
            false => ([colour(0.55, 1.0), colour(0.55, 1.0)], [colour(0.0, 0.5), colour(0.0, 0.5)]),
        };
        let lattice = (0..LATTICE * LATTICE).map(|_| stream.uniform()).collect();
        let middle = [stream.between(0.35, 0.65), stream.between(0.35, 0.65)];
        let radius = stream.between(0.22, 0.38);
        Self { kind, ground, lattice, ink, middle, axis: direction(stream), radius }
    }

    /// Red, green and blue at a place, from 0 to 1.
    fn colour(&self, x: f64, y: f64) -> [f64; 3] {
        let (dx, dy) = ((x - self.middle[0]) / self.radius, (y - self.middle[1]) / self.radius);
        let u = dx * self.axis[0] + dy * self.axis[1];
        let v = dy * self.axis[0] - dx * self.axis[1];
        if inside(self.kind, u, v) {
            let shade = 0.5 + 0.5 * u.clamp(-1.0, 1.0);
            return mix(self.ink[0], self.ink[1], shade);
        }
        mix(self.ground[0], self.ground[1], self.texture(x, y))
    }

    /// Smooth noise: the lattice's values, eased from point to point.
    fn texture(&self, x: f64, y: f64) -> f64 {
        let place = |at: f64| {
            let at = (at * (LATTICE - 1) as f64).clamp(0.0, (LATTICE - 1) as f64);
            let cell = (at as usize).min(LATTICE - 2);
            let part = at - cell as f64;
            (cell, part * part * (3.0 - 2.0 * part))
        };
        let ((column, right), (row, down)) = (place(x), place(y));
        let value = |row: usize, column: usize| self.lattice[row * LATTICE + column];
        let above = value(row, column) * (1.0 - right) + value(row, column + 1) * right;
        let below = value(row + 1, column) * (1.0 - right) + value(row + 1, column + 1) * right;
        above * (1.0 - down) + below * down
    }
}

/// Whether a place in the shape's own frame, of radius one, belongs to the shape.
fn inside(kind: usize, u: f64, v: f64) -> bool {
    let (round, square) = (u * u + v * v, u.abs().max(v.abs()));
    let band = |at: f64, count: f64| ((at + 1.0) * 0.5 * count) as i64 % 2 == 0;
    match KINDS[kind] {
        "disc" => round < 0.85,
        "ring" => (0.3..1.0).contains(&round),
        "square" => square < 0.75,
        "frame" => (0.5..0.9).contains(&square),
        "triangle" => v > -0.55 && v < 0.95 && u.abs() < 0.62 * (0.95 - v),
        "cross" => square < 1.0 && u.abs().min(v.abs()) < 0.3,
        "stripes" => square < 0.95 && band(u, 5.0),
        _ => square < 0.95 && (band(u, 4.0) == band(v, 4.0)),
    }
}

/// Any direction, all alike: a point of the disc, brought to length one. No sine: it differs from machine to machine.
fn direction(stream: &mut Stream) -> [f64; 2] {
    loop {
        let [x, y] = [stream.between(-1.0, 1.0), stream.between(-1.0, 1.0)];
        let length = x * x + y * y;
        if (0.01..1.0).contains(&length) {
            let length = length.sqrt();
            return [x / length, y / length];
        }
    }
}

fn mix(a: [f64; 3], b: [f64; 3], t: f64) -> [f64; 3] {
    [0, 1, 2].map(|c| a[c] * (1.0 - t) + b[c] * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_its_seed_and_number() {
        let picture = |seed, index| Drawn::new(seed).image(index);
        assert_eq!(picture(1, 5), picture(1, 5));
        assert_ne!(picture(1, 5), picture(1, 6));
        assert_ne!(picture(1, 5), picture(2, 5));
        assert_eq!((picture(1, 5).width(), picture(1, 5).height()), (SIDE, SIDE));
    }

    #[test]
    fn kinds_come_alike_and_fill_some_of_the_picture() {
        let drawn = Drawn::new(3);
        let mut counts = [0usize; KINDS.len()];
        (0..800).for_each(|index| counts[drawn.kind(index)] += 1);
        assert!(counts.iter().all(|count| (60..=140).contains(count)), "{counts:?}");
        for (kind, name) in KINDS.iter().enumerate() {
            let grid = 40;
            let at = |place: usize| (place as f64 + 0.5) / f64::from(grid) * 2.4 - 1.2;
            let hits = (0..grid as usize * grid as usize)
                .filter(|place| inside(kind, at(place % grid as usize), at(place / grid as usize)))
                .count();
            let share = hits as f64 / f64::from(grid * grid);
            assert!((0.1..0.7).contains(&share), "{name}: {share}");
        }
    }

    #[test]
    fn the_bytes_are_the_same_on_every_machine() {
        // FNV-1a over the first pictures: pinned, as the streams are.
        let hash = (0..4)
            .flat_map(|index| Drawn::new(0).image(index).into_data())
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(hash, PINNED, "{hash:#x}");
    }

    const PINNED: u64 = 0x0535_6e20_7fc1_f4cd;
}
