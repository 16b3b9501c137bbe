//! The report's HTML: one page that needs nothing but itself.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lab_core::train::event::Verdict;

use super::super::looks::{Moment, Picture};
use super::super::plain::people;
use super::super::story::{Group, Series, Story, short, verdict_word};
use super::plot::{Line, Plot, Scale, Unit};
use crate::text;

const STYLE: &str = include_str!("style.css");
/// Points of a line: about one in three pixels of a small plot, and of one as wide as the page.
const POINTS: usize = 200;
const WIDE_POINTS: usize = 320;
const COLOURS: [&str; 7] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6"];

/// Text as HTML shows it.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page of a run. `name` is what its folder is called.
pub(super) fn page(name: &str, story: &Story, moments: &[Moment]) -> String {
    let method = story.started.as_ref().map_or("Pretraining", |run| run.method.title());
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{0}: {1}</title><style>{STYLE}</style></head><body><main><header><h1>{1} pretraining</h1>",
        escape(name),
        escape(method)
    );
    about(&mut out, name, story);
    verdict(&mut out, story);
    way(&mut out, story);
    tiles(&mut out, story);
    out += "</header>";
    curves(&mut out, story);
    album(&mut out, moments);
    incidents(&mut out, story);
    config(&mut out, story);
    let _ = write!(
        out,
        "</main><footer><p>Written by native-trainer {} on {}. Every number is in <code>{}</code> beside this page.</p>\
         </footer></body></html>",
        env!("CARGO_PKG_VERSION"),
        utc(story.now),
        super::super::jsonl::FILE
    );
    out
}

fn about(out: &mut String, name: &str, story: &Story) {
    let mut facts = vec![name.to_owned()];
    if let Some(run) = &story.started {
        facts.extend([
            run.device.clone(),
            format!("{} parameters", text::count(run.parameters)),
            text::plural(run.images, "image"),
            format!("{} images a step", run.batch_size),
        ]);
    }
    facts.extend(story.begin.map(|begin| format!("begun {}", utc(begin))));
    out.push_str("<ul class=\"about\">");
    facts.iter().for_each(|fact| _ = write!(out, "<li>{}</li>", escape(fact)));
    out.push_str("</ul>");
}

/// Class and mark of a verdict.
fn dress(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Young => ("young", "\u{25d4}"),
        Verdict::Good => ("good", "\u{2713}"),
        Verdict::Watch => ("watch", "\u{25b2}"),
        Verdict::Collapsing | Verdict::Diverging => ("bad", "\u{2715}"),
    }
}

fn verdict(out: &mut String, story: &Story) {
    let verdict = story.verdict();
    let (class, mark) = dress(verdict);
    let says = story.health.as_ref().map_or("No look at the model was made yet.", |health| &health.says);
    let mut word = verdict_word(verdict).to_owned();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let _ = write!(
        out,
        "<section class=\"verdict {class}\" aria-label=\"Verdict\"><b><span aria-hidden=\"true\">{mark}</span> {word}</b><p>{}</p></section>",
        escape(says)
    );
}

fn way(out: &mut String, story: &Story) {
    let (epoch, epochs) = story.epochs();
    let state = match (&story.finished, story.seconds_left()) {
        (Some(end), _) if end.stopped => format!("stopped after {}; it can go on", people(end.seconds)),
        (Some(end), _) => format!("finished after {}", people(end.seconds)),
        (None, Some(left)) => format!("{} left when this was written", people(left)),
        (None, None) => "running".to_owned(),
    };
    let _ = write!(
        out,
        "<section class=\"way\" aria-label=\"Progress\"><progress max=\"1\" value=\"{:.4}\"></progress><p>\
         <span>step {} of {}</span><span>epoch {epoch:.1} of {epochs:.1}</span><span>{state}</span></p></section>",
        story.share(),
        story.steps(),
        story.total_steps()
    );
}

