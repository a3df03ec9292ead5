//! One set-associative table: TLBs, walk caches and data caches are all this.

#[cfg(feature = "serde")]
mod snapshot;

use crate::{
    Geometry,
    policy::{Replacement, Shape},
};
use alloc::{vec, vec::Vec};

/// The owner of an entry. A lookup does not see entries of other scopes, and entries of ended scopes are
/// vacant, so ending a scope drops all its entries at once. [`Scope::NONE`] has no owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scope(pub u64);

impl Scope {
    /// The scope of vacant slots.
    pub const NONE: Self = Self(0);
    /// A scope for tables whose entries all belong to the same owner.
    pub const ONLY: Self = Self(1);
}

/// Which scopes have not ended.
pub trait Live {
    /// Returns true if entries of this scope are valid.
    fn is_live(&self, scope: Scope) -> bool;

    /// A number that is different whenever another scope has ended; never 0. A set once full is full until
    /// then.
    fn era(&self) -> u64;
}

/// Every scope is live: for tables whose scopes never end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forever;

impl Live for Forever {
    #[inline]
    fn is_live(&self, _: Scope) -> bool {
        true
    }

    #[inline]
    fn era(&self) -> u64 {
        1
    }
}

/// A set-associative table from 64-bit tags to values. The low bits of the tag choose the set.
///
/// Tags are kept apart from the rest, and in fours that a lookup compares at once; where the ways are no multiple
/// of four, the last places of a set stay vacant for ever.
#[derive(Clone, Debug)]
pub struct Assoc<V> {
    geometry: Geometry,
    /// Fours a set.
    fours: usize,
    tags: Vec<[u64; 4]>,
    slots: Vec<Slot<V>>,
    /// For each set the era in which no way of it was vacant.
    full: Vec<u64>,
    replacement: Replacement,
}

/// A slot's content but for its tag.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Slot<V> {
    scope: Scope,
    version: u32,
    value: V,
}

/// An entry that [`Assoc::find`] found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a, V> {
    /// Where it is.
    pub slot: usize,
    /// As [`Assoc::version`] says.
    pub version: u32,
    /// The value of the entry.
    pub value: &'a V,
}

/// An entry that made room for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted<V> {
    /// Its tag.
    pub tag: u64,
    /// Whose it is.
    pub scope: Scope,
    /// The value of the entry.
    pub value: V,
}

