//! A run in the engine: the same numbers as the trainer alone, saved and taken up again, collapsed and brought back.

use lab_core::config::Config;
use lab_core::data::drawn::Drawn;
use lab_core::data::multi_crop::{self, Batch, Prepared};
use lab_core::data::sampler::Sampler;
use lab_core::device;
use lab_core::engine::Engine;
use lab_core::engine::train::Answer;
use lab_core::error::{EngineError, Error, TrainError};
use lab_core::formats::ModelFiles;
use lab_core::host::{MemoryFile, ReadAt};
use lab_core::models::inspect;
use lab_core::rng::Rng;
use lab_core::train::state::{Counters, FORMAT, about, read_about, to_bytes};
use lab_core::train::{Outcome, Trainer};
use lab_protocol::ImageId;
use lab_protocol::train::{
    Data, Place, Plan, Stages, Status, StepReport, Switches, TrainCommand, TrainEvent, Verdict, page_preset,
};
use pollster::block_on;

/// Makes the page's presets small enough for a test.
const SMALL: [&str; 7] = [
    "model.embed_dim=32",
    "model.depth=2",
    "model.num_heads=2",
    "dino.head_hidden_dim=32",
    "mae.decoder_embed_dim=32",
    "train.batch_size=8",
    "optim.warmup_epochs=0.05",
];
const IMAGES: u64 = 40;

fn settings(more: &[&str]) -> Vec<String> {
    SMALL.iter().chain(more).map(ToString::to_string).collect()
}

fn engine() -> Engine {
    Engine::new(device::cpu(), || 0.0)
}

fn ask(engine: &mut Engine, command: TrainCommand) -> Answer {
    block_on(engine.train(command)).unwrap_or_else(|error| panic!("{error}"))
}

fn begin(preset: &str, more: &[&str]) -> Engine {
    let mut engine = engine();
    let data = Data::Drawn { images: IMAGES };
    let plan = Plan { preset: preset.to_owned(), settings: settings(more), data };
    ask(&mut engine, TrainCommand::Begin { plan });
    engine
}

fn step(engine: &mut Engine) -> StepReport {
    match ask(engine, TrainCommand::Step { slowly: false }).event {
        TrainEvent::Stepped { report: Some(report), .. } => report,
        other => panic!("{other:?}"),
    }
}

fn saved(engine: &mut Engine) -> Vec<u8> {
    block_on(engine.saved_run()).expect("a run").2
}

fn load(engine: &mut Engine, bytes: Vec<u8>) -> Result<Answer, Error> {
    let files: Vec<Box<dyn ReadAt>> = vec![Box::new(MemoryFile::new("state.safetensors", bytes))];
    block_on(engine.load_run(files, &Data::Drawn { images: IMAGES }))
}

fn status(answer: &Answer) -> &Status {
    match &answer.event {
        TrainEvent::Begun { status, .. } | TrainEvent::Changed { status } => status,
        other => panic!("{other:?}"),
    }
}

/// What `native-trainer pretrain` does with the same configuration on the same pictures.
struct Native {
    trainer: Trainer,
    sampler: Sampler,
    cursor: u64,
}

impl Native {
    fn begin(preset: &str) -> Self {
        let config = Config::resolve(Some(preset), None, &settings(&[])).expect("a preset");
        let sampler = Sampler::new(config.train.seed, IMAGES);
        let trainer = block_on(Trainer::begin(config, IMAGES, &device::cpu().device)).expect("a run");
        Self { trainer, sampler, cursor: 0 }
    }

    fn step(&mut self) -> f64 {
        let config = self.trainer.config().clone();
        let seed = config.train.seed;
        let images = (0..config.train.batch_size)
            .map(|_| {
                let draw = self.cursor;
                self.cursor += 1;
                let image = Drawn::new(seed).image(self.sampler.draw(draw));
                Prepared::Crops(multi_crop::crops(&config, Rng::new(seed), draw, &image))
            })
            .collect();
        match block_on(self.trainer.step(&[Batch::collate(&config, images)])).expect("a step") {
            Outcome::Updated(step) => step.loss,
            refused => panic!("{refused:?}"),
        }
    }

    fn counters(&self) -> Counters {
        let step = self.trainer.steps_made();
        Counters { format: FORMAT, step, cursor: self.cursor, bad_images: 0, bad_steps: 0, images: IMAGES }
    }

    fn bytes(&self) -> Vec<u8> {
        block_on(to_bytes(&self.trainer.state(), about(self.trainer.config(), &self.counters()))).expect("readable")
    }
}

