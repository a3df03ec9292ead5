//! The reader of images.

use super::{HEADER, Image, ImageError, REFERENCE, SECTION};
use crate::{Layout, Reference, Region, Rights};
use alloc::vec::Vec;
use emmu_core::{VirtAddr, Width};

pub(super) fn image(file: &[u8]) -> Result<Image, ImageError> {
    let mut reader = Reader { file, at: 0 };
    let header = reader.part("a header", HEADER as u64)?;
    if header.bytes(0..4) != Image::MAGIC {
        return Err(ImageError::Magic);
    }
    header.zeros(12)?;
    let sections = reader.table("the sections", header.word4(4), SECTION)?;
    let references = reader.table("the references", header.word4(8), REFERENCE)?;
    let references = references.iter().map(reference).collect::<Result<Vec<_>, _>>()?;
    check_order(&references)?;
    let regions = sections.iter().map(|section| region(&mut reader, section));
    let regions = regions.collect::<Result<Vec<_>, _>>()?;
    reader.end()?;
    let regions = claim(regions, &references)?;
    Image::new(VirtAddr::new(header.word8(16)), Layout::new(regions)?)
}

/// A word that is to be relocated, and where its entry is in the file.
struct Placed {
    at: usize,
    addr: VirtAddr,
    width: Width,
}

fn reference(entry: &Part<'_>) -> Result<Placed, ImageError> {
    entry.zeros(12)?;
    let found = entry.word4(8).into();
    let width = Width::from_bytes(found).filter(|&width| Reference::new(0, width).is_some());
    let width = width.ok_or(entry.refused(8, "the width of a reference", found, "4 or 8"))?;
    Ok(Placed { at: entry.at, addr: VirtAddr::new(entry.word8(0)), width })
}

/// Checks that no word is relocated twice.
fn check_order(references: &[Placed]) -> Result<(), ImageError> {
    for pair in references.windows(2) {
        let end = pair[0].addr.checked_add(pair[0].width.bytes());
        if end.is_none_or(|end| pair[1].addr < end) {
            return Err(ImageError::Field {
                at: pair[1].at,
                field: "the address of a reference",
                found: pair[1].addr.raw(),
                expected: "one past the reference before",
            });
        }
    }
    Ok(())
}

fn region(reader: &mut Reader<'_>, section: &Part<'_>) -> Result<Region, ImageError> {
    let found = section.word4(20);
    let rights = u8::try_from(found).ok().and_then(Rights::from_bits);
    let rights = rights.ok_or(section.refused(20, "rights", found.into(), "bits 0 to 2 only"))?;
    let content = reader.part("a section's content", section.word4(16).into())?;
    let region = Region::new(VirtAddr::new(section.word8(0)), section.word8(8), rights)?;
    Ok(region.with_image(content.file.to_vec())?)
}

/// Gives every reference to the region that holds its bytes.
fn claim(regions: Vec<Region>, references: &[Placed]) -> Result<Vec<Region>, ImageError> {
    let mut claimed = 0;
    let claim_own = |region: Region| {
        let own: Vec<_> = references.iter().filter_map(|placed| within(&region, placed)).collect();
        claimed += own.len();
        region.with_references(own).map_err(ImageError::from)
    };
    let regions = regions.into_iter().map(claim_own).collect::<Result<Vec<_>, _>>()?;
    let lost = |placed: &&Placed| regions.iter().all(|region| within(region, placed).is_none());
    match references.iter().find(lost) {
        Some(placed) => Err(ImageError::Reference { addr: placed.addr }),
        None => Ok(regions),
    }
}

/// The reference as the region knows it, if its bytes are the region's.
fn within(region: &Region, placed: &Placed) -> Option<Reference> {
    let offset = placed.addr.raw().checked_sub(region.start().raw())?;
    let end = offset.checked_add(placed.width.bytes())?;
    let reference = Reference::new(offset, placed.width)?;
    (end <= region.image().len() as u64).then_some(reference)
}

/// The rest of a file.
struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

/// A part of it whose size is known.
struct Part<'a> {
    at: usize,
    file: &'a [u8],
}

impl<'a> Reader<'a> {
    fn part(&mut self, what: &'static str, needed: u64) -> Result<Part<'a>, ImageError> {
        let at = self.at;
        let left = self.file.len() - at;
        let truncated = ImageError::Truncated { at, what, needed, left };
        let len = usize::try_from(needed).ok().filter(|&len| len <= left).ok_or(truncated)?;
        self.at += len;
        Ok(Part { at, file: &self.file[at..at + len] })
    }

    fn table(
        &mut self,
        what: &'static str,
        count: u32,
        entry: usize,
    ) -> Result<Vec<Part<'a>>, ImageError> {
        let table = self.part(what, u64::from(count) * entry as u64)?;
        let entries = table.file.chunks_exact(entry).enumerate();
        Ok(entries.map(|(index, file)| Part { at: table.at + index * entry, file }).collect())
    }

    fn end(&self) -> Result<(), ImageError> {
        match self.file.len() - self.at {
            0 => Ok(()),
            left => Err(ImageError::TooLong { at: self.at, left }),
        }
    }
}

impl Part<'_> {
    fn bytes<const N: usize>(&self, range: core::ops::Range<usize>) -> [u8; N] {
        self.file.get(range).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    fn word4(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes(offset..offset + 4))
    }

    fn word8(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes(offset..offset + 8))
    }

    fn zeros(&self, offset: usize) -> Result<(), ImageError> {
        match self.word4(offset) {
            0 => Ok(()),
            found => Err(self.refused(offset, "a reserved field", found.into(), "0")),
        }
    }

    fn refused(
        &self,
        offset: usize,
        field: &'static str,
        found: u64,
        expected: &'static str,
    ) -> ImageError {
        ImageError::Field { at: self.at + offset, field, found, expected }
    }
}
