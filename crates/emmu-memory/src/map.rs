//! The map: which physical addresses are RAM, ROM or a device.

use alloc::vec::Vec;
use core::fmt;
use emmu_core::{BusError, PhysAddr, RAM_PAGE_BITS, Transfer, low_mask};
use thiserror::Error;

/// The kinds of region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RegionKind {
    /// Memory that can be read and written.
    Ram,
    /// Memory that the machine can only read.
    Rom,
    /// A [`crate::Device`].
    Device,
}

impl fmt::Display for RegionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ram => "RAM",
            Self::Rom => "ROM",
            Self::Device => "device",
        })
    }
}

/// A run of physical addresses where one kind of memory, or one device, answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// The first byte.
    pub start: PhysAddr,
    /// The last byte. It is included, because a region may end with the address space.
    pub last: PhysAddr,
    /// The kind of memory or device that answers.
    pub kind: RegionKind,
}

impl Region {
    /// Makes a region of `size` bytes from `start` on.
    pub(crate) fn new(kind: RegionKind, start: PhysAddr, size: u64) -> Result<Self, MapError> {
        let beyond = size.checked_sub(1).ok_or(MapError::Empty { kind, start })?;
        let last = start.checked_add(beyond).ok_or(MapError::TooLong { kind, start, size })?;
        Ok(Self { start, last, kind })
    }

    /// Returns true if the byte at `addr` lies in this region.
    #[must_use]
    pub fn contains(&self, addr: PhysAddr) -> bool {
        self.start <= addr && addr <= self.last
    }

    /// Returns true if all bytes from `first` to `last` lie in this region.
    fn covers(&self, first: PhysAddr, last: PhysAddr) -> bool {
        self.start <= first && last <= self.last
    }
}

/// Writes the region as `RAM 0x0..=0xfff`.
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}..={}", self.kind, self.start, self.last)
    }
}

/// The reason why a region cannot be added to a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The region has no bytes.
    #[error("the {kind} at {start} has a size of 0 bytes; expected at least 1")]
    Empty {
        /// The kind of the region that was to be added.
        kind: RegionKind,
        /// The first address of the region.
        start: PhysAddr,
    },
    /// The region would pass the last physical address.
    #[error(
        "the {kind} at {start} has a size of {size:#x} bytes and passes the last physical address"
    )]
    TooLong {
        /// The kind of the region that was to be added.
        kind: RegionKind,
        /// The first address of the region.
        start: PhysAddr,
        /// The size of the region in bytes.
        size: u64,
    },
    /// The region overlaps another region.
    #[error("{new} overlaps {old}")]
    Overlap {
        /// The region that was to be added.
        new: Region,
        /// The region that was there before.
        old: Region,
    },
}

/// The destination of a transfer whose bytes are all mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BusRoute {
    /// The transfer goes to RAM and ROM, in one or several regions.
    Memory,
    /// The whole transfer goes to the device of this region.
    Device(Region),
}

/// All regions, sorted by address. No two of them overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    regions: Vec<Region>,
}

impl Map {
    /// Adds a region. It must overlap no other.
    pub(crate) fn insert(&mut self, new: Region) -> Result<(), MapError> {
        let place = self.regions.partition_point(|region| region.last < new.start);
        match self.regions.get(place) {
            Some(&old) if old.start <= new.last => Err(MapError::Overlap { new, old }),
            _ => {
                self.regions.insert(place, new);
                Ok(())
            }
        }
    }

    /// Returns the regions, sorted by address.
    pub(crate) fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Returns the region that holds `addr`.
    pub(crate) fn find(&self, addr: PhysAddr) -> Option<Region> {
        let place = self.regions.partition_point(|region| region.last < addr);
        self.regions.get(place).filter(|region| region.contains(addr)).copied()
    }

    /// Returns true if the whole frame around `addr` lies in one RAM region. Once a byte of the frame is
    /// mapped, no later `insert` changes the answer.
    pub(crate) fn is_ram_frame(&self, addr: PhysAddr) -> bool {
        let first = addr.align_down(RAM_PAGE_BITS);
        let last = first.wrapping_add(low_mask(RAM_PAGE_BITS));
        self.find(addr)
            .is_some_and(|region| region.kind == RegionKind::Ram && region.covers(first, last))
    }

