//! Address spaces in snapshots.

use super::{Asid, Context, Held, PLACE_BITS, Scope, Scopes, Space};
use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Scopes have numbers of 40 bits; one who gets here has ended 2^39 of them, or is no unit's snapshot.
const END_OF_NUMBERS: u64 = 1 << 39;
/// A number that no time at which a scope ended reaches.
const END_OF_TIME: u64 = 1 << 62;

/// Where address spaces are is found out again, and so is what the last access saw.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Scopes")]
struct Read {
    next: u64,
    floor: u64,
    era: u64,
    /// Context, ASID unless it is what all address spaces share, and scope.
    spaces: Vec<(u64, Option<Asid>, Scope)>,
    floors: Vec<u64>,
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { next, floor, era, floors, .. } = self;
        let space = |held: &Held| (held.space.context.0, held.space.asid, held.scope);
        let spaces = self.spaces.iter().map(space).collect();
        let floors = floors.clone();
        Read { next: *next, floor: *floor, era: *era, spaces, floors }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Read::deserialize(deserializer)?.checked().map_err(D::Error::custom)
    }
}

impl Read {
    fn checked(self) -> Result<Scopes, &'static str> {
        let Self { next, floor, era, spaces, floors } = self;
        let is_past = |number: u64| number <= next;
        if !(1..END_OF_NUMBERS).contains(&next) || !(1..END_OF_TIME).contains(&era) {
            return Err("scopes: a number that no unit comes to");
        }
        if !is_past(floor) || !floors.iter().copied().all(is_past) {
            return Err("scopes: ended before they began");
        }
        if spaces.len() > 1 << PLACE_BITS {
            return Err("scopes: too many address spaces");
        }
        let mut scopes = Scopes { next, floor, era, ..Scopes::new() };
        for (context, asid, scope) in spaces {
            if context & !Context::TABLES > u32::MAX.into() {
                return Err("scopes: a virtual machine that there cannot be");
            }
            scopes.place_again(Space { context: Context(context), asid }, scope)?;
        }
        let has_owner = |context: &Context| scopes.contexts.contains_key(&context.owner());
        if !scopes.contexts.keys().all(has_owner) {
            return Err("scopes: walk caches of a virtual machine that there is not");
        }
        if scopes.floors.len() != floors.len() {
            return Err("scopes: not a floor for each context");
        }
        Ok(Scopes { floors, ..scopes })
    }
}

impl Scopes {
    /// Returns true if a scope belongs to no address space, or was given to one before now.
    pub(crate) fn has_given(&self, scope: Scope) -> bool {
        scope == Scope::NONE || scope.0 >> PLACE_BITS < self.next
    }

    fn place_again(&mut self, space: Space, scope: Scope) -> Result<(), &'static str> {
        let fresh = self.spaces.len();
        let place = self.place(space) as usize;
        if place != fresh {
            return Err("scopes: an address space that is there twice");
        }
        let is_own = scope.0 & ((1 << PLACE_BITS) - 1) == place as u64 && self.has_given(scope);
        if scope != Scope::NONE && !is_own {
            return Err("scopes: a scope that is not the address space's");
        }
        self.spaces[place].scope = scope;
        Ok(())
    }
}
