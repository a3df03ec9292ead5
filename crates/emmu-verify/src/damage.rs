//! Checks memory managers whose data is overwritten by others.

use crate::targets::Verdict;
use emmu_core::{Bus, PhysAddr, Width};
use emmu_heap::{
    Block, Buddy, BuddyConfig, Class, ConfigError, Extent, FreeList, FreeTree, Heap, HeapError,
    Layout, ListConfig, Order, Policy, Request, Slabs, Stack, Tail,
};
use emmu_memory::Memory;

type AnyHeap = Box<dyn Heap<Memory>>;

/// The memory that the managers manage.
const REGION: Extent = Extent::new(PhysAddr::new(0x2000), 0x1000);
/// The manager's own words.
const CONTROL: Extent = Extent::new(PhysAddr::new(0x8000), 0x400);
/// The words of a manager in front of another.
const FRONT: PhysAddr = PhysAddr::new(0x8200);

/// Makes the manager that the first byte chooses, and executes a command for each four bytes after it: allocate, free,
/// look, or write to any place in the heap or in the manager's own words.
///
/// # Errors
/// If a manager accesses a byte that is not its own, or allocates one.
pub fn heap(bytes: &[u8]) -> Verdict {
    let Some((kind, commands)) = bytes.split_first() else { return Ok(()) };
    let mut memory = memory().map_err(|error| error.to_string())?;
    let mut heap = manager(*kind, &mut memory).map_err(|error| error.to_string())?;
    let mut live = Vec::new();
    for command in commands.chunks_exact(4) {
        let [what, a, b, c] = *command else { break };
        let number = u16::from_le_bytes([a, b]);
        match what % 4 {
            0 => live.extend(allocate(&mut heap, &mut memory, number, c)?),
            1 if !live.is_empty() => {
                let block = live.swap_remove(usize::from(number) % live.len());
                let freed = heap.release(&mut memory, block.0, Some(block.1));
                stays_within(freed)?;
            }
            2 => look(&heap, &mut memory)?,
            _ => overwrite(&mut memory, number, what, c)?,
        }
    }
    look(&heap, &mut memory)
}

fn memory() -> Result<Memory, emmu_memory::MapError> {
    Memory::new().with_ram(REGION.addr, REGION.size)?.with_ram(CONTROL.addr, CONTROL.size)
}

/// Makes one of many managers.
fn manager(kind: u8, memory: &mut Memory) -> Result<AnyHeap, ConfigError> {
    let pick = |step: u8, count: u8| usize::from(kind / step % count);
    let control = CONTROL.addr;
    let buddy = BuddyConfig { unit: 64, max_order: 6 };
    let layout = match pick(4, 2) {
        0 => Layout { min_block: 64, ..Layout::default() },
        _ => Layout { min_block: 64, header: 0, tail: Tail::Refuse, ..Layout::default() },
    };
    Ok(match kind % 8 {
        0 => Box::new(Stack::create(memory, control, REGION)?),
        1 => Box::new(Buddy::create(memory, control, REGION, buddy)?),
        2 => {
            let buddy = Buddy::create(memory, control, REGION, buddy)?;
            let classes = [Class { size: 32, prepared: 1 }, Class { size: 64, prepared: 0 }];
            Box::new(Slabs::create(memory, FRONT, 256, &classes, buddy)?)
        }
        3 => Box::new(FreeTree::create(memory, control, REGION, layout)?),
        _ => {
            let config = ListConfig {
                policy: Policy::ALL[pick(8, 4)],
                order: Order::ALL[pick(32, 5)],
                coalesce: pick(1, 2) == 0,
                layout: Layout { min_block: 16, ..layout },
                ..ListConfig::default()
            };
            Box::new(FreeList::create(memory, control, REGION, config)?)
        }
    })
}

/// Allocates a block. Returns its place and the request, if the manager had room.
fn allocate(
    heap: &mut AnyHeap,
    memory: &mut Memory,
    size: u16,
    align: u8,
) -> Result<Option<(PhysAddr, u64)>, String> {
    let request = Request::new(u64::from(size % 0x400)).aligned(1 << (align % 10));
    let Some(Block { addr, extent, .. }) = stays_within(heap.allocate(memory, request))? else {
        return Ok(None);
    };
    let ends = addr.checked_add(request.size).is_some_and(|end| end <= REGION.end());
    if extent.addr >= REGION.addr && addr >= extent.addr && ends {
        return Ok(Some((addr, request.size)));
    }
    Err(format!("{request:?} is met by {extent:?}, which is not in the heap"))
}

fn look(heap: &AnyHeap, memory: &mut Memory) -> Verdict {
    stays_within(heap.verify(memory))?;
    stays_within(heap.free_blocks(memory)).map(drop)
}

/// Returns the answer, or `None` for an error. A bus error is a defect, since the bus has all bytes that a manager may
/// access.
fn stays_within<T>(answer: Result<T, HeapError>) -> Result<Option<T>, String> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(HeapError::Bus(error)) => Err(format!("a manager left its memory: {error}")),
        Err(_) => Ok(None),
    }
}

/// Writes a byte, or copies a word from elsewhere, whose seal may be whole.
fn overwrite(memory: &mut Memory, place: u16, what: u8, value: u8) -> Verdict {
    let at = |place: u16| {
        let extent = if place & 1 == 0 { REGION } else { CONTROL };
        extent.addr.wrapping_add((u64::from(place / 2) % extent.size) & !7)
    };
    let to = at(place);
    let done = match what & 0x10 {
        0 => memory.write(to.wrapping_add(u64::from(what >> 5)), Width::B1, value.into()),
        _ => memory
            .read(at(u16::from(value) << 3), Width::B8)
            .and_then(|word| memory.write(to, Width::B8, word)),
    };
    done.map_err(|error| error.to_string())
}
