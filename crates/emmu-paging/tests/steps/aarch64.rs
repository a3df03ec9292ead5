//! AArch64, with 4 KiB granules and 48-bit addresses unless a test says otherwise. Levels in names are Arm's.

use crate::machine::{END, Machine, amo, fetch, load, store, user};
use emmu_core::{Access, Cause, Privilege, TranslationUnit};
use emmu_paging::{
    AArch64,
    format::aarch64::{
        AArch64Exception, Descriptor, FaultStatus, PAN, SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1,
    },
};

const TABLES: [u64; 4] = [0x10_0000, 0x11_0000, 0x12_0000, 0x13_0000];
const UPPER: u64 = 0x14_0000;
/// The descriptor for `VA`, and what it maps it to.
const ENTRY: u64 = TABLES[3] + 8;
const VA: u64 = 0x1000;
const PAGE: u64 = 0x12_3456_7000;
const TABLE: u64 = 0b11;
const BLOCK: u64 = 0b01;

/// Both halves 48 bits wide with 4 KiB granules, 48-bit output addresses, and hardware flags off.
const TCR: u64 = IPS_48 | 0b10 << 30 | 16 << 16 | 16;
const IPS_48: u64 = 5 << 32;
const HA: u64 = 1 << 39;
const HD: u64 = 1 << 40;
const WXN: u64 = 1 << 19;

/// Readable and writable at EL1 only, executable at both, accessed.
const PLAIN: Descriptor = Descriptor::VALID.union(Descriptor::TABLE).union(Descriptor::AF);
const EL0: Descriptor = PLAIN.union(Descriptor::EL0);

fn regime(tcr: u64) -> Machine<AArch64> {
    Machine::new(AArch64::new())
        .having(TTBR0_EL1, TABLES[0])
        .having(TTBR1_EL1, UPPER)
        .having(TCR_EL1, tcr)
        .having(SCTLR_EL1, 1)
        .with(TABLES[0], TABLES[1] | TABLE)
        .with(TABLES[1], TABLES[2] | TABLE)
        .with(TABLES[2], TABLES[3] | TABLE)
}

fn page_with(tcr: u64, bits: Descriptor) -> Machine<AArch64> {
    regime(tcr).with(ENTRY, PAGE | bits.bits())
}

fn page(bits: Descriptor) -> Machine<AArch64> {
    page_with(TCR, bits)
}

fn abort(machine: &mut Machine<AArch64>, access: Access) -> AArch64Exception {
    let fault = machine.translate(access).unwrap_err();
    machine.unit.format().exception(&fault)
}

/// The kind of fault, and Arm's level.
fn fault(machine: &mut Machine<AArch64>, access: Access) -> (FaultStatus, u8) {
    let AArch64Exception { status, level, .. } = abort(machine, access);
    (status, level)
}

// spec: arm-disabled
#[test]
fn with_the_mmu_off_an_address_is_physical_if_it_fits() {
    let mut machine = page(PLAIN).having(SCTLR_EL1, 0);
    assert_eq!(machine.outcome(load(0x1234)), Ok(0x1234));
    assert_eq!(fault(&mut machine, load(1 << 48)), (FaultStatus::AddressSize, 0));
}

// spec: arm-half
#[test]
fn bit_55_selects_the_half_and_its_table() {
    let mut machine = page(PLAIN);
    assert_eq!(machine.reads(load(VA)), [TABLES[0], TABLES[1], TABLES[2], ENTRY]);
    assert_eq!(machine.reads(load(0xffff_0000_0000_0000)), [UPPER]);
    assert_eq!(machine.reads(load(0xffff_ff80_0000_0000)), [UPPER + 511 * 8]);
}

// spec: arm-range
#[test]
fn bits_above_a_half_must_equal_bit_55() {
    let mut machine = page(PLAIN);
    for addr in [1 << 48, 1 << 54, 1 << 56 | VA, 1 << 63 | VA, 0x7fff_0000_0000_0000] {
        assert_eq!(fault(&mut machine, load(addr)), (FaultStatus::Translation, 0), "{addr:#x}");
    }
}

// spec: arm-tbi
#[test]
fn the_top_byte_is_ignored_where_tbi_says_so_and_kept_in_far() {
    let tagged = 0xa5 << 56 | VA;
    assert_eq!(fault(&mut page(PLAIN), load(tagged)), (FaultStatus::Translation, 0));
    assert_eq!(page_with(TCR | 1 << 37, PLAIN).outcome(load(tagged)), Ok(PAGE));
    assert!(!page_with(TCR | 1 << 38, PLAIN).allows(load(tagged)), "of the other half");
    let far = abort(&mut page_with(TCR | 1 << 37, EL0 - Descriptor::VALID), load(tagged)).far;
    assert_eq!(far.raw(), tagged);
}

