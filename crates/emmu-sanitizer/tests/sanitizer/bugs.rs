//! Bugs that real kernels and MMUs had, each planted here: it is found, its report names who is to blame, and without
//! it there is nothing to report.

use crate::kernel::{Bug, Kernel};
use emmu_core::{VirtAddr, Width};
use emmu_paging::format::riscv::Status;
use emmu_sanitizer::{Kind, Report, Severity, ShadowError};
use insta::assert_snapshot;

const PAGE: u64 = 0x5000;
const NEXT: u64 = 0x6000;

/// A kernel with a process that has two pages.
fn with_process(bug: Option<Bug>) -> Kernel {
    let mut kernel = Kernel::boot(bug);
    kernel.spawn(1);
    kernel.map(1, PAGE, &[]);
    kernel.map(1, NEXT, &[]);
    kernel.switch(1);
    kernel
}

/// Returns the report of the scenario with the bug. There must be one report with the bug, and none without it.
fn report(bug: Bug, scenario: fn(&mut Kernel)) -> Report {
    let reports = |bug| {
        let mut kernel = with_process(bug);
        scenario(&mut kernel);
        kernel.sanitizer.reports()
    };
    assert_eq!(reports(None), [], "without the bug");
    let [report] = <[Report; 1]>::try_from(reports(Some(bug))).unwrap();
    report
}

/// Returns the mismatch that the shadow finds in the scenario with the bug. Without the bug it must find none.
fn mismatch(bug: Bug, scenario: fn(&mut Kernel) -> Result<Option<()>, ShadowError>) -> String {
    let run = |bug| {
        let mut kernel = with_process(bug);
        let result = scenario(&mut kernel);
        assert_eq!(kernel.sanitizer.reports(), [], "nothing is stale");
        result
    };
    assert_eq!(run(None), Ok(Some(())), "without the bug");
    run(Some(bug)).unwrap_err().to_string()
}

fn load(kernel: &mut Kernel, addr: u64) {
    let _ = kernel.load(addr, &mut [0; 8]);
}

