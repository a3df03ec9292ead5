//! The generators reach what they should, and what holds of every reference model holds of their cases.
//! (What AArch64 cases of one stage reach is tested beside their generator.)

mod aarch64_properties;
mod two_stage;

use emmu_core::Access;
use emmu_oracle::described::{self, EntryPlace, Reason};
use emmu_oracle::riscv::Exception;
use emmu_oracle::x86::{self, Mode};
use emmu_oracle::{Outcome, Reference, aarch64, hashed, riscv};
use emmu_property::quickcheck;
use emmu_verify::generate::{Case, Generate};
use std::collections::BTreeSet;

/// The access, registers and outcome of everything that happens in so many cases.
fn happenings<R: Generate + Reference + Clone>(
    cases: u64,
) -> Vec<(R, Access, Result<Outcome, R::Fault>)> {
    let mut happenings = Vec::new();
    for seed in 0..cases {
        let case = Case::<R>::from_seed(seed);
        for (access, outcome) in case.accesses.iter().zip(case.outcomes()) {
            happenings.push((case.registers.clone(), *access, outcome));
        }
    }
    happenings
}

#[test]
fn riscv_cases_reach_every_exception_with_and_without_pmp() {
    let reached: BTreeSet<_> = happenings::<riscv::Registers>(4000)
        .into_iter()
        .filter_map(|(registers, _, outcome)| {
            Some((registers.pmp.is_empty(), outcome.err()?.exception.code()))
        })
        .collect();
    let codes = Exception::ALL.map(Exception::code);
    let all = [true, false].into_iter().flat_map(|open| codes.map(|code| (open, code)));
    assert_eq!(reached, all.collect());
}

#[test]
fn riscv_cases_reach_every_page_size_and_update_of_every_mode() {
    let reached: BTreeSet<_> = happenings::<riscv::Registers>(4000)
        .into_iter()
        .filter_map(|(registers, _, outcome)| Some((registers.satp >> 60, outcome.ok()?)))
        .map(|(mode, outcome)| (mode, outcome.page_bits, outcome.writes.len()))
        .filter(|(mode, ..)| *mode >= 8)
        .collect();
    let sizes = [
        (8, vec![12, 16, 21, 30]),
        (9, vec![12, 16, 21, 30, 39]),
        (10, vec![12, 16, 21, 30, 39, 48]),
    ];
    for (mode, bits) in
        sizes.into_iter().flat_map(|(mode, all)| all.into_iter().map(move |bits| (mode, bits)))
    {
        for writes in [0, 1] {
            assert!(
                reached.contains(&(mode, bits, writes)),
                "mode {mode}, 2^{bits} bytes, {writes} writes"
            );
        }
    }
}

#[test]
fn x86_cases_reach_every_error_code_of_every_mode() {
    let reached: BTreeSet<_> = happenings::<x86::Registers>(4000)
        .into_iter()
        .filter_map(|(registers, _, outcome)| match outcome {
            Err(x86::Fault::PageFault { code, .. }) => {
                Some((format!("{:?}", registers.mode()), code))
            }
            _ => None,
        })
        .collect();
    for mode in [Mode::Bits32, Mode::Pae, Mode::Level4, Mode::Level5] {
        for code in error_codes(mode) {
            assert!(reached.contains(&(format!("{mode:?}"), code)), "{mode:?}: {code:#x}");
        }
    }
}

/// Every combination of P, W/R, U/S, RSVD, I/D and PK that can be.
fn error_codes(mode: Mode) -> impl Iterator<Item = u32> {
    let keys = matches!(mode, Mode::Level4 | Mode::Level5);
    (0..1 << 6).filter(move |code| {
        let bit = |number: u32| code >> number & 1 == 1;
        let (p, write, rsvd, fetch, pk) = (bit(0), bit(1), bit(3), bit(4), bit(5));
        !(write && fetch) && (p || !rsvd && !pk) && !(pk && (fetch || rsvd || !keys))
    })
}

