//! The one configuration tree of a pretraining run: command line, preset files, checkpoints and page use the same keys.
//!
//! A preset states only what differs from [`Config::default`]; then comes a file, then `--set section.key=value`.
//! An unknown key is an error that names its neighbour. Sections and their defaults: [`sections`].

mod budget;
mod presets;
mod sections;

use toml::{Table, Value};

use crate::error::ConfigError;
pub use budget::{Budget, NoBudget};
pub use presets::{PRESETS, Preset};
pub use sections::{
    Centering, Config, Crops, Data, Dino, FfnKind, Ibot, LrRule, Mae, MaskingKind, Method, ModelSection, Optim,
    Pooling, Precision, Teacher, Train,
};

impl Config {
    /// A named preset, a TOML text (may be empty) and `key=value` settings, each over the one before.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: an unknown preset or key with its neighbour, a value of the wrong kind, or values that
    /// contradict each other.
    pub fn resolve(preset: Option<&str>, file: Option<(&str, &str)>, settings: &[String]) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(name) = preset {
            let preset = Preset::named(name)?;
            lay_over(&mut config, parse(preset.text, preset.name)?, preset.name)?;
        }
        if let Some((name, text)) = file {
            lay_over(&mut config, parse(text, name)?, name)?;
        }
        for setting in settings {
            lay_over(&mut config, parse_setting(setting)?, setting)?;
        }
        config.check()?;
        Ok(config)
    }

    /// The configuration that a run kept, whole.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn from_toml(name: &str, text: &str) -> Result<Self, ConfigError> {
        Self::resolve(None, Some((name, text)), &[])
    }

    /// Every key with its value, as kept with a run.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| unreachable!("a configuration is plain data: {error}"))
    }

    /// The keys in which two configurations differ, dotted, with both values.
    pub fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
        let (ours, theirs) = (table_of(self), table_of(other));
        let mut found = Vec::new();
        walk(&ours, "", &mut |key, value| {
            let other = lookup(&theirs, key).map_or_else(String::new, ToString::to_string);
            if value.to_string() != other {
                found.push((key.to_owned(), value.to_string(), other));
            }
        });
        found
    }
}

fn table_of(config: &Config) -> Table {
    match Value::try_from(config) {
        Ok(Value::Table(table)) => table,
        other => unreachable!("a configuration is a table: {other:?}"),
    }
}

fn parse(text: &str, name: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>()
        .map_err(|error| ConfigError::Syntax { place: name.to_owned(), reason: error.to_string().trim().to_owned() })
}

/// `optim.base_lr=5e-4` as a table. A value that is no TOML is a word: `--set method=mae` needs no quotes.
fn parse_setting(setting: &str) -> Result<Table, ConfigError> {
    let (key, value) = setting.split_once('=').ok_or_else(|| ConfigError::Syntax {
        place: setting.to_owned(),
        reason: "expected section.key=value, such as optim.base_lr=5e-4".to_owned(),
    })?;
    let (key, value) = (key.trim(), value.trim());
    let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let mut table = Table::new();
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut inner = &mut table;
    for part in parts {
        let next = inner.entry(part).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(next) = next else { unreachable!("a fresh table holds tables only") };
        inner = next;
    }
    inner.insert(last.to_owned(), value);
    Ok(table)
}

