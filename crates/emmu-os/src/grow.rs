//! Regions that grow.

use crate::{Layout, LayoutError, Region};
use emmu_core::VirtAddr;

/// The direction in which a region grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards higher addresses, as a heap does.
    Up,
    /// Towards lower addresses, as a stack does.
    Down,
}

/// A layout after one of its regions has grown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Growth {
    layout: Layout,
    index: usize,
    added: u64,
    direction: Direction,
}

impl Growth {
    /// Returns the new layout.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the number of the region that grows. It is the same before and after.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Returns the number of new bytes. They are zeros.
    #[must_use]
    pub const fn added(&self) -> u64 {
        self.added
    }

    /// Returns the direction of the growth.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// Returns the first address of the new bytes.
    #[must_use]
    pub fn start(&self) -> VirtAddr {
        let region = self.layout.regions().get(self.index);
        region.map_or(VirtAddr::ZERO, |region| match self.direction {
            Direction::Up => region.end().wrapping_add(self.added.wrapping_neg()),
            Direction::Down => region.start(),
        })
    }

    /// Returns the new layout, without a copy.
    pub(crate) fn into_layout(self) -> Layout {
        self.layout
    }
}

impl Layout {
    /// Returns this layout after the region that holds `at` has grown by `by` bytes.
    ///
    /// # Errors
    /// [`LayoutError`] if there is no such region, if it would run into another or out of the address space,
    /// or if its image is in the way.
    pub fn grow(&self, at: VirtAddr, by: u64, direction: Direction) -> Result<Growth, LayoutError> {
        let index = self.index_at(at).ok_or(LayoutError::NoRegion { at })?;
        let regions = self.regions().iter().enumerate().map(|(number, region)| {
            if number == index { region.grown(by, direction) } else { Ok(region.clone()) }
        });
        let layout = Self::new(regions.collect::<Result<alloc::vec::Vec<_>, _>>()?)?;
        Ok(Growth { layout, index, added: by, direction })
    }
}

impl Region {
    fn grown(&self, by: u64, direction: Direction) -> Result<Self, LayoutError> {
        let (start, len) = (self.start(), self.size());
        let too_long = LayoutError::TooLong { start, len: len.saturating_add(by) };
        let size = len.checked_add(by).ok_or(too_long)?;
        let same = |start| Self::new(start, size, self.rights());
        match direction {
            Direction::Up => same(start)?
                .with_image(self.image().to_vec())?
                .with_references(self.references().to_vec()),
            Direction::Down if !self.image().is_empty() => {
                Err(LayoutError::ImageInTheWay { start })
            }
            Direction::Down => same(VirtAddr::new(start.raw().checked_sub(by).ok_or(too_long)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rights;
    use std::vec;

    fn layout() -> Layout {
        let region = |start, size| Region::new(VirtAddr::new(start), size, Rights::RW).unwrap();
        let code = region(0, 0x100).with_image(vec![1]).unwrap();
        Layout::new([code, region(0x1000, 0x100), region(0x3000, 0x100)]).unwrap()
    }

    fn grow(at: u64, by: u64, direction: Direction) -> Result<(u64, u64, u64), LayoutError> {
        let growth = layout().grow(VirtAddr::new(at), by, direction)?;
        let region = &growth.layout().regions()[growth.index()];
        Ok((region.start().raw(), region.size(), growth.start().raw()))
    }

    #[test]
    fn a_region_grows_up_to_its_neighbour() {
        assert_eq!(grow(0x1000, 0x1f00, Direction::Up), Ok((0x1000, 0x2000, 0x1100)));
        assert_eq!(grow(0x30ff, 0x1f00, Direction::Down), Ok((0x1100, 0x2000, 0x1100)));
        assert_eq!(grow(0, 1, Direction::Up), Ok((0, 0x101, 0x100)), "its image stays");
    }

    #[test]
    fn heap_and_stack_collide() {
        let overlap = |lower, upper| LayoutError::Overlap {
            lower: VirtAddr::new(lower),
            upper: VirtAddr::new(upper),
        };
        assert_eq!(grow(0x1000, 0x1f01, Direction::Up), Err(overlap(0x1000, 0x3000)));
        assert_eq!(grow(0x3000, 0x1f01, Direction::Down), Err(overlap(0x1000, 0x10ff)));
    }

    #[test]
    fn a_region_grows_neither_out_of_the_address_space_nor_past_its_image() {
        let (start, len) = (VirtAddr::new(0x3000), u64::MAX);
        let too_long = Err(LayoutError::TooLong { start, len });
        assert_eq!(grow(0x3000, u64::MAX, Direction::Up), too_long);
        assert_eq!(grow(0x3000, u64::MAX - 0x100, Direction::Down), too_long);
        let image = LayoutError::ImageInTheWay { start: VirtAddr::ZERO };
        assert_eq!(grow(0x10, 1, Direction::Down), Err(image));
        let at = VirtAddr::new(0x2000);
        assert_eq!(grow(0x2000, 1, Direction::Up), Err(LayoutError::NoRegion { at }));
    }
}
