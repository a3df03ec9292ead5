//! Compares the unit with the textbook's definition, one byte at a time, with wide integers.

use emmu_base_bounds::{BaseBounds, Convention, Refusal};
use emmu_core::{
    Access, AccessKind, Cause, Fault, PhysAddr, Privilege, RegisterError, RegisterId, Registers,
    Translation, TranslationUnit, VirtAddr, find_register,
};
use emmu_property::{Arbitrary, Gen, quickcheck};

/// A number at which something begins or ends, or a neighbour of it.
#[derive(Clone, Copy, Debug)]
struct Edge(u64);

impl Arbitrary for Edge {
    fn arbitrary(g: &mut Gen) -> Self {
        let edge =
            *g.choose(&[0, 100, 472, 4096, 8192, 0x10_0000, 1 << 63, u64::MAX]).expect("edges");
        let away = *g.choose(&[0, 0, 1, 2, 10, 100, 4095, 4096, 12_288]).expect("distances");
        Self(if bool::arbitrary(g) { edge.wrapping_add(away) } else { edge.wrapping_sub(away) })
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Edge))
    }
}

#[derive(Clone, Copy, Debug)]
struct Machine {
    end: bool,
    base: Edge,
    bounds: Edge,
}

impl Arbitrary for Machine {
    fn arbitrary(g: &mut Gen) -> Self {
        Self { end: Arbitrary::arbitrary(g), base: Edge::arbitrary(g), bounds: Edge::arbitrary(g) }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let Self { end, base, bounds } = *self;
        Box::new((base, bounds).shrink().map(move |(base, bounds)| Self { end, base, bounds }))
    }
}

impl Machine {
    fn unit(&self) -> BaseBounds {
        let convention = if self.end { Convention::End } else { Convention::Size };
        BaseBounds::new(convention).with_registers(self.base.0, self.bounds.0)
    }

    /// Returns the physical address of the byte at `addr`, by the definition.
    fn byte(&self, addr: u128, user: bool) -> Option<u128> {
        let (base, bounds) = (u128::from(self.base.0), u128::from(self.bounds.0));
        let sum = if user { base + addr } else { addr };
        let inside = match (user, self.end) {
            (false, _) => true,
            (true, false) => addr < bounds,
            (true, true) => sum < bounds,
        };
        (inside && addr < 1 << 64 && sum < 1 << 64).then_some(sum)
    }
}

fn access(addr: u64, user: bool, write: bool) -> Access {
    let privilege = if user { Privilege::User } else { Privilege::Supervisor };
    let kind = if write { AccessKind::Store } else { AccessKind::Fetch };
    Access::new(kind, VirtAddr::new(addr), 1).with_privilege(privilege)
}

fn translate(unit: &mut BaseBounds, access: Access) -> Result<Translation, Fault> {
    TranslationUnit::<(), ()>::translate(unit, access, &mut (), &mut ())
}

fn write(unit: &mut BaseBounds, id: RegisterId, value: u64) -> Result<(), RegisterError> {
    TranslationUnit::<(), ()>::write_register(unit, id, value, &mut (), &mut ())
}

fn user(addr: u64) -> Access {
    access(addr, true, false)
}

/// Returns the distances at which to check a span: all distances of a short span; the ends and a few more of a
/// long one.
fn distances(span: u64) -> Vec<u64> {
    if span <= 600 {
        return (0..span).collect();
    }
    vec![0, 1, 4095, 4096, span / 3, span / 2, span - 2, span - 1]
        .into_iter()
        .filter(|&far| far < span)
        .collect()
}

quickcheck! {
    fn every_byte_is_where_the_textbook_has_it(machine: Machine, addr: Edge, by_user: bool) -> bool {
        let found = translate(&mut machine.unit(), access(addr.0, by_user, false));
        let expected = machine.byte(addr.0.into(), by_user);
        found.ok().map(|found| u128::from(found.addr.raw())) == expected
    }

    fn a_span_ends_exactly_where_contiguity_does(machine: Machine, addr: Edge, by_user: bool) -> bool {
        let Ok(found) = translate(&mut machine.unit(), access(addr.0, by_user, false)) else {
            return true;
        };
        let continues = |far: u64| {
            machine.byte(u128::from(addr.0) + u128::from(far), by_user)
                == Some(u128::from(found.addr.raw()) + u128::from(far))
        };
        // A span cannot be 2^64, so the span of all memory is one byte too short.
        let ends = found.span == u64::MAX || !continues(found.span);
        found.span > 0 && ends && distances(found.span).into_iter().all(continues)
    }

    fn a_fault_names_the_access_and_its_first_byte(machine: Machine, addr: Edge) -> bool {
        let access = user(addr.0);
        match translate(&mut machine.unit(), access) {
            Err(fault) => fault == Fault::new(access, Cause::Bounds),
            Ok(_) => true,
        }
    }

    fn a_size_and_the_end_it_implies_are_the_same_machine(base: Edge, size: Edge, addr: Edge) -> bool {
        let Some(end) = base.0.checked_add(size.0) else { return true };
        let mut sized = BaseBounds::new(Convention::Size).with_registers(base.0, size.0);
        let mut ended = BaseBounds::new(Convention::End).with_registers(base.0, end);
        translate(&mut sized, user(addr.0)) == translate(&mut ended, user(addr.0))
    }

    fn peek_says_what_translate_says(machine: Machine, addr: Edge, by_user: bool) -> bool {
        let mut unit = machine.unit();
        let access = access(addr.0, by_user, true);
        TranslationUnit::<(), ()>::peek(&unit, access, &()) == translate(&mut unit, access)
    }

    fn a_ticket_repeats_the_whole_page(machine: Machine, addr: Edge, by_user: bool) -> bool {
        let mut unit = machine.unit();
        let Ok(Translation { ticket: Some(ticket), .. }) =
            translate(&mut unit, access(addr.0, by_user, false))
        else {
            return true;
        };
        let page = u128::from(addr.0) / 4096 * 4096;
        let frame = machine.byte(page, by_user).expect("a page with a ticket is mapped");
        frame.is_multiple_of(4096)
            && (0..4096).all(|far| machine.byte(page + far, by_user) == Some(frame + far))
            && TranslationUnit::<(), ()>::repeat(&mut unit, ticket, user(addr.0), &mut ())
    }

    fn every_register_write_makes_tickets_worthless(addr: Edge, value: u64, bounds: bool) -> bool {
        let mut unit = BaseBounds::new(Convention::Size).with_registers(4096, u64::MAX);
        let Ok(Translation { ticket: Some(ticket), .. }) = translate(&mut unit, user(addr.0)) else {
            return true;
        };
        let id = if bounds { BaseBounds::BOUNDS } else { BaseBounds::BASE };
        write(&mut unit, id, value).is_ok()
            && !TranslationUnit::<(), ()>::repeat(&mut unit, ticket, user(addr.0), &mut ())
    }

    fn registers_keep_what_was_written(base: u64, bounds: u64) -> bool {
        let mut unit = BaseBounds::new(Convention::End);
        write(&mut unit, BaseBounds::BASE, base).is_ok()
            && write(&mut unit, BaseBounds::BOUNDS, bounds).is_ok()
            && unit.read_register(BaseBounds::BASE) == Ok(base)
            && unit.read_register(BaseBounds::BOUNDS) == Ok(bounds)
    }
}

