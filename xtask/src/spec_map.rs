//! The spec map: each step of a manual, the code that follows it and the tests that show it.

mod catalogue;
mod page;
mod scan;

use crate::{Error, docs, workspace};
use catalogue::Catalogue;
use scan::{Item, Marker};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The page, from the top of the repository.
const PAGE: &str = "docs/src/spec-map.md";

/// An error in the steps, their markers or the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    /// Two steps have this id.
    Duplicate { id: String },
    /// A marker is neither in nor above a function, constant or type.
    NoItem { file: String, line: usize },
    /// A marker names a step that is not listed.
    Unknown { file: String, line: usize, id: String },
    /// A marker outside of `src` is not about a test.
    NoTest { file: String, line: usize },
    /// A step that is not modelled has a marker.
    Modelled { file: String, line: usize, id: String },
    /// No code has this step.
    NotFollowed { id: String },
    /// No test has this step.
    NotShown { id: String },
    /// The page differs from the one that would be written now.
    Stale,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = catalogue::FILE;
        match self {
            Self::Duplicate { id } => write!(f, "{list}: two steps have the id {id}"),
            Self::NoItem { file, line } => {
                write!(f, "{file}:{line}: neither in nor above a function, constant or type")
            }
            Self::Unknown { file, line, id } => {
                write!(f, "{file}:{line}: {id} is no step in {list}")
            }
            Self::NoTest { file, line } => {
                write!(f, "{file}:{line}: outside of src, expected a marker above a #[test]")
            }
            Self::Modelled { file, line, id } => {
                write!(f, "{file}:{line}: {id} is not modelled, says {list}")
            }
            Self::NotFollowed { id } => write!(f, "{list}: no code is marked with {id}"),
            Self::NotShown { id } => write!(f, "{list}: no test is marked with {id}"),
            Self::Stale => write!(f, "{PAGE}: out of date; cargo xtask spec-map writes it"),
        }
    }
}

/// One marker's claim: this item has this step.
struct Place {
    id: String,
    /// Below `crates/`.
    file: String,
    line: usize,
    name: String,
}

/// All claims, in order of file and line.
#[derive(Default)]
struct Places {
    code: Vec<Place>,
    tests: Vec<Place>,
}

/// Checks the markers and the page.
pub(crate) fn check(root: &Path) -> Result<Vec<Violation>, Error> {
    let (mut violations, page) = build(root)?;
    let path = root.join(PAGE);
    if !path.exists() || workspace::read(&path)? != page {
        violations.push(Violation::Stale);
    }
    Ok(violations)
}

/// Writes the page, unless its content would have an error.
pub(crate) fn write(root: &Path) -> Result<Vec<Violation>, Error> {
    let (violations, page) = build(root)?;
    let path = root.join(PAGE);
    if violations.is_empty() {
        fs::write(&path, page).map_err(|error| Error::File { path, error })?;
    }
    Ok(violations)
}

fn build(root: &Path) -> Result<(Vec<Violation>, String), Error> {
    let catalogue = Catalogue::read(root)?;
    let (places, mut violations) = scan(root)?;
    violations.extend(check_places(&catalogue, &places));
    violations.extend(check_steps(&catalogue, &places));
    Ok((violations, page::render(&catalogue, &places)))
}

/// Every marker of the crates.
fn scan(root: &Path) -> Result<(Places, Vec<Violation>), Error> {
    let (mut places, mut violations) = (Places::default(), Vec::new());
    for path in sources(root)? {
        let text = workspace::read(&root.join(&path))?;
        let file = path.strip_prefix("crates").unwrap_or(&path).to_string_lossy().into_owned();
        let is_code = path.iter().any(|part| part == "src");
        let (markers, lost) = scan::markers(&text);
        violations
            .extend(lost.into_iter().map(|line| Violation::NoItem { file: file.clone(), line }));
        for Marker { line, ids, item: Item { name, is_test } } in markers {
            if !is_test && !is_code {
                violations.push(Violation::NoTest { file: file.clone(), line });
                continue;
            }
            let place = |id| Place { id, file: file.clone(), line, name: name.clone() };
            let claims = if is_test { &mut places.tests } else { &mut places.code };
            claims.extend(ids.into_iter().map(place));
        }
    }
    Ok((places, violations))
}

/// The Rust files of all crates, in order.
fn sources(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let rust = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    docs::files_below(root, Path::new("crates"), rust)
}

