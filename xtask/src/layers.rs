//! Dependencies between the crates point one way, and the low crates stay small.

use crate::workspace::{Dependency, Graph, Package};
use std::fmt;

/// The layers, lowest first. A crate may use crates of lower layers only; packages outside `crates/`
/// (benches, fuzz targets, xtask) may use anything, and nothing uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// The vocabulary and the seams.
    Core,
    /// Parts of several units.
    Parts,
    /// The physical side, and the translation units.
    Units,
    /// Users of the seams, and implementations of them.
    Machine,
    /// Systems that run, price, feed and check machines.
    Systems,
    /// Where the judged meets the judge.
    Checks,
    /// Whole runs, from input to report.
    Runs,
    /// The crate that an embedder depends on.
    Facade,
    /// The command.
    Command,
    /// Crates that only tests use.
    Tests,
}

/// Which crates of this repository a crate may use.
#[derive(Clone, Copy)]
enum Reach {
    /// All of lower layers.
    Lower,
    /// These.
    Only(&'static [&'static str]),
}

/// Which crates from elsewhere a crate may use.
#[derive(Clone, Copy)]
enum External {
    Any,
    /// These, without their `std`; and the crate itself is `#![no_std]`.
    NoStd(&'static [&'static str]),
}

struct Row {
    name: &'static str,
    layer: Layer,
    reach: Reach,
    external: External,
}

const CORE_ONLY: Reach = Reach::Only(&["emmu-core"]);
const UNIT: Reach = Reach::Only(&["emmu-core", "emmu-assoc"]);
const JUDGE: Reach = Reach::Only(&["emmu-core", "emmu-vectors"]);
const TINY: External = External::NoStd(&["bitflags", "serde", "thiserror"]);
const SMALL: External =
    External::NoStd(&["bitflags", "hashbrown", "rand", "rand_xoshiro", "serde", "thiserror"]);

/// Crates that draw test cases. Only tests use them, so that they are in nothing that is shipped.
const PROPERTY_TESTS: [&str; 4] = ["arbitrary", "proptest", "quickcheck", "quickcheck_macros"];

/// The rule. A new crate gets a row here.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row { name: "emmu-core",         layer: Layer::Core,    reach: Reach::Only(&[]), external: TINY },
    Row { name: "emmu-assoc",        layer: Layer::Parts,   reach: Reach::Only(&[]), external: SMALL },
    Row { name: "emmu-memory",       layer: Layer::Units,   reach: CORE_ONLY,        external: SMALL },
    Row { name: "emmu-base-bounds",  layer: Layer::Units,   reach: CORE_ONLY,        external: TINY },
    Row { name: "emmu-segmentation", layer: Layer::Units,   reach: UNIT,             external: TINY },
    Row { name: "emmu-paging",       layer: Layer::Units,   reach: UNIT,             external: SMALL },
    Row { name: "emmu-cpu",          layer: Layer::Machine, reach: CORE_ONLY,        external: TINY },
    Row { name: "emmu-heap",         layer: Layer::Machine, reach: CORE_ONLY,        external: TINY },
    Row { name: "emmu-os",           layer: Layer::Systems, reach: Reach::Lower,     external: SMALL },
    Row { name: "emmu-sanitizer",    layer: Layer::Systems, reach: Reach::Lower,     external: SMALL },
    Row { name: "emmu-timing",       layer: Layer::Systems, reach: Reach::Lower,     external: External::Any },
    Row { name: "emmu-trace",        layer: Layer::Systems, reach: Reach::Lower,     external: External::Any },
    // The judges share nothing with the judged but the vocabulary.
    Row { name: "emmu-vectors",      layer: Layer::Machine, reach: CORE_ONLY,        external: External::Any },
    Row { name: "emmu-oracle",       layer: Layer::Systems, reach: JUDGE,            external: External::Any },
    Row { name: "emmu-check",        layer: Layer::Checks,  reach: Reach::Lower,     external: External::Any },
    Row { name: "emmu-sim",          layer: Layer::Runs,    reach: Reach::Lower,     external: External::Any },
    Row { name: "emmu",              layer: Layer::Facade,  reach: Reach::Lower,     external: External::Any },
    Row { name: "emmu-cli",          layer: Layer::Command, reach: Reach::Lower,     external: External::Any },
    Row { name: "emmu-property",     layer: Layer::Tests,   reach: Reach::Only(&[]), external: External::Any },
    Row { name: "emmu-verify",       layer: Layer::Tests,   reach: Reach::Lower,     external: External::Any },
];

/// The crates that must compile without the standard library.
pub(crate) fn no_std_crates() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|row| matches!(row.external, External::NoStd(_))).map(|row| row.name)
}

/// Returns the rank of a crate's layer (0 is the lowest) and the name of the layer.
pub(crate) fn row(name: &str) -> Option<(usize, &'static str)> {
    find(name).map(|row| (row.layer as usize, row.layer.label()))
}

