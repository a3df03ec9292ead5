//! How a descriptor is read: by the unit, and by a debugger.

use super::{DESCRIPTOR_BYTES, Descriptor};
use crate::Segment;
use emmu_core::{Access, BusError, Cause, Fault, FaultEntry, PhysAddr, Width};

/// The width of a descriptor's words.
pub(super) const WORD: Width = Width::B8;

/// Where the words of descriptors come from.
pub(super) trait Read {
    fn word(&mut self, addr: PhysAddr) -> Result<u64, BusError>;
}

/// Why there is no descriptor, and the word that says so.
pub(super) struct Refused(Cause, Option<FaultEntry>);

impl Refused {
    pub(super) const fn of(self, access: Access) -> Fault {
        Fault { entry: self.1, ..Fault::new(access, self.0) }
    }
}

/// The segment that the descriptor at `addr` describes, and the word that bounds it.
pub(super) fn read(
    addr: Option<PhysAddr>,
    from: &mut impl Read,
    last: u64,
) -> Result<(Segment, FaultEntry), Refused> {
    let base_addr = addr.ok_or(Refused(Cause::AddressSize, None))?;
    let word_addr = base_addr.wrapping_add(DESCRIPTOR_BYTES / 2);
    let word = entry(from, word_addr)?;
    let told = FaultEntry { level: 0, addr: word_addr, raw: Some(word) };
    let descriptor = Descriptor { base: 0, word };
    if !descriptor.is_present() {
        return Err(Refused(Cause::Absent, Some(told)));
    }
    if descriptor.is_malformed(last) {
        return Err(Refused(Cause::Reserved, Some(told)));
    }
    let base = entry(from, base_addr)?;
    Ok((Descriptor { base, word }.segment(), told))
}

fn entry(from: &mut impl Read, addr: PhysAddr) -> Result<u64, Refused> {
    let refused =
        |error| Refused(Cause::Bus(error), Some(FaultEntry { level: 0, addr, raw: None }));
    from.word(addr).map_err(refused)
}
