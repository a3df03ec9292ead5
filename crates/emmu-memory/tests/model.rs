//! Compares random transfers with a model that looks at one byte at a time.

use emmu_core::{Bus, BusError, PhysAddr, RAM_PAGE_BITS, Transfer, Width};
use emmu_memory::Memory;
use emmu_property::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeMap;

/// A region of the map. `end` is one past its last byte and may be 2^64.
#[derive(Clone, Debug)]
struct Area {
    start: u128,
    end: u128,
    writable: bool,
}

/// A model of memory, written from the specification: bytes, areas, holes.
#[derive(Default)]
struct Model {
    areas: Vec<Area>,
    bytes: BTreeMap<u64, u8>,
}

impl Model {
    fn area(&self, at: u128) -> Option<&Area> {
        self.areas.iter().find(|area| area.start <= at && at < area.end)
    }

    fn check(&self, addr: u64, len: usize, transfer: Transfer) -> Result<(), BusError> {
        for at in (u128::from(addr)..).take(len) {
            let here = PhysAddr::new(u64::try_from(at).unwrap_or(u64::MAX));
            let area = self.area(at).ok_or(BusError::Unmapped { addr: here })?;
            if transfer == Transfer::Write && !area.writable {
                return Err(BusError::ReadOnly { addr: here });
            }
        }
        Ok(())
    }

    fn read(&self, addr: u64, len: usize) -> Result<Vec<u8>, BusError> {
        self.check(addr, len, Transfer::Read)?;
        Ok((addr..=u64::MAX).take(len).map(|at| self.byte(at)).collect())
    }

    fn byte(&self, at: u64) -> u8 {
        self.bytes.get(&at).copied().unwrap_or(0)
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), BusError> {
        self.check(addr, bytes.len(), Transfer::Write)?;
        self.bytes.extend((addr..=u64::MAX).zip(bytes.iter().copied()));
        Ok(())
    }

    fn load(&mut self, addr: u64, bytes: &[u8]) -> Result<(), BusError> {
        self.check(addr, bytes.len(), Transfer::Read)?;
        self.bytes.extend((addr..=u64::MAX).zip(bytes.iter().copied()));
        Ok(())
    }

    /// Returns the first byte of the frame around `addr`, if all of the frame is RAM of one area.
    fn ram_frame(&self, addr: u64) -> Option<u64> {
        let first = addr / 4096 * 4096;
        let area = self.area(u128::from(addr)).filter(|area| area.writable)?;
        let inside = area.start <= u128::from(first) && u128::from(first) + 4096 <= area.end;
        inside.then_some(first)
    }
}

/// Addresses around which frames, areas and the address space begin and end.
const EDGES: [u64; 8] =
    [0, 0x0800, 0x1000, 0x2000, 0x2ff8, 0x8000_0000, u64::MAX - 0x0fff, u64::MAX];

#[derive(Clone, Copy, Debug)]
struct Addr(u64);

