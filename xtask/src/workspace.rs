//! The workspace as `cargo metadata` and the manifests tell it.

use crate::Error;
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::fs;
use std::path::{Path, PathBuf};

/// The packages that the rules are about.
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
    /// `[workspace.lints]` forbids unsafe code.
    pub(crate) forbids_unsafe: bool,
}

/// One package under `crates/`.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// `lib.rs` has the line `#![no_std]`.
    pub(crate) no_std: bool,
    /// The manifest takes its lints from the workspace.
    pub(crate) inherits_lints: bool,
}

/// One line of a dependency table.
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Only tests, examples and benches see it.
    pub(crate) dev: bool,
    /// It is in this repository.
    pub(crate) local: bool,
    /// It may bring in the standard library: default features, or one named `std`, are on.
    pub(crate) wants_std: bool,
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

pub(crate) fn load(root: &Path) -> Result<Graph, Error> {
    let manifest = root.join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(&manifest).no_deps().exec()?;
    let crates = root.join("crates");
    let packages = metadata.packages.iter();
    let packages = packages.filter(|package| package.manifest_path.starts_with(&crates));
    Ok(Graph {
        packages: packages.map(package).collect::<Result<_, _>>()?,
        forbids_unsafe: lint_is(&read_toml(&manifest)?, "unsafe_code", "forbid"),
    })
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error::File { path: path.to_path_buf(), error })
}

pub(crate) fn read_toml(path: &Path) -> Result<toml::Table, Error> {
    read(path)?.parse().map_err(|error| Error::Toml { path: path.to_path_buf(), error })
}

fn package(package: &cargo_metadata::Package) -> Result<Package, Error> {
    let manifest = read_toml(package.manifest_path.as_std_path())?;
    let inherits = |lints: &toml::Value| lints.get("workspace")?.as_bool();
    Ok(Package {
        name: package.name.to_string(),
        dependencies: package.dependencies.iter().map(dependency).collect(),
        no_std: is_no_std(package)?,
        inherits_lints: manifest.get("lints").and_then(inherits).unwrap_or(false),
    })
}

fn dependency(dependency: &cargo_metadata::Dependency) -> Dependency {
    Dependency {
        name: dependency.name.clone(),
        dev: dependency.kind == DependencyKind::Development,
        local: dependency.path.is_some(),
        wants_std: dependency.uses_default_features
            || dependency.features.iter().any(|feature| feature == "std"),
    }
}

fn is_no_std(package: &cargo_metadata::Package) -> Result<bool, Error> {
    let Some(library) = package.targets.iter().find(|target| target.is_lib()) else {
        return Ok(false);
    };
    let source = read(library.src_path.as_std_path())?;
    Ok(source.lines().any(|line| line.trim() == "#![no_std]"))
}

fn lint_is(manifest: &toml::Table, lint: &str, level: &str) -> bool {
    let mut keys = ["lints", "rust", lint].into_iter();
    let found = manifest.get("workspace").and_then(|top| keys.try_fold(top, |at, key| at.get(key)));
    found.and_then(toml::Value::as_str) == Some(level)
}
