//! The rooms Probe and Video as the page drives them, on a small model: classes out to a file and in again, search among
//! embeddings, and a thing that is followed through frames.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use lab_core::engine::{Engine, paint};
use lab_core::formats::safetensors::{Piece, write};
use lab_core::host::{MemoryFile, ReadAt};
use lab_core::image::Rgb8;
use lab_protocol::{ImageId, ProbeClass, ProbeCommand, ProbeEvent, ProbeFeatures, SearchHit, VideoCommand, VideoEvent};
use pollster::block_on;

use crate::engine::{CAT, DOG, model_files, on_cpu};

fn ask(engine: &mut Engine, command: ProbeCommand) -> (ProbeEvent, Vec<u8>) {
    block_on(engine.probe(command, Vec::new())).expect("carried out")
}

fn refused(engine: &mut Engine, command: ProbeCommand, files: Vec<Box<dyn ReadAt>>) -> String {
    block_on(engine.probe(command, files)).expect_err("refused").to_string()
}

fn file(name: &str, bytes: Vec<u8>) -> Vec<Box<dyn ReadAt>> {
    vec![Box::new(MemoryFile::new(name, bytes))]
}

/// Reddish pictures 10 to 14, bluish ones 20 to 24.
fn colours(engine: &mut Engine) -> Vec<ProbeClass> {
    let mut classes = Vec::new();
    for (name, first, colour) in [("red", 10, [210, 40, 30]), ("blue", 20, [30, 50, 220])] {
        let images: Vec<ImageId> = (first..first + 5).map(ImageId).collect();
        for image in &images {
            let picture = RgbImage::from_fn(40, 40, |x, y| {
                Rgb(colour.map(|c: u8| c.saturating_add(((x * 7 + y * 5 + image.0 * 31) % 29) as u8)))
            });
            let mut bytes = Cursor::new(Vec::new());
            picture.write_to(&mut bytes, ImageFormat::Png).expect("memory takes it");
            engine.add_image(*image, "a swatch", bytes.into_inner()).expect("decodes");
        }
        classes.push(ProbeClass { name: name.to_owned(), images });
    }
    classes
}

fn train(classes: Vec<ProbeClass>, features: ProbeFeatures) -> ProbeCommand {
    ProbeCommand::Train { classes, features, k: 3, c: 1.0, standardise: true }
}

#[test]
fn classes_are_learned_asked_kept_and_opened_again() {
    let mut engine = on_cpu();
    let classes = colours(&mut engine);
    let few = vec![classes[0].clone()];
    assert!(refused(&mut engine, train(few, ProbeFeatures::Cls), Vec::new()).contains("at least two"));
    assert!(refused(&mut engine, ProbeCommand::Export, Vec::new()).contains("no probe yet"));
    for features in [ProbeFeatures::Cls, ProbeFeatures::Mean, ProbeFeatures::Both] {
        let (event, _) = ask(&mut engine, train(classes.clone(), features));
        let ProbeEvent::Trained { knn, linear, .. } = event else { panic!("{event:?}") };
        assert_eq!((knn.accuracy, linear.accuracy, linear.folds), (1.0, 1.0, 5), "{features:?}");
        assert_eq!(linear.confusion, [[5, 0], [0, 5]]);
        assert!(linear.samples.iter().all(|sample| sample.margin > 0.0));
    }
    let predict = || ProbeCommand::Predict { images: vec![ImageId(12), ImageId(23)] };
    let (first, _) = ask(&mut engine, predict());
    let ProbeEvent::Predicted { images } = &first else { panic!("{first:?}") };
    assert!(images[0].linear[0] > 0.5 && images[1].linear[1] > 0.5, "{images:?}");

    let (event, bytes) = ask(&mut engine, ProbeCommand::Export);
    assert_eq!(event, ProbeEvent::Exported { bytes: bytes.len() as u64 });
    ask(&mut engine, ProbeCommand::Clear);
    assert!(refused(&mut engine, predict(), Vec::new()).contains("no probe yet"));
    let opened = block_on(engine.probe(ProbeCommand::Import, file("p.safetensors", bytes.clone()))).expect("opens").0;
    let ProbeEvent::Imported { classes, images, same_weights, .. } = opened else { panic!("{opened:?}") };
    assert_eq!((classes, images, same_weights), (vec!["red".to_owned(), "blue".to_owned()], 10, true));
    assert_eq!(ask(&mut engine, predict()).0, first);

    // Another model: what was learned from this one's features goes, and its file is of another width.
    block_on(engine.load_built_in()).expect("loads");
    assert!(refused(&mut engine, predict(), Vec::new()).contains("no probe yet"));
    assert!(refused(&mut engine, ProbeCommand::Import, file("p.safetensors", bytes)).contains("load the model"));
    assert!(refused(&mut engine, ProbeCommand::Import, file("x.safetensors", vec![1; 40])).contains("x.safetensors"));
}

