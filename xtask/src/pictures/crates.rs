//! The picture of the crates, from the dependencies of the workspace and the table of layers.

use super::graph::{Arrow, Box, Graph, Row};
use crate::{layers, workspace};
use std::collections::{BTreeMap, BTreeSet};

/// The crates that each crate depends on.
type Dependencies<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Draws each crate in the row of its layer, the highest layer first. Arrows lead to the crates that it depends on,
/// but for those that it reaches by other arrows anyway.
pub(crate) fn graph(workspace: &workspace::Graph) -> Graph {
    let dependencies = dependencies(workspace);
    let arrows = dependencies.iter().flat_map(|(from, to)| {
        let direct = to.iter().filter(|to| !is_reached_otherwise(&dependencies, from, to));
        direct.map(|to| arrow(from, to))
    });
    Graph {
        title: "The crates of emmu and their dependencies".to_owned(),
        rows: rows(&dependencies),
        arrows: arrows.collect(),
    }
}

fn dependencies(workspace: &workspace::Graph) -> Dependencies<'_> {
    let row = |package: &workspace::Package| layers::row(&package.name).is_some();
    let packages = workspace.packages.iter().filter(|package| row(package));
    let used = |package: &'_ workspace::Package| {
        let local = package.dependencies.iter().filter(|to| to.local && !to.dev);
        local.map(|to| to.name.clone()).collect::<BTreeSet<_>>()
    };
    let names: BTreeMap<_, _> =
        packages.map(|package| (package.name.as_str(), used(package))).collect();
    let known = |name: &String| names.get_key_value(name.as_str()).map(|(&name, _)| name);
    names.iter().map(|(&name, used)| (name, used.iter().filter_map(known).collect())).collect()
}

fn rows(dependencies: &Dependencies<'_>) -> Vec<Row> {
    let mut rows: BTreeMap<_, Row> = BTreeMap::new();
    for &name in dependencies.keys() {
        let Some((rank, label)) = layers::row(name) else { continue };
        let row = rows.entry(std::cmp::Reverse(rank)).or_default();
        label.clone_into(&mut row.label);
        row.boxes.push(Box { name: name.to_owned(), title: name.to_owned(), note: String::new() });
    }
    rows.into_values().collect()
}

fn arrow(from: &str, to: &str) -> Arrow {
    Arrow { from: from.to_owned(), to: to.to_owned(), label: String::new() }
}

/// Returns true if `from` depends on some other crate that depends on `to`, directly or not.
fn is_reached_otherwise(dependencies: &Dependencies<'_>, from: &str, to: &str) -> bool {
    let mut open: Vec<_> = dependencies[from].iter().filter(|next| **next != to).collect();
    let mut seen = BTreeSet::new();
    while let Some(next) = open.pop() {
        if *next == to {
            return true;
        }
        if seen.insert(next) {
            open.extend(&dependencies[next]);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Dependency, Package};

    fn package(name: &str, local: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency {
            name: (*name).to_owned(),
            dev: false,
            local: true,
            wants_std: false,
        };
        Package {
            name: name.to_owned(),
            dependencies: local.iter().map(dependency).collect(),
            no_std: true,
            inherits_lints: true,
        }
    }

    #[test]
    fn an_arrow_that_others_make_is_left_out() {
        let packages = vec![
            package("emmu-core", &[]),
            package("emmu-paging", &["emmu-core"]),
            package("emmu-cli", &["emmu-paging", "emmu-core"]),
        ];
        let graph = graph(&workspace::Graph { packages, forbids_unsafe: true });
        let arrows: Vec<_> = graph.arrows.iter().map(|arrow| (&*arrow.from, &*arrow.to)).collect();
        assert_eq!(arrows, [("emmu-cli", "emmu-paging"), ("emmu-paging", "emmu-core")]);
        let rows: Vec<_> = graph.rows.iter().map(|row| row.boxes[0].name.as_str()).collect();
        assert_eq!(rows, ["emmu-cli", "emmu-paging", "emmu-core"]);
    }
}
