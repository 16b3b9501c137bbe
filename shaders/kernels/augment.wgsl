// augment: crops of pictures as torchvision makes them on PIL images; one workgroup a crop, phase by phase
//   source: packed RGB of all pictures; plans [crops, 26]; taps: filter weights of both axes of each crop;
//   work: packed rows, then packed pixels of each crop -> y [crops, 3, size, size], normalised
// Every phase but the blur is exact: resizing in Pillow's 22-bit fixed point, hues in whole numbers.
#import dispatch
struct Params {
    crops: u32, size: u32,
    mean_r: f32, mean_g: f32, mean_b: f32,
    std_r: f32, std_g: f32, std_b: f32,
}
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read> plans: array<u32>;
@group(0) @binding(2) var<storage, read> taps: array<i32>;
@group(0) @binding(3) var<storage, read_write> work: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read> params: Params;

// Words of a plan; core/src/kernels/augment.rs writes them.
const WORDS: u32 = 26u;
const FIRST: u32 = 0u;      // first pixel of the rectangle in source
const STRIDE: u32 = 1u;     // pixels of a row of the picture
const ROWS: u32 = 2u;       // rows of the rectangle
const ACROSS: u32 = 3u;     // where in taps the axis begins, and room for weights an output
const DOWN: u32 = 5u;
const WORK: u32 = 7u;       // where the crop's part of work begins
const FLAGS: u32 = 8u;      // 1 mirrored, 2 grey, 4 blurred, 8 solarised
const CHANGES: u32 = 9u;    // four kinds
const FACTORS: u32 = 13u;   // and their factors; of a hue the turn
const BLUR: u32 = 17u;      // nine weights
const CONTRAST: u32 = 2u;

// An invocation keeps its pixels, so that no barrier is needed between changes that look at one pixel only.
const LANES: u32 = 256u;
var<workgroup> greys: array<u32, 256>;

fn unpack(packed: u32) -> vec3<u32> {
    return vec3<u32>(packed & 255u, (packed >> 8u) & 255u, (packed >> 16u) & 255u);
}

fn pack(rgb: vec3<u32>) -> u32 {
    return rgb.x | (rgb.y << 8u) | (rgb.z << 16u);
}

// Pillow's convert("L").
fn grey(rgb: vec3<u32>) -> u32 {
    return (rgb.x * 19595u + rgb.y * 38470u + rgb.z * 7471u + 32768u) >> 16u;
}

// A sum of fixed-point products to bytes; the shift keeps the sign.
fn bytes_of(sum: vec3<i32>) -> vec3<u32> {
    return vec3<u32>(clamp(sum >> vec3<u32>(22u), vec3<i32>(0), vec3<i32>(255)));
}

// Pillow's Image.blend. Factors are multiples of 2^-14, so that the product is exact, fused or not.
fn blend(from_grey: u32, to: vec3<u32>, factor: f32) -> vec3<u32> {
    let start = vec3<f32>(f32(from_grey));
    let sum = start + factor * (vec3<f32>(to) - start);
    return vec3<u32>(clamp(sum, vec3<f32>(0.0), vec3<f32>(255.0)));
}

// Exact hues at which Pillow's floats fall short and the byte is one less; core/src/image/augment.rs has the same.
const SHORT_HUES = array<u32, 8>(
    0xfffffffeu, 0x00000000u, 0x11000000u, 0x00000111u, 0x222aaaaau, 0x23232222u, 0x00022222u, 0x00000000u,
);

fn turn_hue(rgb: vec3<u32>, turn: u32) -> vec3<u32> {
    let most = max(rgb.x, max(rgb.y, rgb.z));
    let range = most - min(rgb.x, min(rgb.y, rgb.z));
    if (range == 0u) {
        return rgb;
    }
    // Red, green and blue at 0, 85 and 170; 255 is added so that everything stays above 0.
    let c = vec3<i32>(rgb);
    var base = 255 + 170;
    var difference = c.x - c.y;
    if (rgb.x == most) {
        base = 255;
        difference = c.y - c.z;
    } else if (rgb.y == most) {
        base = 255 + 85;
        difference = c.z - c.x;
    }
    let numerator = u32(base * 2 * i32(range) + 85 * difference);
    var hue = numerator / (2u * range);
    let exact = hue * 2u * range == numerator;
    hue = select(hue, hue - 255u, hue >= 255u);
    var short_hues = SHORT_HUES;
    if (exact && ((short_hues[hue / 32u] >> (hue % 32u)) & 1u) != 0u) {
        hue -= 1u;
    }
    let saturation = 255u * range / most;
    let sextant = 6u * ((hue + turn) & 255u);
    let part = sextant % 255u;
    let p = (2u * most * (255u - saturation) + 255u) / 510u;
    let q = (2u * most * (65025u - saturation * part) + 65025u) / 130050u;
    let t = (2u * most * (65025u - saturation * (255u - part)) + 65025u) / 130050u;
    switch (sextant / 255u) % 6u {
        case 0u: { return vec3<u32>(most, t, p); }
        case 1u: { return vec3<u32>(q, most, p); }
        case 2u: { return vec3<u32>(p, most, t); }
        case 3u: { return vec3<u32>(p, q, most); }
        case 4u: { return vec3<u32>(t, p, most); }
        default: { return vec3<u32>(most, p, q); }
    }
}

