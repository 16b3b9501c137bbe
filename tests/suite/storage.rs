//! What the page's store makes of addresses and of servers' answers.

use lab_worker::store::address::{Address, HUB};
use lab_worker::store::answer::{Answer, CHANGED, NO_RANGES, Next, decide, vouched, whole_in_memory};

const SITE: &str = "https://lab.example";

fn parse(text: &str) -> Result<Address, String> {
    Address::parse(text, "", SITE)
}

#[test]
fn what_people_type_leads_to_a_folder() {
    let check = |text: &str, folder: &str, name: &str| {
        let found = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((found.folder.as_str(), found.name.as_str()), (folder, name), "{text}");
    };
    let hub = "https://huggingface.co/facebook/webssl-dino300m-full2b-224/resolve/main/";
    let name = "facebook/webssl-dino300m-full2b-224";
    check("facebook/webssl-dino300m-full2b-224", hub, name);
    check("  facebook/webssl-dino300m-full2b-224 ", hub, name);
    check("https://huggingface.co/facebook/webssl-dino300m-full2b-224", hub, name);
    check("https://huggingface.co/facebook/webssl-dino300m-full2b-224/tree/main", hub, name);
    check(hub, hub, name);
    check("a/b@v2", "https://huggingface.co/a/b/resolve/v2/", "a/b@v2");
    check("https://x.org/models/tiny", "https://x.org/models/tiny/", "x.org/models/tiny");
    check("/models/tiny/", "https://lab.example/models/tiny/", "lab.example/models/tiny");
    check("./models/tiny/x/", "https://lab.example/models/tiny/x/", "lab.example/models/tiny/x");
    let mirrored = Address::parse("a/b", "https://mirror.example/hub/", SITE).expect("a repository");
    assert_eq!(mirrored.folder, "https://mirror.example/hub/a/b/resolve/main/");
    assert_eq!(mirrored.tree.as_deref(), Some("https://mirror.example/hub/api/models/a/b/tree/main"));
    let weights = parse("https://x.org/m/model.safetensors").expect("a file");
    assert_eq!((weights.folder.as_str(), weights.weights.as_deref()), ("https://x.org/m/", Some("model.safetensors")));
    assert_ne!(weights.key(), parse("https://x.org/m/").expect("its folder").key());
    assert_eq!(parse("a/b").expect("one").key(), parse(&format!("{HUB}/a/b")).expect("the same").key());
}

#[test]
fn a_hash_may_stand_behind_an_address_and_nothing_else() {
    let hash = "AB".repeat(32);
    assert_eq!(parse(&format!("a/b#sha256={hash}")).expect("a hash").sha256, Some("ab".repeat(32)));
    for wrong in ["a/b#sha256=12", "a/b#md5=00", "", "two words", "ftp://x.org/m", "https://x.org/m?a=b"] {
        let error = parse(wrong).expect_err(wrong);
        assert!(error.len() > 30, "{wrong}: {error}");
    }
}

fn answer(status: u16) -> Answer {
    Answer { status, etag: Some("\"v1\"".to_owned()), ..Answer::default() }
}

#[test]
fn the_rest_of_a_file_goes_behind_what_is_here() {
    let rest = |range: &str| Answer { content_range: Some(range.to_owned()), ..answer(206) };
    let check = |answer: &Answer, etag: Option<&str>, total, expected: Next| {
        assert_eq!(decide(answer, 10, etag, total), expected, "{answer:?} {etag:?} {total:?}");
    };
    let v1 = Some("\"v1\"");
    check(&rest("bytes 10-99/100"), v1, Some(100), Next::Append { total: Some(100) });
    check(&rest("bytes 10-99/100"), None, None, Next::Append { total: Some(100) });
    check(&rest("bytes 10-99/*"), v1, Some(100), Next::Append { total: Some(100) });
    // Another version, another length, another place.
    check(&rest("bytes 10-99/100"), Some("\"v0\""), Some(100), Next::Anew);
    check(&rest("bytes 10-98/99"), v1, Some(100), Next::Anew);
    check(&rest("bytes 0-99/100"), v1, Some(100), Next::Anew);
    // A header that other pages may not see.
    let hidden = Answer { content_length: Some(90), ..answer(206) };
    check(&hidden, v1, None, Next::Append { total: Some(100) });
    // The whole instead of the rest.
    let whole = Answer { content_length: Some(100), ..answer(200) };
    check(&whole, v1, Some(100), Next::Whole { total: Some(100), why: NO_RANGES });
    check(&whole, Some("\"v0\""), Some(100), Next::Whole { total: Some(100), why: CHANGED });
    assert_eq!(decide(&whole, 0, None, None), Next::Whole { total: Some(100), why: "" });
    // Nothing is missing.
    let beyond = Answer { content_range: Some("bytes */10".to_owned()), ..answer(416) };
    check(&beyond, v1, None, Next::Finished);
    check(&answer(416), v1, Some(10), Next::Finished);
    check(&answer(416), v1, Some(100), Next::Anew);
}

#[test]
fn refusals_are_told_apart() {
    for (status, expected) in [
        (404, Next::Missing),
        (410, Next::Missing),
        (503, Next::Later),
        (522, Next::Later),
        (429, Next::Later),
        (403, Next::Refused),
    ] {
        assert_eq!(decide(&answer(status), 0, None, None), expected, "{status}");
    }
    // A server of single pages answers everything with its page.
    assert_eq!(decide(&Answer { html: true, ..answer(200) }, 0, None, None), Next::Missing);
    assert_eq!(vouched(Some(&format!("\"{}\"", "Ab".repeat(32)))), Some("ab".repeat(32)));
    assert_eq!(vouched(Some("\"3e1f-abc\"")), None);
    assert_eq!(vouched(None), None);
}

#[test]
fn a_large_file_in_one_piece_is_told_of() {
    let told = whole_in_memory("model.safetensors", Some(1_200_000_000)).expect("a large one");
    assert!(
        told.contains("all 1200 MB of model.safetensors") && told.contains("keep the model in the browser"),
        "{told}"
    );
    assert_eq!(whole_in_memory("model.safetensors", Some(88_000_000)), None);
    assert_eq!(whole_in_memory("model.safetensors", None), None);
}
