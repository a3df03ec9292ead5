//! One set-associative table: TLBs, walk caches and data caches are all this.

use crate::replace::{Policy, Replacement};
use alloc::{vec, vec::Vec};
use thiserror::Error;

/// The shape of a set-associative table.
///
/// ```
/// use emmu_paging::{Geometry, Policy};
/// assert!(Geometry::new(128, 12, Policy::Lru).is_ok());
/// assert!(Geometry::fully_associative(48, Policy::Lru).is_ok());
/// let refused = Geometry::new(100, 4, Policy::Lru).unwrap_err();
/// assert_eq!(refused.to_string(), "sets = 100: expected a power of two");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    sets: u32,
    ways: u32,
    policy: Policy,
}

/// The largest table: slot numbers of a [`emmu_core::Ticket`] have 24 bits for it.
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

/// Who an entry belongs to. Entries of other scopes are not seen, and entries of ended scopes are vacant, so
/// ending a scope forgets all its entries at once. [`Scope::NONE`] belongs to nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope(pub u64);

impl Scope {
    /// The scope of vacant slots.
    pub const NONE: Self = Self(0);
    /// A scope for tables whose entries all belong to the same owner.
    pub const ONLY: Self = Self(1);
}

/// A set-associative table from 64-bit tags to values. The low bits of the tag choose the set.
#[derive(Clone, Debug)]
pub struct Assoc<V> {
    geometry: Geometry,
    tags: Vec<u64>,
    scopes: Vec<Scope>,
    values: Vec<V>,
    versions: Vec<u32>,
    replacement: Replacement,
}

