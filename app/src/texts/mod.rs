//! What the page says, in one place: here what all rooms share, beside it a file a room.

pub(crate) mod learn;
pub(crate) mod mask;
pub(crate) mod probe;
pub(crate) mod see;
pub(crate) mod storage;
pub(crate) mod train;
pub(crate) mod video;

/// A picture that ships with the page.
pub(crate) struct Sample {
    /// File name without its ending.
    pub(crate) name: &'static str,
}

/// The samples, in the order they are offered.
pub(crate) const SAMPLES: [Sample; 6] = [
    Sample { name: "ginger-cat" },
    Sample { name: "grey-cat" },
    Sample { name: "apples" },
    Sample { name: "lemons" },
    Sample { name: "harbour" },
    Sample { name: "reef" },
];

// Why this engine.
pub(crate) const WHY_WANTED: &str = "You chose it.";
pub(crate) const WHY_GPU: &str = "Your browser offers WebGPU.";
pub(crate) const WHY_GPU_COMES: &str = "The GPU engine is on its way; the CPU computes meanwhile.";
pub(crate) const WHY_GPU_FAILED: &str = "The GPU engine did not start:";
pub(crate) const WHY_NO_WEBGPU: &str = "This browser has no WebGPU.";
pub(crate) const WHY_NO_ADAPTER: &str = "This browser knows WebGPU but found no GPU for it.";
pub(crate) const WHY_SOFTWARE: &str = "WebGPU is only imitated in software here, which is slower than our CPU engine.";

pub(crate) const WHY_LOST: &str = "The GPU was lost again and again; the CPU computes until the page is opened anew.";

// Engine.
pub(crate) const UNEXPECTED: &str = "The engine gave an answer that does not fit the question: reload the page.";
pub(crate) const SUPERSEDED: &str = "Another engine was started meanwhile.";
pub(crate) const NO_ENGINE: &str = "No engine is running yet: wait for it, or start it again.";
pub(crate) const OPENING_MODEL: &str = "opening the model";

/// A device that is gone, and what is done about it.
pub(crate) fn lost(sentence: &str, count: usize, tries: usize) -> String {
    let reason = sentence.split(". ").next().unwrap_or(sentence);
    match count > tries {
        true => format!("{reason}. It was the {count}th time in a few minutes: the CPU engine takes over."),
        false => format!(
            "{reason}. A new engine starts by itself ({count} of {tries} tries); model, images and your run go over to it."
        ),
    }
}

/// Page and engine are of different ages.
pub(crate) fn other_protocol(protocol: u32) -> String {
    format!(
        "The engine speaks protocol {protocol}, this page speaks {}: reload without the cache.",
        lab_protocol::PROTOCOL
    )
}

/// What the self-check at the start found; nothing where there are no kernels to check.
pub(crate) fn verdict(check: &lab_protocol::SelfCheck) -> String {
    match (check.kernels.len(), check.replaced().len()) {
        (0, _) => String::new(),
        (all, 0) => format!("Self-check: each of the {all} kernels gives the numbers of its twin."),
        (all, wrong) => {
            format!("Self-check: {wrong} of {all} kernels gave wrong numbers and were replaced by their twins.")
        }
    }
}

/// Kernels that failed their self-check.
pub(crate) fn replaced(kernels: &[String]) -> String {
    format!(
        "On this device these kernels gave wrong numbers and were replaced by their slower twins: {}. \
         Results stay right; please report your device.",
        kernels.join(", ")
    )
}

// Canvases.
pub(crate) const PICKER_ROLE: &str = "patch picker";

/// The browser keeps a canvas from us.
pub(crate) fn no_canvas(reason: &str) -> String {
    format!("The browser did not hand a canvas to the engine ({reason}); this view stays empty. Update the browser.")
}
/// A share as people write it: "12.3 %".
pub(crate) fn percent(share: f32) -> String {
    let share = share * 100.0;
    match share {
        10.0.. => format!("{share:.0} %"),
        0.1.. => format!("{share:.1} %"),
        _ => format!("{share:.2} %"),
    }
}

