//! The two halves of the address space, and what TCR_EL1 and a TTBR come to for each.

use super::{AArch64, Descriptor};
use crate::format::{Extent, Plan, Shape};
use emmu_core::{Cause, PhysAddr, VirtAddr, Width, bit_range, low_mask};

/// The bits of addresses in a half that are implemented.
const ADDRESS_BITS: u8 = 48;

/// A translation granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granule {
    K4,
    K16,
    K64,
}

impl Granule {
    pub(super) const fn page_bits(self) -> u8 {
        // spec: arm-granule
        match self {
            Self::K4 => 12,
            Self::K16 => 14,
            Self::K64 => 16,
        }
    }

    /// A table fills one granule with 8-byte descriptors.
    pub(super) const fn stride(self) -> u8 {
        self.page_bits() - 3
    }

    /// The plan of halves of 2^48 bytes: at each level that has leaves a block, and a contiguous run of blocks.
    pub(super) const fn plan(self, name: &'static str) -> Plan {
        let levels = self.levels(ADDRESS_BITS);
        let shape = self.shape(ADDRESS_BITS);
        let mut plan = Plan::of::<AArch64>(name, shape, levels)
            .with_page(self.page_bits() + self.contiguous_bits(0))
            .with_two_roots();
        let mut level = 1;
        while level < levels {
            if self.has_blocks(level) {
                let run = shape.page_bits(level) + self.contiguous_bits(level);
                plan = plan.with_leaves(level).with_page(run);
            }
            level += 1;
        }
        plan
    }

    /// The number of levels that translate addresses of so many bits.
    const fn levels(self, address_bits: u8) -> u8 {
        // spec: arm-start
        (address_bits - self.page_bits()).div_ceil(self.stride())
    }

    const fn shape(self, address_bits: u8) -> Shape {
        let levels = self.levels(address_bits);
        Shape::uniform(Width::B8, self.page_bits(), self.stride(), levels)
            .with_end(levels, address_bits)
    }

    /// The largest TxSZ, with FEAT_TTST.
    pub(super) const fn max_txsz(self) -> u8 {
        match self {
            Self::K4 | Self::K16 => 48,
            Self::K64 => 47,
        }
    }

    /// Returns true if a block may stand at this level (D8.3.1, "Table descriptors, Block descriptors").
    pub(super) const fn has_blocks(self, level: u8) -> bool {
        // spec: arm-block
        match self {
            Self::K4 => matches!(level, 1 | 2),
            Self::K16 | Self::K64 => level == 1,
        }
    }

    /// Log2 of the descriptors that a contiguous run has (D8.7.1, "The Contiguous bit").
    pub(super) const fn contiguous_bits(self, level: u8) -> u8 {
        // spec: arm-contiguous
        match (self, level) {
            (Self::K4, _) => 4,
            (Self::K16, 0) => 7,
            (Self::K16 | Self::K64, _) => 5,
        }
    }
}

/// TCR_EL1, of which each half has its own fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tcr(pub(super) u64);

impl Tcr {
    pub(super) const fn bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 != 0
    }

    #[expect(clippy::cast_possible_truncation, reason = "no field has more than six bits")]
    pub(super) const fn field(self, high: u32, low: u32) -> u8 {
        (self.0 >> low & low_mask(high - low + 1)) as u8
    }

    /// Log2 of the address space of stage 1's output: IPS.
    pub(super) const fn output_bits(self) -> u32 {
        self.physical_bits(34, 32)
    }

    /// Log2 of the physical address space that a field says, at most the 48 bits that are implemented.
    pub(super) const fn physical_bits(self, high: u32, low: u32) -> u32 {
        match self.field(high, low) {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            _ => 48,
        }
    }

    /// TG0, of TCR_EL1 and of VTCR_EL2.
    pub(super) const fn lower_granule(self) -> Granule {
        match self.field(15, 14) {
            0b01 => Granule::K64,
            0b10 => Granule::K16,
            _ => Granule::K4,
        }
    }

    const fn lower(self) -> Control {
        Control {
            granule: self.lower_granule(),
            txsz: self.field(5, 0),
            walk_disabled: self.bit(7),
            ignores_top_byte: self.bit(37),
            no_hierarchy: self.bit(41),
        }
    }

    const fn upper(self) -> Control {
        Control {
            granule: match self.field(31, 30) {
                0b01 => Granule::K16,
                0b11 => Granule::K64,
                _ => Granule::K4,
            },
            txsz: self.field(21, 16),
            walk_disabled: self.bit(23),
            ignores_top_byte: self.bit(38),
            no_hierarchy: self.bit(42),
        }
    }
}

/// The fields of TCR_EL1 for one half.
#[derive(Clone, Copy)]
struct Control {
    granule: Granule,
    txsz: u8,
    walk_disabled: bool,
    ignores_top_byte: bool,
    no_hierarchy: bool,
}

