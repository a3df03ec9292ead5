//! How blocks are cut: sizes, headers, alignment.

use crate::error::expect;
use crate::{ConfigError, Extent, header};
use emmu_core::PhysAddr;

/// How a manager cuts blocks. All numbers are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Every block starts and ends at a multiple of this, counted from the start of the heap.
    pub granule: u64,
    /// Requests are rounded up to a multiple of this, which is one of the granule.
    pub round_to: u64,
    /// No block is smaller. A free block holds its own node, so there is a least size for each manager.
    pub min_block: u64,
    /// Bytes before the payload that belong to the block. The last 16 of them hold its size and a magic number; with 0
    /// there are no headers, and the size has to be told to free a block.
    pub header: u64,
    /// Which end of a free block is handed out.
    pub take: End,
    /// What becomes of a remainder that is too small for a block.
    pub tail: Tail,
}

/// An end of a free block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum End {
    /// The one with the lower addresses.
    #[default]
    Low,
    /// The one with the higher addresses.
    High,
}

/// What becomes of a remainder that is too small for a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tail {
    /// It is handed out too, and wasted.
    #[default]
    Absorb,
    /// The free block is not taken at all.
    Refuse,
}

impl Default for Layout {
    /// Multiples of 16 bytes with headers of 16 bytes.
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

/// How a free block is cut: `[front] taken [back]`, where an empty piece is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) front: Extent,
    pub(crate) taken: Extent,
    pub(crate) back: Extent,
}

impl Cut {
    /// What stays free.
    pub(crate) fn remainders(self) -> impl Iterator<Item = Extent> {
        [self.front, self.back].into_iter().filter(|piece| piece.size > 0)
    }
}

impl Layout {
    /// Whether blocks can be cut so, when a node needs `node` bytes.
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
        // Who frees a block without a header tells what was asked for, and not what was handed out.
        let fine = header > 0 || granule >= min_block || self.tail == Tail::Refuse;
        expect("header", header, fine, "16 or more where remainders are absorbed")
    }

    /// Bytes of a block that meets a request of `size` bytes.
    pub(crate) fn need(&self, size: u64) -> u64 {
        let rounded = size.checked_next_multiple_of(self.round_to).unwrap_or(u64::MAX);
        rounded.saturating_add(self.header).max(self.min_block)
    }

    /// How to cut `need` bytes out of `free`, with the payload at a multiple of `align`; `None` if they do not fit.
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

    /// Where a block starts that is taken from the low end.
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

    /// Where a block starts that is taken from the high end. What is left above it is no block only if nothing but the
    /// alignment is in the way.
    fn highest(&self, free: Extent, need: u64, align: u64) -> Option<u64> {
        let addr = free.addr.raw();
        let latest = free.end().raw().checked_sub(need)?;
        let payload = latest.checked_add(self.header)? & !(align - 1);
        let start = payload.checked_sub(self.header).filter(|start| *start >= addr)?;
        if self.too_small(start - addr) { self.lowest(free, align) } else { Some(start) }
    }

    /// Whether so many bytes are something, but no block.
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
        // 16 would leave 8 bytes, which are no block: 8 + 16, aligned, is 32.
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
                // Nothing but a cut without remainders may be missed, if there is room at all.
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
