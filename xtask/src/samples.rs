//! A small sample of every file of vectors, for a checkout that has no others.

use crate::Error;
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// The folder of the samples, from the top of the repository.
const FOLDER: &str = "crates/emmu-vectors/samples";
/// The kinds of vectors, each a folder.
const KINDS: [&str; 2] = ["translation", "textbook"];
/// The size in bytes that all samples together must stay below.
const LIMIT: u64 = 300 << 10;
/// Lines are added to a sample until it has this size in bytes, but for those that show something new.
const ENOUGH: usize = 4 << 10;
/// The number of places, evenly spread over a file, whose lines are added.
const PLACES: usize = 8;

/// Draws a sample of each file of vectors in `source`, and writes it to the repository. Returns a line about each, and
/// says whether all together are small enough.
pub(crate) fn draw(root: &Path, source: &Path) -> Result<bool, Error> {
    let mut total = 0;
    for (path, kind) in files(source)? {
        let lines = read(&path)?;
        let (kept, sample) = sample(&lines).map_err(|error| file_error(&path, error))?;
        let folder = root.join(FOLDER).join(kind);
        fs::create_dir_all(&folder).map_err(|error| file_error(&folder, error))?;
        let target = folder.join(path.file_name().unwrap_or_default());
        fs::write(&target, &sample).map_err(|error| file_error(&target, error))?;
        println!("{}: {kept} of {} lines, {} bytes", target.display(), lines.len(), sample.len());
        total += sample.len() as u64;
    }
    println!("samples: {total} bytes, of {LIMIT}");
    Ok(total < LIMIT)
}

/// Returns the files of `source` that `emmu check` reads, each with its kind, in order of name. Replacement policies are
/// not among them.
fn files(source: &Path) -> Result<Vec<(PathBuf, &'static str)>, Error> {
    let mut files = Vec::new();
    for kind in KINDS {
        let folder = source.join(kind);
        let entries = fs::read_dir(&folder).map_err(|error| file_error(&folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| file_error(&folder, error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".jsonl.gz") && !name.starts_with("replacement") {
                files.push((path, kind));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<String>, Error> {
    let file = File::open(path).map_err(|error| file_error(path, error))?;
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    lines.collect::<Result<_, _>>().map_err(|error| file_error(path, error))
}

fn file_error(path: &Path, error: impl Into<std::io::Error>) -> Error {
    Error::File { path: path.to_path_buf(), error: error.into() }
}

/// Draws a sample of the lines of a file: each that shows something which no line before it shows, and others, evenly
/// spread, while the sample is small. Returns the number of lines and the compressed sample.
fn sample(lines: &[String]) -> Result<(usize, Vec<u8>), std::io::Error> {
    let mut kept = covering(lines)?;
    let mut sample = compressed(lines, &kept)?;
    for place in 0..PLACES {
        let mut more = kept.clone();
        more.insert(place * lines.len() / PLACES);
        let larger = compressed(lines, &more)?;
        if larger.len() <= ENOUGH && !lines.is_empty() {
            (kept, sample) = (more, larger);
        }
    }
    Ok((kept.len(), sample))
}

/// Returns the numbers of the lines that show something new.
fn covering(lines: &[String]) -> Result<BTreeSet<usize>, serde_json::Error> {
    let (mut kept, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for (number, line) in lines.iter().enumerate() {
        let before = seen.len();
        seen.extend(shown(&serde_json::from_str(line)?));
        if seen.len() > before {
            kept.insert(number);
        }
    }
    Ok(kept)
}

fn compressed(lines: &[String], kept: &BTreeSet<usize>) -> std::io::Result<Vec<u8>> {
    // No name and no time in the header: the same lines are the same bytes.
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    for line in kept.iter().filter_map(|number| lines.get(*number)) {
        writeln!(encoder, "{line}")?;
    }
    encoder.finish()
}

/// Returns the things that a vector shows: one for each kind of operation with its answer, and one for each word outside
/// of the operations.
fn shown(vector: &Value) -> BTreeSet<String> {
    let Value::Object(fields) = vector else { return BTreeSet::new() };
    let mut shown = BTreeSet::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("ops" | "trace", Value::Array(operations)) => {
                shown.extend(operations.iter().map(kind_of_operation));
            }
            ("id" | "args" | "mem" | "mem_after" | "frames", _) => {}
            _ => words(name, value, &mut shown),
        }
    }
    shown
}

/// Returns the words of an operation, one after the other.
fn kind_of_operation(operation: &Value) -> String {
    let mut shown = BTreeSet::new();
    words("", operation, &mut shown);
    shown.into_iter().collect::<Vec<_>>().join(" ")
}

/// Collects the fields of `value` and the words in them. Numbers differ without meaning something else, but for the
/// codes and levels of faults.
fn words(name: &str, value: &Value, shown: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(inner, value)| words(inner, value, shown));
        }
        Value::Array(items) => items.iter().for_each(|item| words(name, item, shown)),
        _ if matches!(name, "cause" | "code" | "fsc" | "level") => {
            shown.insert(format!("{name} {value}"));
        }
        Value::String(word) if !word.starts_with("0x") => {
            shown.insert(format!("{name} {word}"));
        }
        _ => {
            shown.insert(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_that_show_something_new_are_kept() {
        let load =
            r#"{"id": "a", "ops": [{"access": "load", "va": "0x1", "expect": {"pa": "0x2"}}]}"#;
        let same = load.replace("0x1", "0x3").replace(r#""a""#, r#""b""#);
        let store = load.replace("load", "store");
        let fault = load.replace(r#""pa": "0x2""#, r#""fault": "page-fault", "code": "0x4""#);
        let other = fault.replace("0x4", "0x6");
        let all = lines(&[load, &same, &store, &fault, &fault, &other]);
        assert_eq!(covering(&all).unwrap(), [0, 2, 3, 5].into());
    }

    #[test]
    fn a_sample_is_the_same_each_time_and_has_lines_of_the_whole_file() {
        let all: Vec<_> = (0..800).map(|number| format!(r#"{{"id": {number}}}"#)).collect();
        let (kept, drawn) = sample(&all).unwrap();
        assert_eq!((kept, &drawn), (8, &sample(&all).unwrap().1));
        let read: Vec<_> =
            BufReader::new(MultiGzDecoder::new(&drawn[..])).lines().map(Result::unwrap).collect();
        let expected: Vec<_> = (0..8).map(|place| all[place * 100].clone()).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn a_small_sample_is_not_made_large() {
        let all: Vec<_> = (0..80).map(|line| format!(r#"{{"x": {:?}}}"#, noise(line))).collect();
        let (kept, drawn) = sample(&all).unwrap();
        assert!(kept < 8 && drawn.len() <= ENOUGH, "{kept} lines, {} bytes", drawn.len());
    }

    /// Numbers that do not compress.
    fn noise(line: u64) -> Vec<u64> {
        (0..200)
            .map(|number| (line * 200 + number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .collect()
    }

    #[test]
    fn the_samples_in_the_repository_are_small() {
        let root = workspace::root().join(FOLDER);
        let mut total = 0;
        for (path, _) in files(&root).unwrap() {
            total += fs::metadata(path).unwrap().len();
        }
        assert!((1..LIMIT).contains(&total), "{total} bytes");
    }
}
