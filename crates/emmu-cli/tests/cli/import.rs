//! `emmu import`.

use crate::{LACKEY, emmu, emmu_reading, file, output_of, refusal};
use emmu_trace::{Record, RecordSource, bundled, champsim::Instruction, open};
use std::{fs, io::Write, path::Path};

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
    assert_eq!(records(&fs::read(output).unwrap()), records(LACKEY.as_bytes()));
}

#[test]
fn a_window_is_cut_out() {
    let (folder, input) = file("t.txt", LACKEY);
    let output = folder.path().join("out.emt");
    let arguments =
        ["--skip", "2", "--limit", "3", input.to_str().unwrap(), output.to_str().unwrap()];
    assert_eq!(emmu(&[&["import"], &arguments[..]].concat()).code, Some(0));
    let cut = records(&fs::read(output).unwrap());
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
    let bytes = fs::read(second).unwrap();
    assert_eq!(open(&bytes[..]).unwrap().provenance(), Some("seven records"));
}

#[test]
fn the_command_that_valgrind_names_is_kept() {
    let (folder, input) = file("t.txt", format!("==1== Command: ls -l\n{LACKEY}"));
    let output = folder.path().join("out.emt");
    assert_eq!(emmu(&["import", input.to_str().unwrap(), output.to_str().unwrap()]).code, Some(0));
    let bytes = fs::read(output).unwrap();
    assert_eq!(open(&bytes[..]).unwrap().provenance(), Some("ls -l"));
}

#[test]
fn what_is_no_file_is_not_replaced() {
    let (folder, input) = file("t.txt", LACKEY);
    let output = folder.path().to_str().unwrap();
    let message = refusal(&["import", input.to_str().unwrap(), output], b"");
    assert_eq!(message, format!("{output}: cannot write: it is there already, and is no file"));
}

/// The arguments of `emmu import` from one file to another, and more.
fn import<'a>(input: &'a Path, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let [input, output] = [input, output].map(|path| path.to_str().unwrap());
    [&["import", input, output], more].concat()
}

#[test]
fn a_file_that_is_there_is_replaced_only_by_force() {
    let (folder, input) = file("t.txt", LACKEY);
    let output = folder.path().join("out.emt");
    fs::write(&output, "precious").unwrap();
    let message = refusal(&import(&input, &output, &[]), b"");
    let expected = "cannot write: it is there already; --force replaces it";
    assert_eq!(message, format!("{}: {expected}", output.display()));
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    assert_eq!(emmu(&import(&input, &output, &["--force"])).code, Some(0));
    assert_eq!(records(&fs::read(output).unwrap()), records(LACKEY.as_bytes()));
}

#[test]
fn the_input_is_replaced_only_by_force() {
    let (folder, input) = file("t.txt", LACKEY);
    let same = folder.path().join(".").join("t.txt");
    let message = refusal(&import(&input, &same, &[]), b"");
    assert!(message.ends_with("cannot write: it is the input; --force replaces it"), "{message}");
    assert_eq!(fs::read(&input).unwrap(), LACKEY.as_bytes());
    assert_eq!(emmu(&import(&input, &same, &["--force"])).code, Some(0));
    assert_eq!(records(&fs::read(input).unwrap()), records(LACKEY.as_bytes()));
}

#[test]
fn a_malformed_trace_replaces_nothing_even_by_force() {
    let (folder, input) = file("t.txt", format!("{LACKEY}nonsense\n"));
    let output = folder.path().join("out.emt");
    fs::write(&output, "precious").unwrap();
    refusal(&import(&input, &output, &["--force"]), b"");
    assert_eq!(fs::read(&output).unwrap(), b"precious");
}

#[test]
fn standard_output_gets_the_trace_and_standard_error_the_words() {
    let run = output_of(&["import", "-", "-"], LACKEY.as_bytes());
    assert_eq!(run.status.code(), Some(0));
    assert_eq!(records(&run.stdout), records(LACKEY.as_bytes()));
    let said = String::from_utf8(run.stderr).unwrap();
    let bytes = run.stdout.len();
    assert!(said.starts_with(&format!("standard output: 7 records in {bytes} bytes, ")), "{said}");
}

#[test]
fn what_the_program_printed_is_refused_with_a_hint_or_skipped_and_counted() {
    let printed =
        LACKEY.replace("I  04016b3e,2", "Hello, world!\n\nSB 04016b3e\nI  04016b3e,2  \nbye");
    let (folder, input) = file("t.txt", printed);
    let output = folder.path().join("out.emt");
    let message = refusal(&import(&input, &output, &[]), b"");
    let expected = r#"line 8: expected one of the letters I, L, S, M, found "Hello, world!""#;
    let hint = "--lenient skips lines that are not of the trace";
    assert_eq!(message, format!("{}: {expected}; {hint}", input.display()));
    let run = emmu(&import(&input, &output, &["--lenient"]));
    assert!(run.out.ends_with(" bytes a record; skipped 2 lines\n"), "{}", run.out);
    assert_eq!(records(&fs::read(output).unwrap()), records(LACKEY.as_bytes()));
}

