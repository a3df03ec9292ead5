//! A manager notices writes of other code to its data: it does not hang, does not panic, and touches no byte
//! outside.

use crate::properties::{Op, request};
use crate::{CONTROL, CONTROL_BYTES, Kind, REGION, kind, memory};
use emmu_core::{Bus, BusError, PhysAddr, Transfer, Width};
use emmu_heap::{
    Buddy, BuddyConfig, Corruption, Extent, Field, FreeList, FreeTree, Heap, HeapError,
    InvalidFree, Layout, ListConfig, Order, Request,
};
use emmu_memory::Memory;
use emmu_property::quickcheck;

/// A bus that records the bytes that are read.
struct Spy<'a> {
    memory: &'a mut Memory,
    read: Vec<PhysAddr>,
}

impl Bus for Spy<'_> {
    fn read(&mut self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        self.read.extend((0..width.bytes()).map(|byte| addr.wrapping_add(byte)));
        self.memory.read(addr, width)
    }
    fn write(&mut self, addr: PhysAddr, width: Width, value: u64) -> Result<(), BusError> {
        self.memory.write(addr, width, value)
    }
    fn peek(&self, addr: PhysAddr, width: Width) -> Result<u64, BusError> {
        self.memory.peek(addr, width)
    }
    fn check(&self, addr: PhysAddr, len: u64, transfer: Transfer) -> Result<(), BusError> {
        self.memory.check(addr, len, transfer)
    }
}

/// Returns the bytes that hold a manager's data.
fn data<H: for<'a> Heap<Spy<'a>>>(heap: &H, memory: &mut Memory) -> Vec<PhysAddr> {
    let mut spy = Spy { memory, read: Vec::new() };
    heap.verify(&mut spy).unwrap();
    let mut read = spy.read;
    read.sort();
    read.dedup();
    read
}

fn flip(memory: &mut Memory, at: PhysAddr, bits: u8) {
    let old = memory.read(at, Width::B1).unwrap();
    memory.write(at, Width::B1, old ^ u64::from(bits)).unwrap();
}

/// Makes a heap with free and allocated blocks.
fn busy<H: Heap<Memory>>(heap: &mut H, memory: &mut Memory) {
    let blocks: Vec<_> =
        (1..20).map(|size| heap.allocate(memory, Request::new(size * 24)).unwrap().addr).collect();
    for addr in blocks.into_iter().step_by(2) {
        heap.release(memory, addr, None).unwrap();
    }
}

/// Flips each bit of every byte of the manager's data, and checks that the manager notices.
fn every_flip_is_noticed<H>(heap: &H, memory: &mut Memory)
where
    H: Heap<Memory> + for<'a> Heap<Spy<'a>>,
{
    let bytes = data(heap, memory);
    assert!(bytes.len() > 100, "{}", bytes.len());
    for at in bytes {
        for bits in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            flip(memory, at, bits);
            let found = heap.verify(memory);
            let noticed = matches!(
                found,
                Err(HeapError::Corrupt { .. } | HeapError::HeaderOverwritten { .. })
            );
            assert!(noticed, "{at} with {bits:#x} flipped: {found:?}");
            flip(memory, at, bits);
        }
    }
    assert_eq!(heap.verify(memory), Ok(()));
}

#[test]
fn every_byte_of_a_free_list_and_its_headers_is_guarded() {
    let mut memory = memory();
    let mut list = FreeList::create(&mut memory, CONTROL, REGION, ListConfig::default()).unwrap();
    busy(&mut list, &mut memory);
    every_flip_is_noticed(&list, &mut memory);
}

#[test]
fn every_byte_of_a_tree_is_guarded() {
    let mut memory = memory();
    let layout = Layout { min_block: 64, ..Layout::default() };
    let mut tree = FreeTree::create(&mut memory, CONTROL, REGION, layout).unwrap();
    busy(&mut tree, &mut memory);
    every_flip_is_noticed(&tree, &mut memory);
}

