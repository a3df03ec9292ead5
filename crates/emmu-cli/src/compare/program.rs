//! The program of the comparison, as bytes for every system.

use super::args::Compare;
use anyhow::{Result, ensure};
use emmu_core::{VirtAddr, Width};
use emmu_os::toy::{Assembly, INSTRUCTION, Instruction};
use emmu_os::{FRAME, Image, Region, Rights};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

/// The places of the program's parts, and its accesses.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) accesses: u64,
    pub(crate) heap: u64,
    pub(crate) stack: u64,
    pub(crate) space: u64,
    seed: u64,
}

impl Shape {
    pub(crate) fn new(arguments: &Compare) -> Result<Self> {
        let &Compare { accesses, heap, stack, space, seed, .. } = arguments;
        let shape = Self { accesses, heap, stack, space, seed };
        let quarter = space / 4;
        ensure!(space.is_power_of_two(), "--space is {space}; expected a power of two");
        for (option, size) in [("--heap", heap), ("--stack", stack)] {
            ensure!(
                size <= quarter,
                "{option} is {size}; expected at most a quarter of --space, {quarter}"
            );
        }
        let code = shape.code();
        ensure!(
            code <= quarter,
            "--accesses is {accesses}, which makes {code} bytes of code; expected at most a quarter of \
             --space, {quarter}"
        );
        Ok(shape)
    }

    /// Returns the number of bytes of the program's instructions.
    pub(crate) fn code(&self) -> u64 {
        self.text().len() as u64 * INSTRUCTION
    }

    /// Returns the number of bytes that the program asks for.
    pub(crate) fn wanted(&self) -> u64 {
        self.code() + self.heap + self.stack
    }

    /// Returns the first address of the heap.
    pub(crate) const fn heap_start(&self) -> u64 {
        self.space / 4
    }

    /// Returns the first address of the stack.
    pub(crate) const fn stack_start(&self) -> u64 {
        self.space - self.stack
    }

    /// Makes the program. It touches all its pages, and then pauses and makes its accesses in an endless loop.
    pub(crate) fn program(&self, whole_pages: bool) -> Result<Image> {
        self.image_with(self.text(), whole_pages, Vec::new())
    }

    /// Makes a program of these instructions, with memory of the same shape and these bytes at the start of its heap.
    pub(crate) fn image_with(
        &self,
        text: Vec<Instruction>,
        whole_pages: bool,
        content: Vec<u8>,
    ) -> Result<Image> {
        let round = |bytes: u64| if whole_pages { bytes.next_multiple_of(FRAME) } else { bytes };
        let text_size = round(text.len() as u64 * INSTRUCTION);
        let stack = round(self.stack);
        let region = |start, size| Region::new(VirtAddr::new(start), size, Rights::RW);
        Ok(Assembly::new(text)
            .with_text_size(text_size)
            .with_region(region(self.heap_start(), round(self.heap))?.with_image(content)?)
            .with_region(region(self.space - stack, stack)?)
            .image()?)
    }

    fn text(&self) -> Vec<Instruction> {
        let touches = [(self.heap_start(), self.heap), (self.stack_start(), self.stack)]
            .into_iter()
            .flat_map(|(start, size)| pages(start, size).map(touch));
        let mut draws = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let accesses = (0..self.accesses).map(|_| self.access(&mut draws));
        let mut text: Vec<_> = touches.collect();
        let round = Instruction::Jump { addr: operand(text.len() as u64 * INSTRUCTION) };
        text.extend([Instruction::Yield].into_iter().chain(accesses).chain([round]));
        text
    }

    /// Draws a load or store of 8 bytes, in the heap or, half as often, in the stack.
    fn access(&self, draws: &mut Xoshiro256PlusPlus) -> Instruction {
        let (start, size) = match draws.random_range(0..3) {
            0 => (self.stack_start(), self.stack),
            _ => (self.heap_start(), self.heap),
        };
        let addr = operand(start + draws.random_range(0..=(size - 8) / 8) * 8);
        match draws.random_range(0..3) {
            0 => Instruction::Store { from: 0, width: Width::B8, addr },
            _ => Instruction::Load { to: 1, width: Width::B8, addr },
        }
    }
}

/// Returns an address in each page of these bytes.
fn pages(start: u64, size: u64) -> impl Iterator<Item = u64> {
    let rest = (start + 1).next_multiple_of(FRAME);
    [start].into_iter().chain((rest..start + size).step_by(4096))
}

fn touch(addr: u64) -> Instruction {
    Instruction::Store { from: 0, width: Width::B1, addr: operand(addr) }
}

/// Returns an address as an operand. It fits, because address spaces have at most 2^24 bytes.
pub(crate) fn operand(addr: u64) -> u32 {
    u32::try_from(addr).unwrap_or(u32::MAX)
}
