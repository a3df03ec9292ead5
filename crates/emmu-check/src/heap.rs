//! Runs the vectors of memory managers on emmu's managers: each description becomes a configuration of one of them.

use crate::Units;
use emmu_core::PhysAddr;
use emmu_heap::{
    Block, Buddy, BuddyConfig, End, Extent, FreeList, Heap, HeapError, Layout, ListConfig, Order,
    Policy, Request, Tail, UpTo,
};
use emmu_memory::Memory;
use emmu_vectors::heap::{self, Description, Manager, Placed, Search, State, Subject};

/// The address of a manager's own words, out of the reach of every heap.
const CONTROL: PhysAddr = PhysAddr::new(1 << 50);
/// Bytes for a unit of the simulators, whose free blocks can be as small as one byte: the size of a node, so that every
/// free block holds its own node.
const NODE: u64 = 16;

impl Subject for Units {
    fn build(&mut self, heap: &Description) -> Result<Box<dyn Manager>, String> {
        build(heap).map_err(|error| format!("not modelled: {error}"))
    }
}

fn build(heap: &Description) -> Result<Box<dyn Manager>, Box<dyn std::error::Error>> {
    Ok(match *heap {
        Description::FreeSpace { base, size, .. } => {
            let region = Extent::new(PhysAddr::new(base * NODE), size * NODE);
            let mut memory = memory(region.addr, region.size, FreeList::CONTROL_BYTES)?;
            let list = FreeList::create(&mut memory, CONTROL, region, free_space(heap))?;
            Box::new(Managed { heap: list, memory, unit: NODE, rover: |_, _| Ok(None) })
        }
        Description::NextFit { unit, min_growth, limit } => {
            let start = Extent::new(PhysAddr::ZERO, 0);
            let mut memory = memory(start.addr, limit.max(1), FreeList::CONTROL_BYTES)?;
            let list = FreeList::create(&mut memory, CONTROL, start, next_fit(unit, min_growth))?;
            let heap = list.with_growth(UpTo(PhysAddr::new(limit)));
            Box::new(Managed { heap, memory, unit: 1, rover: FreeList::rover_block })
        }
        Description::FirstFit { size, min_block } => {
            let region = Extent::new(PhysAddr::ZERO, size);
            let mut memory = memory(region.addr, size, FreeList::CONTROL_BYTES)?;
            let list = FreeList::create(&mut memory, CONTROL, region, first_fit(min_block))?;
            Box::new(Managed { heap: list, memory, unit: 1, rover: |_, _| Ok(None) })
        }
        Description::Buddy { start, frames, max_order } => {
            let config = BuddyConfig { unit: NODE, max_order };
            let region = Extent::new(PhysAddr::new(start * NODE), frames * NODE);
            let own = Buddy::control_bytes(config, region.size);
            let mut memory = memory(region.addr, region.size, own)?;
            let buddy = Buddy::create(&mut memory, CONTROL, region, config)?;
            Box::new(Managed { heap: buddy, memory, unit: NODE, rover: |_, _| Ok(None) })
        }
    })
}

/// Makes a memory of the heap and the manager's own words, and nothing else.
fn memory(start: PhysAddr, size: u64, own: u64) -> Result<Memory, Box<dyn std::error::Error>> {
    Ok(Memory::new().with_ram(start, size)?.with_ram(CONTROL, own)?)
}

/// Makes the configuration of a simulator's list: sizes are rounded, and blocks are cut from the low end.
fn free_space(heap: &Description) -> ListConfig {
    let Description::FreeSpace { header, align, policy, order, coalesce, .. } = *heap else {
        return ListConfig::default();
    };
    ListConfig {
        policy: match policy {
            heap::Policy::Best => Policy::Best,
            heap::Policy::Worst => Policy::Worst,
            heap::Policy::First => Policy::First,
        },
        order: match order {
            heap::Order::Address => Order::Address,
            heap::Order::SizeAscending => Order::SizeAscending,
            heap::Order::SizeDescending => Order::SizeDescending,
            heap::Order::Front => Order::Front,
            heap::Order::Back => Order::Back,
        },
        coalesce,
        layout: Layout { round_to: align * NODE, header: header * NODE, ..Layout::default() },
        ..ListConfig::default()
    }
}

fn next_fit(unit: u64, growth_step: u64) -> ListConfig {
    let layout = Layout {
        granule: unit,
        round_to: unit,
        min_block: unit,
        header: unit,
        take: End::High,
        tail: Tail::Absorb,
    };
    ListConfig { policy: Policy::Next, layout, growth_step, ..ListConfig::default() }
}

fn first_fit(min_block: u64) -> ListConfig {
    let layout = Layout {
        granule: 8,
        round_to: 8,
        min_block,
        header: 0,
        take: End::Low,
        tail: Tail::Refuse,
    };
    ListConfig { layout, ..ListConfig::default() }
}

/// A manager and its memory, which count in units of so many bytes.
struct Managed<H> {
    heap: H,
    memory: Memory,
    unit: u64,
    rover: fn(&H, &mut Memory) -> Result<Option<PhysAddr>, HeapError>,
}

impl<H> Managed<H> {
    fn placed(&self, block: &Block) -> Placed {
        let Block { addr, extent, .. } = block;
        let (block, size) = self.units(*extent);
        Placed { payload: addr.raw() / self.unit, block, size }
    }

    fn units(&self, extent: Extent) -> (u64, u64) {
        (extent.addr.raw() / self.unit, extent.size / self.unit)
    }
}

impl<H: Heap<Memory>> Manager for Managed<H> {
    fn allocate(&mut self, size: u64, align: u64) -> Result<Search, String> {
        let request = Request::new(size.saturating_mul(self.unit)).aligned(align * self.unit);
        match self.heap.allocate(&mut self.memory, request) {
            Ok(block) => Ok(Search { found: Some(self.placed(&block)), searched: block.searched }),
            Err(HeapError::OutOfMemory { searched, .. }) => Ok(Search { found: None, searched }),
            Err(error) => Err(error.to_string()),
        }
    }

    fn free(&mut self, payload: u64, size: u64, _: u64) -> Result<(), String> {
        let addr = PhysAddr::new(payload * self.unit);
        let size = Some(size.saturating_mul(self.unit));
        let freed = self.heap.release(&mut self.memory, addr, size);
        freed.map(drop).map_err(|error| error.to_string())
    }

    /// Reads the state from memory as an observer does. After every step, all data of the manager must be consistent.
    fn state(&mut self) -> Result<State, String> {
        self.look().map_err(|error| error.to_string())
    }
}

impl<H: Heap<Memory>> Managed<H> {
    fn look(&mut self) -> Result<State, HeapError> {
        self.heap.verify(&mut self.memory)?;
        let free = self.heap.free_blocks(&mut self.memory)?;
        let region = self.heap.region(&mut self.memory)?;
        let rover = (self.rover)(&self.heap, &mut self.memory)?;
        let end = region.end.raw() / self.unit;
        Ok(State {
            free: free.into_iter().map(|block| self.units(block)).collect(),
            size: end - region.start.raw() / self.unit,
            end,
            rover: rover.map(|at| at.raw() / self.unit),
        })
    }
}