/// Puts `more` over `config`; every key must be known. A whole number where a fraction is due becomes one, and where a
/// word is due a word: `data.bad_budget=20` needs no quotes.
fn lay_over(config: &mut Config, more: Table, place: &str) -> Result<(), ConfigError> {
    let known = table_of(config);
    let mut all = known.clone();
    let mut changes = Vec::new();
    walk(&more, "", &mut |key, value| changes.push((key.to_owned(), value.clone())));
    for (key, value) in changes {
        // A section whose keys are all commented out changes nothing.
        if value.is_table() && known.get(&key).is_some_and(Value::is_table) {
            continue;
        }
        let expected = lookup(&known, &key).ok_or_else(|| ConfigError::UnknownKey {
            key: key.clone(),
            place: place.to_owned(),
            neighbour: nearest(&key, &known),
        })?;
        let value = match (expected, value) {
            (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
            (Value::String(_), Value::Integer(whole)) => Value::String(whole.to_string()),
            (Value::Array(items), Value::Array(values)) if matches!(items.first(), Some(Value::Float(_))) => {
                let float = |value| if let Value::Integer(whole) = value { Value::Float(whole as f64) } else { value };
                Value::Array(values.into_iter().map(float).collect())
            }
            (_, value) => value,
        };
        let found = shown(&value);
        let refused = |expected| ConfigError::Kind { key: key.clone(), place: place.to_owned(), expected, found };
        if !expected.same_type(&value) {
            return Err(refused(kind(expected)));
        }
        let taken = match (expected, &value) {
            (Value::Array(items), _) => Some(format!("an array of {} numbers", items.len())),
            (_, Value::Integer(whole)) if *whole < 0 => Some("at least 0".to_owned()),
            (_, Value::Integer(_)) => Some(format!("at most {}", usize::MAX)),
            _ => None,
        };
        let mut inner = &mut all;
        let mut parts: Vec<&str> = key.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let Some(Value::Table(next)) = inner.get_mut(part) else { unreachable!("{key} was looked up above") };
            inner = next;
        }
        inner.insert(last.to_owned(), value);
        // Tried change by change, since serde does not name the key that it stumbles over; the words of a key it does.
        *config = Value::Table(all.clone()).try_into().map_err(|error: toml::de::Error| {
            let words = || error.message().rsplit("expected ").next().unwrap_or_default().trim().to_owned();
            refused(taken.unwrap_or_else(words))
        })?;
    }
    Ok(())
}

/// The kind of a value with its article.
fn kind(value: &Value) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// A value for a message: as TOML, but 1e300 as such and not with all its digits.
fn shown(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        value => value.to_string(),
    }
}

/// Calls `each` with the dotted key of every value that is no table, or an empty one.
fn walk(table: &Table, prefix: &str, each: &mut dyn FnMut(&str, &Value)) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) if !inner.is_empty() => walk(inner, &key, each),
            value => each(&key, value),
        }
    }
}

fn lookup<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut parts = key.split('.');
    let mut value = table.get(parts.next()?)?;
    for part in parts {
        value = value.as_table()?.get(part)?;
    }
    (!value.is_table()).then_some(value)
}

/// The known key that was probably meant: the one with the fewest letters to change, its own section first. Capitals
/// count as small letters, which all known keys are written in.
fn nearest(key: &str, known: &Table) -> String {
    let key = &key.to_lowercase();
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let mut best = (usize::MAX, String::new());
    walk(known, "", &mut |candidate, _| {
        // A right name in a wrong section is as near as one wrong letter.
        let mut distance = edit_distance(key, candidate).min(1 + edit_distance(&last(key), &last(candidate)));
        // So is a part of a longer name in the right section.
        let section = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
        if section(key) == section(candidate) && last(key).len() > 1 && last(candidate).contains(&last(key)) {
            distance = distance.min(1);
        }
        if distance < best.0 {
            best = (distance, candidate.to_owned());
        }
    });
    best.1
}

