//! Every crate that is meant for crates.io can be packaged, and the packages compile without this repository around them.

use crate::process::succeeds;
use crate::{Error, report, workspace};
use cargo_metadata::{MetadataCommand, Package};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The largest package that crates.io takes, in bytes.
const MAX_BYTES: u64 = 10 << 20;

/// Packages all crates, and compiles the packages in a workspace of their own, where each takes its siblings from their
/// packages. Returns true if that succeeds and each package has what crates.io asks for.
///
/// `cargo package` would compile them one after the other and with optimisation; that takes minutes.
pub(crate) fn check(root: &Path) -> Result<bool, Error> {
    let manifest = root.join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(&manifest).no_deps().exec()?;
    let packages: Vec<_> = metadata.packages.iter().filter(|package| is_public(package)).collect();
    if !pack(root, &packages)? {
        return Ok(false);
    }
    let made = metadata.target_directory.as_std_path().join("package");
    let violations = violations(&packages, &made)?;
    let ok = report("package", &violations);
    Ok(ok && compile(root, &packages, &made)?)
}

fn is_public(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

/// Makes the packages. They may differ from the last commit: they are not published.
fn pack(root: &Path, packages: &[&Package]) -> Result<bool, Error> {
    let mut command = Command::new("cargo");
    command.args(["package", "--locked", "--no-verify", "--allow-dirty", "--quiet"]);
    command.args(packages.iter().flat_map(|package| ["-p", &package.name]));
    succeeds(command.current_dir(root))
}

/// Returns what is missing or too large in each package.
fn violations(packages: &[&Package], made: &Path) -> Result<Vec<String>, Error> {
    let mut violations = Vec::new();
    for package in packages {
        let path = made.join(file_name(package));
        let file = fs::metadata(&path).map_err(|error| Error::File { path, error })?;
        violations.extend(missing(package, file.len()));
    }
    Ok(violations)
}

fn missing(package: &Package, bytes: u64) -> Vec<String> {
    let name = &package.name;
    let facts = [
        (package.description.is_some(), "a description"),
        (package.license.is_some(), "a licence"),
        (package.rust_version.is_some(), "a rust-version"),
        (!package.keywords.is_empty(), "keywords"),
        (!package.categories.is_empty(), "categories"),
    ];
    let absent = facts.into_iter().filter(|(is_there, _)| !is_there);
    let mut lines: Vec<_> = absent.map(|(_, what)| format!("{name} lacks {what}")).collect();
    if bytes > MAX_BYTES {
        lines.push(format!("{name} has {bytes} bytes; crates.io takes {MAX_BYTES}"));
    }
    lines
}

fn file_name(package: &Package) -> String {
    format!("{}-{}.crate", package.name, package.version)
}

/// Compiles what is in the packages: nothing that they need may stand outside of them.
fn compile(root: &Path, packages: &[&Package], made: &Path) -> Result<bool, Error> {
    let place = made.join("workspace");
    unpack(packages, made, &place)?;
    let manifest = manifest(packages, &workspace::read_toml(&root.join("Cargo.toml"))?);
    write(&place.join("Cargo.toml"), &manifest)?;
    write(&place.join("Cargo.lock"), &workspace::read(&root.join("Cargo.lock"))?)?;
    let mut command = Command::new("cargo");
    command.args(["check", "--workspace"]).current_dir(&place);
    // What comes from elsewhere has been compiled there already.
    succeeds(command.env("CARGO_TARGET_DIR", made.parent().unwrap_or(made)))
}

fn unpack(packages: &[&Package], made: &Path, place: &Path) -> Result<(), Error> {
    let in_place = |error| Error::File { path: place.to_path_buf(), error };
    if place.exists() {
        fs::remove_dir_all(place).map_err(in_place)?;
    }
    fs::create_dir_all(place).map_err(in_place)?;
    for package in packages {
        let file = made.join(file_name(package));
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(&file).arg("-C").arg(place);
        if !succeeds(&mut tar)? {
            return Err(Error::Unpack { path: file });
        }
    }
    Ok(())
}

/// Returns a workspace of the packages, with the profiles of the real one, so that crates from elsewhere compile alike.
fn manifest(packages: &[&Package], real: &toml::Table) -> String {
    let mut text =
        "[workspace]\nresolver = \"3\"\nmembers = [\"*-*.*.*\"]\n\n[patch.crates-io]\n".to_owned();
    for package in packages {
        let (name, version) = (&package.name, &package.version);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} = {{ path = \"{name}-{version}\" }}");
    }
    let dev = real.get("profile").and_then(|profiles| profiles.get("dev"));
    if let Some(dev) = dev.and_then(toml::Value::as_table) {
        let _ = write!(text, "\n[profile.dev]\n{dev}");
    }
    text
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let path: PathBuf = path.to_path_buf();
    fs::write(&path, text).map_err(|error| Error::File { path, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(name: &str) -> Package {
        let manifest = workspace::root().join("Cargo.toml");
        let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
        metadata.packages.into_iter().find(|package| package.name == name).unwrap()
    }

    #[test]
    fn what_crates_io_asks_for_is_missed() {
        let mut package = real("emmu-core");
        assert_eq!(missing(&package, 1000), [""; 0]);
        package.description = None;
        assert_eq!(
            missing(&package, MAX_BYTES + 1),
            [
                "emmu-core lacks a description",
                "emmu-core has 10485761 bytes; crates.io takes 10485760"
            ]
        );
    }

    #[test]
    fn crates_of_tests_alone_are_not_public() {
        assert!(is_public(&real("emmu")) && is_public(&real("emmu-trace")));
        assert!(!is_public(&real("xtask")) && !is_public(&real("emmu-verify")));
    }

    #[test]
    fn packages_take_their_siblings_from_packages() {
        let real_manifest = "[profile.dev]\nopt-level = 1\n".parse().unwrap();
        let text = manifest(&[&real("emmu-core")], &real_manifest);
        assert!(text.contains("\nemmu-core = { path = \"emmu-core-0.1.0\" }\n"), "{text}");
        assert_eq!(
            text.parse::<toml::Table>().unwrap()["profile"]["dev"]["opt-level"].as_integer(),
            Some(1)
        );
    }
}
