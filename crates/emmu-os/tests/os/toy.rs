//! Programs as bytes: one program shows the same on every machine, with or without translation.

use crate::common::*;
use emmu_core::{VirtAddr, Width};
use emmu_cpu::{Exception, Illegal};
use emmu_os::toy::{Assembly, Core, Instruction};
use emmu_os::{Exit, Image, Kill, Pid, Region, Rights, Turn};
use emmu_property::{Arbitrary, Gen, quickcheck};

/// Instructions one after the other that use the heap and the stack of the portable layout.
#[derive(Clone, Debug)]
struct Straight(Vec<Instruction>);

impl Arbitrary for Straight {
    fn arbitrary(g: &mut Gen) -> Self {
        Self((0..u8::arbitrary(g)).map(|_| any_instruction(g)).collect())
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let all = self.0.clone();
        let without = move |at: usize| [&all[..at], &all[at + 1..]].concat();
        Box::new((0..self.0.len()).map(move |at| Self(without(at))))
    }
}

/// Register 15 stays 0: it is the exit code.
fn any_instruction(g: &mut Gen) -> Instruction {
    let (to, from) = (u8::arbitrary(g) % 8, u8::arbitrary(g) % 8);
    let width = *g.choose(&Width::ALL).unwrap();
    let (start, size) = *g.choose(&[HEAP, STACK]).unwrap();
    // Few places, so that what is stored is loaded again; and many near the edges of pages.
    let edge = (u64::arbitrary(g) % (size >> 12) + 1) << 12;
    let last = start + size - 8;
    let addr = (start + edge - u64::arbitrary(g) % 12).min(last).try_into().unwrap();
    match u8::arbitrary(g) % 9 {
        0 => Instruction::Number { to, value: u32::arbitrary(g) },
        1 => Instruction::Add { to, value: u32::arbitrary(g) },
        2 => Instruction::AddRegister { to, from },
        3 => Instruction::Show { from },
        4 | 5 => Instruction::Store { from, width, addr },
        6 => Instruction::Yield,
        _ => Instruction::Load { to, width, addr },
    }
}

/// Returns the registers that the program shows, by a model with 64 KiB of bytes and no other parts.
fn shown_by_model(program: &[Instruction]) -> Vec<u64> {
    let mut memory = vec![0; 1 << 16];
    let mut registers = [0u64; 16];
    let mut shown = Vec::new();
    let range = |addr: u32, width: Width| addr as usize..addr as usize + width as usize;
    for &instruction in program {
        match instruction {
            Instruction::Number { to, value } => registers[usize::from(to)] = value.into(),
            Instruction::Add { to, value } => {
                let sign = if value >> 31 == 1 { 0xffff_ffff << 32 } else { 0 };
                let sum = registers[usize::from(to)].wrapping_add(sign | u64::from(value));
                registers[usize::from(to)] = sum;
            }
            Instruction::AddRegister { to, from } => {
                let sum = registers[usize::from(to)].wrapping_add(registers[usize::from(from)]);
                registers[usize::from(to)] = sum;
            }
            Instruction::Show { from } => shown.push(registers[usize::from(from)]),
            Instruction::Store { from, width, addr } => {
                let bytes = registers[usize::from(from)].to_le_bytes();
                memory[range(addr, width)].copy_from_slice(&bytes[..width as usize]);
            }
            Instruction::Load { to, width, addr } => {
                let mut bytes = [0; 8];
                bytes[..width as usize].copy_from_slice(&memory[range(addr, width)]);
                registers[usize::from(to)] = u64::from_le_bytes(bytes);
            }
            _ => {}
        }
    }
    shown
}

/// The program in the portable layout; in the end it shows its registers.
fn with_end(program: &[Instruction]) -> Vec<Instruction> {
    let show = (0..8).map(|from| Instruction::Show { from });
    program.iter().copied().chain(show).collect()
}

fn image(program: &[Instruction]) -> Image {
    let region = |(start, size)| Region::new(VirtAddr::new(start), size, Rights::RW).unwrap();
    let exit = Instruction::Exit { code: 15 };
    Assembly::new(program.iter().copied().chain([exit]))
        .with_text_size(CODE.1)
        .with_region(region(HEAP))
        .with_region(region(STACK))
        .image()
        .unwrap()
}

