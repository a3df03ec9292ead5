//! The low crates compile without the standard library, and so does the facade with the features that promise it.

use crate::process::{output, succeeds};
use crate::{Error, layers};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Compiles a probe crate that uses all of them and defines a panic handler of its own: if any of them, or
/// anything below, brought in `std`, the compiler would see two panic handlers and refuse. So this shows what
/// it should on any target; where one without `std` is installed, it is compiled for that one too.
pub(crate) fn build(root: &Path) -> Result<bool, Error> {
    let probe = root.join("target/no-std-probe");
    write_probe(root, &probe)?;
    let mut ok = check(&probe, None)?;
    let bare = bare_target();
    match &bare {
        Some(target) => ok &= check(&probe, Some(target))?,
        None => println!("no-std: no target without std is installed; compiled for the host only"),
    }
    println!("no-std: {}", if ok { "ok" } else { "BROKEN" });
    Ok(ok)
}

/// The facade, with its default features and those others that need no standard library.
const FACADE: &str =
    "emmu = { path = \"../../crates/emmu\", features = [\"heap\", \"os\", \"sanitizer\"] }\n";

fn write_probe(root: &Path, probe: &Path) -> Result<(), Error> {
    let present: Vec<_> = layers::no_std_crates()
        .filter(|name| root.join("crates").join(name).join("Cargo.toml").exists())
        .collect();
    fs::create_dir_all(probe.join("src"))
        .and_then(|()| fs::write(probe.join("Cargo.toml"), manifest(&present)))
        .and_then(|()| fs::write(probe.join("src/lib.rs"), library(&present)))
        .and_then(|()| fs::copy(root.join("Cargo.lock"), probe.join("Cargo.lock")).map(drop))
        .map_err(|error| Error::File { path: probe.to_path_buf(), error })
}

/// A workspace of its own, so that no other crate of ours can turn a `std` feature on.
fn manifest(crates: &[&str]) -> String {
    let head =
        "[package]\nname = \"no-std-probe\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n";
    crates.iter().fold(format!("{head}{FACADE}"), |mut text, name| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} = {{ path = \"../../crates/{name}\" }}");
        text
    })
}

fn library(crates: &[&str]) -> String {
    let handler = "#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! {\n    loop {}\n}\n";
    let start = format!("#![no_std]\n\n{handler}\nextern crate emmu;\n");
    crates.iter().fold(start, |mut text, name| {
        let _ = writeln!(text, "\nextern crate {};", name.replace('-', "_"));
        text
    })
}

fn check(probe: &Path, target: Option<&str>) -> Result<bool, Error> {
    let mut command = Command::new("cargo");
    command.arg("check").current_dir(probe).env("CARGO_TARGET_DIR", probe.join("target"));
    if let Some(target) = target {
        command.args(["--target", target]);
    }
    succeeds(&mut command)
}

/// An installed target that has no standard library: `x86_64-unknown-none` and its like.
fn bare_target() -> Option<String> {
    let installed = output(Command::new("rustup").args(["target", "list", "--installed"]))?;
    installed.lines().find(|target| target.contains("-none")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_links_each_crate() {
        assert!(
            manifest(&["emmu-core"]).contains("emmu-core = { path = \"../../crates/emmu-core\" }")
        );
        assert!(library(&["emmu-core"]).contains("\nextern crate emmu_core;\n"));
    }
}
