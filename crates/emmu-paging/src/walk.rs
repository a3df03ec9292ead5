//! The page walk, as a step machine without memory and without a clock.
//!
//! A driver reads the words for which the walk asks, and may take any time for it: the unit reads at once, a
//! cycle engine when a port is free, an explainer one line at a time.
//!
//! | step | RISC-V Privileged, "Virtual Address Translation Process" | Intel SDM Vol. 3A, 5.5.4 | Arm ARM, `AArch64.S1Walk` |
//! |---|---|---|---|
//! | [`Walk::new`] | 1 | CR3 → first table | TTBR → initial level |
//! | [`Step::Read`] → [`Walk::read`] | 2–4 | present? reserved? page or table? | descriptor fetch and decode |
//! | leaf admitted, [`Step::Check`] → [`Walk::checked`] | 5–8 | access rights (5.6), protection keys | access flag, permissions |
//! | [`Step::Update`] → [`Walk::updated`] | 9 | accessed and dirty flags (5.8) | hardware update of AF and dirty state |
//! | [`Step::Done`] | 10 | physical address | output address |
//!
//! Flags are written only once the whole access is known to succeed, so an access that faults leaves every
//! table as it was. The update is a compare-exchange; if the entry changed in between, the walk starts again.

use crate::format::{Entry, Format, LEVEL_SLOTS, Mapping, Root, slot};
use emmu_core::{Access, AccessKind, BusError, Cause, FaultEntry, PhysAddr, Width};

/// The next step that the walk asks for, or its result.
// `repr` gives the enum a tag of its own, which the compiler can follow from the place where a step is made to
// the place where it is used. It could not follow a tag in the spare values of a field.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<P> {
    /// Read this entry, and pass its bits to [`Walk::read`].
    Read(EntryAddr),
    /// Replace `current` by `new` in this entry by compare-exchange, and pass the value that it held to
    /// [`Walk::updated`].
    Update {
        /// The entry.
        entry: EntryAddr,
        /// The value that was read.
        current: u64,
        /// The value with accessed and dirty flags set.
        new: u64,
    },
    /// The access is allowed, by this mapping.
    Done(Mapping<P>),
    /// The access is refused, and [`Walk::refusing`] names the entry that decided it.
    Fault(Cause),
    /// The entries allow the access, and flags are due. Find out if the checks behind the entries (physical
    /// memory protection, a second stage) allow it as well, and then continue with [`Walk::checked`].
    Check(Mapping<P>),
}

/// The place of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryAddr {
    /// The level of the entry.
    pub level: u8,
    /// The address of the entry.
    pub addr: PhysAddr,
    /// The width of the entry.
    pub width: Width,
}

/// The table of the entries of one level, and the rights that the entries above it leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WalkTable<P> {
    /// The address of its first entry.
    pub addr: PhysAddr,
    /// The rights that are left.
    pub permissions: P,
}

/// The entries that a walk has read, one for each level. The walk goes back to them to set flags, and walk
/// caches take the addresses of tables from them.
///
/// A trail is separate from its [`Walk`], so that the walk fits in registers, and can serve one walk after
/// another.
#[derive(Clone, Debug)]
pub struct Trail<P> {
    raws: [u64; LEVEL_SLOTS],
    tables: [WalkTable<P>; LEVEL_SLOTS],
}

impl<P: Copy + Default> Default for Trail<P> {
    fn default() -> Self {
        Self { raws: [0; LEVEL_SLOTS], tables: [WalkTable::default(); LEVEL_SLOTS] }
    }
}

impl<P: Copy> Trail<P> {
    /// Returns the rights that the entries above this level left.
    pub(crate) const fn inherited(&self, level: u8) -> P {
        self.tables[slot(level)].permissions
    }

    /// Returns the mapping of the entry that was read at this level, if it maps a page.
    pub(crate) fn leaf(
        &self,
        format: &impl Format<Permissions = P>,
        level: u8,
        access: Access,
    ) -> Option<Mapping<P>> {
        match format.decode(self.raws[slot(level)], level, access, self.inherited(level)) {
            Entry::Leaf(mapping) => Some(mapping),
            Entry::Table { .. } | Entry::Invalid(_) => None,
        }
    }
}

