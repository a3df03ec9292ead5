//! `Assembly`: it makes an image from instructions.

use super::{INSTRUCTION, Instruction, OPERAND};
use crate::{Image, ImageError, Layout, Reference, Region, Rights};
use alloc::vec::Vec;
use emmu_core::VirtAddr;

/// A program that is being assembled: instructions from address 0 on, and other regions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assembly {
    text: Vec<Instruction>,
    text_size: u64,
    regions: Vec<Region>,
}

impl Assembly {
    /// A program that begins with the first of these instructions, at address 0.
    #[must_use]
    pub fn new(text: impl IntoIterator<Item = Instruction>) -> Self {
        Self { text: text.into_iter().collect(), text_size: 0, regions: Vec::new() }
    }

    /// Returns this program with at least this number of bytes for the instructions.
    #[must_use]
    pub fn with_text_size(self, text_size: u64) -> Self {
        Self { text_size, ..self }
    }

    /// Returns this program with one more region.
    #[must_use]
    pub fn with_region(mut self, region: Region) -> Self {
        self.regions.push(region);
        self
    }

    /// Returns the program. Every operand that is an address becomes a reference.
    ///
    /// # Errors
    /// [`ImageError::Layout`] if there are no instructions, or regions overlap.
    pub fn image(&self) -> Result<Image, ImageError> {
        let bytes: Vec<u8> =
            self.text.iter().flat_map(|instruction| instruction.encode()).collect();
        let places = (0..).map(|index| index * INSTRUCTION).zip(&self.text);
        let references = places.filter(|(_, instruction)| instruction.refers());
        let references = references.map(|(at, _)| Reference::word4(at + OPERAND)).collect();
        let size = self.text_size.max(bytes.len() as u64);
        let text = Region::new(VirtAddr::ZERO, size, Rights::RX)?
            .with_image(bytes)?
            .with_references(references)?;
        Image::new(VirtAddr::ZERO, Layout::new(self.regions.iter().cloned().chain([text]))?)
    }
}
