//! The program as its users run it: real files in, real files out, exit statuses.
//!
//! Images are made here; models are the small random ones of `tests/golden`. The CPU device computes, so that these
//! tests run anywhere; `parity` runs on every device of the machine.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use libjpeg_turbo_rs::{PixelFormat, Subsampling};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;

const DIM: usize = 64; // of tests/golden/models/dinov2-mlp
const SIDE: u32 = 28;

fn model(name: &str) -> String {
    format!("{}/../tests/golden/models/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What a run left: status, standard output, standard error.
struct Ran {
    status: i32,
    out: String,
    err: String,
}

fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ran {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_native-trainer")).args(arguments).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { status: status.code().expect("no signal"), out: text(stdout), err: text(stderr) }
}

impl Ran {
    #[track_caller]
    fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, status, "out: {}\nerr: {}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    #[track_caller]
    fn says(self, expected: &str) -> Self {
        assert!(self.err.contains(expected), "expected {expected:?} in: {}", self.err);
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// A picture that differs from all others by its seed: stripes and a gradient.
fn picture(seed: u32, width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let wave = ((x * (seed + 1) + y * 3) % 64) * 4;
        Rgb([wave as u8, (x * 255 / width) as u8, ((y * 255 / height) as u8).wrapping_add((seed * 40) as u8)])
    })
}

fn png(seed: u32, width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture(seed, width, height).write_to(&mut bytes, image::ImageFormat::Png).expect("memory");
    bytes.into_inner()
}

fn jpeg(seed: u32, width: u32, height: u32) -> Vec<u8> {
    let (sides, pixels) = ([width as usize, height as usize], picture(seed, width, height).into_raw());
    libjpeg_turbo_rs::compress(&pixels, sides[0], sides[1], PixelFormat::Rgb, 90, Subsampling::S420).expect("memory")
}

/// A folder with three pictures (one deeper down), a text, and a shard of two pictures and a label.
fn photos(root: &Path) -> Vec<String> {
    std::fs::create_dir_all(root.join("b")).expect("a folder");
    std::fs::write(root.join("a.png"), png(0, 40, 30)).expect("a file");
    std::fs::write(root.join("b/1.png"), png(1, 33, 64)).expect("a file");
    std::fs::write(root.join("c.jpg"), jpeg(2, 50, 50)).expect("a file");
    std::fs::write(root.join("notes.txt"), "no picture").expect("a file");
    shard(&root.join("d.tar"), &[("000.png", png(3, 31, 31)), ("000.cls", b"7".to_vec()), ("001.png", png(4, 90, 28))]);
    ["a.png", "b/1.png", "c.jpg", "d.tar#000.png", "d.tar#001.png"]
        .map(|name| format!("{}/{name}", root.display()))
        .to_vec()
}

fn shard(path: &Path, members: &[(&str, Vec<u8>)]) {
    let mut builder = tar::Builder::new(File::create(path).expect("a file"));
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &bytes[..]).expect("a member");
    }
    builder.finish().expect("the end");
}

struct Place {
    folder: tempfile::TempDir,
    names: Vec<String>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let names = photos(&folder.path().join("photos"));
        Self { folder, names }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// Embeds the photos into `out` on the CPU.
    fn embed(&self, out: &str, more: &[&str]) -> Ran {
        let (model, photos, out) = (model("dinov2-mlp"), self.text("photos"), self.text(out));
        let fixed = ["embed", &model, &photos, "--out", &out, "--device", "cpu"];
        run(fixed.iter().chain(more))
    }
}

