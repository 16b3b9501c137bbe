//! A figure as one picture for a paper or a lesson: its title, whose it is, the picture, its colour scale and its caption,
//! as they stand on the page, dark on white.

use wasm_bindgen::prelude::*;
use web_sys::{CanvasRenderingContext2d, Element, HtmlCanvasElement};

/// No plate is narrower, in pixels: its words must be read.
const LEAST_WIDTH: f64 = 640.0;
const MARGIN: f64 = 24.0;
const INK: &str = "#1b1b1b";
const QUIET: &str = "#5a5a5a";
/// Height of a line, as a multiple of its letters'.
const LEADING: f64 = 1.35;

/// Words below each other, wrapped.
struct Words {
    text: String,
    /// Height of the letters, in pixels.
    size: f64,
    bold: bool,
    colour: &'static str,
}

/// A canvas with the plate of a figure whose picture is on `canvas`; `who` computed it.
///
/// # Errors
///
/// The browser's.
pub(crate) fn of(canvas: &HtmlCanvasElement, who: &str) -> Result<HtmlCanvasElement, JsValue> {
    let figure = canvas.closest("figure")?.ok_or("the picture is in no figure")?;
    let said = |selector: &str| -> Result<String, JsValue> {
        let found = figure.query_selector(selector)?.and_then(|element| element.text_content());
        Ok(found.unwrap_or_default().trim().to_owned())
    };
    let by = said(".by")?;
    let head = [
        Words { text: said("h2")?, size: 26.0, bold: true, colour: INK },
        Words { text: if by.is_empty() { who.to_owned() } else { by }, size: 17.0, bold: false, colour: QUIET },
    ];
    let caption = said("figcaption .what")?;
    let foot = [
        Words {
            text: if caption.is_empty() { said("figcaption")? } else { caption },
            size: 19.0,
            bold: false,
            colour: INK,
        },
        Words { text: said("figcaption .numbers")?, size: 17.0, bold: false, colour: QUIET },
    ];
    let scale = figure.query_selector(".scale:not(.blank)")?.map(Scale::of).transpose()?.flatten();

    let width = f64::from(canvas.width()).max(LEAST_WIDTH);
    let height = width * f64::from(canvas.height()) / f64::from(canvas.width().max(1));
    let document = figure.owner_document().ok_or("there is no document")?;
    let plate: HtmlCanvasElement = document.create_element("canvas")?.unchecked_into();
    let context: CanvasRenderingContext2d = plate.get_context("2d")?.ok_or("no 2d context")?.unchecked_into();
    let pen = Pen { context, family: family(&figure)?, width };
    // Measured first: a canvas that is given its size forgets what is on it.
    let [over, under] = [&head, &foot].map(|words| words.iter().map(|words| pen.height(words)).sum::<Result<f64, _>>());
    let between = scale.as_ref().map_or(0.0, |_| Scale::HEIGHT);
    plate.set_width((width + 2.0 * MARGIN) as u32);
    plate.set_height((over? + height + between + under? + 2.5 * MARGIN) as u32);

    pen.context.set_fill_style_str("#ffffff");
    pen.context.fill_rect(0.0, 0.0, f64::from(plate.width()), f64::from(plate.height()));
    let mut top = MARGIN;
    for words in &head {
        top = pen.write(words, top)?;
    }
    // A patch stays a square.
    pen.context.set_image_smoothing_enabled(f64::from(canvas.width()) >= width);
    pen.context.draw_image_with_html_canvas_element_and_dw_and_dh(canvas, MARGIN, top, width, height)?;
    top += height + MARGIN / 2.0;
    if let Some(scale) = scale {
        scale.draw(&pen, top)?;
        top += Scale::HEIGHT;
    }
    for words in &foot {
        top = pen.write(words, top)?;
    }
    Ok(plate)
}

