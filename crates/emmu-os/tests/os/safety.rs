//! In any history, a process sees only the bytes that it wrote itself, its image, and zeros. The tests compare
//! every byte of every process with a shadow, on every machine, in memory that was full of junk at first.

use crate::common::*;
use emmu_os::{Direction, Exit, Kill, Layout, MAX_ACCESS, Op, OsError, Pid, Region, Rights, Turn};
use emmu_property::{Arbitrary, Gen, quickcheck};

/// Something that happens to the machine. Processes are chosen by numbers, round and round.
#[derive(Clone, Copy, Debug)]
enum Step {
    Spawn { heap_pages: u8, stack: bool },
    Exit(u8),
    Grow { process: u8, pages: u8, direction: Direction },
    Move(u8),
    Compact,
    Write { process: u8, at: u16, size: u16 },
    Look(u8),
}

impl Arbitrary for Step {
    fn arbitrary(g: &mut Gen) -> Self {
        let process = u8::arbitrary(g);
        match u8::arbitrary(g) % 12 {
            0..3 => Self::Spawn { heap_pages: process % 6 + 1, stack: bool::arbitrary(g) },
            3 => Self::Exit(process),
            4 | 5 => {
                let direction = *g.choose(&[Direction::Up, Direction::Down]).unwrap();
                Self::Grow { process, pages: u8::arbitrary(g) % 4, direction }
            }
            6 => Self::Move(process),
            7 => Self::Compact,
            8..11 => Self::Write { process, at: u16::arbitrary(g), size: u16::arbitrary(g) },
            _ => Self::Look(process),
        }
    }
}

/// A process, and what each of its bytes must be.
struct Shadow {
    pid: Pid,
    origin: u64,
    /// The byte that only this process writes.
    canary: u8,
    regions: Vec<(u64, Rights, Vec<u8>)>,
}

const PAGE: u64 = 0x1000;

/// Code, which all share; a heap; and perhaps a stack at the top of 64 KiB.
fn layout_of(heap_pages: u8, stack: bool) -> Layout {
    let code = Region::new(emmu_core::VirtAddr::ZERO, 2 * PAGE, Rights::RX).unwrap();
    let code = code.with_image((0..=u8::MAX).collect()).unwrap();
    let heap = data(HEAP.0, u64::from(heap_pages) * PAGE);
    let stack = stack.then(|| data(STACK.0, STACK.1));
    layout([code, heap].into_iter().chain(stack))
}

impl Shadow {
    fn new(os: &dyn AnyOs, pid: Pid, layout: &Layout) -> Self {
        let regions = layout.regions().iter().map(|region| {
            let mut bytes = region.image().to_vec();
            bytes.resize(usize::try_from(region.size()).unwrap(), 0);
            (region.start().raw(), region.rights(), bytes)
        });
        // No junk, no zero, and not in the image but once.
        let canary = u8::try_from(pid.0 % 0x50).unwrap() + 0xb0;
        Self { pid, origin: os.origin(pid), canary, regions: regions.collect() }
    }

    /// Returns the bytes that the process reads, or `None` if it found no frame for a page and ended.
    fn turn(&self, os: &mut dyn AnyOs, ops: impl IntoIterator<Item = Op>) -> Option<Vec<Vec<u8>>> {
        let mut program = Recorder::new(ops.into_iter().chain([Op::YIELD]));
        match os.resume(self.pid, &mut program).unwrap() {
            Turn::Yielded => Some(program.seen),
            Turn::Ended(Exit::Killed(Kill::OutOfMemory { .. })) => None,
            Turn::Ended(exit) => panic!("{}: {exit}", self.pid),
        }
    }

    /// Fills some bytes of the heap or the stack with the canary. Returns true if the process lives on.
    fn write(&mut self, os: &mut dyn AnyOs, at: u16, size: u16) -> bool {
        let index = 1 + usize::from(at) % (self.regions.len() - 1);
        let (start, _, bytes) = &mut self.regions[index];
        let from = usize::from(at) * 7 % bytes.len();
        let to = bytes.len().min(from + usize::from(size));
        bytes[from..to].fill(self.canary);
        let op = store(
            self.origin + *start + from as u64,
            u32::try_from(to - from).unwrap(),
            u64::from_le_bytes([self.canary; 8]),
        );
        self.turn(os, [op]).is_some()
    }

