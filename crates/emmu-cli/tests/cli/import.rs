//! `emmu import`.

use crate::{LACKEY, emmu, emmu_reading, file, refusal};
use emmu_trace::{Record, RecordSource, open};

fn records(bytes: &[u8]) -> Vec<Record> {
    open(bytes).unwrap().records().map(Result::unwrap).collect()
}

#[test]
fn an_imported_trace_holds_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.emt");
    let run = emmu_reading(&["import", "-", output.to_str().unwrap()], LACKEY.as_bytes());
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains(": 7 records in "), "{}", run.out);
    assert_eq!(records(&std::fs::read(output).unwrap()), records(LACKEY.as_bytes()));
}

#[test]
fn a_window_is_cut_out() {
    let (folder, input) = file("t.txt", LACKEY);
    let output = folder.path().join("out.emt");
    let arguments =
        ["--skip", "2", "--limit", "3", input.to_str().unwrap(), output.to_str().unwrap()];
    assert_eq!(emmu(&[&["import"], &arguments[..]].concat()).code, Some(0));
    let cut = records(&std::fs::read(output).unwrap());
    assert_eq!(cut, records(LACKEY.as_bytes())[2..5]);
}

#[test]
fn provenance_is_kept() {
    let (folder, input) = file("t.txt", LACKEY);
    let (first, second) = (folder.path().join("1.emt"), folder.path().join("2.emt"));
    let (input, first, second) =
        (input.to_str().unwrap(), first.to_str().unwrap(), second.to_str().unwrap());
    assert_eq!(emmu(&["import", input, first, "--provenance", "seven records"]).code, Some(0));
    assert_eq!(emmu(&["import", first, second]).code, Some(0));
    let bytes = std::fs::read(second).unwrap();
    assert_eq!(open(&bytes[..]).unwrap().provenance(), Some("seven records"));
}

#[test]
fn the_command_that_valgrind_names_is_kept() {
    let (folder, input) = file("t.txt", format!("==1== Command: ls -l\n{LACKEY}"));
    let output = folder.path().join("out.emt");
    assert_eq!(emmu(&["import", input.to_str().unwrap(), output.to_str().unwrap()]).code, Some(0));
    let bytes = std::fs::read(output).unwrap();
    assert_eq!(open(&bytes[..]).unwrap().provenance(), Some("ls -l"));
}

#[test]
fn what_is_no_file_is_not_replaced() {
    let (folder, input) = file("t.txt", LACKEY);
    let output = folder.path().to_str().unwrap();
    let message = refusal(&["import", input.to_str().unwrap(), output], b"");
    assert_eq!(message, format!("{output}: cannot write: it is there already, and is no file"));
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_new_files_have_the_rights_of_any_other() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (folder, input) = file("t.txt", LACKEY);
    let [real, link] = ["real.emt", "link.emt"].map(|name| folder.path().join(name));
    std::fs::write(&real, "").unwrap();
    symlink(&real, &link).unwrap();
    assert_eq!(emmu(&["import", input.to_str().unwrap(), link.to_str().unwrap()]).code, Some(0));
    assert!(link.is_symlink());
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&real), mode(&input));
}

#[test]
fn a_malformed_trace_leaves_no_output_behind() {
    let (folder, input) = file("t.txt", format!("{LACKEY}nonsense\n"));
    let output = folder.path().join("out.emt");
    refusal(&["import", input.to_str().unwrap(), output.to_str().unwrap()], b"");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the input: {left:?}");
}
