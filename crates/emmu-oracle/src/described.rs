//! Formats described at run time: the paging machines of textbooks, and those of one's own design, after the guide
//! page "A page-table format of your own" (`docs/src/own-format.md`), section "Described".
//!
//! ```text
//!  topmost index   …   last index   page offset
//! ┌──────────────┬───┬────────────┬─────────────┐   index_bits, page_bits
//! └──────────────┴───┴────────────┴─────────────┘
//!  entry: the frame number, the valid bit, and up to eight single bits, anywhere in 1 to 8 bytes
//! ```
//!
//! The page knows entries of 1, 2, 4 and 8 bytes; the model takes those of 3, 5, 6 and 7 as well. Not modelled: which global
//! pages and address spaces a TLB may keep apart.

mod walk;

use crate::reference::{Memory, Outcome, Reference};
use emmu_core::{Access, PhysAddr};

/// The shape of a page table. Bits of an entry are counted from 0; a field that is `None` does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Description {
    /// Bytes in an entry.
    pub entry_size: u8,
    /// Log2 of the size of a page in bytes.
    pub page_bits: u32,
    /// Bits of the index into a table of each level, the topmost level first.
    pub index_bits: Vec<u32>,
    /// The frame number: its lowest bit, and how many bits it has.
    pub frame: (u32, u32),
    /// Set in entries that mean anything.
    pub valid: u32,
    /// Set in entries above the last level that are pages.
    pub superpage: Option<u32>,
    /// Set in pages that can be read.
    pub read: Option<u32>,
    /// Set in pages that can be written.
    pub write: Option<u32>,
    /// Set in pages that can be executed.
    pub execute: Option<u32>,
    /// Set in pages that user mode can reach.
    pub user: Option<u32>,
    /// Set in pages that are alike in every address space.
    pub global: Option<u32>,
    /// Set in pages that were accessed.
    pub accessed: Option<u32>,
    /// Set in pages that were written.
    pub dirty: Option<u32>,
    /// True if software sets the accessed and the dirty bit, after a fault.
    pub recorded_by_software: bool,
}

impl Description {
    /// Pages and tables without anything optional.
    ///
    /// ```
    /// use emmu_oracle::described::Description;
    /// // The textbook's two-level machine.
    /// let machine = Description::new(1, 5, &[5, 5], (0, 7), 7);
    /// assert!(machine.is_possible());
    /// assert!(!Description { valid: 6, ..machine }.is_possible());
    /// ```
    #[must_use]
    pub fn new(
        entry_size: u8,
        page_bits: u32,
        index_bits: &[u32],
        frame: (u32, u32),
        valid: u32,
    ) -> Self {
        Self {
            entry_size,
            page_bits,
            index_bits: index_bits.to_vec(),
            frame,
            valid,
            superpage: None,
            read: None,
            write: None,
            execute: None,
            user: None,
            global: None,
            accessed: None,
            dirty: None,
            recorded_by_software: false,
        }
    }