/// The few numbers that matter most, each with what it was at first.
fn tiles(out: &mut String, story: &Story) {
    let mut tiles = Vec::new();
    let mut tile = |name: &str, group: Group, key: &str, unit: Unit| {
        let Some(curve) = story.curve(group, key) else { return };
        // The mean of the last few steps: a single one says little.
        let buckets = curve.thinned(POINTS);
        if let (Some(first), Some(last)) = (buckets.first(), buckets.last()) {
            let was = (buckets.len() > 1).then(|| format!("{} at first", unit.write(first.mean())));
            tiles.push((name.to_owned(), unit.write(last.mean()), was.unwrap_or_default()));
        }
    };
    tile("loss", Group::Loss, "loss", Unit::Number);
    tile("k-NN accuracy", Group::Health, story.judged(), Unit::Percent);
    tile("RankMe", Group::Health, "rankme", Unit::Number);
    tile("images a second", Group::Speed, "images_per_sec", Unit::Number);
    tile("waiting for images", Group::Speed, "data_wait", Unit::Percent);
    if let Some(saved) = &story.saved {
        tiles.push(("saved at step".to_owned(), saved.step.to_string(), utc(saved.time)));
    }
    if tiles.is_empty() {
        return;
    }
    out.push_str("<dl class=\"tiles\">");
    for (name, value, was) in &tiles {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{}</dd><dd>{}</dd></div>", escape(value), escape(was));
    }
    out.push_str("</dl>");
}

/// A plot to be: what it is called, what it means, what it shows.
struct Wish<'a> {
    title: &'a str,
    hint: &'a str,
    series: Vec<&'a Series>,
    unit: Unit,
    wide: bool,
    /// Which scale comes first, and whether the other can be chosen.
    first: Scale,
    both: bool,
}

/// Titles and meanings of figures that we know.
const KNOWN: [(&str, &str, &str, Unit); 12] = [
    ("lr", "Learning rate", "As the schedule sets it.", Unit::Number),
    ("weight_decay", "Weight decay", "Rises by a cosine.", Unit::Number),
    ("momentum", "Teacher momentum", "Share of the old teacher that each step keeps.", Unit::Fine),
    ("teacher_temp", "Teacher temperature", "Of its softmax; lower is sharper.", Unit::Number),
    (
        "teacher_entropy",
        "Teacher entropy",
        "As a share of the most possible. Near 100 % it says the same of every image, near 0 % it uses a single prototype.",
        Unit::Percent,
    ),
    (
        "information",
        "Information",
        "What the teacher's answer tells of the image, as a share of the most possible. 0: every image gets the same answer.",
        Unit::Number,
    ),
    ("kl", "Teacher to student", "Kullback-Leibler divergence; what the student still has to learn.", Unit::Number),
    ("center_norm", "Norm of the centre", "The teacher's running mean.", Unit::Number),
    ("rankme", "RankMe", "In how many directions features spread. A fall warns of collapse.", Unit::Number),
    (
        "feature_std",
        "Feature deviation",
        "How much features differ from image to image; 0 when all images become one.",
        Unit::Number,
    ),
    ("images_per_sec", "Images a second", "Waiting included.", Unit::Number),
    ("data_wait", "Waiting for images", "Share of a step in which the device had nothing to do.", Unit::Percent),
];

fn wish(series: &Series) -> Wish<'_> {
    let known = KNOWN.iter().find(|(name, ..)| *name == series.name);
    let (_, title, hint, unit) = known.copied().unwrap_or((&series.name, &series.name, "", Unit::Number));
    let both = series.name == "lr";
    Wish { title, hint, series: vec![series], unit, wide: false, first: Scale::Linear, both }
}

