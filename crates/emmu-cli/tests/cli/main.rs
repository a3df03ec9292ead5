//! The `emmu` command as its users meet it: real output, exit codes and messages.
#![expect(clippy::unwrap_used, reason = "a test")]

mod book;
mod check;
mod compare;
mod explain;
mod export;
mod heap;
mod help;
mod import;
mod machines;
mod readme;
mod sim;

use std::{
    io::Write,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

/// The exit code and the output of a run of `emmu`.
struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Starts `emmu` with these arguments, and with pipes on all sides.
fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_emmu"))
        .args(arguments)
        .env("COLUMNS", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs `emmu` with these arguments and this standard input, and returns what it left, which need not be text.
fn output_of(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = start(arguments);
    // A command that stops early closes its input; that is its right.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Runs `emmu` with these arguments and this standard input.
fn emmu_reading(arguments: &[&str], input: &[u8]) -> Run {
    output_of(arguments, input).into()
}

fn emmu(arguments: &[&str]) -> Run {
    emmu_reading(arguments, b"")
}

/// Returns the message of `emmu` for a wrong input. The exit code must be 2, standard output empty, and standard error
/// one line.
fn refusal(arguments: &[&str], input: &[u8]) -> String {
    let run = emmu_reading(arguments, input);
    assert_eq!(run.code, Some(2), "{}", run.err);
    assert_eq!(run.out, "", "no partial report");
    let line = run.err.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "one line: {line}");
    line.strip_prefix("emmu: ").unwrap().to_owned()
}

/// A file with this content in a folder that lives as long as the test.
fn file(name: &str, content: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

/// A small trace with every kind of record.
const LACKEY: &str = "\
==123== Lackey, an example Valgrind tool
I  04016b30,3
 L 1ffeffe7e0,8
I  04016b33,7
 S 1ffeffe7d8,8
I  04016b3a,4
 M 04228ffc,8
I  04016b3e,2
";

/// The report without its last line, which tells how fast it went here.
fn without_speed(report: &str) -> &str {
    let trimmed = report.trim_end();
    &trimmed[..trimmed.rfind('\n').unwrap()]
}
