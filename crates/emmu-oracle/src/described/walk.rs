//! The translation of an access, in the steps that the guide page numbers.

use super::{Description, EntryPlace, Fault, Reason, Registers};
use crate::reference::{Memory, Outcome, Write};
use emmu_core::{Access, AccessKind, PhysAddr, Privilege};

/// An entry as it was read.
#[derive(Clone, Copy)]
struct Read {
    entry: EntryPlace,
    bits: u64,
}

impl Read {
    /// Returns true if the bit is set, and `None` if there is no such bit.
    fn bit(self, number: Option<u32>) -> Option<bool> {
        Some(self.bits >> number? & 1 == 1)
    }

    fn refuses(self, reason: Reason) -> Fault {
        Fault { reason, entry: Some(self.entry) }
    }
}

/// One level of tables.
struct Level {
    /// 0 is the last.
    number: u32,
    /// Bytes that one entry maps.
    page_size: u128,
    /// Entries in a table.
    entries: u128,
}

impl Description {
    /// The levels, topmost first.
    fn levels(&self) -> Vec<Level> {
        let upwards = (0..).zip(self.page_sizes()).zip(self.index_bits.iter().rev());
        let mut levels: Vec<Level> = upwards
            .map(|((number, page_bits), index_bits)| Level {
                number,
                page_size: 1 << page_bits,
                entries: 1 << index_bits,
            })
            .collect();
        levels.reverse();
        levels
    }

    /// The address in the entry: its frame number times the size of a page.
    fn frame(&self, read: Read) -> u128 {
        let (low, count) = self.frame;
        let number = u128::from(read.bits) >> low & ((1 << count) - 1);
        number << self.page_bits
    }
}

impl Registers {
    pub(super) fn through_tables(
        &self,
        access: Access,
        memory: &dyn Memory,
    ) -> Result<Outcome, Fault> {
        // Step 1. An address wider than the described ones is not canonical.
        let va = u128::from(access.addr.raw());
        if va >= 1 << self.description.address_bits() {
            return Err(Fault { reason: Reason::NotCanonical, entry: None });
        }

        // Steps 2 to 4.
        let (page, size) = self.find_page(va, memory)?;

        // Step 5. The frame of a page above the last level is aligned to the page's size.
        let frame = self.description.frame(page);
        if !frame.is_multiple_of(size) {
            return Err(page.refuses(Reason::Misaligned));
        }

        // Step 6. The rights.
        self.check_rights(page, access)?;

        // Step 7. The accessed and the dirty bit.
        let writes = self.record(page, access.kind)?;

        // Step 8. The offset in the page stays as it is.
        Ok(Outcome { pa: addr(frame + va % size), page_bits: size.ilog2(), writes })
    }

    /// Steps 2 to 4: down to the page, and its size in bytes.
    fn find_page(&self, va: u128, memory: &dyn Memory) -> Result<(Read, u128), Fault> {
        let mut table = u128::from(self.ptbr);
        for Level { number, page_size, entries } in self.description.levels() {
            // Step 2. The entry at table + index × size.
            let index = va / page_size % entries;
            let read = self.read(number, table + index * u128::from(self.entry_size()), memory)?;

            // Step 3. The valid bit.
            if read.bit(Some(self.description.valid)) == Some(false) {
                return Err(read.refuses(Reason::NotValid));
            }

            // Step 4. A page at the last level and where the superpage bit says so; else the next table.
            if number == 0 || read.bit(self.description.superpage) == Some(true) {
                return Ok((read, page_size));
            }
            table = self.description.frame(read);
        }
        // The last level has number 0.
        Err(Fault { reason: Reason::NotValid, entry: None })
    }

    fn entry_size(&self) -> u8 {
        self.description.entry_size
    }

    fn read(&self, level: u32, place: u128, memory: &dyn Memory) -> Result<Read, Fault> {
        let entry = EntryPlace { level, addr: addr(place) };
        match memory.read_entry(entry.addr, self.entry_size()) {
            Ok(bits) => Ok(Read { entry, bits }),
            Err(_) => Err(Fault { reason: Reason::Hole, entry: Some(entry) }),
        }
    }

    /// Step 6: user mode needs the user bit, and each kind of access its own right, an atomic two. A right without a bit
    /// is granted.
    fn check_rights(&self, page: Read, access: Access) -> Result<(), Fault> {
        let Description { read, write, execute, user, .. } = self.description;
        let has = |right| page.bit(right) != Some(false);
        let reachable = access.privilege != Privilege::User || has(user);
        let allowed = match access.kind {
            AccessKind::Fetch => has(execute),
            AccessKind::Load => has(read),
            AccessKind::Store => has(write),
            AccessKind::Amo => has(read) && has(write),
        };
        let writes = matches!(access.kind, AccessKind::Store | AccessKind::Amo);
        match () {
            () if reachable && allowed => Ok(()),
            () if reachable && writes && has(read) => Err(page.refuses(Reason::ReadOnly)),
            () => Err(page.refuses(Reason::NotAllowed)),
        }
    }

    /// Step 7: an access needs the accessed bit, a write the dirty bit too. Hardware sets what is clear; where software
    /// does, it is a fault.
    fn record(&self, page: Read, kind: AccessKind) -> Result<Vec<Write>, Fault> {
        let Description { accessed, dirty, recorded_by_software, .. } = self.description;
        let dirty = if matches!(kind, AccessKind::Store | AccessKind::Amo) { dirty } else { None };
        let mut value = page.bits;
        for (bit, reason) in [(accessed, Reason::NotAccessed), (dirty, Reason::NotDirty)] {
            if page.bit(bit) == Some(false) {
                if recorded_by_software {
                    return Err(page.refuses(reason));
                }
                value |= bit.map_or(0, |bit| 1 << bit);
            }
        }
        if value == page.bits {
            return Ok(Vec::new());
        }
        Ok(vec![Write { addr: page.entry.addr, size: self.entry_size(), value }])
    }
}

/// Physical addresses are counted modulo 2^64.
fn addr(place: u128) -> PhysAddr {
    PhysAddr::new(u64::try_from(place % (1 << 64)).unwrap_or(0))
}