#[test]
fn embeddings_are_searched_by_image_and_by_patch() {
    let mut engine = on_cpu();
    assert!(
        refused(&mut engine, ProbeCommand::Search { image: CAT, patch: None, count: 3 }, Vec::new())
            .contains("no embeddings")
    );
    let [cat, dog] = [CAT, DOG].map(|image| block_on(engine.embed(image, true)).expect("embeds"));
    let (rows, patches) = (cat.patches.len() / cat.dim, [cat.patches.clone(), dog.patches.clone()].concat());
    let metadata = BTreeMap::from([("paths".to_owned(), r#"["cat.png","dog.png"]"#.to_owned())]);
    let both = write(&metadata, &[Piece::f32("embeddings", &[2, cat.dim], &[cat.cls, dog.cls].concat())]);
    let open = |engine: &mut Engine, bytes: Vec<u8>| {
        block_on(engine.probe(ProbeCommand::OpenEmbeddings, file("e.safetensors", bytes))).expect("opens").0
    };
    let ProbeEvent::Searchable { images: 2, patches: 0, dim: 64, fits: true, .. } = open(&mut engine, both) else {
        panic!("not what was written")
    };
    let search = |engine: &mut Engine, image, patch| -> Vec<SearchHit> {
        let (event, _) = ask(engine, ProbeCommand::Search { image, patch, count: 5 });
        let ProbeEvent::Hits { hits, .. } = event else { panic!("{event:?}") };
        hits
    };
    let hits = search(&mut engine, DOG, None);
    assert_eq!(hits.iter().map(|hit| hit.name.as_str()).collect::<Vec<_>>(), ["dog.png", "cat.png"]);
    assert!((hits[0].cosine - 1.0).abs() < 1e-5 && hits[1].cosine < 0.9999);

    let all = write(&metadata, &[Piece::f32("embeddings", &[2, rows, 64], &patches)]);
    open(&mut engine, all);
    let hits = search(&mut engine, CAT, Some(5));
    assert_eq!((hits[0].name.as_str(), hits[0].patch), ("cat.png", Some(5)));
    assert!((hits[0].cosine - 1.0).abs() < 1e-5);
    let beyond = ProbeCommand::Search { image: CAT, patch: Some(999), count: 5 };
    assert!(refused(&mut engine, beyond, Vec::new()).contains("999"));
}

/// A frame of 16 x 16 patches with a bright square of 5 x 5 on a dark, noisy ground.
fn frame(x: u32, y: u32) -> Rgb8 {
    let image = RgbImage::from_fn(224, 224, |px, py| {
        let inside = (x..x + 70).contains(&px) && (y..y + 70).contains(&py);
        let noise = ((px * 13 + py * 7) % 17) as u8;
        if inside { Rgb([240, 200 - noise, 40]) } else { Rgb([20 + noise, 60, 90 + noise]) }
    });
    Rgb8::new(224, 224, image.into_raw()).expect("as many bytes as pixels")
}

#[test]
fn frames_keep_their_basis_and_a_thing_is_followed() {
    let mut engine = on_cpu();
    // Sixteen patches a side; it has learned nothing, yet its tokens tell bright from dark.
    block_on(engine.load_built_in()).expect("loads");
    assert!(engine.video(&VideoCommand::Follow { patch: 0 }).is_err(), "there was no frame yet");
    let first = block_on(engine.frame(&frame(0, 0))).expect("seen");
    let VideoEvent::Frame { grid, explained, followed: None, .. } = first.event else { panic!("{:?}", first.event) };
    assert!(explained > 0.2 && explained <= 1.0001, "{explained}");
    assert!(first.likeness.is_none());
    assert!(engine.video(&VideoCommand::Follow { patch: 999 }).is_err());
    assert_eq!(engine.video(&VideoCommand::Follow { patch: 34 }).expect("there"), VideoEvent::Following { on: true });

    // The same frame in the same basis has the same colours; the thing stands where it was clicked.
    let again = block_on(engine.frame(&frame(0, 0))).expect("seen");
    lab_tests::assert_close("colours", &again.components.host_values, &first.components.host_values, 1e-3, 1e-3);
    let VideoEvent::Frame { followed: Some(thing), .. } = again.event else { panic!("{:?}", again.event) };
    assert_eq!(grid, [16, 16]);
    assert!(!thing.lost && thing.region.contains(&34) && thing.region.len() < 128, "{thing:?}");
    let likeness = again.likeness.expect("something is followed");
    let pixels = block_on(paint::paint(&likeness, 64, 64)).expect("paints");
    assert_eq!(pixels.len(), 64 * 64 * 4);
    // As the model sees it: no map above.
    assert!(again.input.values().is_none() && again.input.opacity == 0.0);

    // Colours fitted to a frame that what is followed does not see: those of an engine that saw it first.
    let fit = block_on(engine.fit_frame(&frame(70, 20))).expect("seen");
    assert_eq!(fit, VideoEvent::Following { on: true });
    let fitted = block_on(engine.frame(&frame(0, 0))).expect("seen");
    assert!(fitted.components.host_values != again.components.host_values, "the basis stayed");
    let VideoEvent::Frame { followed: Some(same), .. } = fitted.event else { panic!("{:?}", fitted.event) };
    assert_eq!((same.patch, same.lost), (thing.patch, false));
    let mut other = on_cpu();
    block_on(other.load_built_in()).expect("loads");
    block_on(other.frame(&frame(70, 20))).expect("seen");
    let there = block_on(other.frame(&frame(0, 0))).expect("seen");
    lab_tests::assert_close("colours", &fitted.components.host_values, &there.components.host_values, 1e-4, 1e-4);

    // In the far corner it is lost at first, and waits where it was; then it is looked for further out and found there.
    let look = |engine: &mut Engine| {
        let far = block_on(engine.frame(&frame(140, 140))).expect("seen");
        let VideoEvent::Frame { followed: Some(thing), .. } = far.event.clone() else { panic!("{:?}", far.event) };
        (far, thing)
    };
    let (_, lost) = look(&mut engine);
    assert_eq!((lost.patch, lost.lost), (thing.patch, true));
    let (far, thing) = (0..8).map(|_| look(&mut engine)).find(|(_, thing)| !thing.lost).expect("found again");
    let [row, column] = [thing.patch as usize / grid[1], thing.patch as usize % grid[1]];
    assert!(row + column >= grid[0], "found at {row}, {column} of {grid:?}");

    // A new basis, another model, nothing to follow.
    engine.video(&VideoCommand::Refit).expect("no matter when");
    let fresh = block_on(engine.frame(&frame(140, 140))).expect("seen");
    assert!(fresh.components.host_values != far.components.host_values);
    assert_eq!(engine.video(&VideoCommand::Release).expect("no matter when"), VideoEvent::Following { on: false });
    block_on(engine.load_model("", model_files(), &mut |_, _, _| {})).expect("loads");
    assert!(block_on(engine.frame(&frame(0, 0))).expect("seen").likeness.is_none());
}
