//! Segmentation in front of paging.

use crate::{B, descriptor, load, through};
use emmu_core::{
    Access, AccessFlags, AccessKind, Bus, Cause, Chain, Event, Fault, PhysAddr, Privilege,
    RegisterError, Translation, TranslationUnit, VirtAddr, Width,
};
use emmu_cpu::{Cpu, Exception, Stop};
use emmu_memory::Memory;
use emmu_paging::{
    Paging, X86,
    format::x86::{CR0, CR3, CR4, Cr0, Cr4, X86Exception},
};
use emmu_property::{Arbitrary, Gen, quickcheck};
use emmu_segmentation::x86::{
    DS, ES, FS, GDTR_BASE, GDTR_LIMIT, SegmentException, SegmentRegister, X86Segments,
};

type Both = Chain<X86Segments, Paging<X86>>;

/// Linear pages 0 to 15 are physical pages 0x40 to 0x4f, the other way round; 32-bit or PAE paging.
#[derive(Clone, Copy, Debug)]
struct Pages {
    pae: bool,
}

const PD: u64 = 0x2000;
const PT: u64 = 0x3000;
const PDPT: u64 = 0x4000;
const P_W_U: u64 = 7;

fn physical(linear: u64) -> u64 {
    (0x4f - linear / 0x1000) * 0x1000 + linear % 0x1000
}

impl Pages {
    fn entry_bytes(self) -> u64 {
        if self.pae { 8 } else { 4 }
    }

    fn memory(self) -> Memory {
        let mut memory = Memory::ram(1 << 20);
        let width = Width::from_bytes(self.entry_bytes()).unwrap();
        let mut put = |at, value| memory.write(PhysAddr::new(at), width, value).unwrap();
        put(PD, PT | P_W_U);
        for page in 0..16 {
            put(PT + page * self.entry_bytes(), physical(page * 0x1000) | P_W_U);
        }
        if self.pae {
            put(PDPT, PD | 1);
        }
        memory
    }

    fn switch_on(self, unit: &mut impl TranslationUnit<Memory, ()>, memory: &mut Memory) {
        let cr4 = if self.pae { Cr4::PAE } else { Cr4::empty() };
        let root = if self.pae { PDPT } else { PD };
        let cr0 = Cr0::PE | Cr0::PG | Cr0::WP;
        for (id, value) in [(CR4, cr4.bits()), (CR3, root), (CR0, cr0.bits())] {
            unit.write_register(id, value, memory, &mut ()).unwrap();
        }
    }

    /// With these descriptors in a GDT that puts index 1 into two pages.
    fn chain(self, descriptors: &[u64]) -> (Both, Memory) {
        let mut memory = self.memory();
        let mut unit = Chain::new(X86Segments::flat(), Paging::uncached(X86::default())).unwrap();
        self.switch_on(&mut unit, &mut memory);
        for (index, raw) in (0u64..).zip(descriptors) {
            for (far, byte) in (0u64..).zip(raw.to_le_bytes()) {
                let at = PhysAddr::new(physical(GDT + 8 * index + far));
                memory.write(at, Width::B1, byte.into()).unwrap();
            }
        }
        let limit = 8 * descriptors.len() as u64 - 1;
        for (id, value) in [(GDTR_BASE, GDT), (GDTR_LIMIT, limit)] {
            unit.write_register(id, value, &mut memory, &mut ()).unwrap();
        }
        (unit, memory)
    }
}

const GDT: u64 = 0x5ff4;
const BOTH: [Pages; 2] = [Pages { pae: false }, Pages { pae: true }];

#[test]
fn logical_becomes_linear_becomes_physical() {
    for pages in BOTH {
        let (mut unit, mut memory) = pages.chain(&[0, descriptor(0x7100, 0xfff, 0x92, B)]);
        unit.write_register(DS, 8, &mut memory, &mut ()).unwrap();
        let found = unit.translate(load(0x20, 4), &mut memory, &mut ()).unwrap();
        assert_eq!((found.addr.raw(), found.span), (physical(0x7120), 0xee0), "{pages:?}");
        let next = unit.translate(load(0xf00, 4), &mut memory, &mut ()).unwrap();
        assert_eq!((next.addr.raw(), next.span), (physical(0x8000), 0x100), "{pages:?}");
    }
}