#[test]
fn every_byte_of_a_buddy_system_is_guarded() {
    let mut memory = memory();
    let config = BuddyConfig { unit: 64, max_order: 8 };
    let mut buddy = Buddy::create(&mut memory, CONTROL, REGION, config).unwrap();
    busy(&mut buddy, &mut memory);
    every_flip_is_noticed(&buddy, &mut memory);
}

quickcheck! {
    /// After a byte has changed, an operation gives the answer that it would have given, or an error.
    fn no_changed_byte_changes_an_answer(number: u16, ops: Vec<Op>, at: u32, bits: u8, then: Vec<Op>) -> bool {
        let kind = kind(number);
        let mut clean = Side::new(kind);
        for op in ops {
            clean.perform(op).unwrap();
        }
        let mut damaged = Side::new(kind);
        damaged.memory = clean.memory.clone();
        damaged.live.clone_from(&clean.live);
        flip(&mut damaged.memory, somewhere(at, &damaged.live), bits);
        for op in then {
            match (damaged.perform(op), clean.perform(op).unwrap()) {
                (Err(HeapError::Bus(_)), _) => return false,
                // The change was noticed.
                (Err(_), _) => return true,
                (Ok(got), expected) if got == expected => {}
                _ => return false,
            }
        }
        true
    }

    /// After any number of bytes were overwritten with any values, every operation still ends, and stays within
    /// its memory.
    fn garbage_is_survived(number: u16, ops: Vec<Op>, garbage: Vec<(u32, u64)>, then: Vec<Op>) -> bool {
        let mut side = Side::new(kind(number));
        for op in ops {
            side.perform(op).unwrap();
        }
        for (at, value) in garbage {
            // The word must not pass the end.
            let at = PhysAddr::new(somewhere(at, &[]).raw() & !7);
            side.memory.write(at, Width::B8, value).unwrap();
        }
        let escaped = |answer| matches!(answer, Err(HeapError::Bus(_)));
        !then.into_iter().any(|op| escaped(side.perform(op)))
            && !escaped(side.heap.verify(&mut side.memory).map(|()| None))
            && !escaped(side.heap.free_blocks(&mut side.memory).map(|_| None))
    }
}

/// Draws a byte of the heap or of the manager's words that lies in no block.
fn somewhere(at: u32, live: &[(PhysAddr, u64)]) -> PhysAddr {
    let (at, own) = (u64::from(at), at.is_multiple_of(3));
    let (start, size) = if own { (CONTROL, CONTROL_BYTES) } else { (REGION.addr, REGION.size) };
    let place = PhysAddr::new(start.raw() + at % size);
    let payload = live.iter().find(|(addr, size)| Extent::new(*addr, *size).contains(place));
    payload.map_or(place, |_| CONTROL)
}

/// A manager and its allocations.
struct Side {
    kind: Kind,
    heap: crate::AnyHeap,
    memory: Memory,
    live: Vec<(PhysAddr, u64)>,
}

impl Side {
    fn new(kind: Kind) -> Self {
        let mut memory = memory();
        let heap = kind.create(&mut memory);
        Self { kind, heap, memory, live: Vec::new() }
    }

    /// Performs an operation. Returns the place of the block, or `None` if there is no room.
    fn perform(&mut self, op: Op) -> Result<Option<Extent>, HeapError> {
        let (allocates, pick, _) = op;
        if allocates || self.live.is_empty() {
            let request = request(op);
            return match self.heap.allocate(&mut self.memory, request) {
                Ok(block) => {
                    self.live.push((block.addr, request.size));
                    Ok(Some(block.extent))
                }
                Err(HeapError::OutOfMemory { .. }) => Ok(None),
                Err(refused) => Err(refused),
            };
        }
        let newest = matches!(self.kind, Kind::Stack);
        let place = if newest { self.live.len() - 1 } else { usize::from(pick) % self.live.len() };
        let (addr, size) = self.live.remove(place);
        self.heap.release(&mut self.memory, addr, Some(size)).map(Some)
    }
}

fn list(memory: &mut Memory) -> FreeList {
    FreeList::create(memory, CONTROL, REGION, ListConfig::default()).unwrap()
}

