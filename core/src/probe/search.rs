//! Visual search: a file of embeddings, made by `native-trainer embed`, held in memory, and compared whole.
//!
//! Exact: every row is compared, no index approximates. A hundred thousand rows of 384 numbers are 38 million products,
//! some tens of milliseconds on one core.

use std::collections::BTreeMap;

use super::knn::{dot, unit};
use crate::error::{Error, ProbeError};
use crate::formats::Checkpoint;
use crate::host::{ReadAt, read_exact};

/// Bytes of embeddings that are held at most: a browser's wasm has four gigabytes for everything.
const MAX_BYTES: u64 = 1 << 30;
/// Bytes read at once.
const PIECE: usize = 16 << 20;
/// Longest list of names that is read.
const MAX_NAMES: u64 = 64 << 20;

/// Embeddings with their names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embeddings {
    /// Numbers in a row.
    pub dim: usize,
    /// Patches of an image; 0 where a row is an image.
    pub patches: usize,
    /// Rows of length 1.
    unit: Vec<f32>,
    /// Images' names; fewer than images, or none, where the files do not tell.
    pub names: Vec<String>,
    /// What the file says of itself: `model`, `what`, `preprocess`, `fingerprint`.
    pub about: BTreeMap<String, String>,
}

/// A row that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The image's number in the file.
    pub image: usize,
    /// The patch in it, where rows are patches.
    pub patch: Option<u32>,
    /// Its likeness.
    pub cosine: f32,
}

impl Embeddings {
    /// Opens a `.safetensors` or `.npy`; beside it may lie `NAME.paths.txt`.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Embeddings`] for what is none, is too large or has numbers that are none; the formats' own.
    pub async fn open(mut files: Vec<Box<dyn ReadAt>>) -> Result<Self, Error> {
        let mut names = Vec::new();
        if let Some(place) = files.iter().position(|file| file.name().ends_with(".paths.txt")) {
            let list = files.swap_remove(place);
            let len = list.len().min(MAX_NAMES + 1) as usize;
            let text = read_exact(list.as_ref(), 0, len).await?;
            let text = String::from_utf8(text).ok().filter(|_| list.len() <= MAX_NAMES);
            let text = text.ok_or_else(|| wrong(list.name(), "the list of names is no text, or too long"))?;
            names = text.lines().map(str::to_owned).collect();
        }
        let found: Vec<String> = files.iter().map(|file| file.name().to_owned()).collect();
        let known = |file: &dyn ReadAt| file.name().ends_with(".npy") || file.name().ends_with(".safetensors");
        let Some(place) = files.iter().position(|file| known(file.as_ref())) else {
            return Err(
                wrong(&found.join(", "), "expected a .safetensors or .npy that `native-trainer embed` wrote").into()
            );
        };
        let file = files.swap_remove(place);
        let mut all = match file.name().ends_with(".npy") {
            true => Self::npy(file.as_ref()).await?,
            false => Self::safetensors(file).await?,
        };
        if !names.is_empty() {
            all.names = names;
        }
        let found = &found[0];
        if all.unit.iter().any(|value| !value.is_finite()) {
            return Err(wrong(found, "some of its numbers are infinite or none at all; embed the images anew").into());
        }
        Ok(all)
    }

    async fn safetensors(file: Box<dyn ReadAt>) -> Result<Self, Error> {
        let name = file.name().to_owned();
        let checkpoint = Checkpoint::open(file).await?;
        let about = checkpoint.metadata().clone();
        let Some(entry) = checkpoint.entry("embeddings") else {
            let found: Vec<&str> = checkpoint.names().take(4).collect();
            let reason = format!("it has no tensor \"embeddings\", only {}", found.join(", "));
            return Err(wrong(&name, &reason).into());
        };
        let (rows, patches, dim) = shape(&name, &entry.shape)?;
        let mut values = Vec::with_capacity(rows * patches.max(1) * dim);
        let step = (PIECE / (patches.max(1) * dim * 4)).max(1);
        for start in (0..rows).step_by(step) {
            let piece = checkpoint.read_rows("embeddings", start..rows.min(start + step)).await?.to_f32()?;
            values.extend(unit(&piece, dim));
        }
        let names = about.get("paths").and_then(|paths| serde_json::from_str(paths).ok()).unwrap_or_default();
        let about = about.into_iter().filter(|(key, _)| key != "paths").collect();
        Ok(Self { dim, patches, unit: values, names, about })
    }

