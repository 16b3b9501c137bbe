//! The dashboard's picture: a function of the story alone.

use lab_core::train::event::Verdict;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Clear, Dataset, GraphType, Paragraph, Wrap};

use super::super::curve::Curve;
use super::super::plain::people;
use super::super::story::{Group, Series, Story, number, short, verdict_word};
use super::super::{Asked, Work};

/// What keys have chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Heights by powers of ten.
    pub(super) log: bool,
    /// The help is open.
    pub(super) help: bool,
}

/// The sixteen colours of every terminal, as its owner has set them; the objective has that of the text.
const COLOURS: [Color; 6] = [Color::Reset, Color::Blue, Color::Yellow, Color::Green, Color::Magenta, Color::Cyan];
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Heights and widths under which only the most important is shown.
const SMALL: (u16, u16) = (64, 18);

/// Draws the run `name` as it stands at `now`, seconds since 1970.
pub(super) fn draw(frame: &mut Frame<'_>, name: &str, story: &Story, options: Options, asked: Option<Asked>, now: f64) {
    let area = frame.area();
    if area.width < SMALL.0 || area.height < SMALL.1 {
        small(frame, area, name, story, options);
    } else {
        large(frame, area, name, story, options, now);
    }
    foot(frame, Rect { y: area.bottom().saturating_sub(1), height: area.height.min(1), ..area }, asked);
    if options.help {
        help(frame, area);
    }
}

fn large(frame: &mut Frame<'_>, area: Rect, name: &str, story: &Story, options: Options, now: f64) {
    let news = (area.height / 10).clamp(1, 5);
    let [top, way, middle, facts, latest, _foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(6),
        Constraint::Length(3),
        Constraint::Length(news),
        Constraint::Length(1),
    ])
    .areas(area);
    head(frame, top, name, story);
    progress(frame, way, story);
    let [left, right] = Layout::horizontal([Constraint::Percentage(60), Constraint::Fill(1)]).areas(middle);
    losses(frame, left, story, options.log);
    health(frame, right, story);
    frame.render_widget(Paragraph::new(fact_lines(story, now)), facts);
    warnings(frame, latest, story);
}

fn small(frame: &mut Frame<'_>, area: Rect, name: &str, story: &Story, options: Options) {
    let [top, way, word, chart, facts, _foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    head(frame, top, name, story);
    progress(frame, way, story);
    frame.render_widget(Paragraph::new(verdict_line(story)), word);
    losses(frame, chart, story, options.log);
    let speed = story.last.as_ref().map(|step| format!("{:.0} images/s  lr {:.1e}", step.images_per_sec, step.lr));
    frame.render_widget(Paragraph::new(speed.unwrap_or_default()).dim(), facts);
}

fn head(frame: &mut Frame<'_>, area: Rect, name: &str, story: &Story) {
    let (method, device) = story
        .started
        .as_ref()
        .map_or_else(|| ("starting", String::new()), |run| (run.method.title(), run.device.clone()));
    let (epoch, epochs) = story.epochs();
    let right = format!("epoch {epoch:.1}/{epochs:.1}");
    let left = Line::from(vec![method.bold(), format!("  {name}").into(), format!("  {device}").dim()]);
    let [place, end] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(right.chars().count() as u16 + 1)]).areas(area);
    frame.render_widget(Paragraph::new(left), place);
    frame.render_widget(Paragraph::new(right).right_aligned(), end);
}

fn progress(frame: &mut Frame<'_>, area: Rect, story: &Story) {
    let left = match (story.finished, story.seconds_left()) {
        (Some(end), _) if end.stopped => "stopped".to_owned(),
        (Some(_), _) => "finished".to_owned(),
        (None, Some(left)) => format!("{} left", people(left)),
        (None, None) => String::new(),
    };
    let before = format!("step {}/{} ", story.steps(), story.total_steps());
    let after = format!(" {:.0}% {left}", 100.0 * story.share());
    let room = usize::from(area.width).saturating_sub(before.chars().count() + after.chars().count());
    let done = (room as f64 * story.share()).round() as usize;
    let bar = vec![before.into(), "━".repeat(done).blue(), "─".repeat(room - done).dim(), after.into()];
    frame.render_widget(Paragraph::new(Line::from(bar)), area);
}

