//! Loading segment registers.

use crate::{B, GDT, LDT, descriptor, mov, processor, set_cpl, write};
use emmu_core::{Bus, PhysAddr, RegisterError, Registers, Width};
use emmu_memory::Memory;
use emmu_property::{Arbitrary, Gen, quickcheck};
use emmu_segmentation::x86::{
    LDTR, LMA, Rule, SegmentException, SegmentRegister, Selector, X86Segments,
};
use std::collections::BTreeSet;

const DATA: SegmentRegister = SegmentRegister::Ds;
const STACK: SegmentRegister = SegmentRegister::Ss;
const CODE: SegmentRegister = SegmentRegister::Cs;

/// Present, of this privilege level, with this S and type.
const fn access(dpl: u8, s_and_type: u8) -> u8 {
    0x80 | dpl << 5 | s_and_type
}

fn segment(dpl: u8, s_and_type: u8) -> u64 {
    descriptor(0, 0xfff, access(dpl, s_and_type), B)
}

const WRITABLE: u8 = 0x12;
const READ_ONLY: u8 = 0x10;
const READABLE_CODE: u8 = 0x1a;
const EXECUTE_ONLY: u8 = 0x18;
const CONFORMING: u8 = 0x1e;

/// Loads descriptor 1 with this RPL, and returns the result in words.
fn outcome(register: SegmentRegister, cpl: u8, rpl: u16, raw: u64) -> String {
    let mut machine = processor(cpl, &[raw]);
    match mov(&mut machine, register, 8 | rpl) {
        Ok(()) => "loaded".to_owned(),
        Err(exception) => exception,
    }
}

// spec: x86seg-data
#[test]
fn data_needs_a_dpl_that_neither_cpl_nor_rpl_exceeds() {
    let loads = |cpl, rpl, dpl| outcome(DATA, cpl, rpl, segment(dpl, WRITABLE)) == "loaded";
    assert!(loads(0, 0, 0) && loads(0, 0, 3) && loads(3, 3, 3) && loads(1, 2, 2));
    assert!(!loads(3, 0, 0) && !loads(0, 3, 0) && !loads(1, 3, 2));
    assert_eq!(outcome(DATA, 3, 3, segment(0, WRITABLE)), "#GP(0x8)");
}

// spec: x86seg-data
#[test]
fn conforming_code_is_data_to_everybody_and_other_code_like_data() {
    assert_eq!(outcome(DATA, 3, 3, segment(0, CONFORMING)), "loaded");
    assert_eq!(outcome(DATA, 3, 3, segment(0, READABLE_CODE)), "#GP(0x8)");
    assert_eq!(outcome(DATA, 0, 0, segment(0, EXECUTE_ONLY)), "#GP(0x8)");
}

// spec: x86seg-stack
#[test]
fn the_stack_is_writable_data_of_exactly_the_cpl() {
    assert_eq!(outcome(STACK, 3, 3, segment(3, WRITABLE)), "loaded");
    for (cpl, rpl, dpl) in [(0, 3, 0), (0, 0, 3), (3, 0, 3), (3, 3, 0)] {
        assert_eq!(outcome(STACK, cpl, rpl, segment(dpl, WRITABLE)), "#GP(0x8)");
    }
    for kind in [READ_ONLY, READABLE_CODE, CONFORMING] {
        assert_eq!(outcome(STACK, 0, 0, segment(0, kind)), "#GP(0x8)");
    }
}

// spec: x86seg-data, x86seg-stack, x86seg-code
#[test]
fn what_is_not_present_raises_np_and_for_the_stack_ss() {
    let absent = |kind| segment(0, kind) & !(1 << 47);
    assert_eq!(outcome(DATA, 0, 0, absent(WRITABLE)), "#NP(0x8)");
    assert_eq!(outcome(STACK, 0, 0, absent(WRITABLE)), "#SS(0x8)");
    assert_eq!(outcome(CODE, 0, 0, absent(READABLE_CODE)), "#NP(0x8)");
}

#[test]
fn other_checks_come_before_presence() {
    assert_eq!(outcome(DATA, 3, 3, segment(0, WRITABLE) & !(1 << 47)), "#GP(0x8)");
}

#[test]
fn system_segments_are_refused() {
    for kind in 0..16 {
        for register in [DATA, STACK] {
            assert_eq!(outcome(register, 0, 0, segment(0, kind)), "#GP(0x8)", "{kind}");
        }
    }
}

