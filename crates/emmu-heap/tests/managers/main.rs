//! Tests of all managers with the same operations.
#![expect(clippy::unwrap_used, reason = "a test")]

mod damage;
mod properties;
mod scenarios;

use emmu_core::PhysAddr;
use emmu_heap::{
    Audited, Buddy, BuddyConfig, Class, End, Extent, FreeList, FreeTree, Heap, Layout, ListConfig,
    Order, Policy, Slabs, Stack, Tail,
};
use emmu_memory::Memory;

/// Any manager.
type AnyHeap = Box<dyn Heap<Memory>>;

/// The manager's own words.
const CONTROL: PhysAddr = PhysAddr::new(0x10_0000);
const CONTROL_BYTES: u64 = 0x1000;
/// The region of the manager.
const REGION: Extent = Extent::new(PhysAddr::new(0x4000), 0x4000);

/// Makes a memory that holds these two, and nothing else.
fn memory() -> Memory {
    Memory::new()
        .with_ram(REGION.addr, REGION.size)
        .unwrap()
        .with_ram(CONTROL, CONTROL_BYTES)
        .unwrap()
}

/// A kind of manager, with its properties.
#[derive(Clone, Copy, Debug)]
enum Kind {
    List(ListConfig),
    Tree(Layout),
    Buddy(BuddyConfig),
    SlabsOverBuddy,
    SlabsOverList,
    Stack,
}

impl Kind {
    fn create(self, memory: &mut Memory) -> AnyHeap {
        match self {
            Self::List(config) => {
                Box::new(FreeList::create(memory, CONTROL, REGION, config).unwrap())
            }
            Self::Tree(layout) => {
                Box::new(FreeTree::create(memory, CONTROL, REGION, layout).unwrap())
            }
            Self::Buddy(config) => {
                Box::new(Buddy::create(memory, CONTROL, REGION, config).unwrap())
            }
            Self::SlabsOverBuddy => {
                let config = BuddyConfig { unit: 256, max_order: 6 };
                let buddy = Buddy::create(memory, CONTROL, REGION, config).unwrap();
                slabs(memory, buddy)
            }
            Self::SlabsOverList => {
                let list =
                    FreeList::create(memory, CONTROL, REGION, ListConfig::default()).unwrap();
                slabs(memory, list)
            }
            Self::Stack => Box::new(Stack::create(memory, CONTROL, REGION).unwrap()),
        }
    }

    fn audited(self, memory: &mut Memory) -> Audited<AnyHeap> {
        Audited::new(self.create(memory))
    }

    /// Returns true if all bytes that are not free belong to allocated blocks.
    fn tiles(self) -> bool {
        !matches!(self, Self::SlabsOverBuddy | Self::SlabsOverList)
    }

    /// Returns true if one free block is left after all blocks are freed.
    fn merges(self) -> bool {
        match self {
            Self::List(config) => config.coalesce && config.order == Order::Address,
            Self::Tree(_) | Self::Buddy(_) | Self::Stack => true,
            Self::SlabsOverBuddy | Self::SlabsOverList => false,
        }
    }
}

fn slabs<H: Heap<Memory> + 'static>(memory: &mut Memory, behind: H) -> AnyHeap {
    let classes = [Class { size: 32, prepared: 1 }, Class { size: 96, prepared: 0 }];
    let control = PhysAddr::new(CONTROL.raw() + CONTROL_BYTES - Slabs::<H>::control_bytes(2));
    Box::new(Slabs::create(memory, control, 512, &classes, behind).unwrap())
}

/// Returns one of many kinds of manager.
fn kind(number: u16) -> Kind {
    let pick = |step: u16, count: u16| usize::from(number / step % count);
    match number % 8 {
        0 => Kind::Stack,
        1 => Kind::Buddy(BuddyConfig { unit: [16, 64, 256][pick(8, 3)], max_order: 10 }),
        2 if pick(8, 2) == 0 => Kind::SlabsOverBuddy,
        2 => Kind::SlabsOverList,
        3 => Kind::Tree(layout(number / 8, FreeTree::NODE_BYTES)),
        _ => Kind::List(ListConfig {
            policy: Policy::ALL[pick(1, 4)],
            order: Order::ALL[pick(8, 5)],
            coalesce: pick(40, 2) == 0,
            layout: layout(number / 80, 16),
            ..ListConfig::default()
        }),
    }
}

fn layout(number: u16, node: u64) -> Layout {
    let pick = |step: u16, count: u16| usize::from(number / step % count);
    let granule = [8_u64, 16, 64][pick(1, 3)];
    let header = [16_u64, 64, 0][pick(3, 3)].next_multiple_of(granule);
    Layout {
        granule,
        round_to: granule * [1, 3][pick(9, 2)],
        min_block: node.next_multiple_of(granule),
        header,
        take: [End::Low, End::High][pick(18, 2)],
        tail: if header == 0 { Tail::Refuse } else { [Tail::Absorb, Tail::Refuse][pick(36, 2)] },
    }
}
