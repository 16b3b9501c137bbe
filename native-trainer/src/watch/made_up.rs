//! A plausible run that never was, for tests.

use lab_core::train::event::{Event, Health, Look, Started, Step, Thumbnail, Verdict};

/// How a run of DINOv2 begins, or goes on at `step`.
pub(crate) fn started(step: u64, total_steps: u64) -> Started {
    Started {
        method: lab_core::config::Method::Dinov2,
        device: "NVIDIA H200 (wgpu, Vulkan)".into(),
        parameters: 48_912_384,
        images: 129_395,
        batch_size: 256,
        step,
        total_steps,
        epoch_length: 505,
        config: CONFIG.into(),
    }
}

const CONFIG: &str = "method = \"dinov2\"\n\n[model]\npatch_size = 16\nembed_dim = 384\ndepth = 12\nnum_heads = 6\n\n\
    [crops]\nglobal_size = 224\nglobal_scale = [0.32, 1.0]\nlocal_size = 96\nlocal_number = 8\n\n[optim]\nbase_lr = 0.004\n\
    lr_rule = \"sqrt_wrt1024\"\nweight_decay = 0.04\nweight_decay_end = 0.4\nclip_grad = 3.0\n\n\
    [train]\nseed = 0\nbatch_size = 256\nepochs = 100.0\n# <b>&amp; no markup\n";

