//! One segment: where it is, how large, in which direction it grows and what it allows.

use crate::Refusal;
use emmu_core::{AccessKind, PhysAddr};

bitflags::bitflags! {
    /// The flags register of a segment.
    ///
    /// | bit | 3 | 2 | 1 | 0 |
    /// |---|---|---|---|---|
    /// | | grows down | execute | write | read |
    ///
    /// All other bits are reserved.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SegmentFlags: u64 {
        /// Loads are allowed.
        const READ = 1 << 0;
        /// Stores are allowed.
        const WRITE = 1 << 1;
        /// Fetches are allowed.
        const EXECUTE = 1 << 2;
        /// The segment ends where its part of the address space ends, and grows towards lower addresses.
        const GROWS_DOWN = 1 << 3;
    }
}

/// As its bits.
#[cfg(feature = "serde")]
impl serde::Serialize for SegmentFlags {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.bits().serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for SegmentFlags {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flags = Self::from_bits(u64::deserialize(deserializer)?);
        flags.ok_or_else(|| serde::de::Error::custom("flags: bits 63:4 are reserved"))
    }
}

/// The registers of one segment. After reset all are zeros: no byte is within bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Segment {
    /// Physical address of its first byte; of the byte past its last one, if it grows down (which
    /// therefore cannot be the last byte of the 64-bit space).
    pub base: u64,
    /// How many bytes it has.
    pub bounds: u64,
    /// Direction and permissions.
    pub flags: SegmentFlags,
}

impl Segment {
    /// Where the byte at `offset` is, and how many are there from it on, if this kind of access may have them.
    /// `last` is the largest offset that a segment can have here.
    ///
    /// # Errors
    /// [`Refusal`]: first of the bounds, then of the permissions.
    #[inline]
    pub fn place(
        &self,
        offset: u64,
        last: u64,
        kind: AccessKind,
    ) -> Result<(PhysAddr, u64), Refusal> {
        let found = if self.flags.contains(SegmentFlags::GROWS_DOWN) {
            self.locate_down(last.saturating_sub(offset))?
        } else {
            self.locate_up(offset)?
        };
        match needed(kind).difference(self.flags) {
            missing if missing.is_empty() => Ok(found),
            missing => Err(Refusal::Forbidden { missing }),
        }
    }

    /// Returns true if the segment has more bytes than there are offsets, of which `last` is the largest.
    #[cfg(feature = "serde")]
    pub(crate) const fn is_past(&self, last: u64) -> bool {
        self.bounds.saturating_sub(1) > last
    }

    /// Grows up: the offset must be below the bounds, and is added to the base.
    #[inline]
    fn locate_up(&self, offset: u64) -> Result<(PhysAddr, u64), Refusal> {
        if offset >= self.bounds {
            return Err(Refusal::PastBounds { by: offset - self.bounds });
        }
        let addr = self.base.checked_add(offset).ok_or(Refusal::NoPlace)?;
        let left = self.bounds - offset;
        Ok((PhysAddr::new(addr), left.min((u64::MAX - addr).saturating_add(1))))
    }

    /// Grows down: the book's negative offset is the offset less the maximum size, −1 for the last byte.
    /// Its magnitude must be at most the bounds, and is taken from the base. `above` is the magnitude less
    /// one, which has room in 64 bits even where a segment can have 2^64 bytes.
    #[inline]
    fn locate_down(&self, above: u64) -> Result<(PhysAddr, u64), Refusal> {
        if above >= self.bounds {
            return Err(Refusal::PastBounds { by: (above - self.bounds).saturating_add(1) });
        }
        let addr = self.base.checked_sub(above + 1).ok_or(Refusal::NoPlace)?;
        Ok((PhysAddr::new(addr), above + 1))
    }
}

/// The permissions that a kind of access needs.
#[inline]
const fn needed(kind: AccessKind) -> SegmentFlags {
    match kind {
        AccessKind::Fetch => SegmentFlags::EXECUTE,
        AccessKind::Load => SegmentFlags::READ,
        AccessKind::Store => SegmentFlags::WRITE,
        AccessKind::Amo => SegmentFlags::READ.union(SegmentFlags::WRITE),
    }
}
