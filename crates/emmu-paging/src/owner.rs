//! Which cached entries an address space may see, and how whole address spaces are invalidated at once.

#[cfg(feature = "serde")]
mod snapshot;

use crate::{Live, Owner};
use alloc::{collections::BTreeMap, vec::Vec};
use core::ops::RangeInclusive;
use emmu_core::Asid;

/// Whose address spaces: those of one virtual machine, or of no virtual machine (0). The number also stands for
/// the second-stage tables where the architecture tags entries with those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Context(u64);

impl Context {
    /// No virtual machine.
    pub(crate) const HOST: Self = Self(0);

    /// Set in what stands for the first stage's walk caches of a virtual machine, where they are a cache apart.
    const TABLES: u64 = 1 << 63;

    pub(crate) const fn new(number: u32) -> Self {
        Self(number as u64)
    }

    /// The number that it was made of.
    #[expect(clippy::cast_possible_truncation, reason = "that is what is cut off")]
    pub(crate) const fn number(self) -> u32 {
        self.0 as u32
    }

    const fn tables(self) -> Self {
        Self(self.0 | Self::TABLES)
    }

    /// Whose it is.
    const fn base(self) -> Self {
        Self(self.0 & !Self::TABLES)
    }
}

/// An address space; `asid` is `None` for what all address spaces of the context share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Space {
    context: Context,
    asid: Option<Asid>,
}

/// Hands every address space an [`Owner`] of its own and takes it back: entries of an owner that was taken
/// back match nothing any more and count as vacant, so invalidating an address space, a context, or
/// everything, takes constant time however large the tables are.
///
/// An owner is a number that is never used twice, shifted left by 24, and the index of its address space here.
#[derive(Clone, Debug)]
pub(crate) struct Owners {
    next: u64,
    /// Owners older than this have ended.
    floor: u64,
    /// Changes whenever an owner ends.
    era: u64,
    spaces: Vec<Held>,
    /// Where in `spaces` each is.
    places: BTreeMap<Space, u32>,
    contexts: BTreeMap<Context, u32>,
    /// For each context, the floor of its owners that are not global.
    floors: Vec<u64>,
    /// The owners that the last access saw, with its address space. They are valid until an owner ends.
    last: Visible,
    last_key: u64,
    /// The owner that walks of the last access see in walk caches.
    last_tables: Owner,
}

/// The key of no address space.
const NO_KEY: u64 = u64::MAX;

/// An address space as one number, quickly compared.
#[inline]
fn key(asid: Asid, context: Context) -> u64 {
    context.0 << 16 | u64::from(asid.0)
}

/// An address space that was seen, and its owner, which may have ended.
#[derive(Clone, Copy, Debug)]
struct Held {
    space: Space,
    /// Index of its context in `floors`.
    context: u32,
    owner: Owner,
}

/// The owners whose entries one access may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visible {
    pub(crate) own: Owner,
    pub(crate) global: Owner,
}

impl Visible {
    #[inline]
    pub(crate) fn sees(self, owner: Owner) -> bool {
        owner == self.own || owner == self.global
    }
}

/// Bits of an owner that are the index of its address space.
const PLACE_BITS: u32 = 24;

impl Owners {
    pub(crate) fn new() -> Self {
        Self {
            next: 1,
            floor: 1,
            era: 1,
            spaces: Vec::new(),
            places: BTreeMap::new(),
            contexts: BTreeMap::new(),
            floors: Vec::new(),
            last: Visible { own: Owner::NONE, global: Owner::NONE },
            last_key: NO_KEY,
            last_tables: Owner::NONE,
        }
    }

    /// Returns the owners that accesses of this address space see. `apart` is true if the walk caches of a
    /// virtual machine have owners of their own.
    #[inline]
    pub(crate) fn visible(&mut self, asid: Asid, context: Context, apart: bool) -> Visible {
        match self.last_key == key(asid, context) {
            true => self.last,
            false => self.look_up(asid, context, apart),
        }
    }

