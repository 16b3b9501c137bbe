//! What page and engine say to each other about training: one small command a step, so that views get their turn.

use serde::{Deserialize, Serialize};

use crate::ImageId;

/// Everything the page can ask of the training session, of which an engine has at most one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "train")]
pub enum TrainCommand {
    /// Begin a run and forget the one before, which stays where the new one is refused. Answer: [`TrainEvent::Begun`].
    Begin {
        /// What to train, on what.
        plan: Plan,
    },
    /// Make one step. Answer: [`TrainEvent::Stepped`]; in slow motion its attachment is an `ArrayBuffer` of the
    /// pictures' RGBA bytes, one picture after another.
    Step {
        /// Keep what the step computed on its way.
        slowly: bool,
    },
    /// Throw the switches of the collapse sandbox. Answer: [`TrainEvent::Changed`].
    Set {
        /// Where they shall stand.
        switches: Switches,
    },
    /// Look at held-out images. Answer: [`TrainEvent::Looked`], with the pictures' RGBA bytes as its attachment.
    Look,
    /// Remember this very moment. Answer: [`TrainEvent::Changed`].
    Keep,
    /// Return to the moment that was kept. Answer: [`TrainEvent::Begun`].
    Back,
    /// The run as bytes. Answer: [`TrainEvent::Saved`]; unless the browser keeps it, its attachments are an `ArrayBuffer`
    /// of the run and, where it learns from the user's images, one of those.
    Save {
        /// Where to.
        to: Place,
    },
    /// Go on with a run that was saved. Attachments: for [`Place::Page`] the `File`s (`state.safetensors`; with old ones
    /// also `config.toml` and `manifest.toml`; its images as `images.safetensors`). Answer: [`TrainEvent::Begun`], or [`TrainEvent::Closed`] where the
    /// browser keeps none.
    Load {
        /// Where from.
        from: Place,
        /// What it learns from, where the file does not say.
        data: Data,
    },
    /// The model as a Hugging Face folder. Answer: [`TrainEvent::Exported`], an `ArrayBuffer` a file.
    Export,
    /// Forget the run, and what the browser keeps of it. Answer: [`TrainEvent::Closed`].
    Close,
}

/// Where a saved run lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The browser's own file system (OPFS), which survives reloads.
    Browser,
    /// In the page's hands, as bytes.
    Page,
}

/// What to train, on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// A preset's name, as `native-trainer pretrain --preset` takes it.
    pub preset: String,
    /// `section.key=value` over it, as `--set` takes them.
    pub settings: Vec<String>,
    /// What it learns from.
    pub data: Data,
}

/// The preset that the page's runs of a method, `mae` or `dinov2`, are begun with.
pub fn page_preset(method: &str) -> &'static str {
    if method == "mae" { "page-mae" } else { "page-dino" }
}

/// What a run learns from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Data {
    /// Shapes on textures, drawn by the program; the same for the same seed everywhere.
    Drawn {
        /// How many.
        images: u64,
    },
    /// Images that the engine holds.
    Own {
        /// Which, in their order.
        images: Vec<ImageId>,
    },
}

/// The switches of the collapse sandbox; all on is the run as it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    /// The teacher's outputs lose their running mean (or go through Sinkhorn and Knopp).
    pub centring: bool,
    /// The teacher's softmax is colder than the student's; off, it is a plain softmax of temperature 1.
    pub sharpening: bool,
    /// The teacher is a moving average; off, it is the student itself.
    pub ema: bool,
    /// KoLeo pushes the features of different images apart, as in DINOv2; on also where the run was begun without it.
    pub koleo: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { centring: true, sharpening: true, ema: true, koleo: true }
    }
}

/// What the session answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "train")]
pub enum TrainEvent {
    /// A run stands, at its begin or where it was saved.
    Begun {
        /// Where it stands.
        status: Status,
        /// Its curves so far.
        curves: Curves,
        /// Something to know, in a sentence.
        note: Option<String>,
    },
    /// A step was made, or refused.
    Stepped {
        /// Its numbers; `None` when it was refused.
        report: Option<StepReport>,
        /// What was not finite, when it was refused.
        refused: Option<String>,
        /// The step in slow motion.
        stages: Option<Box<Stages>>,
        /// Where the run stands.
        status: Status,
    },
    /// What the model is like now.
    Looked {
        /// Numbers and pictures.
        look: Look,
        /// Where the run stands.
        status: Status,
    },
    /// A switch was thrown, or a moment kept.
    Changed {
        /// Where the run stands.
        status: Status,
    },
    /// The run is safe.
    Saved {
        /// Steps made.
        step: u64,
        /// How many bytes.
        bytes: u64,
        /// Where.
        to: Place,
        /// What to call the file.
        name: String,
    },
    /// The model's files are attached.
    Exported {
        /// Their names, in the order of the attachments.
        files: Vec<String>,
    },
    /// There is no run (any more).
    Closed,
}

