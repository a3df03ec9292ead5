//! Address spaces of segments: one area of physical memory for each region.

mod memory;
mod plan;
mod shared;

use super::{AddressSpaces, MemoryUsage, PhysicalMemory};
use crate::areas::{Area, AreaPool};
use crate::{Growth, KernelPort, Layout, OsError};
use alloc::vec;
use alloc::vec::Vec;
use emmu_core::VirtAddr;
use emmu_segmentation::{Segment, Segmentation, base_register, bounds_register, flags_register};
use plan::{Plan, Shape};
use shared::SharedSegments;

/// Address spaces for [`Segmentation`] with explicit selection: every region is a segment. One that starts
/// where its segment's addresses start grows up; one that ends where they end grows down. Only regions have
/// memory, not the gaps between them.
///
/// Regions that cannot be written and hold the same bytes share one copy, whichever processes have them. A
/// segment that grows stays where it is if the addresses behind it are free, and moves otherwise.
#[derive(Clone, Debug)]
pub struct Segmented {
    shape: Shape,
    pool: AreaPool,
    shared: SharedSegments,
}

/// The values of the segment registers, and the memory of the segments.
#[derive(Debug, PartialEq, Eq)]
pub struct SegmentedSpace {
    segments: Vec<Segment>,
    /// One for each region, in the same order.
    pieces: Vec<SegmentPiece>,
}

/// The memory of one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SegmentPiece {
    plan: Plan,
    memory: Memory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    Own(Area),
    /// The number of a shared segment.
    Shared(u64),
}

impl SegmentedSpace {
    /// The segments, by their numbers.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn set(&mut self, plan: Plan, segment: Segment) {
        if let Some(held) = self.segments.get_mut(plan.number) {
            *held = segment;
        }
    }
}

impl Segmented {
    /// Address spaces for a unit of this shape.
    ///
    /// # Errors
    /// [`OsError::Unsupported`] if the segment of an access does not follow from its address.
    pub fn of(unit: &Segmentation) -> Result<Self, OsError> {
        let (pool, shared) = (AreaPool::default(), SharedSegments::default());
        Ok(Self { shape: Shape::of(unit)?, pool, shared })
    }

    /// Returns the number of processes that share the physical copy of this region of a space.
    #[must_use]
    pub fn users(&self, space: &SegmentedSpace, region: usize) -> u64 {
        space.pieces.get(region).map_or(0, |piece| match piece.memory {
            Memory::Own(_) => 1,
            Memory::Shared(id) => self.shared.users(id),
        })
    }

    /// Writes the registers of all segments; those that are not in `segments` are empty.
    fn write_registers(
        &self,
        kernel: &mut KernelPort<'_>,
        segments: impl Iterator<Item = Segment>,
    ) -> Result<(), OsError> {
        let cpu = kernel.cpu_mut();
        for (number, segment) in (0..self.shape.segments).zip(segments) {
            cpu.write_register(base_register(number), segment.base)?;
            cpu.write_register(bounds_register(number), segment.bounds)?;
            cpu.write_register(flags_register(number), segment.flags.bits())?;
        }
        Ok(())
    }
}

impl AddressSpaces for Segmented {
    type Space = SegmentedSpace;

    /// The supervisor is not translated.
    fn window(&self, _: &PhysicalMemory) -> VirtAddr {
        VirtAddr::ZERO
    }

    fn user_end(&self) -> VirtAddr {
        self.shape.user_end()
    }

    fn boot(
        &mut self,
        kernel: &mut KernelPort<'_>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.leave(kernel)?;
        self.pool = AreaPool::new(kernel, memory)?;
        Ok(())
    }

    fn create(
        &mut self,
        kernel: &mut KernelPort<'_>,
        layout: &Layout,
    ) -> Result<SegmentedSpace, OsError> {
        let plans = self.shape.plan(layout)?;
        let pieces = self.take_all(kernel, layout, &plans)?;
        let segments = vec![Segment::default(); self.shape.segments as usize];
        let mut space = SegmentedSpace { segments, pieces: Vec::new() };
        for (piece, region) in pieces.iter().zip(layout.regions()) {
            space.set(piece.plan, piece.plan.segment(region, self.area(piece)));
        }
        space.pieces = pieces;
        Ok(space)
    }

    fn grow(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut SegmentedSpace,
        growth: &Growth,
    ) -> Result<u64, OsError> {
        self.shape.plan(growth.layout())?;
        let index = growth.index();
        let (Some(piece), Some(region)) =
            (space.pieces.get(index).copied(), growth.layout().regions().get(index))
        else {
            return Ok(0);
        };
        let (piece, moved) = self.enlarge(kernel, piece, region, growth)?;
        space.set(piece.plan, piece.plan.segment(region, self.area(&piece)));
        space.pieces[index] = piece;
        Ok(moved)
    }

    fn relocate(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &mut SegmentedSpace,
    ) -> Result<u64, OsError> {
        let moved = self.move_own(kernel, &mut space.pieces)?;
        self.rebase(space);
        Ok(moved)
    }

    fn compact(
        &mut self,
        kernel: &mut KernelPort<'_>,
        mut spaces: Vec<&mut SegmentedSpace>,
    ) -> Result<u64, OsError> {
        let pieces = spaces.iter_mut().flat_map(|space| &mut space.pieces);
        let own = pieces.filter_map(|piece| match &mut piece.memory {
            Memory::Own(area) => Some(area),
            Memory::Shared(_) => None,
        });
        let areas = own.chain(self.shared.areas_mut()).collect();
        let moved = self.pool.compact(kernel, areas)?;
        spaces.into_iter().for_each(|space| self.rebase(space));
        Ok(moved)
    }

    fn enter(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: &SegmentedSpace,
    ) -> Result<(), OsError> {
        self.write_registers(kernel, space.segments.iter().copied())
    }

    /// Empty segments.
    fn leave(&mut self, kernel: &mut KernelPort<'_>) -> Result<(), OsError> {
        self.write_registers(kernel, core::iter::repeat(Segment::default()))
    }

    fn destroy(
        &mut self,
        kernel: &mut KernelPort<'_>,
        space: SegmentedSpace,
    ) -> Result<(), OsError> {
        self.give_all(kernel, &space.pieces)
    }

    fn usage(&self) -> MemoryUsage {
        self.pool.usage()
    }
}
