//! Tests of the entries that stay in the caches after invalidations and changes of the virtual machine.

use crate::tables::{
    ABOVE, EPT, GPA, HOST_ROOT, Machine, Plan, RISCV64, Stage, VA, aarch64, riscv, x86,
};
use emmu_core::{Asid, Invalidate, PhysAddr, TranslationUnit, VirtAddr, Vmid};
use emmu_memory::Memory;
use emmu_paging::{
    Geometry, PagingConfig, Policy, SecondStageFormat, TlbLevel, TlbTable,
    format::{
        Format,
        aarch64::VTTBR_EL2,
        riscv::HGATP,
        x86::{EPTP, VPID},
    },
};

fn tlb() -> PagingConfig {
    let geometry = Geometry::fully_associative(32, Policy::Lru).unwrap();
    let table = TlbTable { geometry, page_bits: vec![12] };
    PagingConfig { tlb: vec![TlbLevel::unified(vec![table])], ..PagingConfig::default() }
}

fn none() -> PagingConfig {
    PagingConfig::default()
}

const LONG: Plan = Plan::small(4, 4);
const PAGE: Option<VirtAddr> = Some(VirtAddr::new(VA));

impl<F: Format, H: SecondStageFormat> Machine<F, H> {
    pub(crate) fn invalidate(&mut self, scope: Invalidate) {
        TranslationUnit::<Memory, ()>::invalidate(&mut self.unit, scope);
    }

    /// How many entries the next load reads after this invalidation of warm caches.
    fn reads_after(&mut self, scope: Invalidate) -> usize {
        self.reads(VA);
        assert_eq!(self.reads(VA), 0, "warm");
        self.invalidate(scope);
        self.reads(VA)
    }
}

/// `hfence.vvma`.
fn vvma(vmid: u16, asid: Option<u16>, addr: Option<VirtAddr>) -> Invalidate {
    Invalidate::Guest { vmid: Vmid(vmid), asid: asid.map(Asid), addr, keeps_global: false }
}

/// `hfence.gvma`, `invept`, `tlbi vmalls12e1` and `alle1`.
fn second_stage(tables: Option<u64>, addr: Option<u64>) -> Invalidate {
    Invalidate::SecondStage { tables, addr: addr.map(PhysAddr::new), combined: true }
}

#[test]
fn hfence_vvma_forgets_the_first_stage_of_one_virtual_machine() {
    let mut machine = riscv(LONG, &tlb(), &tlb());
    // The second stage's own TLB stays warm.
    assert_eq!(machine.reads_after(vvma(0, None, None)), 4);
    assert_eq!(machine.reads_after(vvma(0, Some(0), None)), 4);
    assert_eq!(machine.reads_after(vvma(0, None, PAGE)), 4);
    assert_eq!(machine.reads_after(vvma(0, Some(0), PAGE)), 4);
}

#[test]
fn hfence_vvma_of_others_forgets_nothing() {
    let mut machine = riscv(LONG, &tlb(), &tlb());
    let other_page = Some(VirtAddr::new(VA + 0x1000));
    for scope in [vvma(1, None, None), vvma(0, Some(1), None), vvma(0, None, other_page)] {
        assert_eq!(machine.reads_after(scope), 0, "{scope:?}");
    }
}

// spec: riscv-h-vmid
#[test]
fn vmid_bits_beyond_vmidmax_are_ignored() {
    let mut machine = riscv(LONG, &tlb(), &tlb());
    assert!(machine.reads_after(second_stage(Some(1 << 14), None)) > 4);
    assert_eq!(machine.reads_after(second_stage(Some(1 << 14 | 1), None)), 0);
}

#[test]
fn the_hart_s_own_fences_leave_its_guests_alone() {
    let mut machine = riscv(LONG, &tlb(), &tlb());
    for scope in [Invalidate::All, Invalidate::Asid(Asid(0)), Invalidate::Page(VirtAddr::new(VA))] {
        assert_eq!(machine.reads_after(scope), 0, "{scope:?}");
    }
}