/// The numbers of a file, behind its header.
fn numbers(bytes: &[u8]) -> &[u8] {
    let length = u64::from_le_bytes(*bytes.first_chunk::<8>().expect("a header")) as usize;
    &bytes[8 + length..]
}

#[test]
fn ten_steps_are_those_of_the_trainer_to_the_bit() {
    for preset in ["page-mae", "page-dino"] {
        let (mut engine, mut native) = (begin(preset, &[]), Native::begin(preset));
        for number in 0..10 {
            // Every third one in slow motion: that changes nothing.
            let event = ask(&mut engine, TrainCommand::Step { slowly: number % 3 == 2 }).event;
            let TrainEvent::Stepped { report: Some(report), stages, .. } = event else { panic!("{event:?}") };
            assert_eq!((report.step, report.loss), (number, native.step()), "{preset}");
            assert_eq!(stages.is_some(), number % 3 == 2);
            if number == 4 {
                ask(&mut engine, TrainCommand::Look);
            }
        }
        assert!(numbers(&saved(&mut engine)) == numbers(&native.bytes()), "{preset}: the weights differ");
    }
}

#[test]
fn a_run_goes_on_where_it_was_saved() {
    for preset in ["page-mae", "page-dino"] {
        let mut whole = begin(preset, &[]);
        (0..3).for_each(|_| drop(step(&mut whole)));
        let bytes = saved(&mut whole);
        let expected: Vec<f64> = (0..3).map(|_| step(&mut whole).loss).collect();
        let mut other = engine();
        let answer = load(&mut other, bytes).expect("our own file");
        assert_eq!(status(&answer).step, 3);
        let TrainEvent::Begun { curves, note, .. } = &answer.event else { panic!("{answer:?}") };
        assert_eq!((curves.points("loss").len(), note), (3, &None));
        let found: Vec<f64> = (0..3).map(|_| step(&mut other).loss).collect();
        assert_eq!(found, expected, "{preset}");
        assert!(numbers(&saved(&mut other)) == numbers(&saved(&mut whole)), "{preset}");
    }
}

#[test]
fn a_native_run_opens_here_and_ours_there() {
    for preset in ["page-mae", "page-dino"] {
        let mut native = Native::begin(preset);
        native.step();
        let mut engine = engine();
        let answer = load(&mut engine, native.bytes()).expect("a native file");
        assert_eq!((status(&answer).step, status(&answer).switches), (1, Switches::default()));
        assert_eq!(step(&mut engine).loss, native.step(), "{preset}");
        // And back: as `native-trainer pretrain --from` reads it.
        let file = Box::new(MemoryFile::new("page.safetensors", saved(&mut engine)));
        let checkpoint = block_on(lab_core::formats::Checkpoint::open(file)).expect("our own file");
        let (config, counters) = read_about(&checkpoint).expect("readable").expect("there");
        let mut third = Native::begin(preset);
        assert_eq!((&config, counters), (third.trainer.config(), native.counters()));
        block_on(third.trainer.restore(&checkpoint, &counters)).expect("fits");
        third.cursor = counters.cursor;
        assert_eq!(third.step(), native.step(), "{preset}");
    }
}

#[test]
fn a_file_that_was_changed_or_is_no_run_is_told() {
    let mut engine = begin("page-mae", &[]);
    step(&mut engine);
    let bytes = saved(&mut engine);
    let fails = |engine: &mut Engine, bytes: Vec<u8>, words: &str| {
        let error = load(engine, bytes).expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
    };
    let mut changed = bytes.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    fails(&mut engine, changed, "sum over its numbers");
    fails(&mut engine, bytes[..bytes.len() - 4].to_vec(), "state.safetensors");
    let stranger = b"\x02\0\0\0\0\0\0\0{}".to_vec();
    fails(&mut engine, stranger, "configuration");
    // The run stays.
    assert_eq!(step(&mut engine).step, 1);
}

#[test]
fn a_run_that_is_refused_leaves_the_one_before() {
    let mut engine = begin("page-mae", &[]);
    step(&mut engine);
    let before = saved(&mut engine);
    let drawn = |images| Data::Drawn { images };
    for (set, data, words) in [
        ("model.embed_dim=8192", drawn(IMAGES), "MiB"),
        ("model.num_heads=7", drawn(IMAGES), "divisor"),
        ("optim.base_rl=1", drawn(IMAGES), "did you mean"),
        ("train.seed=1", drawn(1), "too few"),
        ("train.seed=1", Data::Own { images: vec![ImageId(7), ImageId(8)] }, "no image 7"),
    ] {
        let plan = Plan { preset: "page-mae".to_owned(), settings: vec![set.to_owned()], data };
        let error = block_on(engine.train(TrainCommand::Begin { plan })).expect_err(words).to_string();
        assert!(error.contains(words), "{words}: {error}");
        assert!(saved(&mut engine) == before, "{set} was refused, and the run is another one");
    }
    assert_eq!(step(&mut engine).step, 1);
}

