//! The program as its users run it: real files in, real files out, exit statuses.
//!
//! Images are made here; models are the small random ones of `tests/golden`. The CPU device computes, so that these
//! tests run anywhere; `parity` runs on every device of the machine.

use std::collections::BTreeMap;
use std::fs::File;
#[cfg(unix)]
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::process::{Child, Stdio};
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
        .map(|name| native(&format!("{}/{name}", root.display())))
        .to_vec()
}

/// A path with the system's own separators.
fn native(path: &str) -> String {
    path.replace('/', std::path::MAIN_SEPARATOR_STR)
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
    let whole = path.to_string_lossy().trim_end_matches(".partial").to_owned();
    match Path::new(&whole).extension().and_then(|ending| ending.to_str()) {
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
    place.embed("q.npy", &["--size", "1"]).ends(1).says("no multiple of the patch size 7; the least is 7");
    place.embed("q.npy", &["--size", "8191"]).ends(1).says("the largest is 8190");
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
    assert!(
        list[0]["path"].ends_with(&native("photos/a0.jpg")) && list[0]["reason"].contains("ends early"),
        "{list:?}"
    );
    assert!(
        list[1]["path"].ends_with(&native("photos/b/2.png")) && list[1]["reason"].contains("not an image"),
        "{list:?}"
    );

    // Two of seven are more than 1%: status 1, nothing under the name, what was embedded is kept and readable.
    let ran = place.embed("f.npy", &["--batch-size", "1"]).ends(1).says("stopped at 1 bad image, 0 allowed");
    assert!(ran.err.contains("f.npy.partial"), "{}", ran.err);
    assert!(!place.path("f.npy").exists());
    let bytes = std::fs::read(place.path("f.npy.partial")).expect("what was embedded so far");
    assert_eq!(npyz::NpyFile::new(&bytes[..]).expect("an array").shape(), [1, DIM as u64]);
    // The next run replaces it; 30% of seven are two.
    place.embed("f.npy", &["--bad-budget", "30%"]).ends(0);
    assert!(!place.path("f.npy.partial").exists());
}

#[test]
fn images_that_are_all_bad_are_an_error_and_no_file() {
    let place = Place::new();
    let files = |name: &str| std::fs::read_dir(place.path(name)).expect("a folder").count();
    std::fs::create_dir_all(place.path("bad")).expect("a folder");
    std::fs::create_dir_all(place.path("out")).expect("a folder");
    for name in ["a.png", "b.png"] {
        std::fs::write(place.path("bad").join(name), "no picture").expect("a file");
    }
    let (model, bad) = (model("dinov2-mlp"), place.text("bad"));
    for name in ["e.npy", "e.safetensors", "e.parquet", "e.csv"] {
        let out = place.text("out") + "/" + name;
        let embed = ["embed", &model, &bad, "--out", &out, "--device", "cpu", "--bad-budget"];
        run(embed.iter().chain(&["9"]))
            .ends(1)
            .says("none of the 2 images could be embedded")
            .says("the first is ")
            .says(&native("bad/a.png: not an image"));
        // Too many, and none good before: there is nothing to keep.
        run(embed.iter().chain(&["0"])).ends(1).says("stopped at 1 bad image, 0 allowed").says("nothing is kept");
        assert_eq!(files("out"), 1, "the list of bad images alone");
        std::fs::remove_file(out + ".bad.jsonl").expect("the list");
    }
}

#[test]
fn an_image_given_twice_has_one_row() {
    let place = Place::new();
    let (model, photos) = (model("dinov2-mlp"), place.text("photos"));
    let (again, inside, out) = (photos.clone() + "/b/..", photos.clone() + "/a.png", place.text("e.npy"));
    let ran = run(["embed", &model, &photos, &again, &inside, "--out", &out, "--device", "cpu"]).ends(0);
    assert!(ran.out.contains("5 images embedded") && ran.out.contains("6 images given twice"), "{}", ran.out);
    assert_eq!(read(&place.path("e.npy")).0, place.names);
}

#[test]
fn normalised_rows_have_the_length_one() {
    let place = Place::new();
    for what in ["cls", "patches"] {
        place.embed("plain.npy", &["--force", "--what", what]).ends(0);
        place.embed("unit.safetensors", &["--force", "--what", what, "--normalize"]).ends(0);
        let (plain, unit) = (read(&place.path("plain.npy")).1, read(&place.path("unit.safetensors")).1);
        let length = |vector: &[f32]| vector.iter().map(|value| value * value).sum::<f32>().sqrt();
        for (plain, unit) in plain.chunks_exact(DIM).zip(unit.chunks_exact(DIM)) {
            assert!((length(unit) - 1.0).abs() < 1e-5);
            assert_close(&unit.iter().map(|value| value * length(plain)).collect::<Vec<_>>(), plain, 1e-4);
        }
    }
    let bytes = std::fs::read(place.path("unit.safetensors")).expect("the file");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    assert_eq!(header.metadata().as_ref().expect("metadata")["normalize"], "l2");
}

/// Waits until the program has told of its progress, and gives the rest of what it says.
#[cfg(unix)]
fn embedding(child: &mut Child) -> BufReader<std::process::ChildStderr> {
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.starts_with("embedding: ") {
        line.clear();
        assert!(err.read_line(&mut line).expect("UTF-8") > 0, "it ended before it began");
    }
    err
}

/// All formats at once, since the first word on the progress comes after five seconds.
#[cfg(unix)]
#[test]
fn asked_to_stop_it_keeps_the_rows_so_far() {
    const IMAGES: usize = 400_000; // minutes of work
    let place = tempfile::tempdir().expect("a folder");
    let out = |name: &str| place.path().join(name);
    let embed = |images: &str, name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
        command.args(["embed", &model("dinov2-mlp"), images, "--device", "cpu", "--batch-size", "4", "--out"]);
        command.arg(out(name));
        command
    };
    let names = ["e.npy", "e.safetensors", "e.parquet", "e.csv"];
    let mut children: Vec<Child> = names
        .map(|name| {
            let mut command = embed(&format!("drawn:{IMAGES}"), name);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
        })
        .into();
    let errors: Vec<_> = children.iter_mut().map(embedding).collect();
    assert!(embed("drawn:16", "first.npy").output().expect("the program starts").status.success());
    let expected = read(&out("first.npy")).1;
    let signals = ["-INT", "-TERM", "-INT", "-TERM"];
    for (((mut child, mut err), name), signal) in children.into_iter().zip(errors).zip(names).zip(signals) {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill is there");
        assert!(sent.success());
        let mut said = String::new();
        err.read_to_string(&mut said).expect("UTF-8");
        assert_eq!(child.wait().expect("an end").code(), Some(130), "{said}");
        let mut printed = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut printed).expect("UTF-8");
        assert!(printed.is_empty(), "nothing that looks like success: {printed}");

        assert!(!out(name).exists(), "a file that is not whole does not bear its name");
        let (paths, values) = read(&out(&format!("{name}.partial")));
        assert!(paths.len() >= 16 && paths.len() < IMAGES && paths.len() % 4 == 0, "{} rows", paths.len());
        assert_eq!(values.len(), paths.len() * DIM);
        assert!(paths.iter().enumerate().all(|(index, path)| *path == format!("drawn:{IMAGES}#{index}")));
        assert_close(&values[..16 * DIM], &expected, 1e-5);
        assert!(said.contains(&format!("stopped: {} of {IMAGES} images embedded, kept", paths.len())), "{said}");
        let next = format!("the images from drawn:{IMAGES}#{} on", paths.len());
        assert!(said.contains(&next) && said.contains(&format!("{name}.partial")), "{said}");
    }
}

