//! x86, on 4-level paging unless a test says otherwise.

use crate::machine::{END, Machine, amo, fetch, load, store, user};
use emmu_core::{Access, AccessFlags, Cause, Event, Privilege, TranslationUnit, VirtAddr};
use emmu_paging::{
    X86,
    format::x86::{
        CR0, CR3, CR4, Cr0, Cr4, EFER, Efer, PKRU, PageFaultCode, Pte, RFLAGS, RFLAGS_AC,
        X86Exception,
    },
};

const ROOT: u64 = 0x1000;
const PDPT: u64 = 0x2000;
const PD: u64 = 0x3000;
const PT: u64 = 0x4000;
/// The entry for `VA`, and what it maps it to.
const ENTRY: u64 = PT + 8;
const VA: u64 = 0x1000;
const PAGE: u64 = 0x12_3456_7000;
const USER: Pte = Pte::P.union(Pte::RW).union(Pte::US);
const SUPERVISOR: Pte = Pte::P.union(Pte::RW);
const TABLE: u64 = USER.bits();

/// A processor in the mode of these registers, with NXE and WP unless they say otherwise, whose CR3 is [`ROOT`].
fn processor(cr4: Cr4, efer: Efer) -> Machine<X86> {
    Machine::new(X86::new(40))
        .having(EFER, efer.bits())
        .having(CR4, cr4.bits())
        .having(CR3, ROOT)
        .having(CR0, (Cr0::PE | Cr0::PG | Cr0::WP).bits())
}

/// 4-level paging with these features besides, and tables that lead to [`ENTRY`].
fn long_mode(features: Cr4) -> Machine<X86> {
    processor(Cr4::PAE | features, Efer::LME | Efer::NXE)
        .with(ROOT, PDPT | TABLE)
        .with(PDPT, PD | TABLE)
        .with(PD, PT | TABLE)
}

fn page_with(features: Cr4, bits: Pte) -> Machine<X86> {
    long_mode(features).with(ENTRY, PAGE | bits.bits())
}

fn page(bits: Pte) -> Machine<X86> {
    page_with(Cr4::empty(), bits)
}

/// The error code that the access raises a page fault with.
fn code(machine: &mut Machine<X86>, access: Access) -> PageFaultCode {
    let fault = machine.translate(access).unwrap_err();
    match machine.unit.format().exception(&fault) {
        X86Exception::PageFault { code, .. } => code,
        other => panic!("expected a page fault, got {other:?}"),
    }
}

// spec: x86-modes
#[test]
fn the_registers_choose_how_many_levels_there_are() {
    let pdptes = ROOT + 0x20;
    for (cr4, efer, cr3, reads) in [
        (Cr4::empty(), Efer::empty(), ROOT, 2),
        (Cr4::PAE, Efer::empty(), pdptes, 2),
        (Cr4::PAE, Efer::LME, ROOT, 4),
        (Cr4::PAE | Cr4::LA57, Efer::LME, ROOT, 5),
    ] {
        let mut machine = processor(cr4, efer)
            .with(ROOT, ROOT | TABLE | Pte::A.bits())
            .with(pdptes, ROOT | 1)
            .having(CR3, cr3);
        assert_eq!(machine.reads(load(0)), vec![ROOT; reads], "{cr4:?} {efer:?}");
    }
}

// spec: x86-modes
#[test]
fn with_paging_off_an_address_is_physical() {
    assert_eq!(Machine::new(X86::new(40)).outcome(user(load(0x1234_5678))), Ok(0x1234_5678));
}

// spec: x86-canonical
#[test]
fn an_address_that_is_not_canonical_is_a_general_protection_fault() {
    let mut machine = page(USER);
    for addr in [1 << 47, 1 << 48, 1 << 63 | VA, 0xffff_0000_0000_0000] {
        let fault = machine.translate(load(addr)).unwrap_err();
        assert_eq!(machine.unit.format().exception(&fault), X86Exception::GeneralProtection);
    }
    let stack = load(1 << 47).with_flags(AccessFlags::STACK);
    let fault = machine.translate(stack).unwrap_err();
    assert_eq!(machine.unit.format().exception(&fault), X86Exception::StackFault);
}

// spec: x86-canonical
#[test]
fn every_byte_of_data_must_be_canonical_and_the_first_of_a_fetch() {
    let mut machine = processor(Cr4::PAE, Efer::LME);
    let last = VirtAddr::new((1 << 47) - 2);
    assert_eq!(machine.outcome(Access::load(last, 2)), Err(Cause::Absent));
    assert_eq!(machine.outcome(Access::load(last, 4)), Err(Cause::NonCanonical));
    assert_eq!(machine.outcome(Access::fetch(last, 4)), Err(Cause::Absent));
}

