//! Links between the Markdown files resolve, and the book is whole.

use crate::markdown::{self, Link};
use crate::{Error, workspace};
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The pages of the book, below the top of the repository.
const BOOK: &str = "docs/src";

/// A link that leads nowhere, or a page that nothing leads to. Paths are relative to the repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    Missing { file: PathBuf, line: usize, target: String },
    NoAnchor { file: PathBuf, line: usize, target: String },
    LeavesRepository { file: PathBuf, line: usize, target: String },
    LeavesBook { file: PathBuf, line: usize, target: String },
    NotInSummary { file: PathBuf },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line, target, what) = match self {
            Self::Missing { file, line, target } => (file, line, target, "no such file"),
            Self::NoAnchor { file, line, target } => (file, line, target, "no such heading"),
            Self::LeavesRepository { file, line, target } => {
                (file, line, target, "expected a path relative to this file, within the repository")
            }
            Self::LeavesBook { file, line, target } => {
                (file, line, target, "the built book holds only what is in docs/src")
            }
            Self::NotInSummary { file } => {
                return write!(f, "{}: not in {BOOK}/SUMMARY.md", file.display());
            }
        };
        write!(f, "{}:{line}: link to {target}: {what}", file.display())
    }
}

/// Returns every broken link, and every page that the summary of the book leaves out.
pub(crate) fn check(root: &Path) -> Result<Vec<Violation>, Error> {
    let mut violations = Vec::new();
    let files = files_below(root, Path::new(""), is_markdown)?;
    for file in &files {
        violations.extend(check_links(root, file)?);
    }
    violations.extend(check_summary(root, &files)?);
    Ok(violations)
}

fn check_links(root: &Path, file: &Path) -> Result<Vec<Violation>, Error> {
    let links = markdown::links(&workspace::read(&root.join(file))?);
    let relative = links.into_iter().filter(|link| !has_scheme(&link.target));
    let checked = relative.map(|link| check_link(root, file, link));
    Ok(checked.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// Returns true for `https:`, `mailto:` and the like, which the check does not follow.
fn has_scheme(target: &str) -> bool {
    target.split(['/', '#']).next().is_some_and(|start| start.contains(':'))
}

fn check_link(root: &Path, file: &Path, link: Link) -> Result<Option<Violation>, Error> {
    let Link { line, target } = link;
    let file = file.to_path_buf();
    let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
    let Some(destination) = resolve(&file, path) else {
        return Ok(Some(Violation::LeavesRepository { file, line, target }));
    };
    if file.starts_with(BOOK) && !destination.starts_with(BOOK) {
        return Ok(Some(Violation::LeavesBook { file, line, target }));
    }
    if !root.join(&destination).exists() {
        return Ok(Some(Violation::Missing { file, line, target }));
    }
    let found = anchor.is_empty() || has_anchor(&root.join(&destination), anchor)?;
    Ok((!found).then_some(Violation::NoAnchor { file, line, target }))
}

/// Returns the path below the top of the repository to which `path` leads, if `file` contains it. An empty path
/// leads to `file` itself.
fn resolve(file: &Path, path: &str) -> Option<PathBuf> {
    if path.is_empty() {
        return Some(file.to_path_buf());
    }
    let mut resolved = file.parent()?.to_path_buf();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir => resolved.pop().then_some(())?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

/// Returns true if the file has this anchor. Anchors into other files than Markdown (`#L10` of a source file)
/// are not checked.
fn has_anchor(file: &Path, anchor: &str) -> Result<bool, Error> {
    Ok(!is_markdown(file)
        || markdown::anchors(&workspace::read(file)?).iter().any(|found| found == anchor))
}

fn check_summary(root: &Path, files: &[PathBuf]) -> Result<Vec<Violation>, Error> {
    let summary = Path::new(BOOK).join("SUMMARY.md");
    if !files.contains(&summary) {
        return Ok(Vec::new());
    }
    let links = markdown::links(&workspace::read(&root.join(&summary))?);
    let listed: Vec<_> = links.iter().filter_map(|link| resolve(&summary, &link.target)).collect();
    let pages = files.iter().filter(|file| file.starts_with(BOOK) && **file != summary);
    let lost = pages.filter(|page| !listed.contains(page));
    Ok(lost.map(|page| Violation::NotInSummary { file: page.clone() }).collect())
}

/// Returns the files below a directory for which `wanted` returns true, relative to the repository, in order.
/// It skips hidden and built files.
pub(crate) fn files_below(
    root: &Path,
    directory: &Path,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        let (directories, others) = entries(root, &directory)?;
        open.extend(directories.into_iter().filter(|path| !is_foreign(path)));
        files.extend(others.into_iter().filter(|path| wanted(path)));
    }
    files.sort();
    Ok(files)
}

/// Returns the directories and the other files in a directory, all relative to the repository.
fn entries(root: &Path, directory: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Error> {
    let at = root.join(directory);
    let entries = fs::read_dir(&at).map_err(|error| Error::File { path: at, error })?;
    let paths = entries.flatten().map(|entry| directory.join(entry.file_name()));
    Ok(paths.partition(|path| root.join(path).is_dir()))
}

fn is_markdown(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "md")
}

/// Returns true if a directory is hidden or built, so that it is not checked.
fn is_foreign(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name == "target" || directory == Path::new("docs/book")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a repository with these files, and returns the messages of the check.
    fn verdict(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        check(root.path()).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_resolve_are_fine() {
        let readme =
            "[a](docs/src/a.md#the-end) [web](https://example.org/x) [self](#top)\n\n# Top\n";
        let files = [
            ("README.md", readme),
            ("docs/src/SUMMARY.md", "[a](a.md)"),
            ("docs/src/a.md", "# The end\n"),
            ("target/x.md", "[y](y.md)"),
        ];
        assert_eq!(verdict(&files), [""; 0]);
    }

    #[test]
    fn a_broken_link_is_named_with_file_and_line() {
        assert_eq!(
            verdict(&[("a/README.md", "text\n[b](../b.md)")]),
            ["a/README.md:2: link to ../b.md: no such file"]
        );
    }

    #[test]
    fn a_missing_heading_is_reported() {
        assert_eq!(
            verdict(&[("a.md", "# One\n[b](#two)")]),
            ["a.md:2: link to #two: no such heading"]
        );
    }

    #[test]
    fn links_stay_in_the_repository_and_those_of_the_book_in_the_book() {
        let files =
            [("docs/src/SUMMARY.md", "[a](../../a.md)\n"), ("a.md", "[b](../b.md) [c](/c.md)")];
        assert_eq!(
            verdict(&files),
            [
                "a.md:1: link to ../b.md: expected a path relative to this file, within the repository",
                "a.md:1: link to /c.md: expected a path relative to this file, within the repository",
                "docs/src/SUMMARY.md:1: link to ../../a.md: the built book holds only what is in docs/src",
            ]
        );
    }

    #[test]
    fn a_page_outside_the_summary_is_reported() {
        let files = [("docs/src/SUMMARY.md", "# Summary\n"), ("docs/src/x/lost.md", "")];
        assert_eq!(verdict(&files), ["docs/src/x/lost.md: not in docs/src/SUMMARY.md"]);
    }

    #[test]
    fn the_real_documents_are_whole() {
        let root = workspace::root();
        assert!(root.join(BOOK).join("SUMMARY.md").exists());
        assert_eq!(check(&root).unwrap(), []);
    }
}
