//! Where images come from: samples, files, a drop anywhere on the page (of folders too), the clipboard.

mod dropped;

use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{Blob, DragEvent, Event, File, FileList, HtmlInputElement, MouseEvent};

use self::dropped::Dropped;
use crate::fetch::fetch;
use crate::link::words;
use crate::state::{Picture, Severity, Source, Store};
use crate::{engine, focus, pictures, texts};

/// Images taken of a dropped folder: each is decoded, embedded and kept. The room Probe searches among more.
const MOST: usize = 500;
/// Milliseconds that a sample (30 KB) may take; what all pictures together show waits for the last.
const PATIENCE: u32 = 30_000;

/// Drop anywhere, paste anywhere; then the samples: `first` (or the first of them) at once, the others behind it.
pub(crate) fn listen(store: Store, first: Option<&'static str>) {
    window_event_listener(ev::dragover, |event: DragEvent| event.prevent_default());
    window_event_listener(ev::drop, move |event: DragEvent| {
        event.prevent_default();
        let Some(data) = event.data_transfer() else { return };
        let dropped = Dropped::of(&data);
        if dropped.has_folder() {
            spawn_local(async move {
                match dropped.files().await {
                    Ok(files) => take_folder(store, files),
                    Err(error) => store.tell(Severity::Error, texts::no_folder(&words(&error))),
                }
            });
        } else {
            take(store, listed(data.files()));
        }
    });
    window_event_listener(ev::paste, move |event| {
        take(store, listed(event.clipboard_data().and_then(|data| data.files())));
    });
    spawn_local(async move {
        let first = texts::SAMPLES.iter().position(|sample| Some(sample.name) == first).unwrap_or(0);
        // The chosen one first and alone, then round: the others are asked for all at once and taken in their order, so
        // that whatever never comes is waited for once.
        let mut order: Vec<_> = texts::SAMPLES.iter().collect();
        order.rotate_left(first);
        for samples in [&order[..1], &order[1..]] {
            // Promises, so that each comes whole while another is waited for.
            let asked: Vec<_> =
                samples.iter().map(|sample| (sample, future_to_promise(fetched(sample.name)))).collect();
            for (sample, asked) in asked {
                match JsFuture::from(asked).await.and_then(|blob| blob.dyn_into::<Blob>()) {
                    Ok(blob) => {
                        let id = pictures::add(store, blob, format!("{}.jpg", sample.name), Some(sample.name));
                        let wished = store.sample.with_untracked(|wish| wish.as_deref() == Some(sample.name));
                        if wished || store.selected.get_untracked().is_none() {
                            store.selected.set(Some(id));
                        }
                    }
                    Err(error) => store.tell(Severity::Warning, texts::no_sample(sample.name, &words(&error))),
                }
            }
        }
        store.samples_done.set(true);
    });
}

/// A sample, given up after [`PATIENCE`].
async fn fetched(name: &str) -> Result<JsValue, JsValue> {
    let response = fetch(&format!("samples/{name}.jpg"), PATIENCE).await?;
    JsFuture::from(response.blob()?).await
}

/// The files of a list.
pub(crate) fn listed(files: Option<FileList>) -> Vec<File> {
    files.map(|files| (0..files.length()).filter_map(|at| files.get(at)).collect()).unwrap_or_default()
}

/// What was picked in a field for files, which is empty from then on: the same can be picked once more.
pub(crate) fn picked(event: &Event) -> Vec<File> {
    let input = event_target::<HtmlInputElement>(event);
    let files = listed(input.files());
    input.set_value("");
    files
}

/// Takes images among files and shows the first; says so of anything else.
fn take(store: Store, files: Vec<File>) {
    let (images, others) = sort(files);
    others.iter().for_each(|file| store.tell(Severity::Warning, texts::no_image(&file.name())));
    show(store, images);
}

