//! Mutations of the code that translates, to judge the tests by: each changes one thing, and some test must fail.

use crate::{Error, process};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The list, from the top of the repository.
const LIST: &str = "docs/mutants.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// The folder that files are in.
    source: String,
    mutant: Vec<Mutant>,
}

/// One mutation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    /// The effect of the mutation.
    what: String,
    file: String,
    /// The text that is replaced, and occurs once.
    from: String,
    to: String,
    /// The reason why no test can notice it.
    survives: Option<String>,
}

/// The arguments of cargo for the tests. They run in this order, until one fails.
const SUITES: [&[&str]; 2] = [
    &["test", "--quiet", "-p", "emmu-paging", "--lib", "--tests"],
    &[
        "test",
        "--quiet",
        "-p",
        "emmu-verify",
        "--test",
        "verify",
        "--",
        "differential::",
        "coherence::",
    ],
];

impl List {
    fn read(root: &Path) -> Result<Self, Error> {
        let text = read(&root.join(LIST))?;
        toml::from_str(&text).map_err(|error| Error::Toml { path: LIST.into(), error })
    }

    fn path(&self, root: &Path, mutant: &Mutant) -> PathBuf {
        root.join(&self.source).join(&mutant.file)
    }
}

/// Mutations whose text is not found exactly once, so that they can no longer be made.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, Error> {
    let list = List::read(root)?;
    let mut violations = Vec::new();
    for mutant in &list.mutant {
        let text = read(&list.path(root, mutant))?;
        let places = text.matches(mutant.from.as_str()).count();
        if places != 1 {
            let Mutant { what, file, .. } = mutant;
            violations.push(format!("{LIST}: \"{what}\": found {places} times in {file}"));
        }
    }
    Ok(violations)
}

/// Makes each mutation whose description contains `only` in a copy of the workspace, and runs the tests on it.
/// Returns whether at least 95 of 100 were killed and every survivor has its reason.
pub(crate) fn run(root: &Path, only: &str) -> Result<bool, Error> {
    let list = List::read(root)?;
    let copy = root.join("target/mutants/workspace");
    copy_workspace(root, &copy)?;
    let chosen: Vec<_> = list.mutant.iter().filter(|mutant| mutant.what.contains(only)).collect();
    let (mut killed, mut unexplained) = (0, 0);
    for mutant in &chosen {
        let path = list.path(&copy, mutant);
        let sound = read(&path)?;
        write(&path, sound.replacen(&mutant.from, &mutant.to, 1).as_bytes())?;
        let verdict = verdict(&copy)?;
        write(&path, sound.as_bytes())?;
        match (verdict, &mutant.survives) {
            (Verdict::Killed, _) => killed += 1,
            (Verdict::Survived, None) => unexplained += 1,
            _ => {}
        }
        let reason = mutant.survives.as_deref().unwrap_or("");
        println!("{verdict:?}: {} ({}) {reason}", mutant.what, mutant.file);
    }
    println!("{killed} of {} killed, {unexplained} survive without a reason", chosen.len());
    Ok(unexplained == 0 && killed * 100 >= chosen.len() * 95)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Killed,
    Survived,
    /// The mutant does not compile, so that it shows nothing.
    Unviable,
}

fn verdict(copy: &Path) -> Result<Verdict, Error> {
    for suite in SUITES {
        if !cargo(copy, suite, &["--no-run"])? {
            return Ok(Verdict::Unviable);
        }
        if !cargo(copy, suite, &[])? {
            return Ok(Verdict::Killed);
        }
    }
    Ok(Verdict::Survived)
}

/// Runs cargo in the copy. Returns true if it succeeds. A mutant that never ends counts as killed.
fn cargo(copy: &Path, arguments: &[&str], more: &[&str]) -> Result<bool, Error> {
    let mut command = Command::new("timeout");
    command.args(["600", "cargo"]).args(arguments).args(more).current_dir(copy);
    command.env("CARGO_TARGET_DIR", copy.with_file_name("target"));
    command.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
    process::succeeds_quietly(&mut command)
}

/// Copies the files that git knows.
fn copy_workspace(root: &Path, copy: &Path) -> Result<(), Error> {
    let listed = process::output(Command::new("git").args(["ls-files"]).current_dir(root));
    for name in listed.unwrap_or_default().lines() {
        let (from, to) = (root.join(name), copy.join(name));
        let Ok(text) = fs::read(&from) else { continue };
        // A file that has not changed keeps its time, so that little is compiled anew.
        if fs::read(&to).is_ok_and(|held| held == text) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|error| file(folder, error))?;
        }
        write(&to, &text)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| file(path, error))
}

fn write(path: &Path, text: &[u8]) -> Result<(), Error> {
    fs::write(path, text).map_err(|error| file(path, error))
}

fn file(path: &Path, error: std::io::Error) -> Error {
    Error::File { path: path.to_path_buf(), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_can_still_be_made() {
        let violations = check(&crate::workspace::root()).unwrap();
        assert!(violations.is_empty(), "{violations:#?}");
    }

    #[test]
    fn there_are_at_least_sixty_mutations() {
        let list = List::read(&crate::workspace::root()).unwrap();
        assert!(list.mutant.len() >= 60, "{}", list.mutant.len());
        let unexplained = list.mutant.iter().filter(|mutant| mutant.survives.is_none()).count();
        assert!(unexplained * 100 >= list.mutant.len() * 95);
    }
}
