//! How wide an element is, told again whenever that changes.

use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::ResizeObserver;

/// Tells of a width for as long as the element is there.
struct Watch {
    observer: ResizeObserver,
    _resized: Closure<dyn FnMut()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}

/// Tells an element's width in CSS pixels: once it is laid out, and after every change.
pub(crate) fn attend(node: NodeRef<Div>, told: impl Fn(f64) + 'static) {
    let watch = StoredValue::new_local(None::<Watch>);
    node.on_load(move |element| {
        let measured = element.clone();
        let resized = Closure::<dyn FnMut()>::new(move || told(measured.get_bounding_client_rect().width()));
        if let Ok(observer) = ResizeObserver::new(resized.as_ref().unchecked_ref()) {
            observer.observe(&element);
            watch.set_value(Some(Watch { observer, _resized: resized }));
        }
    });
}

/// A width in device pixels, for a canvas of at least one and at most so many.
pub(crate) fn device_pixels(width: f64, most: f64) -> u32 {
    (width * window().device_pixel_ratio()).round().clamp(1.0, most) as u32
}
