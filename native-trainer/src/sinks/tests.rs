//! Every format is read back by a reader that is not ours.

use std::path::{Path, PathBuf};

use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use ::parquet::record::Field;

use super::*;

const DIM: usize = 3;
const PATHS: [&str; 4] = ["a.jpg", "with \"quotes\" \\ and, comma.png", "s.tar#ü/ß.jpg", "line\nend.jpg"];

fn layout(what: What) -> Layout {
    let path_bytes = PATHS.iter().map(|path| json_len(path)).sum();
    Layout { what, dim: DIM, rows: PATHS.len(), path_bytes, about: vec![("model".into(), "tiny".into())] }
}

/// Numbers that no shorter text than their own gives back, and the extremes.
fn values(row: usize, patches: usize) -> Vec<f32> {
    let odd = [0.1, -1.0 / 3.0, f32::MAX, f32::MIN_POSITIVE, 1e-40, -0.0, 16_777_217.0];
    (0..patches * DIM).map(|i| odd[(row * 5 + i) % odd.len()] * if i > 6 { 0.7 } else { 1.0 }).collect()
}

/// Writes rows 0, 2 and 3 (row 1 is bad) and returns the folder and the file.
fn write(name: &str, what: What, grid: [usize; 2]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join(name);
    let format = Output::check(&target, false).expect("a free name");
    let patches = if what == What::Patches { grid[0] * grid[1] } else { 1 };
    let mut output = Output::create(&target, format, &layout(what), patches, false).expect("an output");
    for row in [0, 2, 3] {
        output.write(&Row { path: PATHS[row], grid, values: &values(row, patches) }).expect("a row");
        assert!(!target.exists(), "only a complete file has its name");
    }
    output.complete().expect("the end");
    assert!(!beside(&target, PARTIAL).exists());
    (folder, target)
}

