//! The command line of xtask: a handful of flags, so no parser crate to wait for.

use anyhow::{Result, bail};
use std::collections::VecDeque;

/// Arguments not yet taken; each task takes what it knows and then calls [`Args::finish`].
pub(crate) struct Args(VecDeque<String>);

impl Args {
    /// The arguments of this process, without its name.
    pub(crate) fn from_env() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// Takes the first argument that is no flag, wherever it stands. Call after `value` and `flag`.
    pub(crate) fn positional(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// Takes `--name`; true if it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        match self.0.iter().position(|a| a == name) {
            Some(at) => self.0.remove(at).is_some(),
            None => false,
        }
    }

    /// Takes `--name VALUE` or `--name=VALUE`.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>> {
        let joined = format!("{name}=");
        let Some(at) = self.0.iter().position(|a| a == name || a.starts_with(&joined)) else {
            return Ok(None);
        };
        let found = self.0.remove(at).unwrap_or_default();
        if let Some(value) = found.strip_prefix(&joined) {
            return Ok(Some(value.to_owned()));
        }
        match self.0.remove(at) {
            Some(value) => Ok(Some(value)),
            None => bail!("{name} needs a value"),
        }
    }

    /// Takes `--name NUMBER`.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u16>> {
        match self.value(name)? {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => bail!("{name} takes a number from 0 to 65535, found `{text}`"),
            },
        }
    }

    /// An error if anything is left: a mistyped flag must not pass in silence.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0.front() {
            None => Ok(()),
            Some(left) => bail!("unknown argument `{left}`; `cargo xtask help` lists them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Args {
        Args(text.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn reads_flags_in_any_order() {
        let mut a = args("--dev --port 80 --dir=x");
        assert_eq!(a.value("--dir").unwrap().as_deref(), Some("x"));
        assert_eq!(a.number("--port").unwrap(), Some(80));
        assert!(a.flag("--dev"));
        assert!(!a.flag("--dev"));
        a.finish().unwrap();
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(args("--prot 80").finish().is_err());
        assert!(args("--port").number("--port").is_err());
        assert!(args("--port 65536").number("--port").is_err());
    }
}
