//! The commands that the book shows run as they are typed, and print what the book prints.

use crate::{
    LACKEY,
    help::{VECTOR, shell},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// All pages of the book, and the README.
fn pages() -> Vec<PathBuf> {
    let root = root();
    let (mut folders, mut pages) = (vec![root.join("docs/src")], vec![root.join("README.md")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "md" => pages.push(path),
                _ => {}
            }
        }
    }
    pages
}

/// The commands of a page's console blocks, each with the output that is shown below it.
fn commands(page: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => *output += &format!("{line}\n"),
                (None, None) => panic!("output without a command: {line}"),
            }
        }
    }
    commands
}

/// Files that no test can have: the live oracle writes the first, collections of traces have the others.
const ELSEWHERE: [&str; 3] = ["fresh.jsonl", "champsimtrace", "cc1.din.gz"];

/// True if a command is one of emmu's that is meant to be typed as it stands.
fn is_of_emmu(command: &str) -> bool {
    let is_whole = !command.contains(['…', '|']);
    is_whole && command.starts_with("emmu ") && !ELSEWHERE.iter().any(|file| command.contains(file))
}

/// Asserts that the output is what is shown, where a line `…` stands for any lines.
fn assert_shown(command: &str, shown: &str, output: &str) {
    let pieces: Vec<_> = shown.split("…\n").collect();
    let mut rest = output;
    for piece in &pieces {
        let (_, after) = rest.split_once(piece).unwrap_or_else(|| panic!("{command}: {output}"));
        rest = after;
    }
    assert!(pieces.len() > 1 || shown == output, "{command}: {output}");
}

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A folder with the files that a reader has at hand, and the folders of the repository.
#[cfg(unix)]
fn desk() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("ls.txt", LACKEY),
        ("trace.txt", LACKEY),
        ("vectors.jsonl", VECTOR),
        ("vectors.jsonl.gz", VECTOR),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    for name in ["crates", "docs"] {
        std::os::unix::fs::symlink(root().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[cfg(unix)]
#[test]
fn every_command_of_the_book_runs_and_prints_what_is_shown() {
    let mut run = 0;
    for page in pages() {
        let (page, desk) = (fs::read_to_string(page).unwrap(), desk());
        for (command, shown) in commands(&page).iter().filter(|(line, _)| is_of_emmu(line)) {
            let output = shell(command, desk.path());
            if !shown.is_empty() {
                assert_shown(command, shown, &output);
            }
            run += 1;
        }
    }
    assert!(run >= 15, "only {run} commands");
}