// spec: x86-canonical
#[test]
fn with_five_levels_57_bits_are_canonical() {
    let mut machine = processor(Cr4::PAE | Cr4::LA57, Efer::LME);
    assert_eq!(machine.outcome(load(1 << 55)), Err(Cause::Absent));
    assert_eq!(machine.outcome(load(1 << 56)), Err(Cause::NonCanonical));
}

// spec: x86-cr3
#[test]
fn the_walk_starts_at_the_table_that_cr3_names_and_takes_nine_bits_a_level() {
    let mut machine = page(USER);
    assert_eq!(machine.reads(load(VA)), [ROOT, PDPT, PD, ENTRY]);
    let last = machine.with(ROOT + 511 * 8, PDPT | TABLE).reads(load(0xffff_ff80_0000_1000));
    assert_eq!(last, [ROOT + 511 * 8, PDPT, PD, ENTRY]);
}

// spec: x86-32bit
#[test]
fn with_32_bit_paging_a_4_mib_page_may_lie_above_4_gib() {
    let machine = processor(Cr4::PSE, Efer::empty());
    let high = 0x12 << 13; // bits 39:32 of the address
    let entry = 0x3440_0000 | high | (USER | Pte::PS).bits();
    assert_eq!(machine.with(ROOT, entry << 32).outcome(load(0x0040_1234)), Ok(0x12_3440_1234));
}

// spec: x86-32bit
#[test]
fn without_pse_a_page_directory_entry_is_a_table_whatever_ps_says() {
    let machine = processor(Cr4::empty(), Efer::empty());
    let mut machine = machine.with(ROOT, PT | (USER | Pte::PS).bits());
    assert_eq!(machine.reads(load(VA)), [ROOT, PT + 4]);
}

// spec: x86-pae
#[test]
fn with_pae_paging_four_entries_are_loaded_with_cr3_and_used_until_the_next_load() {
    let mut machine = Machine::new(X86::new(40))
        .with(ROOT + 0x20, PD | 1)
        .with(PD, PAGE & !0x1f_ffff | (USER | Pte::PS).bits())
        .having(CR4, Cr4::PAE.bits())
        .having(CR3, ROOT + 0x20)
        .having(CR0, (Cr0::PE | Cr0::PG).bits());
    assert_eq!(machine.reads(load(VA)), [PD]);
    machine = machine.with(ROOT + 0x20, 0);
    assert_eq!(machine.outcome(load(VA)), Ok((PAGE & !0x1f_ffff) + VA), "memory is not asked");
    assert_eq!(machine.having(CR3, ROOT + 0x20).outcome(load(VA)), Err(Cause::Absent));
}

// spec: x86-present
#[test]
fn an_entry_that_is_not_present_is_a_page_fault_at_any_level() {
    for (entry, reads) in [(ROOT, 1), (PDPT, 2), (PD, 3), (ENTRY, 4)] {
        let mut machine = page(USER).with(entry, !1);
        assert_eq!(machine.reads(load(VA)).len(), reads);
        assert_eq!(code(&mut machine, load(VA)), PageFaultCode::empty());
    }
}

// spec: x86-reserved
#[test]
fn physical_address_bits_from_maxphyaddr_on_are_reserved() {
    for (entry, table) in [(ROOT, PDPT), (PDPT, PD), (PD, PT), (ENTRY, PAGE)] {
        for bit in 40..52 {
            let mut machine = page(USER).with(entry, table | TABLE | 1 << bit);
            assert_eq!(machine.outcome(load(VA)), Err(Cause::Reserved), "bit {bit}");
        }
        assert!(page(USER).with(entry, table | TABLE | 0x7ff << 52).allows(load(VA)), "ignored");
    }
}

// spec: x86-reserved
#[test]
fn address_bits_within_a_larger_page_are_reserved_but_for_pat() {
    for (entry, size) in [(PD, 21), (PDPT, 30)] {
        let base = PAGE & !0xfff_ffff_u64 & !(1 << 30) | 0x1000;
        let large = (base >> size << size) | (USER | Pte::PS).bits();
        assert!(page(USER).with(entry, large | 1 << 12).allows(load(VA)), "bit 12 is PAT");
        for bit in 13..size {
            let mut machine = page(USER).with(entry, large | 1 << bit);
            assert_eq!(machine.outcome(load(VA)), Err(Cause::Reserved), "bit {bit}");
        }
    }
}

// spec: x86-reserved, x86-32bit
#[test]
fn of_a_4_mib_page_bit_21_and_address_bits_from_maxphyaddr_on_are_reserved() {
    let outcome = |max_phys_bits, bit: u64| {
        Machine::new(X86::new(max_phys_bits))
            .with(ROOT, 1 << bit | (USER | Pte::PS).bits())
            .having(CR4, Cr4::PSE.bits())
            .having(CR3, ROOT)
            .having(CR0, (Cr0::PE | Cr0::PG).bits())
            .outcome(load(0))
    };
    assert_eq!(outcome(40, 21), Err(Cause::Reserved));
    assert_eq!(outcome(40, 20), Ok(1 << 39));
    assert_eq!(outcome(36, 16), Ok(1 << 35));
    assert_eq!(outcome(36, 17), Err(Cause::Reserved));
}

