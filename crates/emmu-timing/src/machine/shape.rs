//! Reading the shape of a set-associative table.

use super::MachineError;
use super::section::{Item, Section, one_of};
use emmu_paging::{Geometry, GeometryError, Own, Policy};

/// The most sets, ways or entries a table may have: [`Geometry`] refuses larger products.
pub(crate) const MAX_ENTRIES: u32 = 1 << 24;

/// `sets` and `ways`, or `entries` for one set, and the replacement policy.
pub(crate) fn geometry(section: &Section<'_>) -> Result<Geometry, MachineError> {
    const EXPECTED: &str = "`sets` and `ways`, or `entries` if fully associative";
    let policy = policy(section)?;
    let many = |item: &Item<'_>, unit| item.integer32(1..=MAX_ENTRIES, unit);
    match (section.find("entries"), section.find("sets"), section.find("ways")) {
        (Some(entries), None, None) => {
            let made = Geometry::fully_associative(many(&entries, " entries")?, policy);
            made.map_err(|error| refuse_geometry(error, &entries, &entries))
        }
        (None, Some(sets), Some(ways)) => {
            let made = Geometry::new(many(&sets, " sets")?, many(&ways, " ways")?, policy);
            made.map_err(|error| refuse_geometry(error, &sets, &ways))
        }
        (Some(entries), _, _) => Err(entries.refuse("given beside `sets` or `ways`", EXPECTED)),
        (None, None, _) => Err(section.refuse("sets", "missing", EXPECTED)),
        (None, _, None) => Err(section.refuse("ways", "missing", EXPECTED)),
    }
}

/// Blames the key of the sets, or that of the ways, for a shape that [`Geometry`] refuses.
pub(crate) fn refuse_geometry(
    error: GeometryError,
    sets: &Item<'_>,
    ways: &Item<'_>,
) -> MachineError {
    match error {
        GeometryError::Sets { sets: found } => {
            sets.refuse(format!("{found} is not a power of two"), "1, 2, 4, …")
        }
        GeometryError::NoWays => ways.refuse("0 is out of range", "at least 1"),
        GeometryError::PolicySets { sets: found, policy } => {
            sets.refuse(cannot_have(found, "sets", policy), policy.sets().expected())
        }
        GeometryError::PolicyWays { ways: found, policy } => {
            ways.refuse(cannot_have(found, "ways", policy), policy.ways().expected())
        }
        GeometryError::TooLarge { sets: rows, ways: found } => {
            ways.refuse(format!("{rows} sets of {found} ways are too many"), "2^24 entries at most")
        }
        other => sets.refuse(other, "another shape"),
    }
}

fn cannot_have(number: u32, of: &str, policy: Policy) -> String {
    format!("{number} {of} cannot have {} replacement", policy.name())
}

/// The key that names a replacement policy.
const REPLACEMENT: &str = "replacement";

/// The largest integer that TOML promises.
const TOML_MAX: u64 = i64::MAX.cast_unsigned();

/// Adds the keys of the policies' parameters after the key that names a policy.
pub(crate) fn with_parameters<'a>(keys: &[&'a str]) -> Vec<&'a str> {
    let both = |&key: &&'a str| {
        let parameters = if key == REPLACEMENT { parameters() } else { Vec::new() };
        [key].into_iter().chain(parameters)
    };
    keys.iter().flat_map(both).collect()
}

/// The names of all parameters that a built-in policy has.
fn parameters() -> Vec<&'static str> {
    let mut names = Vec::new();
    for parameter in Policy::BUILT_IN.iter().flat_map(|policy| policy.parameters()) {
        if !names.contains(&parameter.name) {
            names.push(parameter.name);
        }
    }
    names
}

/// The policies that every description may name.
fn built_in() -> Vec<(&'static str, Policy)> {
    Policy::BUILT_IN.iter().map(|&policy| (policy.name(), policy)).collect()
}

/// Refuses policies of one's own of which a name could mean two, or one that is built in.
pub(crate) fn refuse_ambiguous(own: &[Own]) -> Result<(), MachineError> {
    let mut names: Vec<_> = built_in().into_iter().map(|(name, _)| name).collect();
    for policy in own {
        let name = policy.name();
        if names.contains(&name) {
            return Err(MachineError::PolicyName { name: name.to_owned() });
        }
        names.push(name);
    }
    Ok(())
}

/// The replacement policy with its parameters: least recently used if nothing is said.
pub(crate) fn policy(section: &Section<'_>) -> Result<Policy, MachineError> {
    let policy = section.find(REPLACEMENT).map(|item| named(&item, section.own_policies()));
    let policy = policy.transpose()?.unwrap_or_default();
    let given = parameters().into_iter().filter_map(|name| Some((name, section.find(name)?)));
    given.into_iter().try_fold(policy, |policy, (name, item)| with(policy, name, &item))
}

/// The policy with the value of this parameter.
fn with(policy: Policy, name: &str, item: &Item<'_>) -> Result<Policy, MachineError> {
    let parameter = policy.parameters().into_iter().find(|parameter| parameter.name == name);
    let given = match parameter {
        Some(parameter) => {
            let (least, most) = parameter.range.into_inner();
            policy.with(name, item.integer(least..=most.min(TOML_MAX), "")?)
        }
        None => None,
    };
    given.ok_or_else(|| {
        let problem = format!("{} replacement has no {name}", policy.name());
        item.refuse(problem, format!("no {name}, or {REPLACEMENT} = {}", those_with(name)))
    })
}

/// The names of the policies that have this parameter.
fn those_with(parameter: &str) -> String {
    let mut names = built_in();
    names.retain(|(_, policy)| policy.parameters().iter().any(|own| own.name == parameter));
    one_of(&names)
}

/// The policy of this name. Where none of one's own is known, the error says so: who wrote its name may have it.
fn named(item: &Item<'_>, own: &[Own]) -> Result<Policy, MachineError> {
    let mut names = built_in();
    names.extend(own.iter().map(|&policy| (policy.name(), Policy::Own(policy))));
    let only = if own.is_empty() { "; only the built-in policies are known here" } else { "" };
    item.choice_of(&names, &(one_of(&names) + only))
}