impl<V: Copy + Default> Assoc<V> {
    /// An empty table.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let (sets, ways) = (geometry.sets as usize, geometry.ways as usize);
        let slots = sets * ways;
        Self {
            geometry,
            tags: vec![0; slots],
            scopes: vec![Scope::NONE; slots],
            values: vec![V::default(); slots],
            versions: vec![0; slots],
            replacement: Replacement::new(geometry.policy, sets, ways),
        }
    }

    /// Its shape.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The slot whose tag is `tag` and of which `matches(scope, value)` holds. Changes nothing.
    #[inline]
    #[must_use]
    pub fn find(&self, tag: u64, mut matches: impl FnMut(Scope, &V) -> bool) -> Option<usize> {
        let first = self.set_of(tag) * self.ways();
        let tags = self.tags.get(first..first + self.ways())?;
        tags.iter().enumerate().filter(|&(_, &held)| held == tag).map(|(way, _)| first + way).find(
            |&slot| {
                self.scopes[slot] != Scope::NONE && matches(self.scopes[slot], &self.values[slot])
            },
        )
    }

    /// Tells the replacement policy that a lookup found this slot.
    #[inline]
    pub fn hit(&mut self, slot: usize) {
        self.replacement.hit(slot, self.geometry.ways as usize);
    }

    /// Puts an entry into a vacant way of its set, or else where the policy says, and returns the slot. A
    /// way is vacant if it was removed or if its scope is not `live` any more.
    pub fn insert(
        &mut self,
        tag: u64,
        scope: Scope,
        value: V,
        live: impl Fn(Scope) -> bool,
    ) -> usize {
        let set = self.set_of(tag);
        let first = set * self.ways();
        let scopes = &self.scopes[first..first + self.ways()];
        let vacant = scopes.iter().position(|&scope| scope == Scope::NONE || !live(scope));
        let way =
            vacant.unwrap_or_else(|| self.replacement.victim(set, self.geometry.ways as usize));
        self.replace(first + way, tag, scope, value);
        first + way
    }

    /// Puts an entry into this slot, whatever it held.
    pub fn replace(&mut self, slot: usize, tag: u64, scope: Scope, value: V) {
        self.tags[slot] = tag;
        self.scopes[slot] = scope;
        self.values[slot] = value;
        self.versions[slot] = self.versions[slot].wrapping_add(1);
        self.replacement.filled(slot, self.geometry.ways as usize);
    }

    /// Vacates every slot of `tag`'s set that holds `tag` and of which `matches(scope, value)` holds.
    pub fn remove(&mut self, tag: u64, mut matches: impl FnMut(Scope, &V) -> bool) {
        let first = self.set_of(tag) * self.ways();
        for slot in first..first + self.ways() {
            if self.tags[slot] == tag && matches(self.scopes[slot], &self.values[slot]) {
                self.vacate(slot);
            }
        }
    }

    /// Vacates every slot of which `keeps(tag, scope, value)` does not hold; looks at all of them.
    pub fn retain(&mut self, mut keeps: impl FnMut(u64, Scope, &V) -> bool) {
        for slot in 0..self.tags.len() {
            if !keeps(self.tags[slot], self.scopes[slot], &self.values[slot]) {
                self.vacate(slot);
            }
        }
    }

    /// What a slot holds.
    #[inline]
    #[must_use]
    pub fn value(&self, slot: usize) -> &V {
        &self.values[slot]
    }

    /// A number that changes whenever the slot's content does.
    #[inline]
    #[must_use]
    pub fn version(&self, slot: usize) -> Option<u32> {
        self.versions.get(slot).copied()
    }

    /// All entries that are not vacant: tag, scope, value.
    pub fn entries(&self) -> impl Iterator<Item = (u64, Scope, &V)> {
        let slots = self.tags.iter().zip(&self.scopes).zip(&self.values);
        slots
            .filter(|((_, scope), _)| **scope != Scope::NONE)
            .map(|((tag, scope), value)| (*tag, *scope, value))
    }

    fn vacate(&mut self, slot: usize) {
        self.scopes[slot] = Scope::NONE;
        self.versions[slot] = self.versions[slot].wrapping_add(1);
    }

    #[inline]
    fn ways(&self) -> usize {
        self.geometry.ways as usize
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to fewer than 2^24 sets")]
    fn set_of(&self, tag: u64) -> usize {
        (tag & u64::from(self.geometry.sets - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::{Arbitrary, Gen, quickcheck};
    use std::{collections::VecDeque, vec::Vec};

    const ALL_LIVE: fn(Scope) -> bool = |_| true;

    fn lookup(table: &mut Assoc<u64>, tag: u64) -> Option<u64> {
        let slot = table.find(tag, |_, _| true)?;
        table.hit(slot);
        Some(*table.value(slot))
    }

    #[test]
    fn a_full_set_evicts_and_its_neighbours_stay() {
        let mut table = Assoc::new(Geometry::new(2, 1, Policy::Lru).unwrap());
        for tag in [0, 1, 2] {
            table.insert(tag, Scope::ONLY, tag * 10, ALL_LIVE);
        }
        assert_eq!([0, 1, 2].map(|tag| lookup(&mut table, tag)), [None, Some(10), Some(20)]);
    }

    #[test]
    fn entries_of_an_ended_scope_make_room_first() {
        let mut table = Assoc::new(Geometry::new(1, 2, Policy::Lru).unwrap());
        table.insert(1, Scope(7), 1, ALL_LIVE);
        table.insert(2, Scope(8), 2, ALL_LIVE);
        lookup(&mut table, 1);
        table.insert(3, Scope(8), 3, |scope| scope == Scope(8));
        assert_eq!([1, 2, 3].map(|tag| lookup(&mut table, tag)), [None, Some(2), Some(3)]);
    }

    #[test]
    fn a_version_changes_with_the_content_only() {
        let mut table = Assoc::new(Geometry::fully_associative(1, Policy::Lru).unwrap());
        let slot = table.insert(1, Scope::ONLY, 1, ALL_LIVE);
        let version = table.version(slot);
        table.hit(slot);
        assert_eq!(table.version(slot), version);
        table.remove(1, |_, _| true);
        assert_ne!(table.version(slot), version);
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let shapes = [(0, 4), (3, 4), (4, 0), (1 << 24, 2)];
        assert!(shapes.iter().all(|&(sets, ways)| Geometry::new(sets, ways, Policy::Lru).is_err()));
        assert!(Geometry::new(1, 12, Policy::TreePlru).is_err());
    }

    /// A list per set, oldest first.
    struct Naive {
        sets: Vec<VecDeque<u64>>,
        ways: usize,
        lru: bool,
    }

    impl Naive {
        fn reference(&mut self, tag: u64) -> bool {
            let index = usize::try_from(tag).unwrap() % self.sets.len();
            let set = &mut self.sets[index];
            let found = set.iter().position(|&held| held == tag);
            match found {
                Some(at) if self.lru => {
                    set.remove(at);
                    set.push_back(tag);
                }
                Some(_) => {}
                None => {
                    if set.len() == self.ways {
                        set.pop_front();
                    }
                    set.push_back(tag);
                }
            }
            found.is_some()
        }
    }

    #[derive(Clone, Debug)]
    struct Shape {
        sets_bits: u32,
        ways: u32,
        lru: bool,
    }

    impl Arbitrary for Shape {
        fn arbitrary(g: &mut Gen) -> Self {
            Self {
                sets_bits: u32::arbitrary(g) % 4,
                ways: u32::arbitrary(g) % 6 + 1,
                lru: bool::arbitrary(g),
            }
        }
    }

    quickcheck! {
        fn hits_and_misses_equal_those_of_a_plain_list(shape: Shape, tags: Vec<u8>) -> bool {
            let policy = if shape.lru { Policy::Lru } else { Policy::Fifo };
            let geometry = Geometry::new(1 << shape.sets_bits, shape.ways, policy).unwrap();
            let mut table = Assoc::new(geometry);
            let mut naive = Naive {
                sets: std::vec![VecDeque::new(); 1 << shape.sets_bits],
                ways: shape.ways as usize,
                lru: shape.lru,
            };
            tags.iter().map(|&tag| u64::from(tag % 64)).all(|tag| {
                let hit = lookup(&mut table, tag).is_some();
                if !hit {
                    table.insert(tag, Scope::ONLY, tag, ALL_LIVE);
                }
                hit == naive.reference(tag)
            })
        }
    }
}