/// A pointer that was right once has a valid seal. If it is written back later, it makes a cycle.
#[test]
fn a_cycle_of_whole_words_is_found() {
    let mut memory = memory();
    let config = ListConfig { order: Order::Front, coalesce: false, ..ListConfig::default() };
    // The region has room for two blocks only.
    let region = Extent::new(REGION.addr, 128);
    let mut heap = FreeList::create(&mut memory, CONTROL, region, config).unwrap();
    let [a, b] = [(); 2].map(|()| heap.allocate(&mut memory, Request::new(48)).unwrap());
    let next_of_b = b.extent.addr.wrapping_add(8);
    heap.free(&mut memory, a.addr).unwrap();
    heap.free(&mut memory, b.addr).unwrap();
    let to_a = memory.read(next_of_b, Width::B8).unwrap();

    let [b, a] = [(); 2].map(|()| heap.allocate(&mut memory, Request::new(48)).unwrap());
    heap.free(&mut memory, b.addr).unwrap();
    heap.free(&mut memory, a.addr).unwrap();
    assert_eq!(heap.free_blocks(&mut memory).unwrap(), [a.extent, b.extent]);
    memory.write(next_of_b, Width::B8, to_a).unwrap();
    let endless =
        HeapError::Corrupt { at: next_of_b, field: Field::Next, problem: Corruption::Endless };
    assert_eq!(heap.free_blocks(&mut memory), Err(endless));
    assert_eq!(heap.allocate(&mut memory, Request::new(100)), Err(endless));
}

#[test]
fn an_overwritten_header_is_told_by_its_magic_number() {
    let mut memory = memory();
    let mut heap = list(&mut memory);
    let addr = heap.allocate(&mut memory, Request::new(100)).unwrap().addr;
    memory.write(PhysAddr::new(addr.raw() - 8), Width::B4, 0xdead).unwrap();
    let found = memory.read(PhysAddr::new(addr.raw() - 8), Width::B8).unwrap();
    assert_eq!(heap.free(&mut memory, addr), Err(HeapError::HeaderOverwritten { addr, found }));
}

#[test]
fn a_double_free_is_told_without_a_record() {
    for merged in [false, true] {
        let mut memory = memory();
        let mut heap = list(&mut memory);
        let below = heap.allocate(&mut memory, Request::new(100)).unwrap().addr;
        let addr = heap.allocate(&mut memory, Request::new(100)).unwrap().addr;
        if merged {
            heap.free(&mut memory, below).unwrap();
        }
        heap.free(&mut memory, addr).unwrap();
        assert_eq!(heap.free(&mut memory, addr), Err(HeapError::DoubleFree { addr }));
    }
}

#[test]
fn an_invalid_free_is_told_with_why() {
    let mut memory = memory();
    let mut heap = list(&mut memory);
    let addr = heap.allocate(&mut memory, Request::new(100)).unwrap().addr;
    for (addr, why) in [
        (PhysAddr::new(0x40), InvalidFree::Outside),
        (REGION.end().wrapping_add(16), InvalidFree::Outside),
        (addr.wrapping_add(1), InvalidFree::Misaligned),
    ] {
        assert_eq!(heap.free(&mut memory, addr), Err(HeapError::InvalidFree { addr, why }));
    }
}

#[test]
fn a_size_that_reaches_into_a_free_block_is_refused() {
    let mut memory = memory();
    let layout = Layout { header: 0, ..Layout::default() };
    let config = ListConfig { layout, ..ListConfig::default() };
    let mut heap = FreeList::create(&mut memory, CONTROL, REGION, config).unwrap();
    let addr = heap.allocate(&mut memory, Request::new(32)).unwrap().addr;
    let refused = heap.release(&mut memory, addr, Some(48));
    assert_eq!(refused, Err(HeapError::InvalidFree { addr, why: InvalidFree::Extent }));
    assert_eq!(heap.free(&mut memory, addr), Err(HeapError::SizeUnknown { addr }));
    assert_eq!(heap.release(&mut memory, addr, Some(32)), Ok(Extent::new(addr, 32)));
}