#[test]
fn every_format_is_told_by_its_content_and_can_be_insisted_on() {
    let champsim = Instruction { ip: 0x400, source_memory: [8, 0, 0, 0], ..Default::default() };
    let inputs: [(&str, &[u8]); 4] = [
        ("lackey", b"I  400,1\n L 8,1\n"),
        ("dinero", b"i 400 1\nr 8 1\n"),
        ("csv", b"kind,address,size,pc\nload,8,1,0x400\n"),
        ("champsim", &champsim.to_bytes()),
    ];
    let expected = records(inputs[0].1);
    for (name, bytes) in inputs {
        for arguments in [&["import", "-", "-"][..], &["import", "-", "-", "--from", name]] {
            let run = output_of(arguments, bytes);
            assert_eq!(run.status.code(), Some(0), "{name}: {:?}", String::from_utf8(run.stderr));
            assert_eq!(records(&run.stdout), expected, "{name}");
        }
    }
    let native = output_of(&["import", "-", "-"], inputs[0].1).stdout;
    let again = output_of(&["import", "-", "-", "--from", "native"], &native).stdout;
    assert_eq!(records(&again), expected);
}

#[test]
fn a_doubtful_input_is_refused_with_the_option_that_decides() {
    let cases: [(&[&str], &[u8], &str); 6] = [
        (
            &[],
            b"0 10\nI  10,2\n",
            "expected a trace of one format, found dinero in line 1 and lackey in line 2; --from says which \
             format it has",
        ),
        (
            &[],
            b"Hello, world!\n",
            "expected a trace, native or of lackey, dinero, csv or champsim; found \"Hello, world!\"; --from \
             says which format it has",
        ),
        (
            &["--from", "native"],
            LACKEY.as_bytes(),
            r"byte 0: expected the magic bytes of a native trace, found ==123== ",
        ),
        (
            &[],
            b"BZh91AY&SY",
            "expected a trace, plain or compressed by gzip, xz or zstd; found a bzip2 file; decompress it first",
        ),
        (
            &[],
            b"PK\x03\x04",
            "expected a trace, plain or compressed by gzip, xz or zstd; found a ZIP archive; decompress it first",
        ),
        (
            &["--lenient"],
            bundled(),
            "expected lines to skip, found a native trace, which has none; leave --lenient out",
        ),
    ];
    for (arguments, input, expected) in cases {
        let arguments = [&["import", "-", "-"], arguments].concat();
        assert_eq!(refusal(&arguments, input), format!("standard input: {expected}"));
    }
}

#[cfg(unix)]
#[test]
fn an_interruption_leaves_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.emt");
    for signal in ["-INT", "-TERM"] {
        let mut child = crate::start(&["import", "-", output.to_str().unwrap()]);
        // The command waits for its input, which stays open, once it has begun its file.
        let input = child.stdin.take();
        while fs::read_dir(&folder).unwrap().count() == 0 {
            assert_eq!(child.try_wait().unwrap(), None, "it waits");
            std::thread::yield_now();
        }
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        drop(input);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{signal}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_new_files_have_the_rights_of_any_other() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (folder, input) = file("t.txt", LACKEY);
    let [real, link] = ["real.emt", "link.emt"].map(|name| folder.path().join(name));
    fs::write(&real, "").unwrap();
    symlink(&real, &link).unwrap();
    assert_eq!(emmu(&import(&input, &link, &["--force"])).code, Some(0));
    assert!(link.is_symlink());
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&real), mode(&input));
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_to_no_file_is_kept_even_by_force() {
    use std::os::unix::fs::symlink;
    let (folder, input) = file("t.txt", LACKEY);
    let link = folder.path().join("link.emt");
    for target in [folder.path().join("nothing").to_str().unwrap(), "/proc/self/fd/1"] {
        symlink(target, &link).unwrap();
        for more in [&[][..], &["--force"]] {
            let message = refusal(&import(&input, &link, more), b"");
            let expected = "cannot write: it is there already, and leads to no file";
            assert_eq!(message, format!("{}: {expected}", link.display()));
            assert!(link.is_symlink(), "{target}");
        }
        fs::remove_file(&link).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn an_output_that_cannot_be_made_is_named_alone() {
    let (folder, input) = file("t.txt", LACKEY);
    for (output, expected) in [
        ("none/x.emt", "No such file or directory (os error 2)"),
        ("t.txt/x.emt", "Not a directory (os error 20)"),
    ] {
        let output = folder.path().join(output);
        let message = refusal(&import(&input, &output, &[]), b"");
        assert_eq!(message, format!("{}: cannot write: {expected}", output.display()));
    }
}

#[test]
fn a_file_that_appears_meanwhile_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.emt");
    let mut child = crate::start(&["import", "-", output.to_str().unwrap()]);
    let mut input = child.stdin.take().unwrap();
    while fs::read_dir(&folder).unwrap().count() == 0 {
        assert_eq!(child.try_wait().unwrap(), None, "it waits for its input");
        std::thread::yield_now();
    }
    fs::write(&output, "precious").unwrap();
    input.write_all(LACKEY.as_bytes()).unwrap();
    drop(input);
    let run = crate::Run::from(child.wait_with_output().unwrap());
    let expected = "cannot write: it is there by now; --force replaces it";
    assert_eq!(run.err, format!("emmu: {}: {expected}\n", output.display()));
    assert_eq!((run.code, fs::read(&output).unwrap()), (Some(2), b"precious".to_vec()));
}

#[test]
fn one_record_is_told_as_one() {
    let one = emmu_reading(&["export", "-", "-", "--to", "csv"], b"I  400,1\n");
    assert!(one.err.starts_with("standard output: 1 record in "), "{}", one.err);
    let run = output_of(&["import", "-", "-"], b"I  400,1\n");
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(said.starts_with("standard output: 1 record in "), "{said}");
}

#[test]
fn a_malformed_trace_leaves_no_output_behind() {
    let (folder, input) = file("t.txt", format!("{LACKEY}nonsense\n"));
    let output = folder.path().join("out.emt");
    refusal(&["import", input.to_str().unwrap(), output.to_str().unwrap()], b"");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "only the input: {left:?}");
}
