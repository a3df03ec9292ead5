//! `emmu export`.

use crate::{LACKEY, emmu, emmu_reading, file, output_of, refusal};
use emmu_trace::{ContentHash, RecordSource, open};
use std::fs;

/// The hash of the records of a trace.
fn hash(bytes: &[u8]) -> ContentHash {
    let mut trace = open(bytes).unwrap();
    while trace.next_chunk().unwrap().is_some() {}
    trace.content_hash().unwrap()
}

#[test]
fn a_trace_is_written_as_csv() {
    let run = emmu_reading(&["export", "-", "-", "--to", "csv"], LACKEY.as_bytes());
    assert_eq!(run.err, "standard output: 7 records in 150 bytes\n");
    insta::assert_snapshot!(run.out);
}

#[test]
fn a_trace_is_written_as_lackeys_text() {
    let dinero = b"2 400123\nr 7ffe1000 8\nw 7ffe1008 10\n";
    let run = emmu_reading(&["export", "-", "-", "--to", "lackey"], dinero);
    insta::assert_snapshot!(run.out);
}

#[test]
fn what_is_exported_can_be_imported_and_is_the_same_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [native, again] = ["1.emt", "2.emt"].map(path);
    let bundled = emmu_trace::bundled();
    let cut = output_of(&["import", "-", "-", "--limit", "100000"], bundled);
    fs::write(&native, &cut.stdout).unwrap();
    for format in ["lackey", "csv"] {
        let text = path(format);
        let run = emmu(&["export", &native, &text, "--to", format]);
        assert!(run.out.starts_with(&format!("{text}: 100000 records in ")), "{}", run.out);
        assert_eq!(emmu(&["import", &text, &again, "--force"]).code, Some(0));
        assert_eq!(hash(&fs::read(&again).unwrap()), hash(&cut.stdout), "{format}");
    }
}

#[test]
fn lackeys_text_keeps_the_provenance() {
    let native =
        output_of(&["import", "-", "-", "--provenance", "seven\nrecords"], LACKEY.as_bytes());
    let text = output_of(&["export", "-", "-", "--to", "lackey"], &native.stdout);
    let again = output_of(&["import", "-", "-"], &text.stdout);
    assert_eq!(open(&again.stdout[..]).unwrap().provenance(), Some("seven records"));
}

#[test]
fn a_window_is_cut_out() {
    let arguments = ["export", "-", "-", "--to", "csv", "--skip", "2", "--limit", "1"];
    let run = emmu_reading(&arguments, LACKEY.as_bytes());
    assert_eq!(run.out, "kind,address,size\nfetch,0x4016b33,7\n");
}

#[test]
fn an_export_of_nothing_or_onto_a_file_is_refused() {
    let (folder, input) = file("t.txt", LACKEY);
    let input = input.to_str().unwrap();
    let output = folder.path().join("out.csv");
    let output = output.to_str().unwrap();
    let message = refusal(&["export", input, output, "--to", "csv", "--skip", "7"], b"");
    assert_eq!(message, format!("{input}: no references are left to write"));
    let message = refusal(&["export", input, input, "--to", "csv"], b"");
    assert_eq!(message, format!("{input}: cannot write: it is the input; --force replaces it"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only the input");
}

#[test]
fn a_format_must_be_named() {
    let run = emmu(&["export", "-", "-"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("--to <FORMAT>"), "{}", run.err);
}