#[test]
fn the_settings_of_a_run_begin_it_again() {
    for preset in ["page-mae", "page-dino"] {
        let mut first = begin(preset, &["train.seed=5", "optim.base_lr=2e-3"]);
        let losses: Vec<f64> = (0..3).map(|_| step(&mut first).loss).collect();
        if preset == "page-dino" {
            // A switch is no setting: it was thrown later.
            ask(
                &mut first,
                TrainCommand::Set { switches: Switches { ema: false, koleo: false, ..Switches::default() } },
            );
        }
        // As a page knows it that found the run, and never asked for it.
        let answer = load(&mut engine(), saved(&mut first)).expect("our own file");
        let Status { method, settings, .. } = status(&answer).clone();
        assert!(settings.contains(&"train.seed=5".to_owned()), "{settings:?}");
        assert!(!settings.iter().any(|line| line.starts_with("teacher.") || line.contains("koleo")), "{settings:?}");
        let mut again = engine();
        let plan = Plan { preset: page_preset(&method).to_owned(), settings, data: Data::Drawn { images: IMAGES } };
        ask(&mut again, TrainCommand::Begin { plan });
        let found: Vec<f64> = (0..3).map(|_| step(&mut again).loss).collect();
        assert_eq!(found, losses, "{preset}");
    }
    // A native run of another preset has more to say.
    let native = Native::begin("tiny-dinov2").bytes();
    let answer = load(&mut engine(), native).expect("a native file");
    let Status { method, settings, config, .. } = status(&answer).clone();
    let again = Config::resolve(Some(page_preset(&method)), None, &settings).expect("settings that can be set");
    assert_eq!(again.to_toml(), config);
}

#[test]
fn slow_motion_adds_up() {
    let mut engine = begin("page-dino", &[]);
    for _ in 0..2 {
        step(&mut engine);
    }
    let Answer { event, bytes } = ask(&mut engine, TrainCommand::Step { slowly: true });
    let TrainEvent::Stepped { report: Some(report), stages: Some(stages), .. } = event else { panic!("{event:?}") };
    let Stages::Dino(dino) = *stages else { panic!("{stages:?}") };
    assert_eq!((dino.crops.len(), dino.teacher_probs.len(), dino.student_probs.len()), (4, 2, 4));
    let pixels: usize = dino.crops.iter().map(|crop| 4 * (crop.width * crop.height) as usize).sum();
    assert_eq!(bytes.iter().map(Vec::len).sum::<usize>(), pixels);
    for row in dino.teacher_probs.iter().chain(&dino.student_probs) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4);
    }
    // The student's outputs are told as well, of the crops that the teacher sees.
    assert_eq!((dino.teacher_logits.len(), dino.student_logits.len()), (2, 2));
    assert_eq!(dino.student_logits[1].len(), dino.student_probs[1].len());
    let highest = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(at, _)| at);
    assert_eq!(highest(&dino.student_logits[1]), highest(&dino.student_probs[1]));
    // Centre and temperature lead from logits to probabilities.
    let row: Vec<f64> = dino.teacher_logits[0]
        .iter()
        .zip(&dino.center)
        .map(|(logit, center)| (f64::from(logit - center) / report.teacher_temp).exp())
        .collect();
    let sum: f64 = row.iter().sum();
    for (found, expected) in dino.teacher_probs[0].iter().zip(row) {
        assert!((f64::from(*found) - expected / sum).abs() < 1e-4);
    }
    // The loss is the mean over the pairs that are compared, and KoLeo's part.
    let pairs: Vec<f64> = dino.pairs.iter().flatten().flatten().copied().collect();
    assert_eq!(pairs.len(), 6, "two teachers times four crops, less a crop with itself");
    let mean = pairs.iter().sum::<f64>() / pairs.len() as f64;
    let koleo = report.losses.iter().find(|term| term.name == "koleo").expect("its part").value;
    assert!(koleo != 0.0 && (mean + koleo - report.loss).abs() < 1e-4, "{mean} and {koleo}, {}", report.loss);
    assert!(dino.teacher_moved > 0.0 && dino.teacher_moved < dino.student_moved && dino.apart > 0.0, "{dino:?}");

    let mut engine = begin("page-mae", &[]);
    step(&mut engine);
    let Answer { event, bytes } = ask(&mut engine, TrainCommand::Step { slowly: true });
    let TrainEvent::Stepped { report: Some(report), stages: Some(stages), .. } = event else { panic!("{event:?}") };
    let Stages::Mae(mae) = *stages else { panic!("{stages:?}") };
    assert_eq!((mae.grid, mae.hidden.iter().filter(|&&hidden| hidden).count()), (8, 48));
    assert_eq!(mae.patch_loss.len(), 64);
    let pixels: usize = mae.pictures.iter().map(|picture| 4 * (picture.width * picture.height) as usize).sum();
    assert_eq!((mae.pictures.len(), bytes[0].len()), (5, pixels));
    // The first image's part of the loss is of the batch's size.
    let own = mae.hidden.iter().zip(&mae.patch_loss).filter(|(hidden, _)| **hidden).map(|(_, loss)| loss);
    let own = f64::from(own.sum::<f32>() / 48.0);
    assert!(own > 0.2 * report.loss && own < 5.0 * report.loss, "{own} in a batch of {}", report.loss);
}

