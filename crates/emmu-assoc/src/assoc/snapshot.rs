//! Tables in snapshots: content, order of replacement and state of the random source.

use super::{Assoc, Slot};
use crate::{
    Geometry, Owner,
    policy::{Replacement, Shape, State},
};
use alloc::{vec, vec::Vec};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The snapshot as it is written. The sets without a vacant way are computed again.
#[derive(Serialize)]
#[serde(rename = "Assoc")]
struct Shown<'a, V> {
    geometry: Geometry,
    tags: &'a [[u64; 4]],
    slots: &'a [Slot<V>],
    replacement: &'a State,
}

/// The snapshot as it is read. It may hold anything, so its values are checked.
#[derive(Deserialize)]
#[serde(rename = "Assoc")]
struct Read<V> {
    geometry: Geometry,
    tags: Vec<[u64; 4]>,
    slots: Vec<Slot<V>>,
    replacement: State,
}

impl<V: Serialize> Serialize for Assoc<V> {
    /// Fails for a table whose policy is one's own: that has no serialised form.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { geometry, tags, slots, replacement, .. } = self;
        Shown { geometry: *geometry, tags, slots, replacement: replacement.state() }
            .serialize(serializer)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Assoc<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Read::deserialize(deserializer)?.checked().map_err(D::Error::custom)
    }
}

impl<V> Read<V> {
    fn checked(self) -> Result<Assoc<V>, &'static str> {
        let Self { geometry, tags, slots, replacement } = self;
        let (sets, ways) = (geometry.sets() as usize, geometry.ways() as usize);
        let fours = ways.div_ceil(4);
        if tags.len() != sets * fours || slots.len() != tags.len() * 4 {
            return Err("table: not as many slots as its geometry has");
        }
        let is_vacant = |slot: &Slot<V>| slot.owner == Owner::NONE;
        if !slots.chunks(fours * 4).all(|set| set[ways..].iter().all(is_vacant)) {
            return Err("table: an entry in a way that there is not");
        }
        let replacement =
            Replacement::restore(geometry.policy(), Shape::new(sets, ways), replacement)
                .ok_or("table: not what its replacement policy remembers")?;
        Ok(Assoc { geometry, fours, tags, slots, full: vec![0; sets], replacement })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Assoc, Forever, Geometry, Owner, Policy, Replace};
    use emmu_property::quickcheck;
    use std::vec::Vec;

    /// Every built-in policy, and every one with a parameter that can be left out once more with it.
    fn policies() -> Vec<Policy> {
        let seeded = Policy::BUILT_IN.iter().filter_map(|policy| policy.with("seed", 7));
        Policy::BUILT_IN.iter().copied().chain(seeded).collect()
    }

    fn pick(number: usize) -> Policy {
        let policies = policies();
        policies[number % policies.len()]
    }

    /// Looks the tags up, puts in what is not there, and says where each was found or went.
    fn run(table: &mut Assoc<u64>, tags: &[u8]) -> Vec<(bool, usize)> {
        let one = |&tag: &u8| {
            let tag = u64::from(tag);
            if let Some(slot) = table.lookup(tag, |_, _| true).map(|found| found.slot) {
                table.hit(slot);
                return (true, slot);
            }
            (false, table.fill(tag, Owner::ONLY, tag, &Forever))
        };
        tags.iter().map(one).collect()
    }

    fn copied(table: &Assoc<u64>) -> postcard::Result<Assoc<u64>> {
        postcard::from_bytes(&postcard::to_allocvec(table)?)
    }

    quickcheck! {
        fn a_restored_table_goes_on_as_the_table_itself(
            policy: u8, shape: (u8, u8), before: Vec<u8>, after: Vec<u8>
        ) -> bool {
            let policy = pick(policy.into());
            let (sets, ways) = (2 << (shape.0 % 3), 1 << (shape.1 % 4));
            let mut table = Assoc::new(Geometry::new(sets, ways, policy).unwrap());
            run(&mut table, &before);
            let mut restored = copied(&table).unwrap();
            run(&mut restored, &after) == run(&mut table, &after)
        }

        fn a_damaged_table_is_refused_or_can_be_used(bytes: Vec<u8>, place: usize, tags: Vec<u8>) -> bool {
            let policy = pick(place);
            let mut table = Assoc::new(Geometry::new(2, 4, policy).unwrap());
            run(&mut table, &bytes);
            let mut snapshot = postcard::to_allocvec(&table).unwrap();
            for (index, byte) in bytes.iter().enumerate() {
                let at = place.wrapping_mul(index + 1) % snapshot.len();
                snapshot[at] ^= byte;
            }
            match postcard::from_bytes::<Assoc<u64>>(&snapshot) {
                Ok(mut damaged) => run(&mut damaged, &tags).len() == tags.len(),
                Err(_) => true,
            }
        }
    }

    /// The first way goes.
    #[derive(Clone, Debug)]
    struct First;

    impl Replace for First {
        fn new(_: usize, _: usize) -> Self {
            Self
        }
        fn hit(&mut self, _: usize, _: usize) {}
        fn filled(&mut self, _: usize, _: usize) {}
        fn victim(&mut self, _: usize) -> usize {
            0
        }
    }

    #[test]
    fn a_policy_of_ones_own_cannot_be_serialised() {
        let table = Assoc::new(Geometry::fully_associative(2, Policy::own::<First>()).unwrap());
        assert!(copied(&table).is_err());
    }

    #[test]
    fn a_table_with_too_few_slots_is_refused() {
        let table = Assoc::<u64>::new(Geometry::fully_associative(4, Policy::Lru).unwrap());
        let mut snapshot = postcard::to_allocvec(&table).unwrap();
        // The geometry comes first: sets, ways.
        assert_eq!(snapshot[..2], [1, 4]);
        snapshot[1] = 8;
        assert!(postcard::from_bytes::<Assoc<u64>>(&snapshot).is_err());
    }
}
