//! A step in slow motion as numbers and pictures: crops, teacher and student, centre, softmax, pairs, movement; or mask,
//! tokens, reconstruction, loss of each patch.

use burn::tensor::{Tensor, TensorData};
use lab_protocol::train::{DinoStages, MaeStages, Stages, Thumbnail};

use super::session::titled;
use crate::data::multi_crop::Batch;
use crate::device::readback;
use crate::error::Error;
use crate::image::color::viridis;
use crate::models::mae;
use crate::train::event::{self, Step};
use crate::train::{Draws, SlowMotion, Trainer};

/// Pictures apart from their bytes: red, green, blue and alpha, one picture after another.
pub(super) fn flatten(rows: Vec<Vec<event::Thumbnail>>) -> (Vec<Vec<Thumbnail>>, Vec<u8>) {
    let mut bytes = Vec::new();
    for thumbnail in rows.iter().flatten() {
        for rgb in thumbnail.rgb.as_chunks::<3>().0 {
            bytes.extend([rgb[0], rgb[1], rgb[2], 255]);
        }
    }
    (rows.iter().map(|row| row.iter().map(titled).collect()).collect(), bytes)
}

/// What a step computed on its way, with the bytes of its pictures.
///
/// # Errors
///
/// The device's.
pub(super) async fn of(
    trainer: &Trainer,
    batch: &Batch,
    draws: &Draws,
    step: &Step,
    slow: &SlowMotion,
) -> Result<(Stages, Vec<u8>), Error> {
    // Where the device cut the crops, they are cut once more for the eye.
    let batch = batch.cut();
    let clip = trainer.config().optim.clip_grad;
    let factor = |norm: f64| if clip > 0.0 { (clip / (norm + 1e-6)).min(1.0) } else { 1.0 };
    let clipping = step.norms.iter().map(|(part, norm)| (part.clone(), *norm, factor(*norm))).collect();
    let ratio = async |moved: &str, length: &str| -> Result<f64, Error> {
        Ok(slow.number(moved).await? / slow.number(length).await?.max(f64::MIN_POSITIVE))
    };
    let student_moved = ratio("moved.student", "length.student").await?;
    if draws.masking.is_some() {
        return mae_stages(trainer, &batch, draws, clipping, student_moved, slow).await;
    }
    let read = async |name: &str| -> Result<(usize, Vec<f32>), Error> {
        Ok(slow.read(name).await?.map_or((1, Vec::new()), |(shape, values)| (shape[shape.len() - 1], values)))
    };
    let images = batch.images;
    let (prototypes, logits) = read("teacher.logits").await?;
    let (_, probs) = read("teacher.probs").await?;
    let (_, center) = read("center").await?;
    let mut student = read("student.global").await?.1;
    let global = student.len();
    student.extend(read("student.local").await?.1);
    let temp = trainer.config().dino.student_temp;
    let student_log: Vec<Vec<f64>> = student.chunks_exact(prototypes).map(|row| log_softmax(row, temp)).collect();
    let teacher: Vec<&[f32]> = probs.chunks_exact(prototypes).collect();
    let crops = student_log.len() / images.max(1);
    // Rows are crop-major: the first image's rows stand at the begin of each crop.
    let of_first =
        |rows: &[f32]| rows.chunks_exact(prototypes).step_by(images.max(1)).map(<[f32]>::to_vec).collect::<Vec<_>>();
    let pairs = (0..2)
        .map(|t| {
            let pair = |s: usize| {
                let cross = |image: usize| {
                    let (teacher, student) = (teacher[t * images + image], &student_log[s * images + image]);
                    -teacher.iter().zip(student).map(|(&t, s)| f64::from(t) * s).sum::<f64>()
                };
                (s != t).then(|| (0..images).map(cross).sum::<f64>() / images as f64)
            };
            (0..crops).map(pair).collect()
        })
        .collect();
    let centred = step_centre(trainer, center);
    let (row, bytes) = crops_of_first(trainer, &batch);
    let student_probs =
        student_log.iter().step_by(images.max(1)).map(|row| row.iter().map(|log| log.exp() as f32).collect()).collect();
    let stages = DinoStages {
        crops: row,
        teacher_logits: of_first(&logits),
        student_logits: of_first(&student[..global]),
        center: centred,
        teacher_probs: of_first(&probs),
        student_probs,
        pairs,
        center_moved: slow.number("center.moved").await?,
        clipping,
        student_moved,
        teacher_moved: ratio("moved.teacher", "length.teacher").await?,
        apart: ratio("apart", "length.teacher").await?,
    };
    Ok((Stages::Dino(stages), bytes))
}