/// Rows of a file of any format: paths and numbers.
fn read(path: &Path) -> (Vec<String>, Vec<f32>) {
    let bytes = std::fs::read(path).expect("the file");
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => {
            let paths = std::fs::read_to_string(format!("{}.paths.txt", path.display())).expect("the paths");
            let array = npyz::NpyFile::new(&bytes[..]).expect("an array");
            (paths.lines().map(String::from).collect(), array.into_vec().expect("f32"))
        }
        Some("safetensors") => {
            let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
            let paths = &header.metadata().as_ref().expect("metadata")["paths"];
            let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
            let data = tensors.tensor("embeddings").expect("the tensor").data().to_vec();
            let values = data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            (serde_json::from_str(paths).expect("a list"), values)
        }
        Some("parquet") => {
            let reader = SerializedFileReader::new(File::open(path).expect("the file")).expect("parquet");
            let (mut paths, mut values) = (Vec::new(), Vec::new());
            for row in reader.get_row_iter(None).expect("rows") {
                for (_, field) in row.expect("a row").get_column_iter() {
                    match field {
                        Field::Str(path) => paths.push(path.clone()),
                        Field::ListInternal(list) => values.extend(list.elements().iter().map(|field| match field {
                            Field::Float(value) => *value,
                            other => panic!("{other:?}"),
                        })),
                        Field::Int(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            (paths, values)
        }
        _ => {
            let mut reader = csv::Reader::from_reader(&bytes[..]);
            let first = reader.headers().expect("names").iter().position(|name| name == "e0").expect("e0");
            let (mut paths, mut values) = (Vec::new(), Vec::new());
            for record in reader.records() {
                let record = record.expect("a line");
                paths.push(record[0].to_owned());
                values.extend(record.iter().skip(first).map(|field| field.parse::<f32>().expect("a number")));
            }
            (paths, values)
        }
    }
}

#[track_caller]
fn assert_close(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "they differ by {worst}");
}

#[test]
fn every_format_holds_the_same_rows_in_the_order_of_the_inputs() {
    let place = Place::new();
    let ran = place.embed("e.npy", &[]).ends(0);
    assert!(ran.out.contains("5 images embedded"), "{}", ran.out);
    assert!(ran.out.contains("1 other file left alone"), "{}", ran.out);
    let (names, values) = read(&place.path("e.npy"));
    assert_eq!(names, place.names);
    assert_eq!(values.len(), 5 * DIM);
    assert!(!place.path("e.npy.bad.jsonl").exists());
    for name in ["e.safetensors", "e.parquet", "e.csv"] {
        // Another batch size and number of threads: the same rows, up to rounding.
        place.embed(name, &["--batch-size", "2", "--workers", "3"]).ends(0);
        let (found, numbers) = read(&place.path(name));
        assert_eq!(found, names, "{name}");
        assert_close(&numbers, &values, 1e-5);
    }
    // Different pictures have different embeddings.
    for (a, b) in [(0, 1), (1, 2), (3, 4)] {
        let row = |i: usize| &values[i * DIM..(i + 1) * DIM];
        assert!(row(a).iter().zip(row(b)).any(|(a, b)| (a - b).abs() > 1e-3), "{a} {b}");
    }
}

#[test]
fn the_mean_is_the_mean_of_the_patches() {
    let place = Place::new();
    place.embed("mean.npy", &["--what", "mean"]).ends(0);
    place.embed("cls.npy", &["--what", "cls"]).ends(0);
    let (_, means) = read(&place.path("mean.npy"));
    let patches_of_an_image = (SIDE as usize / 7).pow(2);
    for name in ["patches.npy", "patches.safetensors", "patches.parquet", "patches.csv"] {
        place.embed(name, &["--what", "patches"]).ends(0);
        let (names, patches) = read(&place.path(name));
        assert_eq!(patches.len(), 5 * patches_of_an_image * DIM, "{name}");
        assert_eq!(names.len(), if name.ends_with("parquet") || name.ends_with("csv") { 80 } else { 5 });
        for (image, mean) in patches.chunks_exact(patches_of_an_image * DIM).zip(means.chunks_exact(DIM)) {
            let found: Vec<f32> =
                (0..DIM).map(|d| image.iter().skip(d).step_by(DIM).sum::<f32>() / patches_of_an_image as f32).collect();
            assert_close(&found, mean, 1e-4);
        }
    }
    assert_ne!(read(&place.path("cls.npy")).1, means);
}

#[test]
fn size_and_convention_change_what_the_model_sees() {
    let place = Place::new();
    let mut seen = Vec::new();
    let conventions: [&[&str]; 4] =
        [&[], &["--preprocess", "short-crop"], &["--preprocess", "direct"], &["--preprocess", "short-side"]];
    for more in conventions {
        place.embed("e.npy", &[more, &["--force"]].concat()).ends(0);
        seen.push(read(&place.path("e.npy")).1);
    }
    assert_ne!(seen[1], seen[2]);
    assert_ne!(seen[2], seen[3]);
    assert_ne!(seen[1], seen[3]);
    assert!(seen[1..].contains(&seen[0]), "the default is one of the three");
    // 42 pixels are 6 x 6 patches.
    place.embed("p.npy", &["--what", "patches", "--size", "42"]).ends(0);
    assert_eq!(read(&place.path("p.npy")).1.len(), 5 * 36 * DIM);
    place.embed("q.npy", &["--size", "45"]).ends(1).says("no multiple of the patch size 7; the nearest are 42 and 49");
}

#[test]
fn bad_images_are_listed_and_the_rest_is_embedded() {
    let place = Place::new();
    place.embed("good.npy", &[]).ends(0);
    let jpeg = std::fs::read(place.path("photos/c.jpg")).expect("the file");
    std::fs::write(place.path("photos/a0.jpg"), &jpeg[..jpeg.len() / 2]).expect("a file");
    std::fs::write(place.path("photos/b/2.png"), "no picture").expect("a file");
    let ran = place.embed("e.npy", &["--bad-budget", "2"]).ends(0).says("bad image: ");
    assert!(ran.out.contains("2 bad images listed"), "{}", ran.out);
    assert_eq!(read(&place.path("e.npy")), read(&place.path("good.npy")));
    let list = std::fs::read_to_string(place.path("e.npy.bad.jsonl")).expect("the list");
    let list: Vec<BTreeMap<String, String>> =
        list.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(list.len(), 2);
    assert!(list[0]["path"].ends_with("photos/a0.jpg") && list[0]["reason"].contains("ends early"), "{list:?}");
    assert!(list[1]["path"].ends_with("photos/b/2.png") && list[1]["reason"].contains("not an image"), "{list:?}");

    // Two of seven are more than 1%: status 1, nothing under the name, what was embedded is kept and readable.
    let ran = place.embed("f.npy", &["--batch-size", "1"]).ends(1).says("stopped at 1 bad image, 0 allowed");
    assert!(ran.err.contains("f.npy.partial"), "{}", ran.err);
    assert!(!place.path("f.npy").exists());
    let bytes = std::fs::read(place.path("f.npy.partial")).expect("what was embedded so far");
    assert_eq!(npyz::NpyFile::new(&bytes[..]).expect("an array").shape(), [1, DIM as u64]);
    // 30% of seven are two.
    place.embed("f.npy", &["--bad-budget", "30%"]).ends(0);
    assert!(!place.path("f.npy.partial").exists());
}

#[test]
fn nothing_is_computed_for_a_wrong_command() {
    let place = Place::new();
    std::fs::write(place.path("there.npy"), "mine").expect("a file");
    place.embed("there.npy", &[]).ends(1).says("--force replaces it");
    assert_eq!(std::fs::read(place.path("there.npy")).expect("untouched"), b"mine");
    place.embed("e.xlsx", &[]).ends(1).says("must end in .safetensors, .npy, .parquet or .csv; found .xlsx");
    place.embed("absent/e.npy", &[]).ends(1).says("does its folder exist?");
    place.embed("e.npy", &["--batch-size", "0"]).ends(2);
    place.embed("e.npy", &["--bad-budget", "many"]).ends(2).says("a share such as 1%");
    place.embed("e.npy", &["--widht", "3"]).ends(2);
    let (model, out) = (model("dinov2-mlp"), place.text("e.npy"));
    run(["embed", &model, &place.text("absent"), "--out", &out]).ends(1).says("cannot read input");
    run(["embed", &place.text("absent"), &place.text("photos"), "--out", &out]).ends(1).says("cannot read model");
    run(["embed", &place.text("photos"), &place.text("photos"), "--out", &out]).ends(1).says("expected config.json");
    run(["embed", &model, &place.text("photos"), "--out", &out, "--device", "gpx:0"])
        .ends(1)
        .says("no device is called gpx:0; this machine has ")
        .says("cpu");
    assert!(!place.path("e.npy").exists());
}

#[test]
fn a_model_without_class_token_gives_its_pooled_output() {
    let place = Place::new();
    let (siglip, photos) = (model("siglip-vision"), place.text("photos"));
    let embed = |out: &str, what: &str| {
        run(["embed", &siglip, &photos, "--out", &place.text(out), "--device", "cpu", "--what", what]).ends(0);
        read(&place.path(out)).1
    };
    let (pooled, mean) = (embed("cls.npy", "cls"), embed("mean.npy", "mean"));
    assert_eq!(pooled.len(), mean.len());
    assert!(pooled.iter().zip(&mean).any(|(a, b)| (a - b).abs() > 1e-3));
}

#[test]
fn parity_holds_on_every_device_and_fails_where_it_must() {
    let devices = run(["devices", "--json", "--no-check"]).ends(0).json();
    let ids: Vec<&str> = devices.as_array().expect("a list").iter().map(|d| d["id"].as_str().expect("an id")).collect();
    assert!(ids.contains(&"cpu"), "{ids:?}");
    let (model, io) = (model("dinov2-mlp"), model("dinov2-mlp") + "/io.safetensors");
    for id in ids {
        for kernels in ["wgsl", "reference"] {
            let ran = run(["parity", &model, "--io", &io, "--json", "--device", id, "--kernels", kernels]).ends(0);
            let report = ran.json();
            assert_eq!(report["passed"], true);
            let tensors = report["tensors"].as_array().expect("rows");
            for name in ["last_hidden_state", "hidden_states.0", "attentions.2", "other_size.last_hidden_state"] {
                let row = tensors.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} on {id}"));
                assert_eq!(row["passed"], true, "{name} on {id}");
            }
        }
    }
    let strict = run(["parity", &model, "--io", &io, "--device", "cpu", "--atol", "0", "--rtol", "0"]).ends(1);
    assert!(strict.out.contains("FAILED"), "{}", strict.out);
    // Another model's outputs are not ours.
    let other = self::model("dinov2-registers") + "/io.safetensors";
    run(["parity", &model, "--io", &other, "--device", "cpu"]).ends(1);
    run(["parity", &model, "--io", &place_of_nothing(), "--device", "cpu"]).ends(1).says("cannot read");
}

fn place_of_nothing() -> String {
    std::env::temp_dir().join("native-trainer-no-such-file.safetensors").to_string_lossy().into_owned()
}

#[test]
fn inspect_tells_what_a_checkpoint_is() {
    let report = run(["inspect", &model("dinov2-mlp"), "--json"]).ends(0).json();
    for (field, expected) in [("embed_dim", 64), ("depth", 3), ("num_heads", 2), ("patch_size", 7), ("img_size", 28)] {
        assert_eq!(report[field], expected, "{field}");
    }
    assert_eq!(report["has_cls"], true);
    let parameters = report["parameters"].as_u64().expect("a number");
    assert_eq!(report["weight_bytes_f16"], parameters * 2);
    // The file holds its parameters and nothing else, four bytes each.
    assert_eq!(report["stored"]["F32"], parameters * 4);
    assert!(report["flops_per_image"].as_u64().expect("a number") > 2 * parameters);
    let text = run(["inspect", &model("webmae-vit")]).ends(0).out;
    assert!(text.contains("ignored tensors") && text.contains("pooler"), "{text}");
    // A single file finds the config.json beside it.
    let file = run(["inspect", &(model("dinov2-mlp-original") + "/teacher.pth"), "--json"]).ends(0).json();
    assert_eq!(file["num_heads"], 2);
    run(["inspect", &model("dinov2-mlp-original")]).ends(1).says("several checkpoints");
}

#[test]
fn a_model_with_an_unknown_tensor_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = PathBuf::from(model("dinov2-mlp"));
    std::fs::copy(source.join("config.json"), folder.path().join("config.json")).expect("a copy");
    let bytes = std::fs::read(source.join("model.safetensors")).expect("the weights");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
    let mut all: Vec<(String, safetensors::tensor::TensorView<'_>)> =
        tensors.tensors().into_iter().filter(|(name, _)| name != "layernorm.bias").collect();
    let extra = [0u8; 8];
    let stranger = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2], &extra).expect("a tensor");
    all.push(("stranger.weight".to_owned(), stranger));
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(all, None, &path).expect("a file");
    let ran = run([Path::new("inspect"), folder.path()]).ends(1);
    let text = ran.out + &ran.err;
    assert!(text.contains("stranger.weight") && text.contains("layernorm.bias"), "{text}");
    // Cut in the middle.
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
    run([Path::new("inspect"), folder.path()]).ends(1).says("cannot read model");
}

