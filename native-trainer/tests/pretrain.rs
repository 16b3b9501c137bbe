//! `native-trainer pretrain` and `plan` as their users run them: from a folder of images to a model, stopped, killed and
//! resumed on the way.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use image::{Rgb, RgbImage};
use libjpeg_turbo_rs::{PixelFormat, Subsampling};
use serde_json::Value;

/// A model that trains in milliseconds a step.
const TINY: [&str; 18] = [
    "model.embed_dim=16",
    "model.depth=1",
    "model.num_heads=1",
    "crops.global_size=16",
    "crops.local_size=8",
    "crops.local_number=2",
    "mae.decoder_embed_dim=16",
    "mae.decoder_depth=1",
    "mae.decoder_num_heads=1",
    "dino.head_n_prototypes=32",
    "dino.head_hidden_dim=16",
    "dino.head_bottleneck_dim=8",
    "train.batch_size=8",
    "train.epochs=4",
    "train.epoch_length=5",
    "train.look_epochs=2",
    "optim.warmup_epochs=1",
    "data.cache_mib=8",
];

/// 30 pictures in two classes of stripes.
fn images(root: &Path) -> PathBuf {
    let folder = root.join("images");
    for class in ["flat", "steep"] {
        std::fs::create_dir_all(folder.join(class)).expect("a folder");
        for seed in 0..15u32 {
            let picture = RgbImage::from_fn(20, 18, |x, y| {
                let place = if class == "flat" { y } else { x };
                Rgb([((place + seed) * 40 % 256) as u8, (seed * 16) as u8, (x * 12) as u8])
            });
            picture.save(folder.join(class).join(format!("{seed:02}.png"))).expect("a file");
        }
    }
    folder
}

fn command(data: &Path, out: &Path, preset: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
    command.arg("pretrain").arg(data).args(["--preset", preset, "--device", "cpu", "--plain", "--out"]).arg(out);
    command.args(TINY.iter().flat_map(|set| ["--set", set])).args(more);
    command
}

/// The same, without a word on the device.
fn shared(data: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
    command.arg("pretrain").arg(data).args(["--preset", "tiny-dinov2", "--plain", "--out"]).arg(out);
    command.args(TINY.iter().flat_map(|set| ["--set", set])).args(more);
    command
}

struct Ran {
    status: Option<i32>,
    out: String,
    err: String,
}

fn run(mut command: Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { status: status.code(), out: text(stdout), err: text(stderr) }
}

impl Ran {
    #[track_caller]
    fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "out: {}\nerr: {}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }
}

/// The events of a kind in a run's diary.
fn events(out: &Path, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(out.join("events.jsonl")).expect("a diary");
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    all.filter(|event| event["event"] == kind).collect()
}

fn state(out: &Path, step: u64) -> Vec<u8> {
    std::fs::read(out.join(format!("checkpoints/step-{step:09}/state.safetensors"))).expect("a checkpoint")
}

#[test]
fn a_folder_becomes_a_model_that_opens() {
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    for preset in ["tiny-mae", "tiny-dinov2"] {
        let out = place.path().join(preset);
        let ran = run(command(&data, &out, preset, &[])).ends(0);
        assert!(ran.out.contains("done, 20 steps"), "{}", ran.out);
        let steps = events(&out, "step");
        assert_eq!(steps.len(), 20);
        assert!(steps.iter().all(|step| step["loss"].as_f64().is_some_and(f64::is_finite)));
        // Labels from the folders: k-NN on the side, with a verdict, at the begin and every other epoch.
        let health = events(&out, "health");
        assert_eq!(health.len(), 3, "{preset}");
        for figure in ["knn_cls", "knn_mean", "knn_pixels"] {
            assert!(health[2]["figures"].to_string().contains(figure), "{}", health[2]);
        }
        let report = std::fs::read_to_string(out.join("report.html")).expect("a report");
        assert!(report.contains("<svg") && report.contains("<dt>k-NN accuracy</dt>") && report.contains("k-NN pixels"));
        let about = Command::new(env!("CARGO_BIN_EXE_native-trainer"))
            .args(["inspect", "--json"])
            .arg(out.join("model"))
            .output()
            .expect("the program starts");
        let about: Value = serde_json::from_slice(&about.stdout).expect("JSON");
        assert_eq!(about["unknown_tensors"].as_array().map(Vec::len), Some(0), "{about}");
        let mut embed = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
        embed
            .arg("embed")
            .arg(out.join("model"))
            .arg(&data)
            .arg("--out")
            .arg(place.path().join(format!("{preset}.npy")));
        run({
            embed.args(["--device", "cpu"]);
            embed
        })
        .ends(0);
    }
}