#[test]
fn nothing_is_computed_for_a_wrong_command() {
    let place = Place::new();
    std::fs::write(place.path("there.npy"), "mine").expect("a file");
    place.embed("there.npy", &[]).ends(1).says("--force replaces it");
    assert_eq!(std::fs::read(place.path("there.npy")).expect("untouched"), b"mine");
    place.embed("e.xlsx", &[]).ends(1).says("must end in .safetensors, .npy, .parquet or .csv; found .xlsx");
    place.embed("absent/e.npy", &[]).ends(1).says("does its folder exist?");
    // Another process is at it: what it wrote stays as it is.
    std::fs::write(place.path("held.npy.partial"), "rows").expect("a file");
    let held = File::options().write(true).open(place.path("held.npy.partial")).expect("the file");
    assert!(fs4::fs_std::FileExt::try_lock_exclusive(&held).expect("locks"));
    place.embed("held.npy", &["--force"]).ends(1).says("another process writes");
    drop(held);
    assert_eq!(std::fs::read(place.path("held.npy.partial")).expect("untouched"), b"rows");
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

/// Another file of the tensors in `source`, each as `change` gives it: type, shape, bytes.
fn rewrite(source: &str, target: &Path, change: impl Fn(&str, &mut safetensors::Dtype, &mut Vec<usize>, &mut Vec<u8>)) {
    let bytes = std::fs::read(source).expect("a golden file");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
    let changed = tensors.tensors().into_iter().map(|(name, view)| {
        let (mut dtype, mut shape, mut data) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        change(&name, &mut dtype, &mut shape, &mut data);
        (name, dtype, shape, data)
    });
    let changed: Vec<_> = changed.collect();
    let views = changed.iter().map(|(name, dtype, shape, data)| {
        (name.clone(), safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).expect("a tensor"))
    });
    safetensors::serialize_to_file(views.collect::<Vec<_>>(), None, target).expect("a file");
}

