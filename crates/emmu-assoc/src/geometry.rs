//! The shapes that tables can have.

use crate::Policy;
use thiserror::Error;

/// The shape of a set-associative table.
///
/// ```
/// use emmu_assoc::{Geometry, Policy};
/// assert!(Geometry::new(128, 12, Policy::Lru).is_ok());
/// assert!(Geometry::fully_associative(48, Policy::Lru).is_ok());
/// let refused = Geometry::new(100, 4, Policy::Lru).unwrap_err();
/// assert_eq!(refused.to_string(), "sets = 100: expected a power of two");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "(u32, u32, Policy)", into = "(u32, u32, Policy)"))]
pub struct Geometry {
    sets: u32,
    ways: u32,
    policy: Policy,
}

/// The largest table: slot numbers of a ticket of `emmu-core` have 24 bits for it.
const MAX_SLOTS: u64 = 1 << 24;

/// Why a table of this shape cannot exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// A set is chosen by low bits of the page number.
    #[error("sets = {sets}: expected a power of two")]
    Sets {
        /// The number of sets asked for.
        sets: u32,
    },
    /// A table without ways holds nothing.
    #[error("ways = 0: expected at least 1")]
    NoWays,
    /// The replacement policy cannot have so many sets.
    #[error("sets = {sets}: {} replacement expects {}", .policy.name(), .policy.sets().expected())]
    PolicySets {
        /// The number of sets asked for.
        sets: u32,
        /// The policy.
        policy: Policy,
    },
    /// The replacement policy cannot have so many ways.
    #[error("ways = {ways}: {} replacement expects {}", .policy.name(), .policy.ways().expected())]
    PolicyWays {
        /// The number of ways asked for.
        ways: u32,
        /// The policy.
        policy: Policy,
    },
    /// More entries than emmu holds in one table.
    #[error("{sets} sets of {ways} ways: expected at most 2^24 entries")]
    TooLarge {
        /// The number of sets asked for.
        sets: u32,
        /// The number of ways asked for.
        ways: u32,
    },
}

impl Geometry {
    /// `sets` × `ways` entries.
    ///
    /// # Errors
    /// [`GeometryError`] when `sets` is no power of two, `ways` is 0, the product exceeds 2^24, or the policy
    /// cannot have so many sets or ways.
    pub const fn new(sets: u32, ways: u32, policy: Policy) -> Result<Self, GeometryError> {
        if !sets.is_power_of_two() {
            return Err(GeometryError::Sets { sets });
        }
        if ways == 0 {
            return Err(GeometryError::NoWays);
        }
        if !policy.sets().allows(sets) {
            return Err(GeometryError::PolicySets { sets, policy });
        }
        if !policy.ways().allows(ways) {
            return Err(GeometryError::PolicyWays { ways, policy });
        }
        if sets as u64 * ways as u64 > MAX_SLOTS {
            return Err(GeometryError::TooLarge { sets, ways });
        }
        Ok(Self { sets, ways, policy })
    }

    /// One set of `entries` ways.
    ///
    /// # Errors
    /// As [`Geometry::new`].
    pub const fn fully_associative(entries: u32, policy: Policy) -> Result<Self, GeometryError> {
        Self::new(1, entries, policy)
    }

    /// Returns this shape with other random numbers, as [`Policy::reseeded`].
    #[must_use]
    pub fn reseeded(self, seed: u64) -> Self {
        Self { policy: self.policy.reseeded(seed), ..self }
    }

    /// Number of sets.
    #[must_use]
    pub const fn sets(self) -> u32 {
        self.sets
    }

    /// Entries a set.
    #[must_use]
    pub const fn ways(self) -> u32 {
        self.ways
    }

    /// Entries in all.
    #[must_use]
    pub const fn entries(self) -> u32 {
        self.sets * self.ways
    }

    /// Returns the replacement policy.
    #[must_use]
    pub const fn policy(self) -> Policy {
        self.policy
    }
}

#[cfg(feature = "serde")]
impl TryFrom<(u32, u32, Policy)> for Geometry {
    type Error = GeometryError;

    fn try_from((sets, ways, policy): (u32, u32, Policy)) -> Result<Self, GeometryError> {
        Self::new(sets, ways, policy)
    }
}

#[cfg(feature = "serde")]
impl From<Geometry> for (u32, u32, Policy) {
    fn from(Geometry { sets, ways, policy }: Geometry) -> Self {
        (sets, ways, policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_shapes_are_refused() {
        let shapes = [(0, 4), (3, 4), (4, 0), (1 << 24, 2)];
        assert!(shapes.iter().all(|&(sets, ways)| Geometry::new(sets, ways, Policy::Lru).is_err()));
        assert!(Geometry::new(1, 12, Policy::TreePlru).is_err());
    }
}