/// Three significant digits or so.
pub(crate) fn number(value: f32) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        size if size >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    }
}

/// The name of an axis, and where it begins if that is not at 0.
pub(crate) fn from(axis: &str, low: f64) -> String {
    if low > 0.0 { format!("{axis} (from {low:.0}, not 0)") } else { axis.to_owned() }
}

/// How long a picture took.
pub(crate) fn time(millis: f64) -> String {
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}
/// What that number is.
pub(crate) const TIME: &str = "So long it took to draw";

// The shell.
pub(crate) const TITLE: &str = "The lab for visual self-supervised learning";

/// What a tab and the history say.
pub(crate) fn document_title(room: &str) -> String {
    format!("{room} – {TITLE}")
}
pub(crate) const ROOMS: &str = "Rooms";
pub(crate) const SKIP: &str = "Skip to the room";
pub(crate) const COPY_LINK: &str = "Copy link";
pub(crate) const MISSING_PICTURES: &str = "your own pictures";
pub(crate) const MISSING_MODEL: &str = "the model from your files";
pub(crate) const MISSING_MADE: &str = "the network that only this browser keeps";
pub(crate) const MISSING_RUN: &str = "the run itself";

/// A link that was copied, and what no link can hold.
pub(crate) fn copied(missing: &[&str]) -> String {
    match missing {
        [] => "Copied: the link holds this room's whole state.".to_owned(),
        missing => format!("Copied. Not in the link: {}.", missing.join(", ")),
    }
}

// Exports.
pub(crate) const NUMBERS: &str = "Numbers";
pub(crate) const SAVE: &str = "Save";
/// The picture with its title, scale and caption.
pub(crate) const PLATE: &str = "PNG with words";
pub(crate) const NOTHING_TO_SAVE: &str = "There is nothing to save yet: wait until the picture is drawn.";

/// A file that the browser refused.
pub(crate) fn not_saved(reason: &str) -> String {
    format!("The browser did not save the file ({reason}): allow downloads for this page.")
}

/// A word that names no model of this page.
pub(crate) fn no_offer<'a>(id: &str, there: impl Iterator<Item = &'a str>) -> String {
    let there = ["built-in", "untrained-mae"].into_iter().chain(there).collect::<Vec<_>>().join(", ");
    format!("This page has no model “{id}”, only {there}. One from elsewhere is opened in the model panel.")
}

/// A link that asks for a model on another host.
pub(crate) fn link_asks(url: &str) -> String {
    format!(
        "This link asks for the model at {url}. Nothing was fetched: press “Fetch and keep” in the model panel if you want it."
    )
}

/// A link that was made with other weights.
pub(crate) fn other_weights(fingerprint: &str) -> String {
    format!(
        "This link was made with other weights (fingerprint {fingerprint}). Open that model in the model panel to see the \
         same; until then the one that is here answers."
    )
}

/// A field keeps what it had.
pub(crate) fn stands(expected: &str, value: &str) -> String {
    format!("{expected}. It stays {value}.")
}

/// Parts of a link that mean nothing, or were said before.
pub(crate) fn nonsense(parts: &[String]) -> String {
    format!(
        "This link says what no room understands, or a key twice: {}. It was left out; if the link was typed or cut, copy it \
         anew.",
        parts.join(", ")
    )
}

/// A patch that is not there.
pub(crate) fn no_patch(patch: u32, count: usize) -> String {
    format!("This link asks for patch {patch}; here they go from 0 to {}. It was left out.", count.max(1) - 1)
}

/// A link that could not be copied.
pub(crate) fn not_copied(reason: &str) -> String {
    format!("The link could not be copied ({reason}): take it from the address bar.")
}
pub(crate) const PRIVACY: &str =
    "Everything is computed on your machine. Your pictures stay here; only models that you ask for are fetched.";