    /// Returns the destination of a transfer of `len` bytes from `addr` on, if all of them are mapped.
    ///
    /// The error names the first byte that is a hole, or that is read-only if the transfer writes. If there is
    /// no such byte, but the transfer reaches beyond a device that it touches, the error is
    /// [`BusError::Refused`].
    pub(crate) fn route(
        &self,
        addr: PhysAddr,
        len: u64,
        transfer: Transfer,
    ) -> Result<BusRoute, BusError> {
        let Some(beyond) = len.checked_sub(1) else { return Ok(BusRoute::Memory) };
        let last = addr.checked_add(beyond);
        let end = last.unwrap_or(PhysAddr::new(u64::MAX));
        let device = self.first_device(addr, end, transfer)?;
        if last.is_none() {
            return Err(BusError::Unmapped { addr: end });
        }
        match device {
            None => Ok(BusRoute::Memory),
            Some(region) if region.covers(addr, end) => Ok(BusRoute::Device(region)),
            Some(region) => Err(BusError::Refused { addr: region.start.max(addr) }),
        }
    }

    /// Goes through the regions from `first` to `last`, checks that every byte is mapped, and returns the first
    /// device region.
    fn first_device(
        &self,
        first: PhysAddr,
        last: PhysAddr,
        transfer: Transfer,
    ) -> Result<Option<Region>, BusError> {
        let mut device = None;
        let mut at = first;
        loop {
            let region = self.find(at).ok_or(BusError::Unmapped { addr: at })?;
            match (region.kind, transfer) {
                (RegionKind::Rom, Transfer::Write) => return Err(BusError::ReadOnly { addr: at }),
                (RegionKind::Device, _) => device = device.or(Some(region)),
                _ => {}
            }
            if last <= region.last {
                return Ok(device);
            }
            at = region.last.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn ram(start: u64, size: u64) -> Region {
        Region::new(RegionKind::Ram, PhysAddr::new(start), size).unwrap()
    }

    #[test]
    fn a_region_may_end_with_the_address_space() {
        assert_eq!(ram(u64::MAX, 1).last, PhysAddr::new(u64::MAX));
        let start = PhysAddr::new(u64::MAX);
        let too_long = Region::new(RegionKind::Rom, start, 2);
        assert_eq!(too_long, Err(MapError::TooLong { kind: RegionKind::Rom, start, size: 2 }));
    }

    #[test]
    fn an_empty_region_is_refused() {
        let start = PhysAddr::new(0x4000);
        let empty = Region::new(RegionKind::Device, start, 0).unwrap_err();
        assert_eq!(empty, MapError::Empty { kind: RegionKind::Device, start });
    }

    #[test]
    fn an_overlap_names_both_regions() {
        let mut map = Map::default();
        map.insert(ram(0x1000, 0x1000)).unwrap();
        let error = map.insert(ram(0x1fff, 1)).unwrap_err();
        assert_eq!(error.to_string(), "RAM 0x1fff..=0x1fff overlaps RAM 0x1000..=0x1fff");
        assert_eq!(map.insert(ram(0, 0x1001)).unwrap_err().to_string().matches("RAM").count(), 2);
        assert_eq!(map.regions(), [ram(0x1000, 0x1000)]);
    }

    #[test]
    fn neighbours_do_not_overlap() {
        let mut map = Map::default();
        for start in [0x1000, 0x3000, 0x2000, 0] {
            map.insert(ram(start, 0x1000)).unwrap();
        }
        assert_eq!(map.regions(), [0, 0x1000, 0x2000, 0x3000].map(|start| ram(start, 0x1000)));
    }

    #[test]
    fn a_frame_that_is_only_partly_ram_is_no_ram_frame() {
        let mut map = Map::default();
        map.insert(ram(0x0800, 0x1fff)).unwrap();
        let frames = [0x0800, 0x1000, 0x2000].map(|addr| map.is_ram_frame(PhysAddr::new(addr)));
        assert_eq!(frames, [false, true, false]);
    }
}