#[test]
fn jumps_to_gates_and_tasks_are_not_modelled_and_to_other_system_segments_fault() {
    for kind in 0..16 {
        let (mut unit, mut memory) = processor(0, &[segment(0, kind)]);
        let refused = write(&mut unit, &mut memory, CODE.id(), 8).unwrap_err();
        let transfers = matches!(kind, 1 | 4 | 5 | 9 | 12);
        assert_eq!(matches!(refused, RegisterError::NotModelled { .. }), transfers, "{kind}");
    }
}

// spec: x86seg-code
#[test]
fn a_jump_needs_code_whose_privilege_fits_and_keeps_the_cpl() {
    assert_eq!(outcome(CODE, 3, 3, segment(3, READABLE_CODE)), "loaded");
    assert_eq!(outcome(CODE, 3, 0, segment(3, EXECUTE_ONLY)), "loaded");
    assert_eq!(outcome(CODE, 3, 3, segment(0, CONFORMING)), "loaded");
    assert_eq!(outcome(CODE, 3, 3, segment(0, READABLE_CODE)), "#GP(0x8)");
    assert_eq!(outcome(CODE, 0, 0, segment(3, READABLE_CODE)), "#GP(0x8)");
    assert_eq!(outcome(CODE, 0, 3, segment(0, READABLE_CODE)), "#GP(0x8)");
    assert_eq!(outcome(CODE, 0, 0, segment(3, CONFORMING)), "#GP(0x8)");
    assert_eq!(outcome(CODE, 0, 0, segment(0, WRITABLE)), "#GP(0x8)");
    let mut machine = processor(3, &[segment(0, CONFORMING)]);
    mov(&mut machine, CODE, 8).unwrap();
    assert_eq!((machine.0.cpl(), machine.0.read_register(CODE.id())), (3, Ok(11)));
}

// spec: x86seg-null
#[test]
fn null_selectors_are_for_data_only() {
    for null in 0..4 {
        let mut machine = processor(0, &[]);
        assert_eq!(mov(&mut machine, DATA, null), Ok(()));
        assert_eq!(machine.0.read_register(DATA.id()), Ok(null.into()));
        assert_eq!(mov(&mut machine, STACK, null), Err("#GP(0x0)".to_owned()));
        assert_eq!(mov(&mut machine, CODE, null), Err("#GP(0x0)".to_owned()));
    }
}

// spec: x86seg-table
#[test]
fn an_index_past_the_limit_is_refused_to_the_byte() {
    let mut machine = processor(0, &[segment(0, WRITABLE), segment(0, WRITABLE)]);
    assert_eq!(mov(&mut machine, DATA, 0x10), Ok(()));
    assert_eq!(mov(&mut machine, DATA, 0x18), Err("#GP(0x18)".to_owned()));
    let (unit, memory) = &mut machine;
    write(unit, memory, emmu_segmentation::x86::GDTR_LIMIT, 0x16).unwrap();
    assert_eq!(mov(&mut machine, DATA, 0x13), Err("#GP(0x10)".to_owned()), "the RPL is not told");
}

#[test]
fn a_refused_load_leaves_the_register() {
    let mut machine = processor(3, &[segment(3, WRITABLE), segment(0, WRITABLE)]);
    mov(&mut machine, DATA, 0xb).unwrap();
    let before = machine.0.clone();
    mov(&mut machine, DATA, 0x13).unwrap_err();
    assert_eq!(machine.0, before);
}

// spec: x86seg-accessed
#[test]
fn a_load_marks_the_descriptor_accessed_and_a_refused_one_does_not() {
    let mut machine = processor(0, &[segment(0, WRITABLE), segment(0, EXECUTE_ONLY)]);
    mov(&mut machine, DATA, 8).unwrap();
    mov(&mut machine, DATA, 0x10).unwrap_err();
    let held = [GDT + 8, GDT + 16].map(|at| machine.1.peek(PhysAddr::new(at), Width::B8));
    assert_eq!(held, [Ok(segment(0, WRITABLE | 1)), Ok(segment(0, EXECUTE_ONLY))]);
}

