//! What tests and the curious find under `window.lab.debug`: numbers of the page, and a way to lose its device.

use js_sys::{Object, Reflect};
use lab_protocol::{Command, EngineKind};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;

use crate::hash::engine_name;
use crate::rooms::train;
use crate::state::Store;

/// `window.lab.debug`.
pub(crate) fn debug() -> Result<JsValue, JsValue> {
    let window = web_sys::window().ok_or("there is no window")?;
    Reflect::get(&Reflect::get(&window, &"lab".into())?, &"debug".into())
}

/// `debug.loseDevice()`: the engine at work loses its device, as when a driver is reset.
pub(crate) fn publish(store: Store) {
    let lose = Closure::<dyn FnMut()>::new(move || {
        if let Some(link) = store.link.get_untracked() {
            spawn_local(async move { drop(link.ask(Command::LoseDevice, &[]).await) });
        }
    });
    put("loseDevice", lose.as_ref());
    lose.forget(); // as long as the page
}

/// `debug.losses`: how many devices were lost of late.
pub(crate) fn count_losses(count: usize) {
    put("losses", &JsValue::from_f64(count as f64));
}

/// `debug.warm`: the engine that has computed what the rooms will ask first.
pub(crate) fn tell_warm(kind: EngineKind) {
    put("warm", &engine_name(Some(kind)).into());
}

/// `debug.train`: where the run stands, `{ step, loss, losses, verdict, saved }`.
pub(crate) fn publish_train(state: train::State) {
    Effect::new(move || {
        let entry = Object::new();
        let set = |name: &str, value: &JsValue| drop(Reflect::set(&entry, &name.into(), value));
        state.status.with(|status| {
            if let Some(status) = status {
                set("step", &JsValue::from_f64(status.step as f64));
                set("method", &status.method.as_str().into());
            }
        });
        let losses = state.curves.with(|curves| curves.points("loss"));
        let last = losses.last().copied();
        let losses = js_sys::Float32Array::from(losses.iter().map(|point| point.1).collect::<Vec<_>>().as_slice());
        set("losses", &losses);
        set("loss", &last.map_or(JsValue::NULL, |point| JsValue::from_f64(point.1.into())));
        let verdict = state.look.with(|look| look.as_ref().map(|(look, _)| format!("{:?}", look.verdict)));
        set("verdict", &verdict.map_or(JsValue::NULL, JsValue::from));
        let saved = match state.saved.get() {
            train::Saved::Never => None,
            train::Saved::Browser(step) | train::Saved::Page(step, _) => Some(step),
        };
        set("saved", &saved.map_or(JsValue::NULL, |step| JsValue::from_f64(step as f64)));
        put("train", &entry);
    });
}

fn put(name: &str, value: &JsValue) {
    // A page without `lab` (an old cache) only loses its debug hook.
    if let Ok(debug) = debug() {
        drop(Reflect::set(&debug, &name.into(), value));
    }
}
