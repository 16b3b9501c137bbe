//! Names and contents of the files that the page hands out.

/// A name for a file: words with dashes between.
pub(crate) fn file_name(words: &str, ending: &str) -> String {
    let parts = words.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    format!("{}.{ending}", parts.collect::<Vec<_>>().join("-").to_lowercase())
}

/// Planes of patches as comma-separated values, a line a patch; rows and columns count from 1, as people do.
pub(crate) fn grid_csv([_, columns]: [usize; 2], channels: &[String], planes: &[Vec<f32>]) -> String {
    let head = ["row".to_owned(), "column".to_owned()].into_iter().chain(channels.iter().cloned());
    let mut lines = vec![head.collect::<Vec<_>>().join(",")];
    for patch in 0..planes.first().map_or(0, Vec::len) {
        let place = [patch / columns.max(1) + 1, patch % columns.max(1) + 1].map(|count| count.to_string());
        let values = planes.iter().map(|plane| plane[patch].to_string());
        lines.push(place.into_iter().chain(values).collect::<Vec<_>>().join(","));
    }
    lines.join("\n") + "\n"
}

/// Lines of a table as comma-separated values; what holds a comma, a quote or a new line stands in quotes (RFC 4180). A name
/// that a spreadsheet would take for a formula gets an apostrophe before it: names come in links, from anybody.
pub(crate) fn table(head: &[String], lines: &[Vec<String>]) -> String {
    let cell = |text: &String| {
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
        let text = if formula { format!("'{text}") } else { text.clone() };
        match text.contains([',', '"', '\n', '\r']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text,
        }
    };
    let line = |cells: &[String]| cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\n";
    line(head) + &lines.iter().map(|cells| line(cells)).collect::<String>()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(
            file_name("Cosine with the patch in row 3, column 5", "png"),
            "cosine-with-the-patch-in-row-3-column-5.png"
        );
        assert_eq!(file_name("../Ünter & co", "csv"), "ünter-co.csv");
    }

    #[test]
    fn words_with_commas_stand_in_quotes() {
        let text = table(&["a".into(), "b".into()], &[vec!["1".into(), "say \"x, y\"".into()]]);
        assert_eq!(text, "a,b\n1,\"say \"\"x, y\"\"\"\n");
    }

    #[test]
    fn a_name_is_no_formula() {
        let names = ["=HYPERLINK(\"x\")", "+1 day", "-0.5", "@sum", "a=b"].map(str::to_owned);
        assert_eq!(table(&names, &[]), "\"'=HYPERLINK(\"\"x\"\")\",'+1 day,-0.5,'@sum,a=b\n");
    }

    #[test]
    fn a_line_a_patch() {
        let text = grid_csv([2, 2], &["a".into(), "b".into()], &[vec![0.5, 1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0, 7.5]]);
        assert_eq!(text, "row,column,a,b\n1,1,0.5,4\n1,2,1,5\n2,1,2,6\n2,2,3,7.5\n");
        assert_eq!(grid_csv([0, 0], &[], &[]), "row,column\n");
    }
}
