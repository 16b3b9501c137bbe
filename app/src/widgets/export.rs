//! The ways to keep a picture: as PNG, alone or with its words, and its numbers as CSV or JSON.

use js_sys::Float32Array;
use lab_protocol::{Command, Event, ModelInfo, SeeCommand, SeeEvent, View};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde_json::{Value, json};

use crate::state::{Severity, Store};
use crate::texts::{self, see};
use crate::views::Paint;
use crate::views::surface::CanvasSlot;
use crate::widgets::menu::Menu;
use crate::widgets::plate;
use crate::{csv, download};

/// Numbers behind a picture.
struct Numbers {
    grid: [usize; 2],
    channels: Vec<String>,
    /// Of each channel, a value a patch, row by row.
    planes: Vec<Vec<f32>>,
    /// Who computed them.
    model: ModelInfo,
    /// What they are, exactly.
    view: Value,
}

/// The buttons behind one word; the picture itself has no numbers.
#[component]
pub(crate) fn Export(
    store: Store,
    paint: Signal<Option<Paint>>,
    canvas: CanvasSlot,
    label: Signal<String>,
) -> impl IntoView {
    let told = move |result| download::told(store, result);
    // Two models' files of one picture are told apart.
    let who = move || match paint.get_untracked() {
        Some(Paint::View { slot, view }) if view != View::Input => untrack(|| store.model_in(slot)),
        Some(Paint::Mask { .. }) => untrack(|| store.painter()).map(|(model, _)| model),
        _ => None,
    };
    let name = move |ending: &str| {
        let picture = store.picture_untracked().map(|picture| picture.name).unwrap_or_default();
        let model = who().map(|model| model.name).unwrap_or_default();
        csv::file_name(&format!("{} {} {model}", picture.trim_end_matches(".jpg"), label.get_untracked()), ending)
    };
    let png = move |_| {
        if let Some(canvas) = canvas.get_untracked() {
            told(download::png(&name("png"), &canvas));
        }
    };
    let plate = move |_| {
        if let Some(canvas) = canvas.get_untracked() {
            let who = who().map(|model| see::by(&model.name, model.untrained)).unwrap_or_default();
            told(plate::of(&canvas, &who).and_then(|plate| download::png(&name("figure.png"), &plate)));
        }
    };
    let numbers = move |csv: bool| {
        // The engine may be busy, and by the time that it answers another picture on show, or none.
        let (paint, what, file) =
            (paint.get_untracked(), label.get_untracked(), name(if csv { "csv" } else { "json" }));
        let image = store.picture_untracked().map(|picture| picture.name);
        spawn_local(async move {
            match ask(store, paint).await {
                Err(sentence) => store.tell(Severity::Error, sentence),
                Ok(Numbers { grid, channels, planes, .. }) if csv => {
                    told(download::text(&file, "text/csv", &csv::grid_csv(grid, &channels, &planes)));
                }
                Ok(Numbers { grid, channels, planes, model, view }) => {
                    let channel = |(name, values)| json!({ "name": name, "values": values });
                    let object = json!({
                        "what": what,
                        "image": image,
                        "model": download::describe(&model),
                        "view": view,
                        "grid": grid,
                        "channels": channels.into_iter().zip(planes).map(channel).collect::<Vec<_>>(),
                    });
                    download::json(store, &file, object);
                }
            }
        });
    };
    let counts = move || !matches!(paint.get(), Some(Paint::View { view: View::Input, .. }));
    view! {
        <Menu>
            <button data-testid="save-png" on:click=png>"PNG"</button>
            <button data-testid="save-plate" on:click=plate>{texts::PLATE}</button>
            <Show when=counts>
                <button data-testid="save-csv" on:click=move |_| numbers(true)>"CSV"</button>
                <button data-testid="save-json" on:click=move |_| numbers(false)>"JSON"</button>
            </Show>
        </Menu>
    }
}

/// Asks the engine for what is drawn; a reconstruction's errors are at hand.
async fn ask(store: Store, paint: Option<Paint>) -> Result<Numbers, String> {
    let (slot, view) = match paint {
        Some(Paint::View { slot, view }) => (slot, view),
        Some(Paint::Mask { .. }) => {
            let result = store.rooms.mask.result.get_untracked().ok_or(texts::NOTHING_TO_SAVE)?;
            let hidden = store.rooms.mask.hidden.get_untracked().unwrap_or_default();
            let hidden = hidden.into_iter().map(|hidden| f32::from(u8::from(hidden))).collect();
            return Ok(Numbers {
                grid: result.grid,
                channels: vec!["squared error".to_owned(), "hidden".to_owned()],
                planes: vec![result.losses, hidden],
                model: untrack(|| store.painter()).map(|(model, _)| model).unwrap_or_default(),
                view: json!({ "show": "mask", "loss": result.loss, "norm_pix": result.norm_pix }),
            });
        }
        None => return Err(texts::NOTHING_TO_SAVE.to_owned()),
    };
    let link = store.link.get_untracked().ok_or(texts::NO_ENGINE)?;
    let image = store.selected.get_untracked().ok_or(texts::NOTHING_TO_SAVE)?;
    let model = untrack(|| store.model_in(slot)).unwrap_or_default();
    let mut said = json!(view);
    if let View::Similarity { from, .. } = view {
        // The page's own number for it says nothing outside.
        said["from"] = untrack(|| store.name_of(from)).into();
    }
    let answer = link.ask(Command::See(SeeCommand::Numbers { slot, image, view }), &[]).await?;
    let (Event::See(SeeEvent::Numbers { grid, channels }), vectors) = answer else {
        return Err(texts::UNEXPECTED.to_owned());
    };
    let all = Float32Array::new(&vectors.get(0)).to_vec();
    let planes = all.chunks((grid[0] * grid[1]).max(1)).map(<[f32]>::to_vec).collect();
    Ok(Numbers { grid, channels, planes, model, view: said })
}
