//! What a link to the lab holds: `#room=see&sample=reef&patch=40&engine=cpu&layer=3&head=0&query=patch`.
//!
//! An address is a list of keys and values. The page's own come first (room, sample, model, patch, engine,
//! palette), then those of the room it leads to; each room reads and writes its own. What has its default is left out.

use std::str::FromStr;

use lab_protocol::{EngineKind, Palette};

/// Takes back what an address below says.
pub(crate) const NOTHING: &str = "-";

/// Keys and values, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Address {
    parts: Vec<(String, String)>,
    /// What of a hash was left out, as it stands there.
    lost: Vec<String>,
}

impl Address {
    /// Reads `location.hash`, with or without `#`; what cannot be read is left out, and of a key that stands twice the
    /// second value.
    pub(crate) fn parse(hash: &str) -> Self {
        let mut address = Self::default();
        for part in hash.trim_start_matches('#').split('&').filter(|part| !part.is_empty()) {
            let pair = part.split_once('=').and_then(|(key, value)| Some((key, decode(value)?)));
            match pair {
                Some((key, value)) if !key.is_empty() && !value.is_empty() && address.get(key).is_none() => {
                    address.parts.push((key.to_owned(), value));
                }
                _ => address.lost.push(part.to_owned()),
            }
        }
        address
    }

    /// What of a hash was left out, as it stands there.
    pub(crate) fn lost(&self) -> &[String] {
        &self.lost
    }

    /// The hash without `#`.
    pub(crate) fn format(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
        parts.join("&")
    }

    /// What a key says.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.parts.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// What a key says, where it reads as a number (or whatever else is asked for).
    pub(crate) fn number<T: FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    /// A name of letters, digits and dashes, fit for a path.
    pub(crate) fn name(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|name| is_name(name))
    }

    /// Every key with what it says, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What has to be laid over another address to come to this one: a dash for what the other one says alone.
    pub(crate) fn beyond(&self, other: &Self) -> Self {
        let own = self.iter().filter(|(key, value)| other.get(key) != Some(value));
        let gone = other.iter().filter(|(key, _)| self.get(key).is_none()).map(|(key, _)| (key, NOTHING));
        let parts = own.chain(gone).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { parts, lost: Vec::new() }
    }

    /// This address with what [`beyond`](Self::beyond) found laid over it.
    pub(crate) fn under(mut self, over: &Self) -> Self {
        for (key, value) in over.iter() {
            self.put(key, (value != NOTHING).then_some(value));
        }
        self
    }

    /// Sets a key; nothing leaves it out.
    pub(crate) fn put(&mut self, key: &str, value: Option<impl ToString>) {
        self.parts.retain(|(known, _)| known != key);
        self.parts.extend(value.map(|value| (key.to_owned(), value.to_string())));
    }
}

/// The word of colours that need no red told from green.
pub(crate) const SAFE: &str = "safe";

/// How a link wants components coloured.
pub(crate) fn palette(address: &Address) -> Palette {
    if address.get("palette") == Some(SAFE) { Palette::BlueYellow } else { Palette::Rgb }
}

/// Letters, digits and dashes alone.
pub(crate) fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// The fingerprint of the weights that a link was made with.
pub(crate) fn fingerprint(address: &Address) -> Option<String> {
    let digits = address.get("weights").filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    digits.map(str::to_owned)
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

/// What may stand in a fragment and separates nothing of ours stays as it is; the rest becomes `%XX`.
fn encode(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' | b':' | b',' => {
                text.push(byte.into());
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}

/// The reverse of [`encode`]; nothing where an escape is broken.
fn decode(value: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut address = Address::default();
        address.put("sample", Some("ginger-cat"));
        address.put("layer", Some(3));
        address.put("head", None::<u32>);
        address.put("model", Some("https://x.org/a b/?c=d&e#f"));
        let text = address.format();
        assert_eq!(text, "sample=ginger-cat&layer=3&model=https://x.org/a%20b/%3Fc%3Dd%26e%23f");
        let read = Address::parse(&format!("#{text}"));
        assert_eq!(read, address);
        assert_eq!(read.get("model"), Some("https://x.org/a b/?c=d&e#f"));
        assert_eq!(read.number::<u32>("layer"), Some(3));
        address.put("layer", None::<u32>);
        assert_eq!(address.get("layer"), None);
        assert_eq!(Address::default().format(), "");
    }

    #[test]
    fn one_address_is_laid_over_another() {
        let base = Address::parse("kind=block&ratio=50");
        let here = Address::parse("kind=block&seed=3");
        let over = here.beyond(&base);
        assert_eq!(over.format(), "seed=3&ratio=-");
        let under = base.clone().under(&over);
        assert_eq!((under.get("kind"), under.get("seed"), under.get("ratio")), (Some("block"), Some("3"), None));
        assert_eq!(base.beyond(&base), Address::default());
    }

    #[test]
    fn nonsense_keeps_the_defaults() {
        let address = Address::parse("#layer=-1&head=x&patch=&engine=tpu&sample=../etc&&=&foo&bad=%zz&cut=%e");
        assert_eq!(address.number::<u32>("layer"), None);
        assert_eq!(address.number::<u32>("head"), None);
        assert_eq!((address.get("patch"), address.name("sample")), (None, None));
        assert_eq!(address.get("engine").and_then(engine), None);
        assert_eq!((address.get("bad"), address.get("cut"), address.get("foo")), (None, None, None));
        assert_eq!(address.lost(), ["patch=", "=", "foo", "bad=%zz", "cut=%e"]);
        let twice = Address::parse("#layer=1&layer=2");
        assert_eq!((twice.get("layer"), twice.lost()), (Some("1"), &["layer=2".to_owned()][..]));
        assert_eq!(Address::parse(""), Address::default());
    }
}
