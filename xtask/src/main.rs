//! The repository's rules as code: `cargo xtask <rule>`.
//!
//! A rule that is kept exits with 0; one that is broken prints a line per violation and exits with 1.

mod docs;
mod features;
mod fuzz;
mod layers;
mod markdown;
mod mutants;
mod no_std;
mod package;
mod pictures;
mod places;
mod plain_words;
mod process;
mod public_api;
mod readme;
mod samples;
mod spec_map;
mod workspace;

use clap::{Parser, Subcommand};
use std::fmt::Display;
use std::path::{Path, PathBuf};
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
    /// Links resolve, book and pictures are up to date, and no crate has more unplain doc lines than it had
    DocsCheck {
        /// Lower the numbers in docs/plain-words.toml to those of today
        #[arg(long)]
        update: bool,
    },
    /// Draws the pictures of the book from their sources
    Pictures,
    /// The facade compiles with each useful set of its features, and by default depends on little
    Features,
    /// The low crates compile without the standard library
    NoStd,
    /// Every public crate can be packaged, and the packages compile by themselves
    Package,
    /// The public API of the crates that an embedder names is the one that docs/api has
    PublicApi {
        /// Write it to docs/api
        #[arg(long)]
        update: bool,
    },
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
    /// Draws the samples of emmu-vectors from files of vectors
    SampleVectors {
        /// The folder with `translation` and `textbook`
        #[arg(default_value = "../shared/vectors")]
        source: PathBuf,
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

/// Checks the rule, or does what it asks for. Returns true if the rule is kept.
fn run(rule: &Rule) -> Result<bool, Error> {
    let root = workspace::root();
    Ok(match rule {
        Rule::Layers => report("layers", &layers::check(&workspace::load(&root)?)),
        Rule::DocsCheck { update } => report("docs-check", &check_docs(&root, *update)?),
        Rule::Pictures => {
            pictures::write(&root)?;
            true
        }
        Rule::Features => features::check(&root)?,
        Rule::NoStd => no_std::build(&root)?,
        Rule::Package => package::check(&root)?,
        Rule::PublicApi { update } => public_api::run(&root, *update)?,
        Rule::FuzzSmoke { seconds } => fuzz::smoke(&root, *seconds)?,
        Rule::SpecMap { check: true } => report("spec-map", &spec_map::check(&root)?),
        Rule::SpecMap { check: false } => report("spec-map", &spec_map::write(&root)?),
        Rule::Mutants { check: true, .. } => report("mutants", &mutants::check(&root)?),
        Rule::Mutants { only, .. } => mutants::run(&root, only)?,
        Rule::SampleVectors { source } => samples::draw(&root, &root.join(source))?,
        Rule::ReadmeCommands => {
            readme::commands(&root)?.iter().for_each(|command| println!("{command}"));
            true
        }
    })
}

/// Checks links, pages, the functions that they name, pictures and plain words. Prints where a number of [`plain_words`] can fall, or writes it.
fn check_docs(root: &Path, update: bool) -> Result<Vec<String>, Error> {
    let mut violations: Vec<_> = docs::check(root)?.iter().map(ToString::to_string).collect();
    if update && let Some((allowed, found)) = plain_words::update(root)? {
        violations.push(format!("{found} unplain doc lines in all, {allowed} allowed"));
    }
    violations.extend(places::check(root)?);
    violations.extend(pictures::check(root)?);
    let (rises, falls) = plain_words::check(root)?;
    falls.iter().for_each(|fall| println!("docs-check: {fall}"));
    violations.extend(rises.iter().map(ToString::to_string));
    Ok(violations)
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
    File { path: PathBuf, error: std::io::Error },
    #[error("{path}: {error}")]
    Toml { path: PathBuf, error: toml::de::Error },
    #[error("{path}:{line}: {problem}")]
    Picture { path: PathBuf, line: usize, problem: String },
    #[error("cargo metadata: {0}")]
    Metadata(#[from] cargo_metadata::Error),
    #[error("{path} cannot be unpacked")]
    Unpack { path: PathBuf },
    #[error("{program} does not start: {error}")]
    Start { program: String, error: std::io::Error },
}