#[test]
fn stopping_and_going_on_changes_no_bit() {
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    for preset in ["tiny-mae", "tiny-dinov2"] {
        let [whole, parts] = ["whole", "parts"].map(|name| place.path().join(format!("{preset}-{name}")));
        run(command(&data, &whole, preset, &[])).ends(0);
        // Stopped twice, the first time in the middle of an epoch.
        for (steps, end) in [("7", 7), ("6", 13)] {
            let ran = run(command(&data, &parts, preset, &["--steps", steps])).ends(0);
            assert!(ran.out.contains(&format!("stopped; the same command goes on, {end} steps")), "{}", ran.out);
        }
        run(command(&data, &parts, preset, &[])).ends(0);
        assert_eq!(state(&whole, 20), state(&parts, 20), "{preset}");
        // The diary tells each step once.
        let steps: Vec<_> = events(&parts, "step").iter().map(|step| step["step"].as_u64()).collect();
        assert_eq!(steps, (0..20).map(Some).collect::<Vec<_>>());
    }
}

#[test]
fn devices_share_a_batch_and_go_on_to_the_bit() {
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    let [whole, parts] = ["whole", "parts"].map(|name| place.path().join(name));
    let two = ["--devices", "cpu,cpu", "--set", "train.epochs=2"];
    run(shared(&data, &whole, &two)).ends(0);
    assert!(events(&whole, "started")[0]["device"].as_str().is_some_and(|device| device.contains(" + ")));
    run(shared(&data, &parts, &[&two[..], &["--steps", "3"]].concat())).ends(0);
    run(shared(&data, &parts, &two)).ends(0);
    assert_eq!(state(&whole, 10), state(&parts, 10));
}

/// A photograph's crops are cut from a part of its size: the run is the same whenever it is resumed, and `embed`
/// knows nothing of it.
#[test]
fn large_photographs_are_decoded_at_a_part_of_their_size() {
    let place = tempfile::tempdir().expect("a folder");
    let data = place.path().join("photos");
    std::fs::create_dir_all(&data).expect("a folder");
    for seed in 0..8u32 {
        let wave = |at: u32, speed: u32| (127.0 + 120.0 * (f64::from(at * (speed + seed % 3)) / 90.0).sin()) as u8;
        let photo = RgbImage::from_fn(600, 450, |x, y| Rgb([wave(x, 1), wave(y, 2), wave(x + y, 1)]));
        let photo = libjpeg_turbo_rs::compress(&photo, 600, 450, PixelFormat::Rgb, 90, Subsampling::S420);
        std::fs::write(data.join(format!("{seed}.jpg")), photo.expect("memory")).expect("a file");
    }
    let outs = ["whole", "parts", "full"].map(|name| place.path().join(name));
    run(command(&data, &outs[0], "tiny-mae", &[])).ends(0);
    run(command(&data, &outs[1], "tiny-mae", &["--steps", "7"])).ends(0);
    run(command(&data, &outs[1], "tiny-mae", &[])).ends(0);
    assert_eq!(state(&outs[0], 20), state(&outs[1], 20));
    // Decoded whole the pixels are a little others, and so is the loss.
    run(command(&data, &outs[2], "tiny-mae", &["--set", "data.scaled_decode=false"])).ends(0);
    assert_ne!(state(&outs[0], 20), state(&outs[2], 20));
    let loss = |out: &Path| events(out, "step")[0]["loss"].as_f64().expect("a loss");
    let (scaled, full) = (loss(&outs[0]), loss(&outs[2]));
    assert!((scaled - full).abs() < 0.05 * full, "{scaled} and {full}");
}