impl Layer {
    /// The name of the layer in the picture of the crates.
    const fn label(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Parts => "parts of units",
            Self::Units => "units, memory",
            Self::Machine => "CPU, heap, vectors",
            Self::Systems => "systems",
            Self::Checks => "checks",
            Self::Runs => "runs",
            Self::Facade => "facade",
            Self::Command => "command",
            Self::Tests => "tests only",
        }
    }
}

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    Unlisted { name: String },
    Upward { from: String, to: String, why: String },
    External { from: String, to: String, allowed: String },
    ForTests { from: String, to: String },
    WantsStd { from: String, to: String },
    NotNoStd { name: String },
    OwnLints { name: String },
    UnsafeAllowed,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlisted { name } => {
                write!(f, "{name} has no layer: give it a row in xtask/src/layers.rs")
            }
            Self::Upward { from, to, why } => write!(f, "{from} must not depend on {to}: {why}"),
            Self::External { from, to, allowed } => {
                write!(
                    f,
                    "{from} must not depend on {to}: from elsewhere it may use only {allowed}"
                )
            }
            Self::ForTests { from, to } => {
                write!(
                    f,
                    "{from} must not depend on {to} but in tests: what draws cases is not shipped"
                )
            }
            Self::WantsStd { from, to } => write!(
                f,
                "{from} is no_std, but its dependency {to} has default features or `std` on: \
                 set default-features = false"
            ),
            Self::NotNoStd { name } => write!(f, "{name}: its lib.rs lacks `#![no_std]`"),
            Self::OwnLints { name } => {
                write!(f, "{name}: its Cargo.toml lacks `[lints] workspace = true`")
            }
            Self::UnsafeAllowed => {
                write!(f, "Cargo.toml: [workspace.lints.rust] must say unsafe_code = \"forbid\"")
            }
        }
    }
}

/// Everything in the workspace that breaks the table.
pub(crate) fn check(graph: &Graph) -> Vec<Violation> {
    let mut violations: Vec<_> = graph.packages.iter().flat_map(check_package).collect();
    if !graph.forbids_unsafe {
        violations.push(Violation::UnsafeAllowed);
    }
    violations
}

fn check_package(package: &Package) -> Vec<Violation> {
    let name = package.name.clone();
    let Some(row) = find(&name) else {
        return vec![Violation::Unlisted { name }];
    };
    let edges = package.dependencies.iter().filter_map(|to| check_edge(row, to));
    let mut violations: Vec<_> = edges.collect();
    if matches!(row.external, External::NoStd(_)) && !package.no_std {
        violations.push(Violation::NotNoStd { name: name.clone() });
    }
    if !package.inherits_lints {
        violations.push(Violation::OwnLints { name });
    }
    violations
}

fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

fn check_edge(from: &Row, to: &Dependency) -> Option<Violation> {
    match (to.local, to.dev) {
        (true, dev) => check_local(from, &to.name, dev),
        (false, false) => check_external(from, to),
        (false, true) => None,
    }
}

/// Tests may look anywhere, but for those of the core: nothing of emmu may be needed to understand it.
fn check_local(from: &Row, to: &str, dev: bool) -> Option<Violation> {
    let is_for_tests = find(to).is_some_and(|to| to.layer == Layer::Tests);
    if dev && (from.layer != Layer::Core || is_for_tests) {
        return None;
    }
    let why = match (find(to), from.reach) {
        (_, Reach::Only([])) => "it depends on no crate of emmu, in tests neither".to_owned(),
        (_, Reach::Only(names)) if !names.contains(&to) => {
            format!("of emmu it may use only {}", names.join(", "))
        }
        (None, _) => "that is not a library of this workspace".to_owned(),
        (Some(to), _) if to.layer >= from.layer => {
            format!("{:?} is below {:?}; arrows point down", from.layer, to.layer)
        }
        _ => return None,
    };
    Some(Violation::Upward { from: from.name.to_owned(), to: to.to_owned(), why })
}

