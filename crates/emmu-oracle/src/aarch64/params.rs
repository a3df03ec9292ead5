//! The register fields that a walk of one half of the address space needs.

use super::{Registers, bit, bits};

/// The last lookup level: that of pages (`FINAL_LEVEL`).
pub(super) const FINAL_LEVEL: u32 = 3;

/// Log2 of the size of a descriptor in bytes.
pub(super) const DESCRIPTOR_SIZE_LOG2: u32 = 3;

/// The size of a page and of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granule {
    K4,
    K16,
    K64,
}

impl Granule {
    /// `AArch64.S1DecodeTG0()`.
    pub(super) fn from_tg0(tg0: u64) -> Self {
        match tg0 {
            0b01 => Self::K64,
            0b10 => Self::K16,
            _ => Self::K4, // 0b00, and the reserved 0b11
        }
    }

    /// `AArch64.S1DecodeTG1()`.
    fn from_tg1(tg1: u64) -> Self {
        match tg1 {
            0b01 => Self::K16,
            0b11 => Self::K64,
            _ => Self::K4, // 0b10, and the reserved 0b00
        }
    }

    /// `TGxGranuleBits()`.
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::K4 => 12,
            Self::K16 => 14,
            Self::K64 => 16,
        }
    }

    /// How many bits of the address one whole table resolves.
    pub(super) fn stride(self) -> u32 {
        self.bits() - DESCRIPTOR_SIZE_LOG2
    }

    /// `AArch64.BlockDescSupported()`, without 52-bit addresses.
    pub(super) fn has_blocks_at(self, level: u32) -> bool {
        match self {
            Self::K4 => level == 1 || level == 2,
            Self::K16 | Self::K64 => level == 2,
        }
    }

    /// `AArch64.MaxTxSZ()`, with FEAT_TTST.
    pub(super) fn max_txsz(self) -> u32 {
        match self {
            Self::K4 | Self::K16 => 48,
            Self::K64 => 47,
        }
    }
}

/// `S1TTWParams`: the registers as they apply to one half of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalkParams {
    pub(super) granule: Granule,
    /// The least number of top bits that must all equal bit 55.
    pub(super) txsz: u32,
    /// The table base register of this half.
    ttbr: u64,
    /// Top byte ignored.
    tbi: bool,
    /// Walks disabled.
    pub(super) epd: bool,
    /// Hierarchical permissions disabled.
    pub(super) hpd: bool,
    /// Hardware sets the access flag.
    pub(super) ha: bool,
    /// Hardware manages the dirty state.
    pub(super) hd: bool,
    /// A page that can be written cannot be executed.
    pub(super) wxn: bool,
    /// Bits of an output address.
    oa_size: u32,
}

impl WalkParams {
    /// `AArch64.GetS1TTWParams()` for the regime EL1&0: bit 55 selects the half (`AArch64.GetVARange()`).
    pub(super) fn for_va(registers: &Registers, va: u64) -> Self {
        if bit(va, 55) == 0 { Self::lower(registers) } else { Self::upper(registers) }
    }

    fn lower(registers: &Registers) -> Self {
        let tcr = registers.tcr_el1;
        Self {
            granule: Granule::from_tg0(bits(tcr, 15, 14)),
            txsz: small(bits(tcr, 5, 0)),
            ttbr: registers.ttbr0_el1,
            tbi: bit(tcr, 37) == 1,
            epd: bit(tcr, 7) == 1,
            hpd: bit(tcr, 41) == 1,
            ..Self::shared(registers)
        }
    }

    fn upper(registers: &Registers) -> Self {
        let tcr = registers.tcr_el1;
        Self {
            granule: Granule::from_tg1(bits(tcr, 31, 30)),
            txsz: small(bits(tcr, 21, 16)),
            ttbr: registers.ttbr1_el1,
            tbi: bit(tcr, 38) == 1,
            epd: bit(tcr, 23) == 1,
            hpd: bit(tcr, 42) == 1,
            ..Self::shared(registers)
        }
    }

