//! The public API of the crates that an embedder names is written down, so that a change of it is seen and meant.

use crate::process::{output, succeeds};
use crate::{Error, report, workspace};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates whose API is written down, in `docs/api`.
const CRATES: &[&str] = &[
    "emmu",
    "emmu-core",
    "emmu-memory",
    "emmu-base-bounds",
    "emmu-segmentation",
    "emmu-paging",
    "emmu-cpu",
];

/// Compares the API of each crate with `docs/api`, or writes it there. Returns true if nothing differs.
///
/// Only a nightly toolchain prints an API as data. Where none is installed, or its data are of another format than those
/// that the crate `public-api` reads, the rule says so and holds.
pub(crate) fn run(root: &Path, update: bool) -> Result<bool, Error> {
    if output(Command::new("cargo").args(["+nightly", "--version"])).is_none() {
        return Ok(skipped("no nightly toolchain is installed"));
    }
    let mut violations = Vec::new();
    for name in CRATES {
        let Some(json) = document(root, name)? else { return Ok(false) };
        let Some(api) = read(&json) else {
            return Ok(skipped("this nightly toolchain writes another format"));
        };
        let file = root.join(format!("docs/api/{name}.txt"));
        if update {
            fs::write(&file, api).map_err(|error| Error::File { path: file, error })?;
        } else {
            violations.extend(differences(name, &workspace::read(&file)?, &api));
        }
    }
    Ok(report("public-api", &violations))
}

fn skipped(why: &str) -> bool {
    println!("public-api: SKIPPED: {why}");
    true
}

/// Lets rustdoc write the API of a crate, and returns the file; `None` if the crate does not compile.
fn document(root: &Path, name: &str) -> Result<Option<PathBuf>, Error> {
    let target = root.join("target/public-api");
    let mut command = Command::new("cargo");
    command.args(["+nightly", "rustdoc", "--locked", "--quiet", "--lib", "-p", name, "--"]);
    command.args(["-Z", "unstable-options", "--output-format", "json"]);
    command.current_dir(root).env("CARGO_TARGET_DIR", &target);
    // What is documented is not run.
    command.env("CARGO_PROFILE_DEV_OPT_LEVEL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
    let json = target.join("doc").join(name.replace('-', "_")).with_extension("json");
    Ok(succeeds(&mut command)?.then_some(json))
}

/// Returns the API, one item a line, without what follows from other lines.
fn read(json: &Path) -> Option<String> {
    let builder = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true);
    builder.build().ok().map(|api| format!("{api}"))
}

/// Returns the lines that are gone and those that are new.
fn differences(name: &str, written: &str, found: &str) -> Vec<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (written, found) = (lines(written), lines(found));
    let gone = written.difference(&found).map(|line| format!("{name}: gone: {line}"));
    let new = found.difference(&written).map(|line| format!("{name}: new: {line}"));
    let mut differences: Vec<_> = gone.chain(new).collect();
    if !differences.is_empty() {
        differences.push(format!(
            "{name}: say in CHANGELOG.md what users notice, then cargo xtask public-api --update"
        ));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_and_what_is_new_is_named() {
        let written = "pub mod a\npub fn a::old()\n";
        assert_eq!(differences("a", written, written), [""; 0]);
        let lines = differences("a", written, "pub mod a\npub fn a::new()\n");
        assert_eq!(lines[..2], ["a: gone: pub fn a::old()", "a: new: pub fn a::new()"]);
    }

    #[test]
    fn every_crate_has_its_api_written_down() {
        for name in CRATES {
            let file = workspace::root().join(format!("docs/api/{name}.txt"));
            let api = workspace::read(&file).unwrap();
            let module = format!("pub mod {}\n", name.replace('-', "_"));
            assert!(api.starts_with(&module), "{name}");
        }
    }
}
