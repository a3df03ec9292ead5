//! A short run of every fuzz target.

use crate::process::{output, succeeds, succeeds_in_one_piece};
use crate::{Error, workspace};
use std::fs;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Builds all targets, and runs each for `seconds`. Returns true if all came through. Says so and passes where the
/// machine has no nightly toolchain or no cargo-fuzz.
pub(crate) fn smoke(root: &Path, seconds: u32) -> Result<bool, Error> {
    if let Some(missing) = missing() {
        println!("fuzz-smoke: SKIPPED: {missing}");
        return Ok(true);
    }
    let mut build = cargo_fuzz(root, "build");
    if !succeeds(&mut build)? {
        println!("fuzz-smoke: BROKEN: the targets do not build");
        return Ok(false);
    }
    let targets = targets(&workspace::read_toml(&root.join("fuzz/Cargo.toml"))?);
    let failed = run_all(root, &targets, seconds)?;
    match failed.as_slice() {
        [] => println!("fuzz-smoke: ok, {} targets, {seconds} s each", targets.len()),
        failed => println!("fuzz-smoke: BROKEN: {}", failed.join(", ")),
    }
    Ok(failed.is_empty())
}

/// Runs the targets, as many at a time as there are processors. Returns those that failed.
fn run_all(root: &Path, targets: &[String], seconds: u32) -> Result<Vec<String>, Error> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let queue = Mutex::new(targets.iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || run_each(root, std::iter::from_fn(next), seconds);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let failed =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|p| resume_unwind(p)));
        Ok(failed.collect::<Result<Vec<_>, _>>()?.concat())
    })
}

/// Runs one target after the other. Returns those that failed.
fn run_each<'a>(
    root: &Path,
    targets: impl Iterator<Item = &'a String>,
    seconds: u32,
) -> Result<Vec<String>, Error> {
    let mut failed = Vec::new();
    for target in targets {
        if !run(root, target, seconds)? {
            failed.push(target.clone());
        }
    }
    Ok(failed)
}

/// Without the address sanitizer: there is no `unsafe` for it to watch, and it halves the speed.
fn cargo_fuzz(root: &Path, what: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz", what, "--sanitizer=none"]).current_dir(root);
    command
}

/// Returns the reason why this machine cannot fuzz, if there is one.
fn missing() -> Option<&'static str> {
    if output(Command::new("cargo").args(["+nightly", "--version"])).is_none() {
        return Some("libFuzzer needs a nightly toolchain, and none is installed");
    }
    let fuzz = output(Command::new("cargo").args(["fuzz", "--version"]));
    fuzz.is_none().then_some("cargo-fuzz is not installed: `cargo install cargo-fuzz`")
}

fn targets(manifest: &toml::Table) -> Vec<String> {
    let bins = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    bins.filter_map(|bin| Some(bin.get("name")?.as_str()?.to_owned())).collect()
}

/// Runs one target. What the fuzzer finds goes to `fuzz/corpus`, which git ignores; the kept seeds are only read.
fn run(root: &Path, target: &str, seconds: u32) -> Result<bool, Error> {
    let corpus = root.join("fuzz/corpus").join(target);
    fs::create_dir_all(&corpus).map_err(|error| Error::File { path: corpus.clone(), error })?;
    let mut command = cargo_fuzz(root, "run");
    command.arg(target).arg(&corpus);
    let seeds = root.join("fuzz/seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    command.args([
        "--",
        "-verbosity=0",
        "-print_final_stats=1",
        "-timeout=10",
        "-rss_limit_mb=2048",
    ]);
    succeeds_in_one_piece(command.arg(format!("-max_total_time={seconds}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_binaries_of_the_fuzz_package() {
        let manifest = "[[bin]]\nname = \"lackey\"\n[[bin]]\nname = \"native\"\n".parse().unwrap();
        assert_eq!(targets(&manifest), ["lackey", "native"]);
    }

    #[test]
    fn every_target_has_kept_seeds_and_all_seeds_a_target() {
        let fuzz = workspace::root().join("fuzz");
        let mut targets = targets(&workspace::read_toml(&fuzz.join("Cargo.toml")).unwrap());
        let seeds = fs::read_dir(fuzz.join("seeds")).unwrap();
        let mut seeds: Vec<_> =
            seeds.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        targets.sort();
        seeds.sort();
        assert_eq!(targets, seeds);
    }
}
