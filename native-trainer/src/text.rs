//! What people read: numbers with units, columns that line up, and the one error at the end.

use std::fmt::Display;
use std::io::Write as _;

use anyhow::{Context as _, Result};

/// Prints to standard output. A reader that left early (`| head`) is no error.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Prints a line to standard error; where that fails there is nobody left to tell.
pub(crate) fn note(line: &str) {
    aside(&shown(line));
}

/// Prints lines to standard error, as [`note`] does one.
pub(crate) fn aside(lines: &str) {
    drop(writeln!(std::io::stderr().lock(), "{}", escaped(lines, &['\n'])));
}

/// Prints an error and its causes, a line each; a cause that only repeats the line above is left out.
pub(crate) fn complain(error: &anyhow::Error) {
    aside(&chain(error));
}

/// A name as people are told it. Files, classes and members of archives may be called anything: a control character in
/// such a name would move the cursor, or feign a line of ours.
pub(crate) fn shown(name: impl Display) -> String {
    escaped(&name.to_string(), &[])
}

fn escaped(text: &str, but: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() && !but.contains(&char) { shown.extend(char.escape_default()) } else { shown.push(char) }
    }
    shown
}

fn chain(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !last.contains(&cause) {
            text += &format!("\n  because: {cause}");
        }
        last = cause;
    }
    text
}

/// Bytes for people: `1.5 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    scaled(count as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// A large count for people: `86.6 M`.
pub(crate) fn count(count: u64) -> String {
    scaled(count as f64, 1000.0, &["", "K", "M", "G", "T", "P"])
}

/// Floating-point operations for people: `37.5 MFLOPs`.
pub(crate) fn flops(count: u64) -> String {
    scaled(count as f64, 1000.0, &["FLOPs", "KFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs"])
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= step && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$} {}", units[unit]).trim_end().to_owned()
}

/// `1 image`, `2 images`.
pub(crate) fn plural(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// A long list of names as its first few and a number; commas between.
pub(crate) fn few(names: &[String], most: usize) -> String {
    let shown = names.iter().take(most).map(shown).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Rows as columns two spaces apart; the columns in `right` (numbers) line up at their end.
pub(crate) fn columns(rows: &[Vec<String>], right: &[usize]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..).map_while(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[column] - cell.chars().count());
            line += &if right.contains(&column) { format!("{pad}{cell}  ") } else { format!("{cell}{pad}  ") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        for (value, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (300 << 20, "300 MiB"), (u64::MAX, "16384 PiB")]
        {
            assert_eq!(bytes(value), expected);
        }
        for (value, expected) in [(7, "7"), (86_567_656, "86.6 M"), (6_411_000_000, "6.4 G")] {
            assert_eq!(count(value), expected);
        }
        for (value, expected) in [(640, "640 FLOPs"), (2_140_000, "2.1 MFLOPs"), (6_400_000_000_000, "6.4 TFLOPs")] {
            assert_eq!(flops(value), expected);
        }
        assert_eq!((plural(1, "image"), plural(0, "image")), ("1 image".into(), "0 images".into()));
    }

    #[test]
    fn columns_line_up() {
        let rows: [Vec<String>; 2] = [vec!["a".into(), "1".into(), "x".into()], vec!["bcd".into(), "10".into()]];
        assert_eq!(columns(&rows, &[1]), "a     1  x\nbcd  10\n");
        assert_eq!(columns(&[], &[]), "");
    }

    #[test]
    fn long_lists_are_cut() {
        let names = ["a", "b", "c"].map(String::from);
        assert_eq!(few(&names, 3), "a, b, c");
        assert_eq!(few(&names, 2), "a, b and 1 more");
    }

    #[test]
    fn names_move_no_cursor() {
        let name = "a\u{1b}[2Jß\n\u{9b}1m".to_owned();
        let told = r"a\u{1b}[2Jß\n\u{9b}1m";
        assert_eq!(shown(&name), told);
        assert_eq!(few(std::slice::from_ref(&name), 1), told);
        assert_eq!(columns(&[vec![name.clone()]], &[]), format!("{told}\n"));
        assert_eq!(escaped("error: \t\n  because", &['\n']), "error: \\t\n  because");
    }

    #[test]
    fn a_chain_says_each_thing_once() {
        let error = anyhow::anyhow!("no such file").context("cannot open x: no such file").context("cannot read model");
        assert_eq!(chain(&error), "error: cannot read model\n  because: cannot open x: no such file");
    }
}