#[test]
fn parity_tells_how_far_each_tensor_is_off() {
    let (model, io) = (model("dinov2-mlp"), model("dinov2-mlp") + "/io.safetensors");
    let report = run(["parity", &model, "--io", &io, "--device", "cpu", "--json"]).ends(0).json();
    let row = &report["tensors"][0];
    let (abs, rel) = (row["max_abs"].as_f64().expect("a number"), row["max_rel"].as_f64().expect("a number"));
    assert!(abs > 0.0 && abs < 1e-4, "{row}");
    // Within atol everywhere, and told all the same; no value is smaller than atol in the denominator.
    assert!(rel > 0.0 && rel <= abs / 1e-4, "{row}");
    assert_eq!(report["not_compared"], serde_json::json!([]));
    let table = run(["parity", &model, "--io", &io, "--device", "cpu"]).ends(0).out;
    assert!(table.contains(&format!("{rel:.2e}")) && !table.contains("not compared"), "{table}");

    // An output of the projection, which is no part of the encoder.
    let whole = self::model("clip-whole");
    let io = whole.clone() + "/io.safetensors";
    let report = run(["parity", &whole, "--io", &io, "--device", "cpu", "--json"]).ends(0).json();
    assert_eq!(report["not_compared"], serde_json::json!(["image_embeds"]));
    let table = run(["parity", &whole, "--io", &io, "--device", "cpu"]).ends(0).out;
    assert!(
        table.lines().last().is_some_and(
            |line| line == "1 stored tensor not compared, since nothing of the name is computed: image_embeds"
        ),
        "{table}"
    );
}