/// Letters to insert, delete or replace (Levenshtein).
pub(crate) fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in b.iter().enumerate() {
            let cost = if a == b { diagonal } else { 1 + diagonal.min(row[j]).min(row[j + 1]) };
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(settings: &[&str]) -> Result<Config, ConfigError> {
        Config::resolve(None, None, &settings.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn every_preset_resolves_and_survives_a_round_trip() {
        for preset in PRESETS {
            let config =
                Config::resolve(Some(preset.name), None, &[]).unwrap_or_else(|e| panic!("{}: {e}", preset.name));
            assert_eq!(Config::from_toml("kept", &config.to_toml()).expect(preset.name), config, "{}", preset.name);
            assert!(preset.about().len() > 20, "{}: the first comment says command, time and result", preset.name);
        }
    }

    #[test]
    fn settings_are_words_numbers_and_lists() {
        let config = resolve(&["method=mae", "optim.base_lr=1", "crops.global_scale=[0, 1]", "train.seed = 7"]);
        let config = config.expect("all known");
        assert_eq!((config.method, config.optim.base_lr, config.train.seed), (Method::Mae, 1.0, 7));
        assert_eq!(config.crops.global_scale, [0.0, 1.0]);
        assert_eq!(resolve(&["data.bad_budget=20"]).expect("a number for a word").data.bad_budget, "20");
    }

    #[test]
    fn an_empty_section_changes_nothing() {
        let from = |text| Config::from_toml("own.toml", text);
        assert_eq!(from("[ibot]\n# loss_weight = 0.0\n[optim]").expect("known sections"), Config::default());
        for (wrong, key) in [("[ibto]", "ibto"), ("[ibot.head]", "ibot.head")] {
            let error = from(wrong).expect_err(wrong);
            assert!(matches!(&error, ConfigError::UnknownKey { key: found, .. } if found == key), "{error}");
        }
        let error = from("[ibot.loss_weight]").expect_err("a table for a number").to_string();
        assert_eq!(error, "own.toml: ibot.loss_weight is {}, expected a float");
    }

    #[test]
    fn an_unknown_key_names_its_neighbour() {
        for (wrong, meant) in [
            ("TRAIN.EPOCHS=1", "train.epochs"),
            ("optim.base_rl=1", "optim.base_lr"),
            ("base_lr=1", "optim.base_lr"),
            ("optim.lr=1", "optim.base_lr"),
            ("train.weight_decay=1", "optim.weight_decay"),
            ("optim=1", "optim.eps"),
        ] {
            let error = resolve(&[wrong]).expect_err(wrong);
            let ConfigError::UnknownKey { neighbour, .. } = &error else { panic!("{error}") };
            if wrong != "optim=1" {
                assert_eq!(neighbour, meant, "{error}");
            }
        }
    }

    #[test]
    fn wrong_values_are_told() {
        for (wrong, word) in [
            ("optim.base_lr=fast", "optim.base_lr"),
            ("method=clip", "clip"),
            ("train.batch_size=0", "train.batch_size"),
            ("mae.mask_ratio=1.5", "mae.mask_ratio"),
            ("model.num_heads=7", "model.num_heads"),
            ("crops.global_size=33", "crops.global_size"),
            ("no equals sign", "section.key=value"),
        ] {
            let method = if wrong.starts_with("mae.") { "method=mae" } else { "method=dinov2" };
            let error = resolve(&[method, wrong]).expect_err(wrong).to_string();
            assert!(error.contains(word), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_value_that_is_not_taken_is_named_with_key_and_place() {
        for (wrong, told) in [
            ("train.batch_size=-1", "train.batch_size is -1, expected at least 0"),
            ("model.ffn=x", "model.ffn is \"x\", expected `mlp` or `swiglu`"),
            ("method=foo", "method is \"foo\", expected `mae` or `dinov2`"),
            (
                "optim.lr_rule=x",
                "optim.lr_rule is \"x\", expected one of `sqrt_wrt_1024`, `linear_wrt_256`, `constant`",
            ),
            ("crops.blur=[1]", "crops.blur is [1.0], expected an array of 3 numbers"),
            ("crops.blur=[0, 0, 0, 0]", "crops.blur is [0.0, 0.0, 0.0, 0.0], expected an array of 3 numbers"),
            ("crops.blur=[0, 0, \"x\"]", "crops.blur is [0.0, 0.0, \"x\"], expected an array of 3 numbers"),
            ("crops.blur=1", "crops.blur is 1, expected an array"),
            ("train.batch_size=1e300", "train.batch_size is 1e300, expected an integer"),
            ("train.epochs=x", "train.epochs is \"x\", expected a float"),
        ] {
            assert_eq!(resolve(&[wrong]).expect_err(wrong).to_string(), format!("{wrong}: {told}"));
        }
        let settings = ["train.seed=1".to_owned()];
        let file = "[train]\nepochs = 5\nbatch_size = -2\n[crops]\nlocal_number = 0";
        let error =
            Config::resolve(Some("tiny-mae"), Some(("own.toml", file)), &settings).expect_err("a negative size");
        assert_eq!(error.to_string(), "own.toml: train.batch_size is -2, expected at least 0");
    }

    #[test]
    fn no_size_and_no_number_is_beyond_counting() {
        for (wrong, told) in [
            ("model.embed_dim=0", "model.embed_dim is 0, expected at least 1"),
            ("model.mlp_ratio=inf", "model.mlp_ratio is inf, expected numbers that are finite in 32 bits"),
            ("model.mlp_ratio=1e300", "model.mlp_ratio is 1e300, expected numbers that are finite in 32 bits"),
            ("model.mlp_ratio=1e18", "model.mlp_ratio is 1e18, expected from 1 / 1024 to 1000"),
            ("model.mlp_ratio=0", "model.mlp_ratio is 0.0, expected from 1 / 1024 to 1000"),
            ("data.std=[inf, inf, inf]", "data.std is [inf, inf, inf], expected numbers that are finite in 32 bits"),
            ("data.std=[1, 1e-60, 1]", "data.std is [1.0, 1e-60, 1.0], expected numbers above 0 in 32 bits"),
            ("optim.base_lr=nan", "optim.base_lr is NaN, expected numbers that are finite in 32 bits"),
            ("crops.hflip=1e20", "crops.hflip is 1e20, expected within 0 and 1"),
            ("train.epochs=1e7", "train.epochs is 10000000.0, expected above 0 and at most 1000000"),
            (
                "crops.global_size=32000",
                "crops.global_size is 32000, expected at most 1000 patches of 16 pixels a side",
            ),
            ("crops.local_size=32000", "crops.local_size is 32000, expected at most 1000 patches of 16 pixels a side"),
            (
                "data.bad_budget=x",
                "data.bad_budget is \"x\", expected a share such as 1% or 0.5%, or a whole number of images",
            ),
        ] {
            assert_eq!(resolve(&[wrong]).expect_err(wrong).to_string(), told);
        }
        for (key, most) in [
            ("model.patch_size", 1_000_000_u64),
            ("model.embed_dim", 1_000_000),
            ("model.depth", 1000),
            ("model.num_heads", 1_000_000),
            ("model.num_register_tokens", 1_000_000),
            ("data.cache_mib", 1_000_000_000),
            ("crops.global_size", 1_000_000),
            ("crops.local_size", 1_000_000),
            ("crops.local_number", 1000),
            ("mae.decoder_embed_dim", 1_000_000),
            ("mae.decoder_depth", 1000),
            ("dino.head_n_prototypes", 1_000_000),
            ("dino.head_bottleneck_dim", 1_000_000),
            ("dino.head_hidden_dim", 1_000_000),
            ("dino.head_nlayers", 1000),
            ("ibot.head_n_prototypes", 1_000_000),
            ("ibot.head_bottleneck_dim", 1_000_000),
            ("ibot.head_hidden_dim", 1_000_000),
            ("ibot.head_nlayers", 1000),
            ("train.batch_size", 1_000_000),
            ("train.accumulate", 1_000_000),
            ("train.epoch_length", 1_000_000_000),
        ] {
            for method in ["method=mae", "method=dinov2"] {
                for size in [most + 1, i64::MAX as u64] {
                    let error = resolve(&[method, &format!("{key}={size}")]).expect_err(key).to_string();
                    assert_eq!(error, format!("{key} is {size}, expected at most {most}"));
                }
            }
        }
        let error = resolve(&["method=mae", "mae.decoder_embed_dim=0"]).expect_err("no width").to_string();
        assert_eq!(error, "mae.decoder_embed_dim is 0, expected at least 1");
    }

    #[test]
    fn sizes_that_are_too_much_together_are_told() {
        let wide = ["model.embed_dim=1000000", "model.num_heads=10", "model.mlp_ratio=1000", "model.depth=1000"];
        let error = resolve(&wide).expect_err("more than 64 bits count").to_string();
        assert!(error.starts_with("model.embed_dim is 1000000, expected at most 1e18 operations"), "{error}");
        resolve(&["model.embed_dim=1000000", "model.num_heads=10"]).expect("wide, but countable");
    }

    #[test]
    fn an_unknown_preset_names_its_neighbour() {
        let error = Config::resolve(Some("cifar-dino"), None, &[]).expect_err("no such preset").to_string();
        assert!(error.contains("cifar"), "{error}");
    }

    #[test]
    fn differences_are_dotted() {
        let found = resolve(&["optim.base_lr=1"]).expect("known").differences(&Config::default());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "optim.base_lr");
    }
}