// A place mirrored at the first and last pixel, without repeating them.
fn reflect_place(place: i32, len: i32) -> u32 {
    let period = 2 * max(len - 1, 1);
    let inside = ((place % period) + period) % period;
    return u32(select(period - inside, inside, inside < len) % len);
}

@compute @workgroup_size(256, 1, 1)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) index: u32,
) {
    let crop = group_index(group, groups);
    if (crop >= params.crops) {
        return;
    }
    let plan = crop * WORDS;
    let size = params.size;
    let area = size * size;
    let rows = plans[plan + ROWS];
    let flags = plans[plan + FLAGS];
    let work_rows = plans[plan + WORK];
    let pixels = work_rows + rows * size;
    let out = crop * 3u * area;

    // Resize across: the rectangle's rows, as wide as the result.
    let across = plans[plan + ACROSS];
    let across_taps = plans[plan + ACROSS + 1u];
    for (var i = index; i < rows * size; i += LANES) {
        let column = i % size;
        let first = plans[plan + FIRST] + (i / size) * plans[plan + STRIDE] + u32(taps[across + 2u * column]);
        let weights = across + 2u * size + column * across_taps;
        var sum = vec3<i32>(1 << 21u);
        for (var tap = 0u; tap < u32(taps[across + 2u * column + 1u]); tap++) {
            sum += taps[weights + tap] * vec3<i32>(unpack(source[first + tap]));
        }
        work[work_rows + i] = pack(bytes_of(sum));
    }
    storageBarrier();

    // Resize down, and mirror.
    let down = plans[plan + DOWN];
    let down_taps = plans[plan + DOWN + 1u];
    for (var i = index; i < area; i += LANES) {
        let row = i / size;
        // An invocation writes the pixels that it keeps, so it is the source that is mirrored.
        let column = select(i % size, size - 1u - i % size, (flags & 1u) != 0u);
        let first = work_rows + u32(taps[down + 2u * row]) * size + column;
        let weights = down + 2u * size + row * down_taps;
        var sum = vec3<i32>(1 << 21u);
        for (var tap = 0u; tap < u32(taps[down + 2u * row + 1u]); tap++) {
            sum += taps[weights + tap] * vec3<i32>(unpack(work[first + tap * size]));
        }
        work[pixels + i] = pack(bytes_of(sum));
    }

    // Four changes of colour in their order.
    for (var step = 0u; step < 4u; step++) {
        let change = plans[plan + CHANGES + step];
        let factor = bitcast<f32>(plans[plan + FACTORS + step]);
        var mean = 0u;
        if (change == CONTRAST) {
            var part = 0u;
            for (var i = index; i < area; i += LANES) {
                part += grey(unpack(work[pixels + i]));
            }
            workgroupBarrier();
            greys[index] = part;
            workgroupBarrier();
            for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
                if (index < stride) {
                    greys[index] += greys[index + stride];
                }
                workgroupBarrier();
            }
            mean = (2u * greys[0] + area) / (2u * area);
        }
        if (change != 0u) {
            for (var i = index; i < area; i += LANES) {
                var rgb = unpack(work[pixels + i]);
                switch change {
                    case 1u: { rgb = blend(0u, rgb, factor); }
                    case 2u: { rgb = blend(mean, rgb, factor); }
                    case 3u: { rgb = blend(grey(rgb), rgb, factor); }
                    default: { rgb = turn_hue(rgb, plans[plan + FACTORS + step]); }
                }
                work[pixels + i] = pack(rgb);
            }
        }
    }
    if ((flags & 2u) != 0u) {
        for (var i = index; i < area; i += LANES) {
            work[pixels + i] = pack(vec3<u32>(grey(unpack(work[pixels + i]))));
        }
    }

    // Blur across into y, down from it.
    if ((flags & 4u) != 0u) {
        storageBarrier();
        for (var i = index; i < area; i += LANES) {
            var sum = vec3<f32>(0.0);
            for (var tap = 0u; tap < 9u; tap++) {
                let column = reflect_place(i32(i % size + tap) - 4, i32(size));
                let weight = bitcast<f32>(plans[plan + BLUR + tap]);
                sum += weight * vec3<f32>(unpack(work[pixels + i - i % size + column]));
            }
            y[out + i] = sum.x;
            y[out + area + i] = sum.y;
            y[out + 2u * area + i] = sum.z;
        }
        storageBarrier();
        for (var i = index; i < area; i += LANES) {
            var sum = vec3<f32>(0.0);
            for (var tap = 0u; tap < 9u; tap++) {
                let from_row = out + reflect_place(i32(i / size + tap) - 4, i32(size)) * size + i % size;
                let weight = bitcast<f32>(plans[plan + BLUR + tap]);
                sum += weight * vec3<f32>(y[from_row], y[from_row + area], y[from_row + 2u * area]);
            }
            work[pixels + i] = pack(vec3<u32>(clamp(round(sum), vec3<f32>(0.0), vec3<f32>(255.0))));
        }
        storageBarrier();
    }

    for (var i = index; i < area; i += LANES) {
        var rgb = unpack(work[pixels + i]);
        if ((flags & 8u) != 0u) {
            rgb = select(rgb, vec3<u32>(255u) - rgb, rgb >= vec3<u32>(128u));
        }
        let value = vec3<f32>(rgb) / 255.0;
        y[out + i] = (value.x - params.mean_r) / params.std_r;
        y[out + area + i] = (value.y - params.mean_g) / params.std_g;
        y[out + 2u * area + i] = (value.z - params.mean_b) / params.std_b;
    }
}
