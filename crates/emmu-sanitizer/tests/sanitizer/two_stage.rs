//! Units of two stages: what is advised is of the stage that changed, and it is enough.

use emmu_core::{
    Access, AccessFlags, Asid, Bus, Fault, Invalidate, PhysAddr, RegisterId, TranslationUnit,
    VirtAddr, Vmid, Width,
};
use emmu_memory::Memory;
use emmu_paging::{
    AArch64, Geometry, Paging, PagingConfig, Policy, SecondStageFormat, TlbLevel, TlbTable,
    WalkCacheTable, X86,
    format::{
        Format,
        aarch64::{HCR_EL2, SCTLR_EL1, Stage2, TCR_EL1, TTBR0_EL1, VTCR_EL2, VTTBR_EL2},
        riscv::{GStage, HGATP, RiscVH, SATP, VSATP, VSSTATUS},
        x86::{CR0, CR3, CR4, EFER, EPTP, Ept},
    },
};
use emmu_sanitizer::{Report, Sanitized, Sanitizer, Watched};
use insta::assert_snapshot;

/// The guest's page, and the guest-physical pages that it can be.
const VA: u64 = 0x40_3000;
const GPAS: [u64; 2] = [0x18_0000, 0x18_5000];
/// Guest-physical memory is the physical memory from here on.
const ABOVE: u64 = 0x4000_0000;
/// Roots of the guest's tables, in guest-physical memory, and of the second stage's.
const GUESTS: [u64; 2] = [0x10_0000, 0x11_0000];
const HOSTS: [u64; 2] = [0x80_0000, 0x90_0000];

/// How entries look.
#[derive(Clone, Copy)]
struct Style {
    levels: u64,
    table: fn(u64) -> u64,
    leaf: fn(u64) -> u64,
}

/// Where the table of a level is.
fn table(root: u64, style: Style, level: u64) -> u64 {
    if level + 1 == style.levels { root } else { root + 0x4000 + level * 0x1000 }
}

/// Where the leaf entry for an address is.
fn leaf(root: u64, style: Style, addr: u64) -> u64 {
    table(root, style, 0) + (addr >> 12 & 0x1ff) * 8
}

/// Tables that map a page; they stand `above` where their entries say they are.
fn map(memory: &mut Memory, root: u64, above: u64, style: Style, from: u64, to: u64) {
    let mut put = |at: u64, raw| memory.write(PhysAddr::new(at + above), Width::B8, raw).unwrap();
    for level in 1..style.levels {
        let index = from >> (12 + 9 * level) & 0x1ff;
        put(table(root, style, level) + index * 8, (style.table)(table(root, style, level - 1)));
    }
    put(leaf(root, style, from), (style.leaf)(to));
}

/// Two roots of both stages. By the second one of the guest's the page is the second page; by the second one of the
/// second stage's both pages are elsewhere.
fn tables(guest: Style, host: Style) -> Memory {
    let mut memory = Memory::ram(1 << 36);
    for (number, root) in (0..).zip(HOSTS) {
        for page in (GUESTS[0]..GUESTS[1] + 0x1_0000).step_by(0x1000) {
            map(&mut memory, root, 0, host, page, page + ABOVE);
        }
        for gpa in GPAS {
            map(&mut memory, root, 0, host, gpa, gpa + ABOVE + number * 0x10_0000);
        }
    }
    for (root, gpa) in GUESTS.into_iter().zip(GPAS) {
        map(&mut memory, root, ABOVE, guest, VA, gpa);
    }
    memory
}

struct Machine<F: Format, H: SecondStageFormat> {
    unit: Sanitized<Paging<F, Paging<H>>>,
    bus: Watched<Memory>,
    sanitizer: Sanitizer,
    flags: AccessFlags,
}

fn config() -> PagingConfig {
    let geometry = Geometry::fully_associative(32, Policy::Lru).unwrap();
    let table = TlbTable { geometry, page_bits: vec![12] };
    let walk_cache = vec![WalkCacheTable { geometry, levels: vec![0, 1] }];
    let tlb = vec![TlbLevel::unified(vec![table])];
    PagingConfig { tlb, walk_cache, ..PagingConfig::default() }
}