impl Arbitrary for Addr {
    fn arbitrary(g: &mut Gen) -> Self {
        let edge = *g.choose(&EDGES).expect("not empty");
        let away =
            *g.choose(&[0, 1, 4, 7, 8, 0x10, 0x7ff, 0x800, 0x1000, 0x17f3]).expect("not empty");
        Self(if bool::arbitrary(g) { edge.wrapping_add(away) } else { edge.wrapping_sub(away) })
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Read(Width),
    Peek(Width),
    Write(Width, u64),
    CompareExchange(Width, u64, u64),
    ReadBytes(u16),
    WriteBytes(u16, u8),
    Load(u16, u8),
    Check(u16, bool),
    ThroughRamPage(u8),
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Self {
        let width = *g.choose(&Width::ALL).expect("not empty");
        let len = *g.choose(&[0, 1, 3, 8, 17, 40, 300, 0x1801]).expect("not empty");
        match u8::arbitrary(g) % 9 {
            0 => Self::Read(width),
            1 => Self::Peek(width),
            2 => Self::Write(width, u64::arbitrary(g)),
            3 => Self::CompareExchange(width, u64::arbitrary(g) % 2, u64::arbitrary(g)),
            4 => Self::ReadBytes(len),
            5 => Self::WriteBytes(len, u8::arbitrary(g)),
            6 => Self::Load(len, u8::arbitrary(g)),
            7 => Self::Check(len, bool::arbitrary(g)),
            _ => Self::ThroughRamPage(u8::arbitrary(g)),
        }
    }
}

/// Makes a memory and its model with the same regions. A region that overlaps an earlier one is left out of
/// both.
fn machine(wanted: &[(Addr, u16, bool)]) -> (Memory, Model) {
    let (mut memory, mut model) = (Memory::new(), Model::default());
    for &(Addr(start), size, writable) in wanted {
        let (base, len) = (PhysAddr::new(start), u64::from(size));
        let added = match writable {
            true => memory.clone().with_ram(base, len),
            false => memory.clone().with_rom(base, len),
        };
        let area = Area { start: start.into(), end: u128::from(start) + u128::from(len), writable };
        let free = model.areas.iter().all(|old| area.end <= old.start || old.end <= area.start);
        assert_eq!(added.is_ok(), free && len > 0 && area.end <= 1 << 64, "{area:?}");
        if let Ok(added) = added {
            memory = added;
            model.areas.push(area);
        }
    }
    (memory, model)
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Performs one operation on both and compares the results.
fn agree(memory: &mut Memory, model: &mut Model, op: Op, addr: u64) -> bool {
    let at = PhysAddr::new(addr);
    match op {
        Op::Read(width) => {
            memory.read(at, width) == model.read(addr, width as usize).map(|bytes| word(&bytes))
        }
        Op::Peek(width) => {
            memory.peek(at, width) == model.read(addr, width as usize).map(|bytes| word(&bytes))
        }
        Op::Write(width, value) => {
            let bytes = &value.to_le_bytes()[..width as usize];
            memory.write(at, width, value) == model.write(addr, bytes)
        }
        Op::CompareExchange(width, current, new) => {
            memory.compare_exchange(at, width, current, new)
                == model_compare_exchange(model, addr, width, current, new)
        }
        Op::ReadBytes(len) => {
            let mut bytes = vec![0xaa; len.into()];
            let read = memory.read_bytes(at, &mut bytes);
            read.map(|()| bytes) == model.read(addr, len.into())
        }
        Op::WriteBytes(len, seed) => {
            let bytes = pattern(len, seed);
            memory.write_bytes(at, &bytes) == model.write(addr, &bytes)
        }
        Op::Load(len, seed) => {
            let bytes = pattern(len, seed);
            memory.load(at, &bytes) == model.load(addr, &bytes)
        }
        Op::Check(len, write) => {
            let transfer = if write { Transfer::Write } else { Transfer::Read };
            memory.check(at, len.into(), transfer) == model.check(addr, len.into(), transfer)
        }
        Op::ThroughRamPage(value) => through_ram_page(memory, model, addr, value),
    }
}

fn model_compare_exchange(
    model: &mut Model,
    addr: u64,
    width: Width,
    current: u64,
    new: u64,
) -> Result<u64, BusError> {
    model.check(addr, width as usize, Transfer::Write)?;
    let held = word(&model.read(addr, width as usize)?);
    if held == current {
        model.write(addr, &new.to_le_bytes()[..width as usize])?;
    }
    Ok(held)
}

fn pattern(len: u16, seed: u8) -> Vec<u8> {
    (0..len).map(|i| seed.wrapping_add((i % 251) as u8)).collect()
}

/// Compares the frame, as a slice, with the model's, and writes a byte of it.
fn through_ram_page(memory: &mut Memory, model: &mut Model, addr: u64, value: u8) -> bool {
    let page = memory.ram_page(PhysAddr::new(addr));
    match (page, model.ram_frame(addr)) {
        (None, None) => true,
        (Some(offset), Some(first)) => {
            let same = memory.ram()[offset..offset + 4096] == model.read(first, 4096).expect("RAM");
            let in_page = usize::try_from(addr - first).expect("below 4096");
            memory.ram_mut()[offset + in_page] = value;
            model.bytes.insert(addr, value);
            same && memory.ram_page(PhysAddr::new(first)) == Some(offset)
        }
        _ => false,
    }
}

/// Returns true if the memory holds every byte that the model ever wrote, and if no other frame takes memory of
/// the host.
fn same_bytes(memory: &Memory, model: &Model) -> bool {
    model
        .bytes
        .iter()
        .all(|(&at, &byte)| memory.peek(PhysAddr::new(at), Width::B1) == Ok(byte.into()))
}

quickcheck! {
    fn memory_is_a_map_of_bytes_with_holes(
        areas: Vec<(Addr, u16, bool)>,
        ops: Vec<(Op, Addr)>
    ) -> bool {
        let (mut memory, mut model) = machine(&areas);
        ops.iter().all(|&(op, Addr(addr))| agree(&mut memory, &mut model, op, addr))
            && same_bytes(&memory, &model)
    }

    fn memory_of_one_big_region_agrees_with_the_model(ops: Vec<(Op, Addr)>) -> bool {
        let mut memory = Memory::ram(u64::MAX);
        let mut model = Model::default();
        model.areas.push(Area { start: 0, end: u128::from(u64::MAX), writable: true });
        ops.iter().all(|&(op, Addr(addr))| agree(&mut memory, &mut model, op, addr))
            && same_bytes(&memory, &model)
    }

    fn only_frames_that_were_written_cost_host_memory(ops: Vec<(Op, Addr)>) -> bool {
        let mut memory = Memory::ram(u64::MAX);
        let mut model = Model::default();
        model.areas.push(Area { start: 0, end: u128::from(u64::MAX), writable: true });
        for &(op, Addr(addr)) in ops.iter().filter(|(op, _)| !matches!(op, Op::ThroughRamPage(_))) {
            agree(&mut memory, &mut model, op, addr);
        }
        let mut frames: Vec<_> = model.bytes.keys().map(|addr| addr >> RAM_PAGE_BITS).collect();
        frames.dedup();
        memory.touched_frames() == frames.len() as u64
    }

    fn a_clone_goes_its_own_way(areas: Vec<(Addr, u16, bool)>, ops: Vec<(Op, Addr)>) -> bool {
        let (mut memory, mut model) = machine(&areas);
        let (first, second) = ops.split_at(ops.len() / 2);
        for &(op, Addr(addr)) in first {
            agree(&mut memory, &mut model, op, addr);
        }
        let before = Model { areas: model.areas.clone(), bytes: model.bytes.clone() };
        let clone = memory.clone();
        for &(op, Addr(addr)) in second {
            agree(&mut memory, &mut model, op, addr);
        }
        same_bytes(&clone, &before) && same_bytes(&memory, &model)
    }
}