#[test]
fn a_run_in_one_file_begins_another_run() {
    let place = tempfile::tempdir().expect("a folder");
    let drawn = Path::new("drawn:30");
    let [whole, first, second] = ["whole", "first", "second"].map(|name| place.path().join(name));
    run(command(drawn, &whole, "tiny-mae", &[])).ends(0);
    run(command(drawn, &first, "tiny-mae", &["--steps", "7"])).ends(0);
    // As a file of the page: it lies anywhere, under any name, with nothing beside it.
    let file = place.path().join("mae-step-7.safetensors");
    std::fs::write(&file, state(&first, 7)).expect("a file");
    let from = |data: &Path, out: &Path, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
        command.arg("pretrain").arg(data).args(["--device", "cpu", "--plain", "--from"]).arg(&file);
        command.arg("--out").arg(out).args(more);
        run(command)
    };
    let ran = from(drawn, &second, &[]).ends(0);
    assert!(ran.err.contains("at step 7") && ran.out.contains("done, 20 steps"), "{} {}", ran.out, ran.err);
    assert_eq!(state(&whole, 20), state(&second, 20));
    // On other images it goes on too, and says that their order is another.
    let third = place.path().join("third");
    let ran = from(Path::new("drawn:31"), &third, &["--set", "train.epochs=2"]).ends(0);
    assert!(ran.err.contains("begun on 30 images"), "{}", ran.err);
    // Where the run has begun the file is not read any more, which is said; where all steps are made nothing would be.
    let ran = from(Path::new("drawn:31"), &third, &["--set", "train.epochs=2"]).ends(0);
    assert!(ran.err.contains("is not read: the run has begun"), "{}", ran.err);
    let ran = from(drawn, &place.path().join("over"), &["--set", "train.epochs=1"]).ends(1);
    assert!(ran.err.contains("stands at step 7") && ran.err.contains("only 5 steps"), "{}", ran.err);
    // What holds no run is told.
    let weights = first.join("model/model.safetensors");
    std::fs::copy(weights, &file).expect("a file");
    let ran = from(drawn, &place.path().join("fourth"), &[]);
    assert!(ran.status == Some(1) && ran.err.contains("holds no configuration of a run"), "{}", ran.err);
}

#[test]
fn bad_images_are_passed_over_within_the_budget() {
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    std::fs::write(data.join("flat/zz.png"), b"no picture at all").expect("a file");
    let out = place.path().join("run");
    let ran = run(command(&data, &out, "tiny-mae", &[])).ends(1);
    assert!(ran.err.contains("1 bad image, 0 allowed"), "{}", ran.err);
    assert!(ran.err.contains("the state is saved"), "{}", ran.err);
    assert!(ran.err.contains("let so many pass with --set data.bad_budget=1"), "{}", ran.err);
    let out = place.path().join("bears");
    run(command(&data, &out, "tiny-mae", &["--set", "data.bad_budget=1"])).ends(0);
    let list = std::fs::read_to_string(out.join("bad.jsonl")).expect("a list");
    assert_eq!(list.lines().count(), 1, "{list}");
    assert!(list.contains("zz.png"), "{list}");
    // The budget holds over all sessions, and may be raised; a list names an image once; what was mended counts no more.
    let out = place.path().join("again");
    let twice = [(); 2].map(|()| run(command(&data, &out, "tiny-mae", &[])).ends(1).err);
    assert!(twice.iter().all(|err| err.contains("1 bad image, 0 allowed")), "{twice:?}");
    run(command(&data, &out, "tiny-mae", &["--set", "data.bad_budget=1", "--steps", "7"])).ends(0);
    let list = std::fs::read_to_string(out.join("bad.jsonl")).expect("a list");
    assert_eq!(list.lines().count(), 1, "{list}");
    std::fs::copy(data.join("flat/00.png"), data.join("flat/zz.png")).expect("mended");
    run(command(&data, &out, "tiny-mae", &[])).ends(0);
}

