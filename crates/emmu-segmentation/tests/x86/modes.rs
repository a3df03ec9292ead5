//! 64-bit mode and compatibility mode.

use crate::{B, ask, descriptor, exception, load, mov, processor, set_cpl, through, write};
use emmu_core::{Access, Registers, VirtAddr};
use emmu_memory::Memory;
use emmu_segmentation::x86::{
    FS_BASE, GDTR_BASE, GDTR_LIMIT, LMA, SegmentRegister, SegmentState, Selector, X86Segments,
};

const LONG_CODE: u64 = 0x0020_9b00_0000_0000;
const LONG_AND_BIG: u64 = 0x0060_9b00_0000_0000;

/// 64-bit mode, with a small read-only data segment in index 2.
fn long_mode() -> (X86Segments, Memory) {
    let data = descriptor(0x5000, 0xf, 0x91, B);
    let mut machine = processor(0, &[LONG_CODE, data]);
    let (unit, memory) = &mut machine;
    write(unit, memory, LMA, 1).unwrap();
    mov(&mut machine, SegmentRegister::Cs, 8).unwrap();
    assert!(machine.0.is_64_bit());
    machine
}

// spec: x86seg-64bit
#[test]
fn in_64_bit_mode_nothing_is_checked_and_only_fs_and_gs_have_bases() {
    let mut machine = long_mode();
    for register in [SegmentRegister::Ds, SegmentRegister::Es, SegmentRegister::Fs] {
        mov(&mut machine, register, 0x10).unwrap();
    }
    let unit = &machine.0;
    let store = Access::store(VirtAddr::new(1 << 40), 8);
    let place = |register| ask(unit, through(register, store)).unwrap().addr.raw();
    assert_eq!(place(SegmentRegister::Ds), 1 << 40);
    assert_eq!(place(SegmentRegister::Es), 1 << 40);
    assert_eq!(place(SegmentRegister::Cs), 1 << 40);
    assert_eq!(place(SegmentRegister::Fs), (1 << 40) + 0x5000);
}

// spec: x86seg-64bit
#[test]
fn the_base_of_fs_is_64_bits_wide_and_sums_wrap() {
    let (mut unit, mut memory) = long_mode();
    write(&mut unit, &mut memory, FS_BASE, 0xffff_8000_0000_1000).unwrap();
    let found = ask(&unit, through(SegmentRegister::Fs, load(u64::MAX - 0xfff, 8))).unwrap();
    assert_eq!((found.addr.raw(), found.span), (0xffff_8000_0000_0000, 0x1000));
    assert_eq!(unit.read_register(FS_BASE), Ok(0xffff_8000_0000_1000));
}

#[test]
fn a_null_selector_may_be_used_in_64_bit_mode() {
    let mut machine = long_mode();
    mov(&mut machine, SegmentRegister::Ds, 0).unwrap();
    assert!(ask(&machine.0, load(5, 1)).is_ok());
}

#[test]
fn in_64_bit_mode_the_stack_may_be_null_below_cpl_3_with_the_rpl_of_the_cpl() {
    let mut machine = long_mode();
    assert_eq!(mov(&mut machine, SegmentRegister::Ss, 0), Ok(()));
    assert_eq!(mov(&mut machine, SegmentRegister::Ss, 1), Err("#GP(0x0)".to_owned()));
    set_cpl(&mut machine.0, 1);
    assert_eq!(mov(&mut machine, SegmentRegister::Ss, 1), Ok(()));
    set_cpl(&mut machine.0, 3);
    assert_eq!(mov(&mut machine, SegmentRegister::Ss, 3), Err("#GP(0x0)".to_owned()));
}

#[test]
fn compatibility_mode_checks_as_protected_mode_does() {
    let mut machine = long_mode();
    let flat = X86Segments::flat();
    machine.0.set_segment(SegmentRegister::Cs, *flat.segment(SegmentRegister::Cs));
    assert!(!machine.0.is_64_bit());
    mov(&mut machine, SegmentRegister::Es, 0x10).unwrap();
    assert_eq!(exception(&machine.0, through(SegmentRegister::Es, load(0x10, 1))), "#GP(0x0)");
    assert_eq!(mov(&mut machine, SegmentRegister::Ss, 0), Err("#GP(0x0)".to_owned()));
}

#[test]
fn code_with_l_and_d_is_refused_in_ia32e_mode_only() {
    let mut machine = processor(0, &[LONG_AND_BIG]);
    assert_eq!(mov(&mut machine, SegmentRegister::Cs, 8), Ok(()));
    let (unit, memory) = &mut machine;
    write(unit, memory, LMA, 1).unwrap();
    assert_eq!(mov(&mut machine, SegmentRegister::Cs, 8), Err("#GP(0x8)".to_owned()));
}

#[test]
fn a_null_selector_clears_the_base_of_fs() {
    let mut machine = long_mode();
    let (unit, memory) = &mut machine;
    write(unit, memory, FS_BASE, 0x9000).unwrap();
    mov(&mut machine, SegmentRegister::Fs, 0).unwrap();
    assert_eq!(machine.0.read_register(FS_BASE), Ok(0));
}

#[test]
fn values_that_a_register_cannot_hold_are_refused() {
    let (mut unit, mut memory) = processor(0, &[]);
    let values = [(GDTR_LIMIT, 1 << 16), (GDTR_BASE, 1 << 32), (LMA, 2), (FS_BASE, 1 << 60)];
    for (id, value) in values {
        assert!(write(&mut unit, &mut memory, id, value).is_err(), "{id} = {value:#x}");
    }
    write(&mut unit, &mut memory, LMA, 1).unwrap();
    assert!(write(&mut unit, &mut memory, GDTR_BASE, 1 << 32).is_ok());
    assert!(write(&mut unit, &mut memory, GDTR_BASE, 1 << 60).is_err());
}

#[test]
fn what_goes_into_cs_decides_the_cpl() {
    let mut unit = X86Segments::flat();
    let code = *unit.segment(SegmentRegister::Cs);
    unit.set_segment(SegmentRegister::Cs, SegmentState { selector: Selector(0x1b), ..code });
    assert_eq!(unit.cpl(), 3);
}
