//! Whether settings, `section.key=value` lines over a preset, are those of a run.

use std::collections::BTreeMap;

/// Whether a run made of some settings, now with this configuration (TOML), is the one that is asked for. While a switch
/// is off, `teacher.*` and KoLeo's weight say nothing about how the run was begun.
pub(super) fn same_settings(made: &[String], asked: &str, config: &str, switched: bool) -> bool {
    let made = settings(made.iter().map(String::as_str));
    let asked = settings(asked.lines());
    let stands = |(key, value): (&&str, &&str)| match made.get(key) {
        Some(own) => same_value(own, value),
        None if switched && (key.starts_with("teacher.") || *key == "dino.koleo_loss_weight") => true,
        None => look_up(config, key).is_some_and(|found| same_value(found, value)),
    };
    asked.iter().all(stands) && made.keys().all(|key| asked.contains_key(key))
}

/// `section.key=value` lines; the last one of a key holds.
fn settings<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, &'a str> {
    lines
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect()
}

/// The value of a dotted key in TOML as the engine writes it: a key a line, under its section.
pub(super) fn look_up<'a>(config: &'a str, key: &str) -> Option<&'a str> {
    let (wanted, key) = key.rsplit_once('.').unwrap_or(("", key));
    let mut section = "";
    config.lines().find_map(|line| {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            return None;
        }
        let (name, value) = line.split_once(" = ")?;
        (section == wanted && name == key).then_some(value)
    })
}

/// Whether two spellings are one value: `2e-3` and `0.002`, `mae` and `"mae"`, `[0, 1]` and `[0.0, 1.0]`.
fn same_value(one: &str, other: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        let plain = text.trim().trim_start_matches('[').trim_end_matches(']');
        plain.split(',').map(|part| part.trim().trim_matches(['"', '\'']).to_owned()).collect()
    };
    let number = |text: &str| text.replace('_', "").parse::<f64>().ok();
    let same = |(a, b): (&String, &String)| a == b || number(a).is_some_and(|a| number(b) == Some(a));
    let (one, other) = (parts(one), parts(other));
    one.len() == other.len() && one.iter().zip(&other).all(same)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const CONFIG: &str = "method = \"dinov2\"\n\n[model]\ndepth = 3\n\n[crops]\nglobal_scale = [0.4, 1.0]\n\n[optim]\n\
                          base_lr = 0.002\n\n[teacher]\ncentering = \"none\"\n";

    #[test]
    fn values_are_found_in_their_section() {
        assert_eq!(look_up(CONFIG, "model.depth"), Some("3"));
        assert_eq!(look_up(CONFIG, "method"), Some("\"dinov2\""));
        assert_eq!((look_up(CONFIG, "depth"), look_up(CONFIG, "optim.depth")), (None, None));
    }

    #[test]
    fn spellings_of_one_value_are_the_same() {
        for (one, other) in [("2e-3", "0.002"), ("mae", "\"mae\""), ("[0,1]", "[0.0, 1.0]"), ("1_000", "1000")] {
            assert!(same_value(one, other), "{one} {other}");
        }
        for (one, other) in [("2e-3", "0.003"), ("", "0"), ("[0, 1]", "[0, 1, 2]"), ("true", "false")] {
            assert!(!same_value(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_run_is_known_by_its_settings() {
        let depth = ["model.depth=3".to_owned()];
        let same = |made: &[String], asked| same_settings(made, asked, CONFIG, false);
        assert!(same(&[], ""));
        assert!(same(&[], "optim.base_lr=2e-3\n model.depth = 3"), "what the preset says itself");
        assert!(!same(&[], "model.depth=4"));
        assert!(!same(&[], "model.dept=3"), "a key that no run has");
        assert!(same(&depth, "model.depth=2\nmodel.depth=3"), "the last one holds");
        assert!(!same(&depth, ""), "a link without a setting of the run's");
        assert!(!same(&[], "teacher.centering=centering"));
        assert!(same_settings(&[], "teacher.centering=centering", CONFIG, true), "a switch has changed it");
        assert!(same_settings(&[], "dino.koleo_loss_weight=0.1", CONFIG, true), "this one too");
    }
}
