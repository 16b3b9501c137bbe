//! `native-trainer plan`: what a run needs, before anything starts.
//!
//! Sizes come from the configuration; the time from a step that is really made, on made-up images, with as many of them
//! as a quarter of a batch's part but at least two. A step that the host's memory cannot hold is not tried.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use lab_core::config::{Config, Precision};
use lab_core::data::multi_crop::Batch;
use lab_core::device::{OpenDevice, mode};
use lab_core::train::plan::Needs;
use lab_core::train::{Outcome, Trainer};
use lab_protocol::EngineKind;
use serde_json::json;

use super::pretrain::{NOTHING, enough, resolve_from};
use crate::cli::PlanArgs;
use crate::progress::duration;
use crate::{engine, memory, text};

/// Runs the command.
pub(crate) fn run(arguments: &PlanArgs) -> Result<ExitCode> {
    if arguments.preset.is_none() && arguments.config.is_none() {
        bail!(NOTHING);
    }
    let config = resolve_from(arguments.preset.as_deref(), arguments.config.as_deref(), &arguments.set)?;
    enough(&config, arguments.images)?;
    let device = match arguments.no_measure {
        true => None,
        false => Some(engine::open(&arguments.engine)?),
    };
    let kernels = device.as_ref().is_none_or(|device| mode::runs(mode::Kernel::Attention, &device.device));
    let needs = Needs::of(&config, arguments.images, kernels);
    let has_f16 = device.as_ref().is_some_and(|device| device.info.f16);
    let room = device.as_ref().filter(|device| device.info.kind == EngineKind::Cpu).map(|_| memory::available());
    let small = small(&config);
    let step = Needs::of(&small, arguments.images, kernels).memory();
    let measured = match device {
        Some(_) if room.is_some_and(|room| step > room) => {
            let images = text::plural(small.train.batch_size as u64, "image");
            text::note(&format!(
                "nothing was measured: a step of {images} alone takes about {}, and {} are free",
                text::bytes(step),
                text::bytes(room.unwrap_or_default())
            ));
            None
        }
        Some(device) => Some(measure(arguments, &small, &device, step)?),
        None => None,
    };
    let seconds = measured.as_ref().map(|measured| measured.seconds * needs.seen as f64);
    let kept = measured.as_ref().map_or(0, |measured| measured.kept);
    let all = needs.memory().saturating_add(kept);
    let expected = measured.as_ref().and_then(|measured| measured.by_the_step(all));
    if arguments.json {
        let json = json!({
            "encoder_parameters": needs.encoder,
            "decoder_or_head_parameters": needs.behind,
            "flops_per_image": needs.flops_per_image,
            "memory_bytes": {
                "weights": needs.weights, "gradients": needs.gradients,
                "optimiser": needs.optimiser, "activations": needs.activations,
                "allocator": kept, "all": all,
            },
            "disk_bytes": needs.disk,
            "steps": needs.steps,
            "images_seen": needs.seen,
            "device": measured.as_ref().map(|measured| &measured.device),
            "images_per_sec": measured.as_ref().map(|measured| 1.0 / measured.seconds),
            "seconds": seconds,
            "measured_step": measured.as_ref().map(|measured| json!({
                "images": measured.images,
                "memory_bytes": measured.memory,
                "estimated_memory_bytes": measured.estimate,
            })),
            "expected_memory_bytes": expected,
        });
        text::print(&format!("{json:#}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let behind = if config.method == lab_core::config::Method::Mae { "decoder" } else { "heads" };
    let besides = if kept > 0 { format!(", kept by the allocator {}", text::bytes(kept)) } else { String::new() };
    let mut rows = vec![
        ("encoder", format!("{} parameters", text::count(needs.encoder))),
        (behind, format!("{} parameters", text::count(needs.behind))),
        ("a step", format!("{}FLOP an image, forward and backward", text::count(needs.flops_per_image))),
        (
            "memory",
            format!(
                "about {}: weights {}, gradients {}, optimiser {}, activations {}{besides}",
                text::bytes(all),
                text::bytes(needs.weights),
                text::bytes(needs.gradients),
                text::bytes(needs.optimiser),
                text::bytes(needs.activations)
            ),
        ),
        ("disk", format!("{} for checkpoints and model", text::bytes(needs.disk))),
        ("steps", format!("{} of {} images, {} seen", needs.steps, config.train.batch_size, text::count(needs.seen))),
    ];
    if let (Some(measured), Some(seconds)) = (&measured, seconds) {
        let rate = 1.0 / measured.seconds;
        let speed = needs.flops_per_image as f64 * rate;
        rows.push(("device", measured.device.clone()));
        if let Some(memory) = measured.memory {
            let step = text::plural(measured.images, "image");
            let (found, said) = (text::bytes(memory), text::bytes(measured.estimate));
            let more = match expected {
                Some(expected) => format!(": by that, expect {} for the whole", text::bytes(expected)),
                None => String::new(),
            };
            rows.push(("measured", format!("{found} for a step of {step}, where the estimate says {said}{more}")));
        }
        rows.push(("speed", format!("{rate:.1} images/s, {}FLOP/s", text::count(speed as u64))));
        rows.push(("time", duration(std::time::Duration::from_secs_f64(seconds.min(1e12)))));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    text::print(&text::columns(&rows, &[]))?;
    let held = needs.memory() - needs.activations;
    if let Some(room) = room.filter(|&room| held > room) {
        text::print(&format!(
            "it does not fit: {} are free, and weights, gradients and optimiser alone take {}, however a batch is cut: choose \
             a smaller preset, or a device with more memory\n",
            text::bytes(room),
            text::bytes(held)
        ))?;
    } else if config.train.accumulate < config.train.batch_size
        && (needs.activations > needs.memory() / 2 || room.is_some_and(|room| needs.memory() > room))
    {
        let next = (config.train.accumulate + 1..=config.train.batch_size)
            .find(|&parts| config.train.batch_size.is_multiple_of(parts) && parts >= 2 * config.train.accumulate);
        let next = next.unwrap_or(config.train.batch_size);
        let fits = match room {
            Some(room) if expected.unwrap_or(all) > room => format!("it does not fit, {} are free", text::bytes(room)),
            _ => "if it does not fit".to_owned(),
        };
        let mut advice = format!("{fits}: --set train.accumulate={next} needs less memory");
        if !config.train.checkpoint_activations {
            if has_f16 && config.train.precision == Precision::F32 {
                advice += ", --set train.precision=f16 too";
            }
            advice += ", --set train.checkpoint_activations=true too, at some four thirds of the time";
        }
        text::print(&format!("{advice}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What a step that was really made tells.
struct Measured {
    device: String,
    /// Seconds an image.
    seconds: f64,
    /// Images of the step.
    images: u64,
    /// The most bytes that the run took while it made the step; `None` where neither system nor device tells.
    memory: Option<u64>,
    /// What the estimate says of a step of so many images.
    estimate: u64,
    /// What the allocator keeps besides: on the CPU device it is this process's.
    kept: u64,
}

impl Measured {
    /// What an estimate of so many bytes comes to, by what the step took: a GPU's memory pool keeps pages that are larger
    /// than what lies in them, and pages that nothing lies in just then. `None` where the step took no more than estimated.
    fn by_the_step(&self, estimate: u64) -> Option<u64> {
        let more = self.memory? as f64 / self.estimate as f64;
        (more > 1.0).then_some((estimate as f64 * more) as u64)
    }
}

/// A run of steps of a quarter of a part of a batch.
fn small(config: &Config) -> Config {
    let part = config.train.batch_size / config.train.accumulate;
    let mut small = config.clone();
    (small.train.batch_size, small.train.accumulate) = ((part / 4).max(2), 1);
    small
}

/// Makes two small steps, of which each is estimated to take so many bytes: the second tells the time, both the memory.
fn measure(arguments: &PlanArgs, small: &Config, device: &OpenDevice, estimate: u64) -> Result<Measured> {
    let images = small.train.batch_size;
    text::note(&format!("measuring a step of {}", text::plural(images as u64, "image")));
    // Before anything is measured: its memory is not the step's.
    engine::check_heads(device, &small.head_dims(), true)?;
    memory::forget_peak();
    let (before, code) = (memory::resident(), memory::of_files());
    let mut trainer = pollster::block_on(Trainer::begin(small.clone(), arguments.images, &device.device))?;
    let mut batch = Batch::new(small, images);
    for (index, value) in batch.global.iter_mut().chain(&mut batch.local).enumerate() {
        *value = (index * 7919 % 251) as f32 / 125.0 - 1.0;
    }
    let mut seconds = 0.0;
    for _ in 0..2 {
        let start = Instant::now();
        let outcome = pollster::block_on(trainer.step(std::slice::from_ref(&batch)));
        let outcome = outcome.context("the step failed; if memory ran out, raise train.accumulate")?;
        if let Outcome::Refused { what } = outcome {
            text::note(&format!("warning: {what} is not finite on made-up images"));
        }
        seconds = start.elapsed().as_secs_f64();
    }
    let memory = match device.info.kind {
        EngineKind::Cpu => {
            // Code that the step was the first to use is none of its memory; a development build has 30 MiB of it.
            let code = memory::of_files().zip(code).map_or(0, |(now, before)| now.saturating_sub(before));
            memory::peak().zip(before).map(|(peak, before)| peak.saturating_sub(before + code))
        }
        EngineKind::Gpu => lab_core::device::reserved_bytes(&device.device),
    };
    let kept = if device.info.kind == EngineKind::Cpu { memory::KEPT } else { 0 };
    Ok(Measured {
        device: engine::describe(&device.info),
        seconds: seconds / images as f64,
        images: images as u64,
        memory,
        estimate: estimate + kept,
        kept,
    })
}
