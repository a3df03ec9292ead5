//! The repository's rules as code: `cargo xtask <rule>`.
//!
//! A rule that is kept exits with 0; one that is broken prints a line per violation and exits with 1.

mod docs;
mod fuzz;
mod layers;
mod markdown;
mod mutants;
mod no_std;
mod process;
mod readme;
mod spec_map;
mod workspace;

use clap::{Parser, Subcommand};
use std::fmt::Display;
use std::process::ExitCode;

/// The repository's rules as code.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    rule: Rule,
}

#[derive(Subcommand)]
enum Rule {
    /// Dependencies between the crates point one way; the low crates stay small, `no_std` and safe
    Layers,
    /// Relative links in Markdown files resolve, and every page of the book is in its summary
    DocsCheck,
    /// The low crates compile without the standard library
    NoStd,
    /// Runs every fuzz target for a few seconds, starting from its kept seeds
    FuzzSmoke {
        /// Seconds per target
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// Writes the book's spec map: manual step, code, test
    SpecMap {
        /// Write nothing; fail if the page is out of date
        #[arg(long)]
        check: bool,
    },
    /// Makes single mutations of the code that translates, one after the other in a copy, and runs the tests on each
    Mutants {
        /// Only those whose description contains this
        #[arg(default_value = "")]
        only: String,
        /// Make none; fail if some can no longer be made
        #[arg(long)]
        check: bool,
    },
    /// Prints the cargo and emmu commands that the README shows, one a line
    ReadmeCommands,
}

fn main() -> ExitCode {
    match run(&Args::parse().rule) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether the rule is kept.
fn run(rule: &Rule) -> Result<bool, Error> {
    let root = workspace::root();
    Ok(match rule {
        Rule::Layers => report("layers", &layers::check(&workspace::load(&root)?)),
        Rule::DocsCheck => report("docs-check", &docs::check(&root)?),
        Rule::NoStd => no_std::build(&root)?,
        Rule::FuzzSmoke { seconds } => fuzz::smoke(&root, *seconds)?,
        Rule::SpecMap { check: true } => report("spec-map", &spec_map::check(&root)?),
        Rule::SpecMap { check: false } => report("spec-map", &spec_map::write(&root)?),
        Rule::Mutants { check: true, .. } => report("mutants", &mutants::check(&root)?),
        Rule::Mutants { only, .. } => mutants::run(&root, only)?,
        Rule::ReadmeCommands => {
            readme::commands(&root)?.iter().for_each(|command| println!("{command}"));
            true
        }
    })
}

fn report(rule: &str, violations: &[impl Display]) -> bool {
    for violation in violations {
        println!("{rule}: {violation}");
    }
    println!("{rule}: {}", if violations.is_empty() { "ok" } else { "BROKEN" });
    violations.is_empty()
}

/// Why a rule could not be checked at all.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{path}: {error}")]
    File { path: std::path::PathBuf, error: std::io::Error },
    #[error("{path}: {error}")]
    Toml { path: std::path::PathBuf, error: toml::de::Error },
    #[error("cargo metadata: {0}")]
    Metadata(#[from] cargo_metadata::Error),
    #[error("{program} does not start: {error}")]
    Start { program: String, error: std::io::Error },
}