/// What was subtracted: nothing, where the rules subtract nothing.
fn step_centre(trainer: &Trainer, center: Vec<f32>) -> Vec<f32> {
    match trainer.config().teacher.centering {
        crate::config::Centering::Centering => center,
        _ => vec![0.0; center.len()],
    }
}

fn log_softmax(row: &[f32], temp: f64) -> Vec<f64> {
    let scaled: Vec<f64> = row.iter().map(|&x| f64::from(x) / temp).collect();
    let most = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = scaled.iter().map(|x| (x - most).exp()).sum::<f64>().ln() + most;
    scaled.into_iter().map(|x| x - log_sum).collect()
}

fn crops_of_first(trainer: &Trainer, batch: &Batch) -> (Vec<Thumbnail>, Vec<u8>) {
    let mut row = Vec::new();
    for (name, values, number, size) in [
        ("global", &batch.global, batch.global_number, batch.global_size),
        ("local", &batch.local, batch.local_number, batch.local_size),
    ] {
        let len = 3 * size * size;
        for crop in 0..number {
            let start = crop * batch.images * len;
            row.push(trainer.thumbnail(&format!("{name} {}", crop + 1), &values[start..start + len]));
        }
    }
    let (mut rows, bytes) = flatten(vec![row]);
    (rows.pop().unwrap_or_default(), bytes)
}

async fn mae_stages(
    trainer: &Trainer,
    batch: &Batch,
    draws: &Draws,
    clipping: Vec<(String, f64, f64)>,
    student_moved: f64,
    slow: &SlowMotion,
) -> Result<(Stages, Vec<u8>), Error> {
    let config = trainer.config();
    let (side, patch) = (batch.global_size, config.model.patch_size);
    let grid = side / patch;
    let (patches, len) = (grid * grid, 3 * side * side);
    let image = &batch.global[..len];
    let hidden: Vec<bool> = match &draws.masking {
        Some(masking) => masking.mask[..patches].iter().map(|&mask| mask > 0.0).collect(),
        None => vec![false; patches],
    };
    let loss = slow.read("mae.patch_loss").await?.map(|(_, values)| values[..patches].to_vec()).unwrap_or_default();
    let (shape, latent) = slow.read("mae.latent").await?.unwrap_or((vec![1, 1, 1], vec![0.0]));
    let (tokens, dim) = (shape[1], shape[2]);
    let (pixels, logits) = slow.read("mae.logits").await?.unwrap_or((vec![1, patches, 3 * patch * patch], vec![0.0]));
    let numbers = pixels[2];
    let device = trainer.plain_device();
    let upload = |values: Vec<f32>| Tensor::<3>::from_data(TensorData::new(values, [1, patches, numbers]), &device);
    let logits = upload(logits[..patches * numbers].to_vec());
    let whole = Tensor::<4>::from_data(TensorData::new(image.to_vec(), [1, 3, side, side]), &device);
    let painted = mae::painted(&config.mae_decoder(), logits, mae::patchify(whole, patch));
    let painted = readback(mae::unpatchify(painted, grid, grid)).await?;
    let (mut seen, mut whole) = (image.to_vec(), image.to_vec());
    for (place, (seen, whole)) in seen.iter_mut().zip(&mut whole).enumerate() {
        let (y, x) = (place / side % side, place % side);
        if hidden[y / patch * grid + x / patch] {
            (*seen, *whole) = (0.0, painted[place]);
        }
    }
    let row = vec![
        trainer.thumbnail("image", image),
        trainer.thumbnail("seen", &seen),
        token_picture(&latent[..tokens * dim], tokens, dim),
        trainer.thumbnail("prediction", &painted),
        trainer.thumbnail("reconstruction", &whole),
    ];
    let (mut rows, bytes) = flatten(vec![row]);
    let pictures = rows.pop().unwrap_or_default();
    let stages = MaeStages { pictures, grid, hidden, patch_loss: loss, dim, clipping, student_moved };
    Ok((Stages::Mae(stages), bytes))
}

/// Tokens as rows of colour, viridis from -2 to 2: the last norm leaves numbers of deviation 1.
fn token_picture(latent: &[f32], tokens: usize, dim: usize) -> event::Thumbnail {
    let colour = |value: &f32| viridis((value + 2.0) / 4.0).map(|channel| (255.0 * channel).round() as u8);
    let rgb = latent.iter().flat_map(colour).collect();
    event::Thumbnail { title: "tokens".to_owned(), width: dim as u32, height: tokens as u32, rgb }
}
