//! Doc lines begin with a subject or a verb: the number of those that do not may only fall.
//!
//! CONTRIBUTING.md, "Plain words", states the rule. `docs/plain-words.toml` holds, for each crate, how many lines still
//! break it.

use crate::{Error, docs, workspace};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The file that holds the numbers, from the top of the repository.
const LIST: &str = "docs/plain-words.toml";

/// The comment at the top of that file.
const HEAD: &str = "\
# For each crate: how many of its doc lines begin with What, Whether, The same, That which or Who.
# CONTRIBUTING.md, \"Plain words\", says why. A number may only fall; cargo xtask docs-check --update writes it.

";

/// The words that begin a sentence without a subject.
const OPENERS: [&str; 5] = ["What", "Whether", "The same", "That which", "Who"];

/// Where Rust files with documentation lie.
const SOURCES: [&str; 4] = ["crates", "xtask", "benches", "fuzz"];

/// Where the Markdown pages lie that count as the book.
const BOOK: &str = "docs/src";

/// Markdown pages beside the book that count with it.
const PAGES: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "fuzz/README.md"];

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    lines: BTreeMap<String, usize>,
}

/// A doc line that begins with one of the [`OPENERS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file: PathBuf,
    /// Counted from 1.
    line: usize,
    text: String,
}

/// A crate that has more such lines than the list allows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rise {
    name: String,
    allowed: usize,
    places: Vec<Place>,
}

impl fmt::Display for Rise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, allowed, places } = self;
        for Place { file, line, text } in places {
            writeln!(f, "{}:{line}: {text}", file.display())?;
        }
        write!(
            f,
            "{name}: {} doc lines begin with {}; {LIST} allows {allowed}. Rewrite one of the lines above; \
             if lines moved here from another crate, cargo xtask docs-check --update moves the number",
            places.len(),
            OPENERS.join(", ")
        )
    }
}

/// A crate that has fewer such lines than the list allows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fall {
    name: String,
    allowed: usize,
    found: usize,
}

impl fmt::Display for Fall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, allowed, found } = self;
        write!(
            f,
            "{name}: {found} lines, {allowed} allowed: cargo xtask docs-check --update lowers it"
        )
    }
}

/// Compares every crate with the list.
pub(crate) fn check(root: &Path) -> Result<(Vec<Rise>, Vec<Fall>), Error> {
    let list = read_list(root)?;
    let mut places = places(root)?;
    let (mut rises, mut falls) = (Vec::new(), Vec::new());
    for name in list.lines.keys() {
        places.entry(name.clone()).or_default();
    }
    for (name, places) in places {
        let allowed = list.lines.get(&name).copied().unwrap_or(0);
        let found = places.len();
        if found > allowed {
            rises.push(Rise { name, allowed, places });
        } else if found < allowed {
            falls.push(Fall { name, allowed, found });
        }
    }
    Ok((rises, falls))
}

/// Writes the numbers of today, unless there are more lines in all than the list allows. Returns the sum that was
/// allowed and the sum that was found if it wrote nothing.
pub(crate) fn update(root: &Path) -> Result<Option<(usize, usize)>, Error> {
    let path = root.join(LIST);
    let lines: BTreeMap<_, _> =
        places(root)?.into_iter().map(|(name, places)| (name, places.len())).collect();
    let found = lines.values().sum();
    if path.exists() {
        let allowed = read_list(root)?.lines.values().sum();
        if found > allowed {
            return Ok(Some((allowed, found)));
        }
    }
    let rows: String = lines.iter().map(|(name, count)| format!("{name} = {count}\n")).collect();
    fs::write(&path, format!("{HEAD}[lines]\n{rows}"))
        .map_err(|error| Error::File { path, error })?;
    Ok(None)
}

fn read_list(root: &Path) -> Result<List, Error> {
    let path = root.join(LIST);
    toml::from_str(&workspace::read(&path)?).map_err(|error| Error::Toml { path, error })
}

/// Every such line, by the crate it is in.
fn places(root: &Path) -> Result<BTreeMap<String, Vec<Place>>, Error> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in files(root)? {
        let text = workspace::read(&root.join(&file))?;
        let prose = if is_rust(&file) { doc_text } else { page_text };
        let lines = text.lines().zip(1..).filter(|(text, _)| prose(text).is_some_and(opens_badly));
        let name = crate_of(&file);
        for (text, line) in lines {
            let place = Place { file: file.clone(), line, text: text.trim().to_owned() };
            found.entry(name.clone()).or_default().push(place);
        }
    }
    Ok(found)
}

/// All files whose lines count, relative to the repository.
fn files(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for directory in SOURCES.into_iter().filter(|directory| root.join(directory).is_dir()) {
        files.extend(docs::files_below(root, Path::new(directory), is_rust)?);
    }
    if root.join(BOOK).is_dir() {
        let is_page = |file: &Path| file.extension().is_some_and(|extension| extension == "md");
        files.extend(docs::files_below(root, Path::new(BOOK), is_page)?);
    }
    files.extend(PAGES.into_iter().map(PathBuf::from).filter(|page| root.join(page).is_file()));
    Ok(files)
}

fn is_rust(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "rs")
}