// spec: x86-reserved
#[test]
fn no_page_is_larger_than_1_gib() {
    let mut machine = page(USER).with(ROOT, (USER | Pte::PS).bits());
    assert_eq!(machine.outcome(load(VA)), Err(Cause::Reserved));
}

// spec: x86-reserved
#[test]
fn without_nxe_bit_63_is_reserved() {
    let mut machine = page(USER | Pte::XD).having(EFER, Efer::LME.bits());
    assert_eq!(code(&mut machine, load(VA)), PageFaultCode::P | PageFaultCode::RSVD);
}

// spec: x86-page
#[test]
fn of_a_larger_page_the_address_gives_more_low_bits() {
    for (entry, size) in [(PD, 21), (PDPT, 30)] {
        let frame = 5_u64 << 30;
        let mut machine = page(USER).with(entry, frame | (USER | Pte::PS).bits());
        let offset = 0x0012_3456_u64;
        let found = machine.unit.translate(load(offset), &mut machine.memory, &mut ()).unwrap();
        assert_eq!((found.addr.raw(), found.span), (frame + offset, (1 << size) - offset));
    }
}

// spec: x86-user
#[test]
fn user_mode_needs_us_and_for_writes_rw_in_every_entry() {
    assert_eq!(page(USER).rights(VA, Privilege::User), "xrwa");
    for (entry, table) in [(ROOT, PDPT), (PDPT, PD), (PD, PT), (ENTRY, PAGE)] {
        let with = |bits: Pte| page(USER).with(entry, table | bits.bits());
        assert_eq!(with(USER - Pte::US).rights(VA, Privilege::User), "");
        assert_eq!(with(USER - Pte::RW).rights(VA, Privilege::User), "xr");
    }
}

// spec: x86-wp
#[test]
fn supervisor_writes_heed_rw_only_with_wp() {
    let mut machine = page(SUPERVISOR - Pte::RW);
    assert_eq!(machine.rights(VA, Privilege::Supervisor), "xr");
    let mut machine = machine.having(CR0, (Cr0::PE | Cr0::PG).bits());
    assert_eq!(machine.rights(VA, Privilege::Supervisor), "xrwa");
}

// spec: x86-xd
#[test]
fn xd_in_any_entry_forbids_fetches() {
    for (entry, table) in [(ROOT, PDPT), (PDPT, PD), (PD, PT), (ENTRY, PAGE)] {
        let mut machine = page(USER).with(entry, table | (USER | Pte::XD).bits());
        assert_eq!(machine.rights(VA, Privilege::User), "rwa");
        assert_eq!(machine.rights(VA, Privilege::Supervisor), "rwa");
    }
}

// spec: x86-smep
#[test]
fn smep_keeps_the_supervisor_from_fetching_user_code() {
    assert_eq!(page_with(Cr4::SMEP, USER).rights(VA, Privilege::Supervisor), "rwa");
    assert_eq!(page_with(Cr4::SMEP, SUPERVISOR).rights(VA, Privilege::Supervisor), "xrwa");
}

// spec: x86-smap
#[test]
fn smap_keeps_the_supervisor_from_user_data_until_ac_is_set() {
    let mut machine = page_with(Cr4::SMAP, USER);
    assert_eq!(machine.rights(VA, Privilege::Supervisor), "x");
    let mut lifted = machine.having(RFLAGS, RFLAGS_AC);
    assert_eq!(lifted.rights(VA, Privilege::Supervisor), "xrwa");
}

// spec: x86-implicit
#[test]
fn an_implicit_access_is_the_supervisors_at_any_cpl_and_ac_does_not_help() {
    let implicit = user(load(VA)).with_flags(AccessFlags::IMPLICIT);
    assert!(page(SUPERVISOR).allows(implicit));
    let mut machine = page_with(Cr4::SMAP, USER).having(RFLAGS, RFLAGS_AC);
    assert_eq!(code(&mut machine, implicit), PageFaultCode::P, "not a user access");
}

/// A user page with protection key 3.
fn keyed(pkru: u64) -> Machine<X86> {
    page_with(Cr4::PKE, Pte::from_bits_retain(3 << 59) | USER).having(PKRU, pkru << 6)
}

// spec: x86-pkru
#[test]
fn a_protection_key_can_forbid_all_data_accesses_or_writes() {
    assert_eq!(keyed(0b00).rights(VA, Privilege::User), "xrwa");
    assert_eq!(keyed(0b01).rights(VA, Privilege::User), "x");
    assert_eq!(keyed(0b10).rights(VA, Privilege::User), "xr");
    assert_eq!(keyed(0b01).rights(VA, Privilege::Supervisor), "x");
}

