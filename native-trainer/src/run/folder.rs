//! The folder of a run: one configuration, one process at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use fs4::fs_std::FileExt as _;
use lab_core::config::Config;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::checkpoint::saved_config;
use super::{hex, sync_folder, write_text};
use crate::inputs::Inputs;

/// Keys that change no number that is computed, so that a run may go on with others.
const FREE: [&str; 6] = [
    "data.bad_budget",
    "data.cache_mib",
    "train.save_minutes",
    "train.save_steps",
    "train.look_epochs",
    "train.max_bad_steps",
];

/// What a run learns from.
#[derive(Debug, Serialize, Deserialize)]
struct Images {
    count: u64,
    names_sha256: String,
}

/// A run's folder, held by this process.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Unlocked when it is closed, also by a crash.
    _lock: File,
}

impl RunFolder {
    /// Makes the folder of a new run, or opens that of a run with the same configuration.
    ///
    /// # Errors
    /// When the folder holds something else, a run of another configuration, or one that another process works on; with
    /// `must_exist`, when it holds no run.
    pub(crate) fn open(path: &Path, config: &Config, must_exist: bool) -> Result<Self> {
        let kept = path.join(CONFIG);
        let is_run = kept.is_file();
        if must_exist {
            must_be_run(path)?;
        }
        let holds_something = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if holds_something && !is_run {
            bail!("--out {} holds something else; name a folder that is empty or not there yet", path.display());
        }
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let lock = path.join("lock");
        let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
        if !lock.try_lock_exclusive().with_context(|| format!("cannot lock {}", path.display()))? {
            bail!("another process works on the run in {}; wait for it, or name another --out", path.display());
        }
        if hold_to_begun(path, config)? {
            write_text(&kept, &config.to_toml())?;
            sync_folder(path)?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Holds a run that goes on to the images that it was begun on: others, or these in another order, would be others'
    /// draws. A run that begins, and one from before this was kept, takes down which these are.
    ///
    /// # Errors
    /// When they are others.
    pub(crate) fn hold_to(&self, inputs: &Inputs, goes_on: bool) -> Result<()> {
        let path = self.join("images.toml");
        let now = Images { count: inputs.len() as u64, names_sha256: fingerprint(inputs) };
        if goes_on && path.is_file() {
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let before: Images = toml::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
            if before.names_sha256 != now.names_sha256 {
                bail!(
                    "the run was begun on other images: DATA now has as many ({}), but not all have the same names in the \
                     same order; give the same DATA, or begin another run from where this one stands: --from \
                     {}/checkpoints/step-N/state.safetensors --out NEW",
                    now.count,
                    self.path.display()
                );
            }
            return Ok(());
        }
        write_text(&path, &toml::to_string(&now).context("the images of a run")?)?;
        sync_folder(&self.path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Something in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// SHA-256 of all names in their order, in hexadecimal: what the draws of a run depend on. The folder that all lie in is left
/// away, so that it may be moved.
fn fingerprint(inputs: &Inputs) -> String {
    let first = inputs.names().next().unwrap_or_default();
    let same = |name: &str| first.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let shared = inputs.names().map(same).min().unwrap_or(0);
    let folder = first.as_bytes()[..shared].iter().rposition(|byte| b"/\\#".contains(byte)).map_or(0, |at| at + 1);
    let mut hash = Sha256::new();
    for name in inputs.names() {
        hash.update(&name.as_bytes()[folder..]);
        hash.update([0]);
    }
    hex(&hash.finalize())
}

/// The configuration of a run, in its folder.
const CONFIG: &str = "config.toml";

/// Whether a run in this folder saved anything.
pub(crate) fn has_begun(path: &Path) -> bool {
    std::fs::read_dir(path.join("checkpoints")).is_ok_and(|mut entries| entries.next().is_some())
}

/// That there is a run, as `--resume` wants it.
///
/// # Errors
/// When there is none.
pub(crate) fn must_be_run(path: &Path) -> Result<()> {
    if !path.join(CONFIG).is_file() {
        bail!("--resume: {} holds no run; leave --resume away to begin one", path.display());
    }
    Ok(())
}

/// Holds a configuration to what the run in a folder was begun with. Whether the folder's own must be written: it is new,
/// or keys differ that may.
///
/// # Errors
/// When others differ.
pub(crate) fn hold_to_begun(path: &Path, config: &Config) -> Result<bool> {
    // A start that failed before anything was saved leaves a configuration behind, and nothing to hold it to.
    let before = if has_begun(path) { kept_config(path)? } else { None };
    let Some(before) = before else { return Ok(true) };
    let held = held_apart(&before, config);
    if !held.is_empty() {
        bail!(
            "the run in {0} has another configuration: {1}; give the same settings to go on, another --out to begin anew, or \
             begin another run from where this one stands: --from {0}/checkpoints/step-N/state.safetensors --out NEW --set ...",
            path.display(),
            held.join("; ")
        );
    }
    Ok(!before.differences(config).is_empty())
}

/// Keys that differ and may not, with what they were and are.
fn held_apart(before: &Config, now: &Config) -> Vec<String> {
    let differences = before.differences(now).into_iter().filter(|(key, ..)| !FREE.contains(&key.as_str()));
    differences.map(|(key, old, new)| format!("{key} was {old}, now {new}")).collect()
}

/// The configuration that the run in a folder was begun with, where there is one.
///
/// # Errors
/// When it cannot be read, or is no more what the run's last checkpoint says.
pub(crate) fn kept_config(path: &Path) -> Result<Option<Config>> {
    let kept = path.join(CONFIG);
    if !kept.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&kept).with_context(|| format!("cannot read {}", kept.display()))?;
    let config = Config::from_toml(&kept.to_string_lossy(), &text)?;
    if let Some(begun) = saved_config(&path.join("checkpoints")) {
        let changed = held_apart(&begun, &config);
        if !changed.is_empty() {
            bail!(
                "{0} was changed since the run was begun: {1}; change it back to go on, or begin another run from where this \
                 one stands: --from {2}/checkpoints/step-N/state.safetensors --out NEW --set ...",
                kept.display(),
                changed.join("; "),
                path.display()
            );
        }
    }
    Ok(Some(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[&str]) -> Config {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        Config::resolve(Some("tiny-mae"), None, &settings).expect("known keys")
    }

    #[test]
    fn a_run_goes_on_with_its_own_configuration_only() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("run");
        let fail = |config: &Config, must_exist, word: &str| {
            let error = format!("{:#}", RunFolder::open(&path, config, must_exist).expect_err(word));
            assert!(error.contains(word), "{error}");
        };
        fail(&config(&[]), true, "holds no run");
        let held = RunFolder::open(&path, &config(&[]), false).expect("a new run");
        fail(&config(&[]), false, "another process");
        drop(held);
        // Nothing was saved yet: the next start may have other settings.
        drop(RunFolder::open(&path, &config(&["optim.base_lr=7"]), false).expect("begun anew"));
        drop(RunFolder::open(&path, &config(&[]), false).expect("begun anew"));
        std::fs::create_dir_all(path.join("checkpoints/step-000000001")).expect("a folder");
        // What changes no number may change.
        drop(RunFolder::open(&path, &config(&["data.bad_budget=7"]), false).expect("the same run"));
        drop(RunFolder::open(&path, &config(&[]), false).expect("the same run"));
        fail(&config(&["optim.base_lr=7"]), false, "optim.base_lr was 0.001, now 7");
        assert_eq!(kept_config(&path).expect("readable"), Some(config(&[])));
        RunFolder::open(&path, &config(&[]), true).expect("the same run");
        let other = place.path().join("other");
        std::fs::create_dir(&other).expect("a folder");
        std::fs::write(other.join("thesis.txt"), "years of work").expect("a file");
        let error = RunFolder::open(&other, &config(&[]), false).expect_err("not ours").to_string();
        assert!(error.contains("something else"), "{error}");
    }
}
