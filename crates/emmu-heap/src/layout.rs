//! The way to cut blocks: sizes, headers, alignment.

use crate::error::expect;
use crate::{ConfigError, Extent, header};
use emmu_core::PhysAddr;

/// The way in which a manager cuts blocks. All numbers are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Every block starts and ends at a multiple of this number, counted from the start of the heap.
    pub granule: u64,
    /// Requests are rounded up to a multiple of this number, which is a multiple of the granule.
    pub round_to: u64,
    /// The smallest size of a block. A free block holds its own node, so each manager has a least size.
    pub min_block: u64,
    /// The number of bytes of the block before the payload. The last 16 of them hold its size and a magic
    /// number. With 0 there are no headers, and a caller must give the size to free a block.
    pub header: u64,
    /// The end of a free block that is allocated.
    pub take: End,
    /// The use of a remainder that is too small for a block.
    pub tail: Tail,
}

/// An end of a free block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum End {
    /// The end with the lower addresses.
    #[default]
    Low,
    /// The end with the higher addresses.
    High,
}

/// The use of a remainder that is too small for a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tail {
    /// The remainder is allocated with the block, and wasted.
    #[default]
    Absorb,
    /// The free block cannot serve the request.
    Refuse,
}

impl Default for Layout {
    /// Returns blocks of multiples of 16 bytes, with headers of 16 bytes.
    fn default() -> Self {
        Self {
            granule: 16,
            round_to: 16,
            min_block: 16,
            header: 16,
            take: End::Low,
            tail: Tail::Absorb,
        }
    }
}

/// The pieces of a free block: `[front] taken [back]`. An empty piece does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) front: Extent,
    pub(crate) taken: Extent,
    pub(crate) back: Extent,
}

impl Cut {
    /// Returns the pieces that stay free.
    pub(crate) fn remainders(self) -> impl Iterator<Item = Extent> {
        [self.front, self.back].into_iter().filter(|piece| piece.size > 0)
    }
}

impl Layout {
    /// Checks that blocks can be cut in this way, if a node needs `node` bytes.
    pub(crate) fn validate(&self, node: u64) -> Result<(), ConfigError> {
        let Self { granule, round_to, min_block, header, .. } = *self;
        let of_granules = |number: u64| number.is_multiple_of(granule.max(1));
        let fine = granule.is_power_of_two() && granule >= 8;
        expect("granule", granule, fine, "a power of two from 8 on")?;
        let fine = round_to > 0 && of_granules(round_to);
        expect("round_to", round_to, fine, "a multiple of the granule")?;
        let fine = min_block >= node && of_granules(min_block);
        expect("min_block", min_block, fine, "a multiple of the granule that holds a node")?;
        let fine = of_granules(header) && (header == 0 || header >= header::BYTES);
        expect("header", header, fine, "0, or a multiple of the granule from 16 on")?;
        // A caller that frees a block without a header gives the size of the request, and not that of the
        // block.
        let fine = header > 0 || granule >= min_block || self.tail == Tail::Refuse;
        expect("header", header, fine, "16 or more where remainders are absorbed")
    }

    /// Returns the size of a block for a request of `size` bytes.
    pub(crate) fn need(&self, size: u64) -> u64 {
        let rounded = size.checked_next_multiple_of(self.round_to).unwrap_or(u64::MAX);
        rounded.saturating_add(self.header).max(self.min_block)
    }

    /// Cuts `need` bytes out of `free`, with the payload at a multiple of `align`. Returns `None` if they do
    /// not fit.
    pub(crate) fn cut(&self, free: Extent, need: u64, align: u64) -> Option<Cut> {
        let start = match self.take {
            End::Low => self.lowest(free, align)?,
            End::High => self.highest(free, need, align)?,
        };
        let back = free.end().raw().checked_sub(start.checked_add(need)?)?;
        let absorbed = self.too_small(back);
        if absorbed && self.tail == Tail::Refuse {
            return None;
        }
        let taken = Extent::new(PhysAddr::new(start), if absorbed { need + back } else { need });
        Some(Cut {
            front: Extent::between(free.addr, taken.addr),
            taken,
            back: Extent::between(taken.end(), free.end()),
        })
    }

