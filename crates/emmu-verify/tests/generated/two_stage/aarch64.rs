//! The coverage of generated cases of two stages, and properties of the model on them.

use super::{Happening, passes_both, repeat_without_writes, share};
use emmu_core::AccessKind;
use emmu_oracle::{
    aarch64::{
        FaultKind,
        stage2::{Fault, Registers},
    },
    two_stage::Nested,
};
use emmu_property::quickcheck;
use emmu_verify::generate::Case;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// HCR_EL2.VM.
const VM: u64 = 1;

fn happenings() -> Vec<Happening<Registers>> {
    super::happenings()
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
    let share = |wanted: fn(&Nested<Fault>) -> bool| share(&happenings, 1000, wanted);
    let entangled = share(|nested| nested.entangled);
    assert!(share(passes_both) >= 120, "{} of 1000", share(passes_both));
    assert!(entangled <= 40, "{entangled} of 1000");
    assert!(happenings.iter().any(|(.., nested)| nested.entangled));
}

quickcheck! {
    fn an_access_repeats_without_writes(case: Case<Registers>) -> bool {
        repeat_without_writes(&case)
    }

    fn any_bytes_make_a_case_and_the_same_bytes_the_same_case(bytes: Vec<u8>) -> bool {
        Case::<Registers>::from_bytes(&bytes) == Case::from_bytes(&bytes)
    }
}