#[test]
fn hfence_gvma_forgets_both_stages_of_one_virtual_machine_or_of_all() {
    let mut machine = riscv(LONG, &tlb(), &tlb());
    assert_eq!(machine.reads_after(second_stage(None, None)), 24);
    assert_eq!(machine.reads_after(second_stage(Some(0), None)), 24);
    assert_eq!(machine.reads_after(second_stage(Some(1), None)), 0);
    // Of one page: what both stages made goes, and of the second stage's own entries just that one.
    assert_eq!(machine.reads_after(second_stage(Some(0), Some(GPA))), 4 + 4);
}

#[test]
fn virtual_machines_do_not_see_each_other_s_translations() {
    let mut machine = riscv(LONG, &tlb(), &tlb());
    machine.reads(VA);
    let hgatp = 9 << 60 | HOST_ROOT >> 12;
    machine.write(HGATP, hgatp | 1 << 44);
    assert_eq!(machine.reads(VA), 24);
    machine.write(HGATP, hgatp);
    assert_eq!(machine.reads(VA), 0);
}

#[test]
fn a_remapped_page_is_seen_after_hfence_gvma_and_not_before() {
    let mut machine = riscv(LONG, &tlb(), &tlb());
    machine.reads(VA);
    let mut host = Stage::new(RISCV64, HOST_ROOT, 4);
    host.map(&mut machine.memory, GPA, 0x7000, 0);
    assert_eq!(machine.load(VA), Ok(GPA + ABOVE));
    machine.invalidate(second_stage(Some(0), Some(GPA)));
    assert_eq!(machine.load(VA), Ok(0x7000));
}

#[test]
fn invept_names_the_tables_and_invvpid_the_processor() {
    let mut machine = x86(LONG, &tlb(), &tlb());
    let eptp = HOST_ROOT | 3 << 3 | 6;
    assert_eq!(machine.reads_after(second_stage(None, None)), 24);
    assert_eq!(machine.reads_after(second_stage(Some(eptp), None)), 24);
    assert_eq!(machine.reads_after(second_stage(Some(eptp + 0x1000), None)), 0);
    assert_eq!(machine.reads_after(vvma(0, None, None)), 4);
    assert_eq!(machine.reads_after(vvma(7, None, None)), 0);
}

#[test]
fn a_guest_s_own_invalidations_leave_the_second_stage_s_entries() {
    let mut machine = x86(LONG, &tlb(), &tlb());
    assert_eq!(machine.reads_after(Invalidate::Page(VirtAddr::new(VA))), 4);
    assert_eq!(machine.reads_after(Invalidate::All), 4);
    assert_eq!(machine.reads_after(Invalidate::NonGlobal), 4);
}

#[test]
fn translations_are_tagged_with_the_tables_and_the_processor() {
    let mut machine = x86(LONG, &tlb(), &tlb());
    machine.reads(VA);
    // Other tables, which are alike but for where the page is.
    let other = HOST_ROOT + 0x10_0000;
    let mut tables = Stage::new(EPT, other, 4);
    for page in (0x10_0000..0x11_0000).step_by(0x1000) {
        tables.map(&mut machine.memory, page, page + ABOVE, 0);
    }
    tables.map(&mut machine.memory, GPA, 0x7000, 0);
    machine.write(EPTP, other | 3 << 3 | 6);
    assert_eq!(machine.load(VA), Ok(0x7000));
    machine.write(EPTP, HOST_ROOT | 3 << 3 | 6);
    assert_eq!(machine.reads(VA), 0);
    machine.write(VPID, 5);
    assert_eq!(machine.reads(VA), 4, "guest-physical translations are not tagged with it");
    assert_eq!(machine.reads_after(vvma(0, None, None)), 0);
}