    async fn npy(file: &dyn ReadAt) -> Result<Self, Error> {
        let name = file.name();
        let broken = |reason: &str| wrong(name, reason);
        let head = read_exact(file, 0, 12.min(file.len() as usize)).await?;
        if head.len() < 12 || !head.starts_with(b"\x93NUMPY") {
            return Err(broken("it does not begin as an .npy file does").into());
        }
        let (start, len) = match head[6] {
            1 => (10, u64::from(u16::from_le_bytes([head[8], head[9]]))),
            _ => (12, u64::from(u32::from_le_bytes([head[8], head[9], head[10], head[11]]))),
        };
        if len > 1 << 16 || start + len > file.len() {
            return Err(broken("its header is cut short").into());
        }
        let text = read_exact(file, start, len as usize).await?;
        let text = String::from_utf8_lossy(&text).replace('"', "'");
        if !text.contains("'<f4'") || text.contains("'fortran_order': True") {
            return Err(broken("expected 32-bit floats, row by row ('<f4', no Fortran order)").into());
        }
        let extents = text.split("'shape':").nth(1).and_then(|rest| rest.split(['(', ')']).nth(1)).unwrap_or_default();
        let extents: Option<Vec<usize>> =
            extents.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect();
        let (rows, patches, dim) = shape(name, &extents.unwrap_or_default())?;
        let each = patches.max(1) * dim;
        if start + len + 4 * (rows * each) as u64 != file.len() {
            return Err(broken("its length does not fit its shape; it may be cut short").into());
        }
        let mut values = Vec::with_capacity(rows * each);
        let step = (PIECE / (each * 4)).max(1);
        for first in (0..rows).step_by(step) {
            let count = step.min(rows - first) * each;
            let bytes = read_exact(file, start + len + 4 * (first * each) as u64, 4 * count).await?;
            let floats = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            values.extend(unit(&floats.collect::<Vec<_>>(), dim));
        }
        Ok(Self { dim, patches, unit: values, ..Self::default() })
    }

    /// Images in the file.
    pub fn images(&self) -> usize {
        self.unit.len() / self.dim.max(1) / self.patches.max(1)
    }

    /// What an image is called.
    pub fn name(&self, image: usize) -> String {
        self.names.get(image).cloned().unwrap_or_else(|| format!("image {image}"))
    }

    /// The `count` rows of largest cosine, nearest first; of an image only its best patch counts.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Width`] when the query is of another width.
    pub fn nearest(&self, query: &[f32], count: usize) -> Result<Vec<Hit>, ProbeError> {
        if query.len() != self.dim {
            return Err(ProbeError::Width { what: "embeddings", expected: self.dim, found: query.len() });
        }
        let query = unit(query, self.dim);
        let each = self.patches.max(1);
        let mut best: Vec<(usize, u32, f32)> = Vec::with_capacity(self.images());
        for (image, rows) in self.unit.chunks_exact(self.dim * each).enumerate() {
            let (mut patch, mut cosine) = (0, f32::NEG_INFINITY);
            for (index, row) in rows.chunks_exact(self.dim).enumerate() {
                let found = dot(row, &query);
                if found > cosine {
                    (patch, cosine) = (index as u32, found);
                }
            }
            best.push((image, patch, cosine));
        }
        let nearer = |a: &(usize, u32, f32), b: &(usize, u32, f32)| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0));
        if count < best.len() {
            best.select_nth_unstable_by(count, nearer);
            best.truncate(count);
        }
        best.sort_by(nearer);
        let hit = |(image, patch, cosine)| Hit { image, patch: (self.patches > 0).then_some(patch), cosine };
        Ok(best.into_iter().map(hit).collect())
    }
}

