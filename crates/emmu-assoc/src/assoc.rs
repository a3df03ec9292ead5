//! One set-associative table: TLBs, walk caches and data caches are all this.

#[cfg(feature = "serde")]
mod snapshot;

use crate::{
    Geometry,
    policy::{Replacement, Shape},
};
use alloc::{vec, vec::Vec};

/// The owner of an entry. A lookup does not see entries of other owners, and entries of ended owners are
/// vacant, so ending an owner drops all its entries at once. [`Owner::NONE`] is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Owner(pub u64);

impl Owner {
    /// The owner of vacant slots.
    pub const NONE: Self = Self(0);
    /// An owner for tables whose entries all belong to the same owner.
    pub const ONLY: Self = Self(1);
}

/// Which owners have not ended.
pub trait Live {
    /// Returns true if entries of this owner are valid.
    fn is_live(&self, owner: Owner) -> bool;

    /// A number that is different whenever another owner has ended; never 0. A set once full is full until
    /// then.
    fn era(&self) -> u64;
}

/// Every owner is live: for tables whose owners never end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forever;

impl Live for Forever {
    #[inline]
    fn is_live(&self, _: Owner) -> bool {
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
    owner: Owner,
    version: u32,
    value: V,
}

/// An entry that [`Assoc::lookup`] found.
#[derive(Clone, Copy, Debug)]
pub struct AssocHit<'a, V> {
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
    pub owner: Owner,
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