/// Nothing to learn from is said, where a budget would let the search go on for ever.
#[test]
fn a_folder_of_bad_images_ends_the_run() {
    let place = tempfile::tempdir().expect("a folder");
    let (data, out) = (place.path().join("images"), place.path().join("run"));
    std::fs::create_dir(&data).expect("a folder");
    for index in 0..12 {
        std::fs::write(data.join(format!("{index}.png")), b"no picture at all").expect("a file");
    }
    let ran = run(command(&data, &out, "tiny-mae", &["--set", "data.bad_budget=100%"])).ends(1);
    assert!(ran.err.contains("none of 12 images can be read"), "{}", ran.err);
}

#[test]
fn without_local_crops_a_run_drops_none() {
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    let out = place.path().join("run");
    run(command(&data, &out, "tiny-dinov2", &["--set", "crops.local_number=0", "--steps", "2"])).ends(0);
}

/// A state from which no step is possible is not the one that the run goes on from.
#[test]
fn a_ruined_state_is_set_aside() {
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    let out = place.path().join("run");
    let wild = ["optim.base_lr=1e5", "optim.lr_rule=constant", "train.save_steps=1", "train.max_bad_steps=2"];
    let wild: Vec<&str> = wild.iter().flat_map(|set| ["--set", set]).collect();
    let first = run(command(&data, &out, "tiny-mae", &wild)).ends(1);
    assert!(first.err.contains("2 steps in a row"), "{}", first.err);
    let left = || {
        let names = std::fs::read_dir(out.join("checkpoints")).expect("a folder").flatten();
        let mut names: Vec<_> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let before = left();
    assert!(before.iter().any(|name| name.starts_with("refused-step-")), "{before:?}");
    // The same command goes on from the one before.
    let ran = run(command(&data, &out, "tiny-mae", &wild)).ends(1);
    let last = before.iter().rfind(|name| name.starts_with("step-")).expect("one before");
    let from = ran.err.lines().find(|line| line.starts_with("goes on from"));
    assert!(from.is_some_and(|line| line.ends_with(last.as_str())), "{before:?}: {}", ran.err);
}

#[test]
fn what_is_wrong_is_said_before_anything_starts() {
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    let out = place.path().join("run");
    let check = |command: Command, word: &str| {
        let ran = run(command).ends(1);
        assert!(ran.err.contains(word), "expected {word:?} in {}", ran.err);
    };
    check(command(&data, &out, "tiny-mea", &[]), "did you mean tiny-mae");
    check(command(&data, &out, "tiny-mae", &["--set", "optim.base_rl=1"]), "did you mean optim.base_lr");
    check(command(&data, &out, "tiny-mae", &["--set", "train.batch_size=64"]), "fewer than a batch");
    check(command(&data, &out, "tiny-mae", &["--resume"]), "holds no run");
    let mut bare = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
    bare.arg("pretrain").arg(&data).args(["--device", "cpu", "--resume", "--out"]).arg(&out);
    check(bare, "holds no run");
    check(command(&data, &data.join("flat/run"), "tiny-mae", &[]), "lies in");
    let unlabelled = data.join("flat");
    let val = unlabelled.to_str().expect("UTF-8");
    let ran = run(command(&data, &place.path().join("some"), "tiny-mae", &["--steps", "1", "--val", val])).ends(0);
    assert!(ran.err.contains("--val lies in no class folders"), "{}", ran.err);
    let broken = place.path().join("broken");
    std::fs::create_dir(&broken).expect("a folder");
    std::fs::write(broken.join("a.png"), b"no picture").expect("a file");
    let val = broken.to_str().expect("UTF-8");
    check(command(&data, &place.path().join("val"), "tiny-mae", &["--val", val]), "no image of --val can be read");
    for (setting, word) in [
        ("model.mlp_ratio=0", "model.mlp_ratio is 0"),
        ("model.depth=1000000000000", "at most 1000"),
        ("optim.base_lr=-1", "optim.base_lr is -1"),
        ("optim.betas=[1.0,1.0]", "from 0 to below 1"),
        ("crops.jitter=[0.1,0.1,0.1,3.0]", "hue at most 0.5"),
        ("crops.global_scale=[0.0,0.0]", "crops.global_scale"),
        ("train.epochs=inf", "train.epochs"),
    ] {
        check(command(&data, &out, "tiny-mae", &["--set", setting]), word);
    }
    check(
        command(&data, &out, "tiny-dinov2", &["--set", "dino.head_bottleneck_dim=0"]),
        "dino.head_bottleneck_dim is 0",
    );
    let mut bare = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
    bare.arg("pretrain").arg(&data).args(["--device", "cpu", "--out"]).arg(&out);
    check(bare, "nothing says what to train");
    run(command(&data, &out, "tiny-mae", &["--steps", "1"])).ends(0);
    check(command(&data, &out, "tiny-mae", &["--set", "optim.base_lr=7"]), "optim.base_lr was");
    // Also where DATA would be too small for what is asked now.
    check(command(&data, &out, "tiny-mae", &["--set", "train.batch_size=64"]), "train.batch_size was 8, now 64");
    // What a run was begun with stands in its checkpoints: its file is not changed in silence.
    let kept = out.join("config.toml");
    let text = std::fs::read_to_string(&kept).expect("a configuration");
    let edited = text.replace("base_lr = ", "base_lr = 1");
    assert_ne!(edited, text);
    std::fs::write(&kept, edited).expect("writable");
    check(command(&data, &out, "tiny-mae", &[]), "config.toml was changed since the run was begun: optim.base_lr was");
    std::fs::write(&kept, text).expect("writable");
    let three = ["--devices", "cpu,cpu,cpu"];
    check(shared(&data, &place.path().join("three"), &three), "multiple of 3");
    check(shared(&data, &place.path().join("none"), &["--devices", "cpu,tpu"]), "no device is called tpu");
    #[cfg(not(feature = "remote"))]
    check(shared(&data, &place.path().join("far"), &["--devices", "cpu,ws://far:3000"]), "feature remote");
    #[cfg(not(feature = "cuda"))]
    check(shared(&data, &place.path().join("cuda"), &["--devices", "cuda:0"]), "feature cuda");
    // As many images, one under another name: the order is another. Elsewhere under the same names they are the same.
    let moved = place.path().join("moved");
    std::fs::rename(&data, &moved).expect("a folder may move");
    run(command(&moved, &out, "tiny-mae", &["--steps", "1"])).ends(0);
    std::fs::rename(moved.join("flat/00.png"), moved.join("flat/zz.png")).expect("it is there");
    check(command(&moved, &out, "tiny-mae", &[]), "begun on other images");
    std::fs::remove_file(moved.join("flat/zz.png")).expect("it is there");
    check(command(&moved, &out, "tiny-mae", &[]), "DATA now has 29");
}

/// Waits until the diary has grown beyond `lines` lines, or the program ended.
fn wait_for_progress(child: &mut Child, out: &Path, more: usize) {
    let count = || std::fs::read_to_string(out.join("events.jsonl")).map_or(0, |text| text.lines().count());
    let target = count() + more;
    for _ in 0..2000 {
        if count() >= target || child.try_wait().expect("a child").is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no progress in ten seconds");
}

/// Killed at random moments while it saves after every step, a run always goes on from a good checkpoint and ends where
/// it would have ended. `KILLS=200 cargo test -- killed` is the long version.
#[test]
fn killed_at_any_moment_it_goes_on() {
    let kills: u32 = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    let [whole, killed] = ["whole", "killed"].map(|name| place.path().join(name));
    let epochs = format!("train.epochs={}", 4 + kills / 2);
    let every = ["--set", "train.save_steps=1", "--set", &epochs];
    run(command(&data, &whole, "tiny-mae", &every)).ends(0);
    let mut random = 0x9e37_79b9_u32;
    for _ in 0..kills {
        let mut command = command(&data, &killed, "tiny-mae", &every);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        wait_for_progress(&mut child, &killed, 2);
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        std::thread::sleep(Duration::from_micros(u64::from(random >> 8) % 30_000));
        child.kill().expect("kill -9");
        let output = child.wait_with_output().expect("an end");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!err.contains("passed over") && !err.contains("error"), "{err}");
    }
    run(command(&data, &killed, "tiny-mae", &every)).ends(0);
    let step = u64::from(4 + kills / 2) * 5;
    assert_eq!(state(&whole, step), state(&killed, step));
}

#[cfg(unix)]
#[test]
fn asked_to_stop_it_saves_and_ends_well() {
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    for signal in ["-TERM", "-INT"] {
        let out = place.path().join(signal);
        let mut command = command(&data, &out, "tiny-mae", &["--set", "train.epochs=4000"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        wait_for_progress(&mut child, &out, 4);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill is there");
        assert!(sent.success());
        let output = child.wait_with_output().expect("an end");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(events(&out, "saved").len(), 1);
        assert!(String::from_utf8_lossy(&output.stdout).contains("the same command goes on"));
    }
}

#[test]
fn a_broken_checkpoint_is_passed_over_for_the_one_before() {
    let place = tempfile::tempdir().expect("a folder");
    let data = images(place.path());
    let out = place.path().join("run");
    run(command(&data, &out, "tiny-mae", &["--steps", "3", "--set", "train.save_steps=1"])).ends(0);
    let path = out.join("checkpoints/step-000000003/state.safetensors");
    let mut bytes = std::fs::read(&path).expect("a checkpoint");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("writable");
    let ran = run(command(&data, &out, "tiny-mae", &["--steps", "1", "--set", "train.save_steps=1"])).ends(0);
    assert!(ran.err.contains("the hash differs"), "{}", ran.err);
    assert!(ran.err.contains("goes on from") && ran.err.contains("step-000000002"), "{}", ran.err);
    // Its step was made once more, and is saved now.
    let ran = run(command(&data, &out, "tiny-mae", &["--steps", "1", "--set", "train.save_steps=1"])).ends(0);
    assert!(ran.err.contains("step-000000003") && !ran.err.contains("passed over"), "{}", ran.err);
    assert!(out.join("checkpoints/damaged-step-000000003").is_dir());
}

#[test]
fn a_plan_tells_what_a_run_needs() {
    let run_plan = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
        command.args(["plan", "--json"]).args(more);
        serde_json::from_str::<Value>(&run(command).ends(0).out).expect("JSON")
    };
    let web = run_plan(&["--preset", "webdino-1b", "--no-measure"]);
    assert_eq!(web["encoder_parameters"], 1_134_771_200u64);
    assert_eq!(web["steps"], 625_000);
    assert!(web["seconds"].is_null());
    // 60 GB of weights and moments fit no machine of these tests, and none is tried.
    let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
    command.args(["plan", "--preset", "webdino-7b", "--device", "cpu"]);
    let ran = run(command).ends(0);
    assert!(ran.err.contains("nothing was measured") && ran.out.contains("it does not fit"), "{} {}", ran.out, ran.err);
    let sets: Vec<&str> = TINY.iter().flat_map(|set| ["--set", set]).collect();
    let tiny = run_plan(&[&["--preset", "tiny-dinov2", "--device", "cpu"][..], &sets].concat());
    assert!(tiny["images_per_sec"].as_f64().is_some_and(|rate| rate > 0.0), "{tiny}");
}

/// Whether the first GPU has 16-bit floats; an old software Vulkan has none.
#[cfg(target_os = "linux")]
fn gpu_has_f16() -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
    command.args(["devices", "--json", "--no-check"]);
    let devices: Value = serde_json::from_str(&run(command).ends(0).out).expect("JSON");
    devices.as_array().expect("a list").iter().any(|device| device["id"] == "gpu:0" && device["f16"] == true)
}

/// What `plan` measured and estimated for a step, in bytes.
#[cfg(target_os = "linux")]
fn measured(device: &str, preset: &str, more: &[&str], kernels: &str) -> (f64, f64) {
    let sets = ["model.embed_dim=64", "model.depth=12", "model.num_heads=2", "crops.global_size=32"];
    let sets = sets.iter().chain(&["crops.local_size=16", "crops.local_number=2"]);
    let sets = sets.chain(&["mae.decoder_embed_dim=64", "mae.decoder_depth=12", "mae.decoder_num_heads=2"]);
    let sets = sets.chain(&["dino.head_n_prototypes=512", "dino.head_hidden_dim=128", "model.drop_path_rate=0"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
    command.args(["plan", "--json", "--preset", preset, "--device", device, "--kernels", kernels]);
    command.args(sets.chain(more).flat_map(|set| ["--set", set]));
    let plan: Value = serde_json::from_str(&run(command).ends(0).out).expect("JSON");
    let step = &plan["measured_step"];
    let number = |name: &str| step[name].as_f64().unwrap_or_else(|| panic!("{name}: {plan}"));
    let (found, said) = (number("memory_bytes"), number("estimated_memory_bytes"));
    let expected = plan["expected_memory_bytes"].as_f64();
    assert_eq!(expected.is_some(), found > said, "{plan}");
    // A quarter of the batch was measured.
    assert!(expected.is_none_or(|expected| expected > found), "{plan}");
    (found, said)
}

/// The estimate of memory against the peak of a step that is really made; and blocks that are computed again need less
/// of it, really and as estimated. What the allocator keeps shows where little is held.
#[cfg(target_os = "linux")]
#[test]
fn a_plan_estimates_what_a_step_takes() {
    let check = |what: &str, (found, said): (f64, f64), factor: f64| {
        eprintln!("{what}: measured {found:.3e}, estimated {said:.3e}");
        let ratio = said / found;
        assert!((1.0 / factor..factor).contains(&ratio), "{what}: {said} estimated, {found} measured");
        found
    };
    for preset in ["tiny-mae", "tiny-dinov2"] {
        // A process's peak on the CPU, a GPU's memory to the byte.
        for (device, factor) in [("cpu", 1.4), ("gpu:0", 1.25)] {
            let what = |how: &str| format!("{preset} on {device}{how}");
            let images = if device == "cpu" { "train.batch_size=64" } else { "train.batch_size=24" };
            let kept = check(&what(""), measured(device, preset, &[images], "wgsl"), factor);
            let again = measured(device, preset, &[images, "train.checkpoint_activations=true"], "wgsl");
            let again = check(&what(", computed again"), again, 1.2 * factor);
            assert!(again < 0.6 * kept, "{}: {again} of {kept}", what(""));
            if device == "gpu:0" && preset == "tiny-mae" && gpu_has_f16() {
                let half = measured(device, preset, &[images, "train.precision=f16"], "wgsl");
                let half = check(&what(" in 16 bits"), half, factor);
                assert!(half < 0.85 * kept, "{}: {half} of {kept}", what(""));
            }
        }
    }
    check("tensor operations", measured("cpu", "tiny-mae", &["train.batch_size=64"], "reference"), 1.4);
}