/// A name and a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The name, as in the trainer's own reports.
    pub name: String,
    /// The number.
    pub value: f64,
}

/// Where a run stands and what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `mae` or `dinov2`.
    pub method: String,
    /// Steps made.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps of the warm-up.
    pub warmup: u64,
    /// Parameters of the student.
    pub parameters: u64,
    /// Images that it learns from.
    pub images: u64,
    /// What they are.
    pub data: Data,
    /// Images of a step.
    pub batch_size: usize,
    /// Side of a global crop in pixels.
    pub img_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Prototypes; 0 for MAE.
    pub prototypes: usize,
    /// Temperature of the student's softmax; 0 for MAE.
    pub student_temp: f64,
    /// Where the switches stand.
    pub switches: Switches,
    /// Step of the moment that was kept, if one was.
    pub kept: Option<u64>,
    /// Steps refused so far.
    pub bad_steps: u64,
    /// Every key with its value, TOML.
    pub config: String,
    /// What it was begun with over [`page_preset`] of its method, as [`Plan::settings`] takes it: with the same data and
    /// switches they make the same run anywhere.
    pub settings: Vec<String>,
}

/// One step's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Its number, from 0.
    pub step: u64,
    /// The objective.
    pub loss: f64,
    /// Its terms.
    pub losses: Vec<Figure>,
    /// Norms of the gradients, before clipping, by part.
    pub norms: Vec<Figure>,
    /// Figures of the teacher: `teacher_entropy`, `information`, `center_norm`, `kl`.
    pub teacher: Vec<Figure>,
    /// Learning rate.
    pub lr: f64,
    /// Share of the old teacher kept; 0 without one.
    pub momentum: f64,
    /// Temperature of the teacher; 0 without one.
    pub teacher_temp: f64,
    /// Milliseconds of the step, data and all.
    pub millis: f64,
}

/// A picture among the bytes of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thumbnail {
    /// `image`, `seen`, `reconstruction`, `attention`, `global 1`, `local 3` …
    pub title: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// A step in slow motion, of its first image where it is not of the batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum Stages {
    /// Self-distillation.
    Dino(DinoStages),
    /// Masked autoencoding.
    Mae(MaeStages),
}

/// Crops → student and teacher → centre → sharpen → loss → gradient → EMA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DinoStages {
    /// The crops of the first image: two global ones, then the local ones.
    pub crops: Vec<Thumbnail>,
    /// The teacher's outputs for both global crops, `[2][K]`.
    pub teacher_logits: Vec<Vec<f32>>,
    /// The student's outputs for the same crops, `[2][K]`.
    pub student_logits: Vec<Vec<f32>>,
    /// What is subtracted, `[K]`; zero where centring is off or Sinkhorn's.
    pub center: Vec<f32>,
    /// The teacher's answer, `[2][K]`.
    pub teacher_probs: Vec<Vec<f32>>,
    /// The student's answer for every crop, `[crops][K]`.
    pub student_probs: Vec<Vec<f32>>,
    /// Cross-entropy of teacher crop and student crop, a mean over the batch, `[2][crops]`; a crop is never compared
    /// with itself.
    pub pairs: Vec<Vec<Option<f64>>>,
    /// How the centre moved: length of the difference.
    pub center_moved: f64,
    /// Each part's gradient: name, norm, and the factor of clipping.
    pub clipping: Vec<(String, f64, f64)>,
    /// How far the student moved, over its length.
    pub student_moved: f64,
    /// How far the teacher moved, over its length.
    pub teacher_moved: f64,
    /// How far student and teacher are apart afterwards, over the teacher's length.
    pub apart: f64,
}

/// Image → mask → visible tokens → decoder → loss per patch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaeStages {
    /// The first image's `image`, `seen`, `tokens`, `prediction`, `reconstruction`.
    pub pictures: Vec<Thumbnail>,
    /// Patches a side.
    pub grid: usize,
    /// Which patches are hidden, row by row.
    pub hidden: Vec<bool>,
    /// Squared error of each patch as the loss takes it, row by row; shown patches do not count.
    pub patch_loss: Vec<f32>,
    /// Width of a visible token.
    pub dim: usize,
    /// Each part's gradient: name, norm, and the factor of clipping.
    pub clipping: Vec<(String, f64, f64)>,
    /// How far the weights moved, over their length.
    pub student_moved: f64,
}