// spec: x86-pkru
#[test]
fn write_disable_binds_the_supervisor_only_with_wp() {
    assert_eq!(keyed(0b10).rights(VA, Privilege::Supervisor), "xr");
    let mut machine = keyed(0b10).having(CR0, (Cr0::PE | Cr0::PG).bits());
    assert_eq!(machine.rights(VA, Privilege::Supervisor), "xrwa");
}

// spec: x86-pkru
#[test]
fn supervisor_pages_have_no_protection_key() {
    let supervisor = Pte::from_bits_retain(3 << 59) | SUPERVISOR;
    let mut machine = page_with(Cr4::PKE, supervisor).having(PKRU, u32::MAX.into());
    assert_eq!(machine.rights(VA, Privilege::Supervisor), "xrwa");
}

// spec: x86-error-code
#[test]
fn the_error_code_tells_present_write_user_and_fetch() {
    use PageFaultCode as Code;
    assert_eq!(code(&mut page(SUPERVISOR), user(store(VA))), Code::P | Code::W | Code::U);
    assert_eq!(code(&mut page(SUPERVISOR), user(amo(VA))), Code::P | Code::W | Code::U);
    assert_eq!(code(&mut page(USER - Pte::P), fetch(VA)), Code::I);
    assert_eq!(code(&mut keyed(0b01), user(load(VA))), Code::P | Code::U | Code::PK);
}

// spec: x86-error-code
#[test]
fn a_fetch_is_told_only_with_nxe_and_pae_or_smep() {
    let mut machine = processor(Cr4::empty(), Efer::NXE);
    assert_eq!(code(&mut machine, fetch(VA)), PageFaultCode::empty());
    let mut machine = page(USER - Pte::P).having(EFER, Efer::LME.bits());
    assert_eq!(code(&mut machine, fetch(VA)), PageFaultCode::empty());
    let mut machine = machine.having(CR4, (Cr4::PAE | Cr4::SMEP).bits());
    assert_eq!(code(&mut machine, fetch(VA)), PageFaultCode::I);
}

// spec: x86-error-code
#[test]
fn cr2_is_the_first_byte_that_faulted() {
    let mut machine = page(USER - Pte::P);
    let fault = machine.translate(load(VA + 0x123)).unwrap_err();
    let X86Exception::PageFault { cr2, .. } = machine.unit.format().exception(&fault) else {
        panic!("expected a page fault")
    };
    assert_eq!(cr2, VirtAddr::new(VA + 0x123));
}

// spec: x86-accessed
#[test]
fn a_translation_sets_accessed_in_every_entry_that_it_uses() {
    let mut machine = page(USER);
    machine.translate(load(VA)).unwrap();
    for entry in [ROOT, PDPT, PD, ENTRY] {
        assert_eq!(machine.entry(entry) & (Pte::A | Pte::D).bits(), Pte::A.bits());
    }
}

// spec: x86-dirty
#[test]
fn a_write_sets_dirty_in_the_entry_that_maps_the_page() {
    let mut machine = page(USER);
    machine.translate(store(VA)).unwrap();
    assert_eq!(machine.entry(ENTRY), PAGE | (USER | Pte::A | Pte::D).bits());
    assert_eq!(machine.entry(PD) & Pte::D.bits(), 0);
}

// spec: x86-accessed, x86-dirty
#[test]
fn an_access_that_faults_sets_nothing() {
    let mut machine = page(USER - Pte::RW);
    assert!(!machine.allows(user(store(VA))));
    assert_eq!(machine.entry(ROOT), PDPT | TABLE);
    assert_eq!(machine.entry(ENTRY), PAGE | (USER - Pte::RW).bits());
}

// spec: x86-machine-check
#[test]
fn a_table_that_nothing_answers_for_is_a_machine_check() {
    let mut machine = page(USER).with(PD, END | TABLE);
    let mut events = Vec::<Event>::new();
    let fault = machine.unit.translate(load(VA), &mut machine.memory, &mut events).unwrap_err();
    assert_eq!(machine.unit.format().exception(&fault), X86Exception::MachineCheck);
}

// spec: x86-memory-type
#[test]
fn pat_pcd_and_pwt_pick_the_memory_type() {
    for (bits, index) in [(Pte::PWT, 1), (Pte::PCD, 2), (Pte::PS, 4)] {
        let mut machine = page(USER | bits);
        let found = machine.unit.translate(load(VA), &mut machine.memory, &mut ()).unwrap();
        assert_eq!(found.attributes.0, index, "{bits:?}; of a 4 KiB page, PAT is bit 7");
    }
}