impl Control {
    /// Returns true if TxSZ is in range: from 16, as addresses have 48 bits.
    const fn exists(self) -> bool {
        // spec: arm-txsz
        16 <= self.txsz && self.txsz <= self.granule.max_txsz()
    }

    const fn levels(self) -> u8 {
        self.granule.levels(64 - self.txsz)
    }

    const fn shape(self) -> Shape {
        self.granule.shape(64 - self.txsz)
    }

    /// Bits from the top (below a tag) down to the size of the half must all equal bit 55.
    const fn extent(self) -> Extent {
        // spec: arm-range, arm-tbi
        let top = if self.ignores_top_byte { 55 } else { 63 };
        Extent::halves(bit_range(top, 64 - self.txsz as u32))
    }
}

/// One half of the address space, worked out once a register write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Half {
    pub(super) granule: Granule,
    /// Log2 of its size in bytes: 64 − TxSZ.
    bits: u8,
    /// The tag byte, if it is ignored (TBI).
    tag: u64,
    /// The hierarchical attributes that count: none with HPD.
    pub(super) hierarchy: Descriptor,
    pub(super) shape: Shape,
    /// Its tables, if TxSZ is in range.
    pub(super) tables: Option<HalfRoot>,
}

/// Where the walks of a half start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HalfRoot {
    pub(super) extent: Extent,
    pub(super) top_level: u8,
    /// The first table, or why it is not read.
    pub(super) first: Result<PhysAddr, Cause>,
}

impl Half {
    pub(super) const fn lower(tcr: Tcr, ttbr: u64) -> Self {
        Self::new(tcr.lower(), ttbr, tcr.output_bits())
    }

    pub(super) const fn upper(tcr: Tcr, ttbr: u64) -> Self {
        Self::new(tcr.upper(), ttbr, tcr.output_bits())
    }

    const fn new(control: Control, ttbr: u64, output_bits: u32) -> Self {
        Self {
            granule: control.granule,
            bits: 64 - control.txsz,
            tag: if control.ignores_top_byte { bit_range(63, 56) } else { 0 },
            // spec: arm-hpd
            hierarchy: if control.no_hierarchy {
                Descriptor::empty()
            } else {
                Descriptor::HIERARCHY
            },
            shape: if control.exists() { control.shape() } else { Shape::NONE },
            tables: if control.exists() {
                Some(HalfRoot::new(control, ttbr, output_bits))
            } else {
                None
            },
        }
    }

    /// The address without its tag, which is as if it were the sign extension: what caches go by.
    #[inline]
    pub(super) const fn untagged(&self, addr: VirtAddr) -> VirtAddr {
        // spec: arm-tbi
        let upper = addr.bits(55, 1) == 1;
        let tag = if upper { self.tag } else { 0 };
        VirtAddr::new(addr.raw() & !self.tag | tag)
    }

    /// The address with the MMU off: without its tag it must fit the 48 bits that are implemented
    /// (`AArch64.S1DisabledOutput`).
    pub(super) fn physical(&self, addr: VirtAddr) -> Result<VirtAddr, Cause> {
        // spec: arm-disabled
        let addr = addr.raw() & !self.tag;
        if addr >> 48 == 0 { Ok(VirtAddr::new(addr)) } else { Err(Cause::AddressSize) }
    }

    /// Log2 of the descriptors that a contiguous run has: 0 if the half is smaller than the run. Then the bit is
    /// misprogrammed, which does not fault here (`AArch64.ContiguousBitFaults`).
    #[inline]
    pub(super) const fn contiguous_bits(&self, level: u8) -> u8 {
        let run = self.granule.contiguous_bits(level);
        if self.shape.page_bits(level) + run <= self.bits { run } else { 0 }
    }
}

impl HalfRoot {
    const fn new(control: Control, ttbr: u64, output_bits: u32) -> Self {
        let (shape, top_level) = (control.shape(), control.levels() - 1);
        let table = first_table(ttbr, &shape, top_level);
        let first = match () {
            // spec: arm-epd
            () if control.walk_disabled => Err(Cause::WalkDisabled),
            // spec: arm-address-size
            () if table.block(output_bits) != 0 => Err(Cause::AddressSize),
            () => Ok(table),
        };
        Self { extent: control.extent(), top_level, first }
    }
}

/// TTBRn_EL1.BADDR, aligned to the size of the first table.
pub(super) const fn first_table(ttbr: u64, shape: &Shape, level: u8) -> PhysAddr {
    // spec: arm-start
    let index_bits = shape.table_bits(level) - shape.page_bits(level);
    PhysAddr::new(ttbr & bit_range(47, 0)).align_down(index_bits as u32 + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_not_larger_than_its_half() {
        // 16 KiB pages, of which a run has 128, and 2^(64 − 43) bytes: as many; or half as many.
        let half = |txsz: u64| Half::lower(Tcr(0b10 << 14 | txsz), 0);
        assert_eq!(half(43).contiguous_bits(0), 7);
        assert_eq!(half(44).contiguous_bits(0), 0);
    }
}