pub(crate) const DISMISS: &str = "Dismiss";

/// The button that sends every notice away.
pub(crate) fn dismiss_all(count: usize) -> String {
    format!("Dismiss all {count}")
}

// Images.
pub(crate) const IMAGES: &str = "Images";
pub(crate) const DROP: &str = "Choose images";
pub(crate) const DROP_HINT: &str = "or drop them, or a folder of them, or paste; nothing is uploaded";
pub(crate) const ON_SHOW: &str = "on show";
pub(crate) const NO_PICTURE: &str =
    "There is no picture. Choose one in the panel Images, or drop or paste it anywhere; nothing is uploaded.";

/// The button that forgets an image.
pub(crate) fn remove(name: &str) -> String {
    format!("Remove {name}")
}

/// What the file chooser offers, and the engine reads.
pub(crate) const FORMATS: &str = ".jpg,.jpeg,.png,.webp,.gif,.tif,.tiff,.bmp";
pub(crate) const NO_PREVIEW: &str = "no preview in this browser; the model sees it";
pub(crate) const TRANSPARENT: &str = "Where a picture is transparent, the model sees the colour stored beneath, as with \
                                      PyTorch's usual convert(\"RGB\"). Lay it on a ground of your choice first.";

/// A file that is no image.
pub(crate) fn no_image(name: &str) -> String {
    format!("{name} is no image: JPEG, PNG, WebP, GIF, TIFF and BMP are read. For a model, use the model panel.")
}

/// What was taken of a dropped folder, and what was not.
pub(crate) fn from_folder(taken: usize, images: usize, others: usize) -> String {
    let rest = if others == 0 { String::new() } else { format!(" Left out as no images: {others}.") };
    match taken < images {
        true => format!("Images taken: the first {taken} of {images}; the room Probe searches among more.{rest}"),
        false => format!("Images taken: {taken}.{rest}"),
    }
}

/// A dropped folder that the browser does not read.
pub(crate) fn no_folder(reason: &str) -> String {
    format!("The folder could not be read ({reason}). Choose its images with the button instead.")
}

/// A link that asks for a sample that the page does not have.
pub(crate) fn unknown_sample(name: &str) -> String {
    let names: Vec<&str> = SAMPLES.iter().map(|sample| sample.name).collect();
    format!("This link asks for the sample “{name}”, which is none of {}: another picture is shown.", names.join(", "))
}

/// A sample that could not be fetched.
pub(crate) fn no_sample(name: &str, reason: &str) -> String {
    format!("The sample {name} could not be fetched ({reason}). Your own images work all the same.")
}

// Model.
pub(crate) const MODEL: &str = "Model";
pub(crate) const UNTRAINED: &str = "untrained";
pub(crate) const UNTRAINED_MEANS: &str = "Its weights are random: it shows architecture, not learning.";
pub(crate) const BUILT_IN: &str = "Built-in";
pub(crate) const BUILT_IN_VIT: &str = "tiny ViT (untrained)";
pub(crate) const BUILT_IN_MAE: &str = "tiny MAE (untrained)";
pub(crate) const OWN: &str = "your own";
pub(crate) const FOLDER: &str = "Folder…";
pub(crate) const FILES: &str = "Files…";
pub(crate) const ADDRESS: &str = "A Hugging Face repository, or the address of a folder";
pub(crate) const LOAD: &str = "Fetch and keep";
pub(crate) const MODEL_HINT: &str =
    "DINOv2, Web-SSL, MAE, CLIP and SigLIP vision encoders, as Hugging Face folders or original .pth files.";

/// What a model is, in one line.
pub(crate) fn model(model: &lab_protocol::ModelInfo) -> String {
    format!(
        "{}. {} blocks of {} heads, {} wide, patches of {} pixels, {:.1} M parameters. Images: {}.",
        model.family,
        model.depth,
        model.num_heads,
        model.embed_dim,
        model.patch_size,
        model.parameters as f64 / 1e6,
        model.preprocessing
    )
}

