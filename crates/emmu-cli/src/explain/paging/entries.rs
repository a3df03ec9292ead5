//! The entries of tables in memory: where they are, and that a walk can come to them.

use crate::number::number;
use anyhow::{Context, Result, bail, ensure};
use emmu_core::{Access, VirtAddr, Width};
use emmu_paging::format::described::{Described, Permissions};
use emmu_paging::format::{Entry, Format};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// An entry of a table in memory.
#[derive(Clone, Copy, Debug)]
pub(in crate::explain) struct PlacedEntry {
    place: Place,
    raw: u64,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// The entry of the first table that has this index.
    Index(u64),
    /// The entry at this physical address.
    Address(u64),
}

impl FromStr for PlacedEntry {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (place, raw) = text.split_once('=')?;
            let place = match place.strip_prefix('@') {
                Some(addr) => Place::Address(number(addr).ok()?),
                None => Place::Index(number(place).ok()?),
            };
            Some(Self { place, raw: number(raw).ok()? })
        };
        parse().context("expected INDEX=VALUE or @ADDRESS=VALUE, such as 3=0x80000006")
    }
}

/// Returns the entries by physical address. Each must be in the first table, which is at `ptbr`, or in a table that a
/// valid entry names.
pub(super) fn place(
    given: &[PlacedEntry],
    ptbr: u64,
    format: &Described,
) -> Result<BTreeMap<u64, u64>> {
    let tables = Tables::new(format);
    let mut entries = BTreeMap::new();
    for entry in given {
        let addr = entry.addr(ptbr, &tables)?;
        let twice = entries.insert(addr, entry.raw);
        ensure!(twice.is_none(), "--entry: the entry at {addr:#x} is given twice");
    }
    let reached = tables.reached(ptbr, &entries);
    match entries.keys().find(|addr| !reached.contains(*addr)) {
        None => Ok(entries),
        Some(addr) => bail!(
            "--entry: no entry of {} bytes begins at {addr:#x}, neither in the first table nor in one that a valid \
             entry names",
            tables.width.bytes()
        ),
    }
}

impl PlacedEntry {
    /// Returns the physical address.
    fn addr(&self, ptbr: u64, tables: &Tables<'_>) -> Result<u64> {
        let Tables { width, length, .. } = *tables;
        ensure!(
            self.raw <= width.mask(),
            "--entry: expected values of {} bytes at most, found {:#x}",
            width.bytes(),
            self.raw
        );
        let index = match self.place {
            Place::Address(addr) => return Ok(addr),
            Place::Index(index) => index,
        };
        ensure!(
            index < length,
            "--entry: entry {index} is outside of the first table, which has {length} entries, 0 to {}",
            length - 1
        );
        let offset = index.checked_mul(width.bytes());
        let addr = offset.and_then(|offset| ptbr.checked_add(offset));
        addr.context("--ptbr: the first table ends past the last 64-bit address")
    }
}

/// The shape of the tables, which are all of one length.
struct Tables<'a> {
    format: &'a Described,
    /// Bytes of an entry.
    width: Width,
    /// Entries of a table.
    length: u64,
    top_level: u8,
}

/// An access for which entries are decoded. Described formats decode them alike for all accesses.
const ANY: Access = Access::load(VirtAddr::new(0), 1);

impl<'a> Tables<'a> {
    fn new(format: &'a Described) -> Self {
        let shape = format.shape(ANY);
        let index_bits = shape.table_bits(0) - shape.page_bits(0);
        let top_level = format.root(ANY).map_or(0, |root| root.level);
        Self { format, width: shape.entry(), length: 1 << index_bits, top_level }
    }

    /// Returns the addresses of the entries that a walk can come to.
    fn reached(&self, ptbr: u64, entries: &BTreeMap<u64, u64>) -> BTreeSet<u64> {
        let (mut tables, mut reached) = (BTreeSet::new(), BTreeSet::new());
        let mut next = vec![(ptbr, self.top_level)];
        while let Some((table, level)) = next.pop() {
            if !tables.insert((table, level)) {
                continue;
            }
            for (&addr, &raw) in entries.iter().filter(|(addr, _)| self.has(table, **addr)) {
                reached.insert(addr);
                next.extend(self.table_below(raw, level).map(|table| (table, level - 1)));
            }
        }
        reached
    }

    /// Returns true if an entry of this table begins at this address. Addresses are counted modulo 2^64.
    fn has(&self, table: u64, addr: u64) -> bool {
        let (offset, bytes) = (addr.wrapping_sub(table), self.width.bytes());
        offset % bytes == 0 && offset / bytes < self.length
    }

    /// Returns the table that an entry of this level names, if it names one.
    fn table_below(&self, raw: u64, level: u8) -> Option<u64> {
        match self.format.decode(raw, level, ANY, Permissions::all()) {
            Entry::Table { table, .. } => Some(table.raw()),
            _ => None,
        }
    }
}