#[test]
fn base_100_puts_address_10_at_110() {
    let mut unit = BaseBounds::new(Convention::Size).with_registers(100, 50);
    let found = translate(&mut unit, user(10)).unwrap();
    assert_eq!((found.addr.raw(), found.span), (110, 40));
}

#[test]
fn ostep_base_12418_limit_472() {
    for (convention, bounds) in [(Convention::Size, 472), (Convention::End, 12418 + 472)] {
        let mut unit = BaseBounds::new(convention).with_registers(12418, bounds);
        assert_eq!(translate(&mut unit, user(430)).unwrap().addr.raw(), 12848);
        assert_eq!(translate(&mut unit, user(471)).unwrap().span, 1);
        assert_eq!(translate(&mut unit, user(472)), Err(Fault::new(user(472), Cause::Bounds)));
        assert_eq!(translate(&mut unit, user(523)), Err(Fault::new(user(523), Cause::Bounds)));
    }
}

#[test]
fn a_refusal_says_by_how_much() {
    for (convention, bounds) in [(Convention::Size, 472), (Convention::End, 12418 + 472)] {
        let unit = BaseBounds::new(convention).with_registers(12418, bounds);
        let refused = |addr| unit.relocate(VirtAddr::new(addr)).unwrap_err();
        assert_eq!(refused(523), Refusal::PastBounds { by: 51 });
        assert_eq!(refused(472), Refusal::PastBounds { by: 0 });
        assert_eq!(unit.relocate(VirtAddr::new(430)), Ok((PhysAddr::new(12848), 42)));
    }
    let unit = BaseBounds::new(Convention::Size).with_registers(u64::MAX, u64::MAX);
    assert_eq!(unit.relocate(VirtAddr::new(1)), Err(Refusal::NoPlace));
}

#[test]
fn a_sum_past_the_last_address_faults() {
    let mut unit = BaseBounds::new(Convention::Size).with_registers(u64::MAX - 9, u64::MAX);
    let last = translate(&mut unit, user(9)).unwrap();
    assert_eq!((last.addr.raw(), last.span), (u64::MAX, 1));
    assert_eq!(translate(&mut unit, user(10)).unwrap_err().cause, Cause::Bounds);
}

#[test]
fn after_reset_a_program_reaches_nothing_and_the_system_everything() {
    let mut unit = BaseBounds::default();
    assert!(translate(&mut unit, user(0)).is_err());
    assert_eq!(translate(&mut unit, access(7, false, true)).unwrap().addr.raw(), 7);
}

#[test]
fn only_a_whole_page_that_stays_a_page_has_a_ticket() {
    let ticket = |base, bounds| {
        let mut unit = BaseBounds::new(Convention::Size).with_registers(base, bounds);
        translate(&mut unit, user(0x1800)).unwrap().ticket.is_some()
    };
    assert!(ticket(0x8000, 0x2000));
    assert!(!ticket(0x8018, 0x2000));
    assert!(!ticket(0x8000, 0x1fff));
}

#[test]
fn both_registers_are_privileged_and_found_by_name() {
    let unit = BaseBounds::default();
    let registers = unit.registers();
    let ids = ["base", "bounds"].map(|name| find_register(registers, name).unwrap().id);
    assert_eq!(ids, [BaseBounds::BASE, BaseBounds::BOUNDS]);
    assert!(registers.iter().all(|info| info.privilege == Privilege::Supervisor));
}

#[test]
fn there_is_no_third_register() {
    let (mut unit, id) = (BaseBounds::default(), RegisterId(0x12));
    assert_eq!(unit.read_register(id), Err(RegisterError::Unknown { id }));
    assert_eq!(write(&mut unit, id, 0), Err(RegisterError::Unknown { id }));
}
