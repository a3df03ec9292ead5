//! The register fields that a walk needs: `S2TTWParams`.

use super::Registers;
use crate::aarch64::params::{
    DESCRIPTOR_SIZE_LOG2, FINAL_LEVEL, Granule, align, physical_address_size, small,
};
use crate::aarch64::{bit, bits};

#[derive(Clone, Copy)]
pub(super) struct S2Params {
    /// Stage 2 is on.
    pub(super) vm: bool,
    /// Stage 1's walks must not read Device memory.
    pub(super) ptw: bool,
    pub(super) granule: Granule,
    pub(super) txsz: u32,
    sl0: u64,
    ttbr: u64,
    /// Hardware sets the access flag.
    pub(super) ha: bool,
    /// Hardware manages the dirty state.
    pub(super) hd: bool,
    /// Bits of an output address.
    oa_size: u32,
    /// `AArch64.PAMax()`.
    pa_max: u32,
}

impl S2Params {
    /// `AArch64.GetS2TTWParams()`.
    pub(super) fn new(registers: &Registers) -> Self {
        let (hcr, vtcr) = (registers.hcr_el2, registers.vtcr_el2);
        let pa_max = registers.el1.pa_max();
        Self {
            vm: bit(hcr, 0) == 1,
            ptw: bit(hcr, 2) == 1,
            granule: Granule::from_tg0(bits(vtcr, 15, 14)),
            txsz: small(bits(vtcr, 5, 0)),
            sl0: bits(vtcr, 7, 6),
            ttbr: registers.vttbr_el2,
            ha: bit(vtcr, 21) == 1,
            hd: bit(vtcr, 22) == 1,
            oa_size: physical_address_size(bits(vtcr, 18, 16), pa_max),
            pa_max,
        }
    }

    /// `AArch64.S2TxSZFaults()`, where both IMPLEMENTATION DEFINED choices are to fault. `AArch64.S2MinTxSZ()` is 64
    /// less the size of physical addresses, which have 48 bits at most here.
    pub(super) fn txsz_faults(&self) -> bool {
        self.txsz < 64 - self.pa_max || self.txsz > self.granule.max_txsz()
    }

    /// `AArch64.S2InvalidSL()`, with FEAT_TTST and without FEAT_LPA2.
    pub(super) fn invalid_sl(&self) -> bool {
        match (self.granule, self.sl0) {
            (Granule::K4, 0b10) => self.pa_max < 44,
            (Granule::K16 | Granule::K64, 0b11) => true,
            (Granule::K16, 0b10) => self.pa_max < 42,
            (Granule::K64, 0b10) => self.pa_max < 44,
            _ => false,
        }
    }

    /// `AArch64.S2InconsistentSL()`: the first table has at least one bit of the address to resolve, and at most four
    /// more than one table of a granule can, by concatenation of up to sixteen tables.
    pub(super) fn inconsistent_sl(&self) -> bool {
        let min = self.translation_size(self.start_level()) + 1;
        let max = min + (self.granule.stride() - 1) + 4;
        self.ia_size() < min || self.ia_size() > max
    }

    /// `AArch64.S2StartLevel()`.
    pub(super) fn start_level(&self) -> u32 {
        match (self.granule, self.sl0) {
            (Granule::K4, 0b00) => 2,
            (Granule::K4, 0b01) => 1,
            (Granule::K4, 0b10) => 0,
            (Granule::K4, _) => 3,
            (Granule::K16 | Granule::K64, 0b00) => 3,
            (Granule::K16 | Granule::K64, 0b01) => 2,
            (Granule::K16 | Granule::K64, 0b10) => 1,
            (Granule::K16 | Granule::K64, _) => 0,
        }
    }

    /// `AArch64.IASize()`.
    fn ia_size(&self) -> u32 {
        64 - self.txsz
    }

    /// `AArch64.IPAIsOutOfRange()`.
    pub(super) fn ipa_is_out_of_range(&self, ipa: u64) -> bool {
        bits(ipa, 63, self.ia_size()) != 0
    }

    /// `TranslationSize()`.
    pub(super) fn translation_size(&self, level: u32) -> u32 {
        (FINAL_LEVEL - level) * self.granule.stride() + self.granule.bits()
    }

    /// `AArch64.S2TTBaseAddress()`: the first table, or tables, are aligned to their size.
    pub(super) fn table_base(&self) -> u64 {
        let index_bits = self.ia_size() - self.translation_size(self.start_level());
        align(bits(self.ttbr, 47, 0), index_bits + DESCRIPTOR_SIZE_LOG2)
    }

    /// `AArch64.S2SLTTEntryAddress()`: the index into the first table has all bits that are left.
    pub(super) fn first_entry_address(&self, ipa: u64) -> u64 {
        let lowest = self.translation_size(self.start_level());
        self.table_base() | bits(ipa, self.ia_size() - 1, lowest) << DESCRIPTOR_SIZE_LOG2
    }

    /// `AArch64.TTEntryAddress()`, for the tables after the first.
    pub(super) fn entry_address(&self, level: u32, ipa: u64, table: u64) -> u64 {
        let lowest = self.translation_size(level);
        let highest = lowest + self.granule.stride() - 1;
        table | bits(ipa, highest, lowest) << DESCRIPTOR_SIZE_LOG2
    }

    /// `AArch64.OAOutOfRange()`.
    pub(super) fn oa_out_of_range(&self, address: u64) -> bool {
        bits(address, 63, self.oa_size) != 0
    }
}