#[test]
fn own_images_are_made_small_and_kept() {
    let mut engine = engine();
    for number in 0..3u32 {
        let picture = Drawn::new(u64::from(number)).image(0);
        let mut bytes = std::io::Cursor::new(Vec::new());
        let (width, height) = (picture.width(), picture.height());
        image::RgbImage::from_raw(width, height, picture.into_data())
            .expect("pixels")
            .write_to(&mut bytes, image::ImageFormat::Png)
            .expect("memory takes it");
        engine.add_image(ImageId(number), "own.png", bytes.into_inner()).expect("decodes");
    }
    let plan = |images: &[u32]| Plan {
        preset: "page-mae".to_owned(),
        settings: settings(&[]),
        data: Data::Own { images: images.iter().map(|&image| ImageId(image)).collect() },
    };
    let fails = |engine: &mut Engine, images: &[u32], words: &str| {
        let error = block_on(engine.train(TrainCommand::Begin { plan: plan(images) })).expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
        error
    };
    fails(&mut engine, &[0], "too few");
    assert!(matches!(fails(&mut engine, &[0, 9], "no image 9"), Error::Engine(EngineError::NoImage { image: 9 })));
    ask(&mut engine, TrainCommand::Begin { plan: plan(&[0, 1, 2]) });
    step(&mut engine);
    // Into the page's hands they go together.
    let [state, pictures] =
        <[_; 2]>::try_from(ask(&mut engine, TrainCommand::Save { to: Place::Page }).bytes).expect("both");
    assert!(state == saved(&mut engine) && Some(&pictures) == engine.own_pictures().as_ref());
    let expected = step(&mut engine).loss;
    // Another engine that has never seen the images.
    let mut other = self::engine();
    let files: Vec<Box<dyn ReadAt>> = vec![
        Box::new(MemoryFile::new("images.safetensors", pictures)),
        Box::new(MemoryFile::new("state-a.safetensors", state)),
    ];
    let answer = block_on(other.load_run(files, &Data::Drawn { images: 2 })).expect("both files");
    assert_eq!(status(&answer).images, 3);
    assert_eq!(step(&mut other).loss, expected);
}

#[test]
fn an_exported_model_opens_as_any_other() {
    for (preset, family) in [("page-mae", "MAE"), ("page-dino", "DINOv2")] {
        let mut engine = begin(preset, &[]);
        step(&mut engine);
        let Answer { event, bytes } = ask(&mut engine, TrainCommand::Export);
        let TrainEvent::Exported { files } = event else { panic!("{event:?}") };
        let files = || -> Vec<Box<dyn ReadAt>> {
            let file = |(name, bytes): (&String, &Vec<u8>)| -> Box<dyn ReadAt> {
                Box::new(MemoryFile::new(name.clone(), bytes.clone()))
            };
            files.iter().zip(&bytes).map(file).collect()
        };
        let report = block_on(inspect(&block_on(ModelFiles::from_files(files())).expect("a folder"))).expect("a model");
        assert!(report.unknown.is_empty() && report.missing.is_empty(), "{report:?}");
        assert!(report.info.family.contains(family), "{}", report.info.family);
        // The See room of the same engine opens it while the run goes on.
        let info = block_on(engine.load_model("trained here", files(), &mut |_, _, _| {})).expect("loads");
        assert_eq!((info.embed_dim, info.depth), (32, 2));
        step(&mut engine);
    }
}