// Engine panel.
pub(crate) const ENGINE: &str = "Engine";
pub(crate) const ENGINE_CHOICE: &str = "Compute on";
pub(crate) const RESTART: &str = "Start again";

/// The engine has stopped; `beside` says whether its panel is in sight.
pub(crate) fn stopped(sentence: &str, beside: bool) -> String {
    let place = if beside { "" } else { ", beside the other rooms," };
    format!("{sentence} No engine works now; the panel Engine{place} starts one again.")
}
pub(crate) const GET_WEBGPU: &str = "How to get WebGPU";
pub(crate) const WEBGPU_ADVICE: [&str; 5] = [
    "Chrome and Edge 113 or newer have it on Windows, macOS and ChromeOS, and on Android from 121.",
    "Chrome on Linux: open chrome://flags, enable “Unsafe WebGPU Support” and “Vulkan”, then restart.",
    "Firefox 141 or newer has it on Windows; elsewhere try dom.webgpu.enabled in about:config.",
    "Safari 26 has it; in older ones look for WebGPU among the feature flags.",
    "If it stays away, update the graphics driver and switch on hardware acceleration in the browser's settings.",
];

/// An engine on its way.
pub(crate) fn starting(kind: &str) -> String {
    format!("The {} engine is starting…", kind.to_uppercase())
}

/// An engine at work.
pub(crate) fn running(info: &lab_protocol::EngineInfo) -> String {
    let kind = match info.kind {
        lab_protocol::EngineKind::Cpu => "CPU engine",
        lab_protocol::EngineKind::Gpu => "GPU engine",
    };
    format!("{kind}: {}", info.device)
}

/// What an engine takes of memory, and what it may.
pub(crate) fn memory(kind: lab_protocol::EngineKind, memory: &lab_protocol::Memory) -> String {
    let size = storage::size;
    let lab_protocol::Memory { taken, most, gpu, piece, .. } = *memory;
    match kind {
        lab_protocol::EngineKind::Cpu => format!("Memory: {} of {} taken.", size(taken), size(most)),
        lab_protocol::EngineKind::Gpu => format!(
            "Memory: {} of the GPU's; how much it has no browser tells. One tensor takes at most {}.",
            size(gpu),
            size(piece)
        ),
    }
}

/// A choice of engine; `None` leaves it to the page.
pub(crate) fn engine_choice(kind: Option<lab_protocol::EngineKind>) -> &'static str {
    match kind {
        None => "Automatic",
        Some(lab_protocol::EngineKind::Cpu) => "CPU",
        Some(lab_protocol::EngineKind::Gpu) => "GPU",
    }
}

/// How far something long has come.
pub(crate) fn amount(done: u64, total: u64, unit: &str) -> String {
    let amount = |count: u64| match unit {
        "bytes" => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{count} {unit}"),
    };
    match (done, total) {
        (0, 0) => String::new(),
        (done, 0) => amount(done),
        (done, total) => format!("{} of {}", amount(done), amount(total)),
    }
}

// Camera.
pub(crate) const NO_CAMERA_API: &str =
    "This browser gives pages no camera here: open the lab by https or on this machine, or use files instead.";

/// The camera could not be opened.
pub(crate) fn no_camera(kind: &str, reason: &str) -> String {
    match kind {
        "NotAllowedError" | "SecurityError" => {
            "The camera was refused: allow it for this page (the sign in the address bar), then try again, or use files."
                .to_owned()
        }
        "NotFoundError" | "OverconstrainedError" => {
            "No camera was found: connect one and try again, or use files.".to_owned()
        }
        "NotReadableError" | "AbortError" => {
            "The camera is in use by another program: close that and try again, or use files.".to_owned()
        }
        _ => format!("The camera could not be opened ({reason}): try again, or use files."),
    }
}