/// Markers whose step is not listed, or not modelled.
fn check_places(catalogue: &Catalogue, places: &Places) -> Vec<Violation> {
    let claims = places.code.iter().chain(&places.tests);
    let wrong = claims.filter_map(|Place { id, file, line, .. }| {
        let (id, file, line) = (id.clone(), file.clone(), *line);
        match catalogue.steps().find(|step| step.id == id) {
            None => Some(Violation::Unknown { file, line, id }),
            Some(step) if step.not_modelled.is_some() => {
                Some(Violation::Modelled { file, line, id })
            }
            Some(_) => None,
        }
    });
    wrong.collect()
}

/// Steps that are listed twice, or that nothing follows or shows.
fn check_steps(catalogue: &Catalogue, places: &Places) -> Vec<Violation> {
    let mut violations = Vec::new();
    let has = |places: &[Place], id: &str| places.iter().any(|place| place.id == id);
    for (at, step) in catalogue.steps().enumerate() {
        let id = step.id.clone();
        if catalogue.steps().take(at).any(|earlier| earlier.id == id) {
            violations.push(Violation::Duplicate { id });
        } else if step.not_modelled.is_none() {
            if !has(&places.code, &id) {
                violations.push(Violation::NotFollowed { id: id.clone() });
            }
            if !has(&places.tests, &id) {
                violations.push(Violation::NotShown { id });
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "[[manual]]\nname = 'M'\ntext = 'T'\n\
                        [[manual.step]]\nid = 'm-1'\nwhere = '1'\nsays = 'first'\n";
    const CODE: &str = "// spec: m-1\nfn f() {}\n";
    const TEST: &str = "// spec: m-1\n#[test]\nfn f_holds() {}\n";

    /// A repository with this list, code and test.
    fn repository(list: &str, code: &str, test: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in
            [(catalogue::FILE, list), ("crates/c/src/lib.rs", code), ("crates/c/tests/t.rs", test)]
        {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(root.path().join("docs/src")).unwrap();
        root
    }

    fn verdict(list: &str, code: &str, test: &str) -> Vec<String> {
        let root = repository(list, code, test);
        write(root.path()).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_step_with_code_and_test_is_in_order_and_on_the_page() {
        let root = repository(LIST, CODE, TEST);
        assert_eq!(write(root.path()).unwrap(), []);
        assert_eq!(check(root.path()).unwrap(), []);
        let page = fs::read_to_string(root.path().join(PAGE)).unwrap();
        assert!(page.contains("| 1 | first | c/src/lib.rs: `f` | c/tests/t.rs: `f_holds` |"));
    }

    #[test]
    fn a_page_that_was_not_written_since_is_out_of_date() {
        let root = repository(LIST, CODE, TEST);
        assert_eq!(check(root.path()).unwrap(), [Violation::Stale]);
        write(root.path()).unwrap();
        fs::write(root.path().join("crates/c/src/lib.rs"), CODE.replace("fn f", "fn g")).unwrap();
        assert_eq!(check(root.path()).unwrap(), [Violation::Stale]);
    }

    #[test]
    fn a_step_without_code_or_test_is_told() {
        assert_eq!(verdict(LIST, "", TEST), ["docs/spec-map.toml: no code is marked with m-1"]);
        assert_eq!(verdict(LIST, CODE, ""), ["docs/spec-map.toml: no test is marked with m-1"]);
    }

    #[test]
    fn a_marker_with_an_unknown_step_is_told() {
        let test = format!("{TEST}// spec: m-2\n#[test]\nfn g() {{}}\n");
        let told = ["c/tests/t.rs:4: m-2 is no step in docs/spec-map.toml"];
        assert_eq!(verdict(LIST, CODE, &test), told);
    }

    #[test]
    fn a_marker_in_a_test_file_is_about_a_test() {
        let test = format!("{TEST}// spec: m-1\nfn helper() {{}}\n");
        let told = ["c/tests/t.rs:4: outside of src, expected a marker above a #[test]"];
        assert_eq!(verdict(LIST, CODE, &test), told);
    }

    #[test]
    fn a_step_that_is_not_modelled_needs_nothing_and_may_not_be_marked() {
        let list = format!("{LIST}not_modelled = 'left out'\n");
        assert_eq!(verdict(&list, "", ""), [""; 0]);
        let told = ["c/src/lib.rs:1: m-1 is not modelled, says docs/spec-map.toml"];
        assert_eq!(verdict(&list, CODE, ""), told);
    }

    #[test]
    fn two_steps_of_one_id_are_told() {
        let step = LIST.split_once("[[manual.step]]").unwrap().1;
        let list = format!("{LIST}[[manual.step]]{step}");
        assert_eq!(verdict(&list, CODE, TEST), ["docs/spec-map.toml: two steps have the id m-1"]);
    }

    #[test]
    fn the_real_map_is_in_order() {
        assert_eq!(check(&workspace::root()).unwrap(), []);
    }
}