/// Rows, patches (0 for none) and width.
fn shape(name: &str, extents: &[usize]) -> Result<(usize, usize, usize), ProbeError> {
    let (rows, patches, dim) = match *extents {
        [rows, dim] => (rows, 0, dim),
        [rows, patches, dim] => (rows, patches, dim),
        _ => return Err(wrong(name, &format!("its shape is {extents:?}, expected [images, width]"))),
    };
    let bytes = [rows, patches.max(1), dim].iter().try_fold(4u64, |bytes, &extent| bytes.checked_mul(extent as u64));
    match bytes {
        Some(0) => Err(wrong(name, "it holds no embedding")),
        Some(bytes) if bytes <= MAX_BYTES => Ok((rows, patches, dim)),
        _ => Err(wrong(name, "it is larger than 1 GiB: embed fewer images, or keep less of each with --what cls")),
    }
}

fn wrong(file: &str, reason: &str) -> ProbeError {
    ProbeError::Embeddings { file: file.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryFile;
    use crate::host::tests::ready;

    fn npy(shape: &str, values: &[f32]) -> Vec<u8> {
        let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        while (10 + text.len() + 1) % 64 != 0 {
            text.push(' ');
        }
        text.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    fn open(files: Vec<(&str, Vec<u8>)>) -> Result<Embeddings, Error> {
        let files =
            files.into_iter().map(|(name, bytes)| -> Box<dyn ReadAt> { Box::new(MemoryFile::new(name, bytes)) });
        ready(Embeddings::open(files.collect()))
    }

    #[test]
    fn the_nearest_come_first_with_their_names() {
        let bytes = npy("(3, 2)", &[0.0, 2.0, 3.0, 0.0, 1.0, 1.0]);
        let all = open(vec![("e.npy", bytes), ("e.npy.paths.txt", b"a.jpg\nb.jpg\n".to_vec())]).expect("sound");
        let hits = all.nearest(&[5.0, 0.0], 2).expect("of its width");
        assert_eq!(hits.iter().map(|hit| all.name(hit.image)).collect::<Vec<_>>(), ["b.jpg", "image 2"]);
        assert!((hits[0].cosine - 1.0).abs() < 1e-6 && (hits[1].cosine - 0.5f32.sqrt()).abs() < 1e-6);
        assert!(all.nearest(&[1.0], 2).unwrap_err().to_string().contains("2"));
    }

    #[test]
    fn of_an_image_its_best_patch_counts() {
        let bytes = npy("(2, 2, 2)", &[0.0, 1.0, 1.0, 0.2, 1.0, 0.0, 0.0, 1.0]);
        let all = open(vec![("e.npy", bytes)]).expect("sound");
        let hits = all.nearest(&[1.0, 0.0], 9).expect("of its width");
        assert_eq!(hits.iter().map(|hit| (hit.image, hit.patch)).collect::<Vec<_>>(), [(1, Some(0)), (0, Some(1))]);
    }

    #[test]
    fn what_is_no_embedding_is_said() {
        let check = |name: &str, bytes: Vec<u8>, expected: &str| {
            let error = open(vec![(name, bytes)]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("e.npy", b"PK".to_vec(), "does not begin");
        check("e.npy", npy("(3, 2)", &[1.0]), "cut short");
        check("e.npy", npy("(3,)", &[1.0; 3]), "expected [images, width]");
        check("e.npy", npy("(0, 2)", &[]), "no embedding");
        check("e.npy", npy("(1, 2)", &[f32::NAN, 1.0]), "infinite");
        check("photo.jpg", vec![0; 20], "expected a .safetensors or .npy");
    }
}