#[test]
fn parity_refuses_stored_tensors_that_cannot_be_compared() {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("io.safetensors");
    let file = path.to_string_lossy().into_owned();
    let check =
        |model: &str, expected: &str| run(["parity", model, "--io", &file, "--device", "cpu"]).ends(1).says(expected);
    let (dino, mae) = (model("dinov2-mlp"), model("mae-rawpix"));
    let (dino_io, mae_io) = (dino.clone() + "/io.safetensors", mae.clone() + "/io.safetensors");
    // The same numbers under another shape.
    rewrite(&dino_io, &path, |name, _, shape, _| {
        if name == "last_hidden_state" {
            shape.swap(0, 1);
        }
    });
    check(&dino, "tensor last_hidden_state has the shape [17, 2, 64], expected [2, 17, 64], as the model gives");
    // As many numbers, of grey images.
    rewrite(&dino_io, &path, |name, _, shape, _| {
        if name == "pixel_values" {
            (shape[0], shape[1]) = (shape[0] * shape[1], 1);
        }
    });
    check(&dino, "(images, channels, height, width), expected 3 channels");
    rewrite(&mae_io, &path, |name, _, shape, data| {
        if name == "noise" {
            shape[1] -= 1;
            data.truncate(4 * shape[0] * shape[1]);
        }
    });
    check(&mae, "tensor noise has the shape [2, 35], expected [2, 36]");
    // No number.
    for (name, role) in [("pixel_values", "input"), ("last_hidden_state", "output")] {
        rewrite(&dino_io, &path, |found, _, _, data| {
            if found == name {
                data[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
            }
        });
        let ran = check(&dino, &format!("the stored {role} {name} holds NaN at index 2"));
        assert!(!ran.err.contains("weights"), "{}", ran.err);
    }
}

#[test]
fn parity_takes_a_folder_with_stored_outputs_in_it_and_asks_for_f16_where_there_is_some() {
    let folder = model("webdino-swiglu-original");
    let io = folder.clone() + "/io.safetensors";
    run(["parity", &folder, "--io", &io, "--device", "cpu"]).ends(0).says("equal: ");
    run(["parity", &folder, "--io", &io, "--device", "cpu", "--half"]).ends(1).says("--half needs a device");
    // These weights are exact in f16.
    let devices = run(["devices", "--json", "--no-check"]).ends(0).json();
    for device in devices.as_array().expect("a list").iter().filter(|device| device["f16"] == true) {
        let (model, io) = (model("dinov2-mlp"), model("dinov2-mlp") + "/io.safetensors");
        let id = device["id"].as_str().expect("an id");
        run(["parity", &model, "--io", &io, "--device", id, "--half"]).ends(0);
    }
}

#[test]
fn inspect_refuses_weights_of_integers() {
    let place = tempfile::tempdir().expect("a folder");
    let source = model("dinov2-mlp");
    std::fs::copy(source.clone() + "/config.json", place.path().join("config.json")).expect("a copy");
    let weights = place.path().join("model.safetensors");
    rewrite(&(source + "/model.safetensors"), &weights, |name, dtype, _, _| {
        if name == "layernorm.weight" {
            *dtype = safetensors::Dtype::I32;
        }
    });
    let expected =
        "the tensor layernorm.weight has elements of type I32, expected a floating type: F32, F16, BF16 or F64";
    let text = run([Path::new("inspect"), place.path()]).ends(1).out;
    assert!(text.contains(expected), "{text}");
    let report = run([Path::new("inspect"), Path::new("--json"), place.path()]).ends(1).json();
    assert_eq!(report["wrong_dtype_tensors"], serde_json::json!({ "layernorm.weight": "I32" }));
    // Which is what loading says.
    let embed = |out: &str| {
        let (out, photo) = (place.path().join(out), place.path().join("a.png"));
        std::fs::write(&photo, png(0, 28, 28)).expect("a file");
        run([
            Path::new("embed"),
            place.path(),
            &photo,
            Path::new("--out"),
            &out,
            Path::new("--device"),
            Path::new("cpu"),
        ])
    };
    embed("e.npy").ends(1).says(expected);
    // A config that is no JSON is named once.
    std::fs::write(place.path().join("config.json"), "{ hidden_size: 64 }").expect("a file");
    let ran =
        run([Path::new("inspect"), place.path()]).ends(1).says("config.json is not the JSON expected: key must be");
    assert!(!ran.err.contains("config.json: config.json"), "{}", ran.err);
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
    assert!(text.contains(" MFLOPs an image"), "{text}");
    assert!(text.contains("ignored tensors") && text.contains("pooler"), "{text}");
    assert!(!text.contains("decoder"), "{text}");
    let text = run(["inspect", &model("mae-rawpix")]).ends(0).out;
    assert!(text.contains("the decoder's among them") && text.contains("an image, by the encoder alone"), "{text}");
    // A single file finds the config.json beside it.
    let file = run(["inspect", &(model("dinov2-mlp-original") + "/teacher.pth"), "--json"]).ends(0).json();
    assert_eq!(file["num_heads"], 2);
    run(["inspect", &model("dinov2-mlp-original")]).ends(1).says("several checkpoints");
}

#[test]
fn a_file_of_a_folder_is_taken_for_the_folder_or_told_what_it_is() {
    let sharded = model("dinov2-mlp-sharded");
    let whole = run(["inspect", &sharded, "--json"]).ends(0).json();
    for name in ["config.json", "model.safetensors.index.json"] {
        let found = run(["inspect", &format!("{sharded}/{name}"), "--json"]).ends(0).json();
        assert_eq!((&found["depth"], &found["files"]), (&whole["depth"], &whole["files"]), "{name}");
    }
    run(["inspect", &(sharded + "/model-00001-of-00002.safetensors")])
        .ends(1)
        .says("is shard 1 of 2 of a model, and model.safetensors.index.json did not come with it")
        .says("give the folder");

    let place = tempfile::tempdir().expect("a folder");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 88221224\n";
    std::fs::write(place.path().join("model.safetensors"), pointer).expect("a file");
    run([Path::new("inspect"), place.path()]).ends(1).says("a pointer of Git LFS").says("git lfs pull");

    let source = PathBuf::from(model("dinov2-mlp"));
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(source.join(name), place.path().join(name)).expect("a copy");
    }
    let preprocessor = place.path().join("preprocessor_config.json");
    std::fs::write(&preprocessor, "{}").expect("a file");
    run([Path::new("inspect"), place.path()])
        .ends(1)
        .says("preprocessor_config.json names no image processor")
        .says("or remove the file");
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
        // The CPU and a GPU in software compute in the machine's own memory.
        let told = device["memory_bytes"].as_u64();
        assert_eq!(told.is_some(), !is_gpu || device["software"] == true, "{device}");
        assert!(told.is_none_or(|bytes| bytes > 256 << 20), "{device}");
        for kernel in kernels {
            assert_eq!(kernel["passed"], true, "{} on {}", kernel["name"], device["id"]);
        }
    }
    for line in run(["devices"]).ends(0).out.lines().filter(|line| line.trim_start().starts_with("kernel ")) {
        assert!(line.contains("  ok (") || line.contains("  WRONG, "), "a name and its verdict apart: {line}");
    }
    let text = run(["devices", "--no-check"]).ends(0).out;
    assert!(text.contains("cpu: "), "{text}");
    // Bytes are for people, and told once.
    for line in text.lines().filter(|line| ["max buffer", "largest binding"].iter().any(|name| line.contains(name))) {
        assert!(line.ends_with("iB"), "{line}");
    }
    assert!(!text.contains("max storage binding"), "{text}");
}

