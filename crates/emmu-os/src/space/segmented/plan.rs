//! The plan of a layout: the segment of each region, and the place of its bytes in memory.

use crate::areas::Area;
use crate::{Layout, LayoutError, OsError, Region, Rights};
use alloc::vec::Vec;
use emmu_core::{PhysAddr, VirtAddr, low_mask};
use emmu_segmentation::{Segment, SegmentFlags, Segmentation, Selection};

/// The number of segments, and their largest size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    address_bits: u32,
    offset_bits: u32,
    pub(super) segments: u32,
}

/// The segment of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The number of its segment.
    pub(super) number: usize,
    pub(super) grows_down: bool,
}

impl Shape {
    pub(super) fn of(unit: &Segmentation) -> Result<Self, OsError> {
        let Selection::Explicit { selector_bits, segments } = unit.selection() else {
            return Err(OsError::Unsupported { what: "explicit selection of segments" });
        };
        let address_bits = unit.address_bits();
        let offset_bits = address_bits.saturating_sub(selector_bits);
        Ok(Self { address_bits, offset_bits, segments })
    }

    pub(super) fn user_end(self) -> VirtAddr {
        VirtAddr::new(low_mask(self.address_bits).saturating_add(1))
    }

    /// The segments of a layout: one for each region, in the same order.
    pub(super) fn plan(self, layout: &Layout) -> Result<Vec<Plan>, LayoutError> {
        let mut plans: Vec<Plan> = Vec::new();
        for region in layout.regions() {
            let plan = self.place(region)?;
            if plans.last().is_some_and(|last| last.number == plan.number) {
                let (start, segment) = (region.start(), plan.number as u64);
                return Err(LayoutError::SegmentTaken { start, segment });
            }
            plans.push(plan);
        }
        Ok(plans)
    }

    fn place(self, region: &Region) -> Result<Plan, LayoutError> {
        let (start, len, end) = (region.start(), region.size(), region.end());
        let limit = self.user_end();
        let last = end.wrapping_add(u64::MAX);
        if last.raw() > low_mask(self.address_bits) {
            return Err(LayoutError::OutOfSpace { start, end, limit });
        }
        let number = last.block(self.offset_bits);
        let up = start.offset(self.offset_bits) == 0;
        let down = last.offset(self.offset_bits) == low_mask(self.offset_bits);
        let one = number == start.block(self.offset_bits) && number < self.segments.into();
        match usize::try_from(number) {
            Ok(number) if one && (up || down) => Ok(Plan { number, grows_down: !up }),
            _ => {
                let segment = low_mask(self.offset_bits).saturating_add(1);
                Err(LayoutError::NoSegment { start, len, segment })
            }
        }
    }
}

impl Plan {
    /// Returns the values of the registers for `region` in `area`.
    pub(super) fn segment(self, region: &Region, area: Area) -> Segment {
        let mut flags = flags(region.rights());
        flags.set(SegmentFlags::GROWS_DOWN, self.grows_down);
        Segment { base: self.base(area).raw(), bounds: region.size(), flags }
    }

    /// Returns the value of the base register: the start of the area, or its end if the segment grows down.
    pub(super) const fn base(self, area: Area) -> PhysAddr {
        if self.grows_down { area.end() } else { area.start }
    }

    /// Where the first of the segment's bytes is: at the end that does not grow, nothing is left free.
    pub(super) const fn first(self, area: Area, size: u64) -> PhysAddr {
        match self.grows_down {
            true => area.end().wrapping_add(size.wrapping_neg()),
            false => area.start,
        }
    }
}

fn flags(rights: Rights) -> SegmentFlags {
    let mut flags = SegmentFlags::empty();
    flags.set(SegmentFlags::READ, rights.contains(Rights::READ));
    flags.set(SegmentFlags::WRITE, rights.contains(Rights::WRITE));
    flags.set(SegmentFlags::EXECUTE, rights.contains(Rights::EXECUTE));
    flags
}
