//! What generated cases of two stages reach, and what holds of the model on them.

use super::machine::*;
use emmu_oracle::generate::Case;
use quickcheck::quickcheck;
use std::collections::BTreeSet;

/// The registers, the access, and the answers of everything that happens in the first cases.
fn happenings() -> Vec<(Registers, Access, Nested<Fault>)> {
    let mut happenings = Vec::new();
    for seed in 0..6000 {
        let case = Case::<Registers>::from_seed(seed);
        let mut memory = case.memory();
        for access in &case.accesses {
            let nested = case.registers.nested(*access, &memory);
            if let Ok(outcome) = &nested.answer {
                memory.apply_all(&outcome.writes);
            }
            happenings.push((case.registers, *access, nested));
        }
    }
    happenings
}

#[test]
fn cases_reach_every_fault_of_stage_2_at_every_level_on_walks_and_off_them() {
    let reached: BTreeSet<_> = happenings()
        .into_iter()
        .filter_map(|(.., nested)| match nested.answer {
            Err(Fault::Stage2(fault)) => Some((fault.kind, fault.level, fault.s1ptw)),
            _ => None,
        })
        .collect();
    let at = |kind, levels: RangeInclusive<u32>| {
        levels.flat_map(move |level| [false, true].map(|s1ptw| (kind, level, s1ptw)))
    };
    let every = at(FaultKind::AddressSize, 0..=3)
        .chain(at(FaultKind::Translation, 0..=3))
        .chain(at(FaultKind::AccessFlag, 1..=3))
        .chain(at(FaultKind::Permission, 1..=3))
        .chain(at(FaultKind::ExternalAbortOnWalk, 0..=3));
    // A hole at the first levels is met by stage 1's walk before the access itself, unless stage 1 is off.
    let hole = FaultKind::ExternalAbortOnWalk;
    let rare = [(hole, 0, false), (hole, 1, false)];
    let missing: Vec<_> =
        every.filter(|fault| !rare.contains(fault) && !reached.contains(fault)).collect();
    assert_eq!(missing, []);
}

#[test]
fn cases_reach_every_granule_first_level_and_page_size() {
    let happenings = happenings();
    let good = || happenings.iter().filter(|(vm, _, n)| vm.hcr_el2 & VM != 0 && n.answer.is_ok());
    let formats: BTreeSet<_> =
        good().map(|(vm, ..)| (vm.vtcr_el2 >> 14 & 3, vm.vtcr_el2 >> 6 & 3)).collect();
    let expected = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)];
    assert_eq!(formats, expected.into());
    let sizes: BTreeSet<_> =
        good().filter_map(|(.., n)| Some(n.answer.as_ref().ok()?.page_bits)).collect();
    assert_eq!(sizes, [12, 14, 16, 21, 25, 29, 30].into());
    let kinds: BTreeSet<_> = good().map(|(_, access, _)| access.kind).collect();
    assert_eq!(kinds, AccessKind::ALL.into());
}

#[test]
fn a_good_part_of_the_cases_translates_in_two_stages() {
    let happenings = happenings();
    let share = |wanted: &dyn Fn(&Nested<Fault>) -> bool| {
        happenings.iter().filter(|(.., nested)| wanted(nested)).count() * 1000 / happenings.len()
    };
    let both = |nested: &Nested<Fault>| {
        let read = |stage| nested.reads.iter().any(|read| read.stage == stage);
        nested.answer.is_ok() && read(Stage::First) && read(Stage::Second)
    };
    let entangled = share(&|nested| nested.entangled);
    assert!(share(&both) >= 120, "{} of 1000", share(&both));
    assert!(entangled <= 40, "{entangled} of 1000");
    assert!(happenings.iter().any(|(.., nested)| nested.entangled));
}

quickcheck! {
    fn an_access_repeats_without_writes(case: Case<Registers>) -> bool {
        let mut memory = case.memory();
        case.accesses.iter().all(|access| {
            let nested = case.registers.nested(*access, &memory);
            let Ok(first) = nested.answer else { return true };
            memory.apply_all(&first.writes);
            let second = case.registers.translate(*access, &memory);
            nested.entangled || second.is_ok_and(|second| {
                second.writes.is_empty() && (second.pa, second.page_bits) == (first.pa, first.page_bits)
            })
        })
    }

    fn any_bytes_make_a_case_and_the_same_bytes_the_same_case(bytes: Vec<u8>) -> bool {
        Case::<Registers>::from_bytes(&bytes) == Case::from_bytes(&bytes)
    }
}