fn start(os: &mut dyn AnyOs, image: &Image) -> (Pid, Core) {
    let pid = os.spawn(image.layout()).unwrap();
    (pid, Core::of(image, os.origin(pid)))
}

/// Runs a program alone to its end.
fn run_alone(os: &mut dyn AnyOs, image: &Image) -> (Exit, Vec<u64>) {
    let (pid, mut core) = start(os, image);
    loop {
        if let Turn::Ended(exit) = os.resume(pid, &mut core).unwrap() {
            return (exit, core.shown().to_vec());
        }
    }
}

quickcheck! {
    fn a_program_shows_the_same_on_every_machine(program: Straight) -> bool {
        let program = with_end(&program.0);
        let expected = shown_by_model(&program);
        all_machines(&memory(8, 24)).iter_mut().all(|machine| {
            let (exit, shown) = run_alone(machine.os.as_mut(), &image(&program));
            assert_eq!(exit, Exit::Code(0), "{}", machine.name);
            shown == expected
        })
    }

    fn co_runners_change_nothing_that_a_program_shows(first: Straight, second: Straight) -> bool {
        let programs = [with_end(&first.0), with_end(&second.0)];
        let mut machines = unprotected_machines(&memory(8, 72));
        machines.extend(crate::common::machines(&memory(8, 72)));
        machines.iter_mut().all(|machine| {
            let os = machine.os.as_mut();
            let mut processes = programs.each_ref().map(|program| start(os, &image(program)));
            let mut living = [true; 2];
            while living.contains(&true) {
                for (lives, (pid, core)) in living.iter_mut().zip(&mut processes) {
                    if *lives {
                        *lives = os.resume(*pid, core).unwrap() == Turn::Yielded;
                    }
                }
            }
            let shown = processes.map(|(_, core)| core.shown().to_vec());
            shown == programs.each_ref().map(|program| shown_by_model(program))
        })
    }
}

#[test]
fn jumps_go_where_they_say_on_every_machine() {
    // 10, 9, … 1 by a jump that is patched, and out by a pointer that the program makes.
    let program = [
        Instruction::Number { to: 1, value: 10 },
        Instruction::Show { from: 1 },
        Instruction::Add { to: 1, value: u32::MAX },
        Instruction::JumpUnless0 { register: 1, addr: 8 },
        Instruction::Address { to: 2, addr: 56 },
        Instruction::JumpAt { pointer: 2 },
        Instruction::Show { from: 2 },
        Instruction::Jump { addr: 72 },
        Instruction::Show { from: 2 },
    ];
    for Machine { name, mut os, .. } in all_machines(&memory(8, 24)) {
        let (exit, shown) = run_alone(os.as_mut(), &image(&program));
        assert_eq!(exit, Exit::Code(0), "{name}");
        assert_eq!(shown, (1..=10).rev().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn bytes_that_are_no_instruction_kill() {
    for Machine { name, mut os, .. } in all_machines(&memory(8, 24)) {
        let (exit, shown) = run_alone(os.as_mut(), &image(&[Instruction::Jump { addr: 0x1800 }]));
        let undefined = Exception::IllegalInstruction(Illegal::Undefined);
        assert_eq!(exit, Exit::Killed(Kill::Exception(undefined)), "{name}");
        assert_eq!(shown, [], "{name}");
    }
}

#[test]
fn no_program_writes_a_privileged_register_and_some_machines_have_none() {
    for mut machine in all_machines(&memory(8, 24)) {
        let (id, name) = (machine.privileged, machine.name);
        let program = [Instruction::WriteRegister { from: 0, id }];
        let (exit, _) = run_alone(machine.os.as_mut(), &image(&program));
        let Exit::Killed(Kill::Exception(Exception::IllegalInstruction(why))) = exit else {
            panic!("{name}: {exit:?}")
        };
        let bare = ["uniprogramming", "time sharing", "static relocation"].contains(&name);
        assert_eq!(matches!(why, Illegal::NoRegister(_)), bare, "{name}: {why}");
        assert_eq!(matches!(why, Illegal::Privileged { .. }), !bare, "{name}: {why}");
    }
}