fn curves(out: &mut String, story: &Story) {
    let all = |group| story.group(group).filter(|series| !series.curve.is_empty()).collect::<Vec<_>>();
    let mut losses = all(Group::Loss);
    // A single term is the loss itself.
    if losses.len() == 2 {
        losses.truncate(1);
    }
    let loss = Wish {
        title: "Loss",
        hint: if losses.len() > 1 { "The objective and its terms, as they enter it." } else { "" },
        series: losses,
        unit: Unit::Number,
        wide: true,
        first: Scale::Linear,
        both: true,
    };
    let norms = Wish {
        title: "Norms of the gradients",
        hint: "Before clipping.",
        series: all(Group::Norm),
        first: Scale::Log,
        wide: false,
        ..loss
    };
    let (neighbours, health): (Vec<_>, Vec<_>) =
        all(Group::Health).into_iter().partition(|series| series.name.starts_with("knn_"));
    let neighbours = Wish {
        title: "k-NN accuracy",
        hint: "How often the nearest images have the same label: by the class token, by the mean of the patches, and by the pixels without any network.",
        series: neighbours,
        unit: Unit::Percent,
        first: Scale::Linear,
        wide: false,
        both: false,
    };
    // Steps tell some figures that looks tell as well.
    let health = health.into_iter().filter(|series| story.curve(Group::Teacher, &series.name).is_none());
    let sections: [(&str, &str, Vec<Wish<'_>>); 4] = [
        (
            "Learning",
            "A line is the mean of neighbouring steps, the band behind it reaches from their least to their most, over the number of the step. A dotted upright: the run went on after a pause.",
            vec![loss],
        ),
        (
            "Health",
            "Whether features stay rich: none of this needs labels, save k-NN.",
            std::iter::once(neighbours).chain(health.chain(all(Group::Teacher)).map(wish)).collect(),
        ),
        ("Optimiser", "", std::iter::once(norms).chain(all(Group::Schedule).into_iter().map(wish)).collect()),
        ("Speed", "", all(Group::Speed).into_iter().map(wish).collect()),
    ];
    for (title, hint, wishes) in &sections {
        let figures: String = wishes.iter().filter_map(|wish| figure(wish, story)).collect();
        if figures.is_empty() {
            continue;
        }
        let _ = write!(
            out,
            "<section><h2>{title}</h2><p class=\"hint\">{hint}</p><div class=\"plots\">{figures}</div></section>"
        );
    }
}

fn figure(wish: &Wish<'_>, story: &Story) -> Option<String> {
    let points = if wish.wide { WIDE_POINTS } else { POINTS };
    // The objective is drawn in ink, all others in colours.
    let ink = usize::from(wish.series.first()?.name != "loss");
    let colour = |at: usize| COLOURS[if at + ink == 0 { 0 } else { 1 + (at + ink - 1) % 6 }];
    let lines = wish.series.iter().enumerate();
    let lines: Vec<Line> =
        lines.map(|(at, series)| Line { colour: colour(at), buckets: series.curve.thinned(points) }).collect();
    let mut says = String::from(wish.hint);
    for (series, line) in wish.series.iter().zip(&lines) {
        let (first, last) = (line.buckets.first()?.mean(), line.buckets.last()?.mean());
        let [first, last] = [first, last].map(|value| wish.unit.write(value));
        let _ = write!(says, " {}: from {first} to {last}.", short(&series.name));
    }
    let id: String = wish.title.chars().filter(char::is_ascii_alphanumeric).collect();
    let plot = Plot {
        id: &id,
        title: wish.title,
        says: says.trim(),
        lines: &lines,
        steps: story.steps().saturating_sub(1) as f64,
        resumed: &story.resumed,
        unit: wish.unit,
    };
    let both = wish.both && plot.fits_log();
    let first = if both || plot.fits_log() { wish.first } else { Scale::Linear };
    let wide = if wish.wide { " class=\"wide\"" } else { "" };
    let mut out = format!("<figure{wide}><figcaption><h3>{}</h3>", escape(wish.title));
    if both {
        let checked = |scale| if scale == first { " checked" } else { "" };
        let _ = write!(
            out,
            "<span class=\"switch\" role=\"radiogroup\" aria-label=\"Scale of {id}\">\
             <label><input type=\"radio\" name=\"{id}\"{}>linear</label>\
             <label><input type=\"radio\" name=\"{id}\" class=\"to-log\"{}>log</label></span>",
            checked(Scale::Linear),
            checked(Scale::Log)
        );
    }
    if !wish.hint.is_empty() {
        let _ = write!(out, "<p class=\"hint\">{}</p>", escape(wish.hint));
    }
    out += "<ul class=\"key\">";
    for (series, line) in wish.series.iter().zip(&lines) {
        let name = if wish.series.len() == 1 { "now".to_owned() } else { short(&series.name) };
        let value = line.buckets.last().map_or(f64::NAN, |bucket| bucket.mean());
        let (name, value) = (escape(&name), wish.unit.write(value));
        let _ = write!(out, "<li><i class=\"{}\"></i>{name} <b>{value}</b></li>", line.colour);
    }
    out += "</ul></figcaption>";
    if both {
        let _ = write!(out, "<div class=\"linear\">{}</div>", plot.html(Scale::Linear)?);
        let _ = write!(out, "<div class=\"log\">{}</div>", plot.html(Scale::Log)?);
    } else {
        out += &plot.html(first)?;
    }
    Some(out + "</figure>")
}

fn image(picture: &Picture, says: &str) -> String {
    format!(
        "<img src=\"data:image/png;base64,{}\" width=\"{}\" height=\"{}\" alt=\"{}\">",
        STANDARD.encode(&picture.png),
        picture.width,
        picture.height,
        escape(says)
    )
}

/// Pictures over time: rows are images, columns are moments. What never changes stands once, at the left.
fn album(out: &mut String, moments: &[Moment]) {
    let Some(last) = moments.last() else { return };
    // `image`, and whatever is the same at all moments.
    let still = |row: usize, column: usize| {
        let same =
            |moment: &Moment| moment.rows.get(row).and_then(|row| row.get(column)) == Some(&last.rows[row][column]);
        last.rows[row][column].title == "image" || moments.len() > 1 && moments.iter().all(same)
    };
    out.push_str(
        "<section><h2>Pictures</h2><p class=\"hint\">The same held-out images at a few moments of the run.</p>\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Pictures over time\"><table class=\"album\"><thead><tr><td class=\"still\"></td><td></td>",
    );
    for moment in moments {
        let _ = write!(out, "<th scope=\"col\"><b>step {}</b>epoch {:.1}</th>", moment.step, moment.epoch);
    }
    out.push_str("</tr></thead><tbody>");
    for (row, pictures) in last.rows.iter().enumerate() {
        let columns = 0..pictures.len();
        let (stills, moving): (Vec<_>, Vec<_>) = columns.partition(|column| still(row, *column));
        let left: String = stills
            .iter()
            .map(|column| image(&pictures[*column], &format!("image {}: {}", row + 1, pictures[*column].title)))
            .collect();
        for turn in 0..moving.len().max(1) {
            let next = if turn == 0 && row > 0 { " class=\"next\"" } else { "" };
            let _ = write!(out, "<tr{next}>");
            if turn == 0 {
                let _ = write!(out, "<td class=\"still\" rowspan=\"{}\">{left}</td>", moving.len().max(1));
            }
            if let Some(column) = moving.get(turn) {
                let _ = write!(out, "<th scope=\"row\">{}</th>", escape(&pictures[*column].title));
                for moment in moments {
                    let picture = moment.rows.get(row).and_then(|row| row.get(*column));
                    let says = format!("image {}, step {}: {}", row + 1, moment.step, pictures[*column].title);
                    let picture = picture.map(|picture| image(picture, &says)).unwrap_or_default();
                    let _ = write!(out, "<td>{picture}</td>");
                }
            }
            out.push_str("</tr>");
        }
    }
    out.push_str("</tbody></table></div></section>");
}

fn incidents(out: &mut String, story: &Story) {
    out.push_str("<section><h2>Incidents</h2>");
    if story.warnings.count + story.bad_steps.count + story.bad_images.count == 0 {
        out.push_str("<p class=\"hint\">No warnings, no bad steps, no bad images.</p></section>");
        return;
    }
    let step = |step: u64| format!("step {step}");
    let warnings = story.warnings.iter().rev().map(|(at, message)| (step(*at), message.clone())).collect();
    list(out, story.warnings.count, "warning", warnings);
    let bad_steps = story.bad_steps.iter().rev();
    let bad_steps = bad_steps.map(|bad| {
        (step(bad.step), format!("{} was not finite; nothing was updated. Replay: {}", bad.what, bad.replay))
    });
    list(out, story.bad_steps.count, "bad step", bad_steps.collect());
    let bad_images = story.bad_images.iter().rev();
    let bad_images = bad_images.map(|(name, reason)| (String::new(), format!("{name}: {reason}")));
    list(out, story.bad_images.count, "bad image", bad_images.collect());
    out.push_str("</section>");
}

fn list(out: &mut String, count: u64, word: &str, entries: Vec<(String, String)>) {
    if count == 0 {
        return;
    }
    let shown = entries.len() as u64;
    let newest = if shown < count { format!(", the newest {shown}") } else { String::new() };
    let _ = write!(out, "<h3 class=\"gap\">{}{newest}</h3><ul class=\"list\">", text::plural(count, word));
    for (at, entry) in entries {
        let at = if at.is_empty() { at } else { format!("<span class=\"at\">{at}</span>") };
        let _ = write!(out, "<li>{at}{}</li>", escape(&entry));
    }
    out.push_str("</ul>");
}

/// The configuration, a block a section.
fn config(out: &mut String, story: &Story) {
    let Some(run) = &story.started else { return };
    out.push_str("<section><h2>Configuration</h2><details open><summary>All settings of the run</summary><div class=\"config\"><div>");
    for line in run.config.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if line.starts_with('[') && line.ends_with(']') {
            let _ = writeln!(out, "</div><div><b>{}</b>", escape(line));
            continue;
        }
        let _ = match line.split_once(" = ") {
            Some((key, value)) => writeln!(out, "<i>{} =</i> {}", escape(key), escape(value)),
            None => writeln!(out, "{}", escape(line)),
        };
    }
    out.push_str("</div></div></details></section>");
}

