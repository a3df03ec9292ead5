//! x86's segmentation: what the manual says, one behaviour each, and against naive readings of it.
#![expect(clippy::unwrap_used, reason = "a test")]

mod access;
mod chain;
mod load;
mod modes;

use emmu_core::{
    Access, AccessKind, Bus, Fault, PhysAddr, RegisterError, RegisterId, Translation,
    TranslationUnit, VirtAddr, Width,
};
use emmu_memory::Memory;
use emmu_segmentation::x86::{
    GDTR_BASE, GDTR_LIMIT, SegmentException, SegmentRegister, SegmentState, Selector,
    X86Descriptor, X86Segments,
};

/// Where the tests have their descriptor tables.
const GDT: u64 = 0x1000;
const LDT: u64 = 0x2000;

/// A descriptor of its parts: `flags` are G, D/B, L and AVL, `access` is the byte with P, DPL, S and type.
fn descriptor(base: u32, limit: u32, access: u8, flags: u8) -> u64 {
    let (base, limit) = (u64::from(base), u64::from(limit));
    (base >> 24) << 56
        | u64::from(flags) << 52
        | (limit >> 16 & 0xf) << 48
        | u64::from(access) << 40
        | (base & 0xff_ffff) << 16
        | limit & 0xffff
}

/// Flags of 32-bit segments in bytes, and in pages.
const B: u8 = 0b0100;
const GB: u8 = 0b1100;

/// A processor at this privilege level, with these descriptors from index 1 of the GDT on.
fn processor(cpl: u8, descriptors: &[u64]) -> (X86Segments, Memory) {
    let (mut unit, mut memory) = (X86Segments::flat(), Memory::ram(1 << 20));
    for (index, &raw) in (1..).zip(descriptors) {
        memory.write(PhysAddr::new(GDT + 8 * index), Width::B8, raw).unwrap();
    }
    let limit = 8 * descriptors.len() as u64 + 7;
    write(&mut unit, &mut memory, GDTR_BASE, GDT).unwrap();
    write(&mut unit, &mut memory, GDTR_LIMIT, limit).unwrap();
    set_cpl(&mut unit, cpl);
    (unit, memory)
}

fn set_cpl(unit: &mut X86Segments, cpl: u8) {
    let code = *unit.segment(SegmentRegister::Cs);
    let selector = code.selector.with_rpl(cpl);
    unit.set_segment(SegmentRegister::Cs, SegmentState { selector, ..code });
}

fn write(
    unit: &mut X86Segments,
    memory: &mut Memory,
    id: RegisterId,
    value: u64,
) -> Result<(), RegisterError> {
    unit.write_register(id, value, memory, &mut ())
}

/// MOV to the register, or the exception that it raises.
fn mov(
    (unit, memory): &mut (X86Segments, Memory),
    register: SegmentRegister,
    selector: u16,
) -> Result<(), String> {
    write(unit, memory, register.id(), selector.into())
        .map_err(|error| SegmentException::of_write(&error).unwrap().to_string())
}

/// A unit with this descriptor in one segment register.
fn with_segment(register: SegmentRegister, raw: u64) -> X86Segments {
    let mut unit = X86Segments::flat();
    unit.set_segment(register, SegmentState::new(Selector(0x18), X86Descriptor(raw)));
    unit
}

fn ask(unit: &X86Segments, access: Access) -> Result<Translation, Fault> {
    TranslationUnit::<Memory, ()>::peek(unit, access, &Memory::ram(0x1000))
}

fn load(offset: u64, size: u32) -> Access {
    Access::load(VirtAddr::new(offset), size)
}

fn through(register: SegmentRegister, access: Access) -> Access {
    access.with_flags(register.flags())
}

/// The exception of an access of this kind.
fn exception(unit: &X86Segments, access: Access) -> String {
    let fault = ask(unit, access).unwrap_err();
    unit.exception(&fault).unwrap().to_string()
}

fn kinds() -> [AccessKind; 3] {
    [AccessKind::Load, AccessKind::Store, AccessKind::Amo]
}
