//! The memory of segments: taken, shared, enlarged, moved, given back.

use super::plan::Plan;
use super::shared::SharedSegments;
use super::{Memory, SegmentPiece, Segmented, SegmentedSpace};
use crate::areas::Area;
use crate::{Growth, KernelPort, Layout, OsError, Region};
use alloc::vec::Vec;

impl Segmented {
    /// Returns the area of a piece.
    pub(super) fn area(&self, piece: &SegmentPiece) -> Area {
        match piece.memory {
            Memory::Own(area) => area,
            Memory::Shared(id) => self.shared.area(id),
        }
    }

    /// Memory for each region, with what is in it at first; none if one lacks.
    pub(super) fn take_all(
        &mut self,
        kernel: &mut KernelPort<'_>,
        layout: &Layout,
        plans: &[Plan],
    ) -> Result<Vec<SegmentPiece>, OsError> {
        let mut pieces = Vec::with_capacity(plans.len());
        for (region, &plan) in layout.regions().iter().zip(plans) {
            match self.take_one(kernel, region, plan) {
                Ok(memory) => pieces.push(SegmentPiece { plan, memory }),
                Err(refused) => {
                    self.give_all(kernel, &pieces)?;
                    return Err(refused);
                }
            }
        }
        Ok(pieces)
    }

    fn take_one(
        &mut self,
        kernel: &mut KernelPort<'_>,
        region: &Region,
        plan: Plan,
    ) -> Result<Memory, OsError> {
        let shared = SharedSegments::suits(region);
        if shared && let Some(id) = self.shared.join(region, plan) {
            return Ok(Memory::Shared(id));
        }
        let area = self.pool.take(kernel, region.size())?;
        kernel.fill(plan.first(area, region.size()), region.size(), region.image())?;
        Ok(match shared {
            true => Memory::Shared(self.shared.add(region, plan, area)),
            false => Memory::Own(area),
        })
    }

    pub(super) fn give_all(
        &mut self,
        kernel: &mut KernelPort<'_>,
        pieces: &[SegmentPiece],
    ) -> Result<(), OsError> {
        pieces.iter().try_for_each(|piece| self.give_one(kernel, piece.memory))
    }

    fn give_one(&mut self, kernel: &mut KernelPort<'_>, memory: Memory) -> Result<(), OsError> {
        let free = match memory {
            Memory::Own(area) => Some(area),
            Memory::Shared(id) => self.shared.leave(id),
        };
        free.map_or(Ok(()), |area| self.pool.give(kernel, area))
    }

    /// Gives a piece the memory that its region has now, and returns how many bytes had to move for it. A
    /// shared one becomes the process's own.
    pub(super) fn enlarge(
        &mut self,
        kernel: &mut KernelPort<'_>,
        piece: SegmentPiece,
        region: &Region,
        growth: &Growth,
    ) -> Result<(SegmentPiece, u64), OsError> {
        let (plan, size) = (piece.plan, region.size());
        let extended = match piece.memory {
            Memory::Own(area) => self.pool.extend(kernel, area, size, growth.direction())?,
            Memory::Shared(_) => None,
        };
        let (area, moved) = match extended {
            Some(area) => (area, 0),
            None => (self.pool.take(kernel, size)?, size - growth.added()),
        };
        let first = plan.first(area, size);
        let kept = if plan.grows_down { first.wrapping_add(growth.added()) } else { first };
        let added = if plan.grows_down { first } else { first.wrapping_add(size - growth.added()) };
        if moved > 0 {
            self.leave_for(kernel, piece, Area { start: kept, size: moved })?;
        }
        kernel.fill(added, growth.added(), &[])?;
        Ok((SegmentPiece { plan, memory: Memory::Own(area) }, moved))
    }

    /// Copies a piece's bytes to `new`, and gives back what it had; if that was its own, zeros are left there.
    fn leave_for(
        &mut self,
        kernel: &mut KernelPort<'_>,
        piece: SegmentPiece,
        new: Area,
    ) -> Result<(), OsError> {
        let old = self.area(&piece);
        kernel.copy(piece.plan.first(old, new.size), new.start, new.size)?;
        if matches!(piece.memory, Memory::Own(_)) {
            kernel.fill(old.start, old.size, &[])?;
        }
        self.give_one(kernel, piece.memory)
    }

    /// Moves all that is the process's own to other places.
    pub(super) fn move_own(
        &mut self,
        kernel: &mut KernelPort<'_>,
        pieces: &mut [SegmentPiece],
    ) -> Result<u64, OsError> {
        let own = |piece: &&mut SegmentPiece| matches!(piece.memory, Memory::Own(_));
        let new: Vec<SegmentPiece> = self.take_like(kernel, pieces)?;
        let mut moved = 0;
        for (piece, new) in pieces.iter_mut().filter(own).zip(new) {
            let area = self.area(&new);
            self.leave_for(kernel, *piece, area)?;
            moved += area.size;
            *piece = new;
        }
        Ok(moved)
    }

    /// As many areas, of the same sizes, as those pieces have that are not shared.
    fn take_like(
        &mut self,
        kernel: &mut KernelPort<'_>,
        pieces: &[SegmentPiece],
    ) -> Result<Vec<SegmentPiece>, OsError> {
        let mut new = Vec::new();
        for &SegmentPiece { plan, memory } in pieces {
            let Memory::Own(area) = memory else { continue };
            match self.pool.take(kernel, area.size) {
                Ok(area) => new.push(SegmentPiece { plan, memory: Memory::Own(area) }),
                Err(refused) => {
                    self.give_all(kernel, &new)?;
                    return Err(refused);
                }
            }
        }
        Ok(new)
    }

    /// Makes the base registers' values follow the areas.
    pub(super) fn rebase(&self, space: &mut SegmentedSpace) {
        let SegmentedSpace { segments, pieces } = space;
        for piece in pieces {
            if let Some(segment) = segments.get_mut(piece.plan.number) {
                segment.base = piece.plan.base(self.area(piece)).raw();
            }
        }
    }
}