impl<F: Format, H: SecondStageFormat> Machine<F, H> {
    fn new(
        unit: Paging<F, Paging<H>>,
        memory: Memory,
        flags: AccessFlags,
        registers: &[(RegisterId, u64)],
    ) -> Self {
        let sanitizer = Sanitizer::new();
        let (unit, bus) = (sanitizer.unit(unit), sanitizer.bus(memory));
        let mut machine = Self { unit, bus, sanitizer, flags };
        registers.iter().for_each(|&(id, value)| machine.write(id, value));
        machine
    }

    fn write(&mut self, id: RegisterId, value: u64) {
        self.unit.write_register(id, value, &mut self.bus, &mut ()).unwrap();
    }

    fn set(&mut self, addr: u64, raw: u64) {
        self.bus.write(PhysAddr::new(addr), Width::B8, raw).unwrap();
    }

    fn access(&mut self, access: Access) -> Result<u64, Fault> {
        let access = access.with_flags(self.flags);
        let found = self.unit.translate(access, &mut self.bus, &mut ());
        found.map(|found| found.addr.raw())
    }

    fn load(&mut self) -> Result<u64, Fault> {
        self.access(Access::load(VirtAddr::new(VA), 8))
    }

    /// Returns the result of a walk without any cache.
    fn fresh(&self) -> Result<u64, Fault> {
        let access = Access::load(VirtAddr::new(VA), 8).with_flags(self.flags);
        let found = TranslationUnit::<_, ()>::peek(&self.unit, access, &self.bus);
        found.map(|found| found.addr.raw())
    }

    fn invalidate(&mut self, scope: Invalidate) {
        TranslationUnit::<Watched<Memory>, ()>::invalidate(&mut self.unit, scope);
    }

    /// Loads, changes, invalidates and loads again.
    fn play(&mut self, change: impl Fn(&mut Self), scopes: &[Invalidate]) -> Vec<Report> {
        self.load().unwrap();
        change(self);
        scopes.iter().for_each(|&scope| self.invalidate(scope));
        let _ = self.load();
        self.sanitizer.reports()
    }
}

/// The report of a change without an invalidation. What it advises is enough, and nothing of `others` is.
fn report<F: Format, H: SecondStageFormat>(
    boot: fn() -> Machine<F, H>,
    change: fn(&mut Machine<F, H>),
    others: &[Invalidate],
) -> Report {
    let [report] = <[Report; 1]>::try_from(boot().play(change, &[])).unwrap();
    let advised = report.invalidation.unwrap();
    let advised: Vec<_> = [advised.scope].into_iter().chain(advised.then).collect();
    let mut machine = boot();
    assert_eq!(machine.play(change, &advised), [], "{advised:?}");
    assert_eq!(machine.load(), machine.fresh());
    for &other in others {
        let found = boot().play(change, &[other]);
        assert_eq!(found.len(), 1, "{other:?}");
        assert_eq!(found[0].invalidation, report.invalidation);
        assert_eq!(found[0].insufficient.unwrap().scope, other);
    }
    report
}

fn advice(report: &Report) -> String {
    report.invalidation.unwrap().to_string()
}

fn hfence_vvma(vmid: u16, asid: Option<u16>, addr: Option<u64>) -> Invalidate {
    let (vmid, asid, addr) = (Vmid(vmid), asid.map(Asid), addr.map(VirtAddr::new));
    Invalidate::Guest { vmid, asid, addr, keeps_global: false }
}

fn second_stage(tables: u64, addr: Option<u64>, combined: bool) -> Invalidate {
    Invalidate::SecondStage { tables: Some(tables), addr: addr.map(PhysAddr::new), combined }
}

const RISCV: Style =
    Style { levels: 3, table: |addr| addr >> 2 | 1, leaf: |addr| addr >> 2 | 0xdf };
const VMID: u64 = 5;
const ASID: u64 = 3;

const fn hgatp(root: u64) -> u64 {
    8 << 60 | VMID << 44 | root >> 12
}

const fn vsatp(root: u64) -> u64 {
    8 << 60 | ASID << 44 | root >> 12
}

