//! Tables of the book that name files and functions name ones that exist.

use crate::{Error, docs, workspace};
use std::path::Path;

/// The head of a table that is checked. Its rows begin with a path below `crates/` and names of functions, each in
/// backquotes.
const HEAD: &str = "| file | functions |";

/// Returns a line for each file that does not exist, and for each function that its file does not define.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, Error> {
    let mut violations = Vec::new();
    let is_page = |path: &Path| path.extension().is_some_and(|extension| extension == "md");
    for page in docs::files_below(root, Path::new("docs/src"), is_page)? {
        let text = workspace::read(&root.join(&page))?;
        for (line, row) in rows(&text) {
            let problems = check_row(root, row);
            violations.extend(
                problems.into_iter().map(|problem| format!("{}:{line}: {problem}", page.display())),
            );
        }
    }
    Ok(violations)
}

/// Returns the rows of all tables with that head, with their lines (from 1).
fn rows(text: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        inside = text.starts_with(HEAD) || inside && text.starts_with('|');
        if inside && text.starts_with("| `") {
            rows.push((line, text));
        }
    }
    rows
}

fn check_row(root: &Path, row: &str) -> Vec<String> {
    let mut cells = row.split('|').skip(1);
    let (file, functions) = (cells.next().unwrap_or(""), cells.next().unwrap_or(""));
    let file = file.trim().trim_matches('`');
    let Ok(source) = workspace::read(&root.join("crates").join(file)) else {
        return vec![format!("crates/{file}: no such file")];
    };
    let missing = functions.split('`').skip(1).step_by(2).filter(|name| !defines(&source, name));
    missing.map(|name| format!("crates/{file} has no function {name}")).collect()
}

fn defines(source: &str, function: &str) -> bool {
    ["(", "<"].iter().any(|next| source.contains(&format!("fn {function}{next}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_or_function_that_is_not_there_is_told_with_its_line() {
        let root = tempfile::tempdir().unwrap();
        let page = "# P\n\n| file | functions | x |\n|---|---|---|\n| `c/a.rs` | `f`, `g`, `h` | |\n\
                    | `c/b.rs` | `f` | |\n\n| other |\n|---|\n| `c/b.rs` |\n";
        for (path, text) in [("docs/src/p.md", page), ("crates/c/a.rs", "fn f() {}\nfn g<T>() {}")]
        {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let told = [
            "docs/src/p.md:5: crates/c/a.rs has no function h",
            "docs/src/p.md:6: crates/c/b.rs: no such file",
        ];
        assert_eq!(check(root.path()).unwrap(), told);
    }

    #[test]
    fn the_real_pages_name_real_functions() {
        assert_eq!(check(&workspace::root()).unwrap(), [""; 0]);
        let page = workspace::read(&workspace::root().join("docs/src/life-of-a-load.md")).unwrap();
        assert!(rows(&page).len() > 20, "the tables are read");
    }
}
