//! The page walk, as a step machine without memory and without a clock.
//!
//! Whoever drives it reads the words it asks for and may take any time over it: the unit at once, a cycle
//! engine when a port is free, an explainer one line at a time.
//!
//! | step | RISC-V Privileged, "Virtual Address Translation Process" | Intel SDM Vol. 3A, 5.5.4 | Arm ARM, `AArch64.S1Walk` |
//! |---|---|---|---|
//! | [`Walk::new`] | 1 | CR3 → first table | TTBR → initial level |
//! | [`Step::Read`] → [`Walk::read`] | 2–4 | present? reserved? page or table? | descriptor fetch and decode |
//! | leaf admitted | 5–8 | access rights (5.6), protection keys | access flag, permissions |
//! | [`Step::Update`] → [`Walk::updated`] | 9 | accessed and dirty flags (5.8) | hardware update of AF and dirty state |
//! | [`Step::Done`] | 10 | physical address | output address |
//!
//! Flags are written only once the whole access is known to succeed, so an access that faults leaves every
//! table as it was. The update is a compare-exchange; if the entry changed in between, the walk starts again.

use crate::format::{Entry, Format, LEVEL_SLOTS, Mapping, Root, slot};
use emmu_core::{Access, AccessKind, BusError, Cause, FaultEntry, PhysAddr, Width};

/// What the walk wants, or what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<P> {
    /// Read this entry, and pass its bits to [`Walk::read`].
    Read(EntryAddr),
    /// Replace `current` by `new` in this entry by compare-exchange, and pass what it held to
    /// [`Walk::updated`].
    Update {
        /// The entry.
        entry: EntryAddr,
        /// What it held when it was read.
        current: u64,
        /// The same with accessed and dirty flags set.
        new: u64,
    },
    /// The access is allowed, and this is where.
    Done(Mapping<P>),
    /// The access is refused.
    Fault(Cause, FaultEntry),
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryAddr {
    /// Its level.
    pub level: u8,
    /// Its address.
    pub addr: PhysAddr,
    /// Its width.
    pub width: Width,
}

/// The table that entries of one level are in, and what the entries above it allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table<P> {
    /// Its first entry.
    pub addr: PhysAddr,
    /// The rights that are left.
    pub permissions: P,
}

/// An entry that the walk has read: the table it is in and what it held.
#[derive(Clone, Copy, Debug, Default)]
struct Visited<P> {
    table: Table<P>,
    raw: u64,
}

/// One page walk.
///
/// ```
/// use emmu_core::{Access, PhysAddr, VirtAddr};
/// use emmu_paging::{format::{Format, Route, riscv::RiscV}, walk::{Step, Walk}};
///
/// let sv39 = RiscV::rv64().with_satp(8 << 60 | 0x80);      // root table at 0x80000
/// let access = Access::load(VirtAddr::new(0x4000_1234), 8);
/// let Ok(Route::Walk(root)) = sv39.route(access) else { panic!("translation is on") };
/// let mut walk = Walk::new(root);
/// let Step::Read(entry) = walk.start() else { panic!("a walk begins with a read") };
/// assert_eq!(entry.addr, PhysAddr::new(0x80008));          // index 1 of the root
/// let leaf = 0x1000_0000_u64 >> 2 | 0xcf;                  // a 1 GiB page: V R W X A D... but misaligned
/// assert!(matches!(walk.read(&sv39, leaf), Step::Fault(..)));
/// ```
#[derive(Clone, Debug)]
pub struct Walk<F: Format> {
    root: Root<F::Permissions>,
    /// Level at which it started: the root's, or lower by grace of a walk cache.
    start: u8,
    /// Level of the entry being read or updated.
    level: u8,
    table: Table<F::Permissions>,
    visited: [Visited<F::Permissions>; LEVEL_SLOTS],
    leaf: Leaf<F::Permissions>,
    restarts: u8,
}

/// The leaf entry that the walk found, and what it is to hold afterwards.
#[derive(Clone, Copy, Debug, Default)]
struct Leaf<P> {
    level: u8,
    mapping: Mapping<P>,
    update: u64,
}

/// A table whose words differ at every read cannot be walked for ever.
const MAX_RESTARTS: u8 = 8;

impl<F: Format> Walk<F> {
    /// A walk from the root.
    #[must_use]
    #[inline]
    pub fn new(root: Root<F::Permissions>) -> Self {
        Self::resume(root, root.level, Table { addr: root.table, permissions: root.permissions })
    }

    /// A walk from a table of `level` that a walk cache remembers.
    #[must_use]
    #[inline]
    pub fn resume(root: Root<F::Permissions>, level: u8, table: Table<F::Permissions>) -> Self {
        Self {
            root,
            start: level,
            level,
            table,
            visited: [Visited::default(); LEVEL_SLOTS],
            leaf: Leaf::default(),
            restarts: 0,
        }
    }