fn losses(frame: &mut Frame<'_>, area: Rect, story: &Story, log: bool) {
    let mut all: Vec<&Series> = story.group(Group::Loss).filter(|series| !series.curve.is_empty()).collect();
    // A single term is the loss itself.
    if all.len() == 2 {
        all.truncate(1);
    }
    let colour = |at: usize| Style::new().fg(COLOURS[at % COLOURS.len()]);
    let label = |(at, series): (usize, &&Series)| {
        let value = series.curve.last().map_or(f64::NAN, |(_, value)| value);
        Span::styled(format!(" {} {}", short(&series.name), brief(value)), colour(at))
    };
    let mut labels = all.iter().enumerate().map(label);
    let objective = Line::from(vec![labels.next().unwrap_or_default().bold(), " ".into()]);
    let terms: Line<'_> = labels.chain([Span::raw(" ")]).collect();
    let mut block = Block::bordered().border_style(Style::new().dim()).title(objective);
    if all.len() > 1 {
        block = block.title_bottom(terms);
    }
    if log {
        block = block.title(Line::from(" log ").right_aligned());
    }
    if area.height < 4 || area.width < 16 {
        frame.render_widget(block, area);
        return;
    }
    // Two dots a column.
    let tall = |value: f64| if log { value.log10() } else { value };
    let points: Vec<Vec<(f64, f64)>> = all
        .iter()
        .map(|series| {
            let mut buckets = series.curve.thinned(usize::from(area.width) * 2);
            // What is not always above 0 has no place among powers of ten.
            if log && buckets.iter().any(|bucket| bucket.mean() <= 0.0) {
                buckets.clear();
            }
            let points = buckets.iter().map(|bucket| (bucket.x(), tall(bucket.mean())));
            points.filter(|(_, y)| y.is_finite()).collect()
        })
        .collect();
    let heights = || points.iter().flatten().map(|(_, y)| *y);
    let (low, high) = (heights().fold(f64::INFINITY, f64::min), heights().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        let word = Paragraph::new("no step yet").dim().block(block);
        frame.render_widget(word, area);
        return;
    }
    let room = if high > low { 0.05 * (high - low) } else { 0.1 * high.abs().max(1.0) };
    let bounds = [low - room, high + room];
    let value = |share: f64| {
        let height = bounds[0] + share * (bounds[1] - bounds[0]);
        brief(if log { 10_f64.powf(height) } else { height })
    };
    let last = points.iter().flatten().map(|(x, _)| *x).fold(1.0, f64::max);
    // The last drawn lies on top: the objective.
    let sets = points.iter().enumerate().rev().map(|(at, data)| {
        Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(colour(at)).data(data)
    });
    let dim = Style::new().dim();
    let chart = Chart::new(sets.collect())
        .block(block)
        .x_axis(Axis::default().style(dim).bounds([0.0, last]).labels(["0".to_owned(), format!("{last:.0}")]))
        .y_axis(Axis::default().style(dim).bounds(bounds).labels([value(0.0), value(0.5), value(1.0)]))
        .legend_position(None);
    frame.render_widget(chart, area);
}

/// Colour and mark of a verdict.
fn dress(verdict: Verdict) -> (Color, char) {
    match verdict {
        Verdict::Young => (Color::Cyan, '…'),
        Verdict::Good => (Color::Green, '✓'),
        Verdict::Watch => (Color::Yellow, '!'),
        Verdict::Collapsing | Verdict::Diverging => (Color::Red, '✗'),
    }
}

fn verdict_line(story: &Story) -> Line<'static> {
    let (colour, mark) = dress(story.verdict());
    let word = Span::styled(format!("{mark} {}", verdict_word(story.verdict())), Style::new().fg(colour).bold());
    let figure = |name: &str| Some(format!("  {} {}", short(name), figure_text(name, story.figure(name)?.last()?.1)));
    Line::from(vec![word, ["rankme", story.judged()].into_iter().filter_map(figure).collect::<String>().into()])
}