// spec: arm-epd
#[test]
fn walks_of_a_half_can_be_switched_off() {
    let mut machine = page_with(TCR | 1 << 7, PLAIN);
    assert_eq!(fault(&mut machine, load(VA)), (FaultStatus::Translation, 0));
    assert_eq!(machine.reads(load(VA)), []);
    assert!(page_with(TCR | 1 << 23, PLAIN).allows(load(VA)));
}

// spec: arm-txsz
#[test]
fn a_txsz_out_of_range_is_a_translation_fault_at_level_0() {
    for t0sz in [15, 49] {
        let mut machine = page_with(TCR & !63 | t0sz, PLAIN);
        assert_eq!(fault(&mut machine, load(0)), (FaultStatus::Translation, 0));
    }
}

// spec: arm-start
#[test]
fn txsz_and_granule_decide_at_which_level_a_walk_starts() {
    for (tg0, t0sz, level) in [
        (0b00, 16, 0),
        (0b00, 25, 1),
        (0b00, 34, 2),
        (0b00, 43, 3),
        (0b10, 16, 0),
        (0b10, 17, 1),
        (0b10, 28, 2),
        (0b01, 16, 1),
        (0b01, 22, 2),
    ] {
        let mut machine = regime(TCR & !63 | tg0 << 14 | t0sz).with(TABLES[0], 0);
        assert_eq!(fault(&mut machine, load(0)), (FaultStatus::Translation, level));
    }
}

// spec: arm-start
#[test]
fn the_first_table_may_be_smaller_than_a_granule_and_is_aligned_to_its_size() {
    for (t0sz, table) in [(23, TABLES[0] + 0x20), (22, TABLES[0])] {
        let mut machine = regime(TCR & !63 | t0sz).having(TTBR0_EL1, TABLES[0] + 0x20);
        assert_eq!(machine.reads(load(3 << 39)), [table + 3 * 8], "T0SZ {t0sz}");
    }
}

// spec: arm-granule
#[test]
fn larger_granules_have_larger_tables_and_pages() {
    for (tg0, page_bits) in [(0b10, 14), (0b01, 16)] {
        let entry = |table: u64| TABLES[0] + table;
        let index_bits = page_bits - 3;
        let last = 64 - 2 * index_bits - page_bits; // two levels
        let va = 1 << (page_bits + index_bits) | 2 << page_bits | 0x123;
        let mut machine = regime(TCR & !63 | tg0 << 14 | last)
            .with(entry(8), TABLES[1] | TABLE)
            .with(TABLES[1] + 2 * 8, 5 << page_bits | PLAIN.bits());
        assert_eq!(machine.outcome(Access { size: 1, ..load(va) }), Ok(5 << page_bits | 0x123));
    }
}

// spec: arm-invalid
#[test]
fn an_invalid_descriptor_is_a_translation_fault_at_its_level() {
    for (level, table) in TABLES.into_iter().enumerate() {
        let entry = if level == 3 { ENTRY } else { table };
        let mut machine = page(PLAIN).with(entry, !1);
        let expected = (FaultStatus::Translation, u8::try_from(level).unwrap());
        assert_eq!(fault(&mut machine, load(VA)), expected);
    }
}

// spec: arm-block
#[test]
fn a_block_maps_what_its_table_would() {
    let block = (PLAIN - Descriptor::TABLE).bits();
    for (table, size) in [(TABLES[2], 21), (TABLES[1], 30)] {
        let mut machine = page(PLAIN).with(table, 5 << 30 | block);
        let found = machine.unit.translate(load(0x12_3450), &mut machine.memory, &mut ()).unwrap();
        assert_eq!(found.addr.raw(), 5 << 30 | 0x12_3450);
        assert_eq!(found.span, (1 << size) - 0x12_3450);
    }
}

// spec: arm-block
#[test]
fn where_a_granule_has_no_block_its_descriptor_is_invalid() {
    let mut level_0 = page(PLAIN).with(TABLES[0], PAGE | BLOCK | Descriptor::AF.bits());
    assert_eq!(fault(&mut level_0, load(VA)), (FaultStatus::Translation, 0));
    let mut last = page(PLAIN - Descriptor::TABLE);
    assert_eq!(fault(&mut last, load(VA)), (FaultStatus::Translation, 3));
    for tg0 in [0b01, 0b10] {
        let block = (PLAIN - Descriptor::TABLE).bits();
        let mut machine = regime(TCR & !63 | tg0 << 14 | 17).with(TABLES[0], block);
        assert_eq!(fault(&mut machine, load(0)), (FaultStatus::Translation, 1));
    }
}