/// One page walk.
///
/// ```
/// use emmu_core::{Access, Cause, PhysAddr, VirtAddr};
/// use emmu_paging::{format::{Format, riscv::RiscV}, walk::{Step, Trail, Walk}};
///
/// let sv39 = RiscV::rv64().with_satp(8 << 60 | 0x80);      // root table at 0x80000
/// let access = Access::load(VirtAddr::new(0x4000_1234), 8);
/// let mut walk = Walk::new(access, sv39.root(access)?);
/// let first = walk.start(&sv39);
/// assert_eq!(first.addr, PhysAddr::new(0x80008));          // index 1 of the root
/// let leaf = 0x1000_0000_u64 >> 2 | 0xcf;                  // a 1 GiB page: V R W X A D... but misaligned
/// let step = walk.read(&sv39, leaf, &mut Trail::default());
/// assert_eq!(step, Step::Fault(Cause::Misaligned));
/// # Ok::<(), Cause>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Walk<P> {
    access: Access,
    root: Root<P>,
    /// The level at which the walk started: that of the root, or a lower one if a walk cache held a table.
    start: u8,
    /// The level of the entry that is being read; at the end, that of the leaf.
    level: u8,
    table: WalkTable<P>,
    /// True if an entry above the leaf must be updated.
    passed: bool,
    arrival: Option<Arrival<P>>,
    restarts: u8,
}

/// The end of a walk that has entries to update first.
#[derive(Clone, Copy, Debug)]
struct Arrival<P> {
    mapping: Mapping<P>,
    /// The new value of the leaf entry.
    leaf: u64,
    /// The level of the entry that is being updated.
    level: u8,
}

/// The limit of restarts. A table whose words differ at every read must not be walked for ever.
const MAX_RESTARTS: u8 = 8;

impl<P: Copy> Walk<P> {
    /// Makes the walk for an access from the root.
    #[must_use]
    #[inline]
    pub fn new(access: Access, root: Root<P>) -> Self {
        Self::resume(access, root, root.level, root.first())
    }

    /// Makes a walk for an access that starts at a table of `level` which a walk cache holds.
    #[must_use]
    #[inline]
    pub fn resume(access: Access, root: Root<P>, level: u8, table: WalkTable<P>) -> Self {
        debug_assert!(usize::from(root.level) < LEVEL_SLOTS, "a trail has no place for more");
        let (passed, arrival, restarts) = (false, None, 0);
        Self { access, root, start: level, level, table, passed, arrival, restarts }
    }

    /// Returns the first entry to read.
    #[must_use]
    #[inline]
    pub fn start(&self, format: &impl Format<Permissions = P>) -> EntryAddr {
        self.entry(format, self.level, self.table.addr)
    }

    /// Takes the bits of the entry that was asked for, and goes down, ends, or begins to set flags.
    #[must_use]
    #[inline]
    pub fn read(
        &mut self,
        format: &impl Format<Permissions = P>,
        raw: u64,
        trail: &mut Trail<P>,
    ) -> Step<P> {
        let Self { level, table, .. } = *self;
        (trail.raws[slot(level)], trail.tables[slot(level)]) = (raw, table);
        match format.decode(raw, level, self.access, table.permissions) {
            Entry::Invalid(cause) => Step::Fault(cause),
            // spec: riscv-4
            Entry::Table { .. } if level == 0 => Step::Fault(Cause::Reserved),
            Entry::Table { table, permissions } => {
                self.passed |= format.pass(raw) != raw;
                self.descend(format, WalkTable { addr: table, permissions })
            }
            Entry::Leaf(mapping) => self.arrive(format, raw, mapping),
        }
    }

    /// Begins to set flags, because no check behind the entries forbids the access.
    #[must_use]
    #[inline]
    pub fn checked(&mut self, format: &impl Format<Permissions = P>, trail: &Trail<P>) -> Step<P> {
        match self.arrival {
            Some(arrival) => self.update_below(format, arrival.level, arrival, trail),
            None => Step::Read(self.start(format)),
        }
    }

    /// Takes the value that the entry to be updated held. Continues if it is the expected value, and otherwise
    /// starts again.
    #[must_use]
    #[inline]
    pub fn updated(
        &mut self,
        format: &impl Format<Permissions = P>,
        held: u64,
        trail: &mut Trail<P>,
    ) -> Step<P> {
        // spec: riscv-9-compare
        match self.arrival {
            Some(arrival) if held == trail.raws[slot(arrival.level)] => {
                self.update_below(format, arrival.level, arrival, trail)
            }
            _ => self.restart(format, held, trail),
        }
    }