impl<V: Copy + Default> Assoc<V> {
    /// An empty table.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let (sets, ways) = (geometry.sets() as usize, geometry.ways() as usize);
        let fours = ways.div_ceil(4);
        Self {
            geometry,
            fours,
            tags: vec![[0; 4]; sets * fours],
            slots: vec![Slot::default(); sets * fours * 4],
            full: vec![0; sets],
            replacement: Replacement::new(geometry.policy(), Shape::new(sets, ways)),
        }
    }

    /// Its shape.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The entry whose tag is `tag` and of which `matches(scope, value)` holds. Changes nothing.
    #[inline]
    #[must_use]
    pub fn find(
        &self,
        tag: u64,
        mut matches: impl FnMut(Scope, &V) -> bool,
    ) -> Option<Found<'_, V>> {
        let first = self.set_of(tag) * self.fours;
        for (index, four) in (first..).zip(self.tags.get(first..first + self.fours)?) {
            let mut equal = equal_to(tag, four);
            while equal != 0 {
                let slot = index * 4 + equal.trailing_zeros() as usize;
                let Slot { scope, version, ref value } = *self.slots.get(slot)?;
                if scope != Scope::NONE && matches(scope, value) {
                    return Some(Found { slot, version, value });
                }
                equal &= equal - 1;
            }
        }
        None
    }

    /// Tells the replacement policy that a lookup found this slot.
    #[inline]
    pub fn hit(&mut self, slot: usize) {
        self.replacement.hit(slot);
    }

    /// Puts an entry into a vacant way of its set, or else where the policy says, and returns the slot. A
    /// way is vacant if it was removed or if its scope is not live any more.
    #[inline]
    pub fn insert(&mut self, tag: u64, scope: Scope, value: V, live: &impl Live) -> usize {
        let (slot, _) = self.make_room(tag, live);
        self.put(slot, tag, scope, value);
        slot
    }

    /// Inserts an entry, and returns the live entry that it evicted.
    pub fn exchange(
        &mut self,
        tag: u64,
        scope: Scope,
        value: V,
        live: &impl Live,
    ) -> (usize, Option<Evicted<V>>) {
        let (slot, is_vacant) = self.make_room(tag, live);
        let Slot { scope: owner, value: held, .. } = self.slots[slot];
        let evicted = Evicted { tag: self.tag(slot), scope: owner, value: held };
        self.put(slot, tag, scope, value);
        (slot, (!is_vacant).then_some(evicted))
    }

    /// Where an entry of this tag is to go, and whether that is a vacant way.
    #[inline(always)]
    fn make_room(&mut self, tag: u64, live: &impl Live) -> (usize, bool) {
        let set = self.set_of(tag);
        let first = set * self.fours * 4;
        match self.vacant(set, live) {
            Some(way) => (first + way, true),
            None => (first + self.replacement.victim(set), false),
        }
    }

    #[inline]
    fn put(&mut self, slot: usize, tag: u64, scope: Scope, value: V) {
        self.tags[slot / 4][slot % 4] = tag;
        self.update(slot, scope, value);
        self.replacement.filled(slot);
    }

    /// Changes an entry where it stands: the tag stays, and so does its place in the order of replacement.
    #[inline]
    pub fn update(&mut self, slot: usize, scope: Scope, value: V) {
        let held = &mut self.slots[slot];
        *held = Slot { scope, version: held.version.wrapping_add(1), value };
    }

    /// Vacates every slot of `tag`'s set that holds `tag` and of which `matches(scope, value)` holds.
    pub fn remove(&mut self, tag: u64, mut matches: impl FnMut(Scope, &V) -> bool) {
        let stride = self.fours * 4;
        let first = self.set_of(tag) * stride;
        for slot in first..first + stride {
            let Slot { scope, value, .. } = &self.slots[slot];
            if self.tag(slot) == tag && *scope != Scope::NONE && matches(*scope, value) {
                self.vacate(slot);
            }
        }
    }

    /// Vacates every entry of which `keeps(tag, scope, value)` does not hold; looks at all slots, but asks of no vacant one, in
    /// which anything may be left.
    pub fn retain(&mut self, mut keeps: impl FnMut(u64, Scope, &V) -> bool) {
        for slot in 0..self.slots.len() {
            let Slot { scope, value, .. } = &self.slots[slot];
            if *scope != Scope::NONE && !keeps(self.tag(slot), *scope, value) {
                self.vacate(slot);
            }
        }
    }

    /// A number that changes whenever the slot's content does.
    #[inline]
    #[must_use]
    pub fn version(&self, slot: usize) -> Option<u32> {
        Some(self.slots.get(slot)?.version)
    }

    /// All entries that are not vacant: tag, scope, value.
    pub fn entries(&self) -> impl Iterator<Item = (u64, Scope, &V)> {
        let held = self.tags.as_flattened().iter().zip(&self.slots);
        held.filter(|(_, slot)| slot.scope != Scope::NONE)
            .map(|(tag, slot)| (*tag, slot.scope, &slot.value))
    }

    /// The first vacant way of a set. A set that has none is not searched again in this era.
    #[inline(always)]
    fn vacant(&mut self, set: usize, live: &impl Live) -> Option<usize> {
        if self.full[set] == live.era() { None } else { self.search(set, live) }
    }

    #[inline(never)]
    fn search(&mut self, set: usize, live: &impl Live) -> Option<usize> {
        let first = set * self.fours * 4;
        let is_vacant = |slot: &Slot<V>| slot.scope == Scope::NONE || !live.is_live(slot.scope);
        let ways = self.geometry.ways() as usize;
        let vacant = self.slots[first..first + ways].iter().position(is_vacant);
        if vacant.is_none() {
            self.full[set] = live.era();
        }
        vacant
    }

    /// Vacates this slot.
    pub fn vacate(&mut self, slot: usize) {
        let Some(held) = self.slots.get_mut(slot) else { return };
        held.scope = Scope::NONE;
        held.version = held.version.wrapping_add(1);
        self.full[slot / 4 / self.fours] = 0;
    }

    fn tag(&self, slot: usize) -> u64 {
        self.tags[slot / 4][slot % 4]
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to fewer than 2^24 sets")]
    fn set_of(&self, tag: u64) -> usize {
        (tag & u64::from(self.geometry.sets() - 1)) as usize
    }
}

