//! The instructions of reports are those of the table in the book.

use emmu_core::{Asid, Invalidate, PhysAddr, Registers, VirtAddr, Vmid, anatomy::Fences};
use emmu_paging::{AArch64, PagingConfig, X86, format::riscv::RiscVH};
use std::{fmt, fs, path::Path};

const ADDR: VirtAddr = VirtAddr::new(0x4000);
const ASID: Asid = Asid(3);

/// A scope of each row of the table.
fn scopes() -> [(&'static str, Invalidate); 9] {
    let page = |global| Invalidate::PageInAsid { addr: ADDR, asid: ASID, global };
    let guest = Invalidate::Guest { vmid: Vmid(5), asid: None, addr: None, keeps_global: false };
    let addr = Some(PhysAddr::new(0x8000));
    [
        ("`All`", Invalidate::All),
        ("`NonGlobal`", Invalidate::NonGlobal),
        ("`Asid`", Invalidate::Asid(ASID)),
        ("`Page`", Invalidate::Page(ADDR)),
        ("`PageInAsid`, not `global`", page(false)),
        ("`PageInAsid`, `global`", page(true)),
        ("`Range`", Invalidate::Range { addr: ADDR, len: 0x2000, asid: None }),
        ("`Guest`", guest),
        ("`SecondStage`", Invalidate::SecondStage { tables: Some(5), addr, combined: false }),
    ]
}

/// The instructions of the three architectures, in the order of the table's columns.
fn architectures() -> [&'static Fences; 3] {
    let none = PagingConfig::default();
    let fences = |unit: &dyn Registers| unit.anatomy().unwrap().first.fences;
    [
        fences(&RiscVH::rv64().hart(&none, &none).unwrap()),
        fences(&X86::new(46).guest(&none, &none).unwrap()),
        fences(&AArch64::new().guest(&none, &none).unwrap()),
    ]
}

/// An invalidation in the words of an architecture.
struct Worded(&'static Fences, Invalidate);

impl fmt::Display for Worded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0.words)(self.1, f)
    }
}

/// The cells of the table's row that begins with this one.
fn row(page: &str, scope: &str) -> Vec<String> {
    let line = page.lines().find(|line| line.starts_with(&format!("| {scope} |")));
    line.unwrap().split('|').skip(2).map(|cell| cell.trim().to_owned()).collect()
}

/// The instructions in a cell, each without its operands.
fn mnemonics(cell: &str) -> Vec<String> {
    let spans = cell.split('`').skip(1).step_by(2);
    let words = |span: &str| match span.split_once(' ') {
        Some(("tlbi", operation)) => format!("tlbi {operation}"),
        Some((name, _)) => name.to_owned(),
        None => span.to_owned(),
    };
    spans.map(words).collect()
}

#[test]
fn reports_name_the_instructions_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/guide/invalidation.md");
    let page = fs::read_to_string(path).unwrap();
    let mut compared = 0;
    for (name, scope) in scopes() {
        for (cell, fences) in row(&page, name).iter().zip(architectures()) {
            let names = mnemonics(cell);
            let words = Worded(fences, scope).to_string();
            let is_named = names.iter().any(|name| words.starts_with(name.as_str()));
            assert!(
                names.is_empty() || is_named,
                "{} {name}: {words}, and not {cell}",
                fences.name
            );
            compared += names.len().min(1);
        }
    }
    assert_eq!(compared, 19);
}
