//! Which addresses a program may use, what for, and what it finds there.

use alloc::vec::Vec;
use core::fmt;
use emmu_core::{AccessKind, VirtAddr};
use thiserror::Error;

bitflags::bitflags! {
    /// What a program may do with the bytes of a region.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Rights: u8 {
        /// Load.
        const READ = 1 << 0;
        /// Store.
        const WRITE = 1 << 1;
        /// Fetch.
        const EXECUTE = 1 << 2;
    }
}

impl Rights {
    /// Code.
    pub const RX: Self = Self::READ.union(Self::EXECUTE);
    /// Data.
    pub const RW: Self = Self::READ.union(Self::WRITE);

    /// Whether an access of this kind is allowed.
    #[must_use]
    pub const fn allow(self, kind: AccessKind) -> bool {
        self.contains(match kind {
            AccessKind::Fetch => Self::EXECUTE,
            AccessKind::Load => Self::READ,
            AccessKind::Store => Self::WRITE,
            AccessKind::Amo => Self::RW,
        })
    }
}

/// As `ls` and `/proc` show them: `r-x`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |right, letter| if self.contains(right) { letter } else { '-' };
        write!(
            f,
            "{}{}{}",
            shown(Self::READ, 'r'),
            shown(Self::WRITE, 'w'),
            shown(Self::EXECUTE, 'x')
        )
    }
}

/// Contiguous addresses of a program that have the same rights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    start: VirtAddr,
    len: u64,
    rights: Rights,
    image: Vec<u8>,
}

impl Region {
    /// `len` bytes from `start` on, all zeros at first.
    ///
    /// # Errors
    /// [`LayoutError`] if there are none, or if they reach the last address of the 64-bit space, which is
    /// never a program's.
    pub const fn new(start: VirtAddr, len: u64, rights: Rights) -> Result<Self, LayoutError> {
        if len == 0 {
            return Err(LayoutError::Empty { start });
        }
        if start.checked_add(len).is_none() {
            return Err(LayoutError::TooLong { start, len });
        }
        Ok(Self { start, len, rights, image: Vec::new() })
    }

    /// The same region with these bytes at its start.
    ///
    /// # Errors
    /// [`LayoutError::Image`] if it has not so many.
    pub fn with_image(self, image: Vec<u8>) -> Result<Self, LayoutError> {
        let (start, len, bytes) = (self.start, self.len, image.len() as u64);
        if bytes > len {
            return Err(LayoutError::Image { start, len, image: bytes });
        }
        Ok(Self { image, ..self })
    }

    /// First address.
    #[must_use]
    pub const fn start(&self) -> VirtAddr {
        self.start
    }

    /// Bytes, at least 1.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.len
    }

    /// One past the last address.
    #[must_use]
    pub const fn end(&self) -> VirtAddr {
        self.start.wrapping_add(self.len)
    }

    /// What the program may do with it.
    #[must_use]
    pub const fn rights(&self) -> Rights {
        self.rights
    }

    /// The bytes at its start; the others are zeros.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// The part of the image from `addr` on.
    pub(crate) fn image_from(&self, addr: VirtAddr) -> &[u8] {
        let skipped = usize::try_from(addr.raw().saturating_sub(self.start.raw()));
        skipped.ok().and_then(|skipped| self.image.get(skipped..)).unwrap_or(&[])
    }
}

/// The regions of a program, by rising addresses. They do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Layout(Vec<Region>);

impl Layout {
    /// A layout of these regions, in any order.
    ///
    /// # Errors
    /// [`LayoutError::Overlap`] if two have addresses in common.
    pub fn new(regions: impl IntoIterator<Item = Region>) -> Result<Self, LayoutError> {
        let mut regions: Vec<_> = regions.into_iter().collect();
        regions.sort_by_key(|region| region.start);
        match regions.windows(2).find(|pair| pair[0].end() > pair[1].start) {
            Some(pair) => Err(LayoutError::Overlap { lower: pair[0].start, upper: pair[1].start }),
            None => Ok(Self(regions)),
        }
    }

    /// The regions, by rising addresses.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.0
    }

    /// The region that has this address.
    #[must_use]
    pub fn region_at(&self, addr: VirtAddr) -> Option<&Region> {
        let after = self.0.partition_point(|region| region.start <= addr);
        let region = self.0.get(after.checked_sub(1)?)?;
        (addr < region.end()).then_some(region)
    }
}

/// Why there can be no such layout, or not on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
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
    use std::string::ToString;
    use std::vec;

    fn region(start: u64, len: u64) -> Region {
        Region::new(VirtAddr::new(start), len, Rights::RW).unwrap()
    }

    #[test]
    fn a_region_without_bytes_is_refused() {
        let start = VirtAddr::new(0x1000);
        assert_eq!(Region::new(start, 0, Rights::RW), Err(LayoutError::Empty { start }));
    }

    #[test]
    fn a_region_that_wraps_is_refused() {
        let (start, len) = (VirtAddr::new(u64::MAX - 4), 5);
        assert_eq!(Region::new(start, len, Rights::RW), Err(LayoutError::TooLong { start, len }));
    }

    #[test]
    fn an_image_longer_than_its_region_is_refused() {
        let error = region(0x1000, 2).with_image(vec![1, 2, 3]).unwrap_err();
        assert_eq!(error.to_string(), "the region at 0x1000 has 0x2 bytes, and its image 0x3");
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

    #[test]
    fn rights_are_shown_as_ls_shows_them() {
        assert_eq!(Rights::RX.to_string(), "r-x");
        assert_eq!(Rights::RW.to_string(), "rw-");
    }

    #[test]
    fn an_atomic_access_needs_both_rights() {
        assert!(Rights::RW.allow(AccessKind::Amo));
        assert!(!Rights::WRITE.allow(AccessKind::Amo));
    }
}
