//! Hashed page tables, after the documentation of `emmu_paging::format::hashed`, whose steps are cited by number: of one
//! stage ([`Registers`]), and of two ([`Guest`]).
//!
//! ```text
//! htab, htab2   63 E | 62..56 zero | 55..40 ASID or VMID | 39..13 base | 12..6 zero | 5..0 n
//! entry         63..38 tag | 37..10 frame | 9..7 probe | 6 D | 5 A | 4 U | 3 X | 2 W | 1 R | 0 V = 1
//! deleted       63..2 ignored                                                 | 1 one      | 0 V = 0
//! never used    63..2 ignored                                                 | 1 zero     | 0 V = 0
//! ```
//! Not modelled: which address spaces a TLB may keep apart.

mod guest;

use crate::reference::{Hole, Memory, Outcome, Reference, Write};
use emmu_core::{Access, AccessKind, PhysAddr, Privilege, VirtAddr};

/// The register of one stage.
///
/// ```
/// use emmu_core::{Access, PhysAddr, VirtAddr};
/// use emmu_oracle::hashed::{EntryPlace, Fault, Reason, Registers};
/// use emmu_oracle::{Reference, reference::SparseMemory};
///
/// // A table of 1024 entries at 0x10_0000. Page 0x403 has tag 1, and its first place is 3 ^ 1; the entry is at probe 1.
/// let machine = Registers { htab: 1 << 63 | 0x10_0000 | 10 };
/// let mut memory = SparseMemory::default();
/// memory.write64(PhysAddr::new(0x10_0010), 0b10);
/// memory.write64(PhysAddr::new(0x10_0018), 1 << 38 | 7 << 10 | 1 << 7 | 0b10_0011);
/// let load = |addr| machine.translate(Access::load(VirtAddr::new(addr), 8), &memory);
/// assert_eq!(load(0x40_3678).map(|found| found.pa), Ok(PhysAddr::new(0x7678)));
///
/// // Page 2 has the same first place, and another tag. At probe 2 is nothing.
/// let entry = Some(EntryPlace { probe: 2, addr: PhysAddr::new(0x10_0020) });
/// assert_eq!(load(0x2678), Err(Fault { reason: Reason::Absent, entry, guest: None }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registers {
    /// `htab`: a value that [is possible](Registers::is_possible).
    pub htab: u64,
}

/// The registers of a machine with two stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guest {
    /// The first stage, whose table is guest-physical.
    pub first: Registers,
    /// The second stage: `htab2`.
    pub second: Registers,
}

/// Why an access is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The address has more than 48 bits.
    NotCanonical,
    /// No memory holds the entry.
    Hole,
    /// No entry is the page's.
    Absent,
    /// The page's rights do not allow a write, but would allow to read.
    ReadOnly,
    /// The page's rights do not allow the access.
    NotAllowed,
}

/// A refused access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// The entry that decided it or could not be read, if it was one. That of a first stage stands in guest-physical
    /// memory.
    pub entry: Option<EntryPlace>,
    /// The access that the second stage refused, if that stage raised the fault.
    pub guest: Option<Refused>,
}

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPlace {
    /// Which probe reads it.
    pub probe: u8,
    /// Where it stands.
    pub addr: PhysAddr,
}

/// An access that the second stage refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refused {
    /// The guest-physical address.
    pub gpa: PhysAddr,
    /// True if the access is to an entry of the first stage.
    pub walk: bool,
    /// The rights that the page's entry grants, if there is one: 1 read, 2 write, 4 execute.
    pub rights: u8,
}

impl Reference for Registers {
    type Fault = Fault;

    fn translate(&self, access: Access, memory: &dyn Memory) -> Result<Outcome, Fault> {
        if !self.is_on() {
            let pa = PhysAddr::new(access.addr.raw());
            return Ok(Outcome { pa, page_bits: 64, writes: Vec::new() });
        }
        let page = self.find(access.addr.raw(), memory)?;
        // Step 5.
        page.check_rights(access)?;
        Ok(page.outcome(access))
    }
}

/// The entry of a page.
#[derive(Clone, Copy)]
struct Page {
    entry: EntryPlace,
    raw: u64,
}

