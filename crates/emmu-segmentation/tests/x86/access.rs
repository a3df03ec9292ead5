//! Limits and types.

use crate::{B, GB, ask, descriptor, exception, kinds, load, through, with_segment};
use emmu_core::{Access, AccessKind, Cause, VirtAddr};
use emmu_property::{Arbitrary, Gen, quickcheck};
use emmu_segmentation::x86::{SegmentRegister, SegmentState, Selector, X86Segments};

const DATA: u8 = 0x93;
const READ_ONLY: u8 = 0x91;
const DOWN: u8 = 0x97;
const CODE: u8 = 0x9b;
const EXECUTE_ONLY: u8 = 0x99;

// spec: x86seg-linear
#[test]
fn base_and_offset_make_the_linear_address() {
    let unit = with_segment(SegmentRegister::Ds, descriptor(0x1234_5000, 0xff, DATA, B));
    let found = ask(&unit, load(0x10, 4)).unwrap();
    assert_eq!((found.addr.raw(), found.span), (0x1234_5010, 0xf0));
}

// spec: x86seg-limit
#[test]
fn the_limit_is_the_last_valid_offset() {
    let unit = with_segment(SegmentRegister::Ds, descriptor(0, 0xff, DATA, B));
    assert!(ask(&unit, load(0xff, 1)).is_ok());
    assert_eq!(ask(&unit, load(0x100, 1)).unwrap_err().cause, Cause::Bounds);
}

#[test]
fn an_access_that_passes_the_limit_faults_whole_at_its_first_byte_past_it() {
    let unit = with_segment(SegmentRegister::Ds, descriptor(0, 0xff, DATA, B));
    let fault = ask(&unit, load(0xfd, 4)).unwrap_err();
    assert_eq!((fault.cause, fault.addr), (Cause::Bounds, VirtAddr::new(0x100)));
    assert!(ask(&unit, load(0xfc, 4)).is_ok());
}

// spec: x86seg-limit
#[test]
fn granularity_makes_the_limit_count_pages_and_the_last_one_whole() {
    let unit = with_segment(SegmentRegister::Ds, descriptor(0, 0, DATA, GB));
    assert_eq!(ask(&unit, load(0, 1)).unwrap().span, 0x1000);
    assert!(ask(&unit, load(0x1000, 1)).is_err());
}

// spec: x86seg-limit
#[test]
fn expand_down_data_is_valid_past_the_limit_up_to_what_the_b_flag_says() {
    let valid = |flags, offset| {
        let unit = with_segment(SegmentRegister::Ss, descriptor(0, 0xfff, DOWN, flags));
        ask(&unit, through(SegmentRegister::Ss, load(offset, 1))).is_ok()
    };
    assert_eq!(
        [0, 0xfff, 0x1000, 0xffff, 0x1_0000].map(|offset| valid(0, offset)),
        [false, false, true, true, false]
    );
    assert_eq!(
        [0xfff, 0x1000, 0x1_0000, 0xffff_ffff].map(|offset| valid(B, offset)),
        [false, true, true, true]
    );
}

#[test]
fn an_offset_past_ffffffff_faults() {
    let unit = X86Segments::flat();
    assert!(ask(&unit, load(0xffff_ffff, 1)).is_ok());
    assert!(ask(&unit, load(0xffff_ffff, 2)).is_err());
    assert!(ask(&unit, load(1 << 32, 1)).is_err());
}

// spec: x86seg-linear
#[test]
fn linear_addresses_wrap_at_4_gib_and_the_span_ends_there() {
    let unit = with_segment(SegmentRegister::Ds, descriptor(0xffff_f000, 0xf_ffff, DATA, GB));
    let found = ask(&unit, load(0x800, 8)).unwrap();
    assert_eq!((found.addr.raw(), found.span), (0xffff_f800, 0x800));
    assert_eq!(ask(&unit, load(0x1000, 8)).unwrap().addr.raw(), 0);
}

// spec: x86seg-error-code
#[test]
fn limits_and_types_raise_gp_0_and_through_the_stack_segment_ss_0() {
    for register in SegmentRegister::ALL {
        let access = through(register, load(0x100, 1));
        let unit = with_segment(register, descriptor(0, 0xff, DATA, B));
        let expected = if register == SegmentRegister::Ss { "#SS(0x0)" } else { "#GP(0x0)" };
        assert_eq!(exception(&unit, access), expected, "{register}");
    }
    let unit = with_segment(SegmentRegister::Ds, descriptor(0, 0xff, READ_ONLY, B));
    assert_eq!(exception(&unit, Access::store(VirtAddr::new(0), 1)), "#GP(0x0)");
    let unit = with_segment(SegmentRegister::Cs, descriptor(0, 0xff, CODE, B));
    assert_eq!(exception(&unit, Access::fetch(VirtAddr::new(0x100), 1)), "#GP(0x0)");
}

// spec: x86seg-type
#[test]
fn types_allow_what_they_name() {
    let allowed = |access_byte| {
        let unit = with_segment(SegmentRegister::Es, descriptor(0, 0xff, access_byte, B));
        kinds().map(|kind| {
            let access = Access::new(kind, VirtAddr::new(0), 1);
            ask(&unit, through(SegmentRegister::Es, access)).is_ok()
        })
    };
    assert_eq!(allowed(DATA), [true, true, true]);
    assert_eq!(allowed(READ_ONLY), [true, false, false]);
    assert_eq!(allowed(CODE), [true, false, false]);
    assert_eq!(allowed(EXECUTE_ONLY), [false, false, false]);
}