#[test]
fn devices_pass_their_self_check() {
    let devices = run(["devices", "--json"]).ends(0).json();
    for device in devices.as_array().expect("a list") {
        let kernels = device["kernels"].as_array().expect("a list");
        let is_gpu = device["kind"] == "gpu";
        assert_eq!(is_gpu, !kernels.is_empty(), "{device}");
        for kernel in kernels {
            assert_eq!(kernel["passed"], true, "{} on {}", kernel["name"], device["id"]);
        }
    }
    let text = run(["devices", "--no-check"]).ends(0).out;
    assert!(text.contains("cpu: "), "{text}");
}

#[test]
fn help_and_version_are_there() {
    assert!(run(["--version"]).ends(0).out.starts_with("native-trainer "));
    let help = run(["--help"]).ends(0).out;
    for command in ["inspect", "embed", "parity", "devices"] {
        assert!(help.contains(command), "{help}");
        assert!(run([command, "--help"]).ends(0).out.contains("Usage: native-trainer"));
    }
    run(["embde"]).ends(2).says("embed");
}

/// Class folders whose pictures differ by colour, which even an untrained model sees.
fn colours(root: &Path, each: u32, from: u32) {
    for (class, colour) in [("blue", [20, 40, 220]), ("red", [220, 30, 20])] {
        std::fs::create_dir_all(root.join(class)).expect("a folder");
        for number in from..from + each {
            let picture = RgbImage::from_fn(40, 40, |x, y| {
                let noise = ((x * 7 + y * 13 + number * 29) % 31) as u8;
                Rgb(colour.map(|c: u8| c.saturating_add(noise)))
            });
            picture.save(root.join(class).join(format!("{number}.png"))).expect("a file");
        }
    }
}

