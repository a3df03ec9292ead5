//! The page of the book.

use super::catalogue::{Catalogue, Manual, Step};
use super::{Place, Places};
use std::fmt::Write;

const HEAD: &str = "\
# Spec map

Where emmu follows which step of a manual, and which test shows it. Written by `cargo xtask spec-map` from the list of steps in
`docs/spec-map.toml` and from the lines `// spec: …` in the sources; `cargo xtask spec-map --check` fails when a step has no code or
no test, when a line names a step that is not listed, or when this page is out of date. Besides, every format is put to
[vectors](formats/vectors.md), to a second implementation, and to [a live oracle](live-oracle.md).
";

pub(super) fn render(catalogue: &Catalogue, places: &Places) -> String {
    let mut page = HEAD.to_owned();
    for manual in &catalogue.manuals {
        render_manual(&mut page, manual, places);
    }
    page
}

fn render_manual(page: &mut String, manual: &Manual, places: &Places) {
    // Writing to a string cannot fail.
    let _ = write!(page, "\n## {}\n\n{}\n\n", manual.name, manual.text);
    page.push_str("| step | says | followed by | shown by |\n|---|---|---|---|\n");
    for step in &manual.steps {
        let (code, tests) = match &step.not_modelled {
            Some(why) => (format!("not modelled: {why}"), String::new()),
            None => (list(&places.code, step), list(&places.tests, step)),
        };
        let _ = writeln!(page, "| {} | {} | {code} | {tests} |", step.place, step.says);
    }
}

/// `file`: `function`, `function`; one line a file.
fn list(places: &[Place], step: &Step) -> String {
    let mut files: Vec<(&str, Vec<String>)> = Vec::new();
    for Place { file, name, .. } in places.iter().filter(|place| place.id == step.id) {
        let name = format!("`{name}`");
        match files.iter_mut().find(|(known, _)| known == file) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => files.push((file, vec![name])),
        }
    }
    let lines = files.iter().map(|(file, names)| format!("{file}: {}", names.join(", ")));
    lines.collect::<Vec<_>>().join("<br>")
}