    /// Reads every byte. Returns true if the process lives on.
    fn look(&self, os: &mut dyn AnyOs) -> bool {
        let pieces = || self.regions.iter().flat_map(|(start, _, bytes)| pieces(*start, bytes));
        let ops = pieces()
            .map(|(start, bytes)| load(self.origin + start, u32::try_from(bytes.len()).unwrap()));
        let Some(seen) = self.turn(os, ops.collect::<Vec<_>>()) else { return false };
        for ((start, bytes), seen) in pieces().zip(seen) {
            let wrong = bytes.iter().zip(&seen).position(|(byte, seen)| byte != seen);
            if let Some(at) = wrong {
                let addr = start + at as u64;
                panic!("{} sees {:#x} at {addr:#x}, not {:#x}", self.pid, seen[at], bytes[at]);
            }
        }
        true
    }

    fn grow(
        &mut self,
        os: &mut dyn AnyOs,
        pages: u8,
        direction: Direction,
    ) -> Result<u64, OsError> {
        // Up the heap, down the stack, if there is one.
        let index = if direction == Direction::Up { 1 } else { self.regions.len() - 1 };
        let (start, _, bytes) = &mut self.regions[index];
        let by = u64::from(pages) * PAGE;
        let moved = os.grow(self.pid, *start, by, direction)?;
        let zeros = vec![0; usize::try_from(by).unwrap()];
        match direction {
            Direction::Up => bytes.extend(zeros),
            Direction::Down => {
                *start -= by;
                bytes.splice(0..0, zeros);
            }
        }
        Ok(moved)
    }
}

/// Returns the bytes from `start` on, in pieces that one access can read.
fn pieces(start: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    (start..).step_by(MAX_ACCESS as usize).zip(bytes.chunks(MAX_ACCESS as usize))
}

/// Returns true if a machine may refuse in this way. Nothing has then changed.
fn is_refusal(error: OsError) -> bool {
    matches!(
        error,
        OsError::OutOfMemory(_) | OsError::Occupied | OsError::Immovable | OsError::Layout(_)
    )
}

fn allow(name: &str, done: Result<u64, OsError>) {
    if let Err(error) = done {
        assert!(is_refusal(error), "{name}: {error}");
    }
}

fn take_step(machine: &mut Machine, shadows: &mut Vec<Shadow>, step: Step) {
    let (name, os) = (machine.name, machine.os.as_mut());
    let chosen = |number: u8| usize::from(number) % shadows.len().max(1);
    match step {
        Step::Spawn { heap_pages, stack } => {
            let layout = layout_of(heap_pages, stack);
            match os.spawn(&layout) {
                Ok(pid) => shadows.push(Shadow::new(os, pid, &layout)),
                Err(error) => assert!(is_refusal(error), "{name}: {error}"),
            }
        }
        Step::Compact => allow(name, os.compact()),
        _ if shadows.is_empty() => {}
        Step::Exit(number) => {
            let shadow = shadows.swap_remove(chosen(number));
            if shadow.look(os) {
                os.terminate(shadow.pid).unwrap();
            }
        }
        Step::Grow { process, pages, direction } => {
            let index = chosen(process);
            allow(name, shadows[index].grow(os, pages, direction));
        }
        Step::Move(number) => allow(name, os.relocate(shadows[chosen(number)].pid)),
        Step::Write { process, at, size } => {
            let index = chosen(process);
            if !shadows[index].write(os, at, size) {
                shadows.remove(index);
            }
        }
        Step::Look(number) => {
            let index = chosen(number);
            if !shadows[index].look(os) {
                shadows.remove(index);
            }
        }
    }
    let usage = os.usage();
    assert_eq!(usage.free + usage.tables + usage.programs, usage.total, "{name}");
}

