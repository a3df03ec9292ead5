//! The pictures of the book, drawn from text: the crates from the dependencies of the workspace, the others from
//! `docs/pictures`.

mod crates;
mod graph;
mod layout;
mod svg;

use crate::{Error, docs, workspace};
use graph::Graph;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the sources, from the top of the repository.
const SOURCES: &str = "docs/pictures";

/// The folder of the pictures. It lies in the book, so that pages can show them.
const PICTURES: &str = "docs/src/pictures";

/// Compares every picture with the one that its source gives now.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, Error> {
    let mut violations = Vec::new();
    for (path, picture) in draw(root)? {
        if fs::read_to_string(root.join(&path)).ok().as_ref() != Some(&picture) {
            let path = path.display();
            violations.push(format!("{path}: out of date; cargo xtask pictures draws it"));
        }
    }
    Ok(violations)
}

/// Writes every picture.
pub(crate) fn write(root: &Path) -> Result<(), Error> {
    for (path, picture) in draw(root)? {
        let path = root.join(path);
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, picture))
            .map_err(|error| Error::File { path: path.clone(), error })?;
    }
    Ok(())
}

/// Draws every picture. Returns its path from the top of the repository, and its text.
fn draw(root: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    let mut pictures = vec![("crates".into(), crates::graph(&workspace::load(root)?))];
    let is_text = |path: &Path| path.extension().is_some_and(|extension| extension == "txt");
    for path in docs::files_below(root, Path::new(SOURCES), is_text)? {
        let source = workspace::read(&root.join(&path))?;
        let graph = Graph::parse(&source).map_err(|(line, problem)| Error::Picture {
            path: path.clone(),
            line,
            problem,
        })?;
        pictures.push((path.file_stem().unwrap_or_default().to_os_string(), graph));
    }
    let draw = |(name, graph): (_, Graph)| {
        let path = Path::new(PICTURES).join(name).with_extension("svg");
        (path, svg::draw(&graph))
    };
    Ok(pictures.into_iter().map(draw).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_pictures_are_those_of_their_sources() {
        assert_eq!(check(&workspace::root()).unwrap(), [""; 0]);
    }
}
