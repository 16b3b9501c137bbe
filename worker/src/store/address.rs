//! From what a user types to a folder on a server: a repository's name, a folder, a file of weights, a page of the hub.

use sha2::{Digest, Sha256};

/// Hugging Face's own address.
pub const HUB: &str = "https://huggingface.co";

/// Where a model lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its folder, absolute, with a slash at the end.
    pub folder: String,
    /// Its name for people.
    pub name: String,
    /// The one file of weights, where the address names it.
    pub weights: Option<String>,
    /// Where the hub lists the folder's files with their hashes.
    pub tree: Option<String>,
    /// What the weights' SHA-256 must be, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
}

impl Address {
    /// Reads what a user typed. `mirror` is the hub's address (empty for Hugging Face's own); `site` is what a path
    /// without a host is relative to.
    ///
    /// # Errors
    ///
    /// A sentence, when it is no address.
    pub fn parse(text: &str, mirror: &str, site: &str) -> Result<Self, String> {
        let text = text.trim();
        let (place, fragment) = text.split_once('#').unwrap_or((text, ""));
        let sha256 = hash(fragment)?;
        let mirror = match mirror.trim().trim_end_matches('/') {
            "" => HUB,
            mirror => mirror,
        };
        let mirror = absolute(mirror, site)?;
        if let Some((repository, revision)) = repository(place) {
            return Ok(Self::on_hub(&mirror, &repository, &revision, sha256));
        }
        let folder = absolute(place, site)?;
        let on_hub = [mirror.as_str(), HUB].into_iter().find_map(|hub| {
            let rest = folder.strip_prefix(hub)?.strip_prefix('/')?.trim_end_matches('/');
            let mut parts = rest.splitn(5, '/');
            let repository = format!("{}/{}", parts.next()?, parts.next()?);
            match (parts.next(), parts.next(), parts.next()) {
                (None, ..) => Some((hub, repository, "main".to_owned())),
                (Some("tree"), Some(revision), None) => Some((hub, repository, revision.to_owned())),
                (Some("resolve"), Some(revision), None) => Some((hub, repository, revision.to_owned())),
                _ => None,
            }
        });
        if let Some((hub, repository, revision)) = on_hub {
            return Ok(Self::on_hub(hub, &repository, &revision, sha256));
        }
        if folder.contains('?') {
            return Err(format!("the address {folder} has a query: give that of a folder or of a file of weights"));
        }
        let folder = folder.replace("/blob/", "/resolve/");
        let last = folder.rsplit('/').next().unwrap_or_default();
        let is_weights = [".safetensors", ".pth", ".pt", ".bin"].iter().any(|ending| last.ends_with(ending));
        let (folder, weights) = match is_weights {
            true => (folder[..folder.len() - last.len()].to_owned(), Some(last.to_owned())),
            false => (format!("{}/", folder.trim_end_matches('/')), None),
        };
        let name = folder.trim_end_matches('/').rsplit("//").next().unwrap_or_default().to_owned();
        let name = name.trim_end_matches("/resolve/main").to_owned();
        Ok(Self { folder, name, weights, tree: None, sha256 })
    }

    fn on_hub(hub: &str, repository: &str, revision: &str, sha256: Option<String>) -> Self {
        let name = match revision {
            "main" => repository.to_owned(),
            revision => format!("{repository}@{revision}"),
        };
        Self {
            folder: format!("{hub}/{repository}/resolve/{revision}/"),
            name,
            weights: None,
            tree: Some(format!("{hub}/api/models/{repository}/tree/{revision}")),
            sha256,
        }
    }

    /// Its name in the store: the same address, the same name.
    pub fn key(&self) -> String {
        let whole = format!("{}{}", self.folder, self.weights.as_deref().unwrap_or_default());
        hex(&Sha256::digest(whole.as_bytes()))[..16].to_owned()
    }
}

/// `owner/name` or `owner/name@revision`, as the hub allows names.
fn repository(text: &str) -> Option<(String, String)> {
    let (path, revision) = text.split_once('@').unwrap_or((text, "main"));
    let (owner, name) = path.split_once('/')?;
    let plain = |part: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(good)
    };
    (plain(owner) && plain(name) && plain(revision)).then(|| (path.to_owned(), revision.to_owned()))
}

/// An address with its host.
fn absolute(place: &str, site: &str) -> Result<String, String> {
    if place.starts_with("https://") || place.starts_with("http://") {
        return Ok(place.to_owned());
    }
    match place {
        _ if place.contains("://") || place.is_empty() || place.contains(char::is_whitespace) => Err(format!(
            "\"{place}\" is no address: give https://…, a path that begins with /, or a repository's name such as \
             facebook/dinov2-small"
        )),
        _ => {
            let path = place.trim_start_matches("./").trim_start_matches('/');
            Ok(format!("{}/{path}", site.trim_end_matches('/')))
        }
    }
}

/// The hash behind `#sha256=`.
fn hash(fragment: &str) -> Result<Option<String>, String> {
    if fragment.is_empty() {
        return Ok(None);
    }
    let digits = fragment.strip_prefix("sha256=").filter(|digits| is_sha256(digits));
    digits.map(|digits| Some(digits.to_ascii_lowercase())).ok_or_else(|| {
        format!(
            "behind # stands \"{fragment}\", expected sha256= and 64 hexadecimal digits: correct it or leave it out"
        )
    })
}

/// Whether a text is a SHA-256 in hexadecimal digits.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