quickcheck! {
    fn no_process_ever_sees_a_byte_that_is_not_its_own(steps: Vec<Step>) -> bool {
        for machine in &mut all_machines(&memory(8, 40)) {
            let mut shadows = Vec::new();
            steps.iter().for_each(|&step| take_step(machine, &mut shadows, step));
            let os = machine.os.as_mut();
            shadows.retain(|shadow| shadow.look(os));
            shadows.iter().for_each(|shadow| os.terminate(shadow.pid).unwrap());
            assert_all_free(machine.name, os);
            assert_eq!(os.inspect(), Ok(()), "{}", machine.name);
        }
        true
    }

    fn after_compaction_all_that_is_free_can_be_had_in_one_piece(steps: Vec<Step>) -> bool {
        let memory = memory(8, 40);
        let compactable = |machine: &Machine| {
            ["base and bounds", "base and bounds, by end", "segmentation"].contains(&machine.name)
        };
        for machine in machines(&memory).iter_mut().filter(|machine| compactable(machine)) {
            let mut shadows = Vec::new();
            steps.iter().for_each(|&step| take_step(machine, &mut shadows, step));
            let (name, os) = (machine.name, machine.os.as_mut());
            let before = os.stats().bytes_moved;
            let moved = os.compact().unwrap();
            assert_eq!(os.stats().bytes_moved, before + moved);
            assert_eq!(os.compact(), Ok(0), "{}", machine.name);
            // A segment has at most 16 KiB.
            let mut free = os.usage().free;
            while free > 0 {
                let size = free.min(0x4000);
                let pid = os.spawn(&layout([data(0, size)])).unwrap();
                shadows.push(Shadow::new(os, pid, &layout([data(0, size)])));
                free -= size;
            }
            assert_eq!(os.usage().free, 0, "{}", machine.name);
            assert!(shadows.iter().all(|shadow| shadow.look(os)), "{name}");
        }
        true
    }
}

/// One-page processes on a machine of six pages, of which every other one ends.
fn swiss_cheese(os: &mut dyn AnyOs) -> Vec<Shadow> {
    let page = layout([data(0, PAGE)]);
    let mut shadows: Vec<_> = (0..6)
        .map(|_| {
            let pid = os.spawn(&page).unwrap();
            let mut shadow = Shadow::new(os, pid, &page);
            let (start, _, bytes) = &mut shadow.regions[0];
            bytes.fill(shadow.canary);
            let op = store(*start, 0x1000, u64::from_le_bytes([shadow.canary; 8]));
            assert!(shadow.turn(os, [op]).is_some());
            shadow
        })
        .collect();
    for index in [5, 3, 1] {
        os.terminate(shadows.remove(index).pid).unwrap();
    }
    shadows
}

#[test]
fn a_request_that_fails_although_the_total_suffices_succeeds_after_compaction() {
    use emmu_os::OutOfMemory;
    for Machine { name, mut os, .. } in machines(&memory(8, 6)) {
        if !["base and bounds", "base and bounds, by end", "segmentation"].contains(&name) {
            continue;
        }
        let os = os.as_mut();
        let shadows = swiss_cheese(os);
        let large = layout([data(0, 3 * PAGE)]);
        let area = OutOfMemory::Area { needed: 3 * PAGE, free: 3 * PAGE, total: 6 * PAGE };
        assert_eq!(os.spawn(&large), Err(OsError::OutOfMemory(area)), "{name}");
        // Of pages 0, 2 and 4 the first stays.
        assert_eq!(os.compact(), Ok(2 * PAGE), "{name}");
        assert_eq!(os.stats().bytes_moved, 2 * PAGE, "{name}");
        assert!(shadows.iter().all(|shadow| shadow.look(os)), "{name}");
        let pid = os.spawn(&large).unwrap();
        assert!(Shadow::new(os, pid, &large).look(os), "{name}");
        assert_eq!(os.usage().free, 0, "{name}");
        assert!(shadows.iter().all(|shadow| shadow.look(os)), "{name}");
    }
}