#[test]
fn switches_make_it_collapse_and_the_kept_moment_brings_it_back() {
    let off = |centring, sharpening, ema| Switches { centring, sharpening, ema, ..Switches::default() };
    let more = ["train.batch_size=8", "model.embed_dim=48", "optim.base_lr=2e-3"];
    let mut engine = begin("page-dino", &more);
    for _ in 0..60 {
        step(&mut engine);
    }
    let well = verdict(&mut engine);
    assert!(well.0 == Verdict::Good, "{well:?}");
    let answer = ask(&mut engine, TrainCommand::Set { switches: off(false, false, true) });
    assert_eq!((status(&answer).kept, status(&answer).switches), (Some(60), off(false, false, true)));
    for _ in 0..100 {
        step(&mut engine);
    }
    let ill = verdict(&mut engine);
    assert!(ill.0 == Verdict::Collapsing, "{ill:?}");
    let before = ask(&mut engine, TrainCommand::Back);
    assert_eq!((status(&before).step, status(&before).switches), (60, Switches::default()));
    let TrainEvent::Begun { curves, .. } = &before.event else { panic!("{before:?}") };
    assert_eq!(curves.points("loss").last().map(|point| point.0), Some(59));
    step(&mut engine);
    let again = verdict(&mut engine);
    assert!(again.0 == Verdict::Good, "{again:?}");
    // Without its moving average the teacher is the student: arXiv 2104.14294, §5.2, figure 6; that DINO has no KoLeo.
    ask(&mut engine, TrainCommand::Set { switches: Switches { koleo: false, ..off(true, true, false) } });
    let alone = step(&mut engine);
    assert_eq!(alone.momentum, 0.0);
    assert!(alone.losses.iter().all(|term| term.name != "koleo"), "{:?}", alone.losses);
    for _ in 0..60 {
        step(&mut engine);
    }
    let ill = verdict(&mut engine);
    assert!(ill.0 == Verdict::Collapsing, "{ill:?}");
    // Switched on again it stays so: no image differs from another, so that there is nothing to follow.
    ask(&mut engine, TrainCommand::Set { switches: Switches::default() });
    let all = step(&mut engine);
    assert!(all.momentum > 0.9 && all.losses.iter().any(|term| term.name == "koleo"), "{:?}", all.losses);
    for _ in 0..40 {
        step(&mut engine);
    }
    let still = verdict(&mut engine);
    assert!(still.0 == Verdict::Collapsing, "{still:?}");
    ask(&mut engine, TrainCommand::Back);
    step(&mut engine);
    let again = verdict(&mut engine);
    assert!(again.0 == Verdict::Good, "{again:?}");
}

fn verdict(engine: &mut Engine) -> (Verdict, String) {
    match ask(engine, TrainCommand::Look) {
        Answer { event: TrainEvent::Looked { look, status }, bytes } => {
            let pictures = look.rows.iter().flatten();
            let pixels: usize = pictures.map(|picture| 4 * (picture.width * picture.height) as usize).sum();
            assert_eq!((look.rows.len(), bytes[0].len()), (6, pixels));
            assert_eq!(look.prototypes.len(), status.prototypes);
            (look.verdict, look.says)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let mut engine = engine();
    for command in [
        TrainCommand::Step { slowly: false },
        TrainCommand::Look,
        TrainCommand::Keep,
        TrainCommand::Save { to: Place::Page },
        TrainCommand::Export,
    ] {
        let error = block_on(engine.train(command)).expect_err("no run");
        assert!(matches!(error, Error::Train(TrainError::NoRun)), "{error}");
    }
    let plan = |set: &str| Plan {
        preset: "page-mae".to_owned(),
        settings: vec![set.to_owned()],
        data: Data::Drawn { images: IMAGES },
    };
    for (set, words) in [
        ("optim.base_rl=1", "did you mean optim.base_lr"),
        ("model.num_heads=7", "divisor"),
        ("model.embed_dim=8192", "MiB"),
    ] {
        let error = block_on(engine.train(TrainCommand::Begin { plan: plan(set) })).expect_err(set).to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut engine = begin("page-mae", &["train.epochs=0.02"]);
    assert!(matches!(block_on(engine.train(TrainCommand::Back)), Err(Error::Train(TrainError::NotKept))));
    step(&mut engine);
    step(&mut engine);
    let error = block_on(engine.train(TrainCommand::Step { slowly: false })).expect_err("all steps are made");
    assert!(error.to_string().contains("all of its 2 steps"), "{error}");
    assert_eq!(ask(&mut engine, TrainCommand::Close).event, TrainEvent::Closed);
}
