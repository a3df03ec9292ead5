//! The layout of a program: its regions.

use crate::Region;
use alloc::vec::Vec;
use emmu_core::VirtAddr;
use thiserror::Error;

/// The regions of a program, by rising addresses. They do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Layout(Vec<Region>);

impl Layout {
    /// Makes a layout of these regions, which may have any order.
    ///
    /// # Errors
    /// [`LayoutError::Overlap`] if two have addresses in common.
    pub fn new(regions: impl IntoIterator<Item = Region>) -> Result<Self, LayoutError> {
        let mut regions: Vec<_> = regions.into_iter().collect();
        regions.sort_by_key(Region::start);
        match regions.windows(2).find(|pair| pair[0].end() > pair[1].start()) {
            Some(pair) => {
                Err(LayoutError::Overlap { lower: pair[0].start(), upper: pair[1].start() })
            }
            None => Ok(Self(regions)),
        }
    }

    /// Returns the regions, sorted by address.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.0
    }

    /// Returns the address one past the last region, or 0 without regions.
    #[must_use]
    pub fn end(&self) -> VirtAddr {
        self.0.last().map_or(VirtAddr::ZERO, Region::end)
    }

    /// Returns the region that holds this address.
    #[must_use]
    pub fn region_at(&self, addr: VirtAddr) -> Option<&Region> {
        self.0.get(self.index_at(addr)?)
    }

    /// Returns the number of the region that holds this address.
    pub(crate) fn index_at(&self, addr: VirtAddr) -> Option<usize> {
        let after = self.0.partition_point(|region| region.start() <= addr);
        let index = after.checked_sub(1)?;
        (addr < self.0.get(index)?.end()).then_some(index)
    }
}

/// The reason why there can be no such layout, or not on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A region without bytes.
    #[error("the region at {start} has no bytes; expected at least 1")]
    Empty {
        /// Where it starts.
        start: VirtAddr,
    },
    /// A region that passes or reaches the last address.
    #[error("the region at {start} of {len:#x} bytes reaches the last 64-bit address")]
    TooLong {
        /// Where it starts.
        start: VirtAddr,
        /// Its bytes.
        len: u64,
    },
    /// There is no region to grow.
    #[error("no region has the address {at}")]
    NoRegion {
        /// Where it should be.
        at: VirtAddr,
    },
    /// A region begins with its image, so nothing can be put before it.
    #[error("the region at {start} begins with its image, and does not grow down")]
    ImageInTheWay {
        /// Where it starts.
        start: VirtAddr,
    },
    /// More initial bytes than the region has.
    #[error("the region at {start} has {len:#x} bytes, and its image {image:#x}")]
    Image {
        /// Where it starts.
        start: VirtAddr,
        /// Its bytes.
        len: u64,
        /// The image's bytes.
        image: u64,
    },
    /// A reference that is not within the image, or overlaps the one before.
    #[error(
        "the reference at {offset:#x} of the region at {start} is not in its image, or overlaps another"
    )]
    Reference {
        /// Where the region starts.
        start: VirtAddr,
        /// Where in the image it should be.
        offset: u64,
    },
    /// A reference has no room for the address that it becomes where the program is loaded.
    #[error("the reference at {addr} holds {held:#x}, and has no room for that plus {origin:#x}")]
    ReferenceTooWide {
        /// Where it is in the program.
        addr: VirtAddr,
        /// The value of the reference.
        held: u64,
        /// The number to be added.
        origin: u64,
    },
    /// Two regions have addresses in common.
    #[error("the region at {lower} overlaps the one at {upper}")]
    Overlap {
        /// Where the lower one starts.
        lower: VirtAddr,
        /// Where the upper one starts.
        upper: VirtAddr,
    },
    /// A region is, at least in part, where this machine's programs have no addresses.
    #[error("the region at {start} ends at {end}; programs have addresses below {limit}")]
    OutOfSpace {
        /// Where it starts.
        start: VirtAddr,
        /// One past its end.
        end: VirtAddr,
        /// One past the last address of a program.
        limit: VirtAddr,
    },
    /// A paged machine maps whole pages.
    #[error("the region at {start} of {len:#x} bytes; expected whole pages of {page:#x} bytes")]
    Unaligned {
        /// Where it starts.
        start: VirtAddr,
        /// Its bytes.
        len: u64,
        /// Bytes of a page.
        page: u64,
    },
    /// A segment starts where its part of the address space starts, or ends where that ends.
    #[error(
        "the region at {start} of {len:#x} bytes is no segment; expected it to start or end at a multiple of \
         {segment:#x}, and to cross none"
    )]
    NoSegment {
        /// Where it starts.
        start: VirtAddr,
        /// Its bytes.
        len: u64,
        /// The most bytes that a segment has.
        segment: u64,
    },
    /// There is one region to a segment.
    #[error("the region at {start} is in segment {segment}, which another region has")]
    SegmentTaken {
        /// Where it starts.
        start: VirtAddr,
        /// The number of the segment.
        segment: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rights;

    fn region(start: u64, len: u64) -> Region {
        Region::new(VirtAddr::new(start), len, Rights::RW).unwrap()
    }

    #[test]
    fn neighbours_may_touch_and_not_overlap() {
        assert!(Layout::new([region(0x2000, 0x1000), region(0x1000, 0x1000)]).is_ok());
        let overlap = Layout::new([region(0x2000, 0x1000), region(0x1000, 0x1001)]);
        assert_eq!(
            overlap,
            Err(LayoutError::Overlap {
                lower: VirtAddr::new(0x1000),
                upper: VirtAddr::new(0x2000)
            })
        );
    }

    #[test]
    fn an_address_finds_its_region_up_to_the_last_byte() {
        let layout = Layout::new([region(0x1000, 0x10), region(0x3000, 0x10)]).unwrap();
        let start_of = |addr| layout.region_at(VirtAddr::new(addr)).map(|at| at.start().raw());
        assert_eq!(start_of(0xfff), None);
        assert_eq!(start_of(0x1000), Some(0x1000));
        assert_eq!(start_of(0x100f), Some(0x1000));
        assert_eq!(start_of(0x1010), None);
        assert_eq!(start_of(0x3005), Some(0x3000));
    }
}
