//! A program reads equal bytes on every machine, wherever it is in memory and whatever else runs.

use crate::common::*;
use emmu_core::VirtAddr;
use emmu_os::{Exit, Op, Turn};
use emmu_property::{Arbitrary, Gen, quickcheck};

/// An operation that every machine allows.
#[derive(Clone, Copy, Debug)]
struct Portable(Op);

impl Arbitrary for Portable {
    fn arbitrary(g: &mut Gen) -> Self {
        let size = *g.choose(&[1, 1, 2, 4, 8, 8, 3, 10, 16, 32, 64, 4096]).unwrap();
        let within = |(start, len): (u64, u64), g: &mut Gen| {
            let last = len - u64::from(size);
            // Half of them near a page edge.
            let edge = (u64::arbitrary(g) % (len >> 12) + 1) << 12;
            let near = edge.saturating_sub(u64::arbitrary(g) % u64::from(size) + 1);
            let far = u64::arbitrary(g);
            start + (if bool::arbitrary(g) { near } else { far }) % (last + 1)
        };
        let data = *g.choose(&[HEAP, STACK]).unwrap();
        Self(match u8::arbitrary(g) % 6 {
            0 => fetch(within(CODE, g), size),
            1 => load(within(CODE, g), size),
            2 | 3 => load(within(data, g), size),
            _ => store(within(data, g), size, u64::arbitrary(g)),
        })
    }
}

/// Returns the bytes that the program must read, by a model of 64 KiB of bytes.
fn shadow(ops: &[Portable]) -> Vec<Vec<u8>> {
    let mut bytes = vec![0; 1 << 16];
    bytes[..code().len()].copy_from_slice(&code());
    let range = |addr: VirtAddr, size: u32| {
        let start = usize::try_from(addr.raw()).unwrap();
        start..start + size as usize
    };
    let mut seen = Vec::new();
    for &Portable(op) in ops {
        match op {
            Op::Load { addr, size } | Op::Fetch { addr, size } => {
                seen.push(bytes[range(addr, size)].to_vec());
            }
            Op::Store { addr, size, value } => {
                let written = value.to_le_bytes().into_iter().cycle();
                let place = bytes[range(addr, size)].iter_mut();
                place.zip(written).for_each(|(byte, value)| *byte = value);
            }
            _ => {}
        }
    }
    seen
}

/// The operations with a pause after each that `pauses` says so for.
fn with_pauses(ops: &[Portable], pauses: &[bool]) -> Recorder {
    let pause = pauses.iter().copied().chain(std::iter::repeat(true));
    let paused = ops.iter().zip(pause).flat_map(|(&Portable(op), pause)| {
        [Some(op), pause.then_some(Op::YIELD)].into_iter().flatten()
    });
    Recorder::new(paused)
}

/// Runs two programs in turns to their ends.
fn round_robin(os: &mut dyn AnyOs, programs: &mut [Recorder; 2]) {
    let pids = [(); 2].map(|()| os.spawn(&portable()).unwrap());
    let mut living = [true; 2];
    while living.contains(&true) {
        for index in 0..2 {
            if living[index] {
                let turn = os.resume(pids[index], &mut programs[index]).unwrap();
                assert!(matches!(turn, Turn::Yielded | Turn::Ended(Exit::Code(0))));
                living[index] = turn == Turn::Yielded;
            }
        }
    }
}

quickcheck! {
    fn every_machine_shows_the_same_bytes(ops: Vec<Portable>) -> bool {
        let expected = shadow(&ops);
        let ops: Vec<_> = ops.iter().map(|&Portable(op)| op).collect();
        machines(&memory(8, 24)).iter_mut().all(|machine| {
            run(machine.os.as_mut(), &portable(), &ops) == (Exit::Code(0), expected.clone())
        })
    }

    fn a_co_runner_and_another_placement_change_nothing(
        first: Vec<Portable>,
        second: Vec<Portable>,
        pauses: Vec<bool>,
        neighbours: u8
    ) -> bool {
        let expected = [shadow(&first), shadow(&second)];
        machines(&memory(8, 72)).iter_mut().all(|machine| {
            let os = machine.os.as_mut();
            for neighbour in 0..neighbours % 3 {
                let pid = os.spawn(&portable()).unwrap();
                let mut program = Recorder::new([store(HEAP.0, 8, neighbour.into()), Op::YIELD]);
                assert_eq!(os.resume(pid, &mut program), Ok(Turn::Yielded));
            }
            let mut programs = [with_pauses(&first, &pauses), with_pauses(&second, &[])];
            round_robin(os, &mut programs);
            programs.map(|program| program.seen) == expected
        })
    }
}

#[test]
fn code_is_what_the_image_says_and_all_else_is_zero() {
    for Machine { name, mut os, .. } in machines(&ample()) {
        let image_end = CODE.0 + code().len() as u64;
        let reads = [fetch(0x1234, 2), load(image_end - 2, 4), load(HEAP.0, 8), load(0xfff8, 8)];
        let (exit, seen) = run(os.as_mut(), &portable(), &reads);
        assert_eq!(exit, Exit::Code(0), "{name}");
        assert_eq!(seen[0], code()[0x1234..0x1236], "{name}");
        let last = code()[code().len() - 2..].to_vec();
        assert_eq!(seen[1], [last, vec![0, 0]].concat(), "{name}");
        assert_eq!(seen[2..], [[0; 8]; 2], "{name}");
    }
}
