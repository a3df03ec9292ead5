//! Properties of all managers, for any requests, against a map of the owner of every byte.

use crate::{CONTROL, Kind, REGION, kind, memory};
use emmu_core::PhysAddr;
use emmu_heap::{
    Audited, End, Extent, FreeList, FreeTree, Heap, HeapError, Layout, ListConfig, Policy, Request,
    Tail,
};
use emmu_memory::Memory;
use emmu_property::{TestResult, quickcheck};
use std::collections::HashSet;

/// An operation: an allocation with its size and alignment, or the index of a block to free.
pub(crate) type Op = (bool, u16, u8);

pub(crate) fn request((_, size, align): Op) -> Request {
    // Most requests are small.
    let size = if size.is_multiple_of(16) { size % 0x3000 } else { size % 300 };
    Request::new(size.into()).aligned(if align.is_multiple_of(4) {
        1 << (align / 4 % 9)
    } else {
        1
    })
}

/// The owner of each byte of the region.
struct Owners(Vec<Option<PhysAddr>>);

impl Owners {
    fn bytes(&mut self, extent: Extent) -> &mut [Option<PhysAddr>] {
        let start = usize::try_from(extent.addr.raw() - REGION.addr.raw()).unwrap();
        &mut self.0[start..start + usize::try_from(extent.size).unwrap()]
    }

    /// Passes the bytes from one owner to another. All of them must belong to the first.
    fn pass(&mut self, extent: Extent, from: Option<PhysAddr>, to: Option<PhysAddr>) {
        for byte in self.bytes(extent) {
            assert_eq!(*byte, from, "bytes of {extent:?} are somebody else's");
            *byte = to;
        }
    }
}

/// A manager and the map.
struct World {
    kind: Kind,
    heap: Audited<crate::AnyHeap>,
    memory: Memory,
    owners: Owners,
    live: Vec<(PhysAddr, Extent)>,
}

impl World {
    fn new(kind: Kind) -> Self {
        let mut memory = memory();
        let heap = kind.audited(&mut memory);
        let size = usize::try_from(REGION.size).unwrap();
        Self { kind, heap, memory, owners: Owners(vec![None; size]), live: Vec::new() }
    }

    fn perform(&mut self, op: Op) {
        let (allocates, pick, _) = op;
        if allocates || self.live.is_empty() {
            self.allocate(request(op));
        } else {
            // A stack frees only the newest block.
            let newest = self.live.len() - 1;
            let any = usize::from(pick) % self.live.len();
            self.free(if matches!(self.kind, Kind::Stack) { newest } else { any });
        }
        self.check();
    }

    fn allocate(&mut self, request: Request) {
        match self.heap.allocate(&mut self.memory, request) {
            Ok(block) => {
                let payload = Extent::new(block.addr, request.size);
                assert!(block.extent.addr <= payload.addr && payload.end() <= block.extent.end());
                assert!(block.addr.raw().is_multiple_of(request.align), "{block:?}: {request:?}");
                self.owners.pass(block.extent, None, Some(block.addr));
                self.live.push((block.addr, block.extent));
            }
            Err(HeapError::OutOfMemory { .. }) => {}
            Err(refused) => panic!("{request:?}: {refused}"),
        }
    }

    fn free(&mut self, index: usize) {
        let (addr, extent) = self.live.swap_remove(index);
        // A swap would move the newest block away from the end.
        self.live.sort_by_key(|(addr, _)| std::cmp::Reverse(*addr));
        assert_eq!(self.heap.free(&mut self.memory, addr), Ok(extent));
        self.owners.pass(extent, Some(addr), None);
    }

    fn check(&mut self) {
        self.heap.verify(&mut self.memory).unwrap();
        let free = self.heap.free_blocks(&mut self.memory).unwrap();
        let nobody = PhysAddr::new(u64::MAX);
        for block in &free {
            self.owners.pass(*block, None, Some(nobody));
        }
        if self.kind.tiles() {
            let gap = self.owners.0.iter().position(Option::is_none);
            assert_eq!(gap, None, "a byte is neither free nor allocated");
            let sum: u64 = free.iter().map(|block| block.size).sum();
            assert_eq!(sum + self.heap.usage().taken, REGION.size);
        }
        for block in free {
            self.owners.pass(block, Some(nobody), None);
        }
    }

    fn free_all(&mut self) {
        while !self.live.is_empty() {
            self.free(self.live.len() - 1);
        }
        self.check();
    }
}