    /// Returns the entry that decided a [`Step::Fault`], with its bits.
    #[must_use]
    #[inline]
    pub fn refusing(&self, format: &impl Format<Permissions = P>, trail: &Trail<P>) -> FaultEntry {
        let EntryAddr { level, addr, .. } = self.start(format);
        FaultEntry { level, addr, raw: Some(trail.raws[slot(level)]) }
    }

    /// Returns the tables found on the way down, the topmost first, each with its level. The table in which the
    /// walk started is not among them.
    #[inline]
    pub fn tables(&self, trail: &Trail<P>) -> impl Iterator<Item = (u8, WalkTable<P>)> {
        (self.level..self.start).rev().map(|level| (level, trail.tables[slot(level)]))
    }

    /// Returns the access for which the walk is made.
    #[must_use]
    #[inline]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Returns the entry of this table that the address selects.
    #[inline]
    fn entry(
        &self,
        format: &impl Format<Permissions = P>,
        level: u8,
        table: PhysAddr,
    ) -> EntryAddr {
        // spec: riscv-2, x86-cr3
        let addr = format.entry_addr(table, level, self.access);
        EntryAddr { level, addr, width: format.shape(self.access).entry() }
    }

    #[inline]
    fn descend(&mut self, format: &impl Format<Permissions = P>, table: WalkTable<P>) -> Step<P> {
        self.level -= 1;
        self.table = table;
        Step::Read(self.start(format))
    }

    #[inline]
    fn arrive(
        &mut self,
        format: &impl Format<Permissions = P>,
        raw: u64,
        mapping: Mapping<P>,
    ) -> Step<P> {
        let access = self.access;
        match format.admit(raw, &mapping, access) {
            Err(cause) => Step::Fault(refused(format, cause, mapping.permissions, access)),
            Ok(leaf) => {
                let mapping = Mapping { dirty: mapping.dirty || access.kind.writes(), ..mapping };
                if leaf == raw && !self.passed {
                    return Step::Done(mapping);
                }
                self.arrival = Some(Arrival { mapping, leaf, level: self.start + 1 });
                Step::Check(mapping)
            }
        }
    }

    /// Asks for the topmost update that is due below `level`, or ends the walk if there is none.
    #[inline]
    fn update_below(
        &mut self,
        format: &impl Format<Permissions = P>,
        level: u8,
        arrival: Arrival<P>,
        trail: &Trail<P>,
    ) -> Step<P> {
        for level in (self.level..level).rev() {
            let current = trail.raws[slot(level)];
            let new = if level == self.level { arrival.leaf } else { format.pass(current) };
            if new != current {
                self.arrival = Some(Arrival { level, ..arrival });
                let entry = self.entry(format, level, trail.tables[slot(level)].addr);
                return Step::Update { entry, current, new };
            }
        }
        Step::Done(arrival.mapping)
    }

    /// Starts again, because the entry to be updated has changed to `held`, unless the limit of restarts is
    /// reached.
    #[cold]
    fn restart(
        &mut self,
        format: &impl Format<Permissions = P>,
        held: u64,
        trail: &mut Trail<P>,
    ) -> Step<P> {
        if self.restarts < MAX_RESTARTS {
            *self = Self { restarts: self.restarts + 1, ..Self::new(self.access, self.root) };
            return Step::Read(self.start(format));
        }
        self.level = self.arrival.map_or(self.level, |arrival| arrival.level);
        self.table = trail.tables[slot(self.level)];
        trail.raws[slot(self.level)] = held;
        Step::Fault(Cause::Bus(BusError::Refused { addr: self.start(format).addr }))
    }
}

/// Returns the cause of a refused access. A write that lacks only the right to write has a cause of its own.
#[cold]
fn refused<F: Format>(
    format: &F,
    cause: Cause,
    permissions: F::Permissions,
    access: Access,
) -> Cause {
    let read = Access { kind: AccessKind::Load, ..access };
    let readable = || format.permits(permissions, read).is_ok();
    let write = access.kind.writes();
    if write && cause == Cause::Permission && readable() { Cause::ReadOnly } else { cause }
}
