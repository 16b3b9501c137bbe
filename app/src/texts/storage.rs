//! What the page says of models kept in the browser and of working without a network.

use lab_protocol::StoredModel;

use super::see::COMPARE;

pub(crate) const TITLE: &str = "Kept models";
pub(crate) const NONE: &str =
    "None yet. A model that you fetch is kept in this browser, checked, and loads without a network from then on.";
pub(crate) const LOAD: &str = "Load";
pub(crate) const GO_ON: &str = "Go on";
pub(crate) const DELETE: &str = "Delete";
pub(crate) const STOP: &str = "Stop";
pub(crate) const BUSY: &str = "A model is just being fetched: wait for it, or stop it first.";
pub(crate) const PERSIST: &str = "Ask to keep them";
pub(crate) const PERSISTED: &str = "The browser keeps them until you delete them.";
pub(crate) const NOT_PERSISTED: &str = "The browser may delete them when the disk runs full.";
pub(crate) const REFUSED: &str = "The browser made no promise: it decides by how often a page is used, or asks you by a sign \
                                  in the address bar. The models stay until the disk runs full; add the page to your \
                                  bookmarks or install it, and ask again.";
pub(crate) const KEEP_IT: &str = "Keep it";
pub(crate) const RUN_KEPT: &str = "kept for the room Train; forget it there";
pub(crate) const OFFLINE: &str = "This page works without a network.";
pub(crate) const UPDATE: &str = "A newer version of the lab is here.";
pub(crate) const TAKE_UPDATE: &str = "Open it";
pub(crate) const MIRROR: &str = "Another hub than huggingface.co";
pub(crate) const MIRROR_LABEL: &str = "Address of the hub, empty for Hugging Face's own";

/// Megabytes or gigabytes, as disks count.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// A day as the user's browser writes it.
fn day(millis: u64) -> String {
    let date = js_sys::Date::new(&(millis as f64).into());
    String::from(date.to_locale_date_string("en-GB", &js_sys::Object::new()))
}

/// What is kept of a model, in one line.
pub(crate) fn kept(model: &StoredModel) -> String {
    let whole = match model.complete {
        true => size(model.bytes()),
        false => {
            let total: Option<u64> = model.files.iter().map(|file| file.total).sum();
            match total.filter(|&total| total > model.bytes()) {
                Some(total) => format!("{} of {} so far", size(model.bytes()), size(total)),
                None => format!("{} so far", size(model.bytes())),
            }
        }
    };
    match model.stored {
        0 => whole,
        stored => format!("{whole} · kept since {} · last used {}", day(stored), day(model.used)),
    }
}

/// The hash that names the weights, and who vouched for it.
pub(crate) fn hash(model: &StoredModel) -> String {
    let Some(weights) = model.weights().filter(|file| !file.sha256.is_empty()) else { return String::new() };
    let who = match weights.vouched.as_str() {
        "hub" => ", as the hub says",
        "address" => ", as the address says",
        _ => "",
    };
    format!("SHA-256 {}…{who}", &weights.sha256[..12.min(weights.sha256.len())])
}

/// The whole hash, for copying and comparing.
pub(crate) fn whole_hash(model: &StoredModel) -> String {
    model.files.iter().map(|file| format!("{}: {}", file.name, file.sha256)).collect::<Vec<_>>().join("\n")
}

/// A model that was made here and is kept.
pub(crate) fn made(name: &str) -> String {
    format!(
        "“{name}” is kept in this browser: load it under “{TITLE}”, or in the room See beside another one, under “{COMPARE}”."
    )
}

/// The training run that is kept.
pub(crate) fn run(step: u64) -> String {
    format!("Training run, step {step}")
}

/// A model's name without the host and the folders that lead to it.
pub(crate) fn named(name: &str) -> String {
    // A host has a dot or a port in it; the owner of a repository has neither.
    let is_host = |part: &str| part.contains("://") || part.split('/').next().unwrap_or_default().contains([':', '.']);
    let short = |word: &str| match word.trim_end_matches('/').rsplit_once('/') {
        Some((before, last)) if is_host(before) => last.to_owned(),
        _ => word.to_owned(),
    };
    name.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

/// The button that deletes for good.
pub(crate) fn delete_sure(bytes: u64) -> String {
    format!("Delete {} for good", size(bytes))
}

/// The delete button.
pub(crate) fn delete(name: &str) -> String {
    format!("Delete {name}")
}

/// How much room there is.
pub(crate) fn room([usage, quota]: [u64; 2]) -> String {
    match quota {
        0 => String::new(),
        _ => format!("This site takes {} of {} that the browser allows.", size(usage), size(quota)),
    }
}

/// The bar of a download.
pub(crate) fn fetching(source: &str, file: &str, done: u64, total: u64, seconds: Option<f64>) -> String {
    let amount = match total {
        0 => size(done),
        total => format!("{} of {}", size(done), size(total)),
    };
    let left = match seconds {
        None => String::new(),
        Some(seconds) if seconds < 90.0 => format!(", {} s left", seconds.ceil()),
        Some(seconds) => format!(", {} min left", (seconds / 60.0).ceil()),
    };
    if file.is_empty() { format!("Asking for {source}") } else { format!("{source}: {file}, {amount}{left}") }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_model_is_named_without_its_host() {
        for (whole, short) in [
            ("127.0.0.1:8123/weights/tiny-mae", "tiny-mae"),
            ("random twin of http://127.0.0.1:8123/weights/tiny-mae/", "random twin of tiny-mae"),
            ("facebook/dinov2-small", "facebook/dinov2-small"),
            ("DINO run, step 30", "DINO run, step 30"),
        ] {
            assert_eq!(named(whole), short);
        }
    }
}
