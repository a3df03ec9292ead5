//! Why values of registers are refused, in words.

pub(super) const UPPER_HALF: &str = "bits 63:32 are reserved";
pub(super) const PG_WITHOUT_PE: &str = "PG needs PE";
pub(super) const NW_WITHOUT_CD: &str = "NW needs CD";
pub(super) const LONG_WITHOUT_PAE: &str = "PG with EFER.LME needs CR4.PAE";
pub(super) const PCIDE_WITHOUT_PG: &str = "PG cannot be cleared while CR4.PCIDE is set";
pub(super) const WIDE: &str = "bits above the physical-address width are reserved";
pub(super) const CR4_BITS: &str = "bits 63:33, 31:29, 26 and 15 are reserved";
pub(super) const LONG_LEVELS: &str = "PAE and LA57 cannot change in IA-32e mode";
pub(super) const PCIDE: &str = "PCIDE can be set only in IA-32e mode with CR3[11:0] = 0";
pub(super) const EFER_BITS: &str = "bits 63:12, 9 and 7:1 are reserved";
pub(super) const LME: &str = "LME cannot change while paging is on";
pub(super) const PDPTE: &str = "a present PDPTE has reserved bits set";
pub(super) const LEVELS: &str = "expected 3 or 4 in bits 5:3, one less than the levels";
pub(super) const MEMORY_TYPE: &str = "expected memory type 0 or 6 in bits 2:0";
pub(super) const EPTP_BITS: &str =
    "bits 11:8 and those above the physical-address width are reserved";
pub(super) const VPID: &str = "expected 16 bits";

/// Those of one stage.
pub(super) const OF_REGISTERS: &[&str] = &[
    UPPER_HALF,
    PG_WITHOUT_PE,
    NW_WITHOUT_CD,
    LONG_WITHOUT_PAE,
    PCIDE_WITHOUT_PG,
    WIDE,
    CR4_BITS,
    LONG_LEVELS,
    PCIDE,
    EFER_BITS,
    LME,
    PDPTE,
];

/// Those of EPT.
pub(super) const OF_EPT: &[&str] = &[LEVELS, MEMORY_TYPE, EPTP_BITS, VPID];
