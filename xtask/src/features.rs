//! The facade compiles with each useful set of its features, and by default depends on little.

use crate::process::{output, succeeds};
use crate::{Error, report};
use std::path::Path;
use std::process::Command;

/// The sets of features that are compiled: nothing, each feature that can stand alone, snapshots of units, and everything.
const SETS: &[&str] = &[
    "",
    "base-bounds",
    "segmentation",
    "paging",
    "cpu,memory",
    "heap",
    "os",
    "sanitizer",
    "serde",
    "serde,default",
    "timing",
    "trace",
    "vectors",
    "sim,heap,os,sanitizer,serde,vectors,default",
];

/// The crates that the facade may bring in by default, besides those of this repository. No reader of files is
/// among them.
const BY_DEFAULT: &[&str] = &[
    "bitflags",
    "foldhash",
    "hashbrown",
    "rand",
    "rand_core",
    "rand_xoshiro",
    "thiserror",
    // The derive macro of thiserror, which runs at compile time.
    "proc-macro2",
    "quote",
    "syn",
    "thiserror-impl",
    "unicode-ident",
];

/// Returns true if the facade depends by default on nothing else, and each set of features compiles.
pub(crate) fn check(root: &Path) -> Result<bool, Error> {
    let mut ok = report("features", &unexpected(&default_dependencies(root)));
    for set in SETS {
        ok &= compiles(root, set)?;
    }
    Ok(ok)
}

fn compiles(root: &Path, set: &str) -> Result<bool, Error> {
    let arguments = ["check", "--locked", "-p", "emmu", "--no-default-features", "--features", set];
    succeeds(Command::new("cargo").args(arguments).current_dir(root))
}

/// Returns the names of all crates that the facade brings in by default, or nothing if cargo does not tell.
fn default_dependencies(root: &Path) -> String {
    let tree = ["tree", "--locked", "-p", "emmu", "-e", "normal", "--prefix", "none"];
    output(Command::new("cargo").args(tree).current_dir(root)).unwrap_or_default()
}

/// Returns the violations of the rule by what `cargo tree` prints: one crate a line, its name first.
fn unexpected(tree: &str) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    let is_own = |name: &str| name == "emmu" || name.starts_with("emmu-");
    let mut foreign: Vec<_> =
        names.clone().filter(|name| !is_own(name) && !BY_DEFAULT.contains(name)).collect();
    foreign.sort_unstable();
    foreign.dedup();
    let mut violations: Vec<_> = foreign
        .into_iter()
        .map(|name| format!("emmu must not depend on {name} by default: put it behind a feature"))
        .collect();
    if names.count() == 0 {
        violations.push("cargo tree lists no dependencies of emmu".to_owned());
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn a_reader_of_files_is_unexpected() {
        let tree = "emmu v0.1.0 (/somewhere)\nemmu-core v0.1.0\ntoml v1.2.0\nbitflags v2.13.2\ntoml v1.2.0 (*)\n";
        assert_eq!(
            unexpected(tree),
            ["emmu must not depend on toml by default: put it behind a feature"]
        );
    }

    #[test]
    fn no_list_of_dependencies_is_no_proof() {
        assert_eq!(unexpected(""), ["cargo tree lists no dependencies of emmu"]);
    }

    #[test]
    fn the_real_facade_depends_on_little_by_default() {
        let tree = default_dependencies(&workspace::root());
        assert!(tree.contains("emmu-paging"), "{tree}");
        assert_eq!(unexpected(&tree), [""; 0]);
    }
}
