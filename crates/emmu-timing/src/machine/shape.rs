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

/// What [`Geometry`] refuses, put down to the key of the sets or that of the ways.
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
        GeometryError::TreeWays { ways: found } => ways.refuse(
            format!("{found} ways cannot have tree-plru replacement"),
            "a power of two, 64 at most",
        ),
        GeometryError::TooLarge { sets: rows, ways: found } => {
            ways.refuse(format!("{rows} sets of {found} ways are too many"), "2^24 entries at most")
        }
    }
}

/// The policies that every description may name.
const BUILT_IN: [(&str, Policy); 5] = [
    ("lru", Policy::Lru),
    ("tree-plru", Policy::TreePlru),
    ("fifo", Policy::Fifo),
    ("random", Policy::Random { seed: 0 }),
    ("srrip", Policy::Srrip),
];

/// Refuses policies of one's own of which a name could mean two, or one that is built in.
pub(crate) fn refuse_ambiguous(own: &[Own]) -> Result<(), MachineError> {
    let mut names = BUILT_IN.map(|(name, _)| name).to_vec();
    for policy in own {
        let name = policy.name();
        if names.contains(&name) {
            return Err(MachineError::PolicyName { name: name.to_owned() });
        }
        names.push(name);
    }
    Ok(())
}

/// The replacement policy: least recently used if nothing is said.
pub(crate) fn policy(section: &Section<'_>) -> Result<Policy, MachineError> {
    const SEED: &str = "no seed, or replacement = \"random\"";
    let policy = section.find("replacement").map(|item| named(&item, section.own_policies()));
    match (policy.transpose()?.unwrap_or_default(), section.find("seed")) {
        (Policy::Random { .. }, Some(item)) => {
            // TOML promises 64-bit signed integers and no more.
            Ok(Policy::Random { seed: item.integer(0..=i64::MAX.cast_unsigned(), "")? })
        }
        (_, Some(item)) => Err(item.refuse("only random replacement has a seed", SEED)),
        (policy, None) => Ok(policy),
    }
}

/// The policy of this name. Where none of one's own is known, the error says so: who wrote its name may have it.
fn named(item: &Item<'_>, own: &[Own]) -> Result<Policy, MachineError> {
    let mut names = BUILT_IN.to_vec();
    names.extend(own.iter().map(|&policy| (policy.name(), Policy::Own(policy))));
    let only = if own.is_empty() { "; only the built-in policies are known here" } else { "" };
    item.choice_of(&names, &(one_of(&names) + only))
}