    /// The fields that both halves share; the others are set above.
    fn shared(registers: &Registers) -> Self {
        let tcr = registers.tcr_el1;
        Self {
            granule: Granule::K4,
            txsz: 0,
            ttbr: 0,
            tbi: false,
            epd: false,
            hpd: false,
            ha: bit(tcr, 39) == 1,
            hd: bit(tcr, 40) == 1,
            wxn: bit(registers.sctlr_el1, 19) == 1,
            oa_size: physical_address_size(bits(tcr, 34, 32), registers.pa_max()),
        }
    }

    /// `AArch64.S1TxSZFaults()`, where both IMPLEMENTATION DEFINED choices are to fault.
    /// `AArch64.S1MinTxSZ()` is 16, without FEAT_LVA and FEAT_LPA2.
    pub(super) fn txsz_faults(&self) -> bool {
        self.txsz < 16 || self.txsz > self.granule.max_txsz()
    }

    /// `AArch64.IASize()`.
    fn ia_size(&self) -> u32 {
        64 - self.txsz
    }

    /// `AArch64.AddrTop()`.
    pub(super) fn addr_top(&self) -> u32 {
        if self.tbi { 55 } else { 63 }
    }

    /// `AArch64.VAIsOutOfRange()`: the bits above the input address must be all zeros in the lower half and
    /// all ones in the upper.
    pub(super) fn va_is_out_of_range(&self, va: u64) -> bool {
        let above = |address| bits(address, self.addr_top(), self.ia_size());
        let wanted = if bit(va, 55) == 0 { 0 } else { above(u64::MAX) };
        above(va) != wanted
    }

    /// `AArch64.S1StartLevel()`.
    pub(super) fn start_level(&self) -> u32 {
        FINAL_LEVEL - (self.ia_size() - 1 - self.granule.bits()) / self.granule.stride()
    }

    /// `TranslationSize()`: log2 of the bytes that one descriptor of this level covers.
    pub(super) fn translation_size(&self, level: u32) -> u32 {
        (FINAL_LEVEL - level) * self.granule.stride() + self.granule.bits()
    }

    /// `AArch64.S1TTBaseAddress()`: the first table is aligned to its size, and the bits below are ignored.
    pub(super) fn table_base(&self) -> u64 {
        let index_bits = self.ia_size() - self.translation_size(self.start_level());
        align(bits(self.ttbr, 47, 0), index_bits + DESCRIPTOR_SIZE_LOG2)
    }

    /// `AArch64.TTEntryAddress()`, and `AArch64.S1SLTTEntryAddress()` for the first table, whose index ends
    /// with the input address.
    pub(super) fn entry_address(&self, level: u32, va: u64, table: u64) -> u64 {
        let lowest = self.translation_size(level);
        let highest = (lowest + self.granule.stride()).min(self.ia_size()) - 1;
        table | bits(va, highest, lowest) << DESCRIPTOR_SIZE_LOG2
    }

    /// `AArch64.OAOutOfRange()`.
    pub(super) fn oa_out_of_range(&self, address: u64) -> bool {
        bits(address, 63, self.oa_size) != 0
    }
}

/// `AArch64.PhysicalAddressSize()`: what `TCR_EL1.IPS` encodes, but no more than there is.
pub(super) fn physical_address_size(ips: u64, pa_max: u32) -> u32 {
    let encoded = match ips {
        0b000 => 32,
        0b001 => 36,
        0b010 => 40,
        0b011 => 42,
        0b100 => 44,
        _ => 48, // 0b101; 52 and 56 bits (0b110, 0b111) are not implemented
    };
    encoded.min(pa_max)
}

/// `Align(value, 1 << size)`.
pub(super) fn align(value: u64, size: u32) -> u64 {
    value >> size << size
}

/// A field of at most eight bits as a number to count with.
pub(super) fn small(field: u64) -> u32 {
    let [low, ..] = field.to_le_bytes();
    u32::from(low)
}
