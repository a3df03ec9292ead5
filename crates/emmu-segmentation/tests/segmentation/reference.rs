//! The unit against the textbook's definition, one byte at a time in wide signed arithmetic.

use emmu_core::{
    Access, AccessFlags, AccessKind, Cause, Fault, Privilege, RegisterError, Registers,
    Translation, TranslationUnit, VirtAddr,
};
use emmu_property::{Arbitrary, Gen, quickcheck};
use emmu_segmentation::{
    MAX_SEGMENTS, Segment, SegmentFlags, Segmentation, Selection, base_register, bounds_register,
    flags_register,
};

/// A machine and an access to it that is likely to be near something of interest.
#[derive(Clone, Debug)]
struct Case {
    address_bits: u32,
    selection: Selection,
    segments: Vec<Segment>,
    access: Access,
}

impl Arbitrary for Case {
    fn arbitrary(g: &mut Gen) -> Self {
        let address_bits = *g.choose(&[1, 4, 14, 14, 16, 32, 64]).expect("widths");
        let selection = arbitrary_selection(g, address_bits);
        let size = 1u128 << (address_bits - selector_bits(selection));
        let segments: Vec<_> = (0..count(selection)).map(|_| arbitrary_segment(g, size)).collect();
        let access = arbitrary_access(g, &segments, size);
        Self { address_bits, selection, segments, access }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let case = self.clone();
        let segments = (0..self.segments.len()).flat_map({
            let case = case.clone();
            move |number| smaller_segments(&case, number)
        });
        let addrs = self.access.addr.raw().shrink().map(move |addr| {
            let access = case.access.at(VirtAddr::new(addr), 1);
            Self { access, ..case.clone() }
        });
        Box::new(segments.chain(addrs))
    }
}

/// Returns this case with smaller numbers in one segment.
fn smaller_segments(case: &Case, number: usize) -> Vec<Case> {
    let Segment { base, bounds, flags } = case.segments[number];
    let with = |segment| {
        let mut smaller = case.clone();
        smaller.segments[number] = segment;
        smaller
    };
    let bases = base.shrink().map(|base| with(Segment { base, bounds, flags }));
    let sizes = bounds.shrink().map(|bounds| with(Segment { base, bounds, flags }));
    bases.chain(sizes).collect()
}

fn arbitrary_selection(g: &mut Gen, address_bits: u32) -> Selection {
    if u8::arbitrary(g).is_multiple_of(4) {
        return Selection::Implicit;
    }
    let selector_bits = u32::arbitrary(g) % address_bits.min(5);
    let segments = 1 + u32::arbitrary(g) % (1 << selector_bits);
    Selection::Explicit { selector_bits, segments }
}

fn selector_bits(selection: Selection) -> u32 {
    match selection {
        Selection::Explicit { selector_bits, .. } => selector_bits,
        Selection::Implicit => 0,
    }
}

fn count(selection: Selection) -> u32 {
    match selection {
        Selection::Explicit { segments, .. } => segments,
        Selection::Implicit => 3,
    }
}

fn arbitrary_segment(g: &mut Gen, size: u128) -> Segment {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    let bases = [0, 18, 4096, 0x8000, 0x8000 + size / 2, u64::MAX - size / 2, u64::MAX];
    let bounds = [0, 1, 5, size / 2, size - 1, size].map(|bounds| bounds.min(size));
    Segment {
        base: *g.choose(&bases).expect("bases"),
        bounds: *g.choose(&bounds).expect("bounds"),
        flags: SegmentFlags::from_bits_truncate(u64::from(u8::arbitrary(g) | u8::arbitrary(g))),
    }
}

fn arbitrary_access(g: &mut Gen, segments: &[Segment], size: u128) -> Access {
    let selector = u128::from(u8::arbitrary(g)) % (segments.len() as u128 + 1);
    let bounds = segments.first().map_or(0, |segment| u128::from(segment.bounds));
    let edges = [0, bounds, size - bounds, size, size / 2, 4096, 8192];
    let edge = selector * size + g.choose(&edges).expect("edges");
    let away = u128::from(u8::arbitrary(g) % 7);
    let addr = if bool::arbitrary(g) { edge + away } else { edge.saturating_sub(away) };
    let addr = VirtAddr::new(u64::try_from(addr).unwrap_or(u64::MAX));
    let privilege = if u8::arbitrary(g) < 8 { Privilege::Machine } else { Privilege::User };
    Access::new(*g.choose(&AccessKind::ALL).expect("kinds"), addr, 1)
        .with_privilege(privilege)
        .with_flags(AccessFlags::from_bits_truncate(u8::arbitrary(g)))
}

impl Case {
    fn unit(&self) -> Segmentation {
        let unit = Segmentation::new(self.address_bits, self.selection).expect("a legal shape");
        (0..).zip(&self.segments).fold(unit, |unit, (number, segment)| {
            unit.with_segment(number, *segment).expect("legal values")
        })
    }

    /// The segment and physical address of the byte at `addr`, by the definition.
    fn byte(&self, addr: i128) -> Result<(usize, i128), Cause> {
        if self.access.privilege != Privilege::User {
            return if addr < 1 << 64 { Ok((0, addr)) } else { Err(Cause::Bounds) };
        }
        if addr >= 1 << self.address_bits {
            return Err(Cause::NonCanonical);
        }
        let max = 1i128 << (self.address_bits - selector_bits(self.selection));
        let number = self.number(addr / max);
        let segment = self.segments.get(number).ok_or(Cause::NoSegment)?;
        let place = place(segment, addr % max, max).ok_or(Cause::Bounds)?;
        if self.allowed(segment) { Ok((number, place)) } else { Err(Cause::Permission) }
    }