    #[inline(never)]
    fn look_up(&mut self, asid: Asid, context: Context, apart: bool) -> Visible {
        let apart = apart && context != Context::HOST;
        let tables = if apart { context.tables() } else { context };
        let (own, global) = (Some(asid), None);
        let spaces = [(context, own), (context, global), (tables, own)];
        let spaces = spaces.map(|(context, asid)| Space { context, asid });
        // All must find their place before any has an owner: making room ends all.
        for space in spaces {
            self.place(space);
        }
        let [own, global, tables] = spaces.map(|space| self.owner_of(space));
        let visible = Visible { own, global };
        (self.last, self.last_key, self.last_tables) = (visible, key(asid, context), tables);
        visible
    }

    /// Returns the owner that a walk sees in walk caches, for the address space of the last call of
    /// [`Owners::visible`]. It is apart from that function, because every hit needs that one.
    #[inline]
    pub(crate) const fn tables(&self) -> Owner {
        debug_assert!(self.last_key != NO_KEY, "no access has asked since an owner ended");
        self.last_tables
    }

    /// Returns true if entries of this owner belong to the context.
    pub(crate) fn is_of(&self, owner: Owner, context: Context) -> bool {
        self.held(owner).is_some_and(|held| held.space.context.base() == context)
    }

    /// Returns true if entries of this owner belong to the address space, and are not global.
    pub(crate) fn is_own(&self, owner: Owner, asid: Asid, context: Context) -> bool {
        self.held(owner).is_some_and(|Held { space, .. }| {
            space.context.base() == context && space.asid == Some(asid)
        })
    }

    /// Returns true if the address space sees entries of this owner: its own, and global ones.
    pub(crate) fn is_seen(&self, owner: Owner, asid: Asid, context: Context) -> bool {
        self.held(owner).is_some_and(|Held { space, .. }| {
            space.context.base() == context && space.asid.is_none_or(|own| own == asid)
        })
    }

    pub(crate) fn end(&mut self, asid: Asid, context: Context) {
        for context in [context, context.tables()] {
            self.end_space(Space { context, asid: Some(asid) });
        }
    }

    pub(crate) fn end_all_but_global(&mut self, context: Context) {
        self.raise_floor(context);
        self.raise_floor(context.tables());
    }

    pub(crate) fn end_context(&mut self, context: Context) {
        self.end_all_but_global(context);
        self.end_space(Space { context, asid: None });
    }

    /// Ends all owners of the contexts with these numbers, but not those of walk caches apart.
    pub(crate) fn end_contexts(&mut self, numbers: RangeInclusive<u32>) {
        let numbers = Context::new(*numbers.start())..=Context::new(*numbers.end());
        let concerned: Vec<_> = self.contexts.range(numbers).map(|(&context, _)| context).collect();
        for context in concerned {
            self.raise_floor(context);
            self.end_space(Space { context, asid: None });
        }
    }

    /// Every context that was seen.
    pub(crate) fn contexts(&self) -> impl Iterator<Item = Context> {
        self.contexts.keys().copied().filter(|context| context.base() == *context)
    }

    pub(crate) fn end_all(&mut self) {
        self.change();
        self.floor = self.next;
    }

    /// Ends all owners of the context that are not global.
    fn raise_floor(&mut self, context: Context) {
        self.change();
        if let Some(&context) = self.contexts.get(&context) {
            self.floors[context as usize] = self.next;
        }
    }

    fn end_space(&mut self, space: Space) {
        self.change();
        if let Some(&place) = self.places.get(&space) {
            self.spaces[place as usize].owner = Owner::NONE;
        }
    }

    fn change(&mut self) {
        self.era += 1;
        self.last_key = NO_KEY;
    }

    /// The owner of an address space that has its place: the one it has, or a new one if that has ended.
    fn owner_of(&mut self, space: Space) -> Owner {
        let place = self.place(space);
        let held = self.spaces[place as usize];
        if self.is_live(held.owner) {
            return held.owner;
        }
        let owner = Owner(self.next << PLACE_BITS | u64::from(place));
        self.next += 1;
        self.spaces[place as usize].owner = owner;
        owner
    }

    /// Where this address space is, or from now on will be.
    fn place(&mut self, space: Space) -> u32 {
        if let Some(&place) = self.places.get(&space) {
            return place;
        }
        if self.spaces.len() >= 1 << PLACE_BITS {
            *self = Self { next: self.next, floor: self.next, era: self.era + 1, ..Self::new() };
        }
        let place = index(self.spaces.len());
        let context = self.context(space.context);
        self.spaces.push(Held { space, context, owner: Owner::NONE });
        self.places.insert(space, place);
        place
    }

