use super::super::made_up;
use super::*;

/// A field's number and what it holds.
#[derive(Debug, Clone, PartialEq)]
enum Field {
    Whole(u64),
    Double(f64),
    Bytes(Vec<u8>),
    Float(f32),
}

/// Reads a message independently of how it is written.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (head, tail) = bytes.split_at(count);
        *bytes = tail;
        head
    }
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for turn in 0..10 {
            let byte = take(bytes, 1)[0];
            value |= u64::from(byte & 0x7f) << (7 * turn);
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Whole(varint(&mut bytes)),
            1 => Field::Double(f64::from_le_bytes(take(&mut bytes, 8).try_into().expect("eight"))),
            2 => {
                let length = varint(&mut bytes) as usize;
                Field::Bytes(take(&mut bytes, length).to_vec())
            }
            5 => Field::Float(f32::from_le_bytes(take(&mut bytes, 4).try_into().expect("four"))),
            other => panic!("no such kind: {other}"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn get(message: &[(u64, Field)], number: u64) -> Option<&Field> {
    message.iter().find(|(field, _)| *field == number).map(|(_, field)| field)
}

fn inner(message: &[(u64, Field)], number: u64) -> Option<Vec<(u64, Field)>> {
    if let Some(Field::Bytes(bytes)) = get(message, number) { Some(fields(bytes)) } else { None }
}

/// CRC32C bit by bit, by its polynomial.
fn slow_crc(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

fn unmasked(masked: u32) -> u32 {
    let turned = masked.wrapping_sub(0xa282_ead8);
    turned.rotate_left(15)
}

/// The records of a file, their checksums held to the bytes.
fn records(mut file: &[u8]) -> Vec<Vec<(u64, Field)>> {
    let mut found = Vec::new();
    while !file.is_empty() {
        let length = u64::from_le_bytes(file[..8].try_into().expect("eight")) as usize;
        let crc = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four"));
        assert_eq!(unmasked(crc(8)), slow_crc(&file[..8]), "checksum of a length");
        assert_eq!(unmasked(crc(12 + length)), slow_crc(&file[12..12 + length]), "checksum of a record");
        found.push(fields(&file[12..12 + length]));
        file = &file[16 + length..];
    }
    found
}

/// The event files of a run folder, in the order in which TensorBoard reads them.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join(FOLDER)).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn tell(folder: &Path, events: &[Event]) {
    let mut board = TensorBoard::new(folder);
    events.iter().for_each(|event| board.event(event).expect("written"));
    board.finish();
}

/// Step, tag and value of every scalar.
fn scalars(records: &[Vec<(u64, Field)>]) -> Vec<(u64, String, f32)> {
    let mut found = Vec::new();
    for record in records {
        let Some(summary) = inner(record, 5) else { continue };
        let Some(Field::Whole(step)) = get(record, 2) else { panic!("no step in {record:?}") };
        for (_, value) in &summary {
            let Field::Bytes(value) = value else { panic!("no message: {value:?}") };
            let value = fields(value);
            if let (Some(Field::Bytes(tag)), Some(Field::Float(scalar))) = (get(&value, 1), get(&value, 2)) {
                found.push((*step, String::from_utf8(tag.clone()).expect("text"), *scalar));
            }
        }
    }
    found
}

#[test]
fn checksums_are_castagnolis() {
    // RFC 3720, B.4, and the usual check value.
    assert_eq!(slow_crc(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(unmasked(masked_crc(b"lab")), slow_crc(b"lab"));
}

#[test]
fn scalars_stand_in_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    tell(folder.path(), &made_up::run(0, 30, 40));
    let paths = files(folder.path());
    let name = paths[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(paths.len() == 1 && name.starts_with("events.out.tfevents.1") && !name.ends_with('.'), "{name}");
    let records = records(&std::fs::read(&paths[0]).expect("bytes"));
    assert_eq!(get(&records[0], 3), Some(&Field::Bytes(b"brain.Event:2".to_vec())));
    assert!(matches!(get(&records[0], 1), Some(Field::Double(time)) if *time > 1.7e9));
    let scalars = scalars(&records);
    for made in 0..30 {
        let step = made_up::step(made, 40);
        for (tag, value) in [
            ("loss/total", step.loss),
            ("loss/ibot", step.losses[2].1),
            ("norm/backbone", step.norms[0].1),
            ("teacher/teacher_entropy", step.teacher[0].1),
            ("optim/lr", step.lr),
            ("teacher/momentum", step.momentum),
            ("speed/data_wait", step.data_wait),
        ] {
            let found: Vec<f32> = scalars.iter().filter(|s| s.0 == made && s.1 == tag).map(|s| s.2).collect();
            assert_eq!(found, [value as f32], "{tag} at {made}");
        }
    }
    assert!(scalars.iter().any(|(step, tag, _)| *step == 28 && tag == "health/knn_cls"));
}

#[test]
fn pictures_are_png_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let look = made_up::look(7, 40, 2);
    tell(folder.path(), &[Event::Look(look.clone())]);
    let records = records(&std::fs::read(&files(folder.path())[0]).expect("bytes"));
    let images: Vec<_> = records
        .iter()
        .filter_map(|record| inner(&inner(record, 5)?, 1))
        .filter_map(|value| Some((get(&value, 1)?.clone(), inner(&value, 4)?)))
        .collect();
    assert_eq!(images.len(), 4);
    assert_eq!(images[3].0, Field::Bytes(b"look/attention/1".to_vec()));
    let Some(Field::Bytes(file)) = get(&images[3].1, 4) else { panic!("no file in {:?}", images[3].1) };
    let pixels = image::load_from_memory(file).expect("PNG").to_rgb8().into_raw();
    assert_eq!(pixels, look.rows[1][1].rgb);
    assert_eq!((get(&images[3].1, 1), get(&images[3].1, 2)), (Some(&Field::Whole(96)), Some(&Field::Whole(96))));
}

#[test]
fn a_session_has_a_file_of_its_own_and_says_where_it_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    tell(folder.path(), &made_up::run(0, 30, 40));
    tell(folder.path(), &made_up::run(20, 40, 40));
    let paths = files(folder.path());
    assert_eq!(paths.len(), 2);
    let second = records(&std::fs::read(&paths[1]).expect("bytes"));
    assert_eq!(get(&second[1], 2), Some(&Field::Whole(20)));
    assert_eq!(inner(&second[1], 7), Some(vec![(1, Field::Whole(1))]));
}