quickcheck! {
    fn blocks_tile_the_region_and_none_overlap(number: u16, ops: Vec<Op>) -> bool {
        let mut world = World::new(kind(number));
        ops.into_iter().for_each(|op| world.perform(op));
        world.free_all();
        world.heap.check_leaks().unwrap();
        let blocks = world.heap.free_blocks(&mut world.memory).unwrap();
        !world.kind.merges() || blocks.iter().map(|block| block.size).max() == Some(REGION.size)
            || matches!(world.kind, Kind::Buddy(config) if config.unit << config.max_order < REGION.size)
    }

    fn a_policy_takes_what_it_is_defined_to_take(number: u16, ops: Vec<Op>) -> TestResult {
        let Kind::List(mut config) = kind(number | 4) else { return TestResult::discard() };
        config.layout = Layout { header: 16, ..Layout::default() };
        let mut memory = memory();
        let heap = FreeList::create(&mut memory, CONTROL, REGION, config).unwrap();
        let mut heap = Audited::new(heap);
        for op in ops {
            let (allocates, pick, _) = op;
            let live: Vec<_> = heap.live().map(|live| live.block.addr).collect();
            if !allocates && !live.is_empty() {
                heap.free(&mut memory, live[usize::from(pick) % live.len()]).unwrap();
                continue;
            }
            let rover = heap.heap().rover_block(&mut memory).unwrap();
            let before = heap.free_blocks(&mut memory).unwrap();
            let request = Request { align: 1, ..request(op) };
            let expected = definition(config.policy, rover, &before, request.size.next_multiple_of(16) + 16);
            match (heap.allocate(&mut memory, request), expected) {
                (Ok(block), Some((place, searched))) => {
                    assert!(before[place].contains(block.extent.addr));
                    assert_eq!(block.searched, searched);
                }
                (Err(HeapError::OutOfMemory { searched, .. }), None) => {
                    assert_eq!(searched, before.len() as u64);
                }
                (got, expected) => panic!("expected {expected:?}, got {got:?}"),
            }
        }
        TestResult::passed()
    }

    fn a_tree_answers_as_best_fit_does(number: u16, ops: Vec<Op>) -> bool {
        let layout = crate::layout(number, FreeTree::NODE_BYTES);
        let config = ListConfig { policy: Policy::Best, layout, ..ListConfig::default() };
        let mut worlds = [World::new(Kind::Tree(layout)), World::new(Kind::List(config))];
        ops.into_iter().all(|op| {
            for world in &mut worlds {
                world.perform(op);
            }
            let [tree, list] = &mut worlds;
            let blocks = |world: &mut World| world.heap.free_blocks(&mut world.memory).unwrap();
            tree.live == list.live && blocks(tree) == blocks(list)
        })
    }

    fn who_looks_only_at_memory_sees_the_same_list(number: u16, ops: Vec<Op>) -> TestResult {
        let Kind::List(config) = kind(number | 4) else { return TestResult::discard() };
        let mut world = World::new(Kind::List(config));
        ops.into_iter().for_each(|op| world.perform(op));
        let free = world.heap.free_blocks(&mut world.memory).unwrap();
        TestResult::from_bool(walk(&world.memory) == free)
    }
}

/// Returns the index on the list of the block that the policy takes, and the number of blocks searched.
fn definition(
    policy: Policy,
    rover: Option<PhysAddr>,
    list: &[Extent],
    need: u64,
) -> Option<(usize, u64)> {
    let fitting: Vec<_> = (0..list.len()).filter(|place| list[*place].size >= need).collect();
    let sizes = fitting.iter().map(|place| list[*place].size);
    let whole = list.len() as u64;
    let of_size = |size| fitting.iter().find(|place| list[**place].size == size).copied();
    match policy {
        Policy::Best => Some((of_size(sizes.min()?)?, whole)),
        Policy::Worst => Some((of_size(sizes.max()?)?, whole)),
        Policy::First => fitting.first().map(|place| (*place, *place as u64 + 1)),
        Policy::Next => {
            let resting = list.iter().position(|block| Some(block.addr) == rover);
            let start = resting.map_or(0, |place| place + 1);
            let distance = |place: &usize| (place + list.len() - start) % list.len();
            let place = fitting.iter().min_by_key(|place| distance(place))?;
            Some((*place, distance(place) as u64 + 1))
        }
        _ => panic!("{policy:?} has no definition here"),
    }
}

/// Walks the list without the manager: words of 8 bytes, of which the low 48 bits count.
fn walk(memory: &Memory) -> Vec<Extent> {
    use emmu_core::{Bus, Width, low_mask};
    let word = |at: u64| memory.peek(PhysAddr::new(at), Width::B8).unwrap() & low_mask(48);
    let (mut next, mut blocks) = (word(CONTROL.raw()), Vec::new());
    while next != low_mask(48) {
        blocks.push(Extent::new(PhysAddr::new(next), word(next)));
        next = word(next + 8);
    }
    blocks
}

#[test]
fn many_different_managers_are_drawn() {
    let drawn: HashSet<_> = (0..4000).map(|number| format!("{:?}", kind(number))).collect();
    assert!(drawn.len() > 400, "{}", drawn.len());
    let high = Layout { take: End::High, tail: Tail::Refuse, ..Layout::default() };
    assert_ne!(high, Layout::default());
}

#[test]
fn a_tree_looks_at_few_blocks_of_many() {
    let layout =
        Layout { min_block: 64, round_to: 64, granule: 64, header: 0, ..Layout::default() };
    let region = Extent::new(PhysAddr::new(0), 64 * 4096);
    let mut memory = Memory::ram(1 << 20);
    let control = PhysAddr::new(1 << 19);
    let mut tree = FreeTree::create(&mut memory, control, region, layout).unwrap();
    let blocks: Vec<_> =
        (0..4096).map(|_| tree.allocate(&mut memory, Request::new(64)).unwrap().addr).collect();
    for addr in blocks.into_iter().step_by(2) {
        tree.release(&mut memory, addr, Some(64)).unwrap();
    }
    // An AVL tree of 2048 nodes is at most 15 high: 1.4405 log2(2050) − 0.33.
    let found = tree.allocate(&mut memory, Request::new(64)).unwrap();
    assert!(found.searched <= 15, "{}", found.searched);
    assert_eq!(found.addr, region.addr);
}