    /// Returns the start of a block that is taken from the low end.
    fn lowest(&self, free: Extent, align: u64) -> Option<u64> {
        let aligned =
            |from: u64| Some(align_up(from.checked_add(self.header)?, align)? - self.header);
        let addr = free.addr.raw();
        let start = aligned(addr)?;
        if self.too_small(start - addr) {
            aligned(addr.checked_add(self.min_block)?)
        } else {
            Some(start)
        }
    }

    /// Returns the start of a block that is taken from the high end. The rest above the block is too small for
    /// a block only if the alignment alone causes it.
    fn highest(&self, free: Extent, need: u64, align: u64) -> Option<u64> {
        let addr = free.addr.raw();
        let latest = free.end().raw().checked_sub(need)?;
        let payload = latest.checked_add(self.header)? & !(align - 1);
        let start = payload.checked_sub(self.header).filter(|start| *start >= addr)?;
        if self.too_small(start - addr) { self.lowest(free, align) } else { Some(start) }
    }

    /// Returns true if this number of bytes is not 0, and too small for a block.
    fn too_small(&self, size: u64) -> bool {
        0 < size && size < self.min_block
    }
}

fn align_up(addr: u64, align: u64) -> Option<u64> {
    Some(addr.checked_add(align - 1)? & !(align - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use emmu_property::quickcheck;

    fn extent(addr: u64, size: u64) -> Extent {
        Extent::new(PhysAddr::new(addr), size)
    }

    #[test]
    fn a_block_is_searched_with_room_for_its_header() {
        let layout = Layout { header: 32, ..Layout::default() };
        assert_eq!(layout.need(100), 112 + 32);
    }

    #[test]
    fn a_request_for_more_than_there_is_needs_more_than_there_is() {
        assert_eq!(Layout::default().need(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_gap_before_an_aligned_block_is_a_block_itself() {
        let layout =
            Layout { granule: 8, round_to: 8, header: 0, tail: Tail::Refuse, ..Layout::default() };
        let cut = layout.cut(extent(8, 120), 16, 16).unwrap();
        // A start at 16 would leave 8 bytes, which are too small for a block: 8 + 16, aligned, is 32.
        assert_eq!(cut.taken, extent(32, 16));
        assert_eq!(cut.front, extent(8, 24));
        assert_eq!(cut.back, extent(48, 80));
    }

    #[test]
    fn a_remainder_that_is_no_block_is_refused_or_absorbed() {
        let refuse =
            Layout { granule: 8, round_to: 8, header: 0, tail: Tail::Refuse, ..Layout::default() };
        assert_eq!(refuse.cut(extent(0, 40), 32, 1), None);
        let absorb = Layout { tail: Tail::Absorb, ..refuse };
        assert_eq!(absorb.cut(extent(0, 40), 32, 1).unwrap().taken, extent(0, 40));
    }

    quickcheck! {
        fn a_cut_tiles_the_free_block(
            high: bool, absorb: bool, free: (u8, u8), size: u16, align: u8, headers: u8
        ) -> bool {
            let layout = Layout {
                granule: 8, round_to: 8, min_block: 32,
                header: [0, 16, 24, 64][usize::from(headers % 4)],
                take: if high { End::High } else { End::Low },
                tail: if absorb { Tail::Absorb } else { Tail::Refuse },
            };
            let free = extent(u64::from(free.0) * 8, 32 + u64::from(free.1) * 8);
            let (need, align) = (layout.need(u64::from(size % 600)), 1 << (align % 9));
            let Some(Cut { front, taken, back }) = layout.cut(free, need, align) else {
                // If there is room at all, only a cut without remainders may fail.
                return need > free.size || align > 8 || layout.tail == Tail::Refuse || layout.header > 0;
            };
            front.addr == free.addr && front.end() == taken.addr
                && taken.end() == back.addr && back.end() == free.end()
                && taken.size >= need
                && (taken.addr.raw() + layout.header).is_multiple_of(align)
                && [front, back].iter().all(|piece| piece.size == 0 || piece.size >= 32)
                && (absorb || taken.size == need)
        }
    }
}