#[test]
fn help_and_version_are_there() {
    assert!(run(["--version"]).ends(0).out.starts_with("native-trainer "));
    let help = run(["--help"]).ends(0).out;
    assert!(help.starts_with("Train vision transformers"), "{help}");
    for command in ["inspect", "pretrain", "plan", "embed", "probe", "eval", "parity", "devices"] {
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
        let class = if line.contains(&native("/blue/")) { ",blue," } else { ",red," };
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
    // So is a place that cannot be written, before the model is opened.
    std::fs::create_dir_all(place.path().join("f.safetensors")).expect("a folder");
    std::fs::create_dir_all(place.path().join("f.csv")).expect("a folder");
    for (name, reason) in [("f", "is a folder; name a file"), ("absent/f", "does its folder exist?")] {
        let (to, answers) = (path(&format!("{name}.safetensors")), path(&format!("{name}.csv")));
        let ran = run(["probe", &model, &train, "--out", &to, "--force", "--device", "cpu"]).ends(1).says(reason);
        assert!(!ran.err.contains("computing on"), "{}", ran.err);
        let ran = run(ask.iter().chain(&["--out", &answers, "--force"])).ends(1).says(reason);
        assert!(!ran.err.contains("computing on"), "{}", ran.err);
    }
    // Classes that nobody teaches are told before anything is computed.
    let shades = path("shades");
    std::fs::create_dir_all(format!("{shades}/navy")).expect("a folder");
    std::fs::copy(format!("{test}/blue/50.png"), format!("{shades}/navy/50.png")).expect("a copy");
    let ran = run(learn.iter().chain(&["--force", "--val", &shades])).ends(1).says("does not teach: navy");
    assert!(!ran.err.contains("images/s"), "{}", ran.err);
    // One bad image of thirteen is more than 1 %, and the way out is told.
    std::fs::write(place.path().join("train/red/zz.png"), "no picture").expect("a file");
    run(learn.iter().chain(&["--force"]))
        .ends(1)
        .says("stopped at 1 bad image, 0 allowed (--bad-budget 1% of 13)")
        .says("or let so many pass with --bad-budget 1");
}

#[test]
fn a_probe_counts_an_image_once_and_tells_of_those_without_a_class() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    colours(&place.path().join("train"), 6, 0);
    colours(&place.path().join("test"), 3, 50);
    let (model, train, test, blue, probe) =
        (model("dinov2-mlp"), path("train"), path("test"), path("train/blue"), path("p.safetensors"));
    let learn = ["probe", &model, "--out", &probe, "--k", "3", "--force", "--device", "cpu"];
    let once = run(learn.iter().chain(&["--json", &train])).ends(0).json();
    // The class folder by itself, which has no class, then all twice.
    let twice = run(learn.iter().chain(&["--json", &blue, &train, &train, "--val", &test, "--val", &test]))
        .ends(0)
        .says("18 images given twice, left out the second time")
        .says("6 images of --val given twice, left out the second time");
    assert!(!twice.err.contains("class folder"), "{}", twice.err);
    assert_eq!((&once["images"], &twice.json()["images"]), (&Value::from(12), &Value::from(12)));

    for flat in [&train, &test] {
        for number in 0..2 {
            std::fs::write(format!("{flat}/{number}.png"), png(number, 40, 40)).expect("a file");
        }
    }
    let rest = |of: &str, what: &str, folder: &str| {
        format!(
            "2 images{of} lie in no class folder and are left out{what}, the first is {}",
            native(&format!("{folder}/0.png"))
        )
    };
    let (data, val) = (rest("", "", &train), rest(" of --val", "", &test));
    run(learn.iter().chain(&[&*train, "--val", &test])).ends(0).says(&data).says(&val);
    let ask = ["eval", &model, &test, "--probe", &probe, "--device", "cpu"];
    assert!(!run(ask).ends(0).err.contains("class folder"), "nobody asked for classes");
    let report = rest("", " of the report", &test);
    let ran = run(ask.iter().chain(&["--labels", "folder"])).ends(0).says(&report).says("held-out images, 6 asked");
    assert_eq!(ran.out.lines().count(), 1 + 8, "all have answers");
    assert!(ran.err.contains("\n  blue "), "a table has lines: {}", ran.err);
}