#[test]
fn a_probe_is_learned_kept_and_asked() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    colours(&place.path().join("train"), 6, 0);
    colours(&place.path().join("test"), 3, 50);
    let (model, probe) = (model("dinov2-mlp"), path("colours.safetensors"));
    let (train, test) = (path("train"), path("test"));
    let learn = ["probe", &model, &train, "--out", &probe, "--k", "3", "--features", "both", "--device", "cpu"];

    let told = run(learn.iter().chain(&["--json"])).ends(0).json();
    assert_eq!(told["images"], 12);
    assert_eq!(told["linear"]["validation"], "5-fold cross-validation");
    assert_eq!(told["linear"]["accuracy"], 1.0, "{told}");
    assert!(told["linear"]["low"].as_f64().expect("a number") > 0.7);
    run(learn).ends(1).says("--force");
    let words = run(learn.iter().chain(&["--force", "--val", &test])).ends(0).out;
    assert!(words.contains("2 classes of 12 images") && words.contains("held-out images, 6 asked"), "{words}");

    let ask = ["eval", &model, &test, "--probe", &probe, "--device", "cpu"];
    let csv = run(ask).ends(0).out;
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("path,class,confidence,knn_class,knn_confidence"));
    for line in lines {
        let class = if line.contains("/blue/") { ",blue," } else { ",red," };
        assert!(line.contains(class), "{line}");
    }
    assert_eq!(csv.lines().count(), 7);
    let out = path("answers.json");
    let words = run(ask.iter().chain(&["--labels", "folder", "--out", &out])).ends(0).out;
    assert!(words.contains("accuracy 100.0%"), "{words}");
    let told: Value = serde_json::from_str(&std::fs::read_to_string(&out).expect("a file")).expect("JSON");
    assert_eq!(told["predictions"][0]["truth"], "blue");
    assert_eq!(told["linear"]["confusion"], serde_json::json!([[3, 0], [0, 3]]));

    // Other weights of the same width: it says so. Another width: it refuses.
    run(["eval", &self::model("webdino-swiglu"), &test, "--probe", &probe, "--device", "cpu"]).says("other weights");
    let wide = self::model("webmae-vit");
    run(["eval", &wide, &test, "--probe", &probe, "--device", "cpu"]).ends(1).says("128 numbers");
    run(["eval", &model, &test, "--probe", &test, "--device", "cpu"]).ends(1);
    let flat = format!("{train}/red");
    run(["probe", &model, &flat, "--out", &path("x.safetensors"), "--device", "cpu"])
        .ends(1)
        .says("no image has a class");
}