fn expected(patches: usize) -> Vec<f32> {
    [0, 2, 3].into_iter().flat_map(|row| values(row, patches)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn npy_is_numpys() {
    for (what, grid, shape) in [(What::Cls, [2, 2], vec![3, 3]), (What::Patches, [2, 3], vec![3, 6, 3])] {
        let (_folder, file) = write("e.npy", what, grid);
        let bytes = std::fs::read(&file).expect("the file");
        let array = npyz::NpyFile::new(&bytes[..]).expect("an array");
        assert_eq!(array.shape(), shape);
        assert_eq!(array.order(), npyz::Order::C);
        let read: Vec<f32> = array.into_vec().expect("f32");
        let patches = if what == What::Patches { 6 } else { 1 };
        assert_eq!(bits(&read), bits(&expected(patches)));
        let paths = std::fs::read_to_string(beside(&file, ".paths.txt")).expect("the paths");
        assert_eq!(paths.lines().collect::<Vec<_>>(), [PATHS[0], PATHS[2], "line\\nend.jpg"]);
    }
}

#[test]
fn safetensors_holds_paths_and_origin() {
    for (what, grid, shape) in [(What::Mean, [2, 2], vec![3, 3]), (What::Patches, [2, 3], vec![3, 6, 3])] {
        let (_folder, file) = write("e.safetensors", what, grid);
        let bytes = std::fs::read(&file).expect("the file");
        let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
        let metadata = header.metadata().as_ref().expect("metadata");
        let paths: Vec<String> = serde_json::from_str(&metadata["paths"]).expect("a list");
        assert_eq!(paths, [PATHS[0], PATHS[2], PATHS[3]]);
        assert_eq!(metadata["model"], "tiny");
        assert_eq!(metadata["grid"], format!("{}x{}", grid[0], grid[1]));
        let tensors = ::safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
        let tensor = tensors.tensor("embeddings").expect("the tensor");
        assert_eq!(tensor.shape(), shape);
        let read: Vec<f32> =
            tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let patches = if what == What::Patches { 6 } else { 1 };
        assert_eq!(bits(&read), bits(&expected(patches)));
    }
}

#[test]
fn csv_reads_back_to_the_last_bit() {
    let (_folder, file) = write("e.csv", What::Cls, [2, 2]);
    let mut reader = ::csv::Reader::from_path(&file).expect("the file");
    assert_eq!(reader.headers().expect("names"), vec!["path", "e0", "e1", "e2"]);
    let records: Vec<::csv::StringRecord> = reader.records().map(|record| record.expect("a line")).collect();
    assert_eq!(records.iter().map(|record| &record[0]).collect::<Vec<_>>(), [PATHS[0], PATHS[2], PATHS[3]]);
    let numbers = |record: &::csv::StringRecord, from| -> Vec<f32> {
        record.iter().skip(from).map(|field| field.parse().expect("a number")).collect()
    };
    let read: Vec<f32> = records.iter().flat_map(|record| numbers(record, 1)).collect();
    assert_eq!(bits(&read), bits(&expected(1)));

    let (_folder, file) = write("e.csv", What::Patches, [2, 3]);
    let mut reader = ::csv::Reader::from_path(&file).expect("the file");
    let records: Vec<::csv::StringRecord> = reader.records().map(|record| record.expect("a line")).collect();
    assert_eq!(records.len(), 18);
    assert_eq!((&records[10][0], &records[10][1], &records[10][2]), (PATHS[2], "1", "1"));
    let read: Vec<f32> = records.iter().flat_map(|record| numbers(record, 3)).collect();
    assert_eq!(bits(&read), bits(&expected(6)));
}

fn list(field: &Field) -> Vec<f32> {
    let Field::ListInternal(list) = field else { panic!("{field:?} is no list") };
    let number = |field: &Field| if let Field::Float(value) = field { *value } else { panic!("{field:?} is no float") };
    list.elements().iter().map(number).collect()
}

#[test]
fn parquet_has_a_list_column() {
    for (what, grid) in [(What::Cls, [2, 2]), (What::Patches, [2, 3])] {
        let (_folder, file) = write("e.parquet", what, grid);
        let reader = SerializedFileReader::new(File::open(&file).expect("the file")).expect("a parquet file");
        let about = reader.metadata().file_metadata().key_value_metadata().expect("metadata");
        assert!(about.iter().any(|entry| entry.key == "model" && entry.value.as_deref() == Some("tiny")));
        let rows: Vec<Vec<(String, Field)>> = reader
            .get_row_iter(None)
            .expect("rows")
            .map(|row| row.expect("a row").get_column_iter().map(|(n, f)| (n.clone(), f.clone())).collect())
            .collect();
        let patches = if what == What::Patches { 6 } else { 1 };
        assert_eq!(rows.len(), 3 * patches);
        let row = &rows[2 * patches - 1];
        assert_eq!(row[0], ("path".to_owned(), Field::Str(PATHS[2].to_owned())));
        if what == What::Patches {
            assert_eq!(row[1..3], [("row".to_owned(), Field::Int(1)), ("column".to_owned(), Field::Int(2))]);
        }
        let read: Vec<f32> = rows.iter().flat_map(|row| list(&row.last().expect("the list").1)).collect();
        assert_eq!(bits(&read), bits(&expected(patches)));
    }
}

#[test]
fn many_row_groups_are_one_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("e.parquet");
    let layout = Layout { dim: 1 << 21, ..layout(What::Cls) };
    let mut output = Output::create(&target, Format::Parquet, &layout, 1, false).expect("an output");
    let values: Vec<f32> = (0..1 << 21).map(|i| i as f32).collect();
    for _ in 0..9 {
        output.write(&Row { path: "p", grid: [1, 1], values: &values }).expect("a row");
    }
    output.complete().expect("the end");
    let reader = SerializedFileReader::new(File::open(&target).expect("the file")).expect("a parquet file");
    assert_eq!(reader.metadata().num_row_groups(), 2);
    assert_eq!(reader.metadata().file_metadata().num_rows(), 9);
}

/// An output of this name with one row, not ended.
fn begun(name: &str) -> (tempfile::TempDir, PathBuf, Output) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join(name);
    let mut output =
        Output::create(&target, Format::of(&target).expect("known"), &layout(What::Cls), 1, false).expect("an output");
    output.write(&Row { path: PATHS[0], grid: [1, 1], values: &values(0, 1) }).expect("a row");
    (folder, target, output)
}

#[test]
fn a_partial_file_is_a_valid_one() {
    for name in ["e.npy", "e.safetensors", "e.parquet", "e.csv"] {
        let (_folder, target, output) = begun(name);
        let partial = output.keep_partial().expect("closed");
        assert_eq!(partial, beside(&target, ".partial"));
        assert!(!target.exists());
        rows_of(&partial, name, 1);
        if name == "e.npy" {
            let paths = std::fs::read_to_string(beside(&partial, ".paths.txt")).expect("the paths");
            assert_eq!(paths.lines().collect::<Vec<_>>(), [PATHS[0]]);
        }
        // It stays until another begins.
        Output::check(&target, false).expect("a free name");
        rows_of(&partial, name, 1);
    }
}