// spec: arm-hierarchy
#[test]
fn a_table_descriptor_takes_rights_from_all_below() {
    for (bit, el1, el0) in [
        (Descriptor::NO_EL0_TABLE, "xrwa", "x"),
        (Descriptor::READ_ONLY_TABLE, "xr", "xr"),
        (Descriptor::UXN_TABLE, "rwa", "rwa"),
        (Descriptor::PXN_TABLE, "rwa", "xrwa"),
    ] {
        let mut machine = page(EL0).with(TABLES[0], TABLES[1] | TABLE | bit.bits());
        assert_eq!(machine.rights(VA, Privilege::Supervisor), el1, "{bit:?}");
        assert_eq!(machine.rights(VA, Privilege::User), el0, "{bit:?}");
    }
}

// spec: arm-hpd
#[test]
fn hpd_takes_the_rights_of_tables_out_of_account() {
    let all = Descriptor::READ_ONLY_TABLE | Descriptor::UXN_TABLE | Descriptor::NO_EL0_TABLE;
    let mut machine = page_with(TCR | 1 << 41, EL0).with(TABLES[1], TABLES[2] | TABLE | all.bits());
    assert_eq!(machine.rights(VA, Privilege::User), "xrwa");
}

// spec: arm-af
#[test]
fn a_clear_access_flag_is_a_fault_and_comes_before_permissions() {
    let mut machine = page(PLAIN - Descriptor::AF);
    assert_eq!(fault(&mut machine, load(VA)), (FaultStatus::AccessFlag, 3));
    assert_eq!(fault(&mut machine, user(load(VA))), (FaultStatus::AccessFlag, 3));
}

// spec: arm-af-hardware
#[test]
fn with_ha_hardware_sets_the_access_flag_when_the_access_is_permitted() {
    let mut machine = page_with(TCR | HA, PLAIN - Descriptor::AF);
    assert_eq!(fault(&mut machine, user(load(VA))), (FaultStatus::Permission, 3));
    assert_eq!(machine.entry(ENTRY), PAGE | (PLAIN - Descriptor::AF).bits());
    machine.translate(load(VA)).unwrap();
    assert_eq!(machine.entry(ENTRY), PAGE | PLAIN.bits());
}

// spec: arm-dirty
#[test]
fn with_hd_a_write_clears_ap_2_of_a_descriptor_with_dbm() {
    let clean = PLAIN | Descriptor::READ_ONLY | Descriptor::DBM;
    let mut machine = page_with(TCR | HA | HD, clean);
    machine.translate(load(VA)).unwrap();
    assert_eq!(machine.entry(ENTRY), PAGE | clean.bits(), "a read leaves it clean");
    machine.translate(store(VA)).unwrap();
    assert_eq!(machine.entry(ENTRY), PAGE | (clean - Descriptor::READ_ONLY).bits());
}

// spec: arm-dirty
#[test]
fn dbm_means_nothing_without_hd_and_hd_nothing_without_ha() {
    for tcr in [TCR, TCR | HA, TCR | HD] {
        let mut machine = page_with(tcr, PLAIN | Descriptor::READ_ONLY | Descriptor::DBM);
        assert_eq!(fault(&mut machine, store(VA)), (FaultStatus::Permission, 3));
    }
}

// spec: arm-ap
#[test]
fn ap_1_gives_el0_what_el1_has_and_ap_2_takes_writes() {
    let never = Descriptor::UXN | Descriptor::PXN;
    for (bits, el1, el0) in [
        (PLAIN, "rwa", ""),
        (EL0, "rwa", "rwa"),
        (PLAIN | Descriptor::READ_ONLY, "r", ""),
        (EL0 | Descriptor::READ_ONLY, "r", "r"),
    ] {
        assert_eq!(page(bits | never).rights(VA, Privilege::Supervisor), el1);
        assert_eq!(page(bits | never).rights(VA, Privilege::User), el0);
    }
}

// spec: arm-xn
#[test]
fn each_exception_level_has_its_own_execute_never() {
    let read_only = EL0 | Descriptor::READ_ONLY;
    assert_eq!(page(read_only | Descriptor::UXN).rights(VA, Privilege::User), "r");
    assert_eq!(page(read_only | Descriptor::UXN).rights(VA, Privilege::Supervisor), "xr");
    assert_eq!(page(read_only | Descriptor::PXN).rights(VA, Privilege::User), "xr");
    assert_eq!(page(read_only | Descriptor::PXN).rights(VA, Privilege::Supervisor), "r");
}

// spec: arm-xn
#[test]
fn what_el0_can_write_is_never_executable_at_el1() {
    assert_eq!(page(EL0).rights(VA, Privilege::Supervisor), "rwa");
    assert_eq!(page(EL0).rights(VA, Privilege::User), "xrwa");
}

