//! Files that the page hands to the browser's downloads: nothing leaves the machine.

use js_sys::Array;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, BlobPropertyBag, CanvasRenderingContext2d, HtmlAnchorElement, HtmlCanvasElement, Url};

/// Saves a text.
///
/// # Errors
///
/// The browser's.
pub(crate) fn text(name: &str, kind: &str, text: &str) -> Result<(), JsValue> {
    let options = BlobPropertyBag::new();
    options.set_type(kind);
    blob(name, &Blob::new_with_str_sequence_and_options(&Array::of1(&text.into()), &options)?)
}

/// Saves bytes, an `ArrayBuffer`.
///
/// # Errors
///
/// The browser's.
pub(crate) fn bytes(name: &str, bytes: &JsValue) -> Result<(), JsValue> {
    blob(name, &Blob::new_with_buffer_source_sequence(&Array::of1(bytes))?)
}

/// Saves what a canvas shows as PNG. A canvas that a worker draws on is copied first: it gives no file itself.
///
/// # Errors
///
/// The browser's.
pub(crate) fn png(name: &str, canvas: &HtmlCanvasElement) -> Result<(), JsValue> {
    let document = web_sys::window().and_then(|window| window.document()).ok_or("there is no document")?;
    let copy: HtmlCanvasElement = document.create_element("canvas")?.unchecked_into();
    copy.set_width(canvas.width());
    copy.set_height(canvas.height());
    let context: CanvasRenderingContext2d = copy.get_context("2d")?.ok_or("no 2d context")?.unchecked_into();
    context.draw_image_with_html_canvas_element(canvas, 0.0, 0.0)?;
    let name = name.to_owned();
    let save = Closure::once_into_js(move |made: Option<Blob>| {
        // A browser that refuses says so itself.
        drop(made.map(|made| blob(&name, &made)));
    });
    copy.to_blob(save.unchecked_ref())
}

fn blob(name: &str, blob: &Blob) -> Result<(), JsValue> {
    let document = web_sys::window().and_then(|window| window.document()).ok_or("there is no document")?;
    let url = Url::create_object_url_with_blob(blob)?;
    let anchor: HtmlAnchorElement = document.create_element("a")?.unchecked_into();
    anchor.set_href(&url);
    anchor.set_download(name);
    anchor.click();
    Url::revoke_object_url(&url)
}

/// A name for a file: words with dashes between.
pub(crate) fn file_name(words: &str, ending: &str) -> String {
    let parts = words.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    format!("{}.{ending}", parts.collect::<Vec<_>>().join("-").to_lowercase())
}

/// Planes of patches as comma-separated values, a line a patch; rows and columns count from 1, as people do.
pub(crate) fn grid_csv([_, columns]: [usize; 2], channels: &[String], planes: &[Vec<f32>]) -> String {
    let head = ["row".to_owned(), "column".to_owned()].into_iter().chain(channels.iter().cloned());
    let mut lines = vec![head.collect::<Vec<_>>().join(",")];
    for patch in 0..planes.first().map_or(0, Vec::len) {
        let place = [patch / columns.max(1) + 1, patch % columns.max(1) + 1].map(|count| count.to_string());
        let values = planes.iter().map(|plane| plane[patch].to_string());
        lines.push(place.into_iter().chain(values).collect::<Vec<_>>().join(","));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(
            file_name("Cosine with the patch in row 3, column 5", "png"),
            "cosine-with-the-patch-in-row-3-column-5.png"
        );
        assert_eq!(file_name("../Ünter & co", "csv"), "ünter-co.csv");
    }

    #[test]
    fn a_line_a_patch() {
        let text = grid_csv([2, 2], &["a".into(), "b".into()], &[vec![0.5, 1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0, 7.5]]);
        assert_eq!(text, "row,column,a,b\n1,1,0.5,4\n1,2,1,5\n2,1,2,6\n2,2,3,7.5\n");
        assert_eq!(grid_csv([0, 0], &[], &[]), "row,column\n");
    }
}