#[test]
fn a_discarded_output_leaves_nothing() {
    for name in ["e.npy", "e.safetensors", "e.parquet", "e.csv"] {
        let (folder, _, output) = begun(name);
        output.discard().expect("files to remove");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "{name}");
    }
}

fn rows_of(path: &Path, name: &str, rows: u64) {
    let bytes = std::fs::read(path).expect("the file");
    let found = match name.rsplit('.').next() {
        Some("npy") => npyz::NpyFile::new(&bytes[..]).expect("an array").shape()[0],
        Some("safetensors") => {
            let tensors = ::safetensors::SafeTensors::deserialize(&bytes).expect("tensors");
            tensors.tensor("embeddings").expect("the tensor").shape()[0] as u64
        }
        Some("parquet") => {
            let reader = SerializedFileReader::new(File::open(path).expect("the file")).expect("parquet");
            reader.metadata().file_metadata().num_rows() as u64
        }
        _ => bytes.iter().filter(|&&byte| byte == b'\n').count() as u64 - 1,
    };
    assert_eq!(found, rows, "{name}");
}

#[test]
fn one_writes_at_a_time() {
    for name in ["e.npy", "e.safetensors", "e.parquet", "e.csv"] {
        let (_folder, target, output) = begun(name);
        let again = || Output::create(&target, Format::of(&target).expect("known"), &layout(What::Cls), 1, true);
        for force in [false, true] {
            let error = Output::check(&target, force).expect_err("held").to_string();
            assert!(error.contains("another process writes") && error.contains("name another --out"), "{error}");
        }
        assert!(again().expect_err("held").to_string().contains("another process writes"));
        assert!(save(&target, b"a probe", true).expect_err("held").to_string().contains("another process writes"));
        // Nothing of the first was touched.
        output.complete().expect("the end");
        rows_of(&target, name, 1);
        // Its name is free again, and what is begun under it is another file.
        again().expect("free").discard().expect("files to remove");
        rows_of(&target, name, 1);
    }
}

#[test]
fn what_came_into_being_meanwhile_stays() {
    for name in ["e.npy", "e.safetensors", "e.parquet", "e.csv"] {
        let (_folder, target, output) = begun(name);
        std::fs::write(&target, "another's").expect("a file");
        let error = output.complete().expect_err("it exists").to_string();
        assert!(error.contains("came into being meanwhile"), "{error}");
        assert_eq!(std::fs::read(&target).expect("untouched"), b"another's");
        rows_of(&beside(&target, PARTIAL), name, 1);
        let error = Output::create(&target, Format::of(&target).expect("known"), &layout(What::Cls), 1, false)
            .expect_err("it exists")
            .to_string();
        assert!(error.contains("--force replaces it"), "{error}");
        assert!(save(&target, b"a probe", false).expect_err("it exists").to_string().contains("came into being"));
        save(&target, b"a probe", true).expect("replaced");
        assert_eq!(std::fs::read(&target).expect("the file"), b"a probe");
    }
}

#[test]
fn rows_of_two_shapes_fit_tables_only() {
    for (name, fits) in [("e.npy", false), ("e.safetensors", false), ("e.parquet", true), ("e.csv", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join(name);
        let layout = layout(What::Patches);
        let mut output =
            Output::create(&target, Format::of(&target).expect("known"), &layout, 4, false).expect("an output");
        output.write(&Row { path: "a", grid: [1, 2], values: &values(0, 2) }).expect("a row");
        let second = output.write(&Row { path: "b", grid: [2, 1], values: &values(1, 2) });
        assert_eq!(second.is_ok(), fits, "{name}: {second:?}");
    }
}

#[test]
fn targets_are_checked_before_any_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |name: &str, force, expected: &str| {
        let error = format!("{:#}", Output::check(&folder.path().join(name), force).expect_err(expected));
        assert!(error.contains(expected), "{error}");
    };
    check("e.txt", false, "must end in");
    check("e", false, "must end in");
    check("absent/e.npy", false, "does its folder exist");
    std::fs::write(folder.path().join("e.npy"), "").expect("a file");
    check("e.npy", false, "--force replaces it");
    assert_eq!(Output::check(&folder.path().join("e.npy"), true).expect("forced"), Format::Npy);
    std::fs::create_dir(folder.path().join("d.csv")).expect("a folder");
    check("d.csv", true, "is a folder");
    let huge = Layout { rows: 1 << 40, dim: 1 << 20, ..layout(What::Cls) };
    let error = Output::create(&folder.path().join("f.npy"), Format::Npy, &huge, 1, false).expect_err("four exabytes");
    assert!(error.to_string().contains("no room for"), "{error}");
}