    fn context(&mut self, context: Context) -> u32 {
        let fresh = index(self.floors.len());
        let place = *self.contexts.entry(context).or_insert(fresh);
        if place == fresh {
            self.floors.push(0);
        }
        place
    }

    /// The address space that an owner is, or was, of.
    fn held(&self, owner: Owner) -> Option<&Held> {
        self.spaces.get((owner.0 & ((1 << PLACE_BITS) - 1)) as usize)
    }
}

impl Live for Owners {
    /// Returns true if some access can still see entries of this owner.
    #[inline]
    fn is_live(&self, owner: Owner) -> bool {
        let number = owner.0 >> PLACE_BITS;
        let Some(held) = self.held(owner).filter(|_| number >= self.floor) else { return false };
        let floor = || self.floors.get(held.context as usize).copied().unwrap_or(0);
        held.owner == owner && (held.space.asid.is_none() || number >= floor())
    }

    #[inline]
    fn era(&self) -> u64 {
        self.era
    }
}

#[expect(clippy::cast_possible_truncation, reason = "there are 2^24 address spaces at most")]
const fn index(len: usize) -> u32 {
    len as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Context = Context::HOST;

    #[test]
    fn an_address_space_keeps_its_owner_until_it_ends() {
        let mut owners = Owners::new();
        let first = owners.visible(Asid(3), HOST, false).own;
        assert_eq!(owners.visible(Asid(3), HOST, false).own, first);
        owners.end(Asid(3), HOST);
        assert!(!owners.is_live(first));
        assert_ne!(owners.visible(Asid(3), HOST, false).own, first);
    }

    #[test]
    fn ending_one_address_space_leaves_the_others() {
        let mut owners = Owners::new();
        let other = owners.visible(Asid(1), HOST, false).own;
        owners.visible(Asid(2), HOST, false);
        owners.end(Asid(2), HOST);
        assert!(owners.is_live(other));
    }

    #[test]
    fn global_entries_outlive_all_but_the_end_of_everything() {
        let mut owners = Owners::new();
        let Visible { own, global } = owners.visible(Asid(1), HOST, false);
        owners.end_all_but_global(HOST);
        assert!(owners.is_live(global) && !owners.is_live(own));
        owners.end_all();
        assert!(!owners.is_live(global));
    }

    #[test]
    fn virtual_machines_share_nothing() {
        let mut owners = Owners::new();
        let [one, two] = [1, 2].map(|vm| owners.visible(Asid(1), Context::new(vm), false));
        assert!(!one.sees(two.own) && !one.sees(two.global));
        owners.end_contexts(1..=1);
        assert!(!owners.is_live(one.own) && !owners.is_live(one.global));
        assert!(owners.is_live(two.own) && owners.is_live(two.global));
    }

    #[test]
    fn walk_caches_apart_outlive_the_end_of_contexts_by_number_only() {
        let mut owners = Owners::new();
        let see = |owners: &mut Owners| {
            let own = owners.visible(Asid(1), Context::new(1), true).own;
            (own, owners.tables())
        };
        let (own, tables) = see(&mut owners);
        owners.end_contexts(1..=u32::MAX);
        assert!(!owners.is_live(own) && owners.is_live(tables));
        assert_eq!(see(&mut owners).1, tables);
        for end in [
            |owners: &mut Owners| owners.end(Asid(1), Context::new(1)),
            |owners: &mut Owners| owners.end_context(Context::new(1)),
            |owners: &mut Owners| owners.end_all_but_global(Context::new(1)),
        ] {
            let (_, tables) = see(&mut owners);
            end(&mut owners);
            assert!(!owners.is_live(tables));
        }
    }

    #[test]
    fn an_access_after_the_end_of_a_context_sees_nothing_of_before() {
        let mut owners = Owners::new();
        let before = owners.visible(Asid(1), Context::new(1), false);
        owners.end_contexts(0..=u32::MAX);
        let after = owners.visible(Asid(1), Context::new(1), false);
        assert!(!after.sees(before.own) && !after.sees(before.global));
        assert!(owners.is_live(after.own) && owners.is_live(after.global));
    }
}