#[test]
fn x86_cases_reach_every_page_size_and_other_fault() {
    let happenings = happenings::<x86::Registers>(4000);
    let outcomes = || happenings.iter().map(|(.., outcome)| outcome);
    let sizes: BTreeSet<_> =
        outcomes().filter_map(|outcome| Some(outcome.as_ref().ok()?.page_bits)).collect();
    assert_eq!(sizes, [12, 21, 22, 30, 64].into());
    let met = |fault| outcomes().any(|outcome| *outcome == Err(fault));
    assert!(met(x86::Fault::GeneralProtection) && met(x86::Fault::StackFault));
    assert!(outcomes().any(|outcome| matches!(outcome, Err(x86::Fault::BusError { .. }))));
}

#[test]
fn described_cases_reach_every_refusal_at_every_level() {
    let refusals: BTreeSet<_> = happenings::<described::Registers>(20_000)
        .into_iter()
        .filter_map(|(_, _, outcome)| outcome.err())
        .map(|fault| (fault.reason, fault.entry.map(|EntryPlace { level, .. }| level)))
        .collect();
    let of_any_level = [Reason::Hole, Reason::NotValid, Reason::ReadOnly, Reason::NotAllowed]
        .into_iter()
        .chain([Reason::NotAccessed, Reason::NotDirty])
        .flat_map(|reason| (0..6).map(move |level| (reason, Some(level))));
    let of_superpages = (1..6).map(|level| (Reason::Misaligned, Some(level)));
    let all = of_any_level.chain(of_superpages).chain([(Reason::NotCanonical, None)]);
    assert_eq!(refusals, all.collect());
}

#[test]
fn described_cases_reach_pages_and_updates_of_every_entry_size_and_level() {
    let reached: BTreeSet<_> = happenings::<described::Registers>(20_000)
        .into_iter()
        .filter(|(registers, ..)| registers.mode == 1)
        .filter_map(|(registers, _, outcome)| {
            let (found, pages) = (outcome.ok()?, &registers.description);
            let level = pages.page_sizes().iter().position(|bits| *bits == found.page_bits)?;
            Some((pages.entry_size, level, found.writes.len()))
        })
        .collect();
    let levels = (0..6).flat_map(|level| [(level, 0), (level, 1)]);
    let all = levels.flat_map(|(level, writes)| [1, 2, 4, 8].map(|size| (size, level, writes)));
    assert_eq!(reached, all.collect());
}

#[test]
fn hashed_cases_reach_every_refusal_at_every_probe() {
    use hashed::Reason;
    let refusals: BTreeSet<_> = happenings::<hashed::Registers>(10_000)
        .into_iter()
        .filter_map(|(_, _, outcome)| outcome.err())
        .map(|fault| (fault.reason, fault.entry.map(|entry| entry.probe)))
        .filter(|(reason, probe)| *reason != Reason::Hole || *probe == Some(0))
        .collect();
    let of_any_probe = [Reason::Absent, Reason::ReadOnly, Reason::NotAllowed]
        .into_iter()
        .flat_map(|reason| (0..8).map(move |probe| (reason, Some(probe))));
    let all = of_any_probe.chain([(Reason::NotCanonical, None), (Reason::Hole, Some(0))]);
    assert_eq!(refusals, all.collect());
}

#[test]
fn hashed_cases_of_two_stages_reach_every_refusal_of_entries_and_of_data() {
    use hashed::Reason;
    let happenings = happenings::<hashed::Guest>(10_000);
    let refusals: BTreeSet<_> = happenings
        .iter()
        .filter_map(|(_, _, outcome)| outcome.as_ref().err())
        .map(|fault| (fault.reason, fault.guest.map(|guest| guest.walk)))
        .collect();
    let all = [Reason::Hole, Reason::Absent, Reason::ReadOnly, Reason::NotAllowed]
        .into_iter()
        .flat_map(|reason| [None, Some(false), Some(true)].map(|whose| (reason, whose)))
        .chain([None, Some(false)].map(|whose| (Reason::NotCanonical, whose)));
    assert_eq!(refusals, all.collect());
    let flags = |outcome: &Outcome| outcome.writes.len();
    let found: BTreeSet<_> =
        happenings.iter().filter_map(|(.., outcome)| outcome.as_ref().ok()).map(flags).collect();
    // The guest's entry, those of the page that it maps and of its own page, and of the page before, if the search
    // began there.
    assert_eq!(found, (0..=4).collect());
}

