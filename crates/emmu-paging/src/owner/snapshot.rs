//! Address spaces in snapshots.

use super::{Asid, Context, Held, Owner, Owners, PLACE_BITS, Space};
use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Owners have numbers of 40 bits; one who gets here has ended 2^39 of them, or is no unit's snapshot.
const END_OF_NUMBERS: u64 = 1 << 39;
/// A number that no time at which an owner ended reaches.
const END_OF_TIME: u64 = 1 << 62;

/// Where address spaces are is found out again, and so is what the last access saw.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Owners")]
struct Read {
    next: u64,
    floor: u64,
    era: u64,
    /// Context, ASID unless it is what all address spaces share, and owner.
    spaces: Vec<(u64, Option<Asid>, Owner)>,
    floors: Vec<u64>,
}

impl Serialize for Owners {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { next, floor, era, floors, .. } = self;
        let space = |held: &Held| (held.space.context.0, held.space.asid, held.owner);
        let spaces = self.spaces.iter().map(space).collect();
        let floors = floors.clone();
        Read { next: *next, floor: *floor, era: *era, spaces, floors }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Owners {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Read::deserialize(deserializer)?.checked().map_err(D::Error::custom)
    }
}

impl Read {
    fn checked(self) -> Result<Owners, &'static str> {
        let Self { next, floor, era, spaces, floors } = self;
        let is_past = |number: u64| number <= next;
        if !(1..END_OF_NUMBERS).contains(&next) || !(1..END_OF_TIME).contains(&era) {
            return Err("owners: a number that no unit comes to");
        }
        if !is_past(floor) || !floors.iter().copied().all(is_past) {
            return Err("owners: ended before they began");
        }
        if spaces.len() > 1 << PLACE_BITS {
            return Err("owners: too many address spaces");
        }
        let mut owners = Owners { next, floor, era, ..Owners::new() };
        for (context, asid, owner) in spaces {
            if context & !Context::TABLES > u32::MAX.into() {
                return Err("owners: a virtual machine that there cannot be");
            }
            owners.place_again(Space { context: Context(context), asid }, owner)?;
        }
        let has_owner = |context: &Context| owners.contexts.contains_key(&context.base());
        if !owners.contexts.keys().all(has_owner) {
            return Err("owners: walk caches of a virtual machine that there is not");
        }
        if owners.floors.len() != floors.len() {
            return Err("owners: not a floor for each context");
        }
        Ok(Owners { floors, ..owners })
    }
}

impl Owners {
    /// Returns true if an owner belongs to no address space, or was given to one before now.
    pub(crate) fn has_given(&self, owner: Owner) -> bool {
        owner == Owner::NONE || owner.0 >> PLACE_BITS < self.next
    }

    fn place_again(&mut self, space: Space, owner: Owner) -> Result<(), &'static str> {
        let fresh = self.spaces.len();
        let place = self.place(space) as usize;
        if place != fresh {
            return Err("owners: an address space that is there twice");
        }
        let is_own = owner.0 & ((1 << PLACE_BITS) - 1) == place as u64 && self.has_given(owner);
        if owner != Owner::NONE && !is_own {
            return Err("owners: an owner that is not the address space's");
        }
        self.spaces[place].owner = owner;
        Ok(())
    }
}