// spec: x86seg-null
#[test]
fn a_null_selector_may_be_held_but_not_used() {
    let mut unit = X86Segments::flat();
    unit.set_segment(SegmentRegister::Gs, SegmentState::null(Selector(3)));
    let access = through(SegmentRegister::Gs, load(0, 1));
    assert_eq!(ask(&unit, access).unwrap_err().cause, Cause::NoSegment);
    assert_eq!(exception(&unit, access), "#GP(0x0)");
    assert!(ask(&unit, load(0, 1)).is_ok());
}

#[test]
fn a_fetch_at_the_end_of_code_may_reach_past_it() {
    let unit = with_segment(SegmentRegister::Cs, descriptor(0, 0xff, CODE, B));
    assert_eq!(ask(&unit, Access::fetch(VirtAddr::new(0xfe), 8)).unwrap().span, 2);
}

#[test]
fn each_access_goes_through_the_register_that_it_names() {
    let mut unit = X86Segments::flat();
    for (number, register) in (1..).zip(SegmentRegister::ALL) {
        let flat = *unit.segment(register);
        unit.set_segment(register, SegmentState { base: number * 0x1_0000, ..flat });
    }
    let bases = SegmentRegister::ALL
        .map(|register| ask(&unit, through(register, load(0, 1))).unwrap().addr.raw() / 0x1_0000);
    assert_eq!(bases, [1, 2, 3, 4, 5, 6]);
    assert_eq!(ask(&unit, Access::fetch(VirtAddr::new(0), 1)).unwrap().addr.raw(), 0x2_0000);
}

/// A descriptor, and an access near one of its edges.
#[derive(Clone, Debug)]
struct Case {
    raw: u64,
    access: Access,
}

fn chosen<T: Copy>(g: &mut Gen, from: &[T]) -> T {
    *g.choose(from).unwrap()
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Self {
        let base = chosen(g, &[0, 0x1000, 0x7fff_ffff, 0xffff_f000, 0xffff_ffff]);
        let limit = chosen(g, &[0, 1, 0xff, 0xfff, 0xffff, 0xf_fffe, 0xf_ffff]);
        let access_byte = 0x90 | u8::arbitrary(g) & 0xf;
        let raw = descriptor(base, limit, access_byte, chosen(g, &[0, B, GB, 0b1000]));
        let edges = [0, u64::from(limit), u64::from(limit) << 12 | 0xfff, 0xffff, 0xffff_ffff];
        let edge = chosen(g, &edges) + u64::from(u8::arbitrary(g) % 12);
        let addr = VirtAddr::new(edge.saturating_sub(u64::from(u8::arbitrary(g) % 12)));
        let access = Access::new(chosen(g, &kinds()), addr, chosen(g, &[1, 2, 4, 8, 5000]));
        Self { raw, access }
    }
}

impl Case {
    /// The linear address of one byte, by chapter "Protection", on fields cut out anew.
    fn byte(&self, offset: u64) -> Option<u64> {
        let bit = |number: u32| self.raw & (1 << number) != 0;
        let base = (self.raw >> 56) * 0x100_0000 + (self.raw >> 16) % 0x100_0000;
        let field = (self.raw >> 48) % 16 * 0x1_0000 + self.raw % 0x1_0000;
        let limit = if bit(55) { field * 0x1000 + 0xfff } else { field };
        let (is_code, e_or_c, w_or_r) = (bit(43), bit(42), bit(41));
        let writes = self.access.kind != AccessKind::Load;
        let typed = match (is_code, writes) {
            (false, false) => true,
            (false, true) => w_or_r,
            (true, false) => w_or_r,
            (true, true) => false,
        };
        let top = if bit(54) { 0xffff_ffff } else { 0xffff };
        let inside =
            if !is_code && e_or_c { limit < offset && offset <= top } else { offset <= limit };
        (typed && inside).then_some((base + offset) % (1 << 32))
    }
}

quickcheck! {
    fn every_byte_is_where_the_manual_has_it(case: Case) -> bool {
        let unit = with_segment(SegmentRegister::Ds, case.raw);
        let first = case.access.addr.raw();
        let bytes: Vec<_> = (0..u64::from(case.access.size)).map(|far| case.byte(first + far)).collect();
        match ask(&unit, case.access) {
            Ok(found) => {
                let span = usize::try_from(found.span).unwrap();
                bytes.iter().all(Option::is_some)
                    && bytes.iter().take(span).zip(found.addr.raw()..).all(|(byte, at)| *byte == Some(at))
            }
            Err(fault) => {
                let refused = bytes.iter().position(Option::is_none);
                refused.is_some_and(|far| fault.addr.raw() == first + far as u64)
            }
        }
    }

    fn a_span_ends_where_the_segment_or_linear_addresses_do(case: Case) -> bool {
        let unit = with_segment(SegmentRegister::Ds, case.raw);
        let Ok(found) = ask(&unit, case.access.at(case.access.addr, 1)) else { return true };
        let continues = |far: u64| {
            case.byte(case.access.addr.raw() + far) == Some(found.addr.raw() + far)
        };
        !continues(found.span) && [0, found.span / 2, found.span - 1].into_iter().all(continues)
    }
}
