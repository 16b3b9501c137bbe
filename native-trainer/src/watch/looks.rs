//! The album of a run: pictures of the same images at a few moments, spread evenly over the run, as PNG files in
//! `looks/`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use lab_core::train::event::{Look, Thumbnail};

/// Its folder in the folder of the run.
const FOLDER: &str = "looks";

/// Most moments that are kept.
const MOST: usize = 8;

/// A picture as a PNG file.
///
/// # Errors
/// When there are not as many pixels as width and height say.
pub(crate) fn png(picture: &Thumbnail) -> Result<Vec<u8>> {
    let Thumbnail { title, width, height, rgb } = picture;
    let expected = *width as usize * *height as usize * 3;
    ensure!(
        !rgb.is_empty() && rgb.len() == expected,
        "the picture \"{title}\" has {} values; {width} x {height} pixels need {expected}",
        rgb.len()
    );
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(rgb, *width, *height, ExtendedColorType::Rgb8)
        .with_context(|| format!("cannot write the picture \"{title}\" as PNG"))?;
    Ok(file)
}

/// A picture of the album.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Picture {
    /// What it shows.
    pub(crate) title: String,
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    /// The PNG file.
    pub(crate) png: Vec<u8>,
}

/// The pictures of one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    /// Steps made.
    pub(crate) step: u64,
    /// Epochs made.
    pub(crate) epoch: f64,
    /// One row an image.
    pub(crate) rows: Vec<Vec<Picture>>,
}

/// The moments that are kept, in their order.
#[derive(Debug)]
pub(crate) struct Album {
    folder: PathBuf,
    moments: Vec<Moment>,
}

impl Album {
    /// The album of a run folder, empty.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.join(FOLDER), moments: Vec::new() }
    }

    /// The moments that are kept.
    pub(crate) fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// Puts a look into the album and on the disk; may take another out.
    pub(crate) fn add(&mut self, look: &Look) -> Result<()> {
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        let moment = self.moment(look, |path, picture| {
            let file = png(picture)?;
            std::fs::write(path, &file).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(file)
        })?;
        if let Some(step) = self.keep(moment) {
            self.remove(|other| other == step)?;
        }
        Ok(())
    }

    /// Puts a look that an earlier session wrote back into the album, if its files are still there.
    pub(crate) fn recall(&mut self, look: &Look) {
        if let Ok(moment) = self.moment(look, |path, _| Ok(std::fs::read(path)?)) {
            self.keep(moment);
        }
    }

    /// Removes files of moments that are not in the album: those that the run will come to again.
    pub(crate) fn sweep(&self) -> Result<()> {
        self.remove(|step| self.moments.iter().all(|moment| moment.step != step))
    }

    fn moment(&self, look: &Look, mut file: impl FnMut(&Path, &Thumbnail) -> Result<Vec<u8>>) -> Result<Moment> {
        let mut rows = Vec::with_capacity(look.rows.len());
        for (row, pictures) in look.rows.iter().enumerate() {
            let mut kept = Vec::with_capacity(pictures.len());
            for (column, picture) in pictures.iter().enumerate() {
                let path = self.folder.join(format!("step-{}-row-{row}-col-{column}.png", look.step));
                let png = file(&path, picture)?;
                kept.push(Picture { title: picture.title.clone(), width: picture.width, height: picture.height, png });
            }
            rows.push(kept);
        }
        Ok(Moment { step: look.step, epoch: look.epoch, rows })
    }

    /// Takes in a moment. Where there are too many, the one goes whose neighbours are closest to each other, so that
    /// first and last stay; its step is returned.
    fn keep(&mut self, moment: Moment) -> Option<u64> {
        self.moments.retain(|other| other.step != moment.step);
        let at = self.moments.partition_point(|other| other.step < moment.step);
        self.moments.insert(at, moment);
        if self.moments.len() <= MOST {
            return None;
        }
        let gap = |at: &usize| self.moments[at + 1].step - self.moments[at - 1].step;
        let closest = (1..self.moments.len() - 1).min_by_key(gap)?;
        Some(self.moments.remove(closest).step)
    }

    /// Removes our files of the steps that are named.
    fn remove(&self, named: impl Fn(u64) -> bool) -> Result<()> {
        let files = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            files => files.with_context(|| format!("cannot read {}", self.folder.display()))?,
        };
        for file in files {
            let path = file.with_context(|| format!("cannot read {}", self.folder.display()))?.path();
            if path.file_name().and_then(|name| step_of(name.to_str()?)).is_some_and(&named) {
                std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// The step of a file of ours: `step-1200-row-0-col-1.png` gives 1200.
fn step_of(name: &str) -> Option<u64> {
    let (step, rest) = name.strip_prefix("step-")?.split_once("-row-")?;
    let (row, column) = rest.strip_suffix(".png")?.split_once("-col-")?;
    (row.parse::<u32>().is_ok() && column.parse::<u32>().is_ok()).then_some(())?;
    step.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::*;

    fn steps(album: &Album) -> Vec<u64> {
        album.moments().iter().map(|moment| moment.step).collect()
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder.join(FOLDER)).map_or(0, Iterator::count)
    }

    #[test]
    fn a_png_holds_the_pixels() {
        let picture = Thumbnail { title: "x".into(), width: 2, height: 1, rgb: vec![1, 2, 3, 250, 251, 252] };
        let read = image::load_from_memory(&png(&picture).expect("a picture")).expect("PNG").to_rgb8();
        assert_eq!((read.dimensions(), read.into_raw()), ((2, 1), picture.rgb.clone()));
        for wrong in [Thumbnail { width: 3, ..picture.clone() }, Thumbnail { rgb: Vec::new(), ..picture }] {
            assert!(png(&wrong).is_err());
        }
    }

    #[test]
    fn moments_spread_evenly_and_first_and_last_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut album = Album::new(folder.path());
        for moment in 0..200_u64 {
            album.add(&made_up::look(moment * 100, 20_000, 1)).expect("added");
            let steps = steps(&album);
            assert!(steps.len() <= MOST && steps.is_sorted());
            assert_eq!((steps[0], steps[steps.len() - 1]), (0, moment * 100));
            assert_eq!(files(folder.path()), steps.len() * 2, "files of moments that went are gone");
        }
        let steps = steps(&album);
        let gaps: Vec<u64> = steps.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Gaps double as the run grows; the last is whatever came since.
        let widest = gaps.iter().max().expect("gaps");
        assert!(gaps[..gaps.len() - 1].iter().all(|gap| gap * 4 >= *widest), "{steps:?}");
    }

    #[test]
    fn an_album_is_found_again_without_what_is_made_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut album = Album::new(folder.path());
        let looks = [0, 100, 200].map(|step| made_up::look(step, 300, 2));
        looks.iter().for_each(|look| album.add(look).expect("added"));
        std::fs::write(folder.path().join(FOLDER).join("mine.png"), b"x").expect("written");
        let mut again = Album::new(folder.path());
        looks[..2].iter().for_each(|look| again.recall(look));
        again.recall(&made_up::look(50, 300, 2)); // never written
        again.sweep().expect("swept");
        assert_eq!(again.moments(), &album.moments()[..2]);
        assert_eq!(files(folder.path()), 2 * 4 + 1, "a stranger's file stays");
    }

    #[test]
    fn names_are_ours_or_not() {
        assert_eq!(step_of("step-1200-row-0-col-1.png"), Some(1200));
        for other in ["step-x-row-0-col-1.png", "step-1-row-0.png", "step-1-row-0-col-1.jpg", "cat.png"] {
            assert_eq!(step_of(other), None, "{other}");
        }
    }
}