/// Which of four equal `tag`, a bit each. No branches, as nobody can predict which it is.
#[inline]
fn equal_to(tag: u64, four: &[u64; 4]) -> u32 {
    let bit = |way: usize| u32::from(four[way] == tag) << way;
    bit(0) | bit(1) | bit(2) | bit(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use emmu_property::{Arbitrary, Gen, quickcheck};
    use std::{collections::VecDeque, vec::Vec};

    /// A time when all scopes but one have ended.
    struct Only(Scope);

    impl Live for Only {
        fn is_live(&self, scope: Scope) -> bool {
            scope == self.0
        }
        fn era(&self) -> u64 {
            2
        }
    }

    fn lookup(table: &mut Assoc<u64>, tag: u64) -> Option<u64> {
        let Found { slot, value, .. } = table.find(tag, |_, _| true)?;
        let value = *value;
        table.hit(slot);
        Some(value)
    }

    #[test]
    fn a_full_set_evicts_and_its_neighbours_stay() {
        let mut table = Assoc::new(Geometry::new(2, 1, Policy::Lru).unwrap());
        for tag in [0, 1, 2] {
            table.insert(tag, Scope::ONLY, tag * 10, &Forever);
        }
        assert_eq!([0, 1, 2].map(|tag| lookup(&mut table, tag)), [None, Some(10), Some(20)]);
    }

    #[test]
    fn entries_of_an_ended_scope_make_room_first() {
        let mut table = Assoc::new(Geometry::new(1, 2, Policy::Lru).unwrap());
        table.insert(1, Scope(7), 1, &Forever);
        table.insert(2, Scope(8), 2, &Forever);
        lookup(&mut table, 1);
        table.insert(3, Scope(8), 3, &Only(Scope(8)));
        assert_eq!([1, 2, 3].map(|tag| lookup(&mut table, tag)), [None, Some(2), Some(3)]);
    }

    #[test]
    fn a_version_changes_with_the_content_only() {
        let mut table = Assoc::new(Geometry::fully_associative(1, Policy::Lru).unwrap());
        let slot = table.insert(1, Scope::ONLY, 1, &Forever);
        let version = table.version(slot);
        table.hit(slot);
        assert_eq!(table.version(slot), version);
        table.remove(1, |_, _| true);
        assert_ne!(table.version(slot), version);
    }

    #[test]
    fn an_update_where_it_stands_makes_no_entry_younger() {
        let mut table = Assoc::new(Geometry::fully_associative(2, Policy::Fifo).unwrap());
        let slot = table.insert(1, Scope::ONLY, 1, &Forever);
        table.insert(2, Scope::ONLY, 2, &Forever);
        let version = table.version(slot);
        table.update(slot, Scope::ONLY, 10);
        assert_ne!(table.version(slot), version);
        assert_eq!(lookup(&mut table, 1), Some(10));
        table.insert(3, Scope::ONLY, 3, &Forever);
        assert_eq!([1, 2, 3].map(|tag| lookup(&mut table, tag)), [None, Some(2), Some(3)]);
    }

    #[test]
    fn an_exchange_tells_what_went_unless_nothing_had_to() {
        let mut table = Assoc::new(Geometry::fully_associative(1, Policy::Lru).unwrap());
        let scope = Scope(7);
        let first = table.exchange(1, scope, 10, &Forever).1;
        let second = table.exchange(2, scope, 20, &Forever).1;
        let third = table.exchange(3, scope, 30, &Only(Scope(8))).1;
        assert_eq!([first, third], [None, None]);
        assert_eq!(second, Some(Evicted { tag: 1, scope, value: 10 }));
    }

    #[test]
    fn nobody_is_asked_about_a_vacant_slot() {
        let mut table = Assoc::new(Geometry::fully_associative(2, Policy::Lru).unwrap());
        let slot = table.insert(1, Scope::ONLY, 10, &Forever);
        table.vacate(slot);
        let version = table.version(slot);
        table.retain(|tag, _, _| panic!("{tag} was asked about"));
        table.remove(1, |_, value| panic!("{value} was asked about"));
        assert_eq!(table.version(slot), version);
    }

    #[test]
    fn a_vacated_slot_makes_room_first() {
        let mut table = Assoc::new(Geometry::fully_associative(2, Policy::Lru).unwrap());
        let slots = [1, 2].map(|tag| table.insert(tag, Scope::ONLY, tag, &Forever));
        table.vacate(slots[1]);
        assert_eq!(lookup(&mut table, 2), None);
        assert_eq!(table.insert(3, Scope::ONLY, 3, &Forever), slots[1]);
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
                    table.insert(tag, Scope::ONLY, tag, &Forever);
                }
                hit == naive.reference(tag)
            })
        }
    }
}
