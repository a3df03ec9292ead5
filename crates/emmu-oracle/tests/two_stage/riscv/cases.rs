//! What generated cases of two stages reach, and what holds of the model on them.

use super::machine::*;
use emmu_oracle::generate::Case;
use quickcheck::quickcheck;
use std::collections::BTreeSet;

/// The mode of G-stage and outcome of everything that happens in the first cases.
fn happenings() -> Vec<(u64, Registers, Nested<Fault>)> {
    let mut happenings = Vec::new();
    for seed in 0..6000 {
        let case = Case::<Registers>::from_seed(seed);
        let mut memory = case.memory();
        for access in &case.accesses {
            let nested = case.registers.nested(*access, &memory);
            if let Ok(outcome) = &nested.answer {
                memory.apply_all(&outcome.writes);
            }
            let shift = if case.registers.hs.xlen == Xlen::Rv32 { 31 } else { 60 };
            happenings.push((case.registers.hgatp >> shift, case.registers.clone(), nested));
        }
    }
    happenings
}

#[test]
fn cases_reach_every_exception_page_size_and_pseudoinstruction() {
    let happenings = happenings();
    let faults = || happenings.iter().filter_map(|(.., nested)| nested.answer.as_ref().err());
    let exceptions: BTreeSet<_> = faults().map(|fault| fault.exception).collect();
    assert_eq!(exceptions, Exception::ALL.into());
    let tinsts: BTreeSet<_> = faults().map(|fault| fault.tinst).collect();
    assert_eq!(tinsts, [0, 0x2000, 0x2020, 0x3000, 0x3020].into());
    let outcomes =
        || happenings.iter().filter_map(|(mode, .., n)| Some((mode, n.answer.as_ref().ok()?)));
    let sizes: BTreeSet<_> = outcomes().map(|(_, outcome)| outcome.page_bits).collect();
    assert!(sizes.is_superset(&[12, 16, 21, 22, 30, 39, 64].into()), "{sizes:?}");
    let modes: BTreeSet<_> = outcomes().map(|(mode, _)| *mode).collect();
    assert_eq!(modes, [0, 1, 8, 9, 10].into());
}

#[test]
fn a_good_part_of_the_cases_translates_in_two_paged_stages() {
    let happenings = happenings();
    let share = |wanted: &dyn Fn(&Nested<Fault>) -> bool| {
        happenings.iter().filter(|(.., nested)| wanted(nested)).count() * 100 / happenings.len()
    };
    let both = |nested: &Nested<Fault>| {
        let read = |stage| nested.reads.iter().any(|read| read.stage == stage);
        nested.answer.is_ok() && read(Stage::First) && read(Stage::Second)
    };
    assert!(share(&both) >= 12, "{} %", share(&both));
    let entangled = share(&|nested| nested.entangled);
    assert!(entangled <= 3, "{entangled} %");
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