#[test]
fn invvpid_can_spare_global_pages() {
    let mut machine = x86(LONG, &tlb(), &tlb());
    let keeps = Invalidate::Guest { vmid: Vmid(0), asid: None, addr: None, keeps_global: true };
    assert_eq!(machine.reads_after(keeps), 4);
    let mut guest = Stage::new(crate::tables::LONG, crate::tables::GUEST_ROOT + ABOVE, 4);
    let leaf = guest.find_guest(&mut machine.memory, VA).unwrap();
    let raw = machine.get(leaf);
    machine.set(leaf, raw | 1 << 8);
    machine.invalidate(Invalidate::All);
    assert_eq!(machine.reads_after(keeps), 0);
}

#[test]
fn tlbi_ipas2e1_leaves_what_both_stages_made_for_tlbi_vmalle1() {
    let mut machine = aarch64(LONG, &tlb(), &tlb());
    let ipas2e1 = Invalidate::SecondStage {
        tables: Some(0),
        addr: Some(PhysAddr::new(GPA)),
        combined: false,
    };
    assert_eq!(machine.reads_after(ipas2e1), 0);
    machine.invalidate(ipas2e1);
    machine.invalidate(Invalidate::All);
    assert_eq!(machine.reads(VA), 4 + 4);
}

#[test]
fn a_vmid_of_eight_bits_is_the_low_byte() {
    let mut machine = aarch64(LONG, &tlb(), &none());
    machine.reads(VA);
    machine.write(VTTBR_EL2, HOST_ROOT | 0x100 << 48);
    assert_eq!(machine.reads(VA), 0, "VTCR_EL2.VS is clear");
    machine.write(VTTBR_EL2, HOST_ROOT | 1 << 48);
    assert_eq!(machine.reads(VA), 24);
}

#[test]
fn with_vmids_of_eight_bits_an_invalidation_goes_by_the_low_byte() {
    let mut machine = aarch64(LONG, &tlb(), &none());
    assert!(machine.reads_after(second_stage(Some(0x100), None)) > 0);
    assert!(machine.reads_after(vvma(0x100, None, None)) > 0);
    assert_eq!(machine.reads_after(second_stage(Some(0x101), None)), 0);
    assert_eq!(machine.reads_after(vvma(0x101, None, None)), 0);
}

#[test]
fn invlpg_reaches_what_the_processor_made_under_other_tables() {
    let mut machine = x86(LONG, &tlb(), &tlb());
    machine.reads(VA);
    machine.write(EPTP, (HOST_ROOT + 0x10_0000) | 3 << 3 | 6);
    machine.invalidate(Invalidate::Page(VirtAddr::new(VA)));
    machine.write(EPTP, HOST_ROOT | 3 << 3 | 6);
    assert_eq!(machine.reads(VA), 4);
    machine.write(VPID, 5);
    machine.invalidate(Invalidate::Page(VirtAddr::new(VA)));
    machine.write(VPID, 0);
    assert_eq!(machine.reads(VA), 0, "of another processor nothing");
}

// SDM Vol. 3C, 30.4.3.1: "An EPT violation invalidates any guest-physical mappings … that would be used to translate the
// guest-physical address that caused the EPT violation."
#[test]
fn an_ept_violation_met_before_the_guest_s_flags_are_set_forgets_the_mapping() {
    let mut machine = x86(LONG, &none(), &tlb());
    machine.load(VA).unwrap();
    let entry = Stage::new(EPT, HOST_ROOT, 4).find(&mut machine.memory, GPA).unwrap();
    machine.set(entry, 0);
    machine.load(VA).expect("still held");
    let mut guest = Stage::new(crate::tables::LONG, crate::tables::GUEST_ROOT + ABOVE, 4);
    let leaf = guest.find_guest(&mut machine.memory, VA).unwrap();
    let clean = machine.get(leaf) & !(1 << 6);
    machine.set(leaf, clean);
    machine.store(VA).unwrap_err();
    machine.load(VA).unwrap_err();
}