    fn number(&self, selector: i128) -> usize {
        let stack = self.access.flags.contains(AccessFlags::STACK);
        match (self.selection, self.access.kind, stack) {
            (Selection::Explicit { .. }, _, _) => usize::try_from(selector).expect("few"),
            (Selection::Implicit, AccessKind::Fetch, _) => 0,
            (Selection::Implicit, _, false) => 1,
            (Selection::Implicit, _, true) => 2,
        }
    }

    fn allowed(&self, segment: &Segment) -> bool {
        let bits = segment.flags.bits();
        let needed = match self.access.kind {
            AccessKind::Load => 1,
            AccessKind::Store => 2,
            AccessKind::Amo => 3,
            AccessKind::Fetch => 4,
        };
        bits & needed == needed
    }

    fn translate(&self) -> Result<Translation, Fault> {
        TranslationUnit::<(), ()>::translate(&mut self.unit(), self.access, &mut (), &mut ())
    }
}

/// OSTEP 16.3: in a segment that grows down, the offset less the maximum size is the distance from base.
fn place(segment: &Segment, offset: i128, max: i128) -> Option<i128> {
    let (base, bounds) = (i128::from(segment.base), i128::from(segment.bounds));
    let down = segment.flags.bits() & 8 != 0;
    let distance = if down { offset - max } else { offset };
    let inside = if down { distance.abs() <= bounds } else { distance < bounds };
    let place = base + distance;
    (inside && (0..1 << 64).contains(&place)).then_some(place)
}

fn repeat(unit: &mut Segmentation, ticket: emmu_core::Ticket, access: Access) -> bool {
    TranslationUnit::<(), ()>::repeat(unit, ticket, access, &mut ())
}

/// Distances at which to look at a span: all of a short one, the ends and a few more of a long one.
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
    fn every_byte_is_where_the_textbook_has_it(case: Case) -> bool {
        let found = case.translate().map(|found| i128::from(found.addr.raw()));
        let expected = case.byte(case.access.addr.raw().into()).map(|(_, place)| place);
        found == expected.map_err(|cause| Fault::new(case.access, cause))
    }

    fn a_span_ends_exactly_where_the_segment_or_contiguity_does(case: Case) -> bool {
        let Ok(found) = case.translate() else { return true };
        let addr = i128::from(case.access.addr.raw());
        let Ok((number, place)) = case.byte(addr) else { return false };
        let continues = |far: u64| {
            case.byte(addr + i128::from(far)) == Ok((number, place + i128::from(far)))
        };
        // A span cannot say 2^64; all of memory is one byte short.
        let ends = found.span == u64::MAX || !continues(found.span);
        found.span > 0 && ends && distances(found.span).into_iter().all(continues)
    }

    fn peek_says_what_translate_says(case: Case) -> bool {
        TranslationUnit::<(), ()>::peek(&case.unit(), case.access, &()) == case.translate()
    }

    fn a_ticket_repeats_the_whole_page_whatever_the_flags(case: Case, flags: u8) -> bool {
        let Ok(Translation { ticket: Some(ticket), .. }) = case.translate() else { return true };
        let access = case.access.with_flags(AccessFlags::from_bits_truncate(flags));
        let same = Case { access, ..case.clone() };
        let page = i128::from(access.addr.raw()) / 4096 * 4096;
        let (_, frame) = same.byte(page).expect("a page with a ticket is mapped");
        frame % 4096 == 0
            && (0..4096).all(|far| same.byte(page + far).map(|(_, at)| at) == Ok(frame + far))
            && repeat(&mut case.unit(), ticket, access)
    }

    fn every_register_write_makes_tickets_worthless(case: Case, register: u32) -> bool {
        let Ok(Translation { ticket: Some(ticket), .. }) = case.translate() else { return true };
        let mut unit = case.unit();
        let id = unit.registers()[register as usize % unit.registers().len()].id;
        TranslationUnit::<(), ()>::write_register(&mut unit, id, 0, &mut (), &mut ()).is_ok()
            && !repeat(&mut unit, ticket, case.access)
    }

    fn registers_keep_what_was_written(case: Case) -> bool {
        let unit = case.unit();
        (0..).zip(&case.segments).all(|(number, segment)| {
            unit.read_register(base_register(number)) == Ok(segment.base)
                && unit.read_register(bounds_register(number)) == Ok(segment.bounds)
                && unit.read_register(flags_register(number)) == Ok(segment.flags.bits())
        })
    }

    fn a_refused_register_write_changes_nothing(case: Case, number: u8, value: u64) -> bool {
        let (mut unit, id) = (case.unit(), flags_register(u32::from(number) % MAX_SEGMENTS));
        let before = unit.segments().to_vec();
        let refused =
            TranslationUnit::<(), ()>::write_register(&mut unit, id, value | 16, &mut (), &mut ());
        matches!(refused, Err(RegisterError::Reserved { .. } | RegisterError::Unknown { .. }))
            && unit.segments() == before
    }
}
