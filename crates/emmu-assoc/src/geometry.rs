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
    /// Tree-PLRU has one 64-bit tree a set, and a tree has a power of two of leaves.
    #[error("ways = {ways}: tree-PLRU expects a power of two, 64 at most")]
    TreeWays {
        /// The number of ways asked for.
        ways: u32,
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
    /// [`GeometryError`] when `sets` is no power of two, `ways` is 0, the product exceeds 2^24, or tree-PLRU
    /// cannot have that many ways.
    pub const fn new(sets: u32, ways: u32, policy: Policy) -> Result<Self, GeometryError> {
        if !sets.is_power_of_two() {
            return Err(GeometryError::Sets { sets });
        }
        if ways == 0 {
            return Err(GeometryError::NoWays);
        }
        if matches!(policy, Policy::TreePlru) && (!ways.is_power_of_two() || ways > 64) {
            return Err(GeometryError::TreeWays { ways });
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

    /// The same shape, whose random replacement, if it has that, is drawn from another seed.
    #[must_use]
    pub const fn with_seed(self, seed: u64) -> Self {
        match self.policy {
            Policy::Random { .. } => Self { policy: Policy::Random { seed }, ..self },
            _ => self,
        }
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

    /// Who makes room.
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
