//! The `emmu` command.
//!
//! Exit codes: 0 all is well; 1 `emmu check` found a mismatch; 2 anything that could not be done, with one
//! message on standard error that says what and where; 130 the user interrupted a command that was writing a file.

mod args;
mod check;
mod compare;
mod completions;
mod explain;
mod export;
mod heap;
mod help;
mod import;
mod machines;
mod man;
mod number;
mod output;
mod progress;
mod sim;
mod target;
mod trace;

use anyhow::Result;
use args::{Arguments, Command};
use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let command = arguments.command.unwrap_or_else(|| Command::Sim(sim::Sim::default()));
    let mut out = BufWriter::new(io::stdout().lock());
    let done = run(&command, &mut out).and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match done {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("emmu: {}", message(&error));
            ExitCode::from(2)
        }
    }
}

fn run(command: &Command, out: &mut impl Write) -> Result<ExitCode> {
    match command {
        Command::Sim(arguments) => sim::run(arguments, out)?,
        Command::Import(arguments) => import::run(arguments, out)?,
        Command::Export(arguments) => export::run(arguments, out)?,
        Command::Heap(arguments) => heap::run(arguments, out)?,
        Command::Machines(arguments) => machines::run(arguments, out)?,
        Command::Compare(arguments) => compare::run(arguments, out)?,
        Command::Explain(arguments) => explain::run(arguments, out)?,
        Command::Completions(arguments) => completions::run(arguments, out)?,
        Command::Man(arguments) => man::run(arguments, out)?,
        Command::Check(arguments) if !check::run(arguments, out)? => return Ok(ExitCode::FAILURE),
        Command::Check(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the error and its causes, the outermost first. A cause that its effect already names is not repeated.
fn message(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        told if told.ends_with(&cause) => told.to_owned(),
        told => format!("{told}: {cause}"),
    })
}

/// Returns true if the reader of the output has closed it (`emmu … | head`), which is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let of_io = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(of_io)
}