// spec: x86seg-register
#[test]
fn hidden_parts_stay_until_the_next_load() {
    let mut machine = processor(0, &[descriptor(0x5000, 0xff, access(0, WRITABLE), B)]);
    mov(&mut machine, DATA, 8).unwrap();
    let moved = descriptor(0x6000, 0xff, access(0, WRITABLE), B);
    machine.1.write(PhysAddr::new(GDT + 8), Width::B8, moved).unwrap();
    assert_eq!(machine.0.segment(DATA).base, 0x5000);
    mov(&mut machine, DATA, 8).unwrap();
    assert_eq!(machine.0.segment(DATA).base, 0x6000);
}

/// A GDT whose descriptor 1 is an LDT of two descriptors, and the LDT with data in index 1.
fn with_ldt() -> (X86Segments, Memory) {
    let ldt = u32::try_from(LDT).unwrap();
    let (unit, mut memory) = processor(0, &[descriptor(ldt, 15, 0x82, 0), segment(0, WRITABLE)]);
    let data = descriptor(0x7000, 0xff, access(3, WRITABLE), B);
    memory.write(PhysAddr::new(LDT + 8), Width::B8, data).unwrap();
    (unit, memory)
}

fn lldt((unit, memory): &mut (X86Segments, Memory), selector: u16) -> Result<(), String> {
    write(unit, memory, LDTR, selector.into())
        .map_err(|error| SegmentException::of_write(&error).unwrap().to_string())
}

// spec: x86seg-table
#[test]
fn selectors_with_ti_name_descriptors_of_the_ldt() {
    let mut machine = with_ldt();
    assert_eq!(mov(&mut machine, DATA, 0xc), Err("#GP(0xc)".to_owned()), "no LDT yet");
    lldt(&mut machine, 8).unwrap();
    mov(&mut machine, DATA, 0xf).unwrap();
    assert_eq!(machine.0.segment(DATA).base, 0x7000);
    assert_eq!(mov(&mut machine, DATA, 0x14), Err("#GP(0x14)".to_owned()), "past its limit");
    lldt(&mut machine, 0).unwrap();
    assert_eq!(mov(&mut machine, DATA, 0xc), Err("#GP(0xc)".to_owned()), "no LDT any more");
}

#[test]
fn index_0_of_the_ldt_is_a_descriptor_like_others() {
    let mut machine = with_ldt();
    lldt(&mut machine, 8).unwrap();
    machine.1.write(PhysAddr::new(LDT), Width::B8, segment(0, WRITABLE)).unwrap();
    assert_eq!(mov(&mut machine, STACK, 4), Ok(()));
}

// spec: x86seg-ldt
#[test]
fn lldt_takes_present_ldts_of_the_gdt_at_cpl_0() {
    let mut machine = with_ldt();
    let refused = |machine: &mut _, selector| lldt(machine, selector).unwrap_err();
    assert_eq!(refused(&mut machine, 0x10), "#GP(0x10)", "data");
    assert_eq!(refused(&mut machine, 0xc), "#GP(0xc)", "TI");
    assert_eq!(refused(&mut machine, 0x18), "#GP(0x18)", "past the GDT");
    machine.1.write(PhysAddr::new(GDT + 8), Width::B8, descriptor(0, 7, 0x02, 0)).unwrap();
    assert_eq!(refused(&mut machine, 8), "#NP(0x8)");
    set_cpl(&mut machine.0, 3);
    assert_eq!(refused(&mut machine, 8), "#GP(0x0)");
}

// spec: x86seg-ldt
#[test]
fn in_ia32e_mode_an_ldt_descriptor_has_16_bytes() {
    let mut machine = with_ldt();
    let (unit, memory) = &mut machine;
    write(unit, memory, LMA, 1).unwrap();
    memory.write(PhysAddr::new(GDT + 16), Width::B8, 0x1f << 40).unwrap();
    assert_eq!(lldt(&mut machine, 8), Err("#GP(0x8)".to_owned()), "a type in the upper half");
    machine.1.write(PhysAddr::new(GDT + 16), Width::B8, 0).unwrap();
    assert_eq!(lldt(&mut machine, 8), Ok(()));
    assert_eq!(lldt(&mut machine, 16), Err("#GP(0x10)".to_owned()), "only half of it in the table");
}

// spec: x86seg-error-code
#[test]
fn every_rule_has_words_of_its_own_and_an_exception() {
    let texts: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.text()).collect();
    assert_eq!(texts.len(), Rule::ALL.len());
    let raised = Rule::ALL.map(|rule| SegmentException::of_rule(rule, Selector(0x1f)).to_string());
    let count = |text: &str| raised.iter().filter(|raised| *raised == text).count();
    let counts = ["#GP(0x0)", "#GP(0x1c)", "#NP(0x1c)", "#SS(0x1c)"].map(count);
    assert_eq!(counts, [2, 11, 1, 1]);
}

