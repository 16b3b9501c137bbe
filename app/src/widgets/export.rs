//! The ways to keep a picture: as PNG, and its numbers as CSV or JSON.

use js_sys::Float32Array;
use lab_protocol::{Command, Event, SeeCommand, SeeEvent};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::state::{Severity, Store};
use crate::texts;
use crate::views::Paint;
use crate::views::surface::CanvasSlot;
use crate::{csv, download};

/// Numbers behind a picture.
struct Numbers {
    grid: [usize; 2],
    channels: Vec<String>,
    planes: Vec<Vec<f32>>,
}

/// Three buttons behind one word.
#[component]
pub(crate) fn Export(
    store: Store,
    paint: Signal<Option<Paint>>,
    canvas: CanvasSlot,
    label: Signal<String>,
) -> impl IntoView {
    let told = move |result| download::told(store, result);
    let name = move |ending: &str| {
        let picture = store.picture_untracked().map(|picture| picture.name).unwrap_or_default();
        csv::file_name(&format!("{} {}", picture.trim_end_matches(".jpg"), label.get_untracked()), ending)
    };
    let png = move |_| {
        if let Some(canvas) = canvas.get_untracked() {
            told(download::png(&name("png"), &canvas));
        }
    };
    let numbers = move |csv: bool| {
        spawn_local(async move {
            match ask(store, paint.get_untracked()).await {
                Err(sentence) => store.tell(Severity::Error, sentence),
                Ok(Numbers { grid, channels, planes }) if csv => {
                    told(download::text(&name("csv"), "text/csv", &csv::grid_csv(grid, &channels, &planes)));
                }
                Ok(found) => told(download::text(&name("json"), "application/json", &json(store, &label, &found))),
            }
        });
    };
    view! {
        <details class="export">
            <summary>{texts::SAVE}</summary>
            <div class="menu">
                <button data-testid="save-png" on:click=png>"PNG"</button>
                <button data-testid="save-csv" on:click=move |_| numbers(true)>"CSV"</button>
                <button data-testid="save-json" on:click=move |_| numbers(false)>"JSON"</button>
            </div>
        </details>
    }
}

/// Asks the engine for what is drawn; a reconstruction's errors are at hand.
async fn ask(store: Store, paint: Option<Paint>) -> Result<Numbers, String> {
    let (slot, view) = match paint {
        Some(Paint::View { slot, view }) => (slot, view),
        Some(Paint::Mask { .. }) => {
            let result = store.rooms.mask.result.get_untracked().ok_or(texts::NOTHING_TO_SAVE)?;
            let channels = vec!["squared error".to_owned(), "hidden".to_owned()];
            let hidden = store.rooms.mask.hidden.get_untracked().unwrap_or_default();
            let hidden = hidden.into_iter().map(|hidden| f32::from(u8::from(hidden))).collect();
            return Ok(Numbers { grid: result.grid, channels, planes: vec![result.losses, hidden] });
        }
        None => return Err(texts::NOTHING_TO_SAVE.to_owned()),
    };
    let link = store.link.get_untracked().ok_or(texts::NO_ENGINE)?;
    let image = store.selected.get_untracked().ok_or(texts::NOTHING_TO_SAVE)?;
    let answer = link.ask(Command::See(SeeCommand::Numbers { slot, image, view }), &[]).await?;
    let (Event::See(SeeEvent::Numbers { grid, channels }), vectors) = answer else {
        return Err(texts::UNEXPECTED.to_owned());
    };
    let all = Float32Array::new(&vectors.get(0)).to_vec();
    let planes = all.chunks((grid[0] * grid[1]).max(1)).map(<[f32]>::to_vec).collect();
    Ok(Numbers { grid, channels, planes })
}

fn json(store: Store, label: &Signal<String>, Numbers { grid, channels, planes }: &Numbers) -> String {
    let model = store.model.get_untracked().unwrap_or_default();
    let link = untrack(|| store.address(store.room.get()).format());
    let planes: Vec<_> = channels
        .iter()
        .zip(planes)
        .map(|(name, values)| serde_json::json!({ "name": name, "values": values }))
        .collect();
    let value = serde_json::json!({
        "what": label.get_untracked(),
        "image": store.picture_untracked().map(|picture| picture.name),
        "model": { "name": model.name, "family": model.family, "untrained": model.untrained },
        "grid": grid,
        "channels": planes,
        "link": format!("#{link}"),
    });
    value.to_string()
}