/// An access that succeeded succeeds again, goes to the same place, and has nothing left to set.
fn repeats_without_writes<R: Reference>(case: &Case<R>) -> bool {
    let mut memory = case.memory();
    case.accesses.iter().all(|access| {
        let Ok(first) = case.registers.translate(*access, &memory) else { return true };
        memory.apply_all(&first.writes);
        case.registers.translate(*access, &memory).is_ok_and(|second| {
            second.writes.is_empty() && (second.pa, second.page_bits) == (first.pa, first.page_bits)
        })
    })
}

/// Returns true if entries can overlap, so that the change of one changes another.
fn is_skew(case: &Case<described::Registers>) -> bool {
    let described::Registers { description, ptbr, .. } = &case.registers;
    let size = u64::from(description.entry_size);
    !ptbr.is_multiple_of(size) || 1 << description.page_bits < size
}

/// The offset in a page is the same on both sides, whatever is between.
fn keeps_the_offset<R: Reference>(case: &Case<R>) -> bool {
    case.accesses.iter().zip(case.outcomes()).all(|(access, outcome)| match outcome {
        Ok(Outcome { pa, page_bits, .. }) => {
            page_bits == 64 || pa.offset(page_bits) == access.addr.offset(page_bits)
        }
        Err(_) => true,
    })
}

/// Generators promise that no access leaves its 4 KiB page, or its page where pages can be smaller.
fn stays_in_a_page<R: Reference>(case: &Case<R>) -> bool {
    let bits = case.registers.piece_bits();
    let mut accesses = case.accesses.iter();
    accesses.all(|access| access.addr.offset(bits) + u64::from(access.size) <= 1 << bits)
}

quickcheck! {
    fn a_riscv_access_repeats_without_writes(case: Case<riscv::Registers>) -> bool {
        repeats_without_writes(&case)
    }

    fn an_x86_access_repeats_without_writes(case: Case<x86::Registers>) -> bool {
        repeats_without_writes(&case)
    }

    fn an_aarch64_access_repeats_without_writes(case: Case<aarch64::Registers>) -> bool {
        repeats_without_writes(&case)
    }

    fn an_access_of_a_described_format_repeats_without_writes(case: Case<described::Registers>) -> bool {
        is_skew(&case) || repeats_without_writes(&case)
    }

    fn a_described_translation_keeps_the_offset(case: Case<described::Registers>) -> bool {
        keeps_the_offset(&case) && stays_in_a_page(&case)
    }

    fn a_hashed_access_repeats_without_writes(case: Case<hashed::Registers>) -> bool {
        repeats_without_writes(&case)
    }

    fn a_hashed_translation_keeps_the_offset(case: Case<hashed::Registers>) -> bool {
        keeps_the_offset(&case) && stays_in_a_page(&case)
    }

    fn every_hashed_table_made_is_possible(case: Case<hashed::Guest>) -> bool {
        case.registers.first.is_possible() && case.registers.second.is_possible()
    }

    fn every_description_made_is_possible(case: Case<described::Registers>) -> bool {
        case.registers.description.is_possible()
    }

    fn a_riscv_translation_keeps_the_offset(case: Case<riscv::Registers>) -> bool {
        keeps_the_offset(&case) && stays_in_a_page(&case)
    }

    fn an_x86_translation_keeps_the_offset(case: Case<x86::Registers>) -> bool {
        keeps_the_offset(&case) && stays_in_a_page(&case)
    }

    fn an_aarch64_translation_keeps_the_offset(case: Case<aarch64::Registers>) -> bool {
        keeps_the_offset(&case) && stays_in_a_page(&case)
    }

    fn any_bytes_make_a_case_and_the_same_bytes_the_same_case(bytes: Vec<u8>) -> bool {
        Case::<riscv::Registers>::from_bytes(&bytes) == Case::from_bytes(&bytes)
            && Case::<described::Registers>::from_bytes(&bytes) == Case::from_bytes(&bytes)
            && Case::<hashed::Guest>::from_bytes(&bytes) == Case::from_bytes(&bytes)
            && Case::<x86::Registers>::from_bytes(&bytes) == Case::from_bytes(&bytes)
            && Case::<aarch64::Registers>::from_bytes(&bytes) == Case::from_bytes(&bytes)
    }
}