/// Takes a dropped folder: a model where it holds one, else its images; says once how much of it was left out.
fn take_folder(store: Store, files: Vec<File>) {
    if files.iter().any(|file| file.name() == "config.json") {
        return engine::load_model(store, Source::Files(files));
    }
    let (mut images, others) = sort(files);
    let found = images.len();
    images.truncate(MOST);
    if found > images.len() || !others.is_empty() {
        store.tell(Severity::Warning, texts::from_folder(images.len(), found, others.len()));
    }
    show(store, images);
}

/// Images, and what is none.
fn sort(files: impl IntoIterator<Item = File>) -> (Vec<File>, Vec<File>) {
    files.into_iter().partition(|file| readable(&file.type_()))
}

/// Whether the engine reads what a browser calls by this name.
pub(crate) fn readable(kind: &str) -> bool {
    let kind = kind.strip_prefix("image/").unwrap_or_default().trim_start_matches("x-").trim_start_matches("ms-");
    matches!(kind, "jpeg" | "jpg" | "pjpeg" | "png" | "apng" | "webp" | "gif" | "tiff" | "tif" | "bmp")
}

/// Adds images and shows the first.
fn show(store: Store, files: Vec<File>) {
    let mut first = None;
    for file in files {
        let name = file.name();
        first.get_or_insert(pictures::add(store, file.into(), name, None));
    }
    if first.is_some() {
        store.selected.set(first);
    }
}

/// The images, the one on show marked, with their likeness to it.
#[component]
pub(crate) fn Images(store: Store) -> impl IntoView {
    let pick = move |event: Event| {
        take(store, picked(&event));
    };
    view! {
        <section class="panel" aria-labelledby="images-title">
            <h2 id="images-title">{texts::IMAGES}</h2>
            <label class="drop" data-testid="drop-zone">
                <input type="file" accept=texts::FORMATS multiple data-testid="file-input" on:change=pick />
                <span>{texts::DROP}</span>
                <span class="hint">{texts::DROP_HINT}</span>
            </label>
            <p class="hint">{texts::TRANSPARENT}</p>
            <ul class="images" data-testid="nearest">
                <For each=move || sorted(store) key=|picture| picture.id let(picture)>
                    <Thumbnail store picture />
                </For>
            </ul>
        </section>
    }
}

/// The image on show first, then the others by falling likeness; those not yet embedded last.
fn sorted(store: Store) -> Vec<Picture> {
    let selected = store.selected.get();
    let near = store.neighbours.get();
    let mut images = store.images.get();
    let rank = |picture: &Picture| match near.iter().position(|(id, _)| *id == picture.id) {
        _ if Some(picture.id) == selected => 0,
        Some(place) => place + 1,
        None => usize::MAX,
    };
    images.sort_by_key(rank);
    images
}

#[component]
fn Thumbnail(store: Store, picture: Picture) -> impl IntoView {
    let id = picture.id;
    let name = picture.name.clone();
    let chosen = move || store.selected.get() == Some(id);
    let cosine = move || {
        let near = store.neighbours.with(|near| near.iter().find(|(other, _)| *other == id).map(|(_, cosine)| *cosine));
        match near {
            _ if chosen() => texts::ON_SHOW.to_owned(),
            Some(cosine) => texts::number(cosine),
            None => String::new(),
        }
    };
    let broken = RwSignal::new(false);
    let remove_label = texts::remove(&name);
    let remove = move |event: MouseEvent| {
        focus::pass_on(&event);
        pictures::remove(store, id);
    };
    // The picture has no text of its own: its name stands beside it and would be read twice.
    view! {
        <li class:chosen=chosen>
            <button
                class="thumbnail"
                aria-pressed=move || chosen().to_string()
                on:click=move |_| store.selected.set(Some(id))
            >
                <Show
                    when=move || !broken.get()
                    fallback=|| view! { <span class="no-preview">{texts::NO_PREVIEW}</span> }
                >
                    <img src=picture.url.clone() alt="" loading="lazy" on:error=move |_| broken.set(true) />
                </Show>
                <span class="name">{name.clone()}</span>
                <span class="cosine">{cosine}</span>
            </button>
            <button class="remove" aria-label=remove_label on:click=remove>
                "×"
            </button>
        </li>
    }
}
