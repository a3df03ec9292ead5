//! The bundled trace, and tables that map what it touches.

use crate::set::Page;
use emmu_core::{AccessKind, Bus, PhysAddr, Width};
use emmu_memory::Memory;
use emmu_paging::format::riscv::Pte;
use emmu_trace::{Record, RecordSource, bundled, open};
use std::{collections::BTreeSet, sync::LazyLock};

/// A piece of an access that lies in one small page, by the page's first address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TracePiece {
    pub(crate) kind: AccessKind,
    pub(crate) addr: u64,
}

/// Every piece of every access of the bundled trace.
pub(crate) fn pieces() -> &'static [TracePiece] {
    static PIECES: LazyLock<Vec<TracePiece>> = LazyLock::new(|| {
        let records = open(bundled()).unwrap().records();
        records.flat_map(|record| pieces_of(record.unwrap())).collect()
    });
    &PIECES
}

fn pieces_of(record: Record) -> impl Iterator<Item = TracePiece> {
    let first = record.addr.block(12);
    let last = record.addr.wrapping_add(u64::from(record.size) - 1).block(12);
    let pages = move |&kind| (first..=last).map(move |page| TracePiece { kind, addr: page << 12 });
    record.kind.accesses().iter().flat_map(pages)
}

/// The page of the tables that holds an address: with large ones, those of every second 2 MiB are.
pub(crate) fn leaf_of(addr: u64, large: bool) -> Page {
    let is_large = large && addr >> 21 & 1 == 0;
    Page::around(addr, if is_large { 21 } else { 12 })
}

/// Sv39 tables that map what the pieces touch to itself, clean of nothing: accessed and dirty.
pub(crate) fn memory(pieces: &[TracePiece], large: bool) -> Memory {
    let mut memory = Memory::ram(1 << 40);
    let mut next = 0x2000;
    let addrs: BTreeSet<u64> = pieces.iter().map(|piece| piece.addr).collect();
    for addr in addrs {
        let (leaf, mut table) = (leaf_of(addr, large), 0x1000);
        for low in [30, 21, 12] {
            let entry = PhysAddr::new(table + (addr >> low & 511) * 8);
            let raw = memory.peek(entry, Width::B8).unwrap();
            let new = match raw {
                _ if low == leaf.bits => {
                    let rights = Pte::V | Pte::R | Pte::W | Pte::X | Pte::A | Pte::D;
                    Pte::to(PhysAddr::new(leaf.first), rights)
                }
                0 => {
                    next += 0x1000;
                    Pte::to(PhysAddr::new(next - 0x1000), Pte::V)
                }
                raw => raw,
            };
            memory.write(entry, Width::B8, new).unwrap();
            if low == leaf.bits {
                break;
            }
            table = new >> 10 << 12;
        }
    }
    memory
}
