//! Many processes that come, work and go, in less memory than they want.

use crate::common::*;
use emmu_os::{Exit, Kill, Op, OsError, Pid, Turn};
use emmu_property::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeMap;

/// An event. Processes are chosen by number, modulo the number of living processes.
#[derive(Clone, Copy, Debug)]
enum Event {
    Spawn,
    Terminate(u8),
    Store { process: u8, addr: u64, value: u64 },
    Load { process: u8, addr: u64 },
}

impl Arbitrary for Event {
    fn arbitrary(g: &mut Gen) -> Self {
        let process = u8::arbitrary(g);
        let (start, size) = *g.choose(&[HEAP, STACK]).unwrap();
        // Words that cross pages too, few enough to be met again.
        let addr = start + (u64::arbitrary(g) % (size / 0x400)) * 0x400;
        let addr = addr.saturating_sub(4).max(start);
        match u8::arbitrary(g) % 12 {
            0 | 1 => Self::Spawn,
            2 => Self::Terminate(process),
            3..8 => Self::Store { process, addr, value: u64::arbitrary(g) },
            _ => Self::Load { process, addr },
        }
    }
}

/// The bytes that each living process has written.
type Shadow = BTreeMap<Pid, BTreeMap<u64, u64>>;

fn choose(shadow: &Shadow, number: u8) -> Option<Pid> {
    let index = usize::from(number).checked_rem(shadow.len())?;
    shadow.keys().nth(index).copied()
}

/// Lets a process do one operation. A process for which there is no memory ends.
fn work(os: &mut dyn AnyOs, shadow: &mut Shadow, pid: Pid, op: Op) -> Option<Vec<Vec<u8>>> {
    let mut program = Recorder::new([op, Op::YIELD]);
    match os.resume(pid, &mut program).unwrap() {
        Turn::Yielded => Some(program.seen),
        Turn::Ended(Exit::Killed(Kill::OutOfMemory { .. })) => {
            shadow.remove(&pid);
            None
        }
        Turn::Ended(exit) => panic!("{op:?} ended in {exit:?}"),
    }
}

fn happen(os: &mut dyn AnyOs, shadow: &mut Shadow, event: Event) {
    match event {
        Event::Spawn => match os.spawn(&portable()) {
            Ok(pid) => assert!(shadow.insert(pid, BTreeMap::new()).is_none()),
            Err(error) => assert!(matches!(error, OsError::OutOfMemory(_)), "{error}"),
        },
        Event::Terminate(number) => {
            let Some(pid) = choose(shadow, number) else { return };
            os.terminate(pid).unwrap();
            shadow.remove(&pid);
        }
        Event::Store { process, addr, value } => {
            let Some(pid) = choose(shadow, process) else { return };
            if work(os, shadow, pid, store(addr, 8, value)).is_some() {
                shadow.entry(pid).or_default().insert(addr, value);
            }
        }
        Event::Load { process, addr } => {
            let Some(pid) = choose(shadow, process) else { return };
            let Some(seen) = work(os, shadow, pid, load(addr, 8)) else { return };
            let expected = shadow[&pid].get(&addr).copied().unwrap_or(0);
            assert_eq!(seen, [expected.to_le_bytes()], "{addr:#x} of process {pid}");
        }
    }
}

quickcheck! {
    fn whoever_lives_keeps_its_bytes_and_no_frame_is_lost(events: Vec<Event>) -> bool {
        for Machine { name, mut os, .. } in machines(&memory(8, 36)) {
            let mut shadow = Shadow::new();
            for &event in &events {
                happen(os.as_mut(), &mut shadow, event);
                let usage = os.usage();
                assert_eq!(usage.free + usage.tables + usage.programs, usage.total, "{name}");
            }
            shadow.into_keys().for_each(|pid| os.terminate(pid).unwrap());
            assert_all_free(name, os.as_ref());
        }
        true
    }
}
