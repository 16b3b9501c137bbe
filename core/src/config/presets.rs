//! Presets: TOML files under `configs/`, part of the program. Their first comment says command, time and result.

use super::edit_distance;
use crate::error::ConfigError;

/// A named set of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// As given on the command line.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        /// All presets, small ones first.
        pub const PRESETS: &[Preset] = &[
            $(Preset { name: $name, text: include_str!(concat!("../../../configs/", $name, ".toml")) }),*
        ];
    };
}

presets![
    "page-mae",
    "page-dino",
    "small-mae",
    "small-dinov2",
    "small-dino",
    "tiny-mae",
    "tiny-dino",
    "tiny-dinov2",
    "mae-vitb16",
    "mae-vitl16",
    "dinov2-vits14",
    "dinov2-vitb14",
    "dinov2-vitl16-short",
    "dinov2-vitl14",
    "dinov2-vitg14",
    "webmae-300m",
    "webmae-700m",
    "webmae-1b",
    "webmae-2b",
    "webmae-3b",
    "webdino-300m",
    "webdino-1b",
    "webdino-2b",
    "webdino-3b",
    "webdino-5b",
    "webdino-7b",
    "webdino-7b-378",
    "webdino-7b-518",
];

impl Preset {
    /// The preset of a name.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownPreset`], with the nearest name and all names.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        PRESETS.iter().copied().find(|preset| preset.name == name).ok_or_else(|| {
            let nearest = PRESETS.iter().min_by_key(|preset| edit_distance(name, preset.name));
            ConfigError::UnknownPreset {
                name: name.to_owned(),
                neighbour: nearest.map_or("", |preset| preset.name),
                known: PRESETS.iter().map(|preset| preset.name).collect(),
            }
        })
    }

    /// Its first comment, without the signs.
    pub fn about(self) -> String {
        let lines = self.text.lines().take_while(|line| line.starts_with('#'));
        lines.map(|line| line.trim_start_matches(['#', ' '])).collect::<Vec<_>>().join(" ")
    }
}