/// Sv39 over Sv39x4. The hypervisor's own address space has another number.
fn riscv() -> Machine<RiscVH, GStage> {
    let unit = RiscVH::rv64().hart(&config(), &config()).unwrap();
    // The page is a user page.
    let sum = (VSSTATUS, 1 << 18);
    let roots = [(HGATP, hgatp(HOSTS[0])), (VSATP, vsatp(GUESTS[0])), (SATP, 9 << 44), sum];
    Machine::new(unit, tables(RISCV, RISCV), AccessFlags::GUEST, &roots)
}

fn move_riscv_host_page(machine: &mut Machine<RiscVH, GStage>) {
    machine.set(leaf(HOSTS[0], RISCV, GPAS[0]), (RISCV.leaf)(0x7000));
}

fn move_riscv_guest_page(machine: &mut Machine<RiscVH, GStage>) {
    machine.set(leaf(GUESTS[0], RISCV, VA) + ABOVE, (RISCV.leaf)(GPAS[1]));
}

#[test]
fn on_risc_v_the_second_stage_is_hfence_gvma_s() {
    let others = [
        Invalidate::All,
        hfence_vvma(5, None, None),
        second_stage(VMID, Some(GPAS[1]), true),
        second_stage(VMID + 1, None, true),
    ];
    let report = report(riscv, move_riscv_host_page, &others);
    assert_snapshot!(report, @r"
    error: a stale translation was used: the page is elsewhere by now
      --> supervisor load of 8 bytes at 0x403000, access 2
       | the TLB leads to 0x40180000
       | the tables lead to 0x7000
    note: this write made it stale
      --> a write from outside of the CPU, access 1
       | the second stage's level 0 entry at 0x804c00 was 0x100600df and became 0x1cdf
    help: after that, `hfence.gvma 0x180000 >> 2, 5` is enough
    ");
}

#[test]
fn on_risc_v_a_guest_s_own_tables_are_hfence_vvma_s() {
    let others = [
        Invalidate::All,
        hfence_vvma(5, Some(3), Some(VA + 0x1000)),
        hfence_vvma(5, Some(9), None),
        hfence_vvma(6, None, None),
    ];
    let report = report(riscv, move_riscv_guest_page, &others);
    assert_snapshot!(report, @r"
    error: a stale translation was used: the page is elsewhere by now
      --> supervisor load of 8 bytes at 0x403000, access 2
       | the TLB leads to 0x40180000
       | the tables lead to 0x40185000
    note: this write made it stale
      --> a write from outside of the CPU, access 1
       | the level 0 entry at 0x40104018 was 0x600df and became 0x614df
    help: after that, `hfence.vvma 0x403000, 3 (vmid 5)` is enough
    ");
}

#[test]
fn on_risc_v_a_new_root_of_a_stage_needs_the_fence_of_that_stage() {
    let host = |machine: &mut Machine<_, _>| machine.write(HGATP, hgatp(HOSTS[1]));
    let others = [second_stage(VMID, Some(GPAS[1]), true), hfence_vvma(5, None, None)];
    assert_eq!(
        advice(&report(riscv, host, &others)),
        "hfence.gvma x0, 5, then hfence.vvma x0, 3 (vmid 5)"
    );
    let guest = |machine: &mut Machine<_, _>| {
        machine.write(SATP, 8 << 60);
        machine.write(VSATP, vsatp(GUESTS[1]));
    };
    let other = hfence_vvma(5, Some(9), None);
    assert_eq!(advice(&report(riscv, guest, &[other])), "hfence.vvma x0, 3 (vmid 5)");
}

// What was read there leads on to guest-physical addresses, which HFENCE.GVMA leaves in walk caches.
#[test]
fn on_risc_v_a_page_that_a_guest_s_table_stands_in_needs_the_fences_of_both_stages() {
    const NEW: u64 = 0x5000_0000;
    const OLD: u64 = GUESTS[0] + 0x5000;
    let change = |machine: &mut Machine<_, _>| {
        machine.set(NEW + (VA >> 21 & 0x1ff) * 8, (RISCV.table)(table(GUESTS[1], RISCV, 0)));
        machine.set(leaf(HOSTS[0], RISCV, OLD), (RISCV.leaf)(NEW));
    };
    assert_eq!(table(GUESTS[0], RISCV, 1), OLD);
    let others = [second_stage(VMID, Some(OLD), true), hfence_vvma(5, None, None)];
    let advised = advice(&report(riscv, change, &others));
    assert_eq!(advised, "hfence.gvma 0x105000 >> 2, 5, then hfence.vvma x0, 3 (vmid 5)");
}

#[test]
fn a_global_page_of_a_guest_is_of_no_address_space() {
    let boot = || {
        let mut machine = riscv();
        machine.set(leaf(GUESTS[0], RISCV, VA) + ABOVE, (RISCV.leaf)(GPAS[0]) | 1 << 5);
        machine
    };
    let others = [hfence_vvma(5, Some(3), Some(VA))];
    let report = report(boot, move_riscv_guest_page, &others);
    assert_eq!(advice(&report), "hfence.vvma 0x403000, x0 (vmid 5)");
}

#[test]
fn no_instruction_is_named_where_both_stages_have_changed() {
    let found = riscv().play(
        |machine| {
            move_riscv_guest_page(machine);
            move_riscv_host_page(machine);
        },
        &[],
    );
    assert_eq!(found[0].invalidation, None);
    assert!(found[0].to_string().ends_with("of one of the stages or of both"));
}

#[test]
fn a_hypervisor_s_own_tables_are_sfence_vma_s() {
    let boot = || {
        // The second stage's tables serve, where they map a page for the hypervisor.
        let mut machine = riscv();
        machine.flags = AccessFlags::empty();
        let own = |addr: u64| addr >> 2 | 0xcf;
        machine.set(table(HOSTS[1], RISCV, 1) + 16, (RISCV.table)(table(HOSTS[1], RISCV, 0)));
        machine.set(leaf(HOSTS[1], RISCV, VA), own(0x6000));
        machine.write(SATP, 8 << 60 | 9 << 44 | HOSTS[1] >> 12);
        machine
    };
    let change = |machine: &mut Machine<RiscVH, GStage>| {
        machine.set(leaf(HOSTS[1], RISCV, VA), 0x7000 >> 2 | 0xcf);
    };
    let others = [hfence_vvma(5, None, None), second_stage(VMID, None, true)];
    assert_eq!(advice(&report(boot, change, &others)), "sfence.vma 0x403000, 9");
}

const LONG: Style = Style { levels: 4, table: |addr| addr | 0x27, leaf: |addr| addr | 0x67 };
/// Write-back memory: bits 4 and 5. Accessed and dirty flags are not in use.
const EPT: Style = Style { levels: 4, table: |addr| addr | 7, leaf: |addr| addr | 0x37 };
const EPT_POINTER: u64 = HOSTS[0] | 3 << 3 | 6;

/// 4-level paging over EPT.
fn x86() -> Machine<X86, Ept> {
    let unit = X86::new(46).guest(&config(), &config()).unwrap();
    let registers = [
        (EPTP, EPT_POINTER),
        (EFER, 1 << 8),
        (CR4, 1 << 5 | 1 << 7),
        (CR3, GUESTS[0]),
        (CR0, 1 << 31 | 1),
    ];
    Machine::new(unit, tables(LONG, EPT), AccessFlags::empty(), &registers)
}

#[test]
fn on_x86_the_second_stage_is_invept_s() {
    let change = |machine: &mut Machine<X86, Ept>| {
        machine.set(leaf(HOSTS[0], EPT, GPAS[0]), (EPT.leaf)(0x7000));
    };
    let others =
        [Invalidate::All, hfence_vvma(0, None, None), second_stage(HOSTS[1] | 0x1e, None, true)];
    assert_eq!(advice(&report(x86, change, &others)), "invept 1 (eptp 0x80001e)");
}

#[test]
fn on_x86_a_guest_s_own_tables_are_invlpg_s() {
    let change = |machine: &mut Machine<X86, Ept>| {
        machine.set(leaf(GUESTS[0], LONG, VA) + ABOVE, (LONG.leaf)(GPAS[1]));
    };
    let others = [Invalidate::Page(VirtAddr::new(VA + 0x1000)), hfence_vvma(7, None, None)];
    assert_eq!(advice(&report(x86, change, &others)), "invlpg [0x403000]");
}

// A look at the tables then goes through the second stage more often than the walk needs.
#[test]
fn the_stage_is_told_where_the_guest_s_flags_were_still_clear() {
    let boot = || {
        let mut machine = x86();
        machine.set(table(GUESTS[0], LONG, 3) + ABOVE, table(GUESTS[0], LONG, 2) | 7);
        machine.set(leaf(GUESTS[0], LONG, VA) + ABOVE, GPAS[0] | 7);
        machine
    };
    let change = |machine: &mut Machine<X86, Ept>| {
        machine.set(leaf(HOSTS[0], EPT, GPAS[0]), (EPT.leaf)(0x7000));
    };
    let report = report(boot, change, &[Invalidate::All]);
    assert_eq!(advice(&report), "invept 1 (eptp 0x80001e)");
}

#[test]
fn ept_entries_without_flags_miss_none() {
    let mut machine = x86();
    machine.access(Access::store(VirtAddr::new(VA), 8)).unwrap();
    assert_eq!(machine.sanitizer.reports(), []);
}

#[test]
fn a_dirty_flag_of_an_ept_entry_cleared_is_invept_s() {
    let boot = || {
        let mut machine = x86();
        machine.write(EPTP, EPT_POINTER | 1 << 6);
        machine.access(Access::store(VirtAddr::new(VA), 8)).unwrap();
        machine
    };
    let mut machine = boot();
    machine.set(leaf(HOSTS[0], EPT, GPAS[0]), (EPT.leaf)(GPAS[0] + ABOVE) | 1 << 8);
    machine.access(Access::store(VirtAddr::new(VA), 8)).unwrap();
    let [report] = &machine.sanitizer.reports()[..] else { panic!("one report") };
    assert_eq!(report.kind, emmu_sanitizer::Kind::NotDirty);
    assert_eq!(advice(report), "invept 1 (eptp 0x80005e)");
}

const ARM: Style = Style { levels: 4, table: |addr| addr | 3, leaf: |addr| addr | 0x443 };
const STAGE_2: Style = Style { leaf: |addr| addr | 0x4c3, ..ARM };

/// The 4 KiB granule and 48 bits at both stages.
fn aarch64() -> Machine<AArch64, Stage2> {
    let unit = AArch64::new().guest(&config(), &config()).unwrap();
    let registers = [
        (VTTBR_EL2, VMID << 48 | HOSTS[0]),
        (VTCR_EL2, 5 << 16 | 2 << 6 | 16),
        (HCR_EL2, 1),
        (TTBR0_EL1, GUESTS[0]),
        (TCR_EL1, 5 << 32 | 2 << 30 | 16 << 16 | 16),
        (SCTLR_EL1, 1),
    ];
    Machine::new(unit, tables(ARM, STAGE_2), AccessFlags::empty(), &registers)
}

#[test]
fn on_aarch64_the_second_stage_is_tlbi_ipas2e1_s_and_vmalle1_s() {
    let change = |machine: &mut Machine<AArch64, Stage2>| {
        machine.set(leaf(HOSTS[0], STAGE_2, GPAS[0]), (STAGE_2.leaf)(0x7000));
    };
    let others = [
        Invalidate::All,
        second_stage(VMID, Some(GPAS[0]), false),
        second_stage(VMID, Some(GPAS[1]), true),
    ];
    let advised = advice(&report(aarch64, change, &others));
    assert_eq!(advised, "tlbi ipas2e1, 0x180000, then tlbi vmalle1");
}

#[test]
fn on_aarch64_a_guest_s_own_tables_are_tlbi_vae1_s() {
    let change = |machine: &mut Machine<AArch64, Stage2>| {
        machine.set(leaf(GUESTS[0], ARM, VA) + ABOVE, (ARM.leaf)(GPAS[1]));
    };
    let others =
        [Invalidate::Page(VirtAddr::new(VA + 0x1000)), second_stage(VMID, Some(GPAS[0]), false)];
    assert_eq!(advice(&report(aarch64, change, &others)), "tlbi vae1, 0x403000 of asid 0");
}

#[test]
fn on_aarch64_a_new_root_of_the_second_stage_needs_all_of_both() {
    let change =
        |machine: &mut Machine<AArch64, Stage2>| machine.write(VTTBR_EL2, VMID << 48 | HOSTS[1]);
    let others = [Invalidate::All, second_stage(VMID, Some(GPAS[1]), true)];
    assert_eq!(advice(&report(aarch64, change, &others)), "tlbi vmalls12e1");
}
