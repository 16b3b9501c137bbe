//! One tab of the page at a time keeps the run: the browser's lock (Web Locks) is its own for as long as it is open.
//!
//! The calls are made by name: web-sys has them behind features that nothing else needs.

use std::cell::Cell;

use js_sys::{Function, Object, Promise, Reflect};
use leptos::prelude::window;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::signals::pause;

/// The lock's name, the same in every tab.
const NAME: &str = "lab-train";
/// How often it is asked for, and milliseconds between: a page that is opened anew holds it a moment longer.
const TRIES: usize = 10;
const AGAIN: i32 = 100;

thread_local! {
    /// The lock is this tab's.
    static MINE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this tab keeps the run from now on; `false` where another one does. A browser without locks lets every tab.
pub(super) async fn take() -> bool {
    for _ in 0..TRIES {
        if MINE.get() || ask().await.unwrap_or(true) {
            MINE.set(true);
            return true;
        }
        pause(AGAIN).await;
    }
    false
}

async fn ask() -> Result<bool, JsValue> {
    let locks = Reflect::get(&window().navigator(), &"locks".into())?;
    let request: Function = Reflect::get(&locks, &"request".into())?.dyn_into()?;
    let options = Object::new();
    Reflect::set(&options, &"ifAvailable".into(), &true.into())?;
    let mut asked = Ok(());
    let answer = Promise::new(&mut |resolve, reject| {
        let answered = Closure::once_into_js(move |lock: JsValue| -> JsValue {
            drop(resolve.call1(&JsValue::NULL, &lock.is_truthy().into()));
            // It is held until this promise settles: never.
            if lock.is_truthy() { Promise::new(&mut |_, _| {}).into() } else { JsValue::UNDEFINED }
        });
        asked = request.call3(&locks, &NAME.into(), &options, &answered).and_then(|held| {
            let catch: Function = Reflect::get(&held, &"catch".into())?.dyn_into()?;
            catch.call1(&held, &reject).map(drop)
        });
    });
    asked?;
    Ok(JsFuture::from(answer).await?.is_truthy())
}