/// What no file of an image should be called, and may be.
#[cfg(unix)]
#[test]
fn control_characters_in_names_do_not_reach_the_terminal() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let (train, probe) = (path("train"), path("p.safetensors"));
    colours(Path::new(&train), 6, 0);
    let (evil, told) = ("red\u{1b}[2J\nok", r"red\u{1b}[2J\nok");
    std::fs::rename(format!("{train}/red"), format!("{train}/{evil}")).expect("a folder");
    let model = model("dinov2-mlp");
    let words = run(["probe", &model, &train, "--out", &probe, "--k", "3", "--device", "cpu"]).ends(0).out;
    assert!(words.contains(told) && !words.contains('\u{1b}'), "{words}");

    let ask = ["eval", &model, &train, "--probe", &probe, "--device", "cpu", "--bad-budget", "1"];
    std::fs::write(format!("{train}/{evil}/x.png"), "no picture").expect("a file");
    let ran = run(ask.iter().chain(&["--labels", "folder"])).ends(0).says(&format!("{told}/x.png: not an image"));
    assert!(!ran.err.contains('\u{1b}'), "{}", ran.err);
    // Programs read the name as it is.
    assert!(ran.out.contains(evil), "{}", ran.out);
    std::fs::rename(format!("{train}/blue"), format!("{train}/{evil}2")).expect("a folder");
    let ran = run(ask.iter().chain(&["--labels", "folder"])).ends(1).says(&format!("lies in the folder {told}2"));
    assert!(!ran.err.contains('\u{1b}'), "{}", ran.err);
    assert!(!ran.err.contains("not an image"), "told before an image is read: {}", ran.err);
}

