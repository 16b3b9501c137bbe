//! A small picture from its bytes, as an `img` with a text for those who do not see it.

use leptos::prelude::*;

/// Pixels that came from the engine, shown without smoothing.
#[component]
pub(crate) fn Thumbnail(
    /// Where the pixels are: a [`url`].
    src: String,
    /// What it shows, in words.
    alt: String,
    /// Width over height is kept; this says how wide it may grow.
    #[prop(optional)]
    wide: bool,
) -> impl IntoView {
    view! { <img class="thumb" class:wide=wide src=src alt=alt decoding="async" /> }
}

/// A `data:` address of RGBA bytes, as an uncompressed BMP: every browser shows it, and nothing has to be drawn.
pub(crate) fn url(width: u32, height: u32, rgba: &[u8]) -> String {
    let row = (3 * width as usize).next_multiple_of(4);
    let size = row * height as usize;
    let mut bytes = Vec::with_capacity(54 + size);
    let word = |bytes: &mut Vec<u8>, value: u32| bytes.extend(value.to_le_bytes());
    bytes.extend(b"BM");
    [54 + size as u32, 0, 54, 40, width].into_iter().for_each(|value| word(&mut bytes, value));
    // A negative height: rows run from the top.
    bytes.extend((-(height as i32)).to_le_bytes());
    bytes.extend([1, 0, 24, 0]); // one plane, 24 bits
    [0, size as u32, 2835, 2835, 0, 0].into_iter().for_each(|value| word(&mut bytes, value));
    for pixels in rgba.chunks_exact(4 * width as usize).take(height as usize) {
        let start = bytes.len();
        bytes.extend(pixels.chunks_exact(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]));
        bytes.resize(start + row, 0);
    }
    format!("data:image/bmp;base64,{}", base64(&bytes))
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place <= chunk.len() {
                text.push(char::from(LETTERS[(word >> (18 - 6 * place) & 63) as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_bmp_has_its_rows_from_the_top() {
        let url = url(1, 2, &[255, 0, 0, 255, 0, 0, 255, 255]);
        assert!(url.starts_with("data:image/bmp;base64,Qk0"), "{url}");
        // 54 bytes of header and two rows of four: 62 bytes, 84 letters.
        assert_eq!(url.len(), "data:image/bmp;base64,".len() + 84);
    }
}