#[test]
fn a_descriptor_in_two_pages_is_read_and_marked_through_both() {
    for pages in BOTH {
        let data = descriptor(0x9000, 0xff, 0x92, B);
        let (mut unit, mut memory) = pages.chain(&[0, data, data]);
        unit.write_register(ES, 8, &mut memory, &mut ()).unwrap();
        assert_eq!(unit.first().segment(SegmentRegister::Es).base, 0x9000);
        let access_byte = |memory: &Memory, index: u64| {
            memory.peek(PhysAddr::new(physical(GDT + 8 * index + 5)), Width::B1).unwrap()
        };
        assert_eq!([access_byte(&memory, 1), access_byte(&memory, 2)], [0x93, 0x92]);
    }
}

// spec: x86seg-implicit
#[test]
fn a_page_fault_at_a_descriptor_is_a_page_fault_of_the_supervisor_there() {
    let (mut unit, mut memory) = BOTH[0].chain(&[0, descriptor(0, 0xff, 0xf2, B)]);
    // The page that the second half of descriptor 1 is in is not present.
    memory.write(PhysAddr::new(PT + 6 * 4), Width::B4, 0).unwrap();
    let mut cpu = Cpu::new(unit.clone(), memory.clone());
    cpu.install_handler(VirtAddr::ZERO).unwrap();
    cpu.set_privilege(Privilege::User);
    let before = unit.first().clone();
    let Stop::Trap(Exception::Fault(fault)) = cpu.write_register(ES, 0xb).unwrap_err() else {
        panic!("a fault is an exception");
    };
    assert_eq!((fault.cause, fault.access.flags), (Cause::Absent, AccessFlags::IMPLICIT));
    let paging = unit.second().format();
    let code = match paging.exception(&fault) {
        X86Exception::PageFault { code, cr2 } => (code.bits(), cr2.raw()),
        other => panic!("{other:?}"),
    };
    assert_eq!(code, (0, 0x6000));
    assert_eq!(*cpu.unit().first(), before);
    unit.write_register(ES, 0xb, &mut memory, &mut ()).unwrap_err();
}

#[test]
fn a_descriptor_that_cannot_be_marked_is_not_loaded() {
    let (mut unit, mut memory) = BOTH[0].chain(&[0, descriptor(0, 0xff, 0x92, B)]);
    for page in [5, 6] {
        let entry = physical(page * 0x1000) | 1;
        memory.write(PhysAddr::new(PT + page * 4), Width::B4, entry).unwrap();
    }
    let before = unit.first().clone();
    let refused = unit.write_register(ES, 8, &mut memory, &mut ()).unwrap_err();
    let RegisterError::Fault(fault) = refused else { panic!("{refused}") };
    assert_eq!(fault.access.kind, AccessKind::Store);
    assert_eq!(*unit.first(), before);
}

#[test]
fn descriptor_reads_are_told_where_they_are_on_the_bus() {
    let (unit, memory) = BOTH[0].chain(&[0, descriptor(0, 0xff, 0x93, B)]);
    let mut cpu = Cpu::with_probe(Boxed::of(unit), memory, Vec::new());
    cpu.write_register(FS, 8).unwrap();
    let addr = PhysAddr::new(physical(GDT + 8));
    let raw = descriptor(0, 0xff, 0x93, B);
    assert!(cpu.probe().contains(&Event::EntryRead { level: 0, addr, raw }));
}

/// Makes boxed chains, for a probe that keeps every event.
struct Boxed;

impl Boxed {
    fn of(unit: Both) -> Box<dyn TranslationUnit<Memory, Vec<Event>>> {
        Box::new(unit)
    }
}

/// Which unit refused an access, and the exception.
fn exception(unit: &Both, fault: &Fault) -> String {
    match unit.first().exception(fault) {
        Some(exception) => exception.to_string(),
        None => format!("{:?}", unit.second().format().exception(fault)),
    }
}

#[test]
fn each_unit_knows_its_own_faults() {
    let read_only = descriptor(0, 0xf_ffff, 0x91, 0b1100);
    let (mut unit, mut memory) = BOTH[0].chain(&[0, read_only]);
    unit.write_register(DS, 8, &mut memory, &mut ()).unwrap();
    memory.write(PhysAddr::new(PT + 4 * 4), Width::B4, physical(0x4000) | 1).unwrap();
    let mut refused = |access| {
        let fault = unit.translate(access, &mut memory, &mut ()).unwrap_err();
        exception(&unit, &fault)
    };
    // A store through read-only data, and one to a read-only page: both lack permission.
    assert_eq!(refused(Access::store(VirtAddr::new(0), 1)), "#GP(0x0)");
    let page = through(SegmentRegister::Es, Access::store(VirtAddr::new(0x4008), 1));
    assert!(refused(page).contains("cr2: VirtAddr(16392)"));
    assert!(refused(load(0x10_0000, 1)).contains("PageFault"));
}

