//! Other programs, run for their exit code or their output.

use crate::Error;
use std::process::{Command, Stdio};

/// Runs the command and shows its output. Returns true if the command succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool, Error> {
    println!("$ {}", spell(command));
    let status = command.stdin(Stdio::null()).status();
    status.map(|status| status.success()).map_err(|error| start(command, error))
}

/// Runs the command, and shows its output once it has ended. Returns true if the command succeeded.
pub(crate) fn succeeds_in_one_piece(command: &mut Command) -> Result<bool, Error> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| start(command, error))?;
    let texts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    println!("$ {}\n{}{}", spell(command), texts[0], texts[1]);
    Ok(output.status.success())
}

/// Runs the command and hides its output. Returns true if the command succeeded.
pub(crate) fn succeeds_quietly(command: &mut Command) -> Result<bool, Error> {
    command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
    command.status().map(|status| status.success()).map_err(|error| start(command, error))
}

/// Returns the output of the command, or `None` if the program is not installed or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn spell(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn start(command: &Command, error: std::io::Error) -> Error {
    Error::Start { program: command.get_program().to_string_lossy().into_owned(), error }
}