    /// The entry whose tag is `tag` and of which `matches(owner, value)` holds. Changes nothing.
    #[inline]
    #[must_use]
    pub fn lookup(
        &self,
        tag: u64,
        mut matches: impl FnMut(Owner, &V) -> bool,
    ) -> Option<AssocHit<'_, V>> {
        let first = self.set_of(tag) * self.fours;
        for (index, four) in (first..).zip(self.tags.get(first..first + self.fours)?) {
            let mut equal = equal_to(tag, four);
            while equal != 0 {
                let slot = index * 4 + equal.trailing_zeros() as usize;
                let Slot { owner, version, ref value } = *self.slots.get(slot)?;
                if owner != Owner::NONE && matches(owner, value) {
                    return Some(AssocHit { slot, version, value });
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
    /// way is vacant if its entry was invalidated or if its owner is not live any more.
    #[inline]
    pub fn fill(&mut self, tag: u64, owner: Owner, value: V, live: &impl Live) -> usize {
        let (slot, _) = self.make_room(tag, live);
        self.put(slot, tag, owner, value);
        slot
    }

    /// Inserts an entry, and returns the live entry that it evicted.
    pub fn fill_evicting(
        &mut self,
        tag: u64,
        owner: Owner,
        value: V,
        live: &impl Live,
    ) -> (usize, Option<Evicted<V>>) {
        let (slot, is_vacant) = self.make_room(tag, live);
        let Slot { owner: former, value: held, .. } = self.slots[slot];
        let evicted = Evicted { tag: self.tag(slot), owner: former, value: held };
        self.put(slot, tag, owner, value);
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
    fn put(&mut self, slot: usize, tag: u64, owner: Owner, value: V) {
        self.tags[slot / 4][slot % 4] = tag;
        self.update(slot, owner, value);
        self.replacement.filled(slot);
    }

    /// Changes an entry where it stands: the tag stays, and so does its place in the order of replacement.
    #[inline]
    pub fn update(&mut self, slot: usize, owner: Owner, value: V) {
        let held = &mut self.slots[slot];
        *held = Slot { owner, version: held.version.wrapping_add(1), value };
    }

    /// Invalidates every entry of `tag`'s set that holds `tag` and of which `matches(owner, value)` holds.
    pub fn invalidate(&mut self, tag: u64, mut matches: impl FnMut(Owner, &V) -> bool) {
        let stride = self.fours * 4;
        let first = self.set_of(tag) * stride;
        for slot in first..first + stride {
            let Slot { owner, value, .. } = &self.slots[slot];
            if self.tag(slot) == tag && *owner != Owner::NONE && matches(*owner, value) {
                self.invalidate_slot(slot);
            }
        }
    }

    /// Invalidates every entry of which `keeps(tag, owner, value)` does not hold; looks at all slots, but asks of no vacant one, in
    /// which anything may be left.
    pub fn retain(&mut self, mut keeps: impl FnMut(u64, Owner, &V) -> bool) {
        for slot in 0..self.slots.len() {
            let Slot { owner, value, .. } = &self.slots[slot];
            if *owner != Owner::NONE && !keeps(self.tag(slot), *owner, value) {
                self.invalidate_slot(slot);
            }
        }
    }

    /// A number that changes whenever the slot's content does.
    #[inline]
    #[must_use]
    pub fn version(&self, slot: usize) -> Option<u32> {
        Some(self.slots.get(slot)?.version)
    }

    /// All entries that are not vacant: tag, owner, value.
    pub fn entries(&self) -> impl Iterator<Item = (u64, Owner, &V)> {
        let held = self.tags.as_flattened().iter().zip(&self.slots);
        held.filter(|(_, slot)| slot.owner != Owner::NONE)
            .map(|(tag, slot)| (*tag, slot.owner, &slot.value))
    }

    /// The first vacant way of a set. A set that has none is not searched again in this era.
    #[inline(always)]
    fn vacant(&mut self, set: usize, live: &impl Live) -> Option<usize> {
        if self.full[set] == live.era() { None } else { self.search(set, live) }
    }

    #[inline(never)]
    fn search(&mut self, set: usize, live: &impl Live) -> Option<usize> {
        let first = set * self.fours * 4;
        let is_vacant = |slot: &Slot<V>| slot.owner == Owner::NONE || !live.is_live(slot.owner);
        let ways = self.geometry.ways() as usize;
        let vacant = self.slots[first..first + ways].iter().position(is_vacant);
        if vacant.is_none() {
            self.full[set] = live.era();
        }
        vacant
    }

    /// Invalidates the entry in this slot.
    pub fn invalidate_slot(&mut self, slot: usize) {
        let Some(held) = self.slots.get_mut(slot) else { return };
        held.owner = Owner::NONE;
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

    /// A time when all owners but one have ended.
    struct Only(Owner);

    impl Live for Only {
        fn is_live(&self, owner: Owner) -> bool {
            owner == self.0
        }
        fn era(&self) -> u64 {
            2
        }
    }

    fn reference(table: &mut Assoc<u64>, tag: u64) -> Option<u64> {
        let AssocHit { slot, value, .. } = table.lookup(tag, |_, _| true)?;
        let value = *value;
        table.hit(slot);
        Some(value)
    }

    #[test]
    fn a_full_set_evicts_and_its_neighbours_stay() {
        let mut table = Assoc::new(Geometry::new(2, 1, Policy::Lru).unwrap());
        for tag in [0, 1, 2] {
            table.fill(tag, Owner::ONLY, tag * 10, &Forever);
        }
        assert_eq!([0, 1, 2].map(|tag| reference(&mut table, tag)), [None, Some(10), Some(20)]);
    }

    #[test]
    fn entries_of_an_ended_owner_make_room_first() {
        let mut table = Assoc::new(Geometry::new(1, 2, Policy::Lru).unwrap());
        table.fill(1, Owner(7), 1, &Forever);
        table.fill(2, Owner(8), 2, &Forever);
        reference(&mut table, 1);
        table.fill(3, Owner(8), 3, &Only(Owner(8)));
        assert_eq!([1, 2, 3].map(|tag| reference(&mut table, tag)), [None, Some(2), Some(3)]);
    }

    #[test]
    fn a_version_changes_with_the_content_only() {
        let mut table = Assoc::new(Geometry::fully_associative(1, Policy::Lru).unwrap());
        let slot = table.fill(1, Owner::ONLY, 1, &Forever);
        let version = table.version(slot);
        table.hit(slot);
        assert_eq!(table.version(slot), version);
        table.invalidate(1, |_, _| true);
        assert_ne!(table.version(slot), version);
    }

    #[test]
    fn an_update_where_it_stands_makes_no_entry_younger() {
        let mut table = Assoc::new(Geometry::fully_associative(2, Policy::Fifo).unwrap());
        let slot = table.fill(1, Owner::ONLY, 1, &Forever);
        table.fill(2, Owner::ONLY, 2, &Forever);
        let version = table.version(slot);
        table.update(slot, Owner::ONLY, 10);
        assert_ne!(table.version(slot), version);
        assert_eq!(reference(&mut table, 1), Some(10));
        table.fill(3, Owner::ONLY, 3, &Forever);
        assert_eq!([1, 2, 3].map(|tag| reference(&mut table, tag)), [None, Some(2), Some(3)]);
    }

    #[test]
    fn an_exchange_tells_what_went_unless_nothing_had_to() {
        let mut table = Assoc::new(Geometry::fully_associative(1, Policy::Lru).unwrap());
        let owner = Owner(7);
        let first = table.fill_evicting(1, owner, 10, &Forever).1;
        let second = table.fill_evicting(2, owner, 20, &Forever).1;
        let third = table.fill_evicting(3, owner, 30, &Only(Owner(8))).1;
        assert_eq!([first, third], [None, None]);
        assert_eq!(second, Some(Evicted { tag: 1, owner, value: 10 }));
    }

    #[test]
    fn nobody_is_asked_about_a_vacant_slot() {
        let mut table = Assoc::new(Geometry::fully_associative(2, Policy::Lru).unwrap());
        let slot = table.fill(1, Owner::ONLY, 10, &Forever);
        table.invalidate_slot(slot);
        let version = table.version(slot);
        table.retain(|tag, _, _| panic!("{tag} was asked about"));
        table.invalidate(1, |_, value| panic!("{value} was asked about"));
        assert_eq!(table.version(slot), version);
    }

    #[test]
    fn an_invalidated_slot_makes_room_first() {
        let mut table = Assoc::new(Geometry::fully_associative(2, Policy::Lru).unwrap());
        let slots = [1, 2].map(|tag| table.fill(tag, Owner::ONLY, tag, &Forever));
        table.invalidate_slot(slots[1]);
        assert_eq!(reference(&mut table, 2), None);
        assert_eq!(table.fill(3, Owner::ONLY, 3, &Forever), slots[1]);
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
                let hit = reference(&mut table, tag).is_some();
                if !hit {
                    table.fill(tag, Owner::ONLY, tag, &Forever);
                }
                hit == naive.reference(tag)
            })
        }
    }
}
