//! Address spaces of segments: one area of physical memory for each region.

use super::{AddressSpaces, Mapped, MemoryUsage, PhysicalMemory};
use crate::areas::{Area, AreaPool};
use crate::{CpuPort, Kernel, Layout, LayoutError, OsError, Region, Rights};
use alloc::vec;
use alloc::vec::Vec;
use emmu_core::{VirtAddr, low_mask};
use emmu_segmentation::{
    Segment, SegmentFlags, Segmentation, Selection, base_register, bounds_register, flags_register,
};

/// Address spaces for [`Segmentation`] with explicit selection: every region is a segment. One that starts
/// where its segment's addresses start grows up; one that ends where they end grows down.
#[derive(Clone, Debug)]
pub struct Segmented {
    address_bits: u32,
    offset_bits: u32,
    segments: u32,
    pool: AreaPool,
}

/// What the segment registers get, and the memory behind.
#[derive(Debug, PartialEq, Eq)]
pub struct SegmentedSpace {
    segments: Vec<Segment>,
    areas: Vec<Area>,
}

impl SegmentedSpace {
    /// The segments, by their numbers.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl Segmented {
    /// Address spaces for a unit of this shape.
    ///
    /// # Errors
    /// [`OsError::Unsupported`] if the segment of an access does not follow from its address.
    pub fn of(unit: &Segmentation) -> Result<Self, OsError> {
        let Selection::Explicit { selector_bits, segments } = unit.selection() else {
            return Err(OsError::Unsupported { what: "explicit selection of segments" });
        };
        let address_bits = unit.address_bits();
        let offset_bits = address_bits.saturating_sub(selector_bits);
        Ok(Self { address_bits, offset_bits, segments, pool: AreaPool::default() })
    }

    /// The number of the segment that `region` makes, and whether it grows down.
    fn place(&self, region: &Region) -> Result<(usize, bool), LayoutError> {
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
            Ok(number) if one && (up || down) => Ok((number, !up)),
            _ => {
                let segment = low_mask(self.offset_bits).saturating_add(1);
                Err(LayoutError::NoSegment { start, len, segment })
            }
        }
    }

    /// The segments of a layout, without memory yet.
    fn plan(&self, layout: &Layout) -> Result<Vec<Plan>, LayoutError> {
        let mut plans: Vec<Plan> = Vec::new();
        for region in layout.regions() {
            let (number, grows_down) = self.place(region)?;
            if plans.last().is_some_and(|plan| plan.number == number) {
                let (start, segment) = (region.start(), number as u64);
                return Err(LayoutError::SegmentTaken { start, segment });
            }
            plans.push(Plan { number, grows_down });
        }
        Ok(plans)
    }

    /// An area for each region; none if one lacks.
    fn take_areas<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        layout: &Layout,
    ) -> Result<Vec<Area>, OsError> {
        let mut areas = Vec::with_capacity(layout.regions().len());
        for region in layout.regions() {
            match self.pool.take(kernel, region.size()) {
                Ok(area) => areas.push(area),
                Err(refused) => {
                    self.give_areas(kernel, areas)?;
                    return Err(refused);
                }
            }
        }
        Ok(areas)
    }

    fn give_areas<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        areas: Vec<Area>,
    ) -> Result<(), OsError> {
        areas.into_iter().try_for_each(|area| self.pool.give(kernel, area))
    }

    fn write_registers<C: CpuPort>(
        &self,
        kernel: &mut Kernel<C>,
        segments: impl IntoIterator<Item = Segment>,
    ) -> Result<(), OsError> {
        let cpu = kernel.cpu_mut();
        for (number, segment) in (0..self.segments).zip(segments) {
            cpu.write_register(base_register(number), segment.base)?;
            cpu.write_register(bounds_register(number), segment.bounds)?;
            cpu.write_register(flags_register(number), segment.flags.bits())?;
        }
        Ok(())
    }
}

/// Which segment a region makes.
#[derive(Clone, Copy)]
struct Plan {
    number: usize,
    grows_down: bool,
}

impl Plan {
    fn segment(self, region: &Region, area: Area) -> Segment {
        let mut flags = flags(region.rights());
        flags.set(SegmentFlags::GROWS_DOWN, self.grows_down);
        let end = area.start.wrapping_add(region.size());
        let base = if self.grows_down { end } else { area.start };
        Segment { base: base.raw(), bounds: region.size(), flags }
    }
}

fn flags(rights: Rights) -> SegmentFlags {
    let mut flags = SegmentFlags::empty();
    flags.set(SegmentFlags::READ, rights.contains(Rights::READ));
    flags.set(SegmentFlags::WRITE, rights.contains(Rights::WRITE));
    flags.set(SegmentFlags::EXECUTE, rights.contains(Rights::EXECUTE));
    flags
}

impl AddressSpaces for Segmented {
    type Space = SegmentedSpace;

    /// The supervisor is not translated.
    fn window(&self) -> VirtAddr {
        VirtAddr::ZERO
    }

    fn user_end(&self) -> VirtAddr {
        VirtAddr::new(low_mask(self.address_bits).saturating_add(1))
    }

    fn boot<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        memory: &PhysicalMemory,
    ) -> Result<(), OsError> {
        self.leave(kernel)?;
        self.pool = AreaPool::new(kernel, memory)?;
        Ok(())
    }

    fn create<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        layout: &Layout,
    ) -> Result<SegmentedSpace, OsError> {
        let plans = self.plan(layout)?;
        let areas = self.take_areas(kernel, layout)?;
        let mut segments = vec![Segment::default(); self.segments as usize];
        for ((plan, region), area) in plans.iter().zip(layout.regions()).zip(&areas) {
            kernel.fill(area.start, region.size(), region.image())?;
            if let Some(segment) = segments.get_mut(plan.number) {
                *segment = plan.segment(region, *area);
            }
        }
        Ok(SegmentedSpace { segments, areas })
    }

    fn map<C: CpuPort>(
        &mut self,
        _: &mut Kernel<C>,
        _: &mut SegmentedSpace,
        _: &Region,
        _: VirtAddr,
    ) -> Result<Mapped, OsError> {
        Ok(Mapped::Nothing)
    }

    fn enter<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        space: &SegmentedSpace,
    ) -> Result<(), OsError> {
        self.write_registers(kernel, space.segments.iter().copied())
    }

    /// Empty segments.
    fn leave<C: CpuPort>(&mut self, kernel: &mut Kernel<C>) -> Result<(), OsError> {
        self.write_registers(kernel, core::iter::repeat(Segment::default()))
    }

    fn destroy<C: CpuPort>(
        &mut self,
        kernel: &mut Kernel<C>,
        space: SegmentedSpace,
    ) -> Result<(), OsError> {
        self.give_areas(kernel, space.areas)
    }

    fn usage(&self) -> MemoryUsage {
        self.pool.usage()
    }
}
