//! The search for a free block.

use super::FreeList;
use crate::chain::{Chain, Cursor, Step};
use crate::layout::Cut;
use crate::{Corruption, HeapError, Policy};
use emmu_core::{Bus, PhysAddr};

/// A block that is large enough, and the way to cut it.
pub(super) struct FoundBlock {
    pub(super) step: Step,
    pub(super) cut: Cut,
}

/// The part of the list that is still to be searched.
struct SearchRoute {
    cursor: Cursor,
    part: Part,
}

/// The parts of a list.
#[derive(Clone, Copy)]
enum Part {
    /// From the head to the end.
    All,
    /// From after the rover to the end, and then [`Part::ToTheRover`].
    FromTheRover(PhysAddr),
    /// From the head to the rover, which is the last to be looked at.
    ToTheRover(PhysAddr),
    /// Nothing.
    None,
}

impl<G> FreeList<G> {
    /// Returns the block that the policy takes, and the number of blocks searched.
    pub(super) fn search<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        chain: &Chain,
        need: u64,
        align: u64,
    ) -> Result<(Option<FoundBlock>, u64), HeapError> {
        let policy = self.config.policy;
        let mut route = self.route(bus, chain)?;
        let (mut best, mut searched) = (None::<FoundBlock>, 0);
        while let Some(step) = self.next(bus, chain, &mut route)? {
            searched += 1;
            let so_far = best.as_ref().map(|found| found.step.block);
            if let Some(cut) = self.config.layout.cut(step.block, need, align)
                && policy.prefers(step.block, so_far)
            {
                best = Some(FoundBlock { step, cut });
                if policy.stops() {
                    break;
                }
            }
        }
        Ok((best, searched))
    }

    fn route<B: Bus + ?Sized>(&self, bus: &mut B, chain: &Chain) -> Result<SearchRoute, HeapError> {
        let rover = match self.config.policy {
            Policy::Next => self.rover().read_pointer(bus)?,
            _ => None,
        };
        let Some(rover) = rover else {
            return Ok(SearchRoute { cursor: chain.cursor(), part: Part::All });
        };
        chain.area.block(bus, rover, self.rover())?;
        Ok(SearchRoute { cursor: chain.cursor_after(rover), part: Part::FromTheRover(rover) })
    }

    /// Returns the next block to search.
    fn next<B: Bus + ?Sized>(
        &self,
        bus: &mut B,
        chain: &Chain,
        route: &mut SearchRoute,
    ) -> Result<Option<Step>, HeapError> {
        if let Part::None = route.part {
            return Ok(None);
        }
        match (route.cursor.next(bus)?, route.part) {
            (Some(step), Part::ToTheRover(rover)) if step.block.addr == rover => {
                route.part = Part::None;
                Ok(Some(step))
            }
            (Some(step), _) => Ok(Some(step)),
            (None, Part::FromTheRover(rover)) => {
                *route = SearchRoute { cursor: chain.cursor(), part: Part::ToTheRover(rover) };
                self.next(bus, chain, route)
            }
            (None, Part::ToTheRover(block)) => {
                Err(self.rover().corrupt(Corruption::Unlisted { block }))
            }
            (None, _) => Ok(None),
        }
    }
}