// spec: arm-wxn
#[test]
fn with_wxn_what_is_writable_is_not_executable() {
    let rights = |bits, privilege| page(bits).having(SCTLR_EL1, 1 | WXN).rights(VA, privilege);
    assert_eq!(rights(PLAIN, Privilege::Supervisor), "rwa");
    assert_eq!(rights(EL0, Privilege::User), "rwa");
    assert_eq!(rights(PLAIN | Descriptor::READ_ONLY, Privilege::Supervisor), "xr");
}

// spec: arm-pan
#[test]
fn pan_keeps_el1_from_data_that_el0_can_access() {
    let rights = |bits, privilege| page(bits).having(PAN, 1 << 22).rights(VA, privilege);
    let read_only = EL0 | Descriptor::READ_ONLY;
    assert_eq!(rights(read_only, Privilege::Supervisor), "x");
    assert_eq!(rights(read_only, Privilege::User), "xr");
    assert_eq!(rights(PLAIN, Privilege::Supervisor), "xrwa");
}

// spec: arm-address-size
#[test]
fn an_output_address_wider_than_ips_is_an_address_size_fault() {
    let narrow = TCR & !(7 << 32); // 32 bits
    let mut page = page_with(narrow, PLAIN);
    assert_eq!(fault(&mut page, load(VA)), (FaultStatus::AddressSize, 3));
    let mut table = page.with(TABLES[1], 1 << 32 | TABLE);
    assert_eq!(fault(&mut table, load(VA)), (FaultStatus::AddressSize, 1));
    let mut root = table.having(TTBR0_EL1, 1 << 32);
    assert_eq!(fault(&mut root, load(VA)), (FaultStatus::AddressSize, 0));
}

// spec: arm-contiguous
#[test]
fn contiguous_descriptors_map_one_range() {
    let run = PLAIN | Descriptor::CONTIGUOUS;
    let mut machine = page(PLAIN).with(TABLES[3] + 5 * 8, PAGE & !0xffff | 0x5000 | run.bits());
    let found = machine.unit.translate(load(0x5678), &mut machine.memory, &mut ()).unwrap();
    assert_eq!((found.addr.raw(), found.span), (PAGE & !0xffff | 0x5678, 0x1_0000 - 0x5678));
}

// spec: arm-fault-code
#[test]
fn the_status_code_tells_kind_and_level() {
    for (status, code) in [
        (FaultStatus::AddressSize, 0b00_0010),
        (FaultStatus::Translation, 0b00_0110),
        (FaultStatus::AccessFlag, 0b00_1010),
        (FaultStatus::Permission, 0b00_1110),
        (FaultStatus::ExternalAbort, 0b01_0000),
        (FaultStatus::ExternalAbortOnWalk, 0b01_0110),
    ] {
        assert_eq!(status.code(2), code, "{status}");
    }
}

// spec: arm-fault-code
#[test]
fn the_exception_class_tells_fetch_or_data_and_from_where() {
    let mut machine = page(PLAIN - Descriptor::VALID);
    let translation = 1 << 25 | 0b00_0111;
    for (access, class) in
        [(user(fetch(VA)), 0x20), (fetch(VA), 0x21), (user(load(VA)), 0x24), (load(VA), 0x25)]
    {
        assert_eq!(abort(&mut machine, access).esr, class << 26 | translation, "{access}");
    }
}

// spec: arm-fault-code
#[test]
fn a_table_that_nothing_answers_for_is_an_external_abort_on_the_walk() {
    let mut machine = page(PLAIN).with(TABLES[1], END | TABLE);
    assert_eq!(fault(&mut machine, load(VA)), (FaultStatus::ExternalAbortOnWalk, 2));
}

// spec: arm-wnr
#[test]
fn wnr_is_set_for_writes_and_for_atomics_that_could_have_read() {
    let wnr = |machine: &mut Machine<AArch64>, access| abort(machine, access).esr >> 6 & 1;
    let mut absent = page(PLAIN - Descriptor::VALID);
    assert_eq!([wnr(&mut absent, load(VA)), wnr(&mut absent, store(VA))], [0, 1]);
    assert_eq!(wnr(&mut absent, amo(VA)), 0, "a read would have faulted too");
    assert_eq!(wnr(&mut page(PLAIN | Descriptor::READ_ONLY), amo(VA)), 1);
}

// spec: arm-cause
#[test]
fn a_fault_names_the_descriptor_that_decided_it() {
    let mut machine = page(PLAIN);
    let entry = machine.translate(user(load(VA))).unwrap_err().entry.unwrap();
    assert_eq!((entry.level, entry.addr.raw(), entry.raw), (0, ENTRY, Some(PAGE | PLAIN.bits())));
    assert_eq!(machine.outcome(user(load(VA))), Err(Cause::Permission));
}