fn health(frame: &mut Frame<'_>, area: Rect, story: &Story) {
    let (colour, mark) = dress(story.verdict());
    let title = Line::styled(format!(" {mark} {} ", verdict_word(story.verdict())), Style::new().fg(colour).bold());
    let block = Block::bordered().border_style(Style::new().fg(colour)).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let figures = figures(story);
    let rows = (figures.len() as u16).min(inner.height.saturating_sub(3));
    let [words, sparks] = Layout::vertical([Constraint::Min(0), Constraint::Length(rows)]).areas(inner);
    let says = story.health.as_ref().map_or("no look at the model yet", |health| &health.says);
    frame.render_widget(Paragraph::new(says).wrap(Wrap { trim: true }), words);
    let lines = figures.iter().take(usize::from(rows)).filter_map(|(name, curve)| {
        let (_, value) = curve.last()?;
        let label = format!("{:<11.11} {:>6} ", short(name), figure_text(name, value));
        let room = usize::from(inner.width).saturating_sub(label.chars().count());
        Some(Line::from(vec![label.into(), Span::styled(spark(curve, room), Style::new().fg(Color::Blue))]))
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), sparks);
}

/// The figures of teacher and looks, the best known first, each once.
fn figures(story: &Story) -> Vec<(&str, &Curve)> {
    let first = ["rankme", story.judged(), "knn_pixels", "teacher_entropy", "feature_std"];
    let others = story.group(Group::Health).chain(story.group(Group::Teacher)).map(|series| series.name.as_str());
    let mut names: Vec<&str> = Vec::new();
    for name in first.into_iter().chain(others) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into_iter().filter_map(|name| Some((name, story.figure(name)?))).collect()
}

fn figure_text(name: &str, value: f64) -> String {
    if name == "teacher_entropy" || name.starts_with("knn_") { format!("{:.1}%", 100.0 * value) } else { brief(value) }
}

/// A number in about three digits.
fn brief(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.2}"),
        _ => number(value),
    }
}

/// A curve in a line of `width` characters, from its least to its most.
fn spark(curve: &Curve, width: usize) -> String {
    if width == 0 {
        return String::new();
    }
    let means: Vec<f64> = curve.thinned(width).iter().map(|bucket| bucket.mean()).collect();
    let (low, high) = means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), y| (l.min(*y), h.max(*y)));
    let top = (SPARKS.len() - 1) as f64;
    let level = |y: f64| if high > low { (y - low) / (high - low) * top } else { top / 2.0 };
    means.iter().map(|y| SPARKS[(level(*y).round() as usize).min(SPARKS.len() - 1)]).collect()
}

fn fact_lines(story: &Story, now: f64) -> Vec<Line<'static>> {
    let Some(step) = &story.last else { return Vec::new() };
    let fact = |name: &str, value: String| [format!("{name} ").dim(), format!("{value}  ").into()];
    let mut schedule = Vec::from(fact("lr", format!("{:.1e}", step.lr)));
    schedule.extend(fact("weight decay", number(step.weight_decay)));
    for (name, value) in [("momentum", step.momentum), ("teacher temp", step.teacher_temp)] {
        if value != 0.0 {
            schedule.extend(fact(name, format!("{value:.4}")));
        }
    }
    let norms = step.norms.iter().flat_map(|(name, value)| fact(&short(name), number(*value)));
    let mut speed = vec![format!("{:.0} images/s  ", step.images_per_sec).into()];
    speed.extend(fact("data wait", format!("{:.0}%", 100.0 * step.data_wait)));
    if let Some(saved) = &story.saved {
        speed.extend(fact("saved step", format!("{}, {} ago", saved.step, people((now - saved.time).max(0.0)))));
    }
    for (name, count) in [("bad images", story.bad_images.count), ("bad steps", story.bad_steps.count)] {
        if count > 0 {
            speed.extend(fact(name, count.to_string()));
        }
    }
    let norms: Vec<Span<'static>> = std::iter::once("gradients  ".dim()).chain(norms).collect();
    vec![Line::from(schedule), Line::from(norms), Line::from(speed)]
}

fn warnings(frame: &mut Frame<'_>, area: Rect, story: &Story) {
    let newest = story.warnings.iter().rev().take(usize::from(area.height));
    let lines: Vec<Line<'_>> =
        newest.map(|(step, message)| Line::from(format!("! step {step}: {message}")).yellow()).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn foot(frame: &mut Frame<'_>, area: Rect, asked: Option<Asked>) {
    let line = match asked {
        Some(asked) => Line::from(asked.says(Work::Training)).reversed(),
        None => {
            Line::from(vec!["q".bold(), " stop  ".dim(), "l".bold(), " log scale  ".dim(), "?".bold(), " help".dim()])
        }
    };
    frame.render_widget(Paragraph::new(line), area);
}

const HELP: [(&str, &str); 5] = [
    ("q", "stop after this step and save"),
    ("Ctrl-C", "the same; a third time ends at once"),
    ("l", "loss by powers of ten, or evenly"),
    ("?", "this help"),
    ("", "The run can be gone on with later."),
];

fn help(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (48.min(area.width), (HELP.len() as u16 + 2).min(area.height));
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    let lines = HELP.iter().map(|(key, says)| Line::from(vec![format!("{key:>7}  ").bold(), (*says).into()]));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(Block::bordered().title(" help ")), place);
}

