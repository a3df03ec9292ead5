//! Programs as files: bytes for memory, and which of them are addresses.

mod error;
mod read;

pub use error::ImageError;

use crate::{Layout, Region, Rights};
use alloc::vec::Vec;
use emmu_core::VirtAddr;

/// A program as a linker leaves it: made for address 0, with a note of every absolute reference in it, so that
/// a loader can put it elsewhere.
///
/// All numbers are little-endian. The parts follow each other without gaps:
///
/// | part | bytes | field |
/// |---|---|---|
/// | header | 4 | [`MAGIC`](Self::MAGIC), `EMI1` |
/// | | 4 | number of sections |
/// | | 4 | number of references |
/// | | 4 | zeros |
/// | | 8 | address at which the program begins |
/// | each section | 8 | first address |
/// | | 8 | bytes in memory |
/// | | 4 | bytes in the file, at most as many; the others are zeros |
/// | | 4 | rights: read 1, write 2, execute 4 |
/// | each reference | 8 | address of a word that holds an address, by rising addresses |
/// | | 4 | bytes of the word: 4 or 8 |
/// | | 4 | zeros |
/// | contents | | the sections' bytes in the file, one after the other |
///
/// ```
/// use emmu_core::VirtAddr;
/// use emmu_os::{Image, Layout, Region, Rights};
///
/// // One section: a word that holds its own address, 0x10.
/// let text = Region::new(VirtAddr::new(0x10), 0x20, Rights::RX)?
///     .with_image(vec![0x10, 0, 0, 0])?
///     .with_references(vec![emmu_os::Reference::word4(0)])?;
/// let image = Image::new(VirtAddr::new(0x10), Layout::new([text])?)?;
/// let file = image.to_bytes();
/// assert_eq!(file.len(), 24 + 24 + 16 + 4);
/// assert_eq!(Image::read(&file)?, image);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    entry: VirtAddr,
    layout: Layout,
}

const HEADER: usize = 24;
const SECTION: usize = 24;
const REFERENCE: usize = 16;

impl Image {
    /// The first bytes of every image.
    pub const MAGIC: [u8; 4] = *b"EMI1";

    /// A program of these regions that begins at `entry`.
    ///
    /// # Errors
    /// [`ImageError::Entry`] if nothing can be executed there.
    pub fn new(entry: VirtAddr, layout: Layout) -> Result<Self, ImageError> {
        match layout.region_at(entry) {
            Some(region) if region.rights().contains(Rights::EXECUTE) => Ok(Self { entry, layout }),
            _ => Err(ImageError::Entry { entry }),
        }
    }

    /// Where the program begins, before relocation.
    #[must_use]
    pub const fn entry(&self) -> VirtAddr {
        self.entry
    }

    /// Its memory, as [`crate::Os::spawn`] takes it.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ImageError`] says what is wrong, and where.
    pub fn read(file: &[u8]) -> Result<Self, ImageError> {
        read::image(file)
    }

    /// The file. What [`read`](Self::read) makes of it is equal.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let regions = self.layout.regions();
        let references = || regions.iter().flat_map(Region::references);
        let mut file = Self::MAGIC.to_vec();
        file.extend(count(regions.len()));
        file.extend(count(references().count()));
        file.extend([0; 4]);
        file.extend(self.entry.raw().to_le_bytes());
        regions.iter().for_each(|region| put_section(&mut file, region));
        regions.iter().for_each(|region| put_references(&mut file, region));
        regions.iter().for_each(|region| file.extend(region.image()));
        file
    }
}

fn put_section(file: &mut Vec<u8>, region: &Region) {
    file.extend(region.start().raw().to_le_bytes());
    file.extend(region.size().to_le_bytes());
    file.extend(count(region.image().len()));
    file.extend(u32::from(region.rights().bits()).to_le_bytes());
}

fn put_references(file: &mut Vec<u8>, region: &Region) {
    for reference in region.references() {
        let addr = region.start().wrapping_add(reference.offset());
        file.extend(addr.raw().to_le_bytes());
        file.extend((reference.width() as u32).to_le_bytes());
        file.extend([0; 4]);
    }
}

/// No program has 2^32 of anything that is counted here: its bytes are in the host's memory, and a region
/// takes at most [`Region::MAX_IMAGE`] of them.
fn count(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}
