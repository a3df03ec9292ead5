//! The run of the operations on a manager.

use super::UNIT;
use super::ops::Op;
use super::report::{Free, Report, Step, Summary, Used};
use super::setup::{Machine, Setup};
use anyhow::{Result, ensure};
use emmu_core::PhysAddr;
use emmu_heap::{Fragmentation, Heap, HeapError, Request, Stats};

/// The largest number of blocks in the report of all steps. Each step reports every block.
const MOST_TOLD: usize = 1 << 20;

/// A run and its state between two operations.
struct Run {
    machine: Machine,
    /// The address of each allocation, if the request was met.
    slots: Vec<Option<PhysAddr>>,
    /// The numbers of the allocations whose requests were met, in order.
    met: Vec<u64>,
    failures_by_fragmentation: u64,
    bad_frees: u64,
    /// The number of blocks that are reported so far.
    told: usize,
}

/// The result of an operation.
#[derive(Default)]
struct Outcome {
    slot: Option<usize>,
    addr: Option<PhysAddr>,
    searched: Option<u64>,
    error: Option<String>,
}

/// Runs all operations on one manager.
pub(crate) fn run(setup: &Setup, ops: &[Op]) -> Result<Report> {
    let mut run = Run {
        machine: setup.build()?,
        slots: Vec::new(),
        met: Vec::new(),
        failures_by_fragmentation: 0,
        bad_frees: 0,
        told: 0,
    };
    let mut steps = Vec::new();
    for (op, number) in ops.iter().zip(1..) {
        let step = run.step(*op)?;
        run.tell(&step, number)?;
        steps.push(step);
    }
    Ok(Report {
        version: env!("CARGO_PKG_VERSION"),
        manager: setup.description(),
        name: setup.name(),
        unit_bytes: UNIT,
        base: setup.base,
        size: setup.size,
        header: setup.header,
        align: setup.align,
        steps,
        summary: run.summary()?,
    })
}

impl Run {
    fn step(&mut self, op: Op) -> Result<Step> {
        let Outcome { slot, addr, searched, error } = match op {
            Op::Allocate(size) => self.allocate(size)?,
            Op::Free(slot) => self.free_slot(slot)?,
            Op::FreeAt(addr) => self.free(None, PhysAddr::new(addr * UNIT))?,
        };
        let Machine { heap, memory } = &mut self.machine;
        let free = heap.free_blocks(memory)?;
        let free =
            free.iter().map(|block| Free { addr: units(block.addr), size: block.size / UNIT });
        Ok(Step {
            op: op.to_string(),
            slot,
            addr: addr.map(units),
            searched,
            error,
            end: units(heap.region(memory)?.end),
            free: free.collect(),
            used: self.used(),
        })
    }

    /// Counts the blocks that a step reports, so that a long run ends with a message before it fills the host's memory.
    fn tell(&mut self, step: &Step, number: usize) -> Result<()> {
        self.told += step.free.len() + step.used.len();
        ensure!(
            self.told <= MOST_TOLD,
            "operation {number}: the steps up to here have more than {MOST_TOLD} blocks to show, the most that \
             there can be; expected fewer operations, or fewer blocks at a time"
        );
        Ok(())
    }

    fn allocate(&mut self, size: u64) -> Result<Outcome> {
        let slot = Some(self.slots.len());
        let Machine { heap, memory } = &mut self.machine;
        let answer = heap.allocate(memory, Request::new(size * UNIT));
        self.slots.push(answer.ok().map(|block| block.addr));
        match answer {
            Ok(block) => {
                self.met.push(self.slots.len() as u64 - 1);
                let (addr, searched) = (Some(block.addr), Some(block.searched));
                Ok(Outcome { slot, addr, searched, ..Outcome::default() })
            }
            Err(HeapError::OutOfMemory { need, searched }) => {
                let error = Some(self.why_none(need)?);
                Ok(Outcome { slot, searched: Some(searched), error, ..Outcome::default() })
            }
            Err(refused) => Err(refused.into()),
        }
    }

