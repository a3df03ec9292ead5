//! The files of vectors that tests run.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The top of the repository, from this crate.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A file of vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorFile {
    /// The file.
    pub path: PathBuf,
    /// The name without its ending, as `riscv-sv39`.
    pub name: String,
    /// True for a sample in the repository, and false for the whole file.
    pub is_sample: bool,
}

/// Returns the files of vectors of a kind, `translation` or `textbook`: the samples in the repository (`crates/emmu-vectors/samples`), and
/// all files where they lie beside the repository (`../shared/vectors`). Each list is in order of name.
///
/// # Panics
/// If the repository has no samples of this kind.
#[must_use]
pub fn vector_files(kind: &str) -> Vec<VectorFile> {
    let root = Path::new(ROOT);
    let mut files = files_in(&root.join("crates/emmu-vectors/samples").join(kind), true);
    assert!(!files.is_empty(), "no samples of {kind} vectors in {}", root.display());
    files.extend(files_in(&root.join("../shared/vectors").join(kind), false));
    files
}

/// Returns the files of vectors of a kind that have this name: the sample, and the whole file where it is at hand.
///
/// # Panics
/// If the repository has no sample of this name.
#[must_use]
pub fn vector_files_named(kind: &str, name: &str) -> Vec<VectorFile> {
    let mut files = vector_files(kind);
    files.retain(|file| file.name == name);
    assert!(files.iter().any(|file| file.is_sample), "no sample of {kind}/{name}");
    files
}

/// Returns the files of a folder, or none if there is no such folder.
fn files_in(folder: &Path, is_sample: bool) -> Vec<VectorFile> {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = paths
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".jsonl.gz")?.to_owned();
            Some(VectorFile { path, name, is_sample })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[VectorFile], samples: bool) -> Vec<&str> {
        let chosen = files.iter().filter(|file| file.is_sample == samples);
        chosen.map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn every_file_beside_the_repository_has_a_sample() {
        for kind in ["translation", "textbook"] {
            let files = vector_files(kind);
            let (samples, mut whole) = (names(&files, true), names(&files, false));
            // `emmu check` does not read them.
            whole.retain(|name| !name.starts_with("replacement"));
            assert!(whole.is_empty() || whole == samples, "{whole:?}, sampled: {samples:?}");
        }
    }

    #[test]
    fn a_file_is_found_by_its_name() {
        let found = vector_files_named("textbook", "relocation");
        assert!(found[0].is_sample && found[0].path.is_file());
        assert!(found.iter().all(|file| file.name == "relocation"));
    }
}
