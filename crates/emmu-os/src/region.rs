//! Regions: contiguous addresses of a program, with their rights and their initial bytes.

use crate::LayoutError;
use alloc::vec::Vec;
use core::fmt;
use emmu_core::{AccessKind, VirtAddr, Width};

bitflags::bitflags! {
    /// The rights of a program to the bytes of a region.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Rights: u8 {
        /// The right to load.
        const READ = 1 << 0;
        /// The right to store.
        const WRITE = 1 << 1;
        /// The right to fetch.
        const EXECUTE = 1 << 2;
    }
}

impl Rights {
    /// Code.
    pub const RX: Self = Self::READ.union(Self::EXECUTE);
    /// Data.
    pub const RW: Self = Self::READ.union(Self::WRITE);

    /// Returns true if an access of this kind is allowed.
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

/// Writes the rights as `ls` and `/proc` do: `r-x`.
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
    references: Vec<Reference>,
}

/// A word in a region's image that holds an address of the program itself: an absolute reference, which a
/// loader has to patch if it puts the program elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    offset: u64,
    width: Width,
}

impl Reference {
    /// Makes a reference in the word of 4 or 8 bytes at `offset` in the image. Returns `None` for another
    /// width.
    #[must_use]
    pub const fn new(offset: u64, width: Width) -> Option<Self> {
        match width {
            Width::B4 | Width::B8 => Some(Self { offset, width }),
            Width::B1 | Width::B2 => None,
        }
    }

    /// Makes a reference of 4 bytes.
    #[must_use]
    pub const fn word4(offset: u64) -> Self {
        Self { offset, width: Width::B4 }
    }

    /// Makes a reference of 8 bytes.
    #[must_use]
    pub const fn word8(offset: u64) -> Self {
        Self { offset, width: Width::B8 }
    }

    /// Returns the offset in the image.
    #[must_use]
    pub const fn offset(self) -> u64 {
        self.offset
    }

    /// Returns the width of the word.
    #[must_use]
    pub const fn width(self) -> Width {
        self.width
    }
}

impl Region {
    /// Makes a region of `len` bytes from `start` on, all zeros at first.
    ///
    /// # Errors
    /// [`LayoutError`] if `len` is 0, or if the region reaches the last address of the 64-bit space, which no
    /// program can have.
    pub const fn new(start: VirtAddr, len: u64, rights: Rights) -> Result<Self, LayoutError> {
        if len == 0 {
            return Err(LayoutError::Empty { start });
        }
        if start.checked_add(len).is_none() {
            return Err(LayoutError::TooLong { start, len });
        }
        Ok(Self { start, len, rights, image: Vec::new(), references: Vec::new() })
    }

    /// The largest number of bytes of an image: the largest that fits into the 4-byte fields of an
    /// [`Image`](crate::Image).
    pub const MAX_IMAGE: u64 = u32::MAX as u64;

    /// Returns this region with these bytes at its start. None of them is an address.
    ///
    /// # Errors
    /// [`LayoutError::Image`] if the region has fewer bytes, or if there are more than [`Self::MAX_IMAGE`].
    pub fn with_image(self, image: Vec<u8>) -> Result<Self, LayoutError> {
        let (start, len, bytes) = (self.start, self.len, image.len() as u64);
        if bytes > len.min(Self::MAX_IMAGE) {
            return Err(LayoutError::Image { start, len, image: bytes });
        }
        Ok(Self { image, references: Vec::new(), ..self })
    }

    /// Returns this region with references: these words of its image are addresses. On a machine that
    /// translates, they change nothing.
    ///
    /// # Errors
    /// [`LayoutError::Reference`] for the first reference that is not within the image, or overlaps the one
    /// before it.
    pub fn with_references(self, references: Vec<Reference>) -> Result<Self, LayoutError> {
        let mut free = 0;
        for &Reference { offset, width } in &references {
            let end = offset.checked_add(width.bytes());
            match end.filter(|&end| free <= offset && end <= self.image.len() as u64) {
                Some(end) => free = end,
                None => return Err(LayoutError::Reference { start: self.start, offset }),
            }
        }
        Ok(Self { references, ..self })
    }

    /// Returns the first address.
    #[must_use]
    pub const fn start(&self) -> VirtAddr {
        self.start
    }

    /// Returns the number of bytes, at least 1.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.len
    }

    /// Returns the address one past the last.
    #[must_use]
    pub const fn end(&self) -> VirtAddr {
        self.start.wrapping_add(self.len)
    }

    /// Returns the rights of the program.
    #[must_use]
    pub const fn rights(&self) -> Rights {
        self.rights
    }

    /// Returns the bytes at the start of the region; the others are zeros.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// Returns the addresses in the image, by rising offsets.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// Returns the part of the image from `addr` on.
    pub(crate) fn image_from(&self, addr: VirtAddr) -> &[u8] {
        let skipped = usize::try_from(addr.raw().saturating_sub(self.start.raw()));
        skipped.ok().and_then(|skipped| self.image.get(skipped..)).unwrap_or(&[])
    }
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
    fn rights_are_shown_as_ls_shows_them() {
        assert_eq!(Rights::RX.to_string(), "r-x");
        assert_eq!(Rights::RW.to_string(), "rw-");
    }

    #[test]
    fn an_atomic_access_needs_both_rights() {
        assert!(Rights::RW.allow(AccessKind::Amo));
        assert!(!Rights::WRITE.allow(AccessKind::Amo));
    }

    #[test]
    fn references_are_words_of_the_image_that_do_not_overlap() {
        let region = region(0x1000, 0x20).with_image(vec![0; 16]).unwrap();
        let refused = |offset| Err(LayoutError::Reference { start: region.start, offset });
        let with = |references: &[Reference]| region.clone().with_references(references.to_vec());
        assert!(with(&[Reference::word4(0), Reference::word8(4), Reference::word4(12)]).is_ok());
        assert_eq!(with(&[Reference::word8(4), Reference::word4(11)]), refused(11));
        assert_eq!(with(&[Reference::word4(13)]), refused(13));
        assert_eq!(with(&[Reference::word8(u64::MAX - 3)]), refused(u64::MAX - 3));
        assert_eq!(Reference::new(0, Width::B2), None);
    }
}