/// A load and all that it depends on.
#[derive(Clone, Debug)]
struct Case {
    cpl: u8,
    register: SegmentRegister,
    selector: u16,
    gdt: [u64; 2],
    ldt: Option<[u64; 2]>,
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Self {
        let mut raw = || {
            let random = u64::arbitrary(g);
            let segment = if u8::arbitrary(g) < 240 { 1 << 44 } else { 0 };
            let present = if u8::arbitrary(g) < 220 { 1 << 47 } else { 0 };
            random & !(1 << 44 | 1 << 47) | segment | present
        };
        let (gdt, ldt) = ([raw(), raw()], [raw(), raw()]);
        let ldt = bool::arbitrary(g).then_some(ldt);
        let register = *g.choose(&SegmentRegister::ALL).unwrap();
        Self { cpl: u8::arbitrary(g) % 4, register, selector: u16::arbitrary(g) % 0x20, gdt, ldt }
    }
}

impl Case {
    fn machine(&self) -> (X86Segments, Memory) {
        let ldt = descriptor(u32::try_from(LDT).unwrap(), 15, 0x82, 0);
        // Index 1 is random, index 2 too, and 3 is the LDT, which the limit hides once it is loaded.
        let mut machine = processor(0, &[self.gdt[0], self.gdt[1], ldt]);
        if let Some(table) = self.ldt {
            for (at, raw) in [LDT, LDT + 8].into_iter().zip(table) {
                machine.1.write(PhysAddr::new(at), Width::B8, raw).unwrap();
            }
            lldt(&mut machine, 0x18).unwrap();
        }
        let (unit, memory) = &mut machine;
        write(unit, memory, emmu_segmentation::x86::GDTR_LIMIT, 0x17).unwrap();
        set_cpl(unit, self.cpl);
        machine
    }

    /// MOV, "Loading a segment register while in protected mode", and JMP, as their pseudo-code reads.
    fn expected(&self) -> Result<(), String> {
        let gp = |code: u16| Err(format!("#GP({code:#x})"));
        let (rpl, code) = (u64::from(self.selector % 4), self.selector / 4 * 4);
        let is_data = !matches!(self.register, SegmentRegister::Ss | SegmentRegister::Cs);
        if code == 0 {
            return if is_data { Ok(()) } else { gp(0) };
        }
        let table = if code & 4 == 0 {
            vec![0, self.gdt[0], self.gdt[1]]
        } else {
            self.ldt.map(Vec::from).unwrap_or_default()
        };
        let Some(raw) = table.get(usize::from(code / 8)) else { return gp(code) };
        let field = |low: u32, bits: u32| raw >> low & ((1 << bits) - 1);
        let (cpl, dpl) = (u64::from(self.cpl), field(45, 2));
        let (s, executable, second, third) =
            (field(44, 1), field(43, 1), field(42, 1), field(41, 1));
        let refused = match self.register {
            SegmentRegister::Ss => {
                s == 0 || executable == 1 || third == 0 || rpl != cpl || dpl != cpl
            }
            SegmentRegister::Cs if s == 0 || executable == 0 => true,
            SegmentRegister::Cs if second == 1 => dpl > cpl,
            SegmentRegister::Cs => rpl > cpl || dpl != cpl,
            _ => {
                let conforming = executable == 1 && second == 1;
                s == 0 || executable == 1 && third == 0 || !conforming && (rpl > dpl || cpl > dpl)
            }
        };
        match (refused, field(47, 1), self.register) {
            (true, ..) => gp(code),
            (false, 0, SegmentRegister::Ss) => Err(format!("#SS({code:#x})")),
            (false, 0, _) => Err(format!("#NP({code:#x})")),
            _ => Ok(()),
        }
    }

    fn is_jump_to_system(&self) -> bool {
        let mut machine = self.machine();
        let written =
            write(&mut machine.0, &mut machine.1, self.register.id(), self.selector.into());
        matches!(written, Err(RegisterError::NotModelled { .. }))
    }
}

quickcheck! {
    fn every_load_ends_as_the_manuals_pseudo_code_does(case: Case) -> bool {
        case.is_jump_to_system()
            || mov(&mut case.machine(), case.register, case.selector) == case.expected()
    }
}
