//! `Core`: it executes toy instructions.

use super::{INSTRUCTION, INSTRUCTION_SIZE, Instruction, REGISTERS};
use crate::{Image, Op, Program, Reply};
use alloc::vec::Vec;
use emmu_core::{VirtAddr, Width};

/// A program that fetches its instructions from memory, as a machine executes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    /// The instruction that is fetched next.
    pc: VirtAddr,
    registers: [u64; REGISTERS],
    waiting: Waiting,
    shown: Vec<u64>,
}

/// The meaning of the next reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// The reply is ignored.
    Nothing,
    /// The reply is an instruction.
    Instruction,
    /// The reply is the new content of a register.
    Register(u8),
}

impl Core {
    /// Makes a core that executes from `entry` on, with zeros in all registers.
    #[must_use]
    pub const fn new(entry: VirtAddr) -> Self {
        Self { pc: entry, registers: [0; REGISTERS], waiting: Waiting::Nothing, shown: Vec::new() }
    }

    /// Makes a core that executes an image loaded at `origin`: see [`crate::Os::origin`].
    #[must_use]
    pub const fn of(image: &Image, origin: u64) -> Self {
        Self::new(image.entry().wrapping_add(origin))
    }

    /// Returns this core with a value in a register.
    #[must_use]
    pub fn with_register(mut self, register: u8, value: u64) -> Self {
        self.set(register, value);
        self
    }

    /// Returns the registers shown so far ([`Instruction::Show`]): all that can be observed of a program.
    #[must_use]
    pub fn shown(&self) -> &[u64] {
        &self.shown
    }

    fn get(&self, register: u8) -> u64 {
        self.registers.get(usize::from(register)).copied().unwrap_or(0)
    }

    fn set(&mut self, register: u8, value: u64) {
        if let Some(held) = self.registers.get_mut(usize::from(register)) {
            *held = value;
        }
    }

    fn fetch(&mut self) -> Op {
        self.waiting = Waiting::Instruction;
        Op::Fetch { addr: self.pc, size: INSTRUCTION_SIZE }
    }

    /// Executes an instruction as far as it needs no memory, and returns its operation.
    fn execute(&mut self, instruction: Instruction) -> Op {
        self.pc = self.pc.wrapping_add(INSTRUCTION);
        self.waiting = Waiting::Nothing;
        match instruction {
            Instruction::Number { to, value } => self.set(to, value.into()),
            Instruction::Address { to, addr } => self.set(to, addr.into()),
            Instruction::Add { to, value } => {
                self.set(to, self.get(to).wrapping_add_signed(value.cast_signed().into()));
            }
            Instruction::AddRegister { to, from } => {
                self.set(to, self.get(to).wrapping_add(self.get(from)));
            }
            Instruction::Jump { addr } => self.pc = VirtAddr::new(addr.into()),
            Instruction::JumpUnless0 { register, addr } if self.get(register) != 0 => {
                self.pc = VirtAddr::new(addr.into());
            }
            Instruction::JumpUnless0 { .. } => {}
            Instruction::JumpAt { pointer } => self.pc = VirtAddr::new(self.get(pointer)),
            Instruction::Show { from } => self.shown.push(self.get(from)),
            Instruction::Load { to, width, addr } => return self.load(to, addr.into(), width),
            Instruction::LoadAt { to, pointer, width } => {
                return self.load(to, self.get(pointer), width);
            }
            Instruction::Store { from, width, addr } => {
                return self.store(from, addr.into(), width);
            }
            Instruction::StoreAt { from, pointer, width } => {
                return self.store(from, self.get(pointer), width);
            }
            Instruction::Yield => return Op::YIELD,
            Instruction::Exit { code } => return Op::exit(self.get(code)),
            Instruction::WriteRegister { from, id } => {
                return Op::WriteRegister { id, value: self.get(from) };
            }
        }
        self.fetch()
    }

    fn load(&mut self, to: u8, addr: u64, width: Width) -> Op {
        self.waiting = Waiting::Register(to);
        Op::Load { addr: VirtAddr::new(addr), size: width as u32 }
    }

    fn store(&self, from: u8, addr: u64, width: Width) -> Op {
        Op::Store { addr: VirtAddr::new(addr), size: width as u32, value: self.get(from) }
    }
}

impl Program for Core {
    fn step(&mut self, reply: Reply<'_>) -> Op {
        match (self.waiting, reply) {
            (Waiting::Instruction, Reply::Value(word)) => {
                return match Instruction::decode(word) {
                    Some(instruction) => self.execute(instruction),
                    None => Op::Undefined,
                };
            }
            (Waiting::Register(to), Reply::Value(value)) => self.set(to, value),
            _ => {}
        }
        self.fetch()
    }
}