/// What the model is like at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Steps made.
    pub step: u64,
    /// `rankme`, `feature_std`, `knn` …
    pub figures: Vec<Figure>,
    /// Health in a word.
    pub verdict: Verdict,
    /// In a sentence with the numbers that led to it.
    pub says: String,
    /// Pictures of held-out images, a row an image.
    pub rows: Vec<Vec<Thumbnail>>,
    /// The teacher's mean answer over the held-out images, `[K]`; empty for MAE.
    pub prototypes: Vec<f32>,
}

/// Health in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Too early to tell.
    Young,
    /// Learning.
    Good,
    /// Something to watch.
    Watch,
    /// All images become one.
    Collapsing,
    /// Numbers that are not finite.
    Diverging,
}

/// A run's numbers over its steps, thinned where it is long.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Curves {
    /// What each column is: `loss`, `teacher_entropy`, `rankme` …
    pub names: Vec<String>,
    /// Step, and a number a column; `None` where it was not measured.
    pub rows: Vec<(u64, Vec<Option<f32>>)>,
}

/// Rows from which on a curve is thinned: more than any chart has pixels for.
const ROWS: usize = 1200;

impl Curves {
    /// Adds numbers at a step; a step that is there already gets them too.
    pub fn add<'a>(&mut self, step: u64, figures: impl IntoIterator<Item = (&'a str, f64)>) {
        if self.rows.last().is_none_or(|row| row.0 != step) {
            self.thin();
            self.rows.push((step, vec![None; self.names.len()]));
        }
        for (name, value) in figures {
            let column = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            });
            if let Some((_, row)) = self.rows.last_mut() {
                row.resize(row.len().max(column + 1), None);
                row[column] = value.is_finite().then_some(value as f32);
            }
        }
    }

    /// Forgets what lies behind a step.
    pub fn cut(&mut self, step: u64) {
        self.rows.retain(|row| row.0 <= step);
    }

    /// The points of one curve.
    pub fn points(&self, name: &str) -> Vec<(u64, f32)> {
        let Some(column) = self.names.iter().position(|known| known == name) else { return Vec::new() };
        let point = |(step, row): &(u64, Vec<Option<f32>>)| Some((*step, row.get(column).copied().flatten()?));
        self.rows.iter().filter_map(point).collect()
    }

    /// Every second row of the older half goes, unless it holds what the row before it lacks.
    fn thin(&mut self) {
        if self.rows.len() < ROWS {
            return;
        }
        let half = ROWS / 2;
        let filled = |row: &(u64, Vec<Option<f32>>)| row.1.iter().flatten().count();
        let most = self.rows.iter().map(filled).max().unwrap_or(0);
        let mut at = 0;
        let rows = std::mem::take(&mut self.rows);
        self.rows = rows
            .into_iter()
            .filter(|row| {
                at += 1;
                at > half || at % 2 == 1 || filled(row) == most
            })
            .collect();
        // Where every row is full the rule above keeps all: then plainly every second one.
        if self.rows.len() >= ROWS {
            let mut at = 0;
            self.rows.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_stay_short_and_keep_both_ends() {
        let mut curves = Curves::default();
        for step in 0..5000 {
            curves.add(step, [("loss", step as f64)]);
            if step % 10 == 0 {
                curves.add(step, [("rankme", 1.0)]);
            }
        }
        assert!(curves.rows.len() <= ROWS, "{}", curves.rows.len());
        let points = curves.points("loss");
        assert_eq!((points.first(), points.last()), (Some(&(0, 0.0)), Some(&(4999, 4999.0))));
        assert!(curves.points("rankme").len() > 100, "what is measured seldom stays");
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
        curves.cut(100);
        assert!(curves.points("loss").iter().all(|point| point.0 <= 100));
        assert!(curves.points("nothing").is_empty());
    }

    #[test]
    fn a_column_that_comes_later_is_empty_before() {
        let mut curves = Curves::default();
        curves.add(0, [("loss", 1.0)]);
        curves.add(1, [("loss", 2.0), ("kl", f64::NAN), ("norm", 3.0)]);
        assert_eq!(curves.points("norm"), [(1, 3.0)]);
        assert!(curves.points("kl").is_empty(), "what is no number is no point");
    }
}