#[test]
fn unmapping_without_an_invalidation() {
    let report = report(Bug::UnmappedWithoutFence, |kernel| {
        load(kernel, PAGE);
        kernel.unmap(1, PAGE);
        load(kernel, PAGE);
        load(kernel, PAGE);
    });
    assert_eq!(report.kind, Kind::Refused);
    assert_snapshot!(report, @r"
    error: a stale translation was used: the tables refuse the access by now
      --> user load of 8 bytes at 0x5000, access 24, in process 1 (and 1 more)
       | the TLB leads to 0x80f9f000
       | the tables say: nothing is mapped there (level 0 entry at 0x80f9d028 holds 0x0)
    note: this write made it stale
      --> supervisor store of 8 bytes at 0x80f9d028, access 23, in unmap
       | the level 0 entry at 0x80f9d028 was 0x203e7c57 and became 0x0
    help: after that, `sfence.vma 0x5000, 1` is enough
    ");
}

#[test]
fn a_table_page_freed_without_an_invalidation() {
    let report = report(Bug::TableFreedWithoutFence, |kernel| {
        load(kernel, PAGE);
        kernel.free_table(1, PAGE);
        load(kernel, NEXT);
    });
    assert_snapshot!(report, @r"
    error: a stale translation was used: the tables refuse the access by now
      --> user load of 8 bytes at 0x6000, access 23, in process 1
       | the walk cache leads to 0x80f9c000
       | the tables say: nothing is mapped there (level 1 entry at 0x80f9e000 holds 0x0)
    note: this write made it stale
      --> supervisor store of 8 bytes at 0x80f9e000, access 22, in free_table
       | the level 1 entry at 0x80f9e000 was 0x203e7401 and became 0x0
    help: after that, `sfence.vma x0, 1` is enough
    ");
}

#[test]
fn a_store_that_does_not_set_the_dirty_flag_after_a_load_filled_the_tlb() {
    let report = report(Bug::StoreAsLoad, |kernel| {
        load(kernel, PAGE);
        kernel.store(PAGE, b"lost");
    });
    assert_eq!(report.kind, Kind::NotDirty);
    assert_snapshot!(report, @r"
    error: a store will be lost: the page is written, and its dirty flag is clear
      --> user store of 4 bytes at 0x5000, access 20, in process 1
       | the TLB leads to 0x80f9f000
       | the tables lead to 0x80f9f000
    help: no change was seen: the unit itself is wrong
    ");
}

#[test]
fn a_dirty_flag_cleared_without_an_invalidation() {
    let report = report(Bug::CleanedWithoutFence, |kernel| {
        kernel.store(PAGE, b"written");
        kernel.clean(1, PAGE);
        kernel.store(PAGE, b"lost");
    });
    assert_eq!(report.kind, Kind::NotDirty);
    assert_snapshot!(report, @r"
    error: a store will be lost: the page is written, and its dirty flag is clear
      --> user store of 4 bytes at 0x5000, access 24, in process 1
       | the TLB leads to 0x80f9f000
       | the tables lead to 0x80f9f000
    note: this write made it stale
      --> supervisor store of 8 bytes at 0x80f9d028, access 23, in clean
       | the level 0 entry at 0x80f9d028 was 0x203e7cd7 and became 0x203e7c57
    help: after that, `sfence.vma 0x5000, 1` is enough
    ");
}

#[test]
fn an_accessed_flag_cleared_without_an_invalidation() {
    let report = report(Bug::AgedWithoutFence, |kernel| {
        load(kernel, PAGE);
        kernel.age(1, PAGE);
        load(kernel, PAGE);
    });
    assert_eq!(report.kind.severity(), Severity::Warning);
    assert_snapshot!(report, @r"
    warning: an access is not seen: the accessed flag is clear after it
      --> user load of 8 bytes at 0x5000, access 24, in process 1
       | the TLB leads to 0x80f9f000
       | the tables lead to 0x80f9f000
    note: this write made it stale
      --> supervisor store of 8 bytes at 0x80f9d028, access 23, in age
       | the level 0 entry at 0x80f9d028 was 0x203e7c57 and became 0x203e7c17
    help: after that, `sfence.vma 0x5000, 1` is enough
    ");
}

#[test]
fn a_wrong_asid_mask() {
    let report = report(Bug::AsidMask, |kernel| {
        kernel.spawn(5);
        kernel.map(5, PAGE, &[]);
        kernel.switch(1);
        load(kernel, PAGE);
        kernel.switch(5);
        load(kernel, PAGE);
    });
    assert_eq!(report.kind, Kind::Moved);
    assert_snapshot!(report, @r"
    error: a stale translation was used: the page is elsewhere by now
      --> user load of 8 bytes at 0x5000, access 32, in process 5
       | the TLB leads to 0x80f9f000
       | the tables lead to 0x80f9a000
    note: this register write changed the outcome
      --> after access 31, in switch
       | satp was 0x8000100000080fa0 and became 0x8000100000080f9b
    help: after that, `sfence.vma x0, 1` is enough
    ");
}

#[test]
fn the_parents_tlb_not_invalidated_at_a_fork() {
    let report = report(Bug::ForkedWithoutFence, |kernel| {
        kernel.store(PAGE, b"both");
        kernel.fork(1, 2);
        kernel.store(PAGE, b"mine");
    });
    assert_eq!(report.kind, Kind::Refused);
    assert_snapshot!(report, @r"
    error: a stale translation was used: the tables refuse the access by now
      --> user store of 4 bytes at 0x5000, access 92, in process 1
       | the TLB leads to 0x80f9f000
       | the tables say: the mapping is read-only (level 0 entry at 0x80f9d028 holds 0x203e7cd3)
    note: this write made it stale
      --> supervisor store of 8 bytes at 0x80f9d028, access 73, in fork
       | the level 0 entry at 0x80f9d028 was 0x203e7cd7 and became 0x203e7cd3
    help: after that, `sfence.vma 0x5000, 1` is enough
    ");
}

#[test]
fn rights_remembered_across_a_change_of_sum() {
    let report = report(Bug::RightsRemembered, |kernel| {
        kernel.set_status(Status::SUM);
        let addr = VirtAddr::new(PAGE);
        kernel.cpu.load(addr, Width::B8).unwrap();
        kernel.set_status(Status::empty());
        let _ = kernel.cpu.load(addr, Width::B8);
    });
    assert_snapshot!(report, @r"
    error: a stale translation was used: the tables refuse the access by now
      --> supervisor load of 8 bytes at 0x5000, access 20, in set_status
       | the TLB leads to 0x80f9f000
       | the tables say: permission denied (level 0 entry at 0x80f9d028 holds 0x203e7c57)
    note: this register write changed the outcome
      --> after access 19, in set_status
       | sstatus was 0x40000 and became 0x0
    help: sstatus counts at once: the unit must not remember it
    ");
}

#[test]
fn rights_remembered_across_a_change_of_mxr() {
    let report = report(Bug::RightsRemembered, |kernel| {
        kernel.execute_only(1, PAGE);
        kernel.set_status(Status::SUM | Status::MXR);
        let addr = VirtAddr::new(PAGE);
        kernel.cpu.load(addr, Width::B8).unwrap();
        kernel.set_status(Status::SUM);
        let _ = kernel.cpu.load(addr, Width::B8);
    });
    assert_snapshot!(report, @r"
    error: a stale translation was used: the tables refuse the access by now
      --> supervisor load of 8 bytes at 0x5000, access 24, in set_status
       | the TLB leads to 0x80f9f000
       | the tables say: permission denied (level 0 entry at 0x80f9d028 holds 0x203e7c59)
    note: this register write changed the outcome
      --> after access 23, in set_status
       | sstatus was 0xc0000 and became 0x40000
    help: sstatus counts at once: the unit must not remember it
    ");
}

#[test]
fn a_slot_freed_while_a_forked_child_still_refers_to_it() {
    let found = mismatch(Bug::SlotNotCounted, |kernel| {
        kernel.store(PAGE, b"first");
        kernel.store(NEXT, b"other");
        kernel.swap_out(1, PAGE);
        kernel.fork(1, 2);
        kernel.load(PAGE, &mut [0; 5])?;
        kernel.store(NEXT, b"other");
        kernel.swap_out(1, NEXT);
        kernel.switch(2);
        kernel.load(PAGE, &mut [0; 5])
    });
    assert_snapshot!(found, @"process 2 finds [6f, 74, 68, 65, 72] at 0x5000 and should find [66, 69, 72, 73, 74]: these are bytes of process 1, at 0x6000");
}

#[test]
fn the_tail_of_a_files_last_page_not_zeroed() {
    let found = mismatch(Bug::TailNotZeroed, |kernel| {
        kernel.spawn(2);
        kernel.map(2, NEXT, &[]);
        kernel.store(PAGE + 0x100, b"secret");
        kernel.unmap(1, PAGE);
        kernel.map(2, PAGE, b"a short file");
        kernel.switch(2);
        kernel.load(PAGE + 0xfe, &mut [0; 10])
    });
    assert_snapshot!(found, @"process 2 finds [73, 65, 63, 72, 65, 74, 0, 0] at 0x5100 and should find [0, 0, 0, 0, 0, 0, 0, 0]");
}

#[test]
fn a_partial_store_across_a_page_edge() {
    let found = mismatch(Bug::StoredByteByByte, |kernel| {
        assert_eq!(kernel.store(NEXT + 0xffc, b"12345678"), None);
        kernel.load(NEXT + 0xff8, &mut [0; 8])
    });
    assert_snapshot!(found, @"process 1 finds [31, 32, 33, 34] at 0x6ffc and should find [0, 0, 0, 0]");
}
