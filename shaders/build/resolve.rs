//! The few directives our WGSL knows, each alone on its line:
//!
//! - `#import name`: the text of `common/name.wgsl`, once;
//! - `#ifdef NAME` … `#else` … `#endif`;
//! - `#for i in 0..COUNT` … `#endfor`: the lines between, once for each `i`; COUNT is a number or a define, perhaps
//!   divided by a number (`HEAD_DIM/4`);
//! - `{i}` and `{NAME}` stand for their values. A brace pair around anything else is WGSL's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

pub(crate) type Defines = BTreeMap<String, Option<String>>;

/// The text that ships.
pub(crate) fn resolve(text: &str, common: &Path, defines: &Defines) -> Result<String, String> {
    let mut imported = BTreeSet::new();
    let lines = import(text, common, &mut imported)?;
    let lines = choose(&lines, defines)?;
    let values: BTreeMap<String, String> =
        defines.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
    let lines = unroll(&lines, &values)?;
    Ok(lines.join("\n") + "\n")
}

fn import(text: &str, common: &Path, imported: &mut BTreeSet<String>) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let Some(name) = line.trim().strip_prefix("#import ") else {
            lines.push(line.to_owned());
            continue;
        };
        let name = name.trim();
        if imported.insert(name.to_owned()) {
            let path = common.join(format!("{name}.wgsl"));
            let text =
                fs::read_to_string(&path).map_err(|error| format!("#import {name}: {}: {error}", path.display()))?;
            lines.extend(import(&text, common, imported)?);
        }
    }
    Ok(lines)
}

fn choose(lines: &[String], defines: &Defines) -> Result<Vec<String>, String> {
    let mut kept = Vec::new();
    let mut open: Vec<bool> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let word = line.trim();
        if let Some(name) = word.strip_prefix("#ifdef ") {
            open.push(defines.contains_key(name.trim()));
        } else if word == "#else" {
            let last = open.last_mut().ok_or(format!("line {}: #else without #ifdef", number + 1))?;
            *last = !*last;
        } else if word == "#endif" {
            open.pop().ok_or(format!("line {}: #endif without #ifdef", number + 1))?;
        } else if open.iter().all(|&kept| kept) {
            kept.push(line.clone());
        }
    }
    if open.is_empty() { Ok(kept) } else { Err("#ifdef without #endif".to_owned()) }
}

fn unroll(lines: &[String], values: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    let mut index = 0;
    while index < lines.len() {
        let line = &lines[index];
        let Some(head) = line.trim().strip_prefix("#for ") else {
            if line.trim() == "#endfor" {
                return Err("#endfor without #for".to_owned());
            }
            out.push(substitute(line, values));
            index += 1;
            continue;
        };
        let (name, range) =
            head.split_once(" in 0..").ok_or(format!("expected `#for i in 0..COUNT`, found `{line}`"))?;
        let mut depth = 1;
        let body_start = index + 1;
        index = body_start;
        while depth > 0 {
            let word = lines.get(index).ok_or(format!("`{line}` without #endfor"))?.trim();
            depth += i32::from(word.starts_with("#for ")) - i32::from(word == "#endfor");
            index += 1;
        }
        for turn in 0..count(range.trim(), values)? {
            let mut inner = values.clone();
            inner.insert(name.trim().to_owned(), turn.to_string());
            out.extend(unroll(&lines[body_start..index - 1], &inner)?);
        }
    }
    Ok(out)
}

fn count(text: &str, values: &BTreeMap<String, String>) -> Result<u32, String> {
    let (numerator, divisor) = text.split_once('/').unwrap_or((text, "1"));
    let number = |word: &str| {
        let word = values.get(word).map_or(word, String::as_str);
        word.parse::<u32>().map_err(|_| format!("`{word}` is neither a number nor a define"))
    };
    Ok(number(numerator.trim())? / number(divisor.trim())?)
}

fn substitute(line: &str, values: &BTreeMap<String, String>) -> String {
    values.iter().fold(line.to_owned(), |line, (name, value)| line.replace(&format!("{{{name}}}"), value))
}
