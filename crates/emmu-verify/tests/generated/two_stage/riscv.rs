//! The coverage of generated cases of two stages, and properties of the model on them.

use super::{Happening, passes_both, repeat_without_writes, share};
use emmu_oracle::{
    riscv::{
        Xlen,
        hypervisor::{Exception, Fault, Registers},
    },
    two_stage::Nested,
};
use emmu_property::quickcheck;
use emmu_verify::generate::Case;
use std::collections::BTreeSet;

fn happenings() -> Vec<Happening<Registers>> {
    super::happenings()
}

/// The mode of G-stage.
fn mode(hart: &Registers) -> u64 {
    hart.hgatp >> if hart.hs.xlen == Xlen::Rv32 { 31 } else { 60 }
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
        || happenings.iter().filter_map(|(hart, _, n)| Some((mode(hart), n.answer.as_ref().ok()?)));
    let sizes: BTreeSet<_> = outcomes().map(|(_, outcome)| outcome.page_bits).collect();
    assert!(sizes.is_superset(&[12, 16, 21, 22, 30, 39, 64].into()), "{sizes:?}");
    let modes: BTreeSet<_> = outcomes().map(|(mode, _)| mode).collect();
    assert_eq!(modes, [0, 1, 8, 9, 10].into());
}

#[test]
fn a_good_part_of_the_cases_translates_in_two_paged_stages() {
    let happenings = happenings();
    let share = |wanted: fn(&Nested<Fault>) -> bool| share(&happenings, 100, wanted);
    assert!(share(passes_both) >= 12, "{} %", share(passes_both));
    let entangled = share(|nested| nested.entangled);
    assert!(entangled <= 3, "{entangled} %");
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