#[cfg(test)]
mod tests {
    use lab_core::train::event::Event;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::super::made_up;
    use super::*;

    fn story() -> Story {
        let mut story = Story::default();
        for (number, event) in made_up::run(0, 300, 400).iter().enumerate() {
            story.apply(event, 1000.0 + number as f64);
        }
        story.apply(&Event::Warning { message: "the disk is nearly full".into() }, 1400.0);
        story
    }

    /// The picture as lines of text.
    fn picture(story: &Story, size: (u16, u16), options: Options, asked: Option<Asked>) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).expect("no terminal is needed");
        terminal.draw(|frame| draw(frame, "run-7", story, options, asked, 1460.0)).expect("drawn");
        let cells = terminal.backend().buffer().content();
        cells.chunks(size.0.into()).map(|line| line.iter().map(|cell| cell.symbol()).collect()).collect()
    }

    fn braille(lines: &[String]) -> usize {
        lines.iter().flat_map(|line| line.chars()).filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count()
    }

    #[track_caller]
    fn contains(lines: &[String], expected: &[&str]) {
        let text = lines.join("\n");
        for expected in expected {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
    }

    #[test]
    fn a_usual_terminal_shows_everything() {
        let lines = picture(&story(), (80, 24), Options::default(), None);
        contains(
            &lines,
            &[
                "DINOv2  run-7",
                "epoch 0.6/0.8",
                "step 300/400 ━",
                "75%",
                "left",
                "✓ learning",
                "Features spread",
                "RankMe",
                "k-NN",
                "entropy",
                "feature std",
                "lr ",
                "weight decay",
                "momentum",
                "backbone",
                "images/s",
                "data wait",
                "saved step 280",
                "! step 300: the disk is nearly full",
                "q stop  l log scale  ? help",
                "local",
                "koleo",
            ],
        );
        assert!(braille(&lines) > 60, "the chart is drawn:\n{}", lines.join("\n"));
        assert!(lines.iter().any(|line| line.chars().filter(|c| SPARKS.contains(c)).count() >= 5));
    }

    #[test]
    fn a_small_terminal_shows_what_matters_most() {
        let lines = picture(&story(), (40, 12), Options::default(), None);
        contains(&lines, &["DINOv2", "step 300/400", "75%", "✓ learning", "RankMe", "images/s", "q stop"]);
        assert!(braille(&lines) > 10, "the chart is drawn:\n{}", lines.join("\n"));
    }

    #[test]
    fn keys_change_the_picture() {
        let story = story();
        contains(&picture(&story, (80, 24), Options { log: true, help: false }, None), &[" log "]);
        contains(&picture(&story, (80, 24), Options { log: false, help: true }, None), &["help", "Ctrl-C"]);
        contains(
            &picture(&story, (80, 24), Options::default(), Some(Asked::Stopping)),
            &["Stopping after this step; the run is saved and can go on."],
        );
    }

    #[test]
    fn verdicts_have_words_and_colours() {
        let mut story = story();
        let health = lab_core::train::event::Health { verdict: Verdict::Collapsing, ..made_up::health(300, 400) };
        story.apply(&Event::Health(health), 1500.0);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("no terminal is needed");
        terminal.draw(|frame| draw(frame, "run-7", &story, Options::default(), None, 1500.0)).expect("drawn");
        let red: String = terminal
            .backend()
            .buffer()
            .content()
            .iter()
            .filter(|cell| cell.fg == Color::Red)
            .map(|c| c.symbol())
            .collect();
        assert!(red.contains("✗ collapsing"), "{red}");
    }

    #[test]
    fn no_size_and_no_moment_is_too_small() {
        let options = Options { log: true, help: true };
        for size in [(1, 1), (3, 2), (20, 5), (63, 40), (200, 6), (250, 90)] {
            picture(&Story::default(), size, options, Some(Asked::Saving));
            picture(&story(), size, options, None);
        }
    }
}
