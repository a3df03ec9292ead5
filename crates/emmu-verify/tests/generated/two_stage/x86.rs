//! The coverage of generated cases of two stages, and properties of the model on them.

use super::{Happening, passes_both, repeat_without_writes, share};
use emmu_oracle::{
    TwoStage, Write,
    two_stage::Nested,
    x86::{
        self, Mode,
        ept::{Fault, Registers},
    },
};
use emmu_property::quickcheck;
use emmu_verify::generate::Case;
use std::collections::BTreeSet;

/// Rights, as EPT's entries and exit qualifications have them.
const R: u64 = 1;
const W: u64 = 2;
const X: u64 = 4;
/// Exit qualification: the guest-linear address is valid; and the violation is at its translation.
const LINEAR: u64 = 1 << 7;
const PAGE: u64 = 1 << 7 | 1 << 8;

fn happenings() -> Vec<Happening<Registers>> {
    super::happenings()
}

#[test]
fn cases_reach_every_mode_page_size_and_fault() {
    let happenings = happenings();
    let modes: BTreeSet<_> = happenings
        .iter()
        .filter(|(vm, _, nested)| vm.enable_ept && nested.answer.is_ok())
        .map(|(vm, ..)| format!("{:?} on {}", vm.guest.mode(), (vm.eptp >> 3 & 7) + 1))
        .collect();
    let all = [Mode::Off, Mode::Bits32, Mode::Pae, Mode::Level4, Mode::Level5];
    let expected = all.iter().flat_map(|mode| [4, 5].map(|levels| format!("{mode:?} on {levels}")));
    assert_eq!(modes, expected.collect());
    let answers = || happenings.iter().map(|(.., nested)| &nested.answer);
    let sizes: BTreeSet<_> = answers().filter_map(|a| Some(a.as_ref().ok()?.page_bits)).collect();
    assert!(sizes.is_superset(&[12, 21, 22, 30].into()), "{sizes:?}");
    let any =
        |wanted: fn(&Fault) -> bool| answers().any(|answer| answer.as_ref().is_err_and(wanted));
    assert!(any(|fault| matches!(fault, Fault::EptMisconfiguration { .. })));
    assert!(any(|fault| matches!(fault, Fault::BusError { .. })));
    assert!(any(|fault| matches!(fault, Fault::Exception(x86::Fault::PageFault { .. }))));
}

#[test]
fn cases_reach_every_exit_qualification() {
    let reached: BTreeSet<u64> = happenings()
        .into_iter()
        .filter_map(|(.., nested)| match nested.answer {
            Err(Fault::EptViolation { qualification, .. }) => Some(qualification),
            _ => None,
        })
        .collect();
    let (read, write, both) = (R, W, R | W);
    for rights in [0, R, X, R | W, R | X] {
        for kinds in [read, write, both, X] {
            let violates = kinds & !rights != 0;
            let expected = PAGE | rights << 3 | kinds;
            assert_eq!(reached.contains(&expected), violates, "{expected:#x}");
        }
    }
    // Of tables: their reads; and their reads where flags for EPT are enabled, or the updates of their flags.
    for (rights, kinds) in [(0, read), (X, read), (0, both), (R, both), (R | X, both)] {
        let expected = LINEAR | rights << 3 | kinds;
        assert!(reached.contains(&expected), "{expected:#x}");
    }
}

#[test]
fn a_good_part_of_the_cases_translates_in_two_stages() {
    let happenings = happenings();
    let share = |wanted: fn(&Nested<Fault>) -> bool| share(&happenings, 1000, wanted);
    let entangled = share(|nested| nested.entangled);
    assert!(share(passes_both) >= 120, "{} of 1000", share(passes_both));
    assert!((1..=40).contains(&entangled), "{entangled} of 1000");
}

quickcheck! {
    fn an_access_repeats_without_writes(case: Case<Registers>) -> bool {
        repeat_without_writes(&case)
    }

    fn an_access_that_faults_writes_nothing_and_tells_what_hardware_may_have_set(case: Case<Registers>) -> bool {
        let memory = case.memory();
        case.accesses.iter().all(|access| {
            let nested = case.registers.nested(*access, &memory);
            let written = |write: &Write| nested.reads.iter().any(|read| read.addr == write.addr);
            match nested.answer {
                Ok(outcome) => outcome.writes == nested.changes,
                Err(_) => nested.changes.iter().all(written),
            }
        })
    }

    fn any_bytes_make_a_case_and_the_same_bytes_the_same_case(bytes: Vec<u8>) -> bool {
        Case::<Registers>::from_bytes(&bytes) == Case::from_bytes(&bytes)
    }
}