/// The name under which a file counts: its crate, the folder it is in, or `book`.
fn crate_of(file: &Path) -> String {
    let mut parts = file.iter().map(|part| part.to_string_lossy().into_owned());
    match parts.next() {
        _ if !is_rust(file) => "book".to_owned(),
        Some(top) if top == "crates" => parts.next().unwrap_or(top),
        Some(top) => top,
        None => String::new(),
    }
}

/// The text of a line of Rust documentation.
fn doc_text(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim_start)
}

/// The text of a line of Markdown, without the marks of lists and quotations. Blocks of code contain lines of Rust
/// documentation.
fn page_text(line: &str) -> Option<&str> {
    doc_text(line).or_else(|| Some(line.trim_start_matches([' ', '*', '-', '>'])))
}

fn opens_badly(text: &str) -> bool {
    OPENERS.iter().any(|opener| {
        text.strip_prefix(opener).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with this text as the documentation of crate `c`, and a list that allows so many lines.
    fn repository(rust: &str, allowed: usize) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let list = format!("[lines]\nc = {allowed}\n");
        for (path, text) in [("crates/c/src/lib.rs", rust), (LIST, &list)] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn count(rust: &str) -> usize {
        places(repository(rust, 0).path()).unwrap().values().map(Vec::len).sum()
    }

    #[test]
    fn every_opener_counts_in_both_kinds_of_doc_line() {
        assert_eq!(count("//! What it is.\n/// Whether it is.\n    /// The same.\n"), 3);
        assert_eq!(count("/// That which is.\n/// Who asks.\n"), 2);
    }

    #[test]
    fn other_words_other_places_and_plain_comments_do_not_count() {
        assert_eq!(count("/// Whatever it holds.\n/// Whose it is.\n/// Returns what it is.\n"), 0);
        assert_eq!(count("// What it is.\nlet x = \"What\";\n/// # What it is\n"), 0);
    }

    #[test]
    fn a_rise_names_every_line_and_the_two_numbers() {
        let root = repository("/// Fine.\n/// What it is.\nfn f() {}\n", 0);
        let (rises, falls) = check(root.path()).unwrap();
        let told = rises[0].to_string();
        assert!(
            told.starts_with("crates/c/src/lib.rs:2: /// What it is.\nc: 1 doc lines"),
            "{told}"
        );
        assert!(told.contains("allows 0"), "{told}");
        assert_eq!((rises.len(), falls.len()), (1, 0));
    }

    #[test]
    fn a_crate_without_a_number_is_allowed_none() {
        let root = repository("", 0);
        fs::write(root.path().join(LIST), "[lines]\n").unwrap();
        fs::write(root.path().join("crates/c/src/lib.rs"), "/// Who it is.\n").unwrap();
        assert_eq!(check(root.path()).unwrap().0.len(), 1);
    }

    #[test]
    fn a_fall_breaks_no_rule_and_update_lowers_the_number() {
        let root = repository("/// What it is.\n", 3);
        let (rises, falls) = check(root.path()).unwrap();
        assert_eq!((rises, falls.len()), (vec![], 1));
        assert_eq!(update(root.path()).unwrap(), None);
        assert_eq!(check(root.path()).unwrap(), (vec![], vec![]));
        assert!(fs::read_to_string(root.path().join(LIST)).unwrap().ends_with("[lines]\nc = 1\n"));
    }

    #[test]
    fn update_moves_a_number_with_its_lines_and_never_raises_the_sum() {
        let root = repository("", 1);
        let moved = root.path().join("benches/d.rs");
        fs::create_dir_all(root.path().join("benches")).unwrap();
        fs::write(&moved, "/// What it is.\n").unwrap();
        assert_eq!(update(root.path()).unwrap(), None);
        fs::write(&moved, "/// What it is.\n/// What it was.\n").unwrap();
        assert_eq!(update(root.path()).unwrap(), Some((1, 2)));
        assert_eq!(check(root.path()).unwrap().0.len(), 1);
    }

    #[test]
    fn pages_of_the_book_count_as_one() {
        let root = repository("", 0);
        fs::create_dir_all(root.path().join("docs/src/guide")).unwrap();
        fs::write(root.path().join("docs/src/guide/a.md"), "# What\n\n* What it is.\n").unwrap();
        fs::write(root.path().join("README.md"), "Whether it is.\n| What it is. |\n").unwrap();
        let found = places(root.path()).unwrap();
        assert_eq!(found["book"].len(), 2);
    }

    #[test]
    fn doc_lines_in_the_code_of_a_page_count() {
        let root = repository("", 0);
        let code =
            "```rust\n//! What it is.\n    /// Whether it is.\n// Who it is.\n/// Its name.\n```\n";
        fs::create_dir_all(root.path().join("docs/src")).unwrap();
        fs::write(root.path().join("docs/src/a.md"), code).unwrap();
        let found = places(root.path()).unwrap();
        let lines: Vec<_> = found["book"].iter().map(|place| place.line).collect();
        assert_eq!(lines, [2, 3]);
    }

    #[test]
    fn no_real_crate_has_more_lines_than_its_number() {
        let (rises, _) = check(&workspace::root()).unwrap();
        assert!(rises.is_empty(), "{}", rises.iter().map(ToString::to_string).collect::<String>());
    }
}