#[test]
fn an_archive_with_two_entries_of_one_name_says_so() {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("a.zip");
    let mut writer = zip::ZipWriter::new(File::create(&path).expect("a file"));
    for (seed, name) in ["1.png", "2.png"].into_iter().enumerate() {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("a member");
        std::io::Write::write_all(&mut writer, &png(seed as u32, 40, 40)).expect("its bytes");
    }
    writer.finish().expect("the end");
    // The writer refuses a name that it has: here the second gets that of the first.
    let mut bytes = std::fs::read(&path).expect("the archive");
    for at in 0..bytes.len() - 5 {
        if bytes[at..].starts_with(b"2.png") {
            bytes[at] = b'1';
        }
    }
    std::fs::write(&path, bytes).expect("a file");
    let (model, path, out) = (model("dinov2-mlp"), path.to_string_lossy(), place.path().join("e.npy"));
    let ran = run(["embed", &model, &path, "--out", &out.to_string_lossy(), "--device", "cpu"]).ends(0);
    let ran = ran.says("warning: 1 file of ").says("cannot be read, since later ones have the same names");
    assert!(ran.out.contains("1 image embedded"), "{}", ran.out);
}

#[test]
fn drawn_pictures_are_advised_where_there_are_some() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    colours(&place.path().join("train"), 6, 0);
    let model = model("dinov2-mlp");
    let probe = |data: &str| {
        let out = path("p.safetensors");
        run(["probe", &model, data, "--val", data, "--k", "3", "--force", "--device", "cpu", "--out", &out]).ends(0)
    };
    let ran =
        probe(&path("train")).says("warning: 12 of the 12 images of --val are among DATA too").says("hold out others");
    assert!(!ran.err.contains("drawn"), "{}", ran.err);
    probe("drawn:200").says("(drawn pictures by another seed: --val drawn:600:1)");
}

/// Whoever opened one would wait for ever.
#[cfg(unix)]
#[test]
fn pipes_are_bad_images_or_no_inputs() {
    let place = Place::new();
    for name in ["photos/p.png", "photos/q.tar", "r.tar"] {
        assert!(Command::new("mkfifo").arg(place.path(name)).status().expect("mkfifo is there").success());
    }
    let ran = place.embed("e.npy", &["--bad-budget", "2"]).ends(0);
    let ran = ran.says("q.tar: cannot open: it is a pipe or a device, expected a file");
    assert!(ran.out.contains("5 images embedded") && ran.out.contains("2 bad images listed"), "{}", ran.out);
    let (model, out) = (model("dinov2-mlp"), place.text("f.npy"));
    for special in [place.text("r.tar"), "/dev/zero".to_owned()] {
        run(["embed", &model, &special, "--out", &out, "--device", "cpu"])
            .ends(1)
            .says(&format!("cannot read input {special}: it is a pipe or a device, expected a file or a folder"));
    }
}