/// A new cause needs a decision here whether segments raise it. They raise `Permission` where a descriptor denies the access.
#[test]
fn every_cause_is_of_segments_or_of_what_is_behind() {
    let access = load(0, 1);
    let is_own =
        |&&cause: &&Cause| X86Segments::flat().exception(&Fault::new(access, cause)).is_some();
    let (own, behind): (Vec<_>, Vec<_>) = Cause::ALL.iter().partition(is_own);
    assert_eq!(own, [Cause::Bounds, Cause::NoSegment]);
    let behind: Vec<_> = behind.into_iter().map(Cause::name).collect();
    let expected = [
        "non_canonical",
        "walk_disabled",
        "absent",
        "reserved",
        "misaligned",
        "permission",
        "read_only",
        "protection_key",
        "access_flag",
        "dirty_flag",
        "address_size",
        "protection",
        "bus",
    ];
    assert_eq!(behind, expected);
}

#[test]
fn gates_to_privilege_are_kept_by_the_cpu() {
    let (unit, memory) = BOTH[0].chain(&[0, descriptor(0, 0xff, 0xf2, B)]);
    let mut cpu = Cpu::new(unit, memory);
    cpu.install_handler(VirtAddr::ZERO).unwrap();
    cpu.set_privilege(Privilege::User);
    let stop = cpu.write_register(GDTR_BASE, 0).unwrap_err();
    assert!(matches!(stop, Stop::Trap(Exception::IllegalInstruction(_))), "{stop}");
    cpu.set_privilege(Privilege::User);
    assert_eq!(cpu.write_register(FS, 0xb), Ok(()), "but anybody may load a segment register");
    let stop = cpu.write_register(FS, 0x13).unwrap_err();
    let Stop::Trap(Exception::RegisterRefused(error)) = stop else { panic!("{stop}") };
    assert_eq!(SegmentException::of_write(&error).unwrap().to_string(), "#GP(0x10)");
}

#[test]
fn a_chain_in_front_of_a_third_unit_does_not_read_descriptors() {
    let front = Chain::new(X86Segments::flat(), Paging::uncached(X86::default())).unwrap();
    let behind = emmu_base_bounds::BaseBounds::default();
    let mut three = Chain::new(front, behind).unwrap();
    let refused = TranslationUnit::<Memory, ()>::write_register(
        &mut three,
        FS,
        8,
        &mut Memory::ram(4096),
        &mut (),
    );
    assert!(refused.unwrap_err().to_string().contains("not modelled"));
}

/// An access somewhere in or near the sixteen pages, in 32-bit or PAE paging.
#[derive(Clone, Debug)]
struct Case {
    pae: bool,
    rights: u8,
    access: Access,
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Self {
        let offset = *g.choose(&[0u64, 1, 8, 0xff8, 0xffc, 0xfff]).unwrap();
        let page = u64::arbitrary(g) % 18;
        let kind = *g.choose(&AccessKind::ALL).unwrap();
        let privilege = *g.choose(&[Privilege::User, Privilege::Supervisor]).unwrap();
        let size = *g.choose(&[1, 4, 8]).unwrap();
        let access = Access::new(kind, VirtAddr::new(page * 0x1000 + offset), size);
        let flags = *g.choose(&[AccessFlags::empty(), AccessFlags::STACK]).unwrap();
        let access = access.with_privilege(privilege).with_flags(flags);
        Self { pae: bool::arbitrary(g), rights: u8::arbitrary(g) & 7, access }
    }
}

quickcheck! {
    fn flat_segments_give_what_paging_alone_gives(case: Case) -> bool {
        let pages = Pages { pae: case.pae };
        let (mut chain, mut memory) = pages.chain(&[0]);
        let entry = PhysAddr::new(PT + 3 * pages.entry_bytes());
        let value = physical(0x3000) | u64::from(case.rights);
        memory.write(entry, Width::B4, value).unwrap();
        let mut alone = Paging::uncached(X86::default());
        let mut other = memory.clone();
        pages.switch_on(&mut alone, &mut other);
        let both = chain.translate(case.access, &mut memory, &mut ());
        let one = alone.translate(case.access, &mut other, &mut ());
        let table = |memory: &Memory| {
            (0..16).map(|page| memory.peek(PhysAddr::new(PT + 8 * page), Width::B8)).collect::<Vec<_>>()
        };
        let without_ticket = |found: Translation| Translation { ticket: None, ..found };
        both == one.map(without_ticket) && table(&memory) == table(&other)
    }
}