fn check_external(from: &Row, to: &Dependency) -> Option<Violation> {
    let (name, dependency) = (from.name.to_owned(), to.name.clone());
    if from.layer != Layer::Tests && PROPERTY_TESTS.contains(&to.name.as_str()) {
        return Some(Violation::ForTests { from: name, to: dependency });
    }
    let External::NoStd(allowed) = from.external else {
        return None;
    };
    if !allowed.contains(&to.name.as_str()) {
        let allowed = allowed.join(", ");
        return Some(Violation::External { from: name, to: dependency, allowed });
    }
    to.wants_std.then_some(Violation::WantsStd { from: name, to: dependency })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn package(name: &str, dependencies: Vec<Dependency>) -> Package {
        Package { name: name.to_owned(), dependencies, no_std: true, inherits_lints: true }
    }

    fn local(name: &str) -> Dependency {
        Dependency { name: name.to_owned(), dev: false, local: true, wants_std: true }
    }

    fn external(name: &str) -> Dependency {
        Dependency { name: name.to_owned(), dev: false, local: false, wants_std: false }
    }

    fn dev(dependency: Dependency) -> Dependency {
        Dependency { dev: true, ..dependency }
    }

    fn messages(packages: Vec<Package>) -> Vec<String> {
        check(&Graph { packages, forbids_unsafe: true }).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn arrows_that_point_down_are_fine() {
        let paging = package("emmu-paging", vec![local("emmu-core"), external("bitflags")]);
        let timing = package("emmu-timing", vec![local("emmu-paging"), external("serde")]);
        let command = package("emmu-cli", vec![local("emmu-timing"), local("emmu")]);
        assert_eq!(messages(vec![paging, timing, command]), [""; 0]);
    }

    #[test]
    fn an_arrow_that_points_up_is_named_with_its_layers() {
        let timing = package("emmu-timing", vec![local("emmu-cli")]);
        assert_eq!(
            messages(vec![timing]),
            [
                "emmu-timing must not depend on emmu-cli: Systems is below Command; arrows point down"
            ]
        );
    }

    #[test]
    fn crates_of_one_layer_do_not_use_each_other() {
        let os = package("emmu-os", vec![local("emmu-timing")]);
        assert_eq!(messages(vec![os]).len(), 1);
    }

    #[test]
    fn the_cpu_never_names_a_unit() {
        let cpu = package("emmu-cpu", vec![local("emmu-paging")]);
        assert_eq!(
            messages(vec![cpu]),
            ["emmu-cpu must not depend on emmu-paging: of emmu it may use only emmu-core"]
        );
    }

    #[test]
    fn the_oracle_shares_nothing_with_the_units_but_may_test_against_them() {
        let bad = package("emmu-oracle", vec![local("emmu-paging")]);
        let good = package("emmu-oracle", vec![dev(local("emmu-paging"))]);
        assert_eq!(messages(vec![bad]).len(), 1);
        assert_eq!(messages(vec![good]), [""; 0]);
    }

    #[test]
    fn the_core_needs_no_crate_of_emmu_in_tests_neither() {
        let core = package("emmu-core", vec![dev(local("emmu-memory"))]);
        assert_eq!(
            messages(vec![core]),
            [
                "emmu-core must not depend on emmu-memory: it depends on no crate of emmu, in tests neither"
            ]
        );
    }

    #[test]
    fn what_tests_are_made_with_is_for_tests_alone() {
        let tested = package("emmu-core", vec![dev(local("emmu-property"))]);
        let used = package("emmu-check", vec![local("emmu-property")]);
        assert_eq!(messages(vec![tested]), [""; 0]);
        assert_eq!(messages(vec![used]).len(), 1);
    }

    #[test]
    fn what_draws_cases_is_in_no_crate_that_the_command_can_use() {
        let check = package("emmu-check", vec![external("quickcheck")]);
        let tests = package("emmu-check", vec![dev(external("quickcheck"))]);
        let verify = package("emmu-verify", vec![external("quickcheck"), local("emmu-check")]);
        let command = package("emmu-cli", vec![local("emmu-verify")]);
        assert_eq!(
            messages(vec![check]),
            [
                "emmu-check must not depend on quickcheck but in tests: what draws cases is not shipped"
            ]
        );
        assert_eq!(messages(vec![tests, verify]), [""; 0]);
        assert_eq!(messages(vec![command]).len(), 1);
    }

    #[test]
    fn a_low_crate_may_use_only_listed_crates_from_elsewhere() {
        let unit = package("emmu-base-bounds", vec![external("rayon"), dev(external("rayon"))]);
        assert_eq!(
            messages(vec![unit]),
            ["emmu-base-bounds must not depend on rayon: \
              from elsewhere it may use only bitflags, serde, thiserror"]
        );
    }

    #[test]
    fn a_low_crate_may_not_bring_in_the_standard_library() {
        let with_std = Dependency { wants_std: true, ..external("rand") };
        let mut unit = package("emmu-paging", vec![with_std]);
        unit.no_std = false;
        assert_eq!(messages(vec![unit]).len(), 2);
    }

    #[test]
    fn a_crate_without_a_row_is_reported() {
        assert_eq!(
            messages(vec![package("emmu-new", vec![])]),
            ["emmu-new has no layer: give it a row in xtask/src/layers.rs"]
        );
    }

    #[test]
    fn unsafe_code_must_be_forbidden_for_every_crate() {
        let mut os = package("emmu-os", vec![]);
        os.inherits_lints = false;
        let graph = Graph { packages: vec![os], forbids_unsafe: false };
        let name = "emmu-os".to_owned();
        assert_eq!(check(&graph), [Violation::OwnLints { name }, Violation::UnsafeAllowed]);
    }

    #[test]
    fn the_real_workspace_keeps_the_rule() {
        let graph = workspace::load(&workspace::root()).unwrap();
        assert!(graph.packages.iter().any(|package| package.name == "emmu-core"));
        assert_eq!(check(&graph), []);
    }
}