/// A number between -1 and 1 that looks like chance; the same for the same arguments.
fn noise(step: u64, which: u64) -> f64 {
    let mut bits = step.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ which.wrapping_mul(0xD1B5_4A32_D192_ED03);
    bits = (bits ^ (bits >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^= bits >> 32;
    (bits >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// To places that JSON gives back to the last bit; without serde_json's `float_roundtrip` longer numbers need not be.
fn round(value: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (value * scale).round() / scale
}

/// A step of DINOv2, somewhere on its way.
pub(crate) fn step(step: u64, total: u64) -> Step {
    let share = step as f64 / total.max(1) as f64;
    let fall = (-share * 9.0).exp();
    let warm = (share / 0.1).min(1.0);
    let cosine = 0.5 + 0.5 * (std::f64::consts::PI * ((share - 0.1) / 0.9).max(0.0)).cos();
    let risen = 0.5 - 0.5 * (std::f64::consts::PI * share).cos();
    let spike = if step % 4001 == 4000 { 1.4 } else { 0.0 };
    let local = 5.1 + 3.9 * fall + 0.12 * noise(step, 1) + spike;
    let global = 0.62 + 0.48 * fall + 0.03 * noise(step, 2);
    let ibot = 1.8 + 2.6 * fall + 0.08 * noise(step, 3);
    let koleo = -0.12 + 0.5 * fall + 0.01 * noise(step, 4);
    let named =
        |figures: &[(&str, f64)]| figures.iter().map(|(name, value)| ((*name).to_owned(), round(*value, 6))).collect();
    Step {
        step,
        epoch: round(step as f64 / 505.0, 4),
        loss: round(local + global + ibot + koleo, 6),
        losses: named(&[("dino_local", local), ("dino_global", global), ("ibot", ibot), ("koleo", koleo)]),
        norms: named(&[
            ("backbone", (0.9 + 5.0 * fall) * (1.0 + 0.4 * noise(step, 5)).abs() + 4.0 * spike),
            ("dino_head", (0.3 + 1.4 * fall) * (1.0 + 0.3 * noise(step, 6))),
            ("ibot_head", (0.2 + 0.8 * fall) * (1.0 + 0.3 * noise(step, 7))),
        ]),
        teacher: named(&[
            ("teacher_entropy", 0.52 + 0.45 * fall + 0.01 * noise(step, 8)),
            ("kl", 0.9 - 0.6 * fall + 0.03 * noise(step, 9)),
        ]),
        lr: round(2e-3 * warm * cosine + 1e-6, 9),
        weight_decay: round(0.04 + 0.36 * risen, 6),
        momentum: round(0.992 + 0.008 * risen, 6),
        teacher_temp: round(0.04 + 0.03 * (share / 0.3).min(1.0), 6),
        images_per_sec: round(312.0 + 9.0 * noise(step, 10) - if step.is_multiple_of(505) { 160.0 } else { 0.0 }, 3),
        data_wait: round(
            (0.03 + 0.02 * noise(step, 11) + if step.is_multiple_of(505) { 0.4 } else { 0.0 }).max(0.0),
            6,
        ),
        seconds: 0.82,
    }
}

/// A look after `step` steps.
pub(crate) fn health(step: u64, total: u64) -> Health {
    let share = step as f64 / total.max(1) as f64;
    let rise = 1.0 - (-share * 6.0).exp();
    let figures = [
        ("rankme", 14.0 + 210.0 * rise + 4.0 * noise(step, 20)),
        ("feature_std", 0.2 + 0.7 * rise + 0.01 * noise(step, 21)),
        ("teacher_entropy", 0.6),
        ("knn_pixels", 0.31),
        ("knn_cls", 0.08 + 0.56 * rise + 0.005 * noise(step, 22)),
        ("knn_mean", 0.07 + 0.48 * rise + 0.005 * noise(step, 23)),
    ];
    Health {
        step,
        epoch: round(step as f64 / 505.0, 4),
        figures: figures.map(|(name, value)| (name.to_owned(), round(value, 6))).into(),
        verdict: if share < 0.02 { Verdict::Young } else { Verdict::Good },
        says: format!(
            "Features spread over {:.0} of 384 directions and neighbours agree on {:.0} % of the held-out images; both still rise.",
            figures[0].1,
            100.0 * figures[4].1
        ),
    }
}

/// Pictures of `rows` images after `step` steps: the image, and what the attention looks at.
pub(crate) fn look(step: u64, total: u64, rows: u32) -> Look {
    let share = step as f64 / total.max(1) as f64;
    let picture = |title: &str, row: u32, colour: fn(f64, f64, f64, u32) -> [f64; 3]| {
        let side = 96;
        let mut rgb = Vec::with_capacity(side * side * 3);
        for y in 0..side {
            for x in 0..side {
                let (x, y) = (x as f64 / side as f64 - 0.5, y as f64 / side as f64 - 0.5);
                rgb.extend(colour(x, y, share, row).map(|value| (255.0 * value.clamp(0.0, 1.0)) as u8));
            }
        }
        Thumbnail { title: title.into(), width: side as u32, height: side as u32, rgb }
    };
    let image = |x: f64, y: f64, _: f64, row: u32| {
        let (centre, turn) = (0.12 * f64::from(row) - 0.2, f64::from(row));
        let inside = if (x - centre).hypot(y + centre * 0.5) < 0.24 { 1.0 } else { 0.0 };
        let sky = 0.5 - y;
        [
            0.25 + 0.6 * inside * (0.5 + 0.5 * turn.sin()) + 0.1 * sky,
            0.35 + 0.3 * inside * (0.5 + 0.5 * (turn * 2.0).cos()) + 0.2 * sky,
            0.3 + 0.45 * sky * (1.0 - inside),
        ]
    };
    let attention = |x: f64, y: f64, share: f64, row: u32| {
        let centre = 0.12 * f64::from(row) - 0.2;
        let (x, y) = ((x * 14.0).floor() / 14.0, (y * 14.0).floor() / 14.0);
        let sure = (share * 3.0).min(1.0);
        let glow = (-(x - centre).hypot(y + centre * 0.5).powi(2) * 24.0 * sure).exp();
        let grain = 0.5 + 0.5 * noise(((x + 2.0) * 140.0) as u64 * 977 + ((y + 2.0) * 140.0) as u64, 1);
        let heat = sure * glow + (1.0 - sure) * grain;
        [heat * 1.6 - 0.2, heat * heat * 0.9, 0.35 + 0.2 * (heat * 6.0).sin() - 0.3 * heat]
    };
    let rows = (0..rows).map(|row| vec![picture("image", row, image), picture("attention", row, attention)]);
    Look { step, epoch: round(step as f64 / 505.0, 4), rows: rows.collect() }
}

/// A run from `from` up to `to` of `total` steps, with a look now and then.
pub(crate) fn run(from: u64, to: u64, total: u64) -> Vec<Event> {
    let mut events = vec![Event::Started(started(from, total))];
    let pause = (total / 20).max(1);
    for number in from..to {
        if number.is_multiple_of(pause) {
            events.push(Event::Health(health(number, total)));
            events.push(Event::Look(look(number, total, 3)));
            events.push(Event::Saved { step: number, path: format!("run/step-{number}"), seconds: 0.8 });
        }
        events.push(Event::Step(step(number, total)));
    }
    if to == total {
        events.push(Event::Finished { step: to, stopped: false, seconds: 0.82 * (to - from) as f64 });
    }
    events
}