/// The page's letters.
fn family(figure: &Element) -> Result<String, JsValue> {
    let window = web_sys::window().ok_or("there is no window")?;
    let style = window.get_computed_style(figure)?.ok_or("the figure has no style")?;
    style.get_property_value("font-family")
}

/// Writes within the margins.
struct Pen {
    context: CanvasRenderingContext2d,
    family: String,
    width: f64,
}

impl Pen {
    fn dip(&self, size: f64, bold: bool, colour: &str) {
        let weight = if bold { "bold " } else { "" };
        self.context.set_font(&format!("{weight}{size}px {}", self.family));
        self.context.set_fill_style_str(colour);
        self.context.set_text_baseline("top");
    }

    /// The words in lines that are no wider than the picture; a word that is wider stands alone.
    fn lines(&self, words: &Words) -> Result<Vec<String>, JsValue> {
        self.dip(words.size, words.bold, words.colour);
        let mut lines: Vec<String> = Vec::new();
        for word in words.text.split_whitespace() {
            let longer = lines.last().map(|line| format!("{line} {word}"));
            match longer {
                Some(longer) if self.context.measure_text(&longer)?.width() <= self.width => {
                    lines.pop();
                    lines.push(longer);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        Ok(lines)
    }

    fn height(&self, words: &Words) -> Result<f64, JsValue> {
        Ok(self.lines(words)?.len() as f64 * words.size * LEADING)
    }

    /// Writes from `top` on; where the next words begin.
    fn write(&self, words: &Words, mut top: f64) -> Result<f64, JsValue> {
        for line in self.lines(words)? {
            self.context.fill_text_with_max_width(&line, MARGIN, top, self.width)?;
            top += words.size * LEADING;
        }
        Ok(top)
    }
}

/// The colours between two numbers.
struct Scale {
    ends: [String; 2],
    colours: Vec<String>,
}

impl Scale {
    /// With the room below it.
    const HEIGHT: f64 = 34.0;

    /// As the page shows it; nothing where it shows no colours.
    fn of(scale: Element) -> Result<Option<Self>, JsValue> {
        let (first, bar, last) = (
            scale.query_selector("span:first-child")?,
            scale.query_selector(".viridis")?,
            scale.query_selector("span:last-child")?,
        );
        let (Some(first), Some(bar), Some(last)) = (first, bar, last) else { return Ok(None) };
        let window = web_sys::window().ok_or("there is no window")?;
        let style = window.get_computed_style(&bar)?.ok_or("the scale has no style")?;
        // linear-gradient(to right, rgb(68, 1, 84), rgb(70, 50, 126), …)
        let gradient = style.get_property_value("background-image")?;
        let colours = gradient.split("rgb(").skip(1).filter_map(|part| part.split(')').next());
        let colours: Vec<_> = colours.map(|numbers| format!("rgb({numbers})")).collect();
        let ends = [first, last].map(|end| end.text_content().unwrap_or_default());
        Ok((colours.len() > 1).then_some(Self { ends, colours }))
    }

    fn draw(&self, pen: &Pen, top: f64) -> Result<(), JsValue> {
        let (size, gap) = (17.0, 10.0);
        let context = &pen.context;
        let [first, last] = &self.ends;
        pen.dip(size, false, QUIET);
        let left = MARGIN + context.measure_text(first)?.width() + gap;
        let right = MARGIN + pen.width - context.measure_text(last)?.width() - gap;
        context.fill_text(first, MARGIN, top)?;
        context.fill_text(last, right + gap, top)?;
        let gradient = context.create_linear_gradient(left, 0.0, right, 0.0);
        for (at, colour) in self.colours.iter().enumerate() {
            gradient.add_color_stop(at as f32 / (self.colours.len() - 1) as f32, colour)?;
        }
        context.set_fill_style_canvas_gradient(&gradient);
        context.fill_rect(left, top + 3.0, (right - left).max(0.0), size * 0.6);
        Ok(())
    }
}