    /// Returns true if there can be such a format: one to six levels, none of them empty; addresses, before and
    /// behind translation, of at most 64 bits, and tables that fit behind such addresses; each field inside of
    /// the entry, and no bit in two of them.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let (low, count) = self.frame;
        let small = |bits: &u32| *bits <= 64;
        let is_level =
            |bits: &u32| (1..=64).contains(bits) && u128::from(self.entry_size) << bits <= 1 << 64;
        matches!(self.entry_size, 1..=8)
            && matches!(self.index_bits.len(), 1..=6)
            && self.index_bits.iter().all(is_level)
            && [self.page_bits, low, count].iter().all(small)
            && self.address_bits() <= 64
            && count > 0
            && count + self.page_bits <= 64
            && self.fields_are_apart()
    }

    /// Returns true if each field is inside of the entry, and no bit is in two of them.
    fn fields_are_apart(&self) -> bool {
        let (low, count) = self.frame;
        let mut bits: Vec<u32> = (low..low + count).collect();
        bits.extend(self.single_bits());
        let inside = bits.iter().all(|bit| *bit < 8 * u32::from(self.entry_size));
        inside && (1..bits.len()).all(|at| !bits[..at].contains(&bits[at]))
    }

    /// The place of each single bit that is there.
    fn single_bits(&self) -> impl Iterator<Item = u32> {
        let Self { superpage, read, write, execute, user, global, accessed, dirty, .. } = self;
        let optional = [superpage, read, write, execute, user, global, accessed, dirty];
        let there: Vec<u32> = optional.into_iter().filter_map(|bit| *bit).collect();
        there.into_iter().chain([self.valid])
    }

    /// Bits of a virtual address.
    #[must_use]
    pub fn address_bits(&self) -> u32 {
        self.page_bits + self.index_bits.iter().sum::<u32>()
    }

    /// Log2 of the size in bytes of the pages of each level, the last level's first.
    #[must_use]
    pub fn page_sizes(&self) -> Vec<u32> {
        let mut sizes = vec![self.page_bits];
        for bits in self.index_bits.iter().skip(1).rev() {
            sizes.push(sizes.last().map_or(0, |below| below + bits));
        }
        sizes
    }
}

/// The registers, and of which format they are.
///
/// ```
/// use emmu_core::{Access, PhysAddr, VirtAddr};
/// use emmu_oracle::described::{Description, EntryPlace, Fault, Reason, Registers};
/// use emmu_oracle::{Reference, Write, reference::SparseMemory};
///
/// // The textbook's two-level machine, its directory in frame 17: entry 3 names a table in frame 40, whose entry 9
/// // names the page in frame 99.
/// let description = Description::new(1, 5, &[5, 5], (0, 7), 7);
/// let machine = Registers { description, ptbr: 17 * 32, mode: 1, asid: 0 };
/// let mut memory = SparseMemory::default();
/// memory.apply(Write { addr: PhysAddr::new(17 * 32 + 3), size: 1, value: 0x80 | 40 });
/// memory.apply(Write { addr: PhysAddr::new(40 * 32 + 9), size: 1, value: 0x80 | 99 });
///
/// let load = |addr| machine.translate(Access::load(VirtAddr::new(addr), 1), &memory);
/// assert_eq!(load(0b00011_01001_10101).map(|found| found.pa), Ok(PhysAddr::new(99 * 32 + 0b10101)));
///
/// let entry = Some(EntryPlace { level: 0, addr: PhysAddr::new(40 * 32 + 10) });
/// assert_eq!(load(0b00011_01010_00000), Err(Fault { reason: Reason::NotValid, entry }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// The shape of the tables. The description is a possible one.
    pub description: Description,
    /// The physical address of the topmost table: any.
    pub ptbr: u64,
    /// 1 translates, 0 passes addresses on as they are.
    pub mode: u64,
    /// The address space.
    pub asid: u16,
}

/// Why an access is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The address is wider than the described ones.
    NotCanonical,
    /// No memory holds the entry.
    Hole,
    /// The entry is not valid.
    NotValid,
    /// The frame of a page above the last level is not aligned to the page's size.
    Misaligned,
    /// The page's rights do not allow a write, but would allow to read.
    ReadOnly,
    /// The page's rights do not allow the access.
    NotAllowed,
    /// Software has yet to set the accessed bit.
    NotAccessed,
    /// Software has yet to set the dirty bit, before a write.
    NotDirty,
}

/// A refused access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// The entry that decided it, or could not be read, if it was one.
    pub entry: Option<EntryPlace>,
}

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPlace {
    /// Its level, of which 0 is the last.
    pub level: u32,
    /// Where it stands.
    pub addr: PhysAddr,
}

impl Reference for Registers {
    type Fault = Fault;

    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Fault> {
        if self.mode == 0 {
            let pa = PhysAddr::new(access.addr.raw());
            return Ok(Outcome { pa, page_bits: 64, writes: Vec::new() });
        }
        self.through_tables(access, memory)
    }

    fn piece_bits(&self) -> u32 {
        self.description.page_bits.min(12)
    }
}