    /// Returns the reason for which a request failed: too few units are free, or they are free in pieces.
    fn why_none(&mut self, need: u64) -> Result<String> {
        let Machine { heap, memory } = &mut self.machine;
        let Fragmentation { free, largest, .. } = Fragmentation::of(&heap.free_blocks(memory)?);
        let [need, free, largest] = [need, free, largest].map(|bytes| bytes / UNIT);
        if free < need {
            return Ok(format!("out of memory: {need} needed, {free} free"));
        }
        self.failures_by_fragmentation += 1;
        Ok(format!("fragmented: {need} needed, {free} free, but only {largest} in one piece"))
    }

    fn free_slot(&mut self, slot: usize) -> Result<Outcome> {
        match self.slots.get(slot).copied().flatten() {
            Some(addr) => self.free(Some(slot), addr),
            None => {
                self.bad_frees += 1;
                let error = Some(format!("invalid free: slot {slot} was not allocated"));
                Ok(Outcome { slot: Some(slot), error, ..Outcome::default() })
            }
        }
    }

    fn free(&mut self, slot: Option<usize>, addr: PhysAddr) -> Result<Outcome> {
        let stale = slot.is_some_and(|slot| !self.is_live(slot, addr));
        let Machine { heap, memory } = &mut self.machine;
        let at = units(addr);
        let error =
            match if stale { Err(HeapError::DoubleFree { addr }) } else { heap.free(memory, addr) }
            {
                Ok(_) => None,
                Err(HeapError::DoubleFree { .. }) => {
                    Some(format!("double free: {at} was freed before"))
                }
                Err(HeapError::InvalidFree { why, .. }) => {
                    Some(format!("invalid free of {at}: {why}"))
                }
                Err(refused) => return Err(refused.into()),
            };
        self.bad_frees += u64::from(error.is_some());
        Ok(Outcome { slot, addr: Some(addr), error, ..Outcome::default() })
    }

    /// Returns true if the block at the address is this allocation, and no later one.
    fn is_live(&self, slot: usize, addr: PhysAddr) -> bool {
        let mut live = self.machine.heap.live();
        live.any(|live| live.block.addr == addr && self.slot_of(live.number) == Some(slot as u64))
    }

    /// Returns the number by which operations name the `number`th allocation. Requests that failed have numbers too.
    fn slot_of(&self, number: u64) -> Option<u64> {
        self.met.get(usize::try_from(number).ok()?).copied()
    }

    fn used(&self) -> Vec<Used> {
        let live = self.machine.heap.live().map(|live| Used {
            slot: self.slot_of(live.number).unwrap_or(0),
            start: units(live.block.extent.addr),
            size: live.block.extent.size / UNIT,
            addr: units(live.block.addr),
            requested: live.request.size / UNIT,
        });
        live.collect()
    }

    fn summary(&mut self) -> Result<Summary> {
        let used = self.used();
        let Machine { heap, memory } = &mut self.machine;
        let torn = Fragmentation::of(&heap.free_blocks(memory)?);
        let Stats { allocations, failures, frees, searched, grown } = heap.stats();
        let usage = heap.usage();
        let mut leaked: Vec<_> = used.iter().map(|used| used.slot).collect();
        leaked.sort_unstable();
        Ok(Summary {
            allocations,
            failures,
            failures_by_fragmentation: self.failures_by_fragmentation,
            frees,
            bad_frees: self.bad_frees,
            searched,
            grown: grown / UNIT,
            free: torn.free / UNIT,
            free_blocks: torn.blocks,
            largest_free: torn.largest / UNIT,
            external_fragmentation: torn.external(),
            requested: usage.requested / UNIT,
            wasted: usage.wasted() / UNIT,
            leaked,
        })
    }
}

fn units(addr: PhysAddr) -> u64 {
    addr.raw() / UNIT
}
