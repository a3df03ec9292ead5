//! Predictions of the next reference from those before it. The encoder and the decoder both make them.

use crate::{Record, RecordKind};
use emmu_core::VirtAddr;

/// Largest number of data references in the shape of one instruction; those after them stand alone.
pub(super) const MAX_DATA: usize = 62;

/// Size of the table from path to instruction, as a power of two.
const PATH_BITS: u32 = 16;
/// The path is the last few shape numbers, 12 bits each, in 48 bits.
const PATH_SHIFT: u32 = 12;
const PATH_MASK: u64 = (1 << 48) - 1;
/// 2^64 divided by the golden ratio: spreads paths over the table (Knuth, vol. 3, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Number of a shape within its block.
pub(super) type ShapeId = u32;

/// An instruction as the trace shows it: its fetch and the data references up to the next fetch. Or a
/// single data reference that follows no fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Address of the fetch.
    pub(super) pc: VirtAddr,
    /// Bytes of the fetch; 0 if there is none.
    pub(super) fetch: u16,
    /// Number of data references that follow.
    pub(super) data: u16,
    /// Place of its first data reference among the slots.
    first_slot: u32,
    /// The shape that came after it last time.
    successor: ShapeId,
}

/// One data reference of a shape: its kind and size, and the recent distances between its addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) kind: RecordKind,
    pub(super) size: u16,
    /// True if the prediction by the chain was right when one was last.
    chained: bool,
    /// Its last address, and the distance of that from the one before.
    pub(super) last: VirtAddr,
    stride: u64,
    /// Distance of its last address from the data reference just before it.
    chain: u64,
}

impl Slot {
    pub(super) const fn new(kind: RecordKind, size: u16) -> Self {
        Self { kind, size, chained: false, last: VirtAddr::ZERO, stride: 0, chain: 0 }
    }

    /// Returns the address expected after a data reference to `before`.
    #[inline]
    pub(super) const fn expected(&self, before: VirtAddr) -> VirtAddr {
        self.prediction(self.chained, before)
    }

    /// Returns the address that the other prediction expects.
    #[inline]
    pub(super) const fn second_guess(&self, before: VirtAddr) -> VirtAddr {
        self.prediction(!self.chained, before)
    }

    #[inline]
    const fn prediction(&self, chained: bool, before: VirtAddr) -> VirtAddr {
        if chained { before.wrapping_add(self.chain) } else { self.last.wrapping_add(self.stride) }
    }

    /// Makes the other prediction the expected one.
    #[inline]
    pub(super) const fn swap_guesses(&mut self) {
        self.chained = !self.chained;
    }

    /// Learns that its address was `addr`, after a data reference to `before`.
    #[inline]
    pub(super) const fn learn(&mut self, addr: VirtAddr, before: VirtAddr) {
        self.stride = addr.raw().wrapping_sub(self.last.raw());
        self.chain = addr.raw().wrapping_sub(before.raw());
        self.last = addr;
    }
}

/// The predictions, empty at the beginning of every block.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) shapes: Vec<Shape>,
    pub(super) slots: Vec<Slot>,
    after_path: Vec<ShapeId>,
    path: u64,
    previous: ShapeId,
    /// End of the last fetch.
    pub(super) fall_through: VirtAddr,
    /// Address of the last data reference.
    pub(super) before: VirtAddr,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            shapes: vec![],
            slots: vec![],
            after_path: vec![0; 1 << PATH_BITS],
            path: 0,
            previous: 0,
            fall_through: VirtAddr::ZERO,
            before: VirtAddr::ZERO,
        }
    }

    /// Forgets everything: a block is decoded without those before it.
    pub(super) fn reset(&mut self) {
        self.shapes.clear();
        self.slots.clear();
        self.after_path.fill(0);
        (self.path, self.previous) = (0, 0);
        (self.fall_through, self.before) = (VirtAddr::ZERO, VirtAddr::ZERO);
    }

    /// Returns the shape that came last time after the same path.
    #[inline]
    pub(super) fn expected(&self) -> ShapeId {
        self.after_path.get(self.path_index()).copied().unwrap_or_default()
    }

    /// Returns the shape that came last time after the same shape.
    #[inline]
    pub(super) fn second_guess(&self) -> ShapeId {
        self.shapes.get(self.previous as usize).map_or(0, |shape| shape.successor)
    }

    #[inline]
    const fn path_index(&self) -> usize {
        (self.path.wrapping_mul(SPREAD) >> (64 - PATH_BITS)) as usize
    }

    /// Learns that shape `id` came.
    #[inline]
    pub(super) fn learn(&mut self, id: ShapeId, shape: &Shape) {
        let index = self.path_index();
        if let Some(entry) = self.after_path.get_mut(index) {
            *entry = id;
        }
        if let Some(previous) = self.shapes.get_mut(self.previous as usize) {
            previous.successor = id;
        }
        self.path = ((self.path << PATH_SHIFT) ^ u64::from(id)) & PATH_MASK;
        self.previous = id;
        if shape.fetch > 0 {
            self.fall_through = shape.pc.wrapping_add(shape.fetch.into());
        }
    }

    /// Adds a shape with a fetch of `fetch` bytes at `pc` and the data references of `data`.
    pub(super) fn define(&mut self, pc: VirtAddr, fetch: u16, data: &[Slot]) -> ShapeId {
        let shape = Shape {
            pc,
            fetch,
            // A shape has 62 data references at most, a block 2^20 references.
            data: u16::try_from(data.len()).unwrap_or(u16::MAX),
            first_slot: u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
            successor: 0,
        };
        self.slots.extend_from_slice(data);
        self.shapes.push(shape);
        u32::try_from(self.shapes.len() - 1).unwrap_or(u32::MAX)
    }

    /// Returns true if shape `id` exists and is that of these references.
    pub(super) fn has_shape(&self, id: ShapeId, fetch: Option<&Record>, data: &[Record]) -> bool {
        let Some(shape) = self.shapes.get(id as usize) else { return false };
        let (pc, size) = fetch.map_or((VirtAddr::ZERO, 0), |fetch| (fetch.addr, fetch.size));
        (shape.pc, shape.fetch) == (pc, size)
            && self
                .slots_of(shape)
                .iter()
                .map(|slot| (slot.kind, slot.size))
                .eq(data.iter().map(|record| (record.kind, record.size)))
    }

    fn slots_of(&self, shape: &Shape) -> &[Slot] {
        self.slots.get(shape.slot_range()).unwrap_or_default()
    }
}

impl Shape {
    /// Returns the places of its data references among the slots.
    #[inline]
    pub(super) const fn slot_range(&self) -> core::ops::Range<usize> {
        let first = self.first_slot as usize;
        first..first + self.data as usize
    }

    /// Returns the number of references that it stands for.
    #[inline]
    pub(super) const fn records(&self) -> usize {
        self.data as usize + (self.fetch > 0) as usize
    }
}
