//! Fetches from the page of Linux's vsyscalls.

use crate::run;
use emmu_sim::SimError;

const CALL: &str = "I  00401000,5\nI  ffffffffff600000,4\nI  00401005,2\n";

#[test]
fn a_fetch_from_the_vsyscall_page_is_counted_and_skipped_on_every_machine() {
    for machine in ["skylake-sp", "sifive-u74", "cortex-a53"] {
        let report = run(machine, CALL).unwrap();
        assert_eq!((report.trace.records, report.trace.vsyscall_fetches), (3, 1), "{machine}");
        assert_eq!(report.counters.references[emmu_timing::Account::User].fetch, 2, "{machine}");
        let mut text = Vec::new();
        report.write_text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("1 fetch from the vsyscall page skipped"), "{text}");
    }
}

#[test]
fn a_run_without_such_a_fetch_does_not_speak_of_it() {
    let mut text = Vec::new();
    run("skylake-sp", "I  00401000,5\n").unwrap().write_text(&mut text).unwrap();
    assert!(!String::from_utf8(text).unwrap().contains("vsyscall"));
}

#[test]
fn data_of_the_vsyscall_page_and_fetches_beside_it_end_the_program() {
    for line in [" L ffffffffff600000,8", "I  ffffffffff601000,4", "I  ffffffffff5fffff,1"] {
        let error = run("skylake-sp", &format!("I  00401000,5\n{line}\n")).unwrap_err();
        assert!(matches!(error, SimError::Killed { record: 2, .. }), "{error}");
    }
}

#[test]
fn a_trace_of_nothing_else_has_no_references() {
    let error = run("sifive-u74", "I  ffffffffff600400,4\n").unwrap_err();
    assert_eq!(error.to_string(), "t.txt: the trace has no references");
}