impl Registers {
    /// Returns true if a machine accepts this value.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let zero = (6..=12).chain(56..=62).all(|bit| self.htab >> bit & 1 == 0);
        let size = 8_u64.checked_shl(self.log2()).unwrap_or(0);
        let names_a_table = (10..=36).contains(&self.log2()) && self.base().is_multiple_of(size);
        zero && (names_a_table || !self.is_on())
    }

    fn is_on(&self) -> bool {
        self.htab >> 63 == 1
    }

    /// The field n.
    fn log2(&self) -> u32 {
        u32::try_from(self.htab % 64).unwrap_or(0)
    }

    fn entries(&self) -> u64 {
        1 << self.log2()
    }

    fn base(&self) -> u64 {
        self.htab % (1 << 40) / (1 << 13) * (1 << 13)
    }

    /// Step 1: the tag of an address's page, and the first place.
    #[must_use]
    pub fn tag_and_first(&self, addr: u64) -> (u64, u64) {
        let (page, entries) = (addr / 4096, self.entries());
        let (mut first, tag) = (page % entries, page / entries);
        let mut rest = tag;
        while rest > 0 {
            first ^= rest % entries;
            rest /= entries;
        }
        (tag, first)
    }

    /// Step 2: where a probe reads.
    #[must_use]
    pub fn place(&self, first: u64, probe: u8) -> PhysAddr {
        PhysAddr::new(self.base() + (first + u64::from(probe)) % self.entries() * 8)
    }

    /// Where an address is, whatever rights there are. For generators.
    #[must_use]
    pub fn leads_to(&self, addr: u64, memory: &dyn Memory) -> Option<PhysAddr> {
        if !self.is_on() {
            return Some(PhysAddr::new(addr));
        }
        let page = self.find(addr, memory).ok()?;
        Some(page.outcome(Access::load(VirtAddr::new(addr), 1)).pa)
    }

    /// Steps 1 to 4.
    fn find(&self, addr: u64, memory: &dyn Memory) -> Result<Page, Fault> {
        if addr >= 1 << 48 {
            return Err(Fault { reason: Reason::NotCanonical, entry: None, guest: None });
        }
        let (tag, first) = self.tag_and_first(addr);
        let mut last = None;
        for probe in 0..8 {
            let entry = EntryPlace { probe, addr: self.place(first, probe) };
            let raw = memory.read64(entry.addr).map_err(|Hole| entry.refuses(Reason::Hole))?;
            last = Some(entry);
            let valid = raw % 2 == 1;
            // Step 3.
            if valid && raw >> 38 == tag && raw >> 7 & 7 == u64::from(probe) {
                return Ok(Page { entry, raw });
            }
            // Step 4.
            if !valid && raw >> 1 & 1 == 0 {
                break;
            }
        }
        Err(Fault { reason: Reason::Absent, entry: last, guest: None })
    }
}

impl EntryPlace {
    fn refuses(self, reason: Reason) -> Fault {
        Fault { reason, entry: Some(self), guest: None }
    }
}

impl Page {
    fn bit(self, number: u32) -> bool {
        self.raw >> number & 1 == 1
    }

    /// R, W and X.
    fn rights(self) -> u8 {
        self.raw.to_le_bytes()[0] >> 1 & 7
    }

    /// Step 5, the rights.
    fn check_rights(self, access: Access) -> Result<(), Fault> {
        let (read, write, execute, user) = (self.bit(1), self.bit(2), self.bit(3), self.bit(4));
        let reachable = access.privilege != Privilege::User || user;
        let allowed = match access.kind {
            AccessKind::Fetch => execute,
            AccessKind::Load => read,
            AccessKind::Store => write,
            AccessKind::Amo => read && write,
        };
        match () {
            () if reachable && allowed => Ok(()),
            () if reachable && writes(access.kind) && read => {
                Err(self.entry.refuses(Reason::ReadOnly))
            }
            () => Err(self.entry.refuses(Reason::NotAllowed)),
        }
    }

    /// Where the address is, and, step 5, A and D.
    fn outcome(self, access: Access) -> Outcome {
        let frame = self.raw >> 10 & 0xfff_ffff;
        let value = self.raw | 1 << 5 | if writes(access.kind) { 1 << 6 } else { 0 };
        let change = Write { addr: self.entry.addr, size: 8, value };
        Outcome {
            pa: PhysAddr::new(frame * 4096 + access.addr.raw() % 4096),
            page_bits: 12,
            writes: if value == self.raw { Vec::new() } else { vec![change] },
        }
    }
}

fn writes(kind: AccessKind) -> bool {
    matches!(kind, AccessKind::Store | AccessKind::Amo)
}