    /// The first step.
    #[must_use]
    #[inline]
    pub fn start(&self) -> Step<F::Permissions> {
        Step::Read(self.entry())
    }

    /// The entry just asked for holds `raw`: goes down, ends, or begins to set flags.
    #[must_use]
    #[inline]
    pub fn read(&mut self, format: &F, raw: u64) -> Step<F::Permissions> {
        self.visited[slot(self.level)] = Visited { table: self.table, raw };
        match format.decode(raw, self.level, &self.root, self.table.permissions) {
            Entry::Invalid(cause) => self.fault(cause),
            Entry::Table { .. } if self.level == 0 => self.fault(Cause::Reserved),
            Entry::Table { table, permissions } => self.descend(Table { addr: table, permissions }),
            Entry::Leaf(mapping) => self.arrive(format, raw, mapping),
        }
    }

    /// The entry to be updated held `held`: goes on if that was expected, or starts again.
    #[must_use]
    pub fn updated(&mut self, format: &F, held: u64) -> Step<F::Permissions> {
        let visited = &mut self.visited[slot(self.level)];
        if held == visited.raw {
            return self.update_below(format, self.level);
        }
        visited.raw = held;
        if self.restarts == MAX_RESTARTS {
            let addr = self.visited_entry(self.level).addr;
            return self.fault(Cause::Bus(BusError::Refused { addr }));
        }
        *self = Self { restarts: self.restarts + 1, ..Self::new(self.root) };
        self.start()
    }

    /// What it means that the bus, or physical memory protection, refused to read or update `entry`.
    #[must_use]
    pub fn refused(entry: EntryAddr, cause: Cause) -> Step<F::Permissions> {
        Step::Fault(cause, FaultEntry { level: entry.level, addr: entry.addr, raw: None })
    }

    /// The tables found on the way down, topmost first, each with its level; the one that the walk started
    /// in is not among them.
    pub fn tables(&self) -> impl Iterator<Item = (u8, Table<F::Permissions>)> {
        (self.leaf.level..self.start).rev().map(|level| (level, self.visited[slot(level)].table))
    }

    /// What the walk goes by.
    #[must_use]
    #[inline]
    pub fn root(&self) -> &Root<F::Permissions> {
        &self.root
    }

    /// The entry to be read next.
    #[inline]
    fn entry(&self) -> EntryAddr {
        let shape = &self.root.shape;
        let addr = shape.entry_addr(self.table.addr, self.level, self.root.access.addr);
        EntryAddr { level: self.level, addr, width: shape.entry() }
    }

    /// The entry that was read at this level.
    fn visited_entry(&self, level: u8) -> EntryAddr {
        let shape = &self.root.shape;
        let table = self.visited[slot(level)].table.addr;
        let addr = shape.entry_addr(table, level, self.root.access.addr);
        EntryAddr { level, addr, width: shape.entry() }
    }

    #[inline]
    fn descend(&mut self, table: Table<F::Permissions>) -> Step<F::Permissions> {
        self.level -= 1;
        self.table = table;
        Step::Read(self.entry())
    }

    #[inline]
    fn arrive(
        &mut self,
        format: &F,
        raw: u64,
        mapping: Mapping<F::Permissions>,
    ) -> Step<F::Permissions> {
        match format.admit(raw, &mapping, self.root.access) {
            Err(cause) => self.fault(self.refusal(format, cause, &mapping)),
            Ok(update) => {
                let dirty = mapping.dirty || self.root.access.kind.writes();
                let mapping = Mapping { dirty, ..mapping };
                self.leaf = Leaf { level: self.level, mapping, update };
                self.update_below(format, self.start + 1)
            }
        }
    }

    /// The cause of a refused access; a write that only lacks the right to write is told apart.
    #[cold]
    fn refusal(&self, format: &F, cause: Cause, mapping: &Mapping<F::Permissions>) -> Cause {
        let read = Access { kind: AccessKind::Load, ..self.root.access };
        let readable = || format.permits(mapping.permissions, read).is_ok();
        let write = self.root.access.kind.writes();
        if write && cause == Cause::Permission && readable() { Cause::ReadOnly } else { cause }
    }

    /// Asks for the topmost update that is due below `level`, or is done.
    #[inline]
    fn update_below(&mut self, format: &F, level: u8) -> Step<F::Permissions> {
        for level in (self.leaf.level..level).rev() {
            let current = self.visited[slot(level)].raw;
            let leaf = level == self.leaf.level;
            let new = if leaf { self.leaf.update } else { format.pass(current) };
            if new != current {
                self.level = level;
                let entry = self.visited_entry(level);
                return Step::Update { entry, current, new };
            }
        }
        Step::Done(self.leaf.mapping)
    }

    #[cold]
    fn fault(&self, cause: Cause) -> Step<F::Permissions> {
        let EntryAddr { level, addr, .. } = self.visited_entry(self.level);
        let raw = Some(self.visited[slot(level)].raw);
        Step::Fault(cause, FaultEntry { level, addr, raw })
    }
}