/// `2026-11-23 22:57 UTC` from seconds since 1970.
fn utc(time: f64) -> String {
    let minutes = (time / 60.0).floor() as i64;
    let (days, minute) = (minutes.div_euclid(24 * 60), minutes.rem_euclid(24 * 60));
    // Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March, eras have 400 of them.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right() {
        for (time, expected) in [
            (0.0, "1970-01-01 00:00 UTC"),
            (951_782_399.0, "2000-02-28 23:59 UTC"),
            (951_825_600.0, "2000-02-29 12:00 UTC"),
            (1_795_474_620.0, "2026-11-23 22:57 UTC"),
        ] {
            assert_eq!(utc(time), expected);
        }
    }

    #[test]
    fn numbers_without_a_name_of_ours_are_drawn_as_well() {
        let mut story = Story::default();
        let health = lab_core::train::event::Health {
            figures: vec![("something_new".into(), 3.0), ("rankme".into(), 40.0)],
            ..super::super::super::made_up::health(10, 100)
        };
        story.apply(&lab_core::train::event::Event::Health(health), 0.0);
        let page = page("run", &story, &[]);
        assert!(page.contains("<h3>something_new</h3>") && page.contains("<h3>RankMe</h3>"));
        assert!(page.contains("now <b>3.000</b>"));
    }
}
