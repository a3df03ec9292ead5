//! Encodes references as the streams of a block.

use super::model::{MAX_DATA, Model, ShapeId, Slot};
use super::varint::{fold, put};
use crate::{Record, RecordKind};
use emmu_core::VirtAddr;
use std::collections::HashMap;

/// The next shape is the second guess.
pub(super) const SUCCESSOR: u8 = 0;
/// The next shape is a known one, whose number follows in the stream of numbers.
pub(super) const KNOWN: u8 = 1;
/// The next shape is new; its definition follows in the stream of shapes.
pub(super) const NEW: u8 = 2;

/// The address is the second guess, which is the expectation from now on.
pub(super) const OTHER: u8 = 0;
/// The address is at a written distance from the slot's last.
pub(super) const FROM_LAST: u8 = 1;
/// The address is at a written distance from the data reference before.
pub(super) const FROM_BEFORE: u8 = 2;

/// Number of streams in a block.
pub(super) const STREAMS: usize = 5;

/// Writes surprises, each after the number of met expectations before it.
#[derive(Debug, Default)]
struct TokenWriter {
    run: u64,
    bytes: Vec<u8>,
}

impl TokenWriter {
    fn expected(&mut self) {
        self.run += 1;
    }

    fn surprise(&mut self, code: u8) {
        put(&mut self.bytes, (self.run << 2) | u64::from(code));
        self.run = 0;
    }

    fn clear(&mut self) {
        self.run = 0;
        self.bytes.clear();
    }
}

/// Encodes one block after the other.
#[derive(Debug)]
pub(super) struct Encoder {
    model: Model,
    /// Shapes by the address of their fetch and the digest of the rest.
    known: HashMap<(VirtAddr, u64), ShapeId>,
    next: TokenWriter,
    numbers: Vec<u8>,
    shapes: Vec<u8>,
    data: TokenWriter,
    deltas: Vec<u8>,
    /// References of an instruction that may not be complete.
    pending: Vec<Record>,
    records: u32,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            model: Model::new(),
            known: HashMap::new(),
            next: TokenWriter::default(),
            numbers: vec![],
            shapes: vec![],
            data: TokenWriter::default(),
            deltas: vec![],
            pending: vec![],
            records: 0,
        }
    }

    /// Returns the number of references in the block so far.
    pub(super) const fn records(&self) -> u32 {
        self.records
    }

    /// Adds a reference to the block.
    pub(super) fn push(&mut self, record: Record) {
        let follows = self.pending.first().is_some_and(|first| first.kind == RecordKind::Fetch)
            && self.pending.len() <= MAX_DATA;
        if record.kind == RecordKind::Fetch || !follows {
            self.flush();
        }
        self.pending.push(record);
        self.records += 1;
    }

    /// Completes the block, and returns its streams in order.
    pub(super) fn finish(&mut self) -> [&[u8]; STREAMS] {
        self.flush();
        [&self.next.bytes, &self.numbers, &self.shapes, &self.data.bytes, &self.deltas]
    }

    /// Begins the next block.
    pub(super) fn reset(&mut self) {
        self.model.reset();
        self.known.clear();
        self.next.clear();
        self.data.clear();
        [&mut self.numbers, &mut self.shapes, &mut self.deltas].into_iter().for_each(Vec::clear);
        self.records = 0;
    }

    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        match pending.split_first() {
            None => {}
            Some((fetch, data)) if fetch.kind == RecordKind::Fetch => {
                self.instruction(Some(fetch), data);
            }
            Some(_) => self.instruction(None, &pending),
        }
        self.pending = pending;
        self.pending.clear();
    }

    fn instruction(&mut self, fetch: Option<&Record>, data: &[Record]) {
        let id = self.shape(fetch, data);
        let Some(shape) = self.model.shapes.get(id as usize).copied() else { return };
        self.model.learn(id, &shape);
        for (index, record) in shape.slot_range().zip(data) {
            self.address(index, record.addr);
        }
    }

    /// Writes the next shape.
    fn shape(&mut self, fetch: Option<&Record>, data: &[Record]) -> ShapeId {
        let fits = |id: &ShapeId| self.model.has_shape(*id, fetch, data);
        if let Some(id) = Some(self.model.expected()).filter(fits) {
            self.next.expected();
            return id;
        }
        if let Some(id) = Some(self.model.second_guess()).filter(fits) {
            self.next.surprise(SUCCESSOR);
            return id;
        }
        let key = (fetch.map_or(VirtAddr::ZERO, |fetch| fetch.addr), digest(fetch, data));
        if let Some(id) = self.known.get(&key).copied().filter(fits) {
            self.next.surprise(KNOWN);
            put(&mut self.numbers, id.into());
            return id;
        }
        self.next.surprise(NEW);
        let id = self.define(fetch, data);
        self.known.insert(key, id);
        id
    }

    fn define(&mut self, fetch: Option<&Record>, data: &[Record]) -> ShapeId {
        let out = &mut self.shapes;
        put(out, fetch.map_or(0, |fetch| fetch.size.into()));
        if let Some(fetch) = fetch {
            put(out, fold(fetch.addr.raw().wrapping_sub(self.model.fall_through.raw())));
            put(out, data.len() as u64);
        }
        data.iter().for_each(|record| put(out, kind_and_size(record)));
        let slots: Vec<Slot> = data.iter().map(|data| Slot::new(data.kind, data.size)).collect();
        let (pc, size) = fetch.map_or((VirtAddr::ZERO, 0), |fetch| (fetch.addr, fetch.size));
        self.model.define(pc, size, &slots)
    }

    /// Writes the address of the data reference in a slot.
    fn address(&mut self, index: usize, addr: VirtAddr) {
        let before = self.model.before;
        let Some(slot) = self.model.slots.get_mut(index) else { return };
        if slot.expected(before) == addr {
            self.data.expected();
        } else if slot.second_guess(before) == addr {
            self.data.surprise(OTHER);
            slot.swap_guesses();
        } else {
            let from_last = fold(addr.raw().wrapping_sub(slot.last.raw()));
            let from_before = fold(addr.raw().wrapping_sub(before.raw()));
            let near = from_last <= from_before;
            self.data.surprise(if near { FROM_LAST } else { FROM_BEFORE });
            put(&mut self.deltas, from_last.min(from_before));
        }
        slot.learn(addr, before);
        self.model.before = addr;
    }
}

/// Returns kind and size of a data reference in one number.
fn kind_and_size(record: &Record) -> u64 {
    u64::from(record.size) << 2 | u64::from(record.kind.number())
}

/// Returns a number that tells most shapes at one address apart. Shapes that it does not tell apart are defined anew.
fn digest(fetch: Option<&Record>, data: &[Record]) -> u64 {
    fetch.into_iter().chain(data).fold(0, |digest, record| {
        (digest ^ (kind_and_size(record) + 1)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
    })
}
