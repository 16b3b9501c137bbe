//! Two remote devices, served on loopback, equal one device with the double batch. With the feature `remote` only, as
//! `cargo xtask test` has it.
#![cfg(feature = "remote")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use image::{Rgb, RgbImage};

/// A server and where it listens; it ends with the test.
struct Served(Child, String);

impl Served {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
        command.args(["serve", "--device", "cpu", "--listen", "127.0.0.1:0"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = lines.map_while(Result::ok).find_map(|line| Some(line.split_once(" on ws://")?.1.to_owned()));
        Self(child, format!("ws://{}", address.expect("it says where it listens")))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

fn losses(data: &Path, out: &Path, preset: &str, devices: &str) -> Vec<f64> {
    let sets = [
        "model.embed_dim=16",
        "model.depth=1",
        "model.num_heads=1",
        "model.drop_path_rate=0",
        "crops.global_size=16",
        "crops.local_size=8",
        "crops.local_number=2",
        "mae.decoder_embed_dim=16",
        "mae.decoder_depth=1",
        "mae.decoder_num_heads=1",
        "dino.head_n_prototypes=32",
        "dino.head_hidden_dim=16",
        "dino.head_bottleneck_dim=8",
        "dino.koleo_loss_weight=0",
        "teacher.centering=sinkhorn_knopp",
        "train.batch_size=8",
        "train.epochs=1",
        "train.epoch_length=4",
        "train.look_epochs=0",
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_native-trainer"));
    command.arg("pretrain").arg(data).args(["--preset", preset, "--plain", "--devices", devices, "--out"]).arg(out);
    let output = command.args(sets.iter().flat_map(|set| ["--set", set])).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let diary = std::fs::read_to_string(out.join("events.jsonl")).expect("a diary");
    let events = diary.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    events.filter(|event| event["event"] == "step").filter_map(|event| event["loss"].as_f64()).collect()
}

#[test]
fn two_remote_devices_equal_one_with_the_double_batch() {
    let place = tempfile::tempdir().expect("a folder");
    let data = place.path().join("images");
    std::fs::create_dir_all(&data).expect("a folder");
    for seed in 0..16u32 {
        let picture = RgbImage::from_fn(20, 18, |x, y| Rgb([(x * 12) as u8, (y * 14) as u8, (seed * 16) as u8]));
        picture.save(data.join(format!("{seed}.png"))).expect("a file");
    }
    let servers = [Served::start(), Served::start()];
    let devices = servers.iter().map(|server| server.1.clone()).collect::<Vec<_>>().join(",");
    for preset in ["tiny-mae", "tiny-dinov2"] {
        let alone = losses(&data, &place.path().join(format!("{preset}-alone")), preset, "cpu");
        let remote = losses(&data, &place.path().join(format!("{preset}-remote")), preset, &devices);
        assert_eq!(alone.len(), 4);
        for (alone, remote) in alone.iter().zip(&remote) {
            assert!((alone - remote).abs() <= 1e-4 * alone.abs(), "{preset}: {remote}, alone {alone}");
        }
    }
}
