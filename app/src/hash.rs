//! What a link to the lab holds: `#sample=reef&layer=3&head=mean&query=patch&patch=40&engine=auto`.

use lab_protocol::EngineKind;

/// The part of the state that the address carries; missing or unreadable parts keep their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Address {
    /// Name of a sample, without its ending.
    pub(crate) sample: Option<String>,
    /// Block, from 0; `None` is the last one.
    pub(crate) layer: Option<u32>,
    /// Head, from 0; `None` is the mean of all.
    pub(crate) head: Option<u32>,
    /// The patch asks, not the class token.
    pub(crate) by_patch: bool,
    /// The chosen patch, row by row; `None` is the middle one.
    pub(crate) patch: Option<u32>,
    /// The engine that the user insists on; `None` lets the page choose.
    pub(crate) engine: Option<EngineKind>,
}

impl Address {
    /// Reads `location.hash`, with or without `#`.
    pub(crate) fn parse(hash: &str) -> Self {
        let mut address = Self::default();
        for (key, value) in hash.trim_start_matches('#').split('&').filter_map(|part| part.split_once('=')) {
            match key {
                "sample" if plain(value) => address.sample = Some(value.to_owned()),
                "layer" => address.layer = value.parse().ok(),
                "head" => address.head = value.parse().ok(),
                "query" => address.by_patch = value == "patch",
                "patch" => address.patch = value.parse().ok(),
                "engine" => address.engine = engine(value),
                _ => {}
            }
        }
        address
    }

    /// The hash without `#`; only what differs from the defaults.
    pub(crate) fn format(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.sample.as_ref().map(|sample| format!("sample={sample}")));
        parts.extend(self.layer.map(|layer| format!("layer={layer}")));
        parts.extend(self.head.map(|head| format!("head={head}")));
        parts.extend(self.by_patch.then(|| "query=patch".to_owned()));
        parts.extend(self.patch.map(|patch| format!("patch={patch}")));
        parts.extend(self.engine.map(|kind| format!("engine={}", engine_name(Some(kind)))));
        parts.join("&")
    }
}

/// `auto`, `cpu` or `gpu`.
pub(crate) fn engine_name(kind: Option<EngineKind>) -> &'static str {
    match kind {
        None => "auto",
        Some(EngineKind::Cpu) => "cpu",
        Some(EngineKind::Gpu) => "gpu",
    }
}

/// The reverse of [`engine_name`].
pub(crate) fn engine(name: &str) -> Option<EngineKind> {
    match name {
        "cpu" => Some(EngineKind::Cpu),
        "gpu" => Some(EngineKind::Gpu),
        _ => None,
    }
}

fn plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let address = Address {
            sample: Some("ginger-cat".to_owned()),
            layer: Some(3),
            head: Some(0),
            by_patch: true,
            patch: Some(40),
            engine: Some(EngineKind::Cpu),
        };
        assert_eq!(address.format(), "sample=ginger-cat&layer=3&head=0&query=patch&patch=40&engine=cpu");
        assert_eq!(Address::parse(&format!("#{}", address.format())), address);
        assert_eq!(Address::default().format(), "");
    }

    #[test]
    fn nonsense_keeps_the_defaults() {
        assert_eq!(Address::parse("#layer=-1&head=x&patch=&engine=tpu&sample=../etc&&=&foo"), Address::default());
        assert_eq!(Address::parse(""), Address::default());
    }
}
